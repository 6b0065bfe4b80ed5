"""Words of carriers, and which status may follow which."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.obd import statuses
from calls.obd.statuses import AT_CARRIER, FINAL, NOT_REACHED, OPEN, REACHED, Status, advance, from_word

STATUS = st.sampled_from(Status)
REPORT = st.none() | STATUS


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("COMPLETED", Status.COMPLETED),
        ("ANSWER", Status.COMPLETED),
        ("ANSWERED", Status.COMPLETED),
        ("BUSY", Status.BUSY),
        ("NOANSWER", Status.NOANSWER),
        ("NO ANSWER", Status.NOANSWER),
        ("no-answer", Status.NOANSWER),
        ("NOANSWER_LEG1", Status.NOANSWER),
        ("NoAnswer Leg2", Status.NOANSWER),
        ("FAILED", Status.FAILED),
        ("FAILED_LEG1", Status.FAILED),
        ("FAILED_LEG2", Status.FAILED),
        ("NOROUTE", Status.FAILED),
        ("CANCEL", Status.CANCELLED),
        ("Canceled", Status.CANCELLED),
        ("CANCELLED", Status.CANCELLED),
        ("CONGESTION", Status.CONGESTION),
        ("CHANUNAVAIL", Status.CONGESTION),
        ("DND", Status.DND),
        ("NOTALLOWED", Status.REJECTED),
        ("BLOCKED", Status.REJECTED),
        ("MAX-USE", Status.REJECTED),
        ("max_use", Status.REJECTED),
        ("REJECTED", Status.REJECTED),
        ("INVALID", Status.REJECTED),
        ("EXPIRED", Status.EXPIRED),
        ("INPROGRESS", Status.INPROGRESS),
        (" in progress\n", Status.INPROGRESS),
        ("QUEUED", Status.QUEUED),
        ("SCHEDULED", Status.QUEUED),
        ("HELD", Status.QUEUED),
        ("SENDING", Status.QUEUED),
        ("CAPPED", Status.CANCELLED),
    ],
)
def test_words_of_the_field(word: str, status: Status) -> None:
    assert from_word(word) is status


@pytest.mark.parametrize("word", ["", "RINGING ROUND", "UNCONFIRMED", "DUPLICATE", "200", "A" * 100_000])
def test_unknown_words_stay_unknown(word: str) -> None:
    assert from_word(word) is None


def test_final_and_open_are_all_statuses() -> None:
    assert set(Status) == FINAL | OPEN
    assert {"HELD", "SENDING", "UNCONFIRMED", "QUEUED", "INPROGRESS"} == OPEN
    assert AT_CARRIER < OPEN
    assert REACHED | NOT_REACHED < FINAL
    assert not REACHED & NOT_REACHED


@pytest.mark.parametrize("status", list(Status))
def test_every_status_has_words_for_people(status: Status) -> None:
    assert status.label
    assert status.meaning.endswith(".")
    assert getattr(statuses, status.value) is status
    assert status.is_final == (status in FINAL)


@given(st.sampled_from(sorted(FINAL)), REPORT)
def test_a_final_status_never_changes(old: Status, new: Status | None) -> None:
    assert advance(old, new) is old


@given(STATUS)
def test_an_unknown_word_changes_nothing(old: Status) -> None:
    assert advance(old, None) is old


@given(STATUS, REPORT)
def test_what_only_the_hand_over_sets(old: Status, new: Status | None) -> None:
    after = advance(old, new)
    assert after in {old, new}
    if after is not old:
        assert after is not Status.HELD or old is Status.SENDING
        assert after is not Status.SENDING or old is Status.HELD
        assert after is not Status.UNCONFIRMED or old is Status.SENDING


@given(st.lists(REPORT))
def test_any_order_of_reports_ends_with_the_first_final_one(reports: list[Status | None]) -> None:
    call = Status.QUEUED
    for report in reports:
        call = advance(call, report)
    finals = [report for report in reports if report in FINAL]
    assert call == finals[0] if finals else call not in FINAL


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (Status.HELD, Status.SENDING),
        (Status.SENDING, Status.HELD),
        (Status.SENDING, Status.QUEUED),
        (Status.SENDING, Status.UNCONFIRMED),
        (Status.UNCONFIRMED, Status.QUEUED),
        (Status.UNCONFIRMED, Status.COMPLETED),
        (Status.HELD, Status.CANCELLED),
        (Status.HELD, Status.COMPLETED),
        (Status.QUEUED, Status.INPROGRESS),
        (Status.INPROGRESS, Status.QUEUED),
        (Status.INPROGRESS, Status.BUSY),
    ],
)
def test_ways_forward(old: Status, new: Status) -> None:
    assert advance(old, new) is new
