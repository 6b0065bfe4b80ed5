"""The evidence for one number as a table: its calls, where it was left out, and the suppression lists it is on."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.db.models import QuerySet

from calls.dialing.checked import Checked, LeftOut, Record, left_out, records
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
LEFT_OUT = {
    Outcome.SUPPRESSED: "left out: suppressed",
    Outcome.CAPPED: "left out: called often enough",
    Outcome.INVALID: "left out: no calling hours",
}


def rows(
    calls: QuerySet[Call], planned: QuerySet[PlannedCall], suppressions: QuerySet[Suppression]
) -> Iterator[tuple[Any, ...]]:
    """Rows of `HEADINGS`: for each call, each time that the number was left out, and each list that it is on.

    Where several checks are on record, each has a row; the first one of a call is that of the hand-over that counts.
    """
    each = walk_rows(calls, "-created_at", "-id")
    while some := list(islice(each, AT_ONCE)):
        for record in records(some):
            yield from _of_call(record)
    for left in left_out(planned.iterator(AT_ONCE)):
        yield from _of_left_out(left)
    yield from map(_of_suppression, suppressions.iterator(AT_ONCE))


def _padded(*values: Any) -> tuple[Any, ...]:
    return values + ("",) * (len(HEADINGS) - len(values))


def _of_group(group: CallGroup) -> tuple[Any, ...]:
    return group.campaign, group.owner, group.api_key


def _of_call(record: Record) -> Iterator[tuple[Any, ...]]:
    call, group, last = record.call, record.group, record.last
    handed_over = call.handed_over_at is not None
    told = (
        call.obd_id, call.number, call.created_at, *_of_group(group),
        call.status, call.word, call.handed_over_at, call.answered_at, call.ended_at, call.duration, call.digits,
        record.why, (record.hand_overs or "") if handed_over else "",
    )  # fmt: skip
    yield _padded(
        "call", *told, *(_of_check(last) if last else ()), *(_heard(last, group) if last and handed_over else ())
    )
    for checked in reversed(record.earlier):
        yield _padded("earlier check", *told, *_of_check(checked))


def _of_check(checked: Checked) -> tuple[Any, ...]:
    return (
        checked.at, checked.rings_at, checked.traffic, "; ".join(checked.local), checked.place, checked.hours,
        checked.weekdays, checked.holidays, checked.closed_days, checked.cap, "; ".join(checked.lists),
        checked.override,
    )  # fmt: skip


def _heard(checked: Checked, group: CallGroup) -> tuple[Any, ...]:
    same = "" if checked.still is None else "yes" if checked.still else "no"
    return checked.reference or group.heard, checked.sha256, same


def _of_left_out(left: LeftOut) -> Iterator[tuple[Any, ...]]:
    planned = left.planned
    request = planned.request
    told = (
        request.call_group_id or "none: nobody was called", planned.number, request.created_at,
        request.options["campaign"], request.owner, request.api_key,
        "", "", "", "", "", "", "", planned.reason, "",
    )  # fmt: skip
    yield _padded(LEFT_OUT[Outcome(planned.outcome)], *told, *(_of_check(left.last) if left.last else ()))
    for checked in reversed(left.earlier):
        yield _padded("earlier check", *told, *_of_check(checked))


def _of_suppression(row: Suppression) -> tuple[Any, ...]:
    why = f"{row.reason} {row.source}".strip()
    told = f"suppressed: {row.list}", "", row.number, row.added_at, "", row.added_by, ""
    return _padded(*told, "", "", "", "", "", "", "", why)
