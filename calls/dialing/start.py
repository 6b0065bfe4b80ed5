"""Start: turn a planned call request into a call group with its calls and batches, in one transaction."""

import hashlib
import json
import uuid
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from calls.carriers.base import MAX_CALLS
from calls.dialing.jobs import hand_over_later
from calls.dialing.locks import locked
from calls.dialing.request import Options
from calls.models import Batch, CallGroup, CallRequest, ContactGroup, GroupState, Outcome, PlannedCall, RequestState

SUPPRESS_SQL = """
    UPDATE calls_plannedcall AS p SET outcome = 'suppressed', reason = s.reason
    FROM calls_suppression AS s
    WHERE p.request_id = %s AND p.outcome = 'callable' AND s.number = p.number
"""
CALLS_SQL = """
    INSERT INTO calls_call (call_group_id, n, number, name, custom, status, word, carrier_id, retries, created_at,
        digits, timeline)
    SELECT %(group)s, %(base)s + row_number() OVER (ORDER BY position), number, name, custom, 'HELD', '', '', 0,
        %(now)s, '', '[]'
    FROM calls_plannedcall WHERE request_id = %(request)s AND outcome = 'callable'
"""
OVERLAP_SQL = """
    SELECT EXISTS (
        SELECT FROM calls_plannedcall AS p JOIN calls_call AS c ON c.call_group_id = %s AND c.number = p.number
        WHERE p.request_id = %s AND p.outcome = 'callable'
    )
"""


class NotPlanned(Exception):
    """The call request was dropped meanwhile, or is not planned to its end."""


class CannotStart(Exception):
    """The call request can't be started any more; `str()` says why."""


def start(request_id: uuid.UUID | str) -> CallGroup:
    """Start a planned call request and return its call group; the same one however often it is asked.

    Numbers that were suppressed since the plan are not called. Raises CannotStart if none is left
    or what they would hear is gone, NotPlanned if the request was dropped or its plan is not complete.
    """
    with transaction.atomic():
        request = CallRequest.objects.select_for_update().get(pk=request_id)
        group = request.call_group or _start(request)
    if group is None:
        raise CannotStart("None of these numbers may be called.")
    return group


def _start(request: CallRequest) -> CallGroup | None:
    """Start the locked `request`; None if there is nobody to call, which its plan then says."""
    if request.state not in (RequestState.PLANNED, RequestState.STARTING):
        raise NotPlanned("This call request can't be started: it was dropped, or is not planned to its end.")
    options = Options.from_json(request.options)
    _hold_played(options.play)
    newly_suppressed = _suppress(request)
    request.callable -= newly_suppressed
    request.suppressed += newly_suppressed
    if not request.callable and not options.carrier_group:
        request.state = RequestState.PLANNED
        request.save()
        return None
    now = timezone.now()
    group = _call_group(request, options, now)
    _add_calls(group, request, options, now)
    request.call_group, request.state = group, RequestState.STARTED
    request.save()
    # What was dropped stays on record with its reason; what is called has become calls.
    PlannedCall.objects.filter(request=request, outcome=Outcome.CALLABLE).delete()
    return group


def _hold_played(play: str) -> None:
    """Keep what is played from being deleted until its calls are there. Raises CannotStart if it is gone."""
    number, _, kind = play.partition(".")
    if not kind:
        return
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT FROM calls_{kind} WHERE number = %s FOR KEY SHARE", [number])
        if not cursor.rowcount:
            raise CannotStart(f"{play} was deleted: there is nothing to play.")


def _suppress(request: CallRequest) -> int:
    with connection.cursor() as cursor:
        cursor.execute(SUPPRESS_SQL, [request.pk])
        return int(cursor.rowcount)


def _call_group(request: CallRequest, options: Options, now: datetime) -> CallGroup:
    """The call group that the request's calls are listed in: a new one, or with `newgroup=0` a similar one."""
    alone = options.newgroup or options.again or options.carrier_group
    similarity = "" if alone else _similarity(request, options, now)
    if similarity:
        with connection.cursor() as cursor:
            # Two similar requests at the same moment must not both open a group.
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [similarity])
        similar = CallGroup.objects.filter(similarity=similarity).order_by("-pk").first()
        if similar:
            group = locked(similar.pk)
            if group.state == GroupState.RUNNING and not _overlaps(group, request):
                group.contact_groups.add(*ContactGroup.objects.filter(pk__in=options.contact_groups))
                return group
    group = CallGroup.objects.create(
        owner=request.owner,
        parent=request.parent,
        created_at=now,
        carrier=settings.CARRIER,
        campaign=options.campaign,
        play=options.play,
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
    group.contact_groups.set(ContactGroup.objects.filter(pk__in=options.contact_groups))
    return group


def _similarity(request: CallRequest, options: Options, now: datetime) -> str:
    """Digest of what makes requests similar: who, what, how and the day it is started (OBD-API.md, newgroup)."""
    same = {**options.as_json(), "custom": "", "contact_groups": []}
    day = timezone.localdate(now).isoformat()
    return hashlib.sha256(json.dumps([request.owner_id, day, settings.CARRIER, same]).encode()).hexdigest()


def _overlaps(group: CallGroup, request: CallRequest) -> bool:
    """Whether the group has one of the numbers already: a number is in a call group once."""
    with connection.cursor() as cursor:
        cursor.execute(OVERLAP_SQL, [group.pk, request.pk])
        return bool(cursor.fetchone()[0])


def _add_calls(group: CallGroup, request: CallRequest, options: Options, now: datetime) -> None:
    """The call and batch rows, and the jobs that hand them over."""
    base, due_at = group.total, options.due_at(now)
    if options.carrier_group:
        Batch.objects.create(call_group=group, first=1, last=0, due_at=due_at)
    else:
        with connection.cursor() as cursor:
            cursor.execute(CALLS_SQL, {"group": group.pk, "base": base, "request": request.pk, "now": now})
            end = base + cursor.rowcount
        Batch.objects.bulk_create(
            Batch(call_group=group, first=first, last=min(first + MAX_CALLS - 1, end), due_at=due_at)
            for first in range(base + 1, end + 1, MAX_CALLS)
        )
    hand_over_later(group.pk, due_at)
