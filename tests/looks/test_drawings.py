"""Drawings: places and sizes of rectangles."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.templatetags.drawings import HourChart, round_up, segments, waveform_bars
from calls.templatetags.looks import STATUS_ORDER

TALLIES = st.dictionaries(st.sampled_from([*STATUS_ORDER, "MAX-USE"]), st.integers(0, 1_000_000), min_size=1)


@given(TALLIES.filter(lambda tally: sum(tally.values())))
def test_the_parts_of_a_bar_fill_it_and_never_overlap(tally: Any) -> None:
    parts = segments(tally, sum(tally.values()))

    assert {part["status"]: part["count"] for part in parts} == {key: n for key, n in tally.items() if n}
    edge = 0.0
    for part in parts:
        assert float(part["x"]) == pytest.approx(edge, abs=0.01)
        edge += float(part["width"])
    assert edge == pytest.approx(100, abs=0.02)


def test_a_bar_leaves_room_for_what_is_not_yet_planned() -> None:
    assert [part["width"] for part in segments({"COMPLETED": 25}, 100)] == ["25.000"]


def test_an_empty_tally_draws_nothing() -> None:
    assert segments({}, 0) == []


@pytest.mark.parametrize(
    ("number", "top"), [(0, 2), (1, 2), (3, 4), (7, 8), (9, 10), (23, 30), (140, 150), (999, 1000)]
)
def test_the_axis_ends_at_a_round_number(number: Any, top: Any) -> None:
    assert round_up(number) == top


@given(st.integers(0, 10**9))
def test_the_axis_holds_the_highest_column_and_can_be_halved(number: Any) -> None:
    assert round_up(number) >= number
    assert round_up(number) % 2 == 0


def test_columns_are_stacked_from_the_base_line() -> None:
    chart = HourChart([(9, {"BUSY": 5, "COMPLETED": 5}), (10, {})], now=10)

    nine, ten = chart.columns()
    assert [(part["css"], part["y"], part["height"]) for part in nine["segments"]] == [
        ("completed", "80.00", "70.00"),
        ("busy", "10.00", "70.00"),
    ]
    assert (nine["left"], nine["step"], nine["is_now"]) == ("0.00", "50.00", False)
    assert nine["said"] == "Completed 5, Busy 5"
    assert nine["cells"] == [5, 5]
    assert (ten["left"], ten["total"], ten["segments"], ten["is_now"]) == ("50.00", 0, [], True)
    assert [line["value"] for line in chart.lines()] == [0, 5, 10]


def test_a_chart_without_calls_has_an_axis_and_no_legend() -> None:
    chart = HourChart([(hour, {"COMPLETED": 0}) for hour in range(24)])

    assert chart.looks() == []
    assert [line["value"] for line in chart.lines()] == [0, 1, 2]


def test_silence_and_overload_stay_inside_the_waveform() -> None:
    assert [bar["height"] for bar in waveform_bars([0, 50, 400])] == ["2.0", "50.0", "100.0"]
