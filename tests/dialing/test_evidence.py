"""What settles an unconfirmed batch: callbacks, the carrier's lists, and asking again with the same key."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from calls.carriers.base import Accepted, NoAnswer, NotTaken, Order, Refused, Report, Stopped, Unconfirmed
from calls.dialing import evidence, handover, progress, steer
from calls.dialing.pacing import turn
from calls.models import BatchState, CallGroup, CarrierState, RequestKind, Suppression, User
from tests.dialing.helpers import Carrier, batch, call, freeze, jobs, statuses, use
from tests.factories import make_call_group, make_user, number

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)


@pytest.fixture
def operator() -> User:
    return make_user()


@pytest.fixture
def carrier(monkeypatch: pytest.MonkeyPatch) -> Carrier:
    told = Carrier()
    told.account = "an account"
    use(told, monkeypatch)
    monkeypatch.setattr("calls.dialing.start.MAX_CALLS", 2)
    freeze(monkeypatch, NOON)
    return told


def at(monkeypatch: pytest.MonkeyPatch, minutes: float) -> None:
    freeze(monkeypatch, NOON + timedelta(minutes=minutes))


def lost(*batches: int) -> Callable[[Order], Accepted]:
    """The answer to these batches (by their order) gets lost, the others are taken in the carrier's group G7."""
    orders: list[Order] = []

    def answer(order: Order) -> Accepted:
        orders.append(order)
        if len(orders) in batches:
            raise Unconfirmed("Timed out.")
        return Accepted("G7")

    return answer


def handed_over(
    user: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch, numbers: int, *batches: int, **options: Any
) -> CallGroup:
    """A call group in batches of two, handed over from noon on, a minute between them; these answers got lost."""
    group = make_call_group(user, numbers, **{"newgroup": False, **options})
    carrier.answer = lost(*batches)
    for minute in range(-(-numbers // 2)):
        at(monkeypatch, minute)
        claimed = handover.claim(group.pk, 0)
        assert claimed
        with turn(carrier, RequestKind.CALL) as mine:
            handover.send(mine, *claimed)
    group.refresh_from_db()
    return group


def reports(group: CallGroup, *numbers: int) -> list[Report]:
    return [Report(number(n - 1), "QUEUED", obd_id=f"{group.pk}-{n}") for n in numbers]


def follow(group: CallGroup) -> datetime | None:
    """Ask about all batches of the call group, due or not."""
    group.batches.filter(check_at__isnull=False).update(check_at=NOON - timedelta(days=9))
    return progress.follow(group.pk)


# --- The carrier's list -------------------------------------------------------------------------------------------


def test_a_whole_list_without_it_but_with_a_later_batch_shows_that_it_was_not_placed(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = handed_over(operator, carrier, monkeypatch, 6, 2)
    assert statuses(group) == ["QUEUED", "QUEUED", "UNCONFIRMED", "UNCONFIRMED", "QUEUED", "QUEUED"]
    carrier.says = reports(group, 1, 2, 5, 6)
    at(monkeypatch, 60)
    follow(group)
    settled = batch(group, 3)
    assert (settled.state, settled.check_at, settled.sent_at) == (BatchState.PENDING, None, None)
    assert settled.answer == "Timed out."
    assert "G7" in settled.settled
    assert statuses(group)[2:4] == ["HELD", "HELD"]
    assert call(group, 3).timeline[-1][4] == settled.settled
    assert jobs(group, "hand_over")
    carrier.answer = Accepted("G7")
    handover.hand_over(group.pk, 0)
    assert sorted(carrier.numbers) == sorted([number(i) for i in range(6)] + [number(2), number(3)])


@pytest.mark.parametrize(
    "case",
    [
        (2, (1, 2, 5, 6), 10),  # handed over a minute after noon: not yet a fair wait
        (2, (1, 2), 60),  # a later batch isn't listed either: the list may be old
        (2, (1, 2, 5), 60),  # a later batch is listed in part
        (3, (1, 2, 3, 4), 60),  # there is no later batch
        (2, (), 60),  # nothing is listed
    ],
    ids=["too early", "old list", "part of a later batch", "no later batch", "empty list"],
)
def test_a_list_that_shows_nothing(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch, case: tuple[int, Sequence[int], int]
) -> None:
    lost_batch, listed, minutes = case
    group = handed_over(operator, carrier, monkeypatch, 6, lost_batch)
    carrier.says = reports(group, *listed)
    at(monkeypatch, minutes)
    follow(group)
    assert group.batches.filter(state=BatchState.UNCONFIRMED).count() == 1


def test_a_list_that_breaks_off_shows_nothing(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = handed_over(operator, carrier, monkeypatch, 6, 2)

    class Broken(list[Report]):
        def __iter__(self) -> Any:
            yield from super().__iter__()
            raise NoAnswer("The connection broke.")

    carrier.says = lambda question: Broken(reports(group, 1, 2, 5, 6))
    at(monkeypatch, 60)
    follow(group)
    assert batch(group, 3).state == BatchState.UNCONFIRMED


def test_one_call_of_it_in_the_list_shows_that_it_was_placed(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = handed_over(operator, carrier, monkeypatch, 6, 2)
    carrier.says = reports(group, 1, 2, 4, 5, 6)
    at(monkeypatch, 60)
    follow(group)
    assert batch(group, 3).state == BatchState.ACCEPTED
    assert f"{group.pk}-4" in batch(group, 3).settled


def test_a_number_in_the_list_is_enough_not_to_call_it(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says too little to tell that it is ours, and enough not to call that number again."""
    group = handed_over(operator, carrier, monkeypatch, 6, 2)
    carrier.says = [*reports(group, 1, 2, 5, 6), Report(number(2), "QUEUED")]
    at(monkeypatch, 60)
    follow(group)
    assert batch(group, 3).state == BatchState.UNCONFIRMED


def test_in_a_cancelled_call_group_it_is_cancelled(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = handed_over(operator, carrier, monkeypatch, 6, 2)
    steer.cancel(group.pk, operator)
    carrier.says = reports(group, 1, 2, 5, 6)
    at(monkeypatch, 60)
    follow(group)
    assert batch(group, 3).state == BatchState.CANCELLED
    assert statuses(group)[2:4] == ["CANCELLED", "CANCELLED"]


def test_groups_of_their_own_tell_nothing_of_each_other(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = handed_over(operator, carrier, monkeypatch, 4, 1, newgroup=True)
    carrier.says = reports(group, 3, 4)
    at(monkeypatch, 60)
    follow(group)
    assert batch(group).state == BatchState.UNCONFIRMED


def test_a_carrier_that_puts_all_into_one_group_all_the_same(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = handed_over(operator, carrier, monkeypatch, 6, 1, newgroup=True)
    carrier.says = reports(group, 3, 4, 5, 6)
    at(monkeypatch, 60)
    follow(group)
    assert batch(group).state == BatchState.PENDING


def test_the_list_of_another_account_tells_nothing(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = handed_over(operator, carrier, monkeypatch, 6, 2)
    group.batches.filter(first=3).update(account="the account of yesterday")
    carrier.says = reports(group, 1, 2, 5, 6)
    at(monkeypatch, 60)
    follow(group)
    assert batch(group, 3).state == BatchState.UNCONFIRMED


# --- Asking again with the same key -------------------------------------------------------------------------------


def keeps_answers(carrier: Carrier, account: str = "an account", seconds: int = 86_400) -> None:
    carrier.idempotent_seconds = seconds
    CarrierState.objects.update_or_create(
        name="sandbox", defaults={"idempotent_account": account, "idempotent_seconds": seconds}
    )


def unconfirmed(user: User, carrier: Carrier) -> CallGroup:
    group = make_call_group(user, 2)
    carrier.answer = Unconfirmed("Timed out.")
    handover.hand_over(group.pk, 0)
    assert batch(group).state == BatchState.UNCONFIRMED
    return group


def test_the_same_request_is_made_again_and_settles_it(operator: User, carrier: Carrier) -> None:
    group = unconfirmed(operator, carrier)
    keeps_answers(carrier)
    for job in jobs(group):
        job.__class__.objects.filter(pk=job.pk).update(status="succeeded")
    follow(group)
    assert [job.args["lane"] for job in jobs(group, "hand_over")] == [0]
    carrier.answer = lambda order: Accepted("G7", {each.obd_id: f"c{each.obd_id}" for each in order.calls}, {}, "OK")
    handover.hand_over(group.pk, 0)
    first, again = carrier.orders
    assert first == again
    assert first.key
    settled = batch(group)
    assert (settled.state, settled.carrier_group) == (BatchState.ACCEPTED, "G7")
    assert "Idempotency-Key" in settled.settled
    assert statuses(group) == ["QUEUED", "QUEUED"]


def test_a_carrier_that_never_answered_is_asked_something_harmless_once(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its answers tell whether it would know a repeat."""
    group = unconfirmed(operator, carrier)
    checks = []

    def check() -> str:
        checks.append(1)
        carrier.idempotent_seconds = 86_400
        return "It answers."

    monkeypatch.setattr(carrier, "check", check)
    follow(group)
    follow(group)
    assert checks == [1]
    assert evidence.may_repeat(group, batch(group))


@pytest.mark.parametrize(
    "error",
    [
        Unconfirmed("Timed out."),
        NotTaken("Connection refused."),
        Refused("Idempotency-Key: used before with other parameters"),
        Stopped("The carrier refuses our key or account (401)."),
        RuntimeError("a bug"),
    ],
)
def test_no_other_answer_says_anything_of_the_first_request(operator: User, carrier: Carrier, error: Exception) -> None:
    group = unconfirmed(operator, carrier)
    keeps_answers(carrier)
    carrier.answer = error
    handover.hand_over(group.pk, 0)
    assert len(carrier.orders) == 2
    assert (batch(group).state, statuses(group)) == (BatchState.UNCONFIRMED, ["UNCONFIRMED", "UNCONFIRMED"])
    group.refresh_from_db()
    assert group.state == "running"


def test_repeats_that_settle_nothing_become_rare(operator: User, carrier: Carrier) -> None:
    """Such as those of a request whose callback URL has changed since: the carrier answers 409 for a whole day."""
    group = unconfirmed(operator, carrier)
    keeps_answers(carrier)
    carrier.answer = Refused("Idempotency-Key: used before with other parameters")
    gaps = []
    for _ in range(11):
        follow(group)
        handover.hand_over(group.pk, 0)
        check_at = batch(group).check_at
        assert check_at
        gaps.append((check_at - NOON).total_seconds())
    assert gaps == sorted(gaps)
    assert gaps[-1] == progress.LONGEST_GAP


def test_a_new_order_has_a_new_key(operator: User, carrier: Carrier) -> None:
    group = unconfirmed(operator, carrier)
    steer.settle(batch(group).pk, operator, placed=False)
    handover.hand_over(group.pk, 0)
    first, second = carrier.orders
    assert first.key != second.key


def pause(group: CallGroup, user: User) -> None:
    steer.pause(group.pk, user)


def cancel(group: CallGroup, user: User) -> None:
    steer.cancel(group.pk, user)


def suppress(group: CallGroup, user: User) -> None:
    Suppression.objects.create(number=number(1), reason="asked not to be called")


def another_account(group: CallGroup, user: User) -> None:
    CarrierState.objects.update(idempotent_account="another")


def forgets_soon(group: CallGroup, user: User) -> None:
    CarrierState.objects.update(idempotent_seconds=600)


def says_no_more(group: CallGroup, user: User) -> None:
    CarrierState.objects.update(idempotent_seconds=0)


@pytest.mark.parametrize("happens", [pause, cancel, suppress, another_account, forgets_soon, says_no_more])
def test_it_is_not_made_again_where_that_could_call_somebody_wrongly(
    operator: User, carrier: Carrier, happens: Callable[[CallGroup, User], None]
) -> None:
    group = unconfirmed(operator, carrier)
    keeps_answers(carrier)
    happens(group, operator)
    handover.hand_over(group.pk, 0)
    assert len(carrier.orders) == 1
    assert batch(group).state == BatchState.UNCONFIRMED


def test_nobody_settles_it_while_it_is_made_again(operator: User, carrier: Carrier) -> None:
    group = unconfirmed(operator, carrier)
    keeps_answers(carrier)

    def meanwhile(order: Order) -> Accepted:
        with pytest.raises(steer.NotPossible):
            steer.settle(batch(group).pk, operator, placed=False)
        return Accepted("G7")

    carrier.answer = meanwhile
    handover.hand_over(group.pk, 0)
    assert batch(group).state == BatchState.ACCEPTED


def test_the_late_answer_to_the_first_request_leaves_the_second_alone(operator: User, carrier: Carrier) -> None:
    """Its worker was taken for dead; that it was not taken then says nothing of the repeat, which is under way."""
    group = make_call_group(operator, 2)
    first = handover.claim(group.pk, 0)
    assert first
    handover.settle_orphans(group.pk, 0)
    keeps_answers(carrier)

    def meanwhile(order: Order) -> Accepted:
        handover.release(first[0], "Connection refused.")
        assert batch(group).state == BatchState.SENDING
        return Accepted("G7")

    carrier.answer = meanwhile
    handover.hand_over(group.pk, 0)
    assert (batch(group).state, len(carrier.orders)) == (BatchState.ACCEPTED, 1)


def test_a_repeat_that_dies_leaves_it_unconfirmed(operator: User, carrier: Carrier) -> None:
    group = unconfirmed(operator, carrier)
    keeps_answers(carrier)

    class Killed(BaseException):
        pass

    def dies(order: Order) -> Accepted:
        raise Killed

    carrier.answer = dies
    with pytest.raises(Killed):
        handover.hand_over(group.pk, 0)
    assert batch(group).state == BatchState.SENDING
    handover.settle_orphans(group.pk, 0)
    assert (batch(group).state, statuses(group)) == (BatchState.UNCONFIRMED, ["UNCONFIRMED", "UNCONFIRMED"])
    assert evidence.may_repeat(group, batch(group))
