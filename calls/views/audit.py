"""The audit log: who changed what, when, from where, before and after; and one entry. For admins only."""

from auditlog.models import LogEntry
from django.contrib.auth.decorators import permission_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from calls.forms.audit import AuditFilter
from calls.history import read
from calls.models import SEE_EVERYTHING, User
from calls.views.asked import searched_by, whole_query
from calls.views.paging import keyset

NEWEST_FIRST = ("-timestamp", "-id")

PEOPLE_OFFERED = 200
"""User names that the filter offers while one is typed."""


def _entries() -> "QuerySet[LogEntry]":
    entries: QuerySet[LogEntry] = LogEntry.objects.select_related("actor").defer("serialized_data", "changes_text")
    return entries


@never_cache
@permission_required(SEE_EVERYTHING, raise_exception=True)
@searched_by("thing")
@require_safe
def audit_log(request: HttpRequest) -> HttpResponse:
    """The entries that the filter asks for, newest first."""
    chosen = whole_query(request)
    form = AuditFilter(chosen)
    page = keyset(form.listed(_entries()), request, *NEWEST_FIRST, search=form.search)
    query = request.GET.copy()
    for name in ("after", "before"):
        query.pop(name, None)
    context = {
        "form": form,
        "page": page,
        "entries": read(page.rows),
        "filtered": any(chosen.get(name) for name in form.fields),
        "query": query.urlencode(),
        "people": User.objects.order_by("username").values_list("username", flat=True)[:PEOPLE_OFFERED],
    }
    return render(request, "audit/list.html", context)


@never_cache
@permission_required(SEE_EVERYTHING, raise_exception=True)
@require_safe
def audit_entry(request: HttpRequest, pk: int) -> HttpResponse:
    """One entry with every value whole."""
    return render(request, "audit/entry.html", {"entry": read([get_object_or_404(_entries(), pk=pk)])[0]})
