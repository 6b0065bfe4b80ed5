"""Steering a call group: pause, resume, override calling hours, cancel what is held, settle what is unconfirmed.

What was handed over can't be taken back (DESIGN.md, rule 2).
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

from calls import audit
from calls.dialing import evidence
from calls.dialing.changes import end_if_over, move
from calls.dialing.jobs import cancel_held_later, hand_over_later
from calls.dialing.locks import locked
from calls.models import Batch, BatchState, Call, CallGroup, GroupState, User, Waits
from calls.obd.statuses import Status

CANCEL_STEP = 5_000
"""Calls cancelled in one transaction, so that statuses of calls under way are not kept waiting."""


class NotPossible(Exception):
    """The call group is not in a state for that; `str()` says why."""


def _set_state(group: CallGroup, state: GroupState, user: User, reason: str) -> None:
    group.state, group.state_by, group.state_at, group.state_reason = state, user, timezone.now(), reason[:300]
    # A save, not an UPDATE, so that the audit log sees it.
    group.save(update_fields=["state", "state_by", "state_at", "state_reason"])


def pause(call_group_id: int, user: User, reason: str = "") -> None:
    """Hand over nothing more until it is resumed. Raises NotPossible."""
    with transaction.atomic():
        group = locked(call_group_id)
        if group.ended_at or group.state != GroupState.RUNNING:
            raise NotPossible("Only a running call group can be paused.")
        _set_state(group, GroupState.PAUSED, user, reason)


def resume(call_group_id: int, user: User) -> None:
    """Go on handing over. Raises NotPossible."""
    with transaction.atomic():
        group = locked(call_group_id)
        if group.state != GroupState.PAUSED:
            raise NotPossible("Only a paused call group can be resumed.")
        _set_state(group, GroupState.RUNNING, user, "")
        hand_over_later(group.pk, timezone.now())


def override(call_group_id: int, user: User, reason: str) -> None:
    """Make the held calls of a call group whatever calling hours and cap say; suppressed numbers are never called.

    Who may do that is the caller's question (`calls.override_rules`). A schedule and a delay still count. Raises
    NotPossible.
    """
    with transaction.atomic():
        group = locked(call_group_id)
        if group.ended_at or group.state == GroupState.CANCELLED:
            raise NotPossible("This call group has ended: there is nothing to call.")
        if not group.batches.filter(state=BatchState.PENDING).exists():
            raise NotPossible("No call of this call group is held: there is nothing to override.")
        if not reason.strip():
            raise NotPossible("Say why these calls have to be made now.")
        group.override_reason, group.override_by, group.override_at = reason.strip()[:300], user, timezone.now()
        group.due_at = _due_again(group)
        # A save, not an UPDATE, so that the audit log sees it.
        group.save(update_fields=["override_reason", "override_by", "override_at", "due_at"])


def rules_changed(traffic: str) -> None:
    """Look again at the held calls of this traffic type that calling hours keep: other hours may let them go now."""
    kept = Batch.objects.filter(state=BatchState.PENDING, call_group__traffic=traffic).exclude(kept_by="")
    for call_group_id in kept.values_list("call_group", flat=True).distinct():
        with transaction.atomic():
            group = locked(call_group_id)
            CallGroup.objects.filter(pk=group.pk).update(due_at=_due_again(group))


def _due_again(group: CallGroup) -> datetime:
    """Let the batches that calling hours keep come up as if there were none: when that is. The group is locked."""
    now = timezone.now()
    asked_for = (group.schedule_time or group.created_at) + timedelta(seconds=group.delay)
    due_at = max(now, asked_for) if group.waits == Waits.PORTAL else now
    kept = Batch.objects.filter(call_group=group, state=BatchState.PENDING).exclude(kept_by="")
    if kept.update(due_at=due_at, kept_by="") and group.state == GroupState.RUNNING:
        hand_over_later(group.pk, due_at)
    return min(group.due_at, due_at)


def cancel(call_group_id: int, user: User) -> None:
    """Hand over nothing more, ever; held calls become CANCELLED. Raises NotPossible."""
    with transaction.atomic():
        group = locked(call_group_id)
        if group.ended_at or group.state == GroupState.CANCELLED:
            raise NotPossible("This call group has ended: there is nothing to cancel.")
        _set_state(group, GroupState.CANCELLED, user, "")
        Batch.objects.filter(call_group=group, state=BatchState.PENDING).update(state=BatchState.CANCELLED)
        if group.held > CANCEL_STEP:
            cancel_held_later(group.pk)
    if group.held <= CANCEL_STEP:
        cancel_held(group.pk)


def cancel_held(call_group_id: int) -> None:
    """Make the held calls of a cancelled call group CANCELLED, step by step; what is being sent is left alone."""
    held = Call.objects.filter(call_group=call_group_id, status=Status.HELD)
    while True:
        with transaction.atomic():
            group = locked(call_group_id)
            if group.state != GroupState.CANCELLED:
                return
            step = held.order_by("n").values("pk")[:CANCEL_STEP]
            by = str(group.state_by) if group.state_by else "portal"
            if not move(Call.objects.filter(pk__in=step), Status.CANCELLED, by, ended_at=timezone.now()):
                end_if_over(group.pk)
                return


def settle(batch_id: int, user: User, *, placed: bool, carrier_group: str = "") -> None:
    """Settle an unconfirmed batch by a person's word. Raises NotPossible.

    `placed`: the carrier took it, in its group `carrier_group` if that is known; its calls are followed from now on.
    Otherwise it never got there, and its calls are held again and handed over.
    """
    with transaction.atomic():
        batch = Batch.objects.get(pk=batch_id)
        group = locked(batch.call_group_id)
        batch.refresh_from_db()
        if batch.state != BatchState.UNCONFIRMED:
            raise NotPossible("This batch is settled already.")
        note = f"Settled by {user}: it was {'placed' if placed else 'not placed'}."
        if placed:
            evidence.settle_placed(group, batch, note, str(user), carrier_group)
        else:
            evidence.settle_not_placed(group, batch, note, str(user))
        audit.note(group, settled=f"calls {batch.first} to {batch.last}: {'placed' if placed else 'not placed'}")
