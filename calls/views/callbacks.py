"""Callbacks: which were delivered, which not and why, and sending failed ones again."""

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from calls import audit
from calls.api.callbacks import url_of
from calls.api.signing import secret_of
from calls.dialing.jobs import callbacks_after_commit
from calls.forms.callbacks import STATES, CallbacksFilter
from calls.models import Callback, CallbackState, CallGroup, User
from calls.views.call_groups import callbacks_failed, failed_callbacks, visible_group
from calls.views.paging import keyset
from calls.views.polling import live


@never_cache
@permission_required("calls.view_call", raise_exception=True)
@require_safe
def callbacks(request: HttpRequest) -> HttpResponse:
    """The callbacks that this user may see, newest first; refreshes itself while one of them is pending."""
    user, form = cast("User", request.user), CallbacksFilter(request.GET)
    order = ("-call_group_id", "-id") if form.by_group(user) else ("-id",)
    rows = form.narrow_for(user).select_related("call", "call_group")
    page = keyset(rows, request, *order)
    filtered = any(request.GET.get(name) for name in form.fields)
    context = {
        "form": form,
        "page": page,
        "rows": [(each, url_of(each)) for each in page.rows],
        "tabs": _tabs(request.GET),
        "filtered": filtered,
        "group": _failing_group(user, form),
        "newcomer": not filtered and not page.rows,
        "here": f"{request.path}?{_without_version(request.GET)}",
        "secret": secret_of(user),
    }
    final = not any(each.state == CallbackState.PENDING for each in page.rows)
    return live(request, "callbacks/list.html", "rows", context, final=final)


def _without_version(query: QueryDict) -> str:
    """The parameters of the page, whether it is shown or refreshed."""
    kept = query.copy()
    kept.pop("v", None)
    return kept.urlencode()


def _tabs(query: QueryDict) -> list[dict[str, Any]]:
    chosen, call = query.get("state", ""), query.get("call", "")
    tabs = []
    for state, label in [("", "All"), *STATES.items()]:
        kept = QueryDict(mutable=True)
        kept.update({name: value for name, value in (("call", call), ("state", state)) if value})
        tabs.append({"label": label, "url": f"?{kept.urlencode()}", "current": state == chosen})
    return tabs


def _failing_group(user: User, form: CallbacksFilter) -> tuple[CallGroup, str] | None:
    """The call group that the filter asks for, if callbacks of it failed, with their number."""
    call = form.cleaned_data["call"] if form.is_valid() else None
    group = CallGroup.objects.visible_to(user).filter(pk=call.group).first() if call and call.n is None else None
    failed = callbacks_failed(group) if group else ""
    return (group, failed) if group and failed else None


@permission_required("calls.change_callgroup", raise_exception=True)
@require_POST
def callback_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Send a failed callback again; for 24 hours more, if it fails again."""
    callback = get_object_or_404(Callback.objects.visible_to(request.user).select_related("call", "call_group"), pk=pk)
    if _again(callback.call_group, Callback.objects.filter(pk=pk), f"of call {callback.call.obd_id}"):
        messages.success(request, f"The callback of call {callback.call.obd_id} is sent again.")
    else:
        messages.error(request, f"The callback of call {callback.call.obd_id} has not failed.")
    return redirect(_back(request, callback.call_group))


@permission_required("calls.change_callgroup", raise_exception=True)
@require_POST
def callbacks_again(request: HttpRequest, pk: int) -> HttpResponse:
    """Send all callbacks of a call group again that failed."""
    group = visible_group(request, pk)
    number = _again(group, failed_callbacks(group), "of all calls for which they failed")
    if number:
        messages.success(request, f"{number:,} callback{'s are' if number > 1 else ' is'} sent again.")
    else:
        messages.error(request, f"No callback of call group {group.pk} has failed.")
    return redirect(_back(request, group))


def _again(group: CallGroup, callbacks: QuerySet[Callback], which: str) -> int:
    """Make those of `callbacks` that failed pending again: how many these were."""
    with transaction.atomic():
        number = callbacks.filter(state=CallbackState.FAILED).update(
            state=CallbackState.PENDING, due_at=timezone.now(), first_failed_at=None
        )
        if number:
            audit.note(group, callbacks=f"sent again {which}: {number:,}")
            callbacks_after_commit()
    return number


def _back(request: HttpRequest, group: CallGroup) -> str:
    """Where the button was pressed."""
    came_from = request.POST.get("next", "")
    if url_has_allowed_host_and_scheme(came_from, allowed_hosts=None):
        return came_from
    return f"{reverse('callbacks')}?call={group.pk}"
