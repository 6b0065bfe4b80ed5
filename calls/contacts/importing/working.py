"""An import is carried out, or undone: in one transaction, so that it is done whole or not at all."""

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Q
from django.utils import timezone

from calls.audit import acting, note
from calls.contacts.importing.apply import Writer, Written
from calls.contacts.importing.layout import Layout
from calls.contacts.importing.order import UNDER_WAY, done_later
from calls.contacts.importing.problems import BUG, GONE, ImportNotPossible, UploadError, in_words
from calls.contacts.importing.progress import Cancelled, Noted, Unnoted
from calls.contacts.importing.reading import read_rows
from calls.contacts.importing.rights import check_right
from calls.contacts.importing.source import Rows, opened_source
from calls.contacts.importing.staging import Given, forget, stage
from calls.contacts.importing.undo import put_back
from calls.models import ContactGroup, Import, ImportState, SuppressionList
from calls.models.importing import Existing

KEPT_FOR = timedelta(days=30)
"""How long an import can be undone, and its file and its rows that were not taken are kept."""

FOLDER = "imports"
"""Where the files are, below MEDIA_ROOT."""

ROWS_AT_ONCE = 10_000
"""Rows of a file between two looks at whether the import was cancelled."""

logger = logging.getLogger(__name__)


def work(import_: Import, address: str = "") -> None:
    """A worker's part: import it, or undo it, as confirmed from `address`.

    Begun once more after a crash it starts afresh, for nothing was done then.
    """
    imports = Import.objects.filter(pk=import_.pk)
    begun = imports.filter(state__in=[ImportState.WAITING, ImportState.RUNNING])
    begun.update(state=ImportState.RUNNING, started_at=timezone.now())
    import_ = imports.select_related("owner", "undone_by", "group", "suppression_list").get()
    try:
        with acting(import_.undone_by or import_.owner, None, address), Noted(import_) as progress:
            if import_.state == ImportState.RUNNING:
                carry_out(import_, progress)
            elif import_.state == ImportState.UNDOING:
                take_back(import_, progress)
    except Cancelled:
        pass  # whoever cancelled it has written that down
    except Exception as error:
        if not imports.exists():
            return  # deleted with what it was for
        words = in_words(error)
        # Another try may have what these did not: it stays as it is, and the sweep sees that no job has it.
        if not words and isinstance(error, OperationalError | InterfaceError | OSError):
            raise
        fail(import_, words or BUG)
        if not words:
            raise
    finally:
        forget()


def carry_out(import_: Import, progress: Unnoted) -> None:
    """Import a running import. Raises UploadError, ImportNotPossible and Cancelled; nothing was changed then."""
    layout = Layout.from_json(import_.layout)
    with opened_source(Path(import_.file.path), layout) as source:
        progress.begin("reading", source.total)
        given = Given()
        rows = _watched(source.rows, lambda: progress.at(source.position(), given.rows))
        stage(read_rows(rows, layout, settings.DEFAULT_REGION), given)
        progress.at(source.position(), given.rows)
    _check(import_, given)
    with transaction.atomic():
        target = locked_target(import_)
        written = Writer(import_, lambda total: progress.begin("writing", total), progress.at).write(given.numbers)
        _end(import_, given, written)
        _note(import_, target, written)


def _watched(rows: Rows, look: Callable[[], None]) -> Rows:
    """The rows, with a look now and then at whether to go on, also where a million of them are blank."""
    for count, row in enumerate(rows, start=1):
        yield row
        if not count % ROWS_AT_ONCE:
            look()


def take_back(import_: Import, progress: Unnoted) -> None:
    """Undo an import that is being undone. Raises ImportNotPossible; nothing was changed then."""
    with transaction.atomic():
        target = locked_target(import_)
        # Another one may have been done while this one waited for the lock.
        if why := done_later(import_):
            raise ImportNotPossible(why)
        put_back(import_, lambda total: progress.begin("writing", total), progress.at)
        undoing = Import.objects.filter(pk=import_.pk, state=ImportState.UNDOING)
        if not undoing.update(state=ImportState.UNDONE, ended_at=timezone.now()):
            raise Cancelled
        note(target, **{_what(target): f"{import_} of {import_.created_at:%Y-%m-%d %H:%M} UTC undone"})


def fail(import_: Import, words: str) -> None:
    """End an import that could not go on; one that could not be undone is done as before."""
    imports = Import.objects.filter(pk=import_.pk)
    imports.filter(state=ImportState.UNDOING).update(state=ImportState.DONE, error=words)
    begun = imports.filter(state__in=[ImportState.WAITING, ImportState.RUNNING])
    begun.update(state=ImportState.FAILED, error=words, ended_at=timezone.now())


def forget_old() -> None:
    """Forget the imports that can't be undone any more, or were never confirmed, with their files."""
    oldest = timezone.now() - KEPT_FOR
    never_confirmed = Q(state=ImportState.UPLOADED, created_at__lt=oldest)
    Import.objects.filter(Q(ended_at__lt=oldest) | never_confirmed).exclude(state__in=UNDER_WAY).delete()
    kept = {Path(name).name for name in Import.objects.values_list("file", flat=True)}
    # Files outlive imports that are deleted with their group, too.
    for path in Path(settings.MEDIA_ROOT, FOLDER).glob("*"):
        if path.name not in kept and path.stat().st_mtime < oldest.timestamp():
            path.unlink()


def locked_target(import_: Import) -> ContactGroup | SuppressionList:
    """What is imported into, locked against whoever else changes it. Raises ImportNotPossible if it was deleted."""
    target: ContactGroup | SuppressionList | None
    if import_.group_id:
        target = ContactGroup.objects.select_for_update(no_key=True).filter(pk=import_.group_id).first()
    else:
        lists = SuppressionList.objects.select_for_update(no_key=True)
        target = lists.filter(pk=import_.suppression_list_id or 0).first()
    if target is None:
        raise ImportNotPossible(GONE)
    return target


def _check(import_: Import, given: Given) -> None:
    check_right(import_.owner, import_.target, Existing(import_.existing))
    if not given.rows:
        raise UploadError("There is nothing below the titles: no row was found.")
    if not given.numbers and import_.existing == Existing.REPLACE:
        raise UploadError(
            "No row of the file has a number that can be called: replacing would only remove what is there. Nothing "
            "was changed. Look at the reasons in the preview."
        )


def _end(import_: Import, given: Given, written: Written) -> None:
    counts = {
        "rows": given.rows,
        "accepted": given.accepted,
        "refused": given.refused,
        "duplicate": given.duplicate,
        **written.counts,
    }
    ended = Import.objects.filter(pk=import_.pk, state=ImportState.RUNNING).update(
        state=ImportState.DONE,
        rows=given.rows,
        counts=counts,
        reasons=dict(given.reasons.most_common()),
        first_id=written.first_id,
        last_id=written.last_id,
        ended_at=timezone.now(),
    )
    if not ended:
        raise Cancelled


def _note(import_: Import, target: ContactGroup | SuppressionList, written: Written) -> None:
    done = [f"{written.counts[what]:,} {what}" for what in ("added", "updated", "removed") if written.counts[what]]
    if done:
        note(target, **{_what(target): f"{', '.join(done)} by the import of {import_.source}"})


def _what(target: ContactGroup | SuppressionList) -> str:
    return "contacts" if isinstance(target, ContactGroup) else "numbers"
