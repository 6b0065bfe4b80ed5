"""The sandbox's pretend network, as a pure function of number, attempt and time (DESIGN.md, "The sandbox")."""

from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from calls.carriers import get_carrier
from calls.carriers.base import AskedCall, Carrier, Order, OrderedCall, Question, Refused, Report
from calls.carriers.sandbox import RETRY_GAP, SandboxCarrier, attempt, pressed, report
from calls.obd.statuses import Status, advance, from_word
from tests.factories import number

SENT = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
ENDS = {
    **dict.fromkeys("012345", Status.COMPLETED),
    "6": Status.NOANSWER,
    "7": Status.BUSY,
    "8": Status.CONGESTION,
    "9": Status.FAILED,
}
LATER = timedelta(hours=1)

numbers = st.integers(0, 13_999).map(number)
retries = st.integers(0, 2)
speeds = st.sampled_from([0.5, 1.0, 10.0, 1000.0])
spans = st.floats(0, 300).map(lambda seconds: timedelta(seconds=seconds))


def asked(called: str, **options: object) -> tuple[AskedCall, Question]:
    call = AskedCall("12-1", called, "12-1")
    return call, Question(calls=[call], sent_at=SENT, **options)  # type: ignore[arg-type]


def seen(called: str, after: timedelta, speed: float = 1.0, **options: object) -> Report:
    """The report of a call so long after it was handed over."""
    return report(*asked(called, **options), SENT + after, speed)


@pytest.mark.parametrize(("digit", "status"), ENDS.items())
@given(i=st.integers(0, 1_399))
def test_last_digit_decides(digit: str, status: Status, i: int) -> None:
    assert seen(number(i * 10 + int(digit)), LATER).word == status


@given(i=st.integers(0, 1_399), retries=st.integers(1, 2))
def test_congestion_is_over_when_the_call_is_tried_again(i: int, retries: int) -> None:
    ended = seen(number(i * 10 + 8), LATER, retries=retries)
    assert (ended.word, ended.retries) == (Status.COMPLETED, 1)
    assert ended.duration


@given(called=numbers, retries=retries)
def test_attempts_used(called: str, retries: int) -> None:
    used = {"6": retries, "7": retries, "8": min(retries, 1), "9": retries}.get(called[-1], 0)
    assert seen(called, LATER, retries=retries).retries == used


@given(called=numbers, tried=retries)
def test_ringing_takes_2_to_8_seconds_and_talking_5_to_40(called: str, tried: int) -> None:
    this = attempt(called, tried)
    assert 2 <= this.rings <= 8
    assert (5 <= this.talks <= 40) if this.ends is Status.COMPLETED else this.talks == 0
    assert this == attempt(called, tried)


def test_heard_seconds_and_ringing_vary() -> None:
    attempts = [attempt(number(i * 10), 0) for i in range(100)]
    assert len({this.talks for this in attempts}) > 90
    assert len({this.rings for this in attempts}) > 90


@given(called=numbers, retries=retries, speed=speeds, first=spans, more=spans)
def test_statuses_never_go_backwards(
    called: str, retries: int, speed: float, first: timedelta, more: timedelta
) -> None:
    before, after = (seen(called, span, speed, retries=retries) for span in (first, first + more))
    old, new = from_word(before.word), from_word(after.word)
    assert old is not None
    assert new is not None
    assert advance(old, new) is new
    if old.is_final:
        assert before == after
    assert (before.retries or 0) <= (after.retries or 0)


@given(called=numbers, retries=retries, at=spans)
def test_speed_divides_every_time(called: str, retries: int, at: timedelta) -> None:
    slow, fast = seen(called, at, 1, retries=retries), seen(called, at / 10, 10, retries=retries)
    # Not in the microsecond in which one of them has just ended.
    assert slow.word == fast.word or seen(called, at + timedelta(microseconds=100), retries=retries).word == fast.word


@given(called=numbers, retries=retries, speed=speeds)
def test_every_call_ends_in_time(called: str, retries: int, speed: float) -> None:
    longest = (3 * 8 + 40 + 2 * RETRY_GAP) / speed
    ended = seen(called, timedelta(seconds=longest), speed, retries=retries)
    status = from_word(ended.word)
    assert status is not None
    assert status.is_final
    assert ended.ended_at is not None
    assert SENT < ended.ended_at <= SENT + timedelta(seconds=longest)


@given(called=numbers, speed=speeds)
def test_times_of_an_answered_call_agree(called: str, speed: float) -> None:
    ended = seen(called, LATER, speed)
    if ended.word != Status.COMPLETED:
        assert ended.answered_at is None
        assert ended.duration == 0
        return
    assert ended.answered_at is not None
    assert ended.ended_at is not None
    assert ended.duration is not None
    assert SENT < ended.answered_at < ended.ended_at
    talked = (ended.ended_at - ended.answered_at).total_seconds()
    assert abs(ended.duration - talked) <= 1


def test_course_of_an_answered_call() -> None:
    called = number(0)
    this = attempt(called, 0)
    assert seen(called, timedelta(seconds=this.rings - 0.1)).word == Status.INPROGRESS
    assert seen(called, timedelta(seconds=this.rings - 0.1)).answered_at is None
    talking = seen(called, timedelta(seconds=this.rings + 0.1))
    assert (talking.word, talking.answered_at) == (Status.INPROGRESS, SENT + timedelta(seconds=this.rings))
    assert seen(called, timedelta(seconds=this.rings + this.talks - 0.1)).word == Status.INPROGRESS
    assert seen(called, timedelta(seconds=this.rings + this.talks + 0.1)).word == Status.COMPLETED


def test_between_attempts_a_call_is_queued() -> None:
    called = number(7)
    rings = attempt(called, 0).rings
    waiting = seen(called, timedelta(seconds=rings + RETRY_GAP / 2), retries=1)
    assert (waiting.word, waiting.retries) == (Status.QUEUED, 0)
    again = seen(called, timedelta(seconds=rings + RETRY_GAP + 0.1), retries=1)
    assert (again.word, again.retries) == (Status.INPROGRESS, 1)


@given(called=numbers, delay=st.integers(1, 900), speed=speeds)
def test_delay_is_waited_for_at_any_speed(called: str, delay: int, speed: float) -> None:
    assert seen(called, timedelta(seconds=delay - 0.5), speed, delay=delay).word == Status.QUEUED
    undelayed, delayed = seen(called, LATER, speed), seen(called, LATER, speed, delay=delay)
    assert undelayed.ended_at is not None
    assert delayed.ended_at == undelayed.ended_at + timedelta(seconds=delay)


@given(called=numbers)
def test_schedule_is_waited_for(called: str) -> None:
    at = SENT + timedelta(minutes=20)
    assert seen(called, timedelta(minutes=20, seconds=-1), schedule_time=at).word == Status.QUEUED
    assert seen(called, timedelta(minutes=20, seconds=1), schedule_time=at).word == Status.INPROGRESS


def test_keys_are_pressed_now_and_then_and_only_in_an_ivr() -> None:
    called = [number(i * 10) for i in range(1_000)]
    keys = [seen(each, LATER, play="1.ivr").digits for each in called]
    assert set(keys) == {"", "1", "2", "3", "9"}
    assert 200 < sum(map(bool, keys)) < 400
    assert keys == [pressed(each, 0) for each in called]
    assert not any(seen(each, LATER, play="1.sound").digits for each in called)


# --- The carrier -------------------------------------------------------------------------------------------------


def order(count: int = 2, **changes: object) -> Order:
    calls = [OrderedCall(f"12-{i + 1}", number(i)) for i in range(count)]
    return Order(calls=calls, **{"play": "1.sound"} | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 200])
def test_order_is_taken_with_an_id_for_each_call(count: int) -> None:
    accepted = SandboxCarrier().place(order(count))
    assert accepted.ids == {f"12-{i + 1}": f"12-{i + 1}" for i in range(count)}
    assert not accepted.refused


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (order(0), "There are no numbers to call."),
        (order(201), "There are 201 numbers; at most 200 go into one request."),
        (order(play=""), "There is nothing to play."),
        (order(0, group="Members"), "The sandbox holds no contact groups, so there is no group “Members”."),
    ],
)
def test_wrong_orders_are_refused(wrong: Order, said: str) -> None:
    with pytest.raises(Refused) as caught:
        SandboxCarrier().place(wrong)
    assert str(caught.value) == said


def test_a_message_is_enough_to_play() -> None:
    assert SandboxCarrier().place(order(play="", message="Hello")).ids


def test_reports_are_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = [AskedCall("12-1", number(0), "12-1"), AskedCall("12-2", number(9), "12-2")]
    question = Question(calls=calls, sent_at=SENT)
    monkeypatch.setattr(timezone, "now", lambda: SENT)
    assert [found.word for found in SandboxCarrier().reports(question, nullcontext)] == ["INPROGRESS", "INPROGRESS"]
    monkeypatch.setattr(timezone, "now", lambda: SENT + LATER)
    found = list(SandboxCarrier().reports(question, nullcontext))
    assert [(each.obd_id, each.number, each.word) for each in found] == [
        ("12-1", number(0), "COMPLETED"),
        ("12-2", number(9), "FAILED"),
    ]


def test_settings_make_the_carrier(settings: Settings) -> None:
    get_carrier.cache_clear()
    settings.SANDBOX_SPEED = 7.5
    carrier: Carrier = get_carrier("sandbox")
    assert carrier == SandboxCarrier(speed=7.5)
    assert carrier.name == "sandbox"
    get_carrier.cache_clear()
