"""Plan: decide for each number of a call request whether it would be called, before anything is (the preflight).

The result is a :class:`~calls.models.PlannedCall` row per number. What is `callable` there, and nothing else, is
what starting the request calls. Large requests are planned in a worker, in steps, so that progress shows.
"""

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Sum

from calls.contacts.entries import Entry, read_pasted
from calls.contacts.search import starts_and_ends
from calls.dialing.request import Options
from calls.models import CallRequest, ContactGroup, Outcome, PlannedCall, RequestState, Suppression, Tally

INLINE_LIMIT = 2_000
"""Up to this many numbers are planned, and started, while the person waits; more in a worker."""

STEP = 20_000
"""Rows per step, so per update of the progress bar."""

DUPLICATE_REASON = "Listed more than once; called once."
INSERT_SQL = f"""
    WITH step AS ({{source}}),
    planned AS (
        INSERT INTO calls_plannedcall (request_id, position, number, name, custom, outcome, reason)
        SELECT %(request)s, %(offset)s + row_number() OVER (ORDER BY step.key), step.number, step.name, step.custom,
            CASE WHEN s.id IS NOT NULL THEN 'suppressed' WHEN p.id IS NOT NULL THEN 'duplicate' ELSE 'callable' END,
            CASE WHEN s.id IS NOT NULL THEN s.reason WHEN p.id IS NOT NULL THEN '{DUPLICATE_REASON}' ELSE '' END
        FROM step
        LEFT JOIN calls_suppression AS s ON s.number = step.number
        LEFT JOIN calls_plannedcall AS p
            ON p.request_id = %(request)s AND p.number = step.number AND p.outcome = 'callable'
        RETURNING outcome
    )
    SELECT (SELECT max(key) FROM step), count(*),
        count(*) FILTER (WHERE outcome = 'callable'), count(*) FILTER (WHERE outcome = 'duplicate'),
        count(*) FILTER (WHERE outcome = 'suppressed')
    FROM planned
"""
CONTACTS_SQL = """
    SELECT id AS key, number, name, %(custom)s AS custom FROM calls_contact
    WHERE group_id = %(source)s AND id > %(after)s ORDER BY id LIMIT %(limit)s
"""
AGAIN_SQL = """
    SELECT n AS key, number, name, coalesce(nullif(%(custom)s, ''), custom) AS custom FROM calls_call
    WHERE call_group_id = %(source)s AND n > %(after)s AND status = ANY(%(statuses)s)
        AND (number LIKE %(first)s OR reverse(number) LIKE %(last)s)
    ORDER BY n LIMIT %(limit)s
"""


def expected_numbers(options: Options) -> int:
    """How many numbers a plan will look at, of those that the database holds; without counting rows."""
    if options.again:
        again = options.again
        tallies = Tally.objects.filter(call_group_id=again.call_group, status__in=again.wanted)
        # A filter by digits leaves fewer; how many shows when they are looked at.
        return tallies.aggregate(calls=Sum("calls"))["calls"] or 0
    return sum(ContactGroup.objects.filter(pk__in=options.contact_groups).values_list("size", flat=True))


def make_plan(request: CallRequest) -> None:
    """Write the plan of `request` and set its state to planned.

    Starts afresh if it was interrupted. Ends early, leaving the state alone, if the request was cancelled meanwhile.
    """
    options = Options.from_json(request.options)
    request.planned.all().delete()
    CallRequest.objects.filter(pk=request.pk, state=RequestState.PLANNING).update(
        seen=0, callable=0, duplicate=0, invalid=0, suppressed=0
    )
    if options.carrier_group:
        complete = True
    elif options.again or options.contact_groups:
        complete = _plan_steps(request, _sources(options))
    else:
        complete = _plan_entries(request, read_pasted(request.typed["numbers"], settings.DEFAULT_REGION))
    if complete:
        CallRequest.objects.filter(pk=request.pk, state=RequestState.PLANNING).update(state=RequestState.PLANNED)


def _progress(request: CallRequest, **counts: int) -> bool:
    """Add to the request's counts. False if it was cancelled, so that planning ends."""
    added: dict[str, Any] = {name: F(name) + count for name, count in counts.items()}
    return bool(CallRequest.objects.filter(pk=request.pk, state=RequestState.PLANNING).update(**added))


def _plan_entries(request: CallRequest, entries: Iterable[Entry]) -> bool:
    entries = list(entries)
    custom = [part.strip() for part in request.options["custom"].split(",") if part.strip()]
    numbers = [entry.number for entry in entries if entry.number]
    suppressed = dict(Suppression.objects.filter(number__in=numbers).values_list("number", "reason"))
    called: set[str] = set()
    rows = []
    for position, entry in enumerate(entries, 1):
        row = PlannedCall(
            request=request,
            position=position,
            number=entry.number or entry.text[:80],
            name=entry.name[:100],
            custom=custom[position - 1] if position <= len(custom) else "",
        )
        if entry.number is None:
            row.outcome, row.reason = Outcome.INVALID, entry.reason[:300]
        elif entry.number in suppressed:
            row.outcome, row.reason = Outcome.SUPPRESSED, suppressed[entry.number]
        elif entry.number in called:
            row.outcome, row.reason = Outcome.DUPLICATE, DUPLICATE_REASON
        else:
            row.outcome = Outcome.CALLABLE
            called.add(entry.number)
        rows.append(row)
    PlannedCall.objects.bulk_create(rows, batch_size=5_000)
    counts = {outcome.value: sum(row.outcome == outcome for row in rows) for outcome in Outcome}
    return _progress(request, seen=len(rows), **counts)


def _sources(options: Options) -> Iterable[tuple[str, dict[str, Any]]]:
    """The queries that give the numbers, each with its parameters."""
    if options.again:
        starts, ends = starts_and_ends(options.again.digits)
        yield (
            AGAIN_SQL,
            {
                "source": options.again.call_group,
                "statuses": list(options.again.wanted),
                "custom": options.custom,
                "first": f"{starts}%",
                "last": f"{ends[::-1]}%",
            },
        )
    for group in options.contact_groups:
        yield CONTACTS_SQL, {"source": group, "custom": options.custom}


def _plan_steps(request: CallRequest, sources: Iterable[tuple[str, dict[str, Any]]]) -> bool:
    """Plan rows that the database holds, a step at a time. False if the request was cancelled meanwhile."""
    offset = 0
    for source, parameters in sources:
        after = 0
        while True:
            after, seen = _insert_step(request, source, offset, after=after, **parameters)
            if not seen:
                break
            offset += seen
            if not _going_on(request):
                return False
    return _going_on(request)


def _insert_step(request: CallRequest, source: str, offset: int, /, **parameters: Any) -> tuple[int, int]:
    """Plan the rows of one step: the last key seen, and how many there were."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            INSERT_SQL.format(source=source),
            {"request": request.pk, "offset": offset, "limit": STEP, **parameters},
        )
        last, seen, may_call, duplicate, suppressed = cursor.fetchone()
        _progress(request, seen=seen, callable=may_call, duplicate=duplicate, suppressed=suppressed)
    return last, seen


def _going_on(request: CallRequest) -> bool:
    return CallRequest.objects.filter(pk=request.pk, state=RequestState.PLANNING).exists()
