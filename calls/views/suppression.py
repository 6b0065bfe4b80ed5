"""Suppression lists: numbers that must not be called, where each list comes from, and for how long it applies."""

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.db import IntegrityError, connection, transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from calls.audit import note
from calls.contacts.busy import Busy, short_wait
from calls.contacts.numbers import pretty
from calls.contacts.search import search_digits
from calls.forms.suppression import SuppressionListForm, name_taken
from calls.models import Suppression, SuppressionList
from calls.views.asked import searched_by
from calls.views.contacts import searched
from calls.views.imports import GET_OR_POST, forget_files, latest_imports
from calls.views.paging import Page, before, keyset
from calls.views.people import signed_in


@permission_required("calls.view_suppression", raise_exception=True)
@searched_by("q")
@require_safe
def suppression(request: HttpRequest) -> HttpResponse:
    """All suppression lists; or, if digits were searched, the numbers of all of them that begin or end so."""
    query = searched(request)
    context = {"query": query, "page": _numbers(request, query) if query else _lists(request)}
    return render(request, "suppression/lists.html", context)


def _lists(request: HttpRequest) -> Page[SuppressionList]:
    return keyset(SuppressionList.objects.all(), request, "name")


def _numbers(request: HttpRequest, query: str, **filters: object) -> Page[Suppression]:
    """One page of the numbers that begin or end with the digits in `query`, newest first; of all without a query."""
    rows = Suppression.objects.filter(**filters).select_related("added_by", "list")
    return keyset(rows, request, "-id", search=search_digits(query))


@permission_required("calls.view_suppression", raise_exception=True)
@searched_by("q")
@require_safe
def suppression_list(request: HttpRequest, pk: int) -> HttpResponse:
    """One suppression list and its numbers, newest first."""
    chosen = get_object_or_404(SuppressionList.objects.select_related("created_by"), pk=pk)
    query = searched(request)
    context = {
        "list": chosen,
        "query": query,
        "page": _numbers(request, query, list=chosen),
        "imports": latest_imports(chosen),
    }
    return render(request, "suppression/list.html", context)


@permission_required("calls.view_suppression", raise_exception=True)
@require_safe
def suppression_number(request: HttpRequest, pk: int, number_pk: int) -> HttpResponse:
    """The page of the list that begins with this number, which is not in its address."""
    row = get_object_or_404(Suppression, list=pk, pk=number_pk)
    return redirect(f"{reverse('suppression_list', args=[pk])}?after={before(row.pk)}")


@permission_required("calls.add_suppressionlist", raise_exception=True)
@require_http_methods(GET_OR_POST)
def suppression_list_new(request: HttpRequest) -> HttpResponse:
    """Make a suppression list; its numbers are imported next."""
    form = SuppressionListForm(request.POST or None, instance=SuppressionList(created_by=signed_in(request)))
    if form.is_valid():
        try:
            with transaction.atomic():
                made = form.save()
        except IntegrityError:
            form.add_error("name", name_taken(form.cleaned_data["name"]))
        else:
            messages.success(request, f"Suppression list “{made}” created.")
            return redirect("suppression_list", made.pk)
    return render(request, "suppression/edit.html", {"form": form})


@permission_required("calls.change_suppressionlist", raise_exception=True)
@require_http_methods(GET_OR_POST)
def suppression_list_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Change what is known of a suppression list."""
    chosen = get_object_or_404(SuppressionList, pk=pk)
    before = str(chosen)
    form = SuppressionListForm(request.POST or None, instance=chosen)
    if form.is_valid():
        try:
            with short_wait(chosen):
                _lock(pk)
                # Only these: its size and version may have grown meanwhile.
                chosen.save(update_fields=form.saved)
        except IntegrityError:
            form.add_error("name", name_taken(form.cleaned_data["name"]))
        except Busy as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"Suppression list “{chosen}” saved.")
            return redirect("suppression_list", pk)
    return render(request, "suppression/edit.html", {"form": form, "list": chosen, "before": before})


def _lock(pk: int) -> SuppressionList:
    """Lock a list, as everybody does who changes it or its numbers. Raises Http404 if it is gone."""
    locked = SuppressionList.objects.select_for_update(no_key=True).filter(pk=pk).first()
    if locked is None:
        raise Http404("the suppression list was deleted meanwhile")
    return locked


@permission_required("calls.delete_suppressionlist", raise_exception=True)
@require_http_methods(GET_OR_POST)
def suppression_list_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete a suppression list and its numbers, after asking; not one that the portal itself writes to."""
    chosen = get_object_or_404(SuppressionList, pk=pk)
    busy = ""
    if request.method == "POST" and not chosen.role:
        try:
            with short_wait(chosen):
                _delete(_lock(pk))
        except Busy as error:
            busy = str(error)
        else:
            messages.success(request, f"Suppression list “{chosen}” deleted.")
            return redirect("suppression")
    return render(request, "suppression/delete.html", {"list": chosen, "busy": busy})


def _delete(chosen: SuppressionList) -> None:
    """Delete `chosen`, its numbers in one statement: one by one, each of a million would be loaded and logged."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM calls_suppression WHERE list_id = %s", [chosen.pk])
        if cursor.rowcount:
            note(chosen, numbers=f"{cursor.rowcount} deleted with the list")
    forget_files(chosen)
    chosen.delete()


@permission_required("calls.delete_suppression", raise_exception=True)
@require_http_methods(GET_OR_POST)
def suppression_remove(request: HttpRequest, pk: int, number_pk: int) -> HttpResponse:
    """Take one number off a list, after asking; the audit log keeps why it was there."""
    rows = Suppression.objects.filter(list=pk).select_related("added_by", "list")
    row = get_object_or_404(rows, pk=number_pk)
    busy = ""
    if request.method == "POST":
        try:
            with short_wait(row.list):
                _lock(pk)
                get_object_or_404(rows, pk=number_pk).delete()
        except Busy as error:
            busy = str(error)
        else:
            messages.success(request, _taken_off(row))
            return redirect("suppression_list", pk)
    return render(request, "suppression/remove.html", {"row": row, "busy": busy, "others": _other_lists(row)})


def _other_lists(row: Suppression) -> list[str]:
    """The names of the other lists that have the number."""
    others = Suppression.objects.filter(number=row.number).exclude(list=row.list_id)
    return sorted(others.values_list("list__name", flat=True))


def _taken_off(row: Suppression) -> str:
    said = f"{pretty(row.number)} is off “{row.list}”"
    if others := _other_lists(row):
        return f"{said}. It is still on {', '.join(f'“{name}”' for name in others)}."
    return f"{said} and can be called again."
