"""An import is carried out, or undone: in one transaction, so that it is done whole or not at all."""

import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F, Q
from django.utils import timezone

from calls.audit import acting, note
from calls.contacts.importing.apply import Writer, Written, keep_not_taken
from calls.contacts.importing.layout import Layout
from calls.contacts.importing.order import UNDER_WAY, done_later
from calls.contacts.importing.problems import BUG, GONE, IN_VAIN, ImportNotPossible, in_words
from calls.contacts.importing.progress import Cancelled, Noted, Unnoted
from calls.contacts.importing.reading import read_rows
from calls.contacts.importing.rights import check_right
from calls.contacts.importing.source import Rows, opened_source, path_of
from calls.contacts.importing.staging import Given, forget, stage
from calls.contacts.importing.undo import put_back
from calls.models import ContactGroup, Import, ImportState, SuppressionList
from calls.models.importing import Existing

KEPT_FOR = timedelta(days=30)
"""How long an import can be undone, and its rows that were not taken are kept; a file that nobody confirmed, too."""

FOLDER = "imports"
"""Where the files are, below MEDIA_ROOT."""

ROWS_AT_ONCE = 10_000
"""Rows of a file between two looks at whether the import was cancelled."""

ATTEMPTS = 5
"""Times that an import is begun which is interrupted, before it is given up."""

logger = logging.getLogger(__name__)


def work(import_: Import) -> None:
    """A worker's part: import it, or undo it.

    Begun once more after a crash it starts afresh, for nothing was done then; but not for ever.
    """
    imports = Import.objects.filter(pk=import_.pk)
    imports.filter(state__in=UNDER_WAY).update(attempts=F("attempts") + 1)
    begun = imports.filter(state__in=[ImportState.WAITING, ImportState.RUNNING])
    begun.update(state=ImportState.RUNNING, started_at=timezone.now())
    import_ = imports.select_related("owner", "undone_by", "group", "suppression_list").get()
    if import_.attempts > ATTEMPTS:
        fail(import_, IN_VAIN)
        return
    try:
        with acting(import_.undone_by or import_.owner, None, import_.address), Noted(import_) as progress:
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
        passing = isinstance(error, OperationalError | InterfaceError | OSError)
        if not words and passing and import_.attempts < ATTEMPTS:
            raise
        fail(import_, words or (IN_VAIN if passing else BUG))
        if not words:
            raise
    finally:
        forget()


def carry_out(import_: Import, progress: Unnoted) -> None:
    """Import a running import, or refuse it as a whole, with the reasons of its rows.

    Raises UploadError, ImportNotPossible and Cancelled; nothing was changed then.
    """
    layout = Layout.from_json(import_.layout)
    with opened_source(path_of(import_), layout) as source:
        progress.begin("reading", source.total)
        given = Given()
        rows = _watched(source.rows, lambda: progress.at(source.position(), given.rows))
        stage(read_rows(rows, layout, settings.DEFAULT_REGION), given)
        progress.at(source.position(), given.rows)
    check_right(import_.owner, import_.target, Existing(import_.existing))
    with transaction.atomic():
        if why := _why_not(import_, given):
            _end(import_, given, state=ImportState.FAILED, error=why)
            keep_not_taken(import_)
            return
        target = locked_target(import_)
        written = Writer(import_, lambda total: progress.begin("writing", total), progress.at).write(given.numbers)
        _end(import_, given, written.counts, first_id=written.first_id, last_id=written.last_id)
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
        check_right(import_.undone_by or import_.owner, target, Existing.REPLACE)
        # Another one may have been done while this one waited for the lock.
        if why := done_later(import_):
            raise ImportNotPossible(why)
        put_back(import_, lambda total: progress.begin("writing", total), progress.at)
        undoing = Import.objects.filter(pk=import_.pk, state=ImportState.UNDOING)
        if not undoing.update(state=ImportState.UNDONE, ended_at=timezone.now()):
            raise Cancelled
        note(target, **{_what(target): f"{import_} of {timezone.localtime(import_.created_at):%Y-%m-%d %H:%M} undone"})


def fail(import_: Import, words: str) -> None:
    """End an import that could not go on; one that could not be undone is done as before."""
    imports = Import.objects.filter(pk=import_.pk)
    imports.filter(state=ImportState.UNDOING).update(state=ImportState.DONE, error=words)
    begun = imports.filter(state__in=[ImportState.WAITING, ImportState.RUNNING])
    if begun.update(state=ImportState.FAILED, error=words, ended_at=timezone.now()):
        drop_file(import_)


def drop_file(import_: Import) -> None:
    """Delete the file once the current transaction is committed: nobody reads it any more."""
    if name := import_.file.name:
        Import.objects.filter(pk=import_.pk).update(file="")
        transaction.on_commit(partial(import_.file.storage.delete, name), robust=True)


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


def _why_not(import_: Import, given: Given) -> str:
    """Why the import is refused as a whole; "" if it is not."""
    if not given.rows:
        return "There is nothing below the titles: no row was found."
    if import_.existing != Existing.REPLACE:
        return ""
    if not given.numbers:
        return "No row has a number that can be called: replacing would only remove what is there. Nothing was changed."
    if import_.suppression_list_id and given.refused:
        return (
            f"{given.refused:,} of {given.rows:,} rows can't be read. If their numbers are on the list now, replacing "
            "would remove them, and they could be called again. Nothing was changed. Mend these rows and import the "
            "whole file again, or import it without replacing."
        )
    return ""


def _end(
    import_: Import,
    given: Given,
    written: dict[str, int] | None = None,
    *,
    state: ImportState = ImportState.DONE,
    **more: Any,
) -> None:
    counts = {
        "rows": given.rows,
        "accepted": given.accepted,
        "refused": given.refused,
        "duplicate": given.duplicate,
        **(written or {}),
    }
    ended = Import.objects.filter(pk=import_.pk, state=ImportState.RUNNING).update(
        state=state,
        rows=given.rows,
        counts=counts,
        reasons=dict(given.reasons.most_common()),
        repairs=dict(given.repairs.most_common()),
        ended_at=timezone.now(),
        **more,
    )
    if not ended:
        raise Cancelled
    drop_file(import_)


def _note(import_: Import, target: ContactGroup | SuppressionList, written: Written) -> None:
    done = [f"{written.counts[what]:,} {what}" for what in ("added", "updated", "removed") if written.counts[what]]
    if done:
        note(target, **{_what(target): f"{', '.join(done)} by the import of {import_.source}"})


def _what(target: ContactGroup | SuppressionList) -> str:
    return "contacts" if isinstance(target, ContactGroup) else "numbers"
