"""Calls: the search over all of them, and one call with its timeline and what was checked."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from calls.api.callbacks import values_of
from calls.dialing.changes import CARRIER, PORTAL
from calls.dialing.checked import record_of
from calls.forms.filters import CallsFilter
from calls.models import IVR, Batch, Call, Callback, CallbackState, CallGroup, ListRole, Suppression, User
from calls.obd.parameters import fill_callback
from calls.obd.statuses import FINAL, Status
from calls.views.asked import searched_by, whole_query
from calls.views.call_groups import visible_group
from calls.views.paging import keyset
from calls.views.polling import live

# --- All calls -----------------------------------------------------------------------------------------------------


@permission_required("calls.view_call", raise_exception=True)
@searched_by("digits")
@require_safe
def calls(request: HttpRequest) -> HttpResponse:
    """All calls that this user may see, newest first, as filtered; refreshes itself while one of them is open."""
    user, query = cast("User", request.user), whole_query(request)
    form = CallsFilter(query)
    rows = form.listed_for(user).select_related("call_group")
    page = keyset(rows, request, *form.order_for(user), search=form.search)
    filtered = any(query.get(name) for name in form.fields)
    context = {
        "form": form,
        "page": page,
        "filtered": filtered,
        "query": filter_query(request),
        "newcomer": not filtered and not page.rows,
        "open_statuses": bool(form.errors.get("status") or query.getlist("status")),
    }
    is_open = any(call.status not in FINAL for call in page.rows)
    return live(request, "calls/list.html", "rows", context, final=not is_open)


def filter_query(request: HttpRequest) -> str:
    """The parameters of the filter, without those of the page."""
    query = request.GET.copy()
    for name in ("after", "before", "v"):
        query.pop(name, None)
    return query.urlencode()


# --- One call ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Event:
    """Something that was learnt of a call: when (aware), its status then, from whom, in which word, with what note."""

    at: datetime
    status: str
    source: str
    word: str
    note: str

    @property
    def says_more(self) -> bool:
        """Whether the carrier's word tells more than the status."""
        return bool(self.word) and self.word != self.status


def timeline(call: Call, group: CallGroup) -> list[Event]:
    """The call's events in the order in which the portal learnt of them, from the start on."""
    if group.carrier_group:
        first = Event(call.created_at, Status.QUEUED, CARRIER, "", "The carrier named this call of its group.")
    else:
        first = Event(call.created_at, Status.HELD, str(group.owner), "", "Started; the call is held by the portal.")
    learnt = [
        Event(datetime.fromtimestamp(at, UTC), status, source, word, note)
        for at, status, source, word, note in call.timeline
    ]
    return [first, *learnt]


@permission_required("calls.view_call", raise_exception=True)
@require_safe
def call(request: HttpRequest, pk: int, n: int) -> HttpResponse:
    """One call with all that is known of it; refreshes itself until its status is final and its callback sent."""
    group = visible_group(request, pk)
    found = get_object_or_404(Call.objects.visible_to(request.user), call_group=group, n=n)
    found.call_group = group
    callback = Callback.objects.filter(call=found).first() if group.callback else None
    batch = _batch_of(group, n)
    context = {
        "group": group,
        "call": found,
        "status": Status(found.status),
        "events": timeline(found, group),
        "batch": batch,
        "record": record_of(found, batch),
        "confirmed_at": _confirmed_at(found, batch),
        "given_up": _given_up(found),
        "keys": _keys(cast("User", request.user), group, found),
        "suppressed": _suppressed(group, found),
        "callback": callback,
        "callback_url": fill_callback(group.callback, values_of(found, group)) if callback else "",
    }
    is_over = found.status in FINAL and not (callback and callback.state == CallbackState.PENDING)
    return live(request, "calls/call.html", "call", context, final=is_over)


def _batch_of(group: CallGroup, n: int) -> Batch | None:
    batch = group.batches.filter(first__lte=n).order_by("-first").first()
    # A group of the carrier's own is one batch, whose calls are learnt later.
    return batch if batch and (batch.last >= n or not batch.last) else None


def _confirmed_at(call: Call, batch: Batch | None) -> datetime | None:
    """When the carrier last confirmed this status, or that it has nothing newer; None if it never said anything."""
    told = [datetime.fromtimestamp(at, UTC) for at, _, source, *_ in call.timeline if source == CARRIER]
    answered = [batch.checked_at] if batch and batch.checked_at and call.handed_over_at else []
    return max([*told, *answered], default=None)


def _given_up(call: Call) -> str:
    """Why the portal ended a call of which the carrier never said how it ended; empty for all others."""
    if call.status != Status.EXPIRED or not call.timeline:
        return ""
    _, status, source, _, note = call.timeline[-1]
    return note if status == Status.EXPIRED and source == PORTAL else ""


def _keys(user: User, group: CallGroup, call: Call) -> list[tuple[str, Any]]:
    """Each key that was pressed, with what it means in this IVR, as far as the user may see that."""
    number, _, kind = group.play.partition(".")
    ivr = IVR.objects.visible_to(user).filter(number=number).first() if kind == "ivr" and call.digits else None
    return [(key, ivr.meaning(key) if ivr else "") for key in call.digits]


def _suppressed(group: CallGroup, call: Call) -> Suppression | None:
    """The number's row on the list that this call brought it to, or would have: by a key press, or DND."""
    if call.status == Status.DND and call.handed_over_at:
        role = ListRole.CARRIER
    elif call.digits and _opts_out(group, call.digits):
        role = ListRole.OPT_OUT
    else:
        return None
    return Suppression.objects.filter(number=call.number, list__role=role).select_related("list").first()


def _opts_out(group: CallGroup, digits: str) -> bool:
    """Whether an opt-out key that the IVR had since the calls were started is among those pressed."""
    return any(key in digits for key in group.opt_out_keys + IVR.objects.opt_out_key(group.play))
