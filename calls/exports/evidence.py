"""The evidence for one number as a table: its calls, where it was left out, and the suppression lists it is on."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.db.models import QuerySet

from calls.dialing.checked import Record, records
from calls.models import Call, CallGroup, Outcome, PlannedCall, Suppression
from calls.views.paging import walk_rows

HEADINGS = (
    "record", "OBD ID or call group", "number", "created", "campaign", "started by", "with API key",
    "status", "carrier's word", "sent", "answered", "ended", "duration (s)", "keys pressed", "why not called",
    "hand-overs", "checked", "rings from", "traffic type", "local time there", "place", "hours", "weekdays", "holidays",
    "further days without calls", "calls a day", "suppression lists", "override", "heard",
    "SHA-256 of what was played", "is it the same today",
)  # fmt: skip

AT_ONCE = 500
LEFT_OUT = {Outcome.SUPPRESSED: "left out: suppressed", Outcome.CAPPED: "left out: called often enough"}


def rows(
    calls: QuerySet[Call], left_out: QuerySet[PlannedCall], suppressions: QuerySet[Suppression]
) -> Iterator[tuple[Any, ...]]:
    """A row of `HEADINGS` for each call, each time that the number was left out, and each list that it is on."""
    each = walk_rows(calls, "-created_at", "-id")
    while some := list(islice(each, AT_ONCE)):
        yield from map(_of_call, records(some))
    yield from map(_of_left_out, left_out.iterator(AT_ONCE))
    yield from map(_of_suppression, suppressions.iterator(AT_ONCE))


def _padded(*values: Any) -> tuple[Any, ...]:
    return values + ("",) * (len(HEADINGS) - len(values))


def _of_group(group: CallGroup) -> tuple[Any, ...]:
    return group.campaign, group.owner, group.api_key


def _of_call(record: Record) -> tuple[Any, ...]:
    call, group, last = record.call, record.group, record.last
    told = (
        "call", call.obd_id, call.number, call.created_at, *_of_group(group),
        call.status, call.word, call.handed_over_at, call.answered_at, call.ended_at, call.duration, call.digits,
        record.why, len(record.checks),
    )  # fmt: skip
    if last is None:
        return _padded(*told)
    same = "" if last.still is None else "yes" if last.still else "no"
    return (
        *told, last.at, last.rings_at, last.traffic, "; ".join(last.local), last.place, last.hours,
        last.weekdays, last.holidays, last.closed_days, last.cap, "; ".join(last.lists), last.override,
        last.reference or group.heard, last.sha256, same,
    )  # fmt: skip


def _of_left_out(planned: PlannedCall) -> tuple[Any, ...]:
    request = planned.request
    group = request.call_group_id or "none: nobody was called"
    told = LEFT_OUT[Outcome(planned.outcome)], group, planned.number, request.created_at
    asked = request.options["campaign"], request.owner, request.api_key
    return _padded(*told, *asked, "", "", "", "", "", "", "", planned.reason)


def _of_suppression(row: Suppression) -> tuple[Any, ...]:
    why = f"{row.reason} {row.source}".strip()
    told = f"suppressed: {row.list}", "", row.number, row.added_at, "", row.added_by, ""
    return _padded(*told, "", "", "", "", "", "", "", why)
