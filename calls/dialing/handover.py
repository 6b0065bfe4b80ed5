"""Hand-over: give batches to the carrier, each at most once (DESIGN.md, rule 1).

A call group's batches are sent through a few *lanes*. A lane is a job that only one worker runs at a time; it claims
one pending batch after the other. So a batch that is found in state *sending* when its lane's job begins was left
there by a worker that died: it is unconfirmed. A lane stops after a while and queues again behind others, so that a
large call group does not keep small ones waiting.
"""

import logging
import time
from collections.abc import Mapping
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from calls.carriers import get_carrier
from calls.carriers.base import Accepted, NotTaken, Order, OrderedCall, Refused, Stopped, Unconfirmed
from calls.dialing.changes import CARRIER, PORTAL, Change, calls_of, end_if_over, move, write
from calls.dialing.locks import locked
from calls.models import Batch, BatchState, Call, CallGroup, CarrierState, GroupState, Suppression, Waits
from calls.obd.statuses import Status, advance, from_word

logger = logging.getLogger(__name__)

LANE_SECONDS = 5.0
"""A lane's job claims nothing more after this."""

FIRST_GAP, LONGEST_GAP = 5.0, 300.0
"""Seconds before a batch that the carrier certainly did not take is sent again; doubled each time, DOUBLED times."""

DOUBLED = 6

SLOT_SQL = """
    UPDATE calls_carrierstate SET next_slot = greatest(next_slot, clock_timestamp()) + %s * interval '1 second'
    WHERE name = %s RETURNING extract(epoch FROM next_slot - clock_timestamp())
"""
FIRST_CHECK = 2.0
"""Seconds after hand-over until the carrier is asked for the first time."""


def hand_over(call_group_id: int, lane: int) -> datetime | None:
    """Send this lane's share of the call group's due batches. Returns when to go on (aware); None: nothing is left."""
    settle_orphans(call_group_id, lane)
    ends = time.monotonic() + LANE_SECONDS
    while True:
        group = CallGroup.objects.get(pk=call_group_id)
        waiting = group.batches.filter(state=BatchState.PENDING).order_by("due_at", "first").first()
        if group.state != GroupState.RUNNING or waiting is None:
            return None
        if waiting.due_at > timezone.now():
            return waiting.due_at
        if time.monotonic() > ends:
            return timezone.now()
        wait_for_slot(group.carrier)
        claimed = claim(call_group_id, lane)
        if claimed:
            send(*claimed)


def settle_orphans(call_group_id: int, lane: int) -> None:
    """Make what a dead worker was sending on this lane unconfirmed: nobody knows whether the carrier has it."""
    with transaction.atomic():
        locked(call_group_id)
        for batch in Batch.objects.filter(call_group=call_group_id, lane=lane, state=BatchState.SENDING):
            settle_unconfirmed(batch, "The portal stopped while this was being sent.")


def wait_for_slot(carrier: str) -> None:
    """Sleep until a request may be begun: all workers together make at most `CARRIER_RATE` a second."""
    CarrierState.objects.get_or_create(name=carrier)
    with connection.cursor() as cursor:
        cursor.execute(SLOT_SQL, [1 / settings.CARRIER_RATE, carrier])
        until_next = float(cursor.fetchone()[0])
    time.sleep(max(0.0, until_next - 1 / settings.CARRIER_RATE))


def claim(call_group_id: int, lane: int) -> tuple[Batch, Order] | None:
    """Claim the next due batch: it is *sending* once this has committed, and nobody else can claim it.

    Numbers suppressed since the start are taken out. None if there is nothing to send just now.
    """
    now = timezone.now()
    with transaction.atomic():
        group = locked(call_group_id)
        if group.state != GroupState.RUNNING:
            return None
        batch = (
            Batch.objects.select_for_update()
            .filter(call_group=group, state=BatchState.PENDING, due_at__lte=now)
            .order_by("due_at", "first")
            .first()
        )
        if batch is None:
            return None
        held = calls_of(batch).filter(status=Status.HELD)
        suppressed = Suppression.objects.filter(number__in=held.values("number")).values("number")
        move(held.filter(number__in=suppressed), Status.DND, PORTAL, "On the suppression list.", ended_at=now)
        order = _order(group, list(held.order_by("n")))
        if not order.calls and not order.group:
            Batch.objects.filter(pk=batch.pk).update(state=BatchState.CANCELLED)
            return None
        claimed = Batch.objects.filter(pk=batch.pk, state=BatchState.PENDING).update(
            state=BatchState.SENDING, lane=lane, sent_at=now, attempts=batch.attempts + 1
        )
        if claimed != 1:
            return None
        move(held, Status.SENDING, PORTAL, handed_over_at=now)
    batch.refresh_from_db()
    return batch, order


def _order(group: CallGroup, calls: list[Call]) -> Order:
    carrier_waits = group.waits == Waits.CARRIER
    return Order(
        calls=[OrderedCall(call.obd_id, call.number) for call in calls],
        group=group.carrier_group,
        play=group.play,
        message=group.message,
        retries=group.retries,
        campaign=group.campaign,
        newgroup=group.newgroup,
        schedule_time=group.schedule_time if carrier_waits else None,
        delay=group.delay if carrier_waits else 0,
        meta=group.meta,
        custom=group.custom,
    )


def send(batch: Batch, order: Order) -> None:
    """Make the request for a claimed batch and write down how it ended."""
    group = batch.call_group
    try:
        accepted = get_carrier(group.carrier).place(order)
    except Stopped as error:
        release(batch, str(error))
        stop(group, str(error))
    except NotTaken as error:
        release(batch, str(error))
    except Refused as error:
        settle_refused(batch, str(error))
    except Unconfirmed as error:
        settle_unconfirmed(batch, str(error))
    except Exception:
        # Whatever broke, it broke after the claim: the carrier may have the request.
        logger.exception("Call group %s, batch %s: sending broke", batch.call_group_id, batch.pk)
        settle_unconfirmed(batch, "The portal failed while this was being sent.")
    else:
        settle_accepted(batch, accepted)


def _this_attempt(batch: Batch, *states: BatchState) -> QuerySet[Batch]:
    """The batch, if it is in one of these states and not sent once more since `batch` was claimed.

    A request can outlive what was decided about it: its late answer says nothing of the request that came after it.
    """
    return Batch.objects.filter(pk=batch.pk, attempts=batch.attempts, state__in=states)


def _settle(batch: Batch, state: BatchState, answer: str, **columns: object) -> bool:
    """Move a batch from *sending* (or *unconfirmed*, where a late answer settles it). False if it is settled."""
    unsettled = _this_attempt(batch, BatchState.SENDING, BatchState.UNCONFIRMED)
    return bool(unsettled.update(state=state, answer=answer[:500], **columns))


def settle_accepted(batch: Batch, accepted: Accepted) -> None:
    """The carrier took the batch: its calls are queued there, under the IDs that it gave, if it gave any."""
    now = timezone.now()
    note_health(batch.call_group.carrier)
    with transaction.atomic():
        locked(batch.call_group_id)
        check_at = now + timedelta(seconds=FIRST_CHECK)
        if not _settle(
            batch, BatchState.ACCEPTED, accepted.message, carrier_group=accepted.group[:100], check_at=check_at
        ):
            return
        calls = calls_of(batch).filter(status__in=[Status.SENDING, Status.UNCONFIRMED])
        write([_accepted_change(call, accepted, now) for call in calls], CARRIER)


def _accepted_change(call: Call, accepted: Accepted, now: datetime) -> Change:
    word = accepted.refused.get(call.obd_id, "")
    status = _refusal(word) if word else Status.QUEUED
    return Change(
        call,
        status=advance(Status(call.status), status),
        word=word,
        carrier_id=accepted.ids.get(call.obd_id, ""),
        ended_at=now if word else None,
    )


def _refusal(word: str) -> Status:
    """The final status of a call that the carrier lists as not placed."""
    status = from_word(word)
    return status if status and status.is_final else Status.REJECTED


def settle_refused(batch: Batch, answer: str) -> None:
    """The carrier read the request and said no: its calls are REJECTED."""
    note_health(batch.call_group.carrier)  # it answered readably, whatever it said
    with transaction.atomic():
        locked(batch.call_group_id)
        if not _settle(batch, BatchState.REJECTED, answer):
            return
        rejected = calls_of(batch).filter(status__in=[Status.SENDING, Status.UNCONFIRMED])
        now = timezone.now()
        move(rejected, Status.REJECTED, CARRIER, answer[:200], ended_at=now)
        end_if_over(batch.call_group_id)


def settle_unconfirmed(batch: Batch, answer: str) -> None:
    """Nobody knows whether the carrier took the batch. It is never sent again by itself."""
    note_health(batch.call_group.carrier, answer)
    with transaction.atomic():
        locked(batch.call_group_id)
        check_at = timezone.now() + timedelta(seconds=FIRST_CHECK)
        sending = _this_attempt(batch, BatchState.SENDING)
        if sending.update(state=BatchState.UNCONFIRMED, answer=answer[:500], check_at=check_at):
            move(calls_of(batch).filter(status=Status.SENDING), Status.UNCONFIRMED, PORTAL, answer[:200])


def release(batch: Batch, answer: str) -> None:
    """The carrier certainly never saw the request: the batch is held again and goes out after a growing gap."""
    note_health(batch.call_group.carrier, answer)
    now = timezone.now()
    gap = min(FIRST_GAP * 2 ** min(batch.attempts - 1, DOUBLED), LONGEST_GAP)
    with transaction.atomic():
        group = locked(batch.call_group_id)
        sending = _this_attempt(batch, BatchState.SENDING)
        calls = calls_of(batch).filter(status=Status.SENDING)
        if group.state == GroupState.CANCELLED:
            if sending.update(state=BatchState.CANCELLED, answer=answer[:500], sent_at=None):
                move(calls, Status.CANCELLED, PORTAL, answer[:200], handed_over_at=None, ended_at=now)
                end_if_over(group.pk)
        elif sending.update(
            state=BatchState.PENDING, answer=answer[:500], due_at=now + timedelta(seconds=gap), sent_at=None
        ):
            move(calls, Status.HELD, PORTAL, answer[:200], handed_over_at=None)


def stop(group: CallGroup, reason: str) -> None:
    """Pause a call group that the carrier would refuse anyway, until somebody has mended the reason."""
    CallGroup.objects.filter(pk=group.pk, state=GroupState.RUNNING).update(
        state=GroupState.PAUSED, state_by=None, state_at=timezone.now(), state_reason=reason[:300]
    )


def note_health(carrier: str, failure: str = "") -> None:
    """Write down that the carrier answered, or how it failed."""
    now = timezone.now()
    columns: Mapping[str, object] = (
        {"failed_at": now, "failure": failure[:300]} if failure else {"answered_at": now, "failure": ""}
    )
    CarrierState.objects.update_or_create(name=carrier, defaults=columns)
