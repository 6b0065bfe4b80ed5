"""`voice.status` and `voice.groupstatus`: what became of calls (OBD-API.md). They read our database only."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, Q, QuerySet
from django.db.models.functions import JSONObject
from django.http import HttpRequest
from django.utils import timezone

from calls.api.context import context
from calls.api.errors import ApiError
from calls.contacts.numbers import dialable
from calls.models import APIKey, Call, CallGroup, Tally
from calls.obd.parameters import MAX_NUMBERS, clean_groupstatus, clean_status
from calls.obd.replies import SUCCESS, Reply, Row
from calls.obd.statuses import FINAL, Status
from calls.obd.values import CallId, StatusParameters


class Known(NamedTuple):
    """What an answer tells of a call; the fields are columns, in the order that they are read."""

    call_group_id: int
    n: int
    number: str
    status: str
    handed_over_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    duration: int | None
    retries: int
    digits: str
    custom: str
    call_group__due_at: datetime


def voice_status(_request: HttpRequest, key: APIKey, parameters: Mapping[str, str]) -> Reply:
    """The calls with these IDs, in the order asked. Raises ApiError 403, or 404 if one isn't there for this key."""
    _may_see_calls(key)
    asked = clean_status(parameters, context())
    found = _find(key, asked)
    rows: dict[CallId, Known] = {}
    for wanted in asked.ids:
        meant = found.get(wanted.group, {})
        if wanted.n is not None:
            meant = {wanted: meant[wanted]} if wanted in meant else {}
        if not meant and not asked.mobile and not _is_empty_group(key, wanted):
            raise ApiError(404, f"id: there is no call {wanted}")
        rows |= meant
    if asked.mobile and not rows:
        raise ApiError(404, "mobile: none of these calls is to that number")
    now = timezone.now()
    return Reply(SUCCESS, "OK", rows=tuple(row_of(call, now) for call in rows.values()))


def _may_see_calls(key: APIKey) -> None:
    if not key.user.has_perm("calls.view_call"):
        raise ApiError(403, "The role of this API key's user does not allow to see calls.")


def _find(key: APIKey, asked: StatusParameters) -> dict[int, dict[CallId, Known]]:
    """The calls asked for by call group, in their order, in one query; of a call group the first ones."""
    single, whole = Q(pk__in=[]), [each.group for each in asked.ids if each.n is None]
    for each in asked.ids:
        if each.n is not None:
            single |= Q(call_group=each.group, n=each.n)
    # Among all calls of a group there is one to a number.
    of_groups = Q(call_group__in=whole, number=asked.mobile) if asked.mobile else Q(n__lte=MAX_NUMBERS)
    calls = Call.objects.visible_to(key.user).filter(single | Q(call_group__in=whole) & of_groups if whole else single)
    if asked.mobile:
        calls = calls.filter(number=asked.mobile)
    found: dict[int, dict[CallId, Known]] = {}
    for call in _known(calls.order_by("call_group", "n"), MAX_NUMBERS * (len(whole) + 1)):
        found.setdefault(call.call_group_id, {})[CallId(call.call_group_id, call.n)] = call
    return found


def _is_empty_group(key: APIKey, wanted: CallId) -> bool:
    """Whether this is a call group whose calls only the carrier knows yet."""
    return wanted.n is None and CallGroup.objects.visible_to(key.user).filter(pk=wanted.group).exists()


def _known(calls: QuerySet[Call], limit: int) -> list[Known]:
    return [Known(*row) for row in calls.values_list(*Known._fields)[:limit]]


def voice_groupstatus(_request: HttpRequest, key: APIKey, parameters: Mapping[str, str]) -> Reply:
    """The calls of a call group, in pages, with their number by status. Raises ApiError 403 or 404."""
    _may_see_calls(key)
    asked = clean_groupstatus(parameters, context())
    tallies = Tally.objects.filter(call_group=OuterRef("pk"), calls__gt=0).values(
        each=JSONObject(s="status", n="calls")
    )
    groups = CallGroup.objects.visible_to(key.user).annotate(tallied=ArraySubquery(tallies))
    group = groups.filter(pk=asked.group).first()
    if group is None:
        raise ApiError(404, f"groupid: there is no call group {asked.group}")
    if asked.campaign and asked.campaign != group.campaign:
        raise ApiError(404, f"campaign: call group {asked.group} has another one")
    calls = _known(Call.objects.filter(call_group=group, n__gt=asked.after).order_by("n"), asked.limit + 1)
    more, calls = len(calls) > asked.limit, calls[: asked.limit]
    now = timezone.now()
    tallied = {each["s"]: each["n"] for each in group.tallied}  # type: ignore[attr-defined]
    return Reply(
        SUCCESS,
        "OK",
        group_id=str(group.pk),
        rows=tuple(row_of(call, now) for call in calls),
        total=group.total,
        next=f"{group.pk}-{calls[-1].n}" if more else "",
        summary=_summary(tallied, group.due_at, now),
    )


def _summary(tallied: Mapping[str, int], due_at: datetime, now: datetime) -> dict[str, int]:
    summary: dict[str, int] = {}
    for status in filter(tallied.get, Status):
        word = word_of(status, due_at, now)
        summary[word] = summary.get(word, 0) + tallied[status]
    return summary


def word_of(status: str, due_at: datetime, now: datetime) -> str:
    """The status as the API says it: a held call is SCHEDULED or QUEUED, whatever the portal does with it."""
    if status == Status.HELD:
        return "SCHEDULED" if due_at > now else "QUEUED"
    return "QUEUED" if status == Status.SENDING else status


def row_of(call: Known, now: datetime) -> Row:
    """One call of an answer, seen at `now` (aware)."""
    ended = call.status in FINAL
    return Row(
        id=f"{call.call_group_id}-{call.n}",
        mobile=mobile_of(call.number),
        status=word_of(call.status, call.call_group__due_at, now),
        senttime=stamp(call.handed_over_at),
        answertime=stamp(call.answered_at),
        endtime=stamp(call.ended_at),
        duration=call.duration,
        retries=call.retries if ended else None,
        digits=call.digits,
        custom=call.custom,
    )


def mobile_of(number: str) -> str:
    """A number (E.164) as the API writes it: national for DEFAULT_REGION, else international digits."""
    return dialable(number, settings.DEFAULT_REGION)


def stamp(at: datetime | None) -> str:
    """An aware time as the API writes it, in TIME_ZONE; empty for none."""
    return f"{timezone.localtime(at):%Y-%m-%d %H:%M:%S}" if at else ""
