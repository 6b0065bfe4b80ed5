"""How long call groups take."""

from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import Settings

from calls.dialing import estimate
from calls.models import CallGroup, Waits

NOON = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def group(**columns: object) -> CallGroup:
    return CallGroup(**{"carrier": "sandbox", "due_at": NOON, "total": 100, "open": 100} | columns)


@pytest.mark.parametrize(("calls", "batches"), [(0, 0), (1, 1), (200, 1), (201, 2), (450, 3), (100_000, 500)])
def test_batches(calls: int, batches: int) -> None:
    assert estimate.batches_needed(calls) == batches


def test_more_calls_and_more_retries_take_longer(settings: Settings) -> None:
    settings.CARRIER_RATE = 10.0
    assert estimate.takes(1, 0) < estimate.takes(100_000, 0)
    assert estimate.takes(100_000, 0) - estimate.takes(200, 0) == timedelta(seconds=49.9)
    assert estimate.takes(1, 0) < estimate.takes(1, 1) < estimate.takes(1, 2)


def test_a_slow_carrier_takes_longer(settings: Settings) -> None:
    settings.CARRIER_RATE = 0.1
    assert estimate.takes(2_000, 0) > timedelta(seconds=100)


def test_a_carrier_that_dials_slowly_takes_longer() -> None:
    assert estimate.takes(2_000, 0, cps=2.0) == timedelta(seconds=1_000 + estimate.TYPICAL_CALL)
    assert estimate.takes(2_000, 0, cps=5_000.0) == estimate.takes(2_000, 0)


def test_it_goes_on_at_its_own_pace() -> None:
    assert estimate.expected_end(group(open=75), NOON + MINUTE) == NOON + 4 * MINUTE


@pytest.mark.parametrize("steered", ["state_at", "override_at"])
def test_what_it_waited_for_is_not_its_pace(steered: str) -> None:
    late = NOON + timedelta(hours=9)
    waited = group(open=75, held=70, **{steered: late - MINUTE})
    assert estimate.expected_end(waited, late) == late + estimate.takes(75, 0)
    handed_over = group(open=75, held=0, **{steered: late - MINUTE})
    assert estimate.expected_end(handed_over, late) == late + timedelta(hours=27)


def test_before_it_begins_the_usual_time_counts() -> None:
    usual = estimate.takes(100, 0)
    assert estimate.expected_end(group(), NOON - MINUTE) == NOON + usual
    assert estimate.expected_end(group(), NOON + timedelta(seconds=1)) == NOON + usual


def test_it_never_ends_in_the_past() -> None:
    late = NOON + timedelta(hours=3)
    assert estimate.expected_end(group(), late) == late


def test_where_the_carrier_waits_the_scheduled_time_counts() -> None:
    at = NOON + timedelta(hours=5)
    waiting = group(waits=Waits.CARRIER, schedule_time=at)
    assert estimate.expected_end(waiting, NOON + MINUTE) == at + estimate.takes(100, 0)
    waiting.open = 75
    assert estimate.expected_end(waiting, at + MINUTE) == at + 4 * MINUTE


@pytest.mark.parametrize("columns", [{"ended_at": NOON}, {"total": 0, "open": 0}], ids=["ended", "not known"])
def test_nothing_tells(columns: dict[str, object]) -> None:
    assert estimate.expected_end(group(**columns), NOON) is None
