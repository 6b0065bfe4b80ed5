"""Plan: decide for each number of a call request whether it would be called, before anything is (the preflight).

The result is a :class:`~calls.models.PlannedCall` row per number. What is `callable` there, and nothing else, is
what starting the request calls. Large requests are planned in a worker, in steps, so that progress shows.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Sum
from django.utils import timezone

from calls.carriers import get_carrier
from calls.contacts.entries import Entry, read_pasted
from calls.contacts.search import starts_and_ends
from calls.dialing.places import PLACES_SQL, place_of, place_parameters, place_sql
from calls.dialing.request import Options
from calls.dialing.rules import NO_GROUP, ON_LIST_SQL, RINGS_SQL, Rules, planned, rules_for
from calls.models import CallRequest, ContactGroup, Outcome, PlannedCall, RequestState, Tally

INLINE_LIMIT = 2_000
"""Up to this many numbers are planned, and started, while the person waits; more in a worker."""

STEP = 100_000
"""Rows per step, so per update of the progress bar."""

WORK_MEMORY = "64MB"
"""For sorting the rows of a step, and for a suppression list, without files."""

DUPLICATE_REASON = "Listed more than once; called once."
INSERT_SQL = f"""
    WITH {PLACES_SQL},
    step AS MATERIALIZED ({{source}}),
    judged AS (
        SELECT DISTINCT ON (step.key) step.*, {ON_LIST_SQL} AS reason
        FROM step LEFT JOIN (
            calls_suppression AS s JOIN calls_suppressionlist AS l ON l.id = s.list_id AND l.id = ANY(%(lists)s)
        ) ON s.number = step.number
        ORDER BY step.key, l.id
    ),
    planned AS (
        INSERT INTO calls_plannedcall (request_id, position, number, name, custom, place, outcome, reason)
        SELECT %(request)s, %(offset)s + row_number() OVER (ORDER BY key), j.number, j.name, j.custom,
            {place_sql("j.number")},
            CASE WHEN j.reason IS NOT NULL THEN 'suppressed' WHEN p.id IS NOT NULL THEN 'duplicate'
                ELSE 'callable' END,
            CASE WHEN j.reason IS NOT NULL THEN j.reason WHEN p.id IS NOT NULL THEN '{DUPLICATE_REASON}' ELSE '' END
        FROM judged AS j
        LEFT JOIN calls_plannedcall AS p
            ON %(may_repeat)s AND p.request_id = %(request)s AND p.number = j.number AND p.outcome = 'callable'
        RETURNING outcome, place
    )
    SELECT outcome, place, count(*), (SELECT max(key) FROM step) FROM planned GROUP BY outcome, place
"""
NEVER_SQL = """
    UPDATE calls_plannedcall AS p SET outcome = 'invalid', reason = n.reason
    FROM unnest(%(places)s::text[], %(reasons)s::text[]) AS n (place, reason)
    WHERE p.request_id = %(request)s AND p.outcome = 'callable' AND p.position > %(offset)s AND p.place = n.place
    RETURNING p.place
"""
STEP_NUMBERS_SQL = """
    (SELECT p.id, p.number, w.since, w.until FROM calls_plannedcall AS p
    JOIN unnest(%(places)s::text[], %(since)s::timestamptz[], %(until)s::timestamptz[]) AS w (place, since, until)
        USING (place)
    WHERE p.request_id = %(request)s AND p.outcome = 'callable' AND p.position > %(offset)s) AS n
"""
CAPPED_SQL = f"""
    SELECT p.id, p.place, coalesce(used.rings, 0) FROM calls_plannedcall AS p
    LEFT JOIN ({RINGS_SQL.format(key="n.id", numbers=STEP_NUMBERS_SQL)}) AS used USING (id)
    WHERE p.request_id = %(request)s AND p.outcome = 'callable' AND p.position > %(offset)s
        AND coalesce(used.rings, 0) + %(attempts)s > %(cap)s
"""
REASONS_SQL = """
    UPDATE calls_plannedcall AS p SET outcome = 'capped', reason = r.reason
    FROM unnest(%(ids)s::bigint[], %(reasons)s::text[]) AS r (id, reason) WHERE p.id = r.id
"""
CONTACTS_SQL = """
    SELECT id AS key, number, name, coalesce(nullif(%(custom)s, ''), custom) AS custom FROM calls_contact
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
    now = timezone.now()
    checks = rules_for(options, now, get_carrier(settings.CARRIER))
    request.planned.all().delete()
    request.places = {}
    afresh: dict[str, Any] = {"seen": 0, "places": {}, "rules": [planned(checks, now)]}
    afresh |= {outcome.value: 0 for outcome in Outcome}
    CallRequest.objects.filter(pk=request.pk, state=RequestState.PLANNING).update(**afresh)
    if options.carrier_group:
        complete = True
    elif options.again or options.contact_groups:
        complete = _plan_steps(request, checks, _sources(options))
    else:
        complete = _plan_entries(request, checks, read_pasted(request.typed["numbers"], settings.DEFAULT_REGION))
    if complete:
        CallRequest.objects.filter(pk=request.pk, state=RequestState.PLANNING).update(state=RequestState.PLANNED)


def _progress(request: CallRequest, places: Mapping[str, int], counts: Mapping[str, int]) -> bool:
    """Add to the request's counts, of which `seen` is the sum. False if it was cancelled, so that planning ends."""
    for place, calls in places.items():
        request.places[place] = request.places.get(place, 0) + calls
    added: dict[str, Any] = {name: F(name) + count for name, count in counts.items()}
    added |= {"seen": F("seen") + sum(counts.values()), "places": request.places}
    return bool(CallRequest.objects.filter(pk=request.pk, state=RequestState.PLANNING).update(**added))


def _plan_entries(request: CallRequest, checks: Rules, entries: Iterable[Entry]) -> bool:
    entries = list(entries)
    custom = [part.strip() for part in request.options["custom"].split(",") if part.strip()]
    refusals, _ = checks.refusals({entry.number for entry in entries if entry.number})
    called: set[str] = set()
    rows = []
    for position, entry in enumerate(entries, 1):
        row = PlannedCall(
            request=request,
            position=position,
            number=entry.number or entry.text[:80],
            name=entry.name[:100],
            custom=custom[position - 1] if position <= len(custom) else "",
            place=place_of(entry.number or ""),
        )
        if entry.number is None:
            row.outcome, row.reason = Outcome.INVALID, entry.reason[:300]
        elif refusal := refusals.get(entry.number):
            row.outcome, row.reason = refusal.outcome, refusal.reason
        elif entry.number in called:
            row.outcome, row.reason = Outcome.DUPLICATE, DUPLICATE_REASON
        else:
            row.outcome = Outcome.CALLABLE
            called.add(entry.number)
        rows.append(row)
    PlannedCall.objects.bulk_create(rows, batch_size=5_000)
    places = Counter(row.place for row in rows if row.outcome == Outcome.CALLABLE)
    return _progress(request, places, Counter(str(row.outcome) for row in rows))


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


def _plan_steps(request: CallRequest, checks: Rules, sources: Iterable[tuple[str, dict[str, Any]]]) -> bool:
    """Plan rows that the database holds, a step at a time. False if the request was cancelled meanwhile."""
    offset = 0
    for source, parameters in sources:
        # In a contact group, as in a call group, each number is once: only what came from another one can be repeated.
        after, parameters["may_repeat"] = 0, offset > 0
        while True:
            after, seen = _insert_step(request, checks, source, offset, after=after, **parameters)
            if not seen:
                break
            offset += seen
            if not _going_on(request):
                return False
    return _going_on(request)


def _insert_step(
    request: CallRequest, checks: Rules, source: str, offset: int, /, **parameters: Any
) -> tuple[int, int]:
    """Plan the rows of one step: the last key seen, and how many there were."""
    step = {"request": request.pk, "offset": offset}
    last = 0
    counts: Counter[str] = Counter()
    places: Counter[str] = Counter()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL work_mem = '{WORK_MEMORY}'")
        parameters |= step | place_parameters() | {"lists": list(checks.lists), "limit": STEP}
        cursor.execute(INSERT_SQL.format(source=source), parameters)
        for outcome, place, calls, key in cursor.fetchall():
            last = key
            counts[outcome] += calls
            places[place] += calls if outcome == Outcome.CALLABLE else 0
        for place, outcome in (*_drop_never(checks, step, places), *_drop_capped(checks, step, places)):
            places[place] -= 1
            counts[outcome] += 1
            counts[Outcome.CALLABLE] -= 1
        _progress(request, +places, counts)
    return last, counts.total()


def _drop_never(checks: Rules, step: dict[str, Any], places: Collection[str]) -> list[tuple[str, str]]:
    """Drop what is where nobody can be called: the place and new outcome of each."""
    never = [place for place in places if checks.opening(place) is None]
    if not never:
        return []
    with connection.cursor() as cursor:
        cursor.execute(NEVER_SQL, step | {"places": never, "reasons": [checks.never(place) for place in never]})
        return [(place, Outcome.INVALID) for (place,) in cursor.fetchall()]


def _drop_capped(checks: Rules, step: dict[str, Any], places: Collection[str]) -> list[tuple[str, str]]:
    """Drop what rings too often that day: the place and new outcome of each."""
    if checks.rule.cap is None or not places:
        return []
    days = [checks.day(place) for place in places]
    parameters = step | {
        "places": list(places),
        "since": [since for since, _ in days],
        "until": [until for _, until in days],
        "gap": checks.gap,
        "queues": bool(checks.cps),
        "but": NO_GROUP,
        "attempts": checks.attempts,
        "cap": checks.rule.cap,
    }
    with connection.cursor() as cursor:
        cursor.execute(CAPPED_SQL, parameters)
        found = cursor.fetchall()
        reasons = [checks.over_cap(int(rings)) for _, _, rings in found]
        cursor.execute(REASONS_SQL, {"ids": [pk for pk, _, _ in found], "reasons": reasons})
    return [(place, Outcome.CAPPED) for _, place, _ in found]


def _going_on(request: CallRequest) -> bool:
    return CallRequest.objects.filter(pk=request.pk, state=RequestState.PLANNING).exists()
