"""Exports: asking for one, the list of one's own with their progress, and their files."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import IO

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from calls.audit import note
from calls.exports import work
from calls.exports.kinds import EXPORT_INLINE, KINDS, NothingThere, WrongFilter
from calls.exports.write import CONTENT_TYPES
from calls.models import Export, ExportFormat, ExportState
from calls.views.asked import Forgotten, whole_query
from calls.views.people import signed_in
from calls.views.polling import live

LISTED = 50
LARGEST_ID = 2**63 - 1
LONGEST_QUERY = 2_000

PAGES = {"audit_log": "audit_log", "evidence": "evidence"}
"""Where the filter of a kind is mended, unless on the page of the calls."""


@require_POST
def export_new(request: HttpRequest) -> HttpResponseBase:
    """A small table as a file, at once; a large one as an export that a worker writes.

    Takes `kind`, `of` (the ID of a contact group, for example), `query` (the filter, as in addresses) and `format`.
    """
    kind, of, query = (request.POST.get(name, "").replace("\0", "") for name in ("kind", "of", "query"))
    if kind not in KINDS or request.POST.get("format") not in ExportFormat.values or len(query) > LONGEST_QUERY:
        raise Http404
    if not signed_in(request).has_perm(KINDS[kind].permission):
        raise PermissionDenied
    wanted = int(of) if of.isascii() and of.isdigit() and len(of) < 20 and int(of) <= LARGEST_ID else 0
    try:
        query = whole_query(request, QueryDict(query)).urlencode()
        export, table = work.asked_for(signed_in(request), kind, wanted, query, ExportFormat(request.POST["format"]))
    except Forgotten as error:
        messages.error(request, f"Nothing was exported. {error}")
        return redirect("exports")
    except NothingThere as error:
        raise Http404 from error
    except WrongFilter as error:
        context = {"form": error.form, "page": PAGES.get(kind, "calls")}
        return render(request, "exports/not_exported.html", context, status=400)
    if export.expected > EXPORT_INLINE:
        work.later(export)
        return redirect("exports")
    try:
        return _file(work.at_once(export, table), export, table.filename)
    except work.NotWritten as error:
        messages.error(request, str(error))
        return redirect("exports")


def _file(file: IO[bytes], export: Export, name: str) -> FileResponse:
    return FileResponse(
        file,
        as_attachment=True,
        filename=f"{name}.{export.format}",
        content_type=CONTENT_TYPES[ExportFormat(export.format)],
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Content-Length": str(export.size)},
    )


@dataclass(frozen=True)
class Shown:
    """An export as the list shows it."""

    export: Export

    @property
    def left(self) -> float | None:
        """Seconds until it is probably done; None if nothing tells."""
        export = self.export
        if export.state != ExportState.RUNNING or not export.done or export.started_at is None:
            return None
        passed = (timezone.now() - export.started_at).total_seconds()
        return max(0.0, passed * (export.expected - export.done) / export.done)

    @property
    def kept_until(self) -> datetime | None:
        """When its file is deleted; None if there is none."""
        return self.export.ended_at + work.KEPT if self.export.file and self.export.ended_at else None

    @property
    def fetchable(self) -> bool:
        """Whether its maker may still have what is in it."""
        try:
            return bool(work.filename_of(self.export))
        except NothingThere:
            return False

    @property
    def total(self) -> int:
        """Rows that the bar is long: never fewer than are written, for they are guessed."""
        return max(self.export.expected, self.export.done, 1)


@require_safe
def exports(request: HttpRequest) -> HttpResponse:
    """One's own exports of the last days, newest first; refreshes itself while one is written."""
    rows = list(_kept(request).order_by("-created_at")[:LISTED])
    for export in rows:
        export.owner = signed_in(request)  # whose permissions are looked up once
    context = {"rows": [Shown(export) for export in rows], "inline": EXPORT_INLINE}
    return live(request, "exports/list.html", "rows", context, final=not any(export.working for export in rows))


def _kept(request: HttpRequest) -> QuerySet[Export]:
    """One's own exports whose time is not over."""
    return Export.objects.visible_to(request.user).exclude(work.is_over())


def _own(request: HttpRequest, pk: uuid.UUID) -> Export:
    export: Export = get_object_or_404(_kept(request).select_related("owner"), pk=pk)
    return export


@require_POST
def export_cancel(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Drop an export that is not done."""
    if not work.cancel(_own(request, pk)):
        messages.info(request, "It was too late to cancel.")
    return redirect("exports")


@require_safe
def export_download(request: HttpRequest, pk: uuid.UUID) -> HttpResponseBase:
    """The file of an export, for its maker, who must still be allowed to see what is in it."""
    export = _own(request, pk)
    try:
        name = work.filename_of(export)
        file = export.file.storage.open(str(export.file)) if export.file else None
    except (NothingThere, FileNotFoundError) as error:
        raise Http404 from error
    if file is None:
        raise Http404
    if request.method == "GET":
        note(export, downloaded=f"{export.done:,} rows as {export.get_format_display()}")
    return _file(file, export, name)
