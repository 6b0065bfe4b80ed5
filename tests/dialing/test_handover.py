"""Hand-over: each batch is claimed by one, sent once, and ends in the state that the carrier's answer means."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone
from pytest_django import Settings

from calls.carriers.base import Accepted, NotTaken, Order, Refused, Stopped, Unconfirmed
from calls.dialing import handover, pacing, progress, rules, steer
from calls.dialing.checked import records
from calls.dialing.pacing import turn
from calls.dialing.situation import Situation, situations
from calls.models import (
    Batch,
    BatchState,
    Call,
    CallGroup,
    CarrierRequest,
    CarrierState,
    GroupState,
    RequestKind,
    Suppression,
    User,
    Waits,
)
from calls.obd.statuses import Status
from tests.dialing.helpers import Carrier, at_the_same_moment, batch, call, freeze, jobs, statuses, use
from tests.factories import make_call_group, make_group, make_user, number

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)


@pytest.fixture
def operator() -> User:
    return make_user()


@pytest.fixture
def carrier(monkeypatch: pytest.MonkeyPatch) -> Carrier:
    told = Carrier()
    use(told, monkeypatch)
    return told


def in_batches_of(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calls.dialing.start.MAX_CALLS", size)


def states(group: CallGroup) -> list[str]:
    return list(group.batches.order_by("first").values_list("state", flat=True))


def situation(group: CallGroup) -> Situation:
    group.refresh_from_db()
    return situations([group], timezone.now())[0]


def health() -> CarrierState:
    return CarrierState.objects.get(name="sandbox")


# --- Claiming -----------------------------------------------------------------------------------------------------


def test_a_claimed_batch_is_sending_and_nobody_else_gets_it(operator: User) -> None:
    group = make_call_group(operator, 2)
    claimed = handover.claim(group.pk, 3)
    assert claimed
    sent, order = claimed
    assert [(each.obd_id, each.number) for each in order.calls] == [
        (f"{group.pk}-1", number(0)),
        (f"{group.pk}-2", number(1)),
    ]
    assert (sent.state, sent.lane, sent.attempts, bool(sent.sent_at)) == (BatchState.SENDING, 3, 1, True)
    assert statuses(group) == ["SENDING", "SENDING"]
    assert call(group).handed_over_at == sent.sent_at
    assert handover.claim(group.pk, 0) is None
    assert handover.claim(group.pk, 3) is None


@pytest.mark.django_db(transaction=True)
def test_claims_at_the_same_moment_never_share_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    in_batches_of(2, monkeypatch)
    group = make_call_group(make_user(), 8)

    def claim() -> list[str]:
        claimed = handover.claim(group.pk, 0)
        return [each.number for each in claimed[1].calls] if claimed else []

    found = at_the_same_moment(*[claim] * 6)
    numbers = [each for claimed in found for each in claimed]
    assert sorted(numbers) == [number(i) for i in range(8)]
    assert sorted(map(len, found)) == [0, 0, 2, 2, 2, 2]


@pytest.mark.django_db(transaction=True)
def test_cancelling_at_the_same_moment_takes_a_batch_or_leaves_it(monkeypatch: pytest.MonkeyPatch) -> None:
    in_batches_of(1, monkeypatch)
    user = make_user()
    group = make_call_group(user, 4)
    acts: list[Callable[[], object]] = [lambda: steer.cancel(group.pk, user)]
    acts += [lambda: handover.claim(group.pk, 0)] * 3
    at_the_same_moment(*acts)
    assert set(statuses(group)) <= {"SENDING", "CANCELLED"}
    for one in group.batches.all():
        assert (one.state, call(group, one.first).status) in [("sending", "SENDING"), ("cancelled", "CANCELLED")]
    group.refresh_from_db()
    assert group.held == 0


def test_the_oldest_due_batch_goes_first(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    in_batches_of(1, monkeypatch)
    group = make_call_group(operator, 3)
    group.batches.filter(first=1).update(due_at=timezone.now() - timedelta(minutes=1))
    group.batches.filter(first=3).update(due_at=timezone.now() - timedelta(minutes=2))
    found = [handover.claim(group.pk, 0) for _ in range(3)]
    assert [claimed[0].first for claimed in found if claimed] == [3, 1, 2]


@pytest.mark.parametrize("act", [steer.pause, steer.cancel])
def test_paused_and_cancelled_groups_are_not_claimed(
    operator: User, carrier: Carrier, act: Callable[[int, User], None]
) -> None:
    group = make_call_group(operator, 1)
    act(group.pk, operator)
    assert handover.claim(group.pk, 0) is None
    assert handover.hand_over(group.pk, 0) is None
    assert carrier.orders == []


def test_what_is_not_due_is_not_claimed(operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch) -> None:
    freeze(monkeypatch, NOON)
    group = make_call_group(operator, 1, delay=60)
    assert handover.claim(group.pk, 0) is None
    assert handover.hand_over(group.pk, 0) == NOON + timedelta(seconds=60)
    assert carrier.orders == []
    freeze(monkeypatch, NOON + timedelta(seconds=60))
    assert handover.hand_over(group.pk, 0) is None
    assert carrier.numbers == [number(0)]


# --- Suppressed at the last moment --------------------------------------------------------------------------------


def test_a_number_suppressed_since_the_start_is_not_handed_over(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 3)
    Suppression.objects.create(number=number(1), reason="Just wrote to us.")
    handover.hand_over(group.pk, 0)
    assert carrier.numbers == [number(0), number(2)]
    assert statuses(group) == ["QUEUED", "DND", "QUEUED"]
    dropped = call(group, 2)
    assert dropped.ended_at
    assert dropped.handed_over_at is None
    assert dropped.timeline[-1][1:3] == ["DND", "portal"]
    assert "suppression" in dropped.timeline[-1][4]


def test_what_never_left_the_portal_is_not_handed_over(operator: User, carrier: Carrier) -> None:
    """Suppressed at the last moment, cancelled while held, cancelled after nobody knew; one went out."""
    group = make_call_group(operator, 2)
    suppressed = Suppression.objects.create(number=number(1), reason="Just wrote to us.")
    handover.hand_over(group.pk, 0)
    assert situation(group).handed_over == 1
    # The carrier's word for a call that it had.
    Call.objects.filter(call_group=group, n=1).update(status=Status.CANCELLED)
    assert situation(group).handed_over == 1

    suppressed.delete()
    held, unknown = make_call_group(operator, 2), make_call_group(operator, 2)
    assert situation(held).handed_over == 0
    steer.cancel(held.pk, operator)
    assert situation(held).handed_over == 0
    carrier.answer = Unconfirmed("Timed out.")
    handover.hand_over(unknown.pk, 0)
    assert situation(unknown).handed_over == 2
    steer.cancel(unknown.pk, operator)
    steer.settle(batch(unknown).pk, operator, placed=False)
    assert situation(unknown).handed_over == 0


def test_a_batch_that_is_suppressed_whole_is_not_sent(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_batches_of(1, monkeypatch)
    group = make_call_group(operator, 2)
    Suppression.objects.create(number=number(0), reason="Just wrote to us.")
    assert handover.hand_over(group.pk, 0) is None
    assert carrier.numbers == [number(1)]
    assert states(group) == ["cancelled", "accepted"]
    assert statuses(group) == ["DND", "QUEUED"]
    (record,) = records([call(group)])
    assert record.last, "What was checked then is why it was not sent."
    assert record.last.at == call(group).ended_at


def test_what_was_checked_after_a_call_had_ended_did_not_concern_it(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    freeze(monkeypatch, NOON)
    group = make_call_group(operator, 3)
    Suppression.objects.create(number=number(1), reason="Just wrote to us.")
    carrier.answer = NotTaken("Connection refused.")
    handover.hand_over(group.pk, 0)
    freeze(monkeypatch, NOON + timedelta(minutes=1))
    carrier.answer = Accepted()
    handover.hand_over(group.pk, 0)
    # The carrier's clock is behind.
    Call.objects.filter(call_group=group, n=3).update(status=Status.COMPLETED, ended_at=NOON)
    found = records(group.calls.select_related("call_group").order_by("n"))
    assert [len(record.checks) for record in found] == [2, 1, 2]


def test_a_group_that_is_suppressed_whole_has_ended(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 1)
    Suppression.objects.create(number=number(0), reason="Just wrote to us.")
    assert handover.hand_over(group.pk, 0) is None
    group.refresh_from_db()
    assert group.ended_at
    assert carrier.orders == []


# --- What is ordered ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("waits", Waits)
def test_schedule_and_delay_are_given_on_only_where_the_carrier_waits(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch, waits: Waits
) -> None:
    freeze(monkeypatch, NOON)
    at = NOON + timedelta(hours=1)
    group = make_call_group(operator, 1, schedule_time=at, delay=30, waits=waits)
    freeze(monkeypatch, group.due_at)
    handover.hand_over(group.pk, 0)
    (order,) = carrier.orders
    asked = at + timedelta(seconds=30) if waits == Waits.CARRIER else None
    assert (order.schedule_time, order.delay) == (asked, 0)


def test_a_schedule_that_is_past_is_not_given_on(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    freeze(monkeypatch, NOON)
    at = NOON + timedelta(hours=1)
    group = make_call_group(operator, 1, schedule_time=at, delay=30, waits=Waits.CARRIER)
    freeze(monkeypatch, NOON + timedelta(hours=2))
    handover.hand_over(group.pk, 0)
    (order,) = carrier.orders
    assert (order.schedule_time, order.delay) == (None, 0)


def demanding(order: Order) -> Accepted:
    """A carrier is told times from 15 minutes ahead (OBD-API.md, `scheduletime`)."""
    if order.schedule_time and order.schedule_time < timezone.now() + timedelta(minutes=15):
        raise Refused("The carrier refused the request (400): scheduletime")
    return Accepted()


@pytest.mark.parametrize("delay", [0, 90])
def test_where_the_schedule_is_too_near_for_the_carrier_the_portal_waits(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch, delay: int
) -> None:
    in_batches_of(1, monkeypatch)
    freeze(monkeypatch, NOON)
    rings = NOON + timedelta(minutes=18)
    at = rings - timedelta(seconds=delay)
    group = make_call_group(operator, 3, schedule_time=at, delay=delay, waits=Waits.CARRIER)
    carrier.answer = demanding
    claimed = handover.claim(group.pk, 0)
    assert claimed
    assert claimed[1].schedule_time == rings
    handover.settle_accepted(claimed[0], Accepted())
    # The others come up late, and once more after a pause.
    for minute in (2, 5):
        freeze(monkeypatch, NOON + timedelta(minutes=minute))
        assert handover.hand_over(group.pk, 0) == rings
        steer.pause(group.pk, operator)
        steer.resume(group.pk, operator)
    assert (carrier.orders, statuses(group)) == ([], ["QUEUED", "HELD", "HELD"])
    freeze(monkeypatch, rings)
    handover.hand_over(group.pk, 0)
    assert [(order.schedule_time, order.delay) for order in carrier.orders] == [(None, 0)] * 2
    assert statuses(group) == ["QUEUED"] * 3
    group.batches.update(check_at=rings)
    progress.follow(group.pk)
    assert [(asked.schedule_time, asked.delay) for asked in carrier.questions] == [(rings, 0), (None, 0), (None, 0)]


@pytest.mark.parametrize("minutes", [-60, -16, -1, 0, 1, 60])
@pytest.mark.parametrize("scheduled", [True, False])
def test_the_cap_counts_rings_when_the_carrier_makes_them(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch, minutes: int, scheduled: bool
) -> None:
    """Sent so many minutes after the scheduled time; the database says the same of it as the hand-over."""
    freeze(monkeypatch, NOON)
    sent_at = NOON + timedelta(minutes=minutes)
    group = make_call_group(operator, 1, schedule_time=NOON if scheduled else None, delay=120, waits=Waits.CARRIER)
    group.calls.update(status=Status.QUEUED, handed_over_at=sent_at, rings=1)
    rings, second = rules.rings_at(group, sent_at), timedelta(seconds=1)
    checks = rules.Rules.of("promotional", NOON, 0, carrier)
    for begins, found in ((rings - second, {}), (rings, {number(0): 1}), (rings + second, {})):
        monkeypatch.setattr(rules.Rules, "day", lambda self, place, begins=begins: (begins, begins + second))
        assert checks.rings([number(0)], "") == found


def test_every_option_but_the_callback_is_given_on(operator: User, carrier: Carrier) -> None:
    group = make_call_group(
        operator, 1, play="", message="Hello.", retries=2, campaign="Autumn", newgroup=False, meta={"a": 1},
        callback="https://example.com/",
    )  # fmt: skip
    handover.hand_over(group.pk, 0)
    (order,) = carrier.orders
    assert (order.play, order.message, order.retries, order.campaign) == ("", "Hello.", 2, "Autumn")
    assert (order.newgroup, order.meta) == (False, {"a": 1})
    assert order.callback == "", "the portal itself requests it"
    assert (order.group, order.custom) == ("", "")


def test_a_group_that_the_carrier_holds_is_ordered_by_its_name(operator: User, carrier: Carrier) -> None:
    contacts = make_group(carrier_group="vip")
    group = make_call_group(operator, 0, contact_groups=(contacts.pk,), carrier_group="vip", custom="autumn")
    assert handover.hand_over(group.pk, 0) is None
    (order,) = carrier.orders
    assert (list(order.calls), order.group, order.custom) == ([], "vip", "autumn")
    assert states(group) == ["accepted"]


# --- How the carrier answers --------------------------------------------------------------------------------------


def test_accepted(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 3)
    first, second, third = (f"{group.pk}-{n}" for n in (1, 2, 3))
    carrier.answer = Accepted("G7", {first: "c1", second: "c2"}, {third: "DND"}, "OK")
    assert handover.hand_over(group.pk, 0) is None
    sent = batch(group)
    assert (sent.state, sent.carrier_group, sent.answer) == (BatchState.ACCEPTED, "G7", "OK")
    assert sent.check_at
    assert statuses(group) == ["QUEUED", "QUEUED", "DND"]
    assert list(group.calls.order_by("n").values_list("carrier_id", "word")) == [("c1", ""), ("c2", ""), ("", "DND")]
    assert [each.ended_at is not None for each in group.calls.order_by("n")] == [False, False, True]
    assert health().answered_at
    assert health().failure == ""


@pytest.mark.parametrize(
    ("word", "status"),
    [("DND", "DND"), ("INVALID", "REJECTED"), ("DUPLICATE", "REJECTED"), ("Sunspots", "REJECTED"), ("BUSY", "BUSY")],
)
def test_a_call_that_the_carrier_lists_as_not_placed(operator: User, carrier: Carrier, word: str, status: str) -> None:
    group = make_call_group(operator, 1)
    carrier.answer = Accepted(refused={f"{group.pk}-1": word})
    handover.hand_over(group.pk, 0)
    assert (call(group).status, call(group).word) == (status, word)


def test_accepted_without_ids(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 2)
    handover.hand_over(group.pk, 0)
    assert states(group) == ["accepted"]
    assert statuses(group) == ["QUEUED", "QUEUED"]


def test_refused(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 2)
    carrier.answer = Refused("The carrier refused the request (400): no such sound.")
    assert handover.hand_over(group.pk, 0) is None
    assert states(group) == ["rejected"]
    assert statuses(group) == ["REJECTED", "REJECTED"]
    assert "no such sound" in call(group).timeline[-1][4]
    group.refresh_from_db()
    assert group.ended_at
    assert (health().failure, bool(health().answered_at)) == ("", True)  # it answered


def test_a_refusal_pauses_the_rest_of_the_call_group(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was wrong with one request is wrong with the next ones: a person can mend it, and 500 batches can't."""
    in_batches_of(1, monkeypatch)
    group = make_call_group(operator, 3)
    carrier.answer = Refused("The carrier refused the request (400): no such sound.")
    assert handover.hand_over(group.pk, 0) is None
    group.refresh_from_db()
    assert (group.state, group.state_by, statuses(group)) == (GroupState.PAUSED, None, ["REJECTED", "HELD", "HELD"])
    assert "no such sound" in group.state_reason
    carrier.answer = Accepted()
    steer.resume(group.pk, operator)
    handover.hand_over(group.pk, 0)
    assert statuses(group) == ["REJECTED", "QUEUED", "QUEUED"]


def test_a_refused_group_of_the_carriers_own_has_ended(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 0, carrier_group="vip")
    carrier.answer = Refused("No such group.")
    handover.hand_over(group.pk, 0)
    group.refresh_from_db()
    assert (group.ended_at is not None, group.total) == (True, 0)


def test_unconfirmed_is_never_sent_again_by_itself(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 2)
    carrier.answer = Unconfirmed("The carrier answered 502.")
    assert handover.hand_over(group.pk, 0) is None
    assert states(group) == ["unconfirmed"]
    assert statuses(group) == ["UNCONFIRMED", "UNCONFIRMED"]
    assert batch(group).check_at
    carrier.answer = Accepted()
    for lane in (0, 1):
        assert handover.hand_over(group.pk, lane) is None
    assert carrier.numbers == [number(0), number(1)]
    assert "502" in health().failure


@pytest.mark.parametrize("error", [RuntimeError("a bug"), OperationalError("connection lost"), TimeoutError()])
def test_whatever_breaks_while_sending_leaves_it_unconfirmed(
    operator: User, carrier: Carrier, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    group = make_call_group(operator, 1)
    carrier.answer = error
    assert handover.hand_over(group.pk, 0) is None
    assert states(group) == ["unconfirmed"]
    assert statuses(group) == ["UNCONFIRMED"]
    assert "sending broke" in caplog.text


def test_not_taken_goes_out_again_after_growing_gaps(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = NOON
    freeze(monkeypatch, moment)
    group = make_call_group(operator, 1)
    carrier.answer = NotTaken("Connection refused.")
    gaps = []
    for _ in range(9):
        due = handover.hand_over(group.pk, 0)
        assert due
        assert (states(group), statuses(group)) == (["pending"], ["HELD"])
        assert (call(group).handed_over_at, batch(group).sent_at) == (None, None)
        gaps.append((due - moment).total_seconds())
        moment = due
        freeze(monkeypatch, moment)
    assert gaps == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    carrier.answer = Accepted()
    assert handover.hand_over(group.pk, 0) is None
    assert (states(group), statuses(group)) == (["accepted"], ["QUEUED"])
    assert batch(group).attempts == 10


def test_an_outage_of_weeks_is_borne(operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch) -> None:
    freeze(monkeypatch, NOON)
    group = make_call_group(operator, 1)
    Batch.objects.update(attempts=20_000)
    carrier.answer = NotTaken("Connection refused.")
    assert handover.hand_over(group.pk, 0) == NOON + timedelta(seconds=handover.LONGEST_GAP)


def test_stopped_pauses_the_group_with_the_reason(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 1)
    carrier.answer = Stopped("The carrier refuses our key.")
    assert handover.hand_over(group.pk, 0) is None
    group.refresh_from_db()
    assert (group.state, group.state_reason, group.state_by) == (
        GroupState.PAUSED, "The carrier refuses our key.", None,
    )  # fmt: skip
    assert (states(group), statuses(group)) == (["pending"], ["HELD"])
    carrier.answer = Accepted()
    steer.resume(group.pk, operator)
    Batch.objects.update(due_at=timezone.now())
    assert handover.hand_over(group.pk, 0) is None
    assert statuses(group) == ["QUEUED"]


def test_stopped_sends_no_further_batch(operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch) -> None:
    in_batches_of(1, monkeypatch)
    group = make_call_group(operator, 5)
    carrier.answer = Stopped("No credit.")
    handover.hand_over(group.pk, 0)
    assert len(carrier.orders) == 1


def test_what_was_cancelled_while_it_was_sent_is_not_held_again(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 2)

    def cancelled_meanwhile(order: Order) -> Accepted:
        steer.cancel(group.pk, operator)
        raise NotTaken("Connection refused.")

    carrier.answer = cancelled_meanwhile
    assert handover.hand_over(group.pk, 0) is None
    assert (states(group), statuses(group)) == (["cancelled"], ["CANCELLED", "CANCELLED"])
    group.refresh_from_db()
    assert (group.held, group.open, group.ended_at is not None) == (0, 0, True)


def test_a_group_of_the_carriers_own_cancelled_while_it_was_sent_has_ended(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 0, carrier_group="vip")

    def cancelled_meanwhile(order: Order) -> Accepted:
        steer.cancel(group.pk, operator)
        raise NotTaken("Connection refused.")

    carrier.answer = cancelled_meanwhile
    handover.hand_over(group.pk, 0)
    group.refresh_from_db()
    assert group.ended_at


# --- Workers that die, and answers that come late -----------------------------------------------------------------


def test_what_a_dead_worker_was_sending_is_unconfirmed(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 1)
    assert handover.claim(group.pk, 2)
    assert handover.hand_over(group.pk, 0) is None
    assert states(group) == ["sending"], "Lane 2 may still be at it."
    assert handover.hand_over(group.pk, 2) is None
    assert (states(group), statuses(group)) == (["unconfirmed"], ["UNCONFIRMED"])
    assert carrier.orders == []


def test_a_late_answer_settles_an_unconfirmed_batch(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 2)
    claimed = handover.claim(group.pk, 0)
    assert claimed
    handover.settle_orphans(group.pk, 0)
    handover.settle_accepted(claimed[0], Accepted("G7", {f"{group.pk}-1": "c1"}))
    assert (states(group), statuses(group)) == (["accepted"], ["QUEUED", "QUEUED"])
    assert (batch(group).carrier_group, call(group).carrier_id) == ("G7", "c1")


def test_a_late_refusal_settles_an_unconfirmed_batch(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 1)
    claimed = handover.claim(group.pk, 0)
    assert claimed
    handover.settle_orphans(group.pk, 0)
    handover.settle_refused(claimed[0], "No.")
    assert (states(group), statuses(group)) == (["rejected"], ["REJECTED"])


def test_late_news_that_it_was_not_taken_settles_an_unconfirmed_batch(operator: User, carrier: Carrier) -> None:
    """Its worker was given up, but lived, and knows for certain."""
    group = make_call_group(operator, 1)
    claimed = handover.claim(group.pk, 0)
    assert claimed
    handover.settle_orphans(group.pk, 0)
    handover.release(claimed[0], "Connection refused.")
    assert (states(group), statuses(group)) == (["pending"], ["HELD"])
    assert (batch(group).check_at, batch(group).sent_at, call(group).handed_over_at) == (None, None, None)


@pytest.mark.parametrize(
    "late",
    [
        lambda old: handover.release(old, "Connection refused."),
        lambda old: handover.settle_unconfirmed(old, "Timed out."),
        lambda old: handover.settle_refused(old, "No."),
        lambda old: handover.settle_accepted(old, Accepted("old")),
    ],
    ids=["not taken", "unconfirmed", "refused", "accepted"],
)
def test_a_late_answer_leaves_a_newer_attempt_alone(
    operator: User, carrier: Carrier, late: Callable[[Batch], None]
) -> None:
    """A worker was given up, a person said that its batch was not placed, and another worker sends it just now."""
    group = make_call_group(operator, 1)
    first = handover.claim(group.pk, 0)
    assert first
    handover.settle_orphans(group.pk, 0)
    steer.settle(first[0].pk, operator, placed=False)
    second = handover.claim(group.pk, 1)
    assert second
    late(first[0])
    assert (states(group), statuses(group)) == (["sending"], ["SENDING"])
    handover.settle_accepted(second[0], Accepted("new"))
    assert (states(group), batch(group).carrier_group) == (["accepted"], "new")


def test_a_settled_batch_stays_settled(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 1)
    claimed = handover.claim(group.pk, 0)
    assert claimed
    handover.settle_accepted(claimed[0], Accepted("G7"))
    handover.settle_refused(claimed[0], "No.")
    handover.settle_unconfirmed(claimed[0], "Timed out.")
    handover.release(claimed[0], "Connection refused.")
    handover.settle_accepted(claimed[0], Accepted("G8"))
    assert (states(group), statuses(group), batch(group).carrier_group) == (["accepted"], ["QUEUED"], "G7")


# --- Workers that are held up between the claim and the request ---------------------------------------------------


def send_late(carrier: Carrier, claimed: tuple[Batch, Order]) -> None:
    """What a worker does that was suspended after its claim."""
    with turn(carrier, RequestKind.CALL) as mine:
        handover.send(mine, *claimed)


@pytest.mark.parametrize(("seconds", "calls"), [(60, 1), (61, 0)])
def test_who_was_held_up_calls_nobody(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch, seconds: int, calls: int
) -> None:
    """By then it may be night there, or the number on a suppression list."""
    freeze(monkeypatch, NOON)
    group = make_call_group(operator, 1)
    claimed = handover.claim(group.pk, 0)
    assert claimed
    freeze(monkeypatch, NOON + timedelta(seconds=seconds))
    send_late(carrier, claimed)
    assert len(carrier.orders) == calls
    if not calls:
        assert (states(group), statuses(group)) == (["pending"], ["HELD"])
        assert "held up" in batch(group).answer
        assert (call(group).handed_over_at, call(group).rings) == (None, 0)
        assert not CarrierRequest.objects.exists(), "It says nothing of the carrier."
        assert not health().failure


def test_who_was_held_up_until_others_took_over_calls_nobody(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 1)
    first = handover.claim(group.pk, 0)
    assert first
    handover.settle_orphans(group.pk, 0)
    steer.settle(batch(group).pk, operator, placed=False)
    second = handover.claim(group.pk, 0)
    assert second
    send_late(carrier, first)
    assert (carrier.orders, states(group)) == ([], ["sending"])
    send_late(carrier, second)
    assert (carrier.numbers, states(group)) == ([number(0)], ["accepted"])
    send_late(carrier, second)
    assert (carrier.numbers, states(group)) == ([number(0)], ["accepted"])


def test_who_was_held_up_until_its_connection_was_anothers_calls_nobody(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.CARRIER_CONNECTIONS = 1
    group = make_call_group(operator, 1)
    claimed = handover.claim(group.pk, 0)
    assert claimed
    with turn(carrier, RequestKind.CALL) as mine:
        monkeypatch.setattr(pacing, "PATIENCE", -1.0)
        mine.leased_until -= timedelta(seconds=1)
        handover.send(mine, *claimed)
    assert (carrier.orders, states(group)) == ([], ["pending"])


# --- Lanes and pace -----------------------------------------------------------------------------------------------


def test_one_lane_sends_all_batches_if_it_has_the_time(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_batches_of(2, monkeypatch)
    group = make_call_group(operator, 5)
    assert handover.hand_over(group.pk, 0) is None
    assert [[each.number for each in order.calls] for order in carrier.orders] == [
        [number(0), number(1)],
        [number(2), number(3)],
        [number(4)],
    ]


def test_a_lane_queues_again_behind_others(operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch) -> None:
    in_batches_of(1, monkeypatch)
    monkeypatch.setattr(handover, "LANE_SECONDS", -1.0)
    freeze(monkeypatch, NOON)
    group = make_call_group(operator, 3)
    assert handover.hand_over(group.pk, 0) == NOON
    assert carrier.orders == []


def test_pausing_while_a_lane_is_at_work_stops_it_after_the_batch(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_batches_of(1, monkeypatch)
    group = make_call_group(operator, 3)

    def paused_meanwhile(order: Order) -> Accepted:
        steer.pause(group.pk, operator)
        return Accepted()

    carrier.answer = paused_meanwhile
    assert handover.hand_over(group.pk, 0) is None
    assert statuses(group) == ["QUEUED", "HELD", "HELD"]
    carrier.answer = Accepted()
    steer.resume(group.pk, operator)
    assert len(jobs(group, "hand_over")) > 1
    assert handover.hand_over(group.pk, 0) is None
    assert carrier.numbers == [number(0), number(1), number(2)]
