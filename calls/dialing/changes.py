"""Writing to calls: each change adds an entry to the call's timeline in the same statement.

The call group must be locked by the caller (:mod:`calls.dialing.locks`). Final statuses are never changed (rule 3).
A trigger makes the callbacks of calls that end (:class:`calls.models.Callback`).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import F, Func, JSONField, Q, QuerySet, Value
from django.utils import timezone

from calls.dialing.jobs import callbacks_after_commit
from calls.models import Batch, BatchState, Call, CallGroup
from calls.obd.statuses import FINAL, Status

PORTAL = "portal"
CARRIER = "carrier"


def event(at: datetime, status: str, source: str, word: str = "", note: str = "") -> list[Any]:
    """An entry of `Call.timeline`."""
    return [round(at.timestamp(), 3), status, source, word, note]


def calls_of(batch: Batch) -> QuerySet[Call]:
    """The calls of a batch."""
    return Call.objects.filter(call_group_id=batch.call_group_id, n__range=(batch.first, batch.last))


def end_if_over(call_group_id: int) -> None:
    """End a call group without open calls if no batch may bring any: the trigger ends only those that had calls."""
    unsettled = Q(state__in=[BatchState.PENDING, BatchState.SENDING, BatchState.UNCONFIRMED])
    batches = Batch.objects.filter(unsettled | Q(check_at__isnull=False), call_group=call_group_id)
    if not batches.exists():
        CallGroup.objects.filter(pk=call_group_id, open=0, ended_at=None).update(ended_at=timezone.now())


def move(calls: QuerySet[Call], status: Status, source: str, note: str = "", **columns: Any) -> int:
    """Set the status of all these calls: how many there were. The caller's filter says from which statuses."""
    entry = Value([event(timezone.now(), status, source, note=note)], JSONField())
    timeline = Func(F("timeline"), entry, template="(%(expressions)s)", arg_joiner=" || ", output_field=JSONField())
    moved = calls.exclude(status__in=FINAL).update(status=status, timeline=timeline, **columns)
    if moved and status in FINAL:
        callbacks_after_commit()
    return moved


@dataclass(frozen=True)
class Change:
    """What was learnt of one call. None and empty texts keep what is there; times are aware, `duration` in seconds.

    `rings` is how often it rang, once that is certain.
    """

    call: Call
    status: Status
    word: str = ""
    carrier_id: str = ""
    retries: int | None = None
    rings: int | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    duration: int | None = None
    digits: str = ""

    @property
    def shows(self) -> bool:
        """Whether the call's timeline gets an entry: its status, word or attempt is another than before."""
        call = self.call
        return (
            self.status != call.status
            or (self.word or call.word) != call.word
            or (self.retries is not None and self.retries != call.retries)
        )

    @property
    def is_news(self) -> bool:
        """Whether anything at all is other than before."""
        call = self.call
        learnt = ("carrier_id", "answered_at", "ended_at", "duration", "digits")
        return self.shows or any(getattr(self, name) not in (None, "", getattr(call, name)) for name in learnt)


WRITE_SQL = f"""
    UPDATE calls_call AS c SET
        status = v.status,
        word = CASE WHEN v.word = '' THEN c.word ELSE v.word END,
        carrier_id = CASE WHEN v.carrier_id = '' THEN c.carrier_id ELSE v.carrier_id END,
        retries = coalesce(v.retries, c.retries),
        rings = coalesce(v.rings, c.rings),
        answered_at = coalesce(v.answered_at, c.answered_at),
        ended_at = coalesce(v.ended_at, c.ended_at),
        duration = coalesce(v.duration, c.duration),
        digits = CASE WHEN v.digits = '' THEN c.digits ELSE v.digits END,
        timeline = c.timeline || v.entry
    FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::int[], %s::int[], %s::timestamptz[],
        %s::timestamptz[], %s::int[], %s::text[], %s::jsonb[])
        AS v(id, status, word, carrier_id, retries, rings, answered_at, ended_at, duration, digits, entry)
    WHERE c.id = v.id AND c.status NOT IN ({", ".join(f"'{status}'" for status in sorted(FINAL))})
"""


def write(changes: Sequence[Change], source: str) -> int:
    """Write what is news among `changes`, in one statement: how many calls that were."""
    news = [change for change in changes if change.is_news]
    if not news:
        return 0
    now = timezone.now()
    entries = [json.dumps([event(now, change.status, source, change.word)] if change.shows else []) for change in news]
    columns: list[list[Any]] = [
        [change.call.pk for change in news],
        [str(change.status) for change in news],
        [change.word[:60] for change in news],
        [change.carrier_id[:100] for change in news],
        [change.retries for change in news],
        [change.rings for change in news],
        [change.answered_at for change in news],
        [change.ended_at for change in news],
        [change.duration for change in news],
        [change.digits[:40] for change in news],
        entries,
    ]
    with connection.cursor() as cursor:
        cursor.execute(WRITE_SQL, columns)
        written = int(cursor.rowcount)
    if any(change.status in FINAL for change in news):
        callbacks_after_commit()
    return written
