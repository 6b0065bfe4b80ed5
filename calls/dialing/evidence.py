"""What settles a batch of which we don't know whether the carrier took it (DESIGN.md, rule 1).

It *was placed* if the carrier names one of its calls, in a callback or in a list. It *was not placed* if the carrier,
a fair while later, lists all of a later batch in the same group of its own and none of this one. And a carrier that
keeps answers by `Idempotency-Key` can be sent the same request again: it says what became of it, or takes it once.
Everything else waits for a person. What settled a batch is written down with it.
"""

from collections.abc import Collection
from datetime import timedelta

from django.utils import timezone

from calls.dialing.changes import PORTAL, calls_of, end_if_over, move
from calls.dialing.jobs import follow_later, hand_over_later
from calls.dialing.rules import rings_of
from calls.models import Batch, BatchState, CallGroup, CarrierState, GroupState
from calls.obd.statuses import Status

FAIR_WAIT = timedelta(minutes=10)
"""A carrier may list calls so long after it took them; only after that it counts that it doesn't."""

REPEAT_MARGIN = timedelta(minutes=10)
"""A request is not repeated so shortly before the carrier forgets its answer: clocks differ."""

LONGEST_NOTE = 300


def settle_placed(group: CallGroup, batch: Batch, note: str, source: str = PORTAL, carrier_group: str = "") -> None:
    """The carrier took the batch, which is unconfirmed, or held because it seemed not to have got there.

    The call group is locked by the caller, and the batch read since.
    """
    now = timezone.now()
    held = batch.state == BatchState.PENDING
    batch.state, batch.check_at, batch.settled = BatchState.ACCEPTED, now, note[:LONGEST_NOTE]
    batch.carrier_group = carrier_group or batch.carrier_group
    batch.sent_at = batch.sent_at or now
    batch.save()
    calls = calls_of(batch)
    if held:
        taken = {"handed_over_at": batch.sent_at, "rings": rings_of(batch)}
        move(calls.filter(status=Status.HELD), Status.QUEUED, source, note[:200], **taken)
    move(calls.filter(status=Status.UNCONFIRMED), Status.QUEUED, source, note[:200])
    follow_later(group.pk, now)
    end_if_over(group.pk)


def settle_not_placed(group: CallGroup, batch: Batch, note: str, source: str = PORTAL) -> None:
    """The carrier never took this unconfirmed batch: its calls are held again and handed over.

    In a cancelled call group they are cancelled. The call group is locked by the caller, and the batch read since.
    """
    now = timezone.now()
    unconfirmed = calls_of(batch).filter(status=Status.UNCONFIRMED)
    batch.check_at, batch.settled = None, note[:LONGEST_NOTE]
    if group.state == GroupState.CANCELLED:
        batch.state = BatchState.CANCELLED
        move(unconfirmed, Status.CANCELLED, source, note[:200], handed_over_at=None, rings=0, ended_at=now)
    else:
        batch.state, batch.due_at, batch.sent_at = BatchState.PENDING, now, None
        move(unconfirmed, Status.HELD, source, note[:200], handed_over_at=None, rings=0)
    batch.save()
    end_if_over(group.pk)
    if batch.state == BatchState.PENDING:
        hand_over_later(group.pk, now)


def sibling_group(group: CallGroup, batch: Batch) -> str:
    """The carrier's group that an unconfirmed batch would be listed in; empty if nothing tells.

    A carrier puts similar requests into one group, unless asked for groups of their own; some do even then.
    """
    if batch.state != BatchState.UNCONFIRMED:
        return ""
    others = group.batches.filter(account=batch.account).exclude(carrier_group="")
    known = others.values_list("carrier_group", flat=True).distinct()[:2]
    if len(known) != 1 or (group.newgroup and others.count() < 2):
        return ""
    return known[0]


def is_absent(group: CallGroup, batch: Batch, carrier_group: str, listed: Collection[str]) -> bool:
    """Whether a whole list of the carrier's group shows that it never took this unconfirmed batch.

    `listed` holds the OBD ID of ours, or the number, of each call in the list.
    """
    if batch.state != BatchState.UNCONFIRMED or not batch.last or batch.sent_at is None:
        return False
    if timezone.now() < batch.sent_at + FAIR_WAIT or any(_is_listed(batch, listed)):
        return False
    later = group.batches.filter(
        state=BatchState.ACCEPTED, carrier_group=carrier_group, account=batch.account, sent_at__gt=batch.sent_at
    )
    return any(all(_is_listed(each, listed)) for each in later)


def _is_listed(batch: Batch, listed: Collection[str]) -> list[bool]:
    calls = calls_of(batch).exclude(handed_over_at=None).values_list("n", "number")
    return [f"{batch.call_group_id}-{n}" in listed or number in listed for n, number in calls]


def is_repeat_open(group: CallGroup, batch: Batch) -> bool:
    """Whether it is not known yet if the carrier of an unconfirmed batch keeps answers by `Idempotency-Key`."""
    if batch.state != BatchState.UNCONFIRMED or not batch.account:
        return False
    return not CarrierState.objects.filter(name=group.carrier, idempotent_account=batch.account).exists()


def may_repeat(group: CallGroup, batch: Batch) -> bool:
    """Whether the very request of an unconfirmed batch may be made again: the carrier would not place it twice.

    Whether it may ring just now is another question (:func:`calls.dialing.rules.may_ring_again`).
    """
    if batch.state != BatchState.UNCONFIRMED or group.state != GroupState.RUNNING or not batch.account:
        return False
    carrier = CarrierState.objects.filter(name=group.carrier, idempotent_account=batch.account).first()
    if carrier is None or batch.order_key is None or batch.sent_at is None:
        return False
    kept_until = batch.sent_at + timedelta(seconds=carrier.idempotent_seconds) - REPEAT_MARGIN
    return timezone.now() < kept_until
