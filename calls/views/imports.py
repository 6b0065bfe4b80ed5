"""Imports into contact groups and suppression lists: upload, preview, progress, result, undoing."""

import uuid
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePath

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from calls import audit
from calls.contacts import importing
from calls.contacts.importing import ImportNotPossible, Layout, Preview, UploadError, may_import
from calls.forms.imports import LayoutForm, SuppressUploadForm, UploadForm
from calls.models import ContactGroup, Existing, Import, ImportState, SuppressionList
from calls.views.paging import keyset
from calls.views.people import signed_in
from calls.views.polling import live

GET_OR_POST = ["GET", "HEAD", "POST"]

LATEST = 3
"""Imports that the page of their contact group or suppression list names."""

REASONS_SHOWN, REFUSED_SHOWN = 20, 20
"""Kinds of reasons, and refused rows, that a result shows; the download has all."""


# --- Upload --------------------------------------------------------------------------------------------------------


def _group_to_fill(request: HttpRequest, pk: int) -> ContactGroup:
    """A contact group that this user may import into. Raises PermissionDenied or Http404."""
    if not request.user.has_perm("calls.add_contact"):
        raise PermissionDenied
    groups = ContactGroup.objects.visible_to(request.user)
    group: ContactGroup = get_object_or_404(groups.filter(carrier_group=""), pk=pk)
    return group


@require_http_methods(GET_OR_POST)
def contact_group_import(request: HttpRequest, pk: int) -> HttpResponse:
    """Paste or upload contacts; how they are read is shown next."""
    return _upload(request, _group_to_fill(request, pk), UploadForm)


@require_http_methods(GET_OR_POST)
def suppression_list_import(request: HttpRequest, pk: int) -> HttpResponse:
    """Paste or upload numbers that must not be called; how they are read is shown next."""
    if not request.user.has_perm("calls.add_suppression"):
        raise PermissionDenied
    chosen = get_object_or_404(SuppressionList, pk=pk)
    if not chosen.takes_imports:
        raise Http404("only the portal puts numbers on this list")
    return _upload(request, chosen, SuppressUploadForm)


def _upload(request: HttpRequest, target: ContactGroup | SuppressionList, form_class: type[UploadForm]) -> HttpResponse:
    form = form_class(request.POST, request.FILES) if request.method == "POST" else form_class()
    if form.is_valid():
        try:
            return to_preview(request, receive(request, target, form))
        except UploadError as error:
            form.refuse(error)
    context = {"form": form, "target": target, "region": settings.DEFAULT_REGION, **_places(target)}
    return render(request, "imports/upload.html", context)


def receive(request: HttpRequest, target: ContactGroup | SuppressionList, form: UploadForm) -> Import:
    """Keep what a valid form brought as an import into `target`. Raises UploadError."""
    reason = form.cleaned_data.get("reason", "")
    return importing.receive(signed_in(request), target, upload=form.upload, pasted=form.pasted_text, reason=reason)


def to_preview(request: HttpRequest, asked: Import) -> HttpResponse:
    """On to the preview. The script that uploads (upload.js) is told where that is; it can't stop at a redirect."""
    url = reverse("import", args=[asked.pk])
    if request.headers.get("X-Requested-With") == "XMLHttpRequest":
        return HttpResponse(status=201, headers={"Location": url})
    return redirect(url)


def _places(target: ContactGroup | SuppressionList) -> dict[str, str]:
    """Where pages about imports into `target` lead back to."""
    name = "contact_group" if isinstance(target, ContactGroup) else "suppression_list"
    section = "contact_groups" if isinstance(target, ContactGroup) else "suppression"
    return {
        "target_url": reverse(name, args=[target.pk]),
        "again_url": reverse(f"{name}_import", args=[target.pk]),
        "history_url": reverse(f"{name}_imports", args=[target.pk]),
        "section_url": reverse(section),
        "section": "Contact groups" if isinstance(target, ContactGroup) else "Suppression lists",
        "what": "contact" if isinstance(target, ContactGroup) else "number",
    }


# --- From the preview to the result --------------------------------------------------------------------------------


def _import(request: HttpRequest, pk: uuid.UUID) -> Import:
    """An import that this user sees, into what they may still import into. Raises Http404."""
    imports = Import.objects.visible_to(request.user).select_related("owner", "group", "suppression_list")
    asked = get_object_or_404(imports, pk=pk)
    groups = ContactGroup.objects.visible_to(request.user)
    if asked.group and not groups.filter(pk=asked.group.pk).exists():
        raise Http404("the profile no longer has this contact group")
    if not may_import(signed_in(request), asked.target):
        raise Http404("this user no longer imports into this")
    return asked


@require_http_methods(GET_OR_POST)
def import_(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """How an import's first rows are read; while it is at work, how far it is; afterwards what became of the rows.

    POST reads the first rows again, with other columns.
    """
    asked = _import(request, pk)
    if asked.state != ImportState.UPLOADED:
        return redirect("import", pk) if request.method == "POST" else _show_progress(request, asked)
    form = _layout_form(request, asked)
    if not form.is_valid():  # also where nothing was sent
        return _show_preview(request, asked, form)
    try:
        _keep(asked, _read_again(asked, form), form.chosen)
    except UploadError as error:
        form.add_error(None, str(error))
        return _show_preview(request, asked, form)
    return redirect("import", pk)


def _layout_form(request: HttpRequest, asked: Import) -> LayoutForm:
    data = request.POST if request.method == "POST" else None
    return LayoutForm(data, user=signed_in(request), asked=asked, layout=Layout.from_json(asked.layout))


def _read_again(asked: Import, form: LayoutForm) -> Layout:
    """The layout that was chosen; with other titles its columns are guessed anew, unless somebody chose those too.

    Raises UploadError.
    """
    layout, before = form.layout, form.read_as
    if form.reads_otherwise:
        return _read_otherwise(asked, form)
    if layout.header != before.header and layout.columns == before.columns:
        return importing.with_header(asked, layout, layout.header)
    return _with_titles(asked, form)


def _read_otherwise(asked: Import, form: LayoutForm) -> Layout:
    """The layout of the text with another encoding or separator. Raises UploadError."""
    layout, chosen, before = importing.read_as(asked, *form.reading), form.layout, form.read_as
    if layout.kind == "csv" and chosen.header != before.header:
        return importing.with_header(asked, layout, chosen.header)
    # With other letters only, the columns are what they were.
    same = (layout.kind, layout.delimiter, layout.header) == (before.kind, before.delimiter, before.header)
    if same and len(layout.columns) == len(chosen.columns):
        return replace(layout, columns=chosen.columns)
    return layout


def _with_titles(asked: Import, form: LayoutForm) -> Layout:
    """The layout that was chosen, with the titles of its own header. Raises UploadError."""
    layout = form.layout
    if layout.header == form.read_as.header:
        return layout
    importing.with_header(asked, layout, layout.header)  # says so if there are none
    return replace(layout, titles=tuple(importing.preview(asked, layout).titles))


def _keep(asked: Import, layout: Layout, existing: Existing) -> None:
    """Keep how it is to be read, unless it was confirmed or dropped meanwhile."""
    uploaded = Import.objects.filter(pk=asked.pk, state=ImportState.UPLOADED)
    uploaded.update(layout=layout.as_json(), existing=existing)


def _show_preview(request: HttpRequest, asked: Import, form: LayoutForm) -> HttpResponse:
    layout, shown, problem = form.read_as, Preview([], (), []), ""
    try:
        shown = importing.preview(asked, layout)
    except UploadError as error:
        problem = str(error)
    context = {
        "asked": asked,
        "form": form,
        "preview": shown,
        "whole": shown.whole,
        "problem": problem,
        **_places(asked.target),
    }
    return render(request, "imports/preview.html", context)


@require_POST
def import_confirm(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Import it as the preview says, once: whoever presses again lands on what became of it."""
    asked = _import(request, pk)
    if asked.state != ImportState.UPLOADED:
        return redirect("import", pk)
    form = _layout_form(request, asked)
    if form.is_valid():
        try:
            if form.reads_otherwise:
                _keep(asked, _read_again(asked, form), form.chosen)
                messages.info(request, "The rows were read again. Look whether they are right, then import them.")
                return redirect("import", pk)
            importing.confirm(asked, _with_titles(asked, form), form.chosen, audit.address())
            return redirect("import", pk)
        except (ImportNotPossible, UploadError) as error:
            form.add_error(None, str(error))
    return _show_preview(request, asked, form)


@require_POST
def import_cancel(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Drop an import, also while it is at work: nothing is changed then."""
    asked = _import(request, pk)
    if not importing.cancel(asked):
        messages.info(request, "It was too late to cancel.")
        return redirect("import", pk)
    if asked.state == ImportState.UPLOADED:
        messages.success(request, "Dropped. Nothing was imported.")
        return redirect(_places(asked.target)["target_url"])
    return redirect("import", pk)


def _show_progress(request: HttpRequest, asked: Import) -> HttpResponse:
    counts = asked.counts
    context = {
        "asked": asked,
        "pace": _pace(asked),
        "ahead": importing.waiting_for(asked) if asked.state == ImportState.WAITING else None,
        "in_rows": asked.layout.get("kind") == "xlsx",
        "tiles": _tiles(asked) if "added" in counts else [],
        "reasons": sorted(asked.reasons.items(), key=lambda item: -item[1])[:REASONS_SHOWN],
        "repairs": sorted(asked.repairs.items(), key=lambda item: -item[1])[:REASONS_SHOWN],
        "refused": asked.not_taken.filter(duplicate=False).order_by("line")[: REFUSED_SHOWN if counts else 0],
        "more": max(0, counts.get("refused", 0) - REFUSED_SHOWN),
        **_undoing(request, asked),
        **_places(asked.target),
    }
    return live(request, "imports/import.html", "import", context, final=not asked.working)


def _undoing(request: HttpRequest, asked: Import) -> dict[str, object]:
    """Whether its undoing is offered, and if not, why."""
    offered = asked.state == ImportState.DONE and may_undo(request, asked)
    why_not = importing.why_not_undone(asked) if offered else ""
    return {"may_undo": offered and not why_not, "why_not_undone": why_not}


@dataclass(frozen=True)
class Pace:
    """How far an import is, in per mille of all its work; rows per second; seconds left, None if nobody can say."""

    done: int
    rate: int
    left: float | None


def _pace(asked: Import) -> Pace:
    """Reading and writing count as half of the work each."""
    part = min(asked.done / asked.total, 1) if asked.total else 0
    overall = part if asked.state == ImportState.UNDOING else part / 2 + (0.5 if asked.step == "writing" else 0)
    if asked.started_at is None:
        return Pace(0, 0, None)
    seconds = max((timezone.now() - asked.started_at).total_seconds(), 0.001)
    left = seconds * (1 - overall) / overall if overall > 0.01 else None
    return Pace(int(overall * 1000), int(asked.rows / seconds), left)


def _imports_into(target: ContactGroup | SuppressionList) -> QuerySet[Import]:
    rows = Import.objects.filter(group=target) if isinstance(target, ContactGroup) else target.imports.all()
    return rows.select_related("owner")


def _tiles(asked: Import) -> list[tuple[str, int, str]]:
    """What the counts say: label, figure and a note; what is zero and was never to be expected is left out."""
    found = asked.counts
    tiles = [
        ("Rows", found["rows"], "in all"),
        ("Added", found["added"], ""),
        ("Updated", found["updated"], "were there with other data"),
        ("Unchanged", found["unchanged"], "were there already"),
        ("Removed", found["removed"], "were not in the rows"),
        ("Repeated", found["duplicate"], "rows whose numbers came before"),
        ("Refused", found["refused"], "rows that can't be used"),
        ("Suppressed", found.get("suppressed", 0), "imported, but not called"),
    ]
    always = {"Rows", "Added", "Unchanged", "Repeated", "Refused"}
    return [tile for tile in tiles if tile[1] or tile[0] in always]


# --- What was not taken, and undoing -------------------------------------------------------------------------------


@require_safe
def import_rows(request: HttpRequest, pk: uuid.UUID, duplicate: bool) -> StreamingHttpResponse:
    """The rows that were refused, or that repeat others, as a file that imports again once it is mended."""
    asked = _import(request, pk)
    which = "repeated" if duplicate else "refused"
    name = f"{PurePath(asked.filename).stem or 'pasted'}-{which}.csv"
    if request.method == "GET":
        audit.note(asked.target, downloaded=f"{which} rows of the import of {asked.source}")
    response = StreamingHttpResponse(
        importing.refused_lines(asked, duplicate=duplicate),
        content_type="text/csv; charset=utf-8",
        headers={"Cache-Control": "no-store"},
    )
    response["Content-Disposition"] = f'attachment; filename="{_plain(name)}"'
    return response


def _plain(filename: str) -> str:
    """A file name that any header takes."""
    kept = (char if char.isascii() and (char.isalnum() or char in "-_. ") else "_" for char in filename)
    return "".join(kept)


def may_undo(request: HttpRequest, asked: Import) -> bool:
    """Whether this user may undo it, which removes what it added."""
    return may_import(signed_in(request), asked.target, Existing.REPLACE)


@require_http_methods(GET_OR_POST)
def import_undo(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Put back what was there before the import, after asking."""
    asked = _import(request, pk)
    if not may_undo(request, asked):
        raise PermissionDenied
    problem = ""
    if request.method == "POST":
        try:
            importing.undo(asked, signed_in(request), audit.address())
            return redirect("import", pk)
        except ImportNotPossible as error:
            problem = str(error)
    elif asked.state != ImportState.DONE:
        return redirect("import", pk)
    return render(request, "imports/undo.html", {"asked": asked, "problem": problem, **_places(asked.target)})


# --- All imports into something ------------------------------------------------------------------------------------


def latest_imports(target: ContactGroup | SuppressionList) -> list[Import]:
    """The last imports into `target`, newest first."""
    return list(_imports_into(target).order_by("-created_at")[:LATEST])


def forget_files(target: ContactGroup | SuppressionList) -> None:
    """Delete the files of all imports into `target`, which is about to be deleted with them."""
    for name in _imports_into(target).exclude(file="").values_list("file", flat=True):
        transaction.on_commit(partial(default_storage.delete, name))


@require_safe
def contact_group_imports(request: HttpRequest, pk: int) -> HttpResponse:
    """All imports into a contact group."""
    return _history(request, _group_to_fill(request, pk))


@require_safe
def suppression_list_imports(request: HttpRequest, pk: int) -> HttpResponse:
    """All imports into a suppression list."""
    if not request.user.has_perm("calls.add_suppression"):
        raise PermissionDenied
    return _history(request, get_object_or_404(SuppressionList, pk=pk))


def _history(request: HttpRequest, target: ContactGroup | SuppressionList) -> HttpResponse:
    page = keyset(_imports_into(target), request, "-created_at")
    return render(request, "imports/history.html", {"target": target, "page": page, **_places(target)})
