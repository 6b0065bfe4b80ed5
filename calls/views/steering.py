"""Steering one call group: pause, resume, cancel what is held, override the calling rules, settle what is unconfirmed
(DESIGN.md, rules 1, 2)."""

from collections.abc import Callable
from datetime import timedelta
from typing import cast

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST

from calls.dialing import steer
from calls.dialing.attention import Unsettled, with_calls
from calls.dialing.changes import calls_of
from calls.dialing.kept import can_override, kept_places
from calls.forms.filters import PlacedForm
from calls.forms.override import OverrideForm
from calls.models import BatchState, CallGroup, CarrierState, GroupState, User
from calls.views.call_groups import situation_of, visible_group

NUMBERS_SHOWN = 10
PLACES_SHOWN = 10

may_steer = permission_required("calls.change_callgroup", raise_exception=True)


@may_steer
@require_POST
def call_group_pause(request: HttpRequest, pk: int) -> HttpResponse:
    """Hand over nothing more until somebody resumes."""
    group = visible_group(request, pk)
    return _act(
        request, group, lambda user: steer.pause(pk, user), "Paused: nothing more is handed over until you resume."
    )


@may_steer
@require_POST
def call_group_resume(request: HttpRequest, pk: int) -> HttpResponse:
    """Go on handing over."""
    group = visible_group(request, pk)
    return _act(request, group, lambda user: steer.resume(pk, user), "Resumed: held calls go out again.")


@may_steer
@require_http_methods(["GET", "HEAD", "POST"])
def call_group_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Cancel what is held, after showing how many calls that are and how many can't be taken back."""
    group = visible_group(request, pk)
    if request.method == "POST":
        return _act(request, group, lambda user: steer.cancel(pk, user), "Cancelled: nothing more is handed over.")
    situation = situation_of(group)
    possible = not group.ended_at and group.state != GroupState.CANCELLED
    return render(request, "call_groups/cancel.html", {"group": group, "situation": situation, "possible": possible})


@permission_required("calls.override_rules", raise_exception=True)
@require_http_methods(["GET", "HEAD", "POST"])
def call_group_override(request: HttpRequest, pk: int) -> HttpResponse:
    """Make the calls that calling hours keep, for a typed reason, after showing when they would ring there."""
    group = visible_group(request, pk)
    form = OverrideForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        return _act(
            request,
            group,
            lambda user: steer.override(pk, user, form.cleaned_data["reason"]),
            "The calling rules are overridden: these calls are made. Your reason is on record.",
        )
    places = kept_places(group, timezone.now()) if can_override(group) else []
    context = {
        "group": group,
        "form": form,
        "places": places[:PLACES_SHOWN],
        "more_places": len(places[PLACES_SHOWN:]),
        "calls": sum(each.calls for each in places),
        "hours": steer.OVERRIDE_LASTS // timedelta(hours=1),
        "nothing": _nothing_to_override(group),
    }
    return render(request, "call_groups/override.html", context)


def _nothing_to_override(group: CallGroup) -> str:
    if group.state == GroupState.PAUSED:
        return "The call group is paused. Resume it first: what is overridden is made now, or not at all."
    return "No call of this call group waits for calling hours: there is nothing to override."


@may_steer
@require_http_methods(["GET", "HEAD", "POST"])
def call_group_settle(request: HttpRequest, pk: int, batch: int, *, placed: bool) -> HttpResponse:
    """Say what became of an unconfirmed batch, after showing what is known of it."""
    group = visible_group(request, pk)
    unsettled = get_object_or_404(with_calls(group.batches.all()), pk=batch)
    form = PlacedForm(request.POST if placed and request.method == "POST" else None)
    if request.method == "POST" and (not placed or form.is_valid()):
        carrier_group = form.cleaned_data["carrier_group"] if placed else ""
        done = "these calls are followed from now on" if placed else "these calls are held again and handed over"
        return _act(
            request,
            group,
            lambda user: steer.settle(unsettled.pk, user, placed=placed, carrier_group=carrier_group),
            f"Settled: {done}.",
        )
    unsettled.call_group = group
    carrier = CarrierState.objects.filter(name=group.carrier).first()
    shown = Unsettled(unsettled, carrier, timezone.now())
    context = {
        "group": group,
        "batch": unsettled,
        "some": calls_of(unsettled).filter(n__in=shown.places[:NUMBERS_SHOWN]).order_by("n"),
        "placed": placed,
        "form": form,
        "possible": unsettled.state == BatchState.UNCONFIRMED,
        "unsettled": shown,
        "carrier": carrier,
        "back": _back(request, group),
    }
    return render(request, "call_groups/settle.html", context)


def _act(request: HttpRequest, group: CallGroup, act: Callable[[User], None], done: str) -> HttpResponse:
    """Do it and say so; or say why it isn't possible, which it may have become since the page was shown."""
    try:
        act(cast("User", request.user))
    except steer.NotPossible as error:
        messages.error(request, str(error))
    else:
        messages.success(request, done)
    return redirect(_back(request, group))


def _back(request: HttpRequest, group: CallGroup) -> str:
    """Where to go on: the page that led here (`next`), else the call group's."""
    came_from = request.GET.get("next", "")
    if url_has_allowed_host_and_scheme(came_from, allowed_hosts=None):
        return came_from
    return reverse("call_group", args=[group.pk])
