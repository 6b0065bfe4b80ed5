"""Requests that are made again with their key: how often, and what is looked at once more before each."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from calls.carriers.base import Accepted, Carrier, Refused, Unconfirmed
from calls.dialing import handover, progress, steer
from calls.dialing.pacing import Turn, turn
from calls.models import Batch, BatchState, CallGroup, CallingRule, CarrierState, RequestKind, Suppression
from tests.dialing import helpers
from tests.dialing.helpers import batch, freeze, use
from tests.factories import make_call_group, make_user, number

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@pytest.fixture
def carrier(monkeypatch: pytest.MonkeyPatch) -> helpers.Carrier:
    """It keeps answers by Idempotency-Key."""
    told = helpers.Carrier()
    told.account, told.idempotent_seconds = "an account", 86_400
    use(told, monkeypatch)
    monkeypatch.setattr("calls.dialing.start.MAX_CALLS", 1)
    freeze(monkeypatch, NOON)
    CarrierState.objects.create(name="sandbox", idempotent_account="an account", idempotent_seconds=86_400)
    return told


def unconfirmed(carrier: helpers.Carrier, calls: int) -> CallGroup:
    """A call group none of whose requests was answered."""
    group = make_call_group(make_user(), calls)
    carrier.answer = Unconfirmed("Timed out.")
    handover.hand_over(group.pk, 0)
    assert len(carrier.orders) == calls
    carrier.orders.clear()
    return group


def test_each_is_repeated_once_per_question(carrier: helpers.Carrier, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often the lane has something to do: only the questions become rare."""
    group = unconfirmed(carrier, 2)
    carrier.answer = Refused("Idempotency-Key: used before with other parameters")
    for _ in range(3):
        handover.hand_over(group.pk, 0)
    assert carrier.numbers == [number(0), number(1)]
    later = NOON + timedelta(minutes=1)
    freeze(monkeypatch, later)
    group.batches.filter(first=2).update(check_at=later + timedelta(seconds=30))
    progress.follow(group.pk)
    for _ in range(3):
        handover.hand_over(group.pk, 0)
    assert carrier.numbers == [number(0), number(1), number(0)]
    check_at = batch(group).check_at
    assert check_at
    assert check_at > later


def suppress(group: CallGroup) -> None:
    Suppression.objects.create(number=number(0), reason="Just wrote to us.")


def pause(group: CallGroup) -> None:
    steer.pause(group.pk, group.owner)


def settle(group: CallGroup) -> None:
    steer.settle(batch(group).pk, group.owner, placed=True)


@pytest.mark.parametrize("happens", [suppress, pause, settle])
def test_what_changes_while_it_waits_for_its_turn_counts(
    carrier: helpers.Carrier, monkeypatch: pytest.MonkeyPatch, happens: Callable[[CallGroup], None]
) -> None:
    group = unconfirmed(carrier, 1)

    @contextmanager
    def meanwhile(name: Carrier, kind: RequestKind) -> Iterator[Turn]:
        with turn(name, kind) as mine:
            happens(group)
            yield mine

    monkeypatch.setattr(handover, "turn", meanwhile)
    handover.hand_over(group.pk, 0)
    assert carrier.orders == []


def test_who_was_held_up_repeats_nothing(carrier: helpers.Carrier, monkeypatch: pytest.MonkeyPatch) -> None:
    group = unconfirmed(carrier, 1)
    claim_again = handover._claim_again

    def suspended(claimed: Batch) -> bool:
        done = claim_again(claimed)
        freeze(monkeypatch, NOON + timedelta(seconds=61))
        return done

    monkeypatch.setattr(handover, "_claim_again", suspended)
    handover.hand_over(group.pk, 0)
    assert (carrier.orders, batch(group).state, helpers.statuses(group)) == ([], "unconfirmed", ["UNCONFIRMED"])


def test_nobody_else_counts_rings_while_it_is_decided(carrier: helpers.Carrier) -> None:
    group = unconfirmed(carrier, 1)
    CallingRule.objects.update_or_create(traffic="promotional", defaults={"daily_cap": 1})
    carrier.answer = Accepted()
    handover.hand_over(group.pk, 0)
    assert batch(group).state == BatchState.ACCEPTED
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND pid = pg_backend_pid()"
            " AND (classid::bigint << 32 | objid::bigint) = hashtextextended('calls a day', 0)"
        )
        assert cursor.fetchone() == (1,), "It is held until the transaction ends, here that of the test."
