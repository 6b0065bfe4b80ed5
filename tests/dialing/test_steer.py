"""Steering: pause and resume, cancel what is held, settle what is unconfirmed; what was handed over stays so."""

from collections.abc import Callable

import pytest
from auditlog.models import LogEntry

from calls.carriers.base import Accepted, Unconfirmed
from calls.dialing import handover, steer
from calls.models import BatchState, Call, CallGroup, GroupState, Suppression, User
from calls.obd.statuses import FINAL, Status
from tests.dialing.helpers import Carrier, at_the_same_moment, batch, call, jobs, statuses, use
from tests.factories import make_call_group, make_user, number

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> User:
    return make_user()


@pytest.fixture
def carrier(monkeypatch: pytest.MonkeyPatch) -> Carrier:
    told = Carrier()
    use(told, monkeypatch)
    monkeypatch.setattr("calls.dialing.start.MAX_CALLS", 2)
    return told


def one_batch_sent(user: User, calls: int = 4) -> CallGroup:
    """A call group whose first two calls are at the carrier."""
    group = make_call_group(user, calls)
    claimed = handover.claim(group.pk, 0)
    assert claimed
    handover.settle_accepted(claimed[0], Accepted())
    group.refresh_from_db()
    return group


def unconfirmed(user: User, carrier: Carrier, calls: int = 2) -> CallGroup:
    carrier.answer = Unconfirmed("Timed out.")
    group = make_call_group(user, calls)
    handover.hand_over(group.pk, 0)
    carrier.answer = Accepted()
    return group


def ended(group: CallGroup) -> bool:
    group.refresh_from_db()
    return group.ended_at is not None


# --- Pause and resume ---------------------------------------------------------------------------------------------


def test_pause_and_resume(operator: User, carrier: Carrier) -> None:
    group = one_batch_sent(operator)
    steer.pause(group.pk, operator, "The sound is wrong.")
    group.refresh_from_db()
    assert (group.state, group.state_by, group.state_reason) == (GroupState.PAUSED, operator, "The sound is wrong.")
    assert group.state_at
    assert statuses(group) == ["QUEUED", "QUEUED", "HELD", "HELD"]
    handover.hand_over(group.pk, 0)
    assert statuses(group) == ["QUEUED", "QUEUED", "HELD", "HELD"]

    steer.resume(group.pk, operator)
    group.refresh_from_db()
    assert (group.state, group.state_reason) == (GroupState.RUNNING, "")
    handover.hand_over(group.pk, 0)
    assert statuses(group) == ["QUEUED"] * 4
    assert carrier.numbers == [number(2), number(3)]


def test_resuming_gives_the_group_its_jobs_back(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 4)
    steer.pause(group.pk, operator)
    for job in jobs(group):
        job.__class__.objects.filter(pk=job.pk).update(status="succeeded")
    steer.resume(group.pk, operator)
    assert [job.task_name for job in jobs(group)] == ["calls.tasks.hand_over"] * 2 + ["calls.tasks.follow"]


def test_a_resumed_scheduled_group_still_waits_for_its_time(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 1, delay=600)
    steer.pause(group.pk, operator)
    steer.resume(group.pk, operator)
    assert handover.hand_over(group.pk, 0) == batch(group).due_at
    assert carrier.orders == []


def test_what_people_decide_is_in_the_audit_log(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 1)
    steer.pause(group.pk, operator)
    steer.resume(group.pk, operator)
    steer.cancel(group.pk, operator)
    logged = LogEntry.objects.get_for_object(group).order_by("pk")
    assert [entry.changes["state"] for entry in logged if "state" in entry.changes][-3:] == [
        ["running", "paused"],
        ["paused", "running"],
        ["running", "cancelled"],
    ]


@pytest.mark.parametrize(
    ("before", "act"),
    [
        ([steer.pause], steer.pause),
        ([], steer.resume),
        ([steer.cancel], steer.pause),
        ([steer.cancel], steer.resume),
        ([steer.cancel], steer.cancel),
    ],
)
def test_what_can_not_be_done_is_refused(
    operator: User,
    carrier: Carrier,
    before: list[Callable[[int, User], None]],
    act: Callable[[int, User], None],
) -> None:
    group = make_call_group(operator, 1)
    for each in before:
        each(group.pk, operator)
    with pytest.raises(steer.NotPossible):
        act(group.pk, operator)


@pytest.mark.parametrize("act", [steer.pause, steer.resume, steer.cancel])
def test_a_finished_group_is_left_alone(operator: User, carrier: Carrier, act: Callable[[int, User], None]) -> None:
    group = one_batch_sent(operator, 2)
    Call.objects.update(status=Status.COMPLETED)
    with pytest.raises(steer.NotPossible):
        act(group.pk, operator)


# --- Cancel -------------------------------------------------------------------------------------------------------


def test_cancel_takes_back_what_is_held_and_nothing_else(operator: User, carrier: Carrier) -> None:
    group = one_batch_sent(operator, 6)
    claimed = handover.claim(group.pk, 1)
    assert claimed
    steer.cancel(group.pk, operator)
    assert statuses(group) == ["QUEUED", "QUEUED", "SENDING", "SENDING", "CANCELLED", "CANCELLED"]
    assert [batch(group, n).state for n in (1, 3, 5)] == ["accepted", "sending", "cancelled"]
    assert not ended(group)
    assert (group.held, group.open) == (0, 4)
    # What was under way ends as the carrier says.
    handover.settle_accepted(claimed[0], Accepted())
    assert statuses(group)[2:4] == ["QUEUED", "QUEUED"]
    handover.hand_over(group.pk, 0)
    assert carrier.orders == []


def test_a_cancelled_call_says_who_cancelled_it(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 1)
    steer.cancel(group.pk, operator)
    assert call(group).timeline[-1][1:3] == ["CANCELLED", operator.username]
    assert call(group).ended_at
    assert ended(group)


def test_many_calls_are_cancelled_in_a_worker_and_in_steps(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steer, "CANCEL_STEP", 2)
    group = make_call_group(operator, 5)
    steer.cancel(group.pk, operator)
    assert statuses(group) == ["HELD"] * 5
    assert len(jobs(group, "cancel_held")) == 1
    # Held though they still are, they are not handed over any more.
    assert handover.hand_over(group.pk, 0) is None
    steer.cancel_held(group.pk)
    assert statuses(group) == ["CANCELLED"] * 5
    assert ended(group)
    steer.cancel_held(group.pk)
    assert statuses(group) == ["CANCELLED"] * 5


def test_held_calls_of_a_running_group_are_not_cancelled(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 1)
    steer.cancel_held(group.pk)
    assert statuses(group) == ["HELD"]


def test_a_group_that_the_carrier_holds_ends_when_it_is_cancelled(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 0, carrier_group="vip")
    steer.cancel(group.pk, operator)
    assert ended(group)
    assert handover.hand_over(group.pk, 0) is None
    assert carrier.orders == []


def test_a_group_that_the_carrier_has_taken_is_followed_after_cancelling(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 0, carrier_group="vip")
    handover.hand_over(group.pk, 0)
    steer.cancel(group.pk, operator)
    assert not ended(group)


# --- Settle what is unconfirmed -----------------------------------------------------------------------------------


def test_placed(operator: User, carrier: Carrier) -> None:
    group = unconfirmed(operator, carrier)
    steer.settle(batch(group).pk, operator, placed=True, carrier_group="G7")
    settled = batch(group)
    assert (settled.state, settled.carrier_group) == (BatchState.ACCEPTED, "G7")
    assert settled.check_at
    assert operator.username in settled.settled
    assert statuses(group) == ["QUEUED", "QUEUED"]
    assert call(group).timeline[-1][1:3] == ["QUEUED", operator.username]
    handover.hand_over(group.pk, 0)
    assert len(carrier.orders) == 1


def test_not_placed_is_handed_over_again(operator: User, carrier: Carrier) -> None:
    group = unconfirmed(operator, carrier)
    for job in jobs(group):
        job.__class__.objects.filter(pk=job.pk).update(status="succeeded")
    steer.settle(batch(group).pk, operator, placed=False)
    assert (batch(group).state, statuses(group)) == ("pending", ["HELD", "HELD"])
    assert call(group).handed_over_at is None
    assert jobs(group, "hand_over")
    handover.hand_over(group.pk, 0)
    assert carrier.numbers == [number(0), number(1)] * 2
    assert statuses(group) == ["QUEUED", "QUEUED"]
    assert (batch(group).state, batch(group).settled) == ("accepted", f"Settled by {operator}: it was not placed.")


def test_not_placed_leaves_out_what_is_known_of_meanwhile(operator: User, carrier: Carrier) -> None:
    """One call's result came in, and one person asked not to be called."""
    group = unconfirmed(operator, carrier)
    Call.objects.filter(call_group=group, n=1).update(status=Status.COMPLETED)
    Suppression.objects.create(number=number(1), reason="Just wrote to us.")
    steer.settle(batch(group).pk, operator, placed=False)
    handover.hand_over(group.pk, 0)
    assert len(carrier.orders) == 1
    assert statuses(group) == ["COMPLETED", "DND"]


@pytest.mark.parametrize("placed", [True, False])
def test_settled_while_paused(operator: User, carrier: Carrier, placed: bool) -> None:
    group = unconfirmed(operator, carrier)
    steer.pause(group.pk, operator)
    steer.settle(batch(group).pk, operator, placed=placed)
    handover.hand_over(group.pk, 0)
    assert statuses(group) == ["QUEUED" if placed else "HELD"] * 2
    assert len(carrier.orders) == 1


def test_not_placed_in_a_cancelled_group_is_cancelled(operator: User, carrier: Carrier) -> None:
    group = unconfirmed(operator, carrier)
    steer.cancel(group.pk, operator)
    assert statuses(group) == ["UNCONFIRMED", "UNCONFIRMED"]
    steer.settle(batch(group).pk, operator, placed=False)
    assert (batch(group).state, batch(group).check_at) == ("cancelled", None)
    assert statuses(group) == ["CANCELLED", "CANCELLED"]
    assert ended(group)


def test_not_placed_ends_a_cancelled_group_that_the_carrier_holds(operator: User, carrier: Carrier) -> None:
    carrier.answer = Unconfirmed("Timed out.")
    group = make_call_group(operator, 0, carrier_group="vip")
    handover.hand_over(group.pk, 0)
    steer.cancel(group.pk, operator)
    assert not ended(group)
    steer.settle(batch(group).pk, operator, placed=False)
    assert ended(group)


@pytest.mark.parametrize("placed", [True, False])
def test_what_is_settled_can_not_be_settled_again(operator: User, carrier: Carrier, placed: bool) -> None:
    group = unconfirmed(operator, carrier)
    steer.settle(batch(group).pk, operator, placed=True)
    before = statuses(group)
    with pytest.raises(steer.NotPossible):
        steer.settle(batch(group).pk, operator, placed=placed)
    assert statuses(group) == before


@pytest.mark.django_db(transaction=True)
def test_two_people_settling_at_the_same_moment_settle_once(carrier: Carrier) -> None:
    user = make_user()
    group = unconfirmed(user, carrier)
    settled = batch(group)

    def settle(placed: bool) -> bool:
        try:
            steer.settle(settled.pk, user, placed=placed)
        except steer.NotPossible:
            return False
        return True

    done = at_the_same_moment(lambda: settle(True), lambda: settle(False))
    assert sorted(done) == [False, True]
    assert statuses(group) in (["QUEUED"] * 2, ["HELD"] * 2)


def test_no_act_changes_a_final_status(operator: User, carrier: Carrier) -> None:
    group = unconfirmed(operator, carrier, len(FINAL))
    for n, status in enumerate(sorted(FINAL), 1):
        Call.objects.filter(call_group=group, n=n).update(status=status)
    before = statuses(group)
    Call.objects.create(call_group=group, n=99, number=number(99))
    for one in list(group.batches.filter(state="unconfirmed")):
        steer.settle(one.pk, operator, placed=one.first % 4 == 1)
    steer.cancel(group.pk, operator)
    assert statuses(group) == [*before, "CANCELLED"]
