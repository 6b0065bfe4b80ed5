"""Steering a call group: pause, resume, override calling hours, cancel what is held, settle what is unconfirmed.

What was handed over can't be taken back (DESIGN.md, rule 2).
"""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Min, OuterRef, Subquery, Value
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone

from calls import audit
from calls.carriers import CARRIERS, get_carrier
from calls.dialing import evidence
from calls.dialing.changes import calls_of, end_if_over, move
from calls.dialing.hours import Rule
from calls.dialing.jobs import cancel_held_later, hand_over_later
from calls.dialing.kept import kept
from calls.dialing.locks import locked
from calls.dialing.rules import digest_of_rule
from calls.models import Batch, BatchState, Call, CallGroup, GroupState, Traffic, User, Waits
from calls.obd.statuses import Status

CANCEL_STEP = 5_000
"""Calls cancelled in one transaction, so that statuses of calls under way are not kept waiting."""


NO_OVERRIDE: dict[str, Any] = {"override_reason": "", "override_by": None, "override_at": None}

OVERRIDE_LASTS = timedelta(hours=8)
"""What can't wait for the morning is made in this time. Later, clocks are not what they were when it was asked for."""

STARTED = Call.objects.filter(call_group=OuterRef("call_group"), n=OuterRef("first")).values("created_at")
"""When the calls of a batch were started."""


class NotPossible(Exception):
    """The call group is not in a state for that; `str()` says why."""


def _set_state(group: CallGroup, state: GroupState, user: User, reason: str) -> None:
    group.state, group.state_by, group.state_at, group.state_reason = state, user, timezone.now(), reason[:300]
    # A save, not an UPDATE, so that the audit log sees it.
    group.save(update_fields=["state", "state_by", "state_at", "state_reason", *NO_OVERRIDE])


def pause(call_group_id: int, user: User, reason: str = "") -> None:
    """Hand over nothing more until it is resumed; the calling rules hold again then. Raises NotPossible."""
    with transaction.atomic():
        group = locked(call_group_id)
        if group.ended_at or group.state != GroupState.RUNNING:
            raise NotPossible("Only a running call group can be paused.")
        for name, nothing in NO_OVERRIDE.items():
            setattr(group, name, nothing)
        _set_state(group, GroupState.PAUSED, user, reason)


def stop(group: CallGroup, reason: str) -> None:
    """Pause a call group that the carrier would refuse anyway, until somebody has mended the reason.

    That may take long: what was overridden for now is not any more.
    """
    paused = {"state": GroupState.PAUSED, "state_by": None, "state_at": timezone.now(), "state_reason": reason[:300]}
    CallGroup.objects.filter(pk=group.pk, state=GroupState.RUNNING).update(**paused, **NO_OVERRIDE)


def resume(call_group_id: int, user: User) -> None:
    """Go on handing over. Raises NotPossible."""
    with transaction.atomic():
        group = locked(call_group_id)
        if group.state != GroupState.PAUSED:
            raise NotPossible("Only a paused call group can be resumed.")
        _set_state(group, GroupState.RUNNING, user, "")
        hand_over_later(group.pk, timezone.now())


def override(call_group_id: int, user: User, reason: str) -> None:
    """Make the held calls of a call group whatever calling hours and cap say.

    That lasts until the call group is paused, for OVERRIDE_LASTS at most.

    Only where calling hours keep calls: what the cap or a suppression list forbids has ended when it is known. Of the
    calls that are not checked yet, those over the cap are made too, but none to a suppressed number. A schedule and a
    delay still count. Who may do that is the caller's question (`calls.override_rules`). Raises NotPossible.
    """
    with transaction.atomic():
        group = locked(call_group_id)
        if group.ended_at or group.state == GroupState.CANCELLED:
            raise NotPossible("This call group has ended: there is nothing to call.")
        if group.state == GroupState.PAUSED:
            raise NotPossible("Resume the call group first: its calls would not be made now.")
        if not reason.strip():
            raise NotPossible("Say why these calls have to be made now.")
        if not kept(group).exists():
            raise NotPossible("No call of this call group waits for calling hours: there is nothing to override.")
        group.override_reason, group.override_by, group.override_at = reason.strip()[:300], user, timezone.now()
        group.due_at = _due_again(group)
        # A save, not an UPDATE, so that the audit log sees it.
        group.save(update_fields=["due_at", *NO_OVERRIDE])


def end_old_override(group: CallGroup, now: datetime) -> None:
    """Let the rules hold again, at `now` (aware), that were overridden long ago. The call group is locked.

    What is left of it by then was not meant: the carrier was away, or a batch was settled days later.
    """
    if group.override_at is None:
        return
    begins = (group.schedule_time or group.created_at) + timedelta(seconds=group.delay)
    if now - max(group.override_at, begins) >= OVERRIDE_LASTS:
        for name, nothing in NO_OVERRIDE.items():
            setattr(group, name, nothing)
        CallGroup.objects.filter(pk=group.pk).update(**NO_OVERRIDE)


def rules_changed(traffic: str) -> None:
    """Look again at the held calls of this traffic type that calling hours keep: other hours may let them go now."""
    waiting = Batch.objects.filter(state=BatchState.PENDING, call_group__traffic=traffic).exclude(kept_by="")
    for call_group_id in waiting.values_list("call_group", flat=True).distinct():
        with transaction.atomic():
            group = locked(call_group_id)
            CallGroup.objects.filter(pk=group.pk).update(due_at=_due_again(group))


def kept_by_other_rules() -> list[str]:
    """The traffic types of held calls that calling hours keep by rules which are not those of now.

    A rule can be changed while calls are being started, which have read it before; a setting before this process began.
    """
    rules = [Rule.of(traffic) for traffic in Traffic]
    carriers = [get_carrier(name) for name in CARRIERS]
    now = [digest_of_rule(rule, carrier.retry_gap, carrier.cps) for rule in rules for carrier in carriers]
    waiting = Batch.objects.filter(state=BatchState.PENDING).exclude(kept_by="").exclude(kept_under__in=now)
    return list(waiting.values_list("call_group__traffic", flat=True).distinct())


def _due_again(group: CallGroup) -> datetime:
    """Let the batches that calling hours keep come up as if there were none: when the call group is due then.

    The call group is locked. Calls that were listed in it later have their delay from then on.
    """
    now = timezone.now()
    due_at: Greatest | datetime = now
    if group.waits == Waits.PORTAL:
        started = Coalesce(Subquery(STARTED), Value(group.created_at))
        begins = Value(group.schedule_time) if group.schedule_time else started
        due_at = Greatest(begins + timedelta(seconds=group.delay), Value(now))
    if not kept(group).update(due_at=due_at, kept_by=""):
        return group.due_at
    pending = Batch.objects.filter(call_group=group, state=BatchState.PENDING)
    first: datetime = pending.aggregate(at=Min("due_at"))["at"]
    if group.state == GroupState.RUNNING:
        hand_over_later(group.pk, first)
    return min(group.due_at, first)


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
        these = calls_of(batch).filter(status=Status.UNCONFIRMED).count()
        note = f"Settled by {user}: it was {'placed' if placed else 'not placed'}."
        if placed:
            evidence.settle_placed(group, batch, note, str(user), carrier_group)
        else:
            evidence.settle_not_placed(group, batch, note, str(user))
        some = "" if these > batch.last - batch.first else f"{these:,} of "
        which = (
            f"{some}calls {batch.first} to {batch.last}" if batch.last else f"the carrier's group {group.carrier_group}"
        )
        audit.note(group, settled=f"{which}: {'placed' if placed else 'not placed'}")
