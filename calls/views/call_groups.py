"""Call groups: the list, and one of them with its calls, live."""

import json
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode

from django.contrib.auth.decorators import permission_required
from django.db.models import QuerySet, Sum
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_safe

from calls.contacts.search import digits_of
from calls.dialing.attention import Unsettled, with_calls
from calls.dialing.explain import calls as count_of_calls
from calls.dialing.explain import explain
from calls.dialing.kept import can_override
from calls.dialing.situation import Situation, situations
from calls.exports.kinds import dropped_rows
from calls.forms.filters import STATES, CallGroupsFilter, CallsOfGroupFilter
from calls.models import (
    IVR,
    BatchState,
    Call,
    Callback,
    CallbackState,
    CallGroup,
    CallRequest,
    ContactGroup,
    GroupState,
    Outcome,
    Sound,
    User,
)
from calls.obd.statuses import COMPLETED, HELD, NOT_REACHED, OPEN, UNCONFIRMED
from calls.templatetags.looks import STATUS_ORDER, look_of
from calls.views.asked import searched_by, whole_query
from calls.views.paging import keyset
from calls.views.polling import Fragment, fragment_of, is_refresh, live, refreshed
from calls.views.site import worker_alive

PAGE = "call_groups/group.html"
GROUPS_ON_A_PAGE = 25
BATCHES_SHOWN = 10
CHILDREN_SHOWN = 10
CALLBACKS_COUNTED = 1_000
GROUPS_NAMED = 100

DROPPED = {
    Outcome.DUPLICATE: "Listed more than once",
    Outcome.INVALID: "Not a number, or never allowed by the calling rules",
    Outcome.SUPPRESSED: "On a suppression list",
    Outcome.CAPPED: "Called often enough that day",
}
"""What a plan leaves out, in words."""


# --- The list ------------------------------------------------------------------------------------------------------


@permission_required("calls.view_callgroup", raise_exception=True)
@require_safe
def call_groups(request: HttpRequest) -> HttpResponse:
    """The call groups that this user may see, newest first; refreshes itself while one of them is unfinished."""
    user, now = cast("User", request.user), timezone.now()
    form = CallGroupsFilter(request.GET, user)
    rows = form.narrow(CallGroup.objects.visible_to(user).select_related("owner", "state_by"), now)
    page = keyset(rows, request, "-id", size=GROUPS_ON_A_PAGE)
    known = situations(page.rows, now, worker_alive=worker_alive())
    context = {
        "form": form,
        "page": page,
        "rows": [(each, explain(each)) for each in known],
        "tabs": _state_tabs(request.GET),
        "any_at_all": bool(page.rows) or CallGroup.objects.visible_to(user).exists(),
        "state_word": STATES.get(request.GET.get("state", ""), ""),
    }
    unfinished = any(not group.ended_at for group in page.rows)
    return live(request, "call_groups/list.html", "rows", context, final=not unfinished)


def _state_tabs(query: QueryDict) -> list[dict[str, Any]]:
    chosen = query.get("state", "")
    return [
        {"label": label, "url": _address(query, state=state), "current": state == chosen}
        for state, label in [("", "All"), *STATES.items()]
    ]


def _address(query: QueryDict, **changes: str | list[str]) -> str:
    """The same page, on its first page, with other parameters."""
    kept = query.copy()
    for name in ("after", "before", "v"):
        kept.pop(name, None)
    for name, value in changes.items():
        kept.setlist(name, [value] if isinstance(value, str) else value)
        if not any(kept.getlist(name)):
            del kept[name]
    return f"?{kept.urlencode()}"


# --- One call group ------------------------------------------------------------------------------------------------


def visible_group(request: HttpRequest, pk: int) -> CallGroup:
    """The call group, if the user may see it. Raises Http404."""
    groups = CallGroup.objects.visible_to(request.user).select_related("owner", "state_by", "parent")
    return get_object_or_404(groups, pk=pk)


def situation_of(group: CallGroup) -> Situation:
    """Where the call group stands now."""
    return situations([group], timezone.now(), worker_alive=bool(group.ended_at) or worker_alive())[0]


@permission_required("calls.view_callgroup", raise_exception=True)
@searched_by("digits")
@require_safe
def call_group(request: HttpRequest, pk: int) -> HttpResponse:
    """One call group: what it does, its figures, its options, its calls."""
    group = visible_group(request, pk)
    user = cast("User", request.user)
    form = CallsOfGroupFilter(whole_query(request))
    context = {
        "group": group,
        "form": form,
        "summary": _summary(request, group).html,
        "calls": _calls(request, group, form).html,
        "tabs": _status_tabs(request.GET, form),
        "heard": heard_by(user, group.play),
        "contact_groups": named_for(user, group.contact_groups.all()),
        "parent": CallGroup.objects.visible_to(user).filter(pk=group.parent_id).first() if group.parent_id else None,
        "children": CallGroup.objects.visible_to(user).filter(parent=group).order_by("-pk")[:CHILDREN_SHOWN],
        "dropped": _dropped(group),
        "callbacks_failed": callbacks_failed(group) if group.callback else "",
        "meta_text": json.dumps(group.meta, ensure_ascii=False),
    }
    response = render(request, PAGE, context)
    patch_vary_headers(response, ["HX-Request"])
    return response


@permission_required("calls.view_callgroup", raise_exception=True)
@require_safe
def call_group_summary(request: HttpRequest, pk: int) -> HttpResponse:
    """The live part above the calls, for its refresh."""
    if not is_refresh(request):
        return redirect("call_group", pk)
    return refreshed(request, _summary(request, visible_group(request, pk)))


@permission_required("calls.view_callgroup", raise_exception=True)
@require_safe
@searched_by("digits")
def call_group_calls(request: HttpRequest, pk: int) -> HttpResponse:
    """The calls as the page's filter shows them, for their refresh."""
    if not is_refresh(request):
        return redirect(f"{reverse('call_group', args=[pk])}?{request.GET.urlencode()}")
    return refreshed(request, _calls(request, visible_group(request, pk), CallsOfGroupFilter(whole_query(request))))


def _every(situation: Situation) -> int:
    """Seconds between refreshes: few while calls run, more while the call group merely waits."""
    return 2 if situation.at_carrier or situation.state == "running" else 5


def _summary(request: HttpRequest, group: CallGroup) -> Fragment:
    situation = situation_of(group)
    unconfirmed: list[Any] = []
    if situation.unconfirmed:
        batches = group.batches.filter(state=BatchState.UNCONFIRMED).select_related("call_group").order_by("first")
        unconfirmed = [
            Unsettled(each, situation.carrier, situation.now) for each in with_calls(batches)[: BATCHES_SHOWN + 1]
        ]
    context = {
        "group": group,
        "situation": situation,
        "sentence": explain(situation),
        "every": _every(situation),
        "of_total": f"of {count_of_calls(group.total)}",
        "at_carrier": f"can't be taken back{f'; {situation.at_carrier:,} still open' if situation.at_carrier else ''}",
        "legend": _legend(situation),
        "unconfirmed": unconfirmed,
        "more_unconfirmed": len(unconfirmed) > BATCHES_SHOWN,
        "refused": _refused(situation),
        "settled": list(group.batches.exclude(settled="").order_by("-first")[: BATCHES_SHOWN + 1]),
        "can_pause": group.state == GroupState.RUNNING and _has_held(situation),
        "can_resume": not group.ended_at and group.state == GroupState.PAUSED,
        "can_override": request.user.has_perm("calls.override_rules") and can_override(group),
        "can_cancel": group.state != GroupState.CANCELLED and _has_held(situation),
    }
    path = reverse("call_group_summary", args=[group.pk])
    return fragment_of(request, PAGE, "summary", context, path=path, filtered=False, final=bool(group.ended_at))


def _has_held(situation: Situation) -> bool:
    """Whether anything can still be kept from the carrier: calls, or the request for a contact group that it holds."""
    group = situation.group
    asked_for = not group.total and (situation.pending or situation.unconfirmed)
    return not group.ended_at and bool(group.held or asked_for)


def _legend(situation: Situation) -> list[dict[str, Any]]:
    """Each status that calls have, with its number, and the address of those calls."""
    address = reverse("call_group", args=[situation.group.pk])
    return [
        {
            "look": look_of(status),
            "count": situation.tally[status],
            "url": f"{address}?{urlencode({'status': status})}#calls",
        }
        for status in STATUS_ORDER
        if situation.tally.get(status)
    ]


def _refused(situation: Situation) -> list[Any]:
    """Some batches to which the carrier said no; its answer is the reason."""
    if not situation.count("REJECTED") and situation.group.total:
        return []
    return list(situation.group.batches.filter(state=BatchState.REJECTED).order_by("first")[:3])


def _calls(request: HttpRequest, group: CallGroup, form: CallsOfGroupFilter) -> Fragment:
    page = keyset(form.listed(Call.objects.filter(call_group=group)), request, "n", search=form.search)
    context = {
        "group": group,
        "page": page,
        "form": form,
        "every": 2,
        "filtered": bool(form["digits"].value() or form["status"].value()),
        "query": _address(request.GET).removeprefix("?"),
        "again": _again(request, group, form),
    }
    path = reverse("call_group_calls", args=[group.pk])
    return fragment_of(request, PAGE, "calls", context, path=path, final=bool(group.ended_at))


def _again(request: HttpRequest, group: CallGroup, form: CallsOfGroupFilter) -> str:
    """Parameters of the start page that make the shown calls again; empty if none of them could be."""
    if not form.is_valid():
        return ""
    wanted = [status for status in form.statuses if status in NOT_REACHED]
    if form.statuses and not wanted:
        return ""
    # The digits as they came: in an address that somebody wrote, or as what stands for them.
    narrowed = {"digits": digits_of(request.GET.get("digits", "")), "about": request.GET.get("about", "")}
    chosen = {"again": str(group.pk), "status": ",".join(wanted)} | narrowed
    return urlencode({name: value for name, value in chosen.items() if value})


@dataclass(frozen=True)
class _Choice:
    label: str
    statuses: tuple[str, ...]


def _status_tabs(query: QueryDict, form: CallsOfGroupFilter) -> list[dict[str, Any]]:
    """Usual choices of statuses; another one that is in force gets a tab of its own."""
    in_order = [status for status in STATUS_ORDER if status in OPEN | NOT_REACHED]
    choices = [
        _Choice("All", ()),
        _Choice("Held", (HELD,)),
        _Choice("With the carrier", tuple(status for status in in_order if status in OPEN - {HELD, UNCONFIRMED})),
        _Choice("Reached", (COMPLETED,)),
        _Choice("Not reached", tuple(status for status in in_order if status in NOT_REACHED)),
    ]
    chosen = set(form.statuses) if form.is_valid() else set()
    if not any(chosen == set(choice.statuses) for choice in choices):
        others = tuple(status for status in STATUS_ORDER if status in chosen)
        choices.append(_Choice(", ".join(look_of(status).word for status in others), others))
    return [
        {
            "label": choice.label,
            "url": f"{_address(query, status=list(choice.statuses))}#calls",
            "current": form.is_valid() and chosen == set(choice.statuses),
        }
        for choice in choices
    ]


def heard_by(user: User, play: str) -> Sound | IVR | None:
    """The sound or IVR of that reference (`123.sound`), if the user may see it."""
    number, _, kind = play.partition(".")
    if kind == "sound":
        return Sound.objects.visible_to(user).filter(number=number).first()
    return IVR.objects.visible_to(user).filter(number=number).first() if kind == "ivr" else None


def named_for(user: User, groups: QuerySet[ContactGroup]) -> list[tuple[ContactGroup, bool]]:
    """The contact groups that are called, each with whether the user may open it."""
    called = list(groups[:GROUPS_NAMED])
    visible = ContactGroup.objects.visible_to(user).filter(pk__in=[each.pk for each in called])
    usable = set(visible.values_list("pk", flat=True))
    return [(each, each.pk in usable) for each in called]


# --- Callbacks that failed -----------------------------------------------------------------------------------------


def failed_callbacks(group: CallGroup) -> QuerySet[Callback]:
    """The callbacks of this call group that are not tried any more."""
    return Callback.objects.filter(call_group=group, state=CallbackState.FAILED)


def callbacks_failed(group: CallGroup) -> str:
    """Their number, in words; empty for none."""
    failed = len(failed_callbacks(group).values_list("pk")[: CALLBACKS_COUNTED + 1])
    return f"more than {CALLBACKS_COUNTED:,}" if failed > CALLBACKS_COUNTED else f"{failed:,}" if failed else ""


# --- What the plan left out ----------------------------------------------------------------------------------------


def _dropped(group: CallGroup) -> list[tuple[Outcome, str, int]]:
    names = [outcome.value for outcome in DROPPED]
    sums = CallRequest.objects.filter(call_group=group).aggregate(**{name: Sum(name) for name in names})
    return [(outcome, words, sums[outcome.value]) for outcome, words in DROPPED.items() if sums[outcome.value]]


@permission_required("calls.view_callgroup", raise_exception=True)
@require_safe
def call_group_dropped(request: HttpRequest, pk: int, outcome: str) -> HttpResponse:
    """The numbers that were not called, with the reason of each."""
    if outcome not in DROPPED:
        raise Http404
    group = visible_group(request, pk)
    page = keyset(dropped_rows(group, outcome), request, "position", "id")
    words = DROPPED[Outcome(outcome)]
    tabs = [
        {
            "label": each.label,
            "url": reverse("call_group_dropped", args=[pk, each]),
            "current": each == outcome,
            "count": n,
        }
        for each, _, n in _dropped(group)
    ]
    context = {"group": group, "page": page, "outcome": outcome, "words": words, "tabs": tabs}
    return render(request, "call_groups/dropped.html", context)
