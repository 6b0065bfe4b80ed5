"""Start: turn a planned call request into a call group with its calls and batches, in one transaction."""

import hashlib
import json
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from calls import audit
from calls.carriers import get_carrier
from calls.carriers.base import MAX_CALLS
from calls.dialing import rules
from calls.dialing.jobs import hand_over_new_later
from calls.dialing.locks import locked
from calls.dialing.places import UNKNOWN, place_of
from calls.dialing.request import Options
from calls.models import (
    IVR,
    APIKey,
    Batch,
    CallGroup,
    CallRequest,
    ContactGroup,
    GroupState,
    KeptBy,
    Outcome,
    PlannedCall,
    RequestState,
    User,
)

SUPPRESS_SQL = f"""
    UPDATE calls_plannedcall AS p SET outcome = 'suppressed', reason = {rules.ON_LIST_SQL}
    FROM calls_suppression AS s JOIN calls_suppressionlist AS l ON l.id = s.list_id
    WHERE p.request_id = %(request)s AND p.outcome = 'callable' AND s.number = p.number AND l.id = ANY(%(lists)s)
"""
CALLS_SQL = """
    WITH added AS (
        INSERT INTO calls_call (call_group_id, n, number, name, custom, status, word, carrier_id, retries, created_at,
            digits, timeline)
        SELECT %(group)s, %(base)s + row_number() OVER (ORDER BY place COLLATE "C", position), number, name, custom,
            'HELD', '', '', 0, %(now)s, '', '[]'
        FROM ({source}) AS s
        RETURNING n
    ), there AS (
        SELECT place, %(base)s + sum(calls) OVER (ORDER BY place COLLATE "C") - calls AS before, calls
        FROM (SELECT place, count(*) AS calls FROM ({source}) AS s GROUP BY place) AS counted
    )
    INSERT INTO calls_batch (call_group_id, first, last, due_at, state, place, kept_by, kept_under, lane, attempts,
        carrier_group, answer, checks)
    SELECT %(group)s, first, least(first + %(size)s - 1, before + calls), coalesce(until, %(due)s), 'pending', place,
        coalesce(kept_by, ''), %(kept_under)s, 0, 0, '', '', 0
    FROM there
        LEFT JOIN unnest(%(kept)s::text[], %(until)s::timestamptz[], %(kept_by)s::text[]) AS k (place, until, kept_by)
        USING (place),
        generate_series(before + 1, before + calls, %(size)s) AS first
    RETURNING due_at
"""
OVERLAP_SQL = """
    SELECT EXISTS (
        SELECT FROM ({source}) AS s JOIN calls_call AS c ON c.call_group_id = %(group)s AND c.number = s.number
    )
"""
PLANNED_SQL = """
    SELECT position, number, name, custom, place FROM calls_plannedcall
    WHERE request_id = %(request)s AND outcome = 'callable'
"""
LISTED_SQL = """
    SELECT position, number, '' AS name, custom, place
    FROM unnest(%(numbers)s::text[], %(customs)s::text[], %(number_places)s::text[])
        WITH ORDINALITY AS u (number, custom, place, position)
"""


@dataclass(frozen=True)
class Source:
    """Who is called: a query that gives `position`, `number`, `name`, `custom` and `place`; its parameters.

    `count` is how many these are, and `places` where they are.
    """

    sql: str
    parameters: dict[str, Any]
    count: int
    places: Collection[str]


@dataclass(frozen=True)
class Starter:
    """Who starts calls: a person in the browser, or a program with an API key of that person's."""

    user: User
    api_key: APIKey | None = None


class NotPlanned(Exception):
    """The call request was dropped meanwhile, or is not planned to its end."""


class CannotStart(Exception):
    """The call request can't be started any more; `str()` says why."""


class NobodyToCall(CannotStart):
    """All its numbers were suppressed since the plan."""


def start(request_id: uuid.UUID | str) -> CallGroup:
    """Start a planned call request and return its call group; the same one however often it is asked.

    Numbers that were suppressed since the plan are not called. Raises CannotStart if none is left, what they would
    hear is gone, or somebody called them again of whom the person who confirmed did not know; NotPlanned if the
    request was dropped or its plan is not complete.
    """
    with transaction.atomic():
        request = CallRequest.objects.select_for_update().get(pk=request_id)
        group = request.call_group or _start(request)
    if group is None:
        raise NobodyToCall("None of these numbers may be called.")
    return group


def start_listed(
    starter: Starter, options: Options, listed: Sequence[tuple[str, str]], checks: rules.Rules, now: datetime
) -> tuple[CallGroup, dict[str, int]]:
    """Start calls to these numbers (E.164, each once, none suppressed), each with its custom reference.

    They were planned by the caller with `checks` at `now` (aware), in this transaction. Returns the call group and the
    position in it that each number has. Raises CannotStart.
    """
    _hold_played(options.play)
    numbers = [number for number, _ in listed]
    places = [place_of(number) for number in numbers]
    parameters = {"numbers": numbers, "customs": [custom for _, custom in listed], "number_places": places}
    source = Source(LISTED_SQL, parameters, len(numbers), set(places))
    group = _call_group(starter, options, source, now)
    before = group.total
    _add_calls(group, options, source, checks, now)
    # Calls are in the order of their places first (CALLS_SQL); the sort keeps the order within one.
    order = sorted(range(len(numbers)), key=places.__getitem__)
    return group, {numbers[i]: n for n, i in enumerate(order, before + 1)}


def _start(request: CallRequest) -> CallGroup | None:
    """Start the locked `request`; None if there is nobody to call, which its plan then says."""
    if request.state not in (RequestState.PLANNED, RequestState.STARTING):
        raise NotPlanned("This call request can't be started: it was dropped, or is not planned to its end.")
    options = Options.from_json(request.options)
    if request.parent_id:
        _hold_parent(request, request.parent_id)
    _hold_played(options.play)
    now = timezone.now()
    checks = rules.rules_for(options, now, get_carrier(settings.CARRIER))
    newly_suppressed = _suppress(request, checks)
    request.callable -= newly_suppressed
    request.suppressed += newly_suppressed
    if newly_suppressed:
        request.rules = [*request.rules, rules.planned(checks, now)]
    if not request.callable and not options.carrier_group:
        request.state = RequestState.PLANNED
        request.save()
        return None
    source = Source(PLANNED_SQL, {"request": request.pk}, request.callable, request.places)
    group = _call_group(Starter(request.owner, request.api_key), options, source, now, request.parent)
    _add_calls(group, options, source, checks, now)
    request.call_group, request.state = group, RequestState.STARTED
    request.save()
    # What was dropped stays on record with its reason; what is called has become calls.
    PlannedCall.objects.filter(request=request, outcome=Outcome.CALLABLE).delete()
    return group


def _hold_parent(request: CallRequest, parent_id: int) -> None:
    """Let nobody else make calls of the parent again until these are there. Raises CannotStart if somebody just has."""
    parent = locked(parent_id)
    latest = last_again(parent)
    if latest and latest.pk != request.made_again_id:
        again = f"Calls of call group {parent.pk} were made again meanwhile, as call group {latest.pk}."
        raise CannotStart(f"{again} Nothing was started.")


def last_again(parent: CallGroup) -> CallGroup | None:
    """The last call group in which calls of `parent` were made again."""
    return parent.children.order_by("-pk").first()


def _hold_played(play: str) -> None:
    """Keep what is played from being deleted until its calls are there. Raises CannotStart if it is gone."""
    number, _, kind = play.partition(".")
    if not kind:
        return
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT FROM calls_{kind} WHERE number = %s FOR KEY SHARE", [number])
        if not cursor.rowcount:
            raise CannotStart(f"{play} was deleted: there is nothing to play.")


def _suppress(request: CallRequest, checks: rules.Rules) -> int:
    with connection.cursor() as cursor:
        cursor.execute(SUPPRESS_SQL, {"request": request.pk, "lists": list(checks.lists)})
        return int(cursor.rowcount)


def _call_group(
    starter: Starter, options: Options, source: Source, now: datetime, parent: CallGroup | None = None
) -> CallGroup:
    """The call group that the request's calls are listed in: a new one, or with `newgroup=0` a similar one."""
    alone = options.newgroup or options.again or options.carrier_group
    similarity = "" if alone else _similarity(starter, options, now)
    if similarity and (similar := _similar(similarity, source)):
        if options.contact_groups:
            similar.contact_groups.add(*ContactGroup.objects.filter(pk__in=options.contact_groups))
        _remember_opt_out_key(similar)
        audit.note(similar, calls=f"{source.count:,} added")
        return similar
    group = CallGroup.objects.create(
        owner=starter.user,
        api_key=starter.api_key,
        parent=parent,
        created_at=now,
        carrier=settings.CARRIER,
        traffic=options.traffic,
        campaign=options.campaign,
        play=options.play,
        opt_out_keys=IVR.objects.opt_out_key(options.play),
        message=options.message,
        retries=options.retries,
        newgroup=options.newgroup,
        schedule_time=options.schedule_time,
        delay=options.delay,
        waits=options.waits,
        meta=options.meta,
        callback=options.callback,
        carrier_group=options.carrier_group,
        custom=options.custom if options.carrier_group else "",
        similarity=similarity,
        due_at=options.due_at(now),
    )
    if options.contact_groups:
        group.contact_groups.set(ContactGroup.objects.filter(pk__in=options.contact_groups))
    return group


def _remember_opt_out_key(group: CallGroup) -> None:
    """It may have changed while all calls of the group, which is locked, were over: the IVR's trigger left it out."""
    key = IVR.objects.opt_out_key(group.play)
    if key and key not in group.opt_out_keys:
        CallGroup.objects.filter(pk=group.pk).update(opt_out_keys=group.opt_out_keys + key)


def _similar(similarity: str, source: Source) -> CallGroup | None:
    """The call group of similar requests that these calls can be listed in, locked; None if there is none."""
    with connection.cursor() as cursor:
        # Two similar requests at the same moment must not both open a group. Before the group is locked: two that
        # took these locks in another order each would wait for each other.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [similarity])
    group = CallGroup.objects.select_for_update(no_key=True).filter(similarity=similarity).order_by("-pk").first()
    # What overrides the calling rules was said of the calls that were there then.
    if group is None or group.state != GroupState.RUNNING or group.override_reason:
        return None
    return None if _overlaps(group, source) else group


def _similarity(starter: Starter, options: Options, now: datetime) -> str:
    """Digest of what makes requests similar: who, what, how and the day it is started (OBD-API.md, newgroup)."""
    same = {**options.as_json(), "custom": "", "contact_groups": []}
    day = timezone.localdate(now).isoformat()
    return hashlib.sha256(
        json.dumps([starter.user.pk, starter.api_key and starter.api_key.pk, day, settings.CARRIER, same]).encode()
    ).hexdigest()


def _overlaps(group: CallGroup, source: Source) -> bool:
    """Whether the group has one of the numbers already: a number is in a call group once."""
    with connection.cursor() as cursor:
        cursor.execute(OVERLAP_SQL.format(source=source.sql), {"group": group.pk, **source.parameters})
        return bool(cursor.fetchone()[0])


def _add_calls(group: CallGroup, options: Options, source: Source, checks: rules.Rules, now: datetime) -> None:
    """The call and batch rows, and the jobs that hand them over."""
    base, due_at = group.total, options.due_at(now)
    openings = _openings(checks, source, now)
    if options.carrier_group:
        until, kept_by = openings.get(UNKNOWN, (due_at, ""))
        batches = [until]
        kept: dict[str, Any] = {"due_at": until, "kept_by": kept_by, "kept_under": checks.digest}
        Batch.objects.create(call_group=group, first=1, last=0, **kept)
    else:
        with connection.cursor() as cursor:
            parameters: dict[str, Any] = {
                "group": group.pk,
                "base": base,
                "now": now,
                "due": due_at,
                "size": MAX_CALLS,
                "kept": list(openings),
                "until": [until for until, _ in openings.values()],
                "kept_by": [kept_by for _, kept_by in openings.values()],
                "kept_under": checks.digest,
            }
            cursor.execute(CALLS_SQL.format(source=source.sql), parameters | source.parameters)
            batches = [due for (due,) in cursor.fetchall()]
    first = min(batches)
    if first < group.due_at or (not base and first > group.due_at):
        group.due_at = first
        group.save(update_fields=["due_at"])
    hand_over_new_later(group, first, len(batches))


def _openings(checks: rules.Rules, source: Source, now: datetime) -> dict[str, tuple[datetime, KeptBy]]:
    """Until when calls are kept by calling hours, and why, by place; only where they are."""
    kept = {place: checks.kept(place, now) for place in source.places or [UNKNOWN]}
    return {place: (until, by) for place, (until, by) in kept.items() if until != checks.rings_at}
