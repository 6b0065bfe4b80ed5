"""Start calls: the form, the preflight, and the confirm that starts them."""

import uuid
from datetime import timedelta
from typing import Any, cast

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect

from calls import audit
from calls.contacts.search import digits_of
from calls.dialing.jobs import plan_later, start_later
from calls.dialing.plan import INLINE_LIMIT, expected_numbers, make_plan
from calls.dialing.preflight import preflight as make_preflight
from calls.dialing.request import Options
from calls.dialing.start import CannotStart, NotPlanned, last_again, start
from calls.forms.start import AGAIN, GROUPS, IVR_KIND, SOUND, StartForm
from calls.models import IVR, CallGroup, CallRequest, ContactGroup, Outcome, RequestState, Sound, User
from calls.views.asked import Forgotten, whole_query
from calls.views.call_groups import heard_by, named_for
from calls.views.paging import keyset
from calls.views.polling import is_refresh, live

PREFLIGHT_LASTS = timedelta(hours=1)
"""An older preflight shows whom one would have called then."""

TILES = {
    Outcome.CALLABLE: "each called once",
    Outcome.DUPLICATE: "listed more than once, called once",
    Outcome.INVALID: "not a number, or never allowed by the calling rules",
    Outcome.SUPPRESSED: "on a suppression list",
    Outcome.CAPPED: "called often enough that day",
}
"""What the preflight counts, and what that means."""


def _starter(request: HttpRequest) -> User:
    """The user, who may start calls. Raises PermissionDenied."""
    user = request.user
    if not isinstance(user, User) or not user.can_start_calls:
        raise PermissionDenied("Your profile does not let you start calls.")
    return user


@require_http_methods(["GET", "POST"])
def form(request: HttpRequest) -> HttpResponse:
    """The form; a valid one becomes a call request, whose preflight is shown next."""
    user = _starter(request)
    if request.method == "POST":
        filled = StartForm(request.POST, user=user)
        if filled.is_valid():
            return redirect("preflight", _new_request(user, filled).pk)
        return _show_form(request, filled)
    if "change" in request.GET:
        return _show_form(request, StartForm(_typed_before(user, request.GET["change"]), user=user))
    try:
        given = {name: str(text) for name, text in whole_query(request).items()}
    except Forgotten as error:
        # Without what was searched for, calls would be made again to more people than were shown.
        messages.error(request, f"{error} Search the calls again.")
        again = _whole(request.GET.get("again"))
        return redirect("call_group", again) if again else redirect("start")
    return _show_form(request, StartForm(user=user, initial=_initial(user, given)))


def _show_form(request: HttpRequest, filled: StartForm) -> HttpResponse:
    rare = ("scheduletime", "delay", "waits", "newgroup", "custom", "meta", "callback")
    opened = any(name in filled.errors or filled[name].value() not in (None, "", *_usual(name)) for name in rare)
    return render(request, "start/form.html", {"form": filled, "open_options": opened})


def _usual(name: str) -> tuple[Any, ...]:
    return {"waits": ("portal",), "newgroup": (True, "on"), "delay": ("0", 0)}.get(name, ())


def _typed_before(user: User, request_id: str) -> dict[str, Any]:
    try:
        return get_object_or_404(CallRequest.objects.visible_to(user), pk=uuid.UUID(request_id)).typed  # type: ignore[no-any-return]
    except ValueError:
        raise Http404 from None


def _initial(user: User, given: dict[str, str]) -> dict[str, Any]:
    """What links from other pages fill in: `group`, `play`, or `again` with `status` and `digits`."""
    group = ContactGroup.objects.visible_to(user).filter(pk=_whole(given.get("group"))).first()
    initial: dict[str, Any] = {"who": GROUPS, "groups": [group.pk]} if group else {}
    number, _, kind = given.get("play", "").partition(".")
    if sound := kind == "sound" and Sound.objects.visible_to(user).filter(number=_whole(number)).first():
        initial |= {"heard": SOUND, "sound": sound.pk}
    if ivr := kind == "ivr" and IVR.objects.visible_to(user).filter(number=_whole(number)).first():
        initial |= {"heard": IVR_KIND, "ivr": ivr.pk}
    if _whole(given.get("again")):
        initial |= _initial_again(user, given)
    return initial


def _whole(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 19 else 0


def _initial_again(user: User, given: dict[str, str]) -> dict[str, Any]:
    parent = get_object_or_404(CallGroup.objects.visible_to(user), pk=_whole(given["again"]))
    initial: dict[str, Any] = {
        "who": AGAIN,
        "again_group": parent.pk,
        "again_statuses": given.get("status", ""),
        "again_digits": digits_of(given.get("digits", "")),
        "campaign": parent.campaign,
        "traffic": parent.traffic,
        "retries": str(parent.retries),
        "message": parent.message,
        "heard": "message" if parent.message else SOUND,
    }
    return initial | _initial(user, {"play": parent.play})


def _new_request(user: User, filled: StartForm) -> CallRequest:
    """Keep the call request, and plan it: now, or in a worker if it is large."""
    typed = filled.typed()
    with transaction.atomic():
        request = CallRequest.objects.create(
            owner=user,
            typed=typed,
            options=filled.options.as_json(),
            parent=filled.parent if filled.options.again else None,
            expected=filled.typed_numbers or expected_numbers(filled.options),
        )
        if request.expected <= INLINE_LIMIT:
            make_plan(request)
        else:
            plan_later(request)
    return request


@require_GET
def preflight(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """What the call request would do; while it is planned or started in a worker, how far that is."""
    asked = get_object_or_404(CallRequest.objects.visible_to(request.user), pk=pk)
    if asked.call_group_id:
        done = HttpResponseClientRedirect if is_refresh(request) else redirect
        return done(reverse("call_group", args=[asked.call_group_id]))
    working = asked.state in (RequestState.PLANNING, RequestState.STARTING)
    context: dict[str, Any] = {"asked": asked, "options": Options.from_json(asked.options), "working": working}
    if asked.state == RequestState.PLANNED:
        context["preflight"] = make_preflight(asked, timezone.now())
        tiles = [(outcome, getattr(asked, outcome), note) for outcome, note in TILES.items()]
        # Where there is no cap, nobody asks how many it kept away.
        context["tiles"] = [tile for tile in tiles if tile[1] or tile[0] != Outcome.CAPPED]
        context["made_again"] = _last_again(asked)
        options, user = context["options"], cast("User", request.user)
        context["heard"] = heard_by(user, options.play)
        context["contact_groups"] = named_for(user, ContactGroup.objects.filter(pk__in=options.contact_groups))
        context["may_start"] = isinstance(request.user, User) and request.user.can_start_calls
    return live(request, "start/preflight.html", "plan", context, final=not working)


@require_GET
def numbers(request: HttpRequest, pk: uuid.UUID, outcome: str) -> HttpResponse:
    """The numbers of a call request with one outcome, in pages."""
    asked = get_object_or_404(CallRequest.objects.visible_to(request.user), pk=pk)
    if outcome not in Outcome.values:
        raise Http404
    page = keyset(asked.planned.filter(outcome=outcome), request, "position")
    return render(request, "start/numbers.html", {"asked": asked, "outcome": Outcome(outcome), "page": page})


@require_POST
def confirm(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Start the call request, once: whoever presses again lands on what was started.

    What was true at the form may have changed: it is all checked again, and nothing that was typed is lost.
    """
    asked = get_object_or_404(CallRequest.objects.visible_to(request.user), pk=pk)
    if asked.state in (RequestState.STARTING, RequestState.STARTED):
        messages.info(request, "These calls were started already. Nothing was started twice.")
        return redirect("preflight", pk)
    user = _starter(request)
    filled = StartForm(asked.typed, user=user, now=asked.created_at)
    if not filled.is_valid():
        messages.error(request, "Something has changed since you filled this in. Nothing was started.")
        return _show_form(request, filled)
    if asked.created_at < timezone.now() - PREFLIGHT_LASTS:
        messages.warning(request, "This preflight is old, and contacts may have changed. Check once more.")
        return redirect(f"{reverse('start')}?change={asked.pk}")
    asked.made_again_id = _last_again(asked)
    if request.POST.get("made_again", "") != str(asked.made_again_id or ""):
        messages.warning(request, "Somebody made these calls again just now. Nothing was started; look once more.")
    elif _others_start(asked):
        messages.warning(request, "Somebody is making these calls again just now. Nothing was started; look once more.")
    elif asked.state == RequestState.PLANNED:
        _start(request, asked)
    return redirect("preflight", pk)


def _last_again(asked: CallRequest) -> int | None:
    """The last call group in which the same calls were made again: another one, if somebody did while this was read."""
    latest = last_again(asked.parent) if asked.parent else None
    return latest.pk if latest else None


def _others_start(asked: CallRequest) -> bool:
    """Whether a worker is about to make calls of the same parent again; what is old by now has failed for good."""
    recent = CallRequest.objects.filter(created_at__gt=timezone.now() - 2 * PREFLIGHT_LASTS)
    others = recent.filter(parent=asked.parent_id, state=RequestState.STARTING).exclude(pk=asked.pk)
    return bool(asked.parent_id) and others.exists()


def _start(request: HttpRequest, asked: CallRequest) -> None:
    planned = CallRequest.objects.filter(pk=asked.pk, state=RequestState.PLANNED)
    if asked.callable > INLINE_LIMIT:
        with transaction.atomic():
            if planned.update(
                state=RequestState.STARTING, made_again=asked.made_again_id, confirmed_from=audit.address()
            ):
                start_later(asked)
        return
    planned.update(made_again=asked.made_again_id)
    try:
        group = start(asked.pk)
    except (CannotStart, NotPlanned) as error:
        CallRequest.objects.filter(pk=asked.pk, state=RequestState.STARTING).update(state=RequestState.PLANNED)
        messages.error(request, str(error))
    else:
        messages.success(request, f"Started as call group {group.pk}.")


@require_POST
def cancel(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Drop a call request that was not started; the form shows again what was typed."""
    asked = get_object_or_404(CallRequest.objects.visible_to(request.user), pk=pk)
    droppable = CallRequest.objects.filter(pk=pk, state__in=[RequestState.PLANNING, RequestState.PLANNED])
    if not droppable.update(state=RequestState.CANCELLED):
        return redirect("preflight", asked.pk)
    messages.info(request, "Nothing was started.")
    return redirect(f"{reverse('start')}?change={asked.pk}")
