"""Call groups in any state, made directly: the triggers count them as they count real ones."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from calls.dialing.changes import event
from calls.models import Batch, BatchState, Call, CallGroup, CarrierState, User
from calls.obd.statuses import FINAL, HELD, UNCONFIRMED
from tests.factories import number

SECONDS = 30
"""Talked in each completed call."""


def group_of(
    owner: User, statuses: dict[str, int], *, handed_over_at: datetime | None = None, **columns: Any
) -> CallGroup:
    """A call group with so many calls of each status, and the batches that belong to them.

    The calls are numbered in the order of `statuses`. `handed_over_at` is aware; default: a minute ago.
    """
    now = timezone.now()
    sent = handed_over_at or now - timedelta(minutes=1)
    values = {"carrier": "sandbox", "play": "1.sound", "due_at": sent, "created_at": sent} | columns
    group = CallGroup.objects.create(owner=owner, **values)
    listed = [status for status, calls in statuses.items() for _ in range(calls)]
    Call.objects.bulk_create((_call(group, n, status, sent) for n, status in enumerate(listed, 1)), batch_size=5_000)
    for first in range(1, len(listed) + 1, 200):
        _batch(group, first, listed[first - 1 : first + 199], sent)
    group.refresh_from_db()
    return group


def _call(group: CallGroup, n: int, status: str, sent: datetime) -> Call:
    call = Call(call_group=group, n=n, number=number(n), status=status, created_at=group.created_at)
    if status != HELD:
        call.handed_over_at, call.rings = sent, 1
        call.timeline = [event(sent, "SENDING", "portal")]
    if status in FINAL:
        call.ended_at = sent + timedelta(seconds=40)
        call.word = status
        call.duration = SECONDS if status == "COMPLETED" else 0
        call.timeline.append(event(call.ended_at, status, "carrier", status))
    return call


def _batch(group: CallGroup, first: int, statuses: list[str], sent: datetime) -> Batch:
    pending, unconfirmed = HELD in statuses, UNCONFIRMED in statuses
    return Batch.objects.create(
        call_group=group,
        first=first,
        last=first + len(statuses) - 1,
        due_at=group.due_at,
        state=BatchState.PENDING if pending else BatchState.UNCONFIRMED if unconfirmed else BatchState.ACCEPTED,
        attempts=0 if pending else 1,
        sent_at=None if pending else sent,
        answer="" if pending else "The carrier did not answer within 30 seconds." if unconfirmed else "OK",
        checked_at=None if pending else sent + timedelta(seconds=20),
    )


def carrier_fails(name: str = "sandbox", failure: str = "The carrier refused the connection.") -> None:
    """Let the carrier's last request have failed just now."""
    CarrierState.objects.update_or_create(name=name, defaults={"failed_at": timezone.now(), "failure": failure})
