"""Hand-over: give batches to the carrier, each at most once (DESIGN.md, rule 1).

How a request ended is told by the carrier's error: certainly not taken, refused, or perhaps taken. What is perhaps
taken stays *unconfirmed* until :mod:`calls.dialing.evidence` or a person settles it.

A call group's batches are sent through a few *lanes*. A lane is a job that only one worker runs at a time; it claims
one pending batch after the other. So a batch that is found in state *sending* when its lane's job begins was left
there by a worker that died: it is unconfirmed. A lane stops after a while and queues again behind others, so that a
large call group does not keep small ones waiting.
"""

import logging
import random
import time
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from calls.carriers import get_carrier
from calls.carriers.base import (
    Accepted,
    CarrierError,
    NotTaken,
    Order,
    OrderedCall,
    Refused,
    Stopped,
    Unconfirmed,
)
from calls.dialing import evidence, rules, steer
from calls.dialing.changes import CARRIER, PORTAL, Change, calls_of, end_if_over, move, write
from calls.dialing.incoming import callback_url
from calls.dialing.locks import locked
from calls.dialing.pacing import LONGEST_WAIT, NotNow, Turn, turn
from calls.dialing.progress import gap_after
from calls.models import Batch, BatchState, Call, CallGroup, GroupState, RequestKind
from calls.obd.statuses import Status, advance, from_word

logger = logging.getLogger(__name__)

LANE_SECONDS = 5.0
"""A lane's job claims nothing more after this."""

FIRST_GAP, LONGEST_GAP = 5.0, 300.0
"""Seconds before a batch that the carrier certainly did not take is sent again; doubled each time, DOUBLED times."""

DOUBLED = 6

JITTER = 0.25
"""Such a gap is up to this part longer, so that what failed together is not tried again together."""

FIRST_CHECK = 2.0
"""Seconds after hand-over until the carrier is asked for the first time."""

HOLDS = timedelta(seconds=60)
"""For so long after the rules were checked a request may be made."""

BROKE = "The portal failed while this was being sent."

REMEMBERS = 60.0
"""Seconds for which a worker tries to write down how a request ended while the database is away."""


def hand_over(call_group_id: int, lane: int) -> datetime | None:
    """Send this lane's share of the call group's due batches. Returns when to go on (aware); None: nothing is left."""
    settle_orphans(call_group_id, lane)
    repeat_unconfirmed(call_group_id, lane)
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
        try:
            with turn(get_carrier(group.carrier), RequestKind.CALL) as mine:
                # A carrier that was down is asked something harmless first: calls could become unconfirmed.
                if mine.trial and not _is_well(mine):
                    continue
                claimed = claim(call_group_id, lane)
                if claimed:
                    send(mine, *claimed)
        except NotNow as error:
            return error.at


def _is_well(mine: Turn) -> bool:
    try:
        with mine.request(asks_first=True):
            mine.carrier.check()
    except (Refused, Stopped):
        return True  # an answer; whether calls are taken shows when there are some
    except CarrierError:
        return False
    return True


def settle_orphans(call_group_id: int, lane: int) -> None:
    """Make what a dead worker was sending on this lane unconfirmed: nobody knows whether the carrier has it."""
    with transaction.atomic():
        locked(call_group_id)
        for batch in Batch.objects.filter(call_group=call_group_id, lane=lane, state=BatchState.SENDING):
            settle_unconfirmed(batch, "The portal stopped while this was being sent.")


def claim(call_group_id: int, lane: int) -> tuple[Batch, Order] | None:
    """Claim the next due batch: it is *sending* once this has committed, and nobody else can claim it.

    The calling rules are checked here, at the last moment. Outside calling hours calls stay held; suppressed numbers
    and those that rang often enough that day are taken out. None if there is nothing to send just now.
    """
    with transaction.atomic():
        group = locked(call_group_id)
        if group.state != GroupState.RUNNING:
            return None
        steer.end_old_override(group, timezone.now())
        carrier = get_carrier(group.carrier)
        rules.lock_counts(group, carrier)
        now = timezone.now()  # not before the locks, for which this may have waited long
        batch = (
            Batch.objects.select_for_update()
            .filter(call_group=group, state=BatchState.PENDING, due_at__lte=now)
            .order_by("due_at", "first")
            .first()
        )
        if batch is None:
            return None
        checks = rules.rules_of(group, now, carrier, max(batch.last - batch.first + 1, 0))
        if rules.put_off(group, batch, checks, now):
            return None
        held = calls_of(batch).filter(status=Status.HELD)
        checks = rules.take_out(group, batch, checks, held, now)
        checked = [*(batch.rules or []), rules.checked(group, batch, checks, now)]
        if batch.last and not held.exists():
            Batch.objects.filter(pk=batch.pk).update(state=BatchState.CANCELLED, rules=checked)
            return None
        claimed = Batch.objects.filter(pk=batch.pk, state=BatchState.PENDING).update(
            state=BatchState.SENDING,
            lane=lane,
            sent_at=now,
            attempts=batch.attempts + 1,
            order_key=uuid.uuid4(),
            account=carrier.account,
            kept_by="",
            rules=checked,
        )
        if claimed != 1:
            return None
        batch.refresh_from_db()
        order = order_of(batch, held)
        move(held, Status.SENDING, PORTAL, handed_over_at=now, rings=rules.rings_of(batch))
    return batch, order


def order_of(batch: Batch, calls: QuerySet[Call]) -> Order:
    """The request for a claimed batch to these calls of it: always the same for the same calls."""
    group = batch.call_group
    sent_at = batch.sent_at or timezone.now()
    return Order(
        calls=[OrderedCall(call.obd_id, call.number) for call in calls.order_by("n")],
        group=group.carrier_group,
        play=group.play,
        message=group.message,
        retries=rules.retries_of(batch),
        campaign=group.campaign,
        newgroup=group.newgroup,
        schedule_time=rules.scheduled(group, sent_at),
        delay=rules.delayed(group, sent_at),
        meta=group.meta,
        custom=group.custom,
        callback=callback_url(batch),
        key=str(batch.order_key),
    )


def send(mine: Turn, batch: Batch, order: Order) -> None:
    """Make the request for a claimed batch and write down how it ended."""
    try:
        with mine.request(first=lambda: _still_sending(batch)):
            accepted = mine.carrier.place(order)
    except Stopped as error:
        said = str(error)
        _write_down(lambda: release(batch, said))
        _write_down(lambda: steer.stop(batch.call_group, said))
    except NotTaken as error:
        said, retry_after = str(error), error.retry_after
        _write_down(lambda: release(batch, said, retry_after))
    except NotNow as error:  # held up until others had its connection: no request was made
        said = str(error)
        _write_down(lambda: release(batch, said))
    except Refused as error:
        said = str(error)
        _write_down(lambda: settle_refused(batch, said))
    except Unconfirmed as error:
        said = str(error)
        _write_down(lambda: settle_unconfirmed(batch, said))
    except Exception:
        # Whatever broke, it broke after the claim: the carrier may have the request.
        logger.exception("Call group %s, batch %s: sending broke", batch.call_group_id, batch.pk)
        _write_down(lambda: settle_unconfirmed(batch, BROKE))
    else:
        _write_down(lambda: settle_accepted(batch, accepted))


def repeat_unconfirmed(call_group_id: int, lane: int) -> None:
    """Make the requests of this lane's unconfirmed batches again where the carrier would not place them twice.

    Each once, and once more whenever the carrier was asked about it in vain, which becomes rare. A batch is *sending*
    meanwhile, so that nobody settles it; its calls stay unconfirmed unless the carrier takes it.
    """
    group = CallGroup.objects.get(pk=call_group_id)
    for batch in group.batches.filter(lane=lane, state=BatchState.UNCONFIRMED, repeats=True).order_by("first"):
        if not _may_repeat(group, batch, timezone.now()):
            continue
        try:
            with turn(get_carrier(group.carrier), RequestKind.CALL) as mine:
                if not (mine.trial and not _is_well(mine)) and _claim_again(batch):
                    _repeat(mine, batch)
        except NotNow:
            return


def _may_repeat(group: CallGroup, batch: Batch, now: datetime) -> rules.Rules | None:
    """The rules by which that is allowed at `now`; None: it isn't."""
    if not evidence.may_repeat(group, batch):
        return None
    return rules.may_ring_again(group, batch, now, get_carrier(group.carrier))


def _claim_again(batch: Batch) -> bool:
    with transaction.atomic():
        group = locked(batch.call_group_id)
        steer.end_old_override(group, timezone.now())
        rules.lock_counts(group, get_carrier(group.carrier))
        batch.refresh_from_db()
        now = timezone.now()
        checks = _may_repeat(group, batch, now)
        if checks is None:
            return False
        again = _this_attempt(batch, BatchState.UNCONFIRMED)
        entry = rules.checked(group, batch, checks, now) | {"retries": rules.retries_of(batch)}
        claimed = again.update(
            state=BatchState.SENDING,
            attempts=batch.attempts + 1,
            repeats=False,
            rules=[*(batch.rules or []), entry],
        )
        batch.refresh_from_db()
        return bool(claimed)


def _repeat(mine: Turn, batch: Batch) -> None:
    order = order_of(batch, calls_of(batch).filter(status=Status.UNCONFIRMED))
    try:
        with mine.request(first=lambda: _still_sending(batch)):
            accepted = mine.carrier.place(order)
    except Exception as error:
        # It says nothing of the first request, whatever it is.
        if not isinstance(error, CarrierError):
            logger.exception("Call group %s, batch %s: repeating broke", batch.call_group_id, batch.pk)
        said = str(error) if isinstance(error, CarrierError) else BROKE
        _write_down(lambda: settle_unconfirmed(batch, said))
    else:
        note = "Asked again with the same Idempotency-Key, the carrier took it once."
        _write_down(lambda: settle_accepted(batch, accepted, settled=note))


def _still_sending(batch: Batch) -> None:
    """See that the claim holds, in the moment of the request. Raises NotTaken, so that no request is made.

    A machine can be suspended after the claim: hours later the rules may forbid it, or somebody else has settled it.
    """
    checked_at = datetime.fromisoformat(rules.last_check(batch)["at"])
    if timezone.now() - checked_at > HOLDS or not _this_attempt(batch, BatchState.SENDING).exists():
        raise NotTaken("The portal was held up before it could send this: it was not sent.")


def _write_down(outcome: Callable[[], object]) -> None:
    """Write how a request ended, even if the database is away for a moment: nothing else knows it."""
    gives_up = time.monotonic() + REMEMBERS
    while True:
        try:
            outcome()
        except (OperationalError, InterfaceError):
            if connection.in_atomic_block or time.monotonic() > gives_up:
                raise
            logger.warning("The database is away; trying again to write down how a request ended")
            connection.close()
            time.sleep(0.5)
        else:
            return


def _this_attempt(batch: Batch, *states: BatchState) -> QuerySet[Batch]:
    """The batch, if it is in one of these states and not sent once more since `batch` was claimed.

    A request can outlive what was decided about it: its late answer says nothing of the request that came after it.
    """
    return Batch.objects.filter(pk=batch.pk, attempts=batch.attempts, state__in=states)


def _settle(batch: Batch, state: BatchState, answer: str, **columns: object) -> bool:
    """Move a batch from *sending* (or *unconfirmed*, where a late answer settles it). False if it is settled."""
    unsettled = _this_attempt(batch, BatchState.SENDING, BatchState.UNCONFIRMED)
    return bool(unsettled.update(state=state, answer=answer[:500], **columns))


def settle_accepted(batch: Batch, accepted: Accepted, settled: str = "") -> None:
    """The carrier took the batch: its calls are queued there, under the IDs that it gave, if it gave any.

    `settled` is how that came to be known of an unconfirmed one.
    """
    now = timezone.now()
    with transaction.atomic():
        locked(batch.call_group_id)
        check_at = now + timedelta(seconds=FIRST_CHECK)
        columns: dict[str, Any] = {"carrier_group": accepted.group[:100], "check_at": check_at}
        if settled:  # otherwise what settled an earlier attempt stays known
            columns["settled"] = settled
        if not _settle(batch, BatchState.ACCEPTED, accepted.message, **columns):
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
        rings=0 if word else None,
        ended_at=now if word else None,
    )


def _refusal(word: str) -> Status:
    """The final status of a call that the carrier lists as not placed."""
    status = from_word(word)
    return status if status and status.is_final else Status.REJECTED


def settle_refused(batch: Batch, answer: str) -> None:
    """The carrier read the request and said no: its calls are REJECTED.

    It would say so to the next batches too, so the call group pauses if there are any: a person may mend the reason.
    """
    with transaction.atomic():
        group = locked(batch.call_group_id)
        if not _settle(batch, BatchState.REJECTED, answer):
            return
        if group.batches.filter(state=BatchState.PENDING).exists():
            steer.stop(group, answer)
        rejected = calls_of(batch).filter(status__in=[Status.SENDING, Status.UNCONFIRMED])
        now = timezone.now()
        move(rejected, Status.REJECTED, CARRIER, answer[:200], rings=0, ended_at=now)
        end_if_over(batch.call_group_id)


def settle_unconfirmed(batch: Batch, answer: str) -> None:
    """Nobody knows whether the carrier took the batch. It is never sent again by itself.

    Unless it has told of one of the calls already, while it was being sent.
    """
    with transaction.atomic():
        group = locked(batch.call_group_id)
        # A repeat that ended so too is not the first one: the gaps go on growing.
        check_at = timezone.now() + gap_after(batch.checks)
        sending = _this_attempt(batch, BatchState.SENDING)
        if not sending.update(state=BatchState.UNCONFIRMED, answer=answer[:500], check_at=check_at):
            return
        batch.refresh_from_db()
        calls = calls_of(batch)
        move(calls.filter(status=Status.SENDING), Status.UNCONFIRMED, PORTAL, answer[:200])
        told = calls.filter(handed_over_at=batch.sent_at).exclude(status=Status.UNCONFIRMED).first()
        if told:
            evidence.settle_placed(group, batch, f"The carrier had told of {told.obd_id} by then.")


def release(batch: Batch, answer: str, retry_after: float | None = None) -> None:
    """The carrier certainly took nothing: the batch is held again and goes out after a growing gap.

    Not before `retry_after` seconds, if the carrier said so.
    """
    now = timezone.now()
    gap = min(FIRST_GAP * 2 ** min(batch.attempts - 1, DOUBLED), LONGEST_GAP) * random.uniform(1, 1 + JITTER)  # noqa: S311
    gap = max(gap, min(retry_after or 0.0, LONGEST_WAIT.total_seconds()))
    with transaction.atomic():
        group = locked(batch.call_group_id)
        # Unconfirmed: another worker has taken this one for dead meanwhile.
        sending = _this_attempt(batch, BatchState.SENDING, BatchState.UNCONFIRMED)
        calls = calls_of(batch).filter(status__in=[Status.SENDING, Status.UNCONFIRMED])
        if group.state == GroupState.CANCELLED:
            if sending.update(state=BatchState.CANCELLED, answer=answer[:500], sent_at=None):
                move(calls, Status.CANCELLED, PORTAL, answer[:200], handed_over_at=None, rings=0, ended_at=now)
                end_if_over(group.pk)
        elif sending.update(
            state=BatchState.PENDING,
            answer=answer[:500],
            due_at=now + timedelta(seconds=gap),
            sent_at=None,
            check_at=None,
        ):
            move(calls, Status.HELD, PORTAL, answer[:200], handed_over_at=None, rings=0)
