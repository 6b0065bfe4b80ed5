"""The suppression list: numbers that must not be called."""

from typing import cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from calls.contacts.numbers import pretty
from calls.contacts.search import digits_of, with_digits
from calls.contacts.store import add_suppressions
from calls.forms.suppression import SuppressForm
from calls.models import Suppression, User
from calls.views import outcome
from calls.views.contacts import GET_OR_POST, searched
from calls.views.paging import keyset

KEPT_AS = "suppression list"


@permission_required("calls.view_suppression", raise_exception=True)
@require_safe
def suppression(request: HttpRequest) -> HttpResponse:
    """The numbers that must not be called, newest first."""
    query = searched(request)
    rows = Suppression.objects.select_related("added_by")
    rows = with_digits(rows, query) if digits_of(query) or not query else rows.none()
    return render(request, "suppression/list.html", {"page": keyset(rows, request, "-id"), "query": query})


@permission_required("calls.add_suppression", raise_exception=True)
@require_http_methods(GET_OR_POST)
def suppression_add(request: HttpRequest) -> HttpResponse:
    """Put one or many numbers on the list, with the reason."""
    form = SuppressForm(request.POST, request.FILES) if request.method == "POST" else SuppressForm()
    if form.is_valid():
        return _add(request, form)
    return render(request, "suppression/add.html", {"form": form, "region": settings.DEFAULT_REGION})


def _add(request: HttpRequest, form: SuppressForm) -> HttpResponse:
    """On to the list if all numbers were added, otherwise to what became of each line."""
    reason, source = form.cleaned_data["reason"], form.cleaned_data["source"]
    result = add_suppressions(form.sources, reason, source, cast("User", request.user))
    outcome.tell(request, result, "number")
    if result.complete:
        return redirect("suppression")
    outcome.keep(request, KEPT_AS, result, reason=reason, source=source)
    return redirect("suppression_added")


@permission_required("calls.add_suppression", raise_exception=True)
@require_safe
def suppression_added(request: HttpRequest) -> HttpResponse:
    """What became of each line of the numbers added last."""
    result, typed = outcome.recall(request, KEPT_AS)
    mend = outcome.to_mend(result)
    context = {
        "form": SuppressForm(initial={**typed, "pasted": mend}) if mend else None,
        "download_url": reverse("suppression_added_csv"),
        **outcome.context(request, result),
    }
    return render(request, "suppression/added.html", context)


@permission_required("calls.add_suppression", raise_exception=True)
@require_safe
def suppression_added_csv(request: HttpRequest) -> HttpResponseBase:
    """All lines of one kind of the numbers added last, to be mended and added again."""
    result, _ = outcome.recall(request, KEPT_AS)
    return outcome.download(request, result, "suppression-list")


@permission_required("calls.delete_suppression", raise_exception=True)
@require_http_methods(GET_OR_POST)
def suppression_remove(request: HttpRequest, pk: int) -> HttpResponse:
    """Take one number off the list, after asking; the audit log keeps why it was there."""
    row = get_object_or_404(Suppression.objects.select_related("added_by"), pk=pk)
    if request.method == "POST":
        row.delete()
        messages.success(request, f"{pretty(row.number)} is off the suppression list and can be called again.")
        return redirect("suppression")
    return render(request, "suppression/remove.html", {"row": row})
