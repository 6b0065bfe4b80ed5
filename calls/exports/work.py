"""From asking for an export to its file: at once, or in a worker if it has many rows."""

import errno
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from tempfile import TemporaryFile
from typing import IO, Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import Storage
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Q
from django.db.models.query import RawQuerySet
from django.http import QueryDict
from django.utils import timezone
from psycopg.errors import DiskFull
from xlsxwriter.exceptions import FileCreateError

from calls.audit import note
from calls.dialing.jobs import export_later
from calls.exports.kinds import KINDS, NothingThere, Table, WrongFilter
from calls.exports.write import Tick, write
from calls.models import Export, ExportFormat, ExportState, User

KEPT = timedelta(days=7)
"""How long the file of an export is kept."""

TICK = 1.0
"""Seconds between two looks at whether it was cancelled."""

DISK_FULL = "The disk is full. Nothing was kept of it. Free some space, then export once more."
BUG = "The portal has made a mistake. Nothing was kept of it. Its log says more; tell your administrator."
GONE = "What it was to be made of is gone, or you may not see it any more."
WRONG = "Its filter names something that is not there any more. Filter again on its page, and export from there."

FULL = {errno.ENOSPC, errno.EDQUOT}

FOLDER = "exports"
"""Where the files are in the storage."""

STRAY = timedelta(days=1)
"""A file so old that no export names was left by a worker that died, or by an export that was deleted."""

LOST_SQL = """
    SELECT e.id FROM calls_export AS e
    WHERE e.state IN ('waiting', 'running')
    AND coalesce(e.started_at, e.created_at) < %(overdue)s AND NOT EXISTS (
        SELECT FROM procrastinate_jobs AS j WHERE j.status IN ('todo', 'doing') AND j.lock = 'export-' || e.id
    )
"""


class NotWritten(Exception):
    """It could not be written; str() says why, and what to do."""


class Cancelled(Exception):
    """Somebody cancelled it meanwhile."""


# --- Asking --------------------------------------------------------------------------------------------------------


def table_of(export: Export) -> Table:
    """What is in it, if its owner may still see that. Raises NothingThere and WrongFilter."""
    kind, asked = KINDS.get(export.kind), export.parameters
    if kind is None or not export.owner.is_active or not export.owner.has_perm(kind.permission):
        raise NothingThere
    table = kind.table(export.owner, int(asked["of"]), QueryDict(asked["query"]))
    if asked["of_everybody"] and not table.of_everybody:
        raise NothingThere
    return table


def filename_of(export: Export) -> str:
    """What its file is called, without its kind, if its owner may still have it. Raises NothingThere."""
    try:
        return table_of(export).filename
    except WrongFilter:
        # It was right when the file was written: somebody whom it names was renamed since.
        if export.parameters["of_everybody"]:
            raise NothingThere from None
        return export.kind.replace("_", "-")


def asked_for(user: User, kind: str, of: int, query: str, file_format: ExportFormat) -> tuple[Export, Table]:
    """An export that is not begun, and its table. Raises NothingThere and WrongFilter."""
    asked = {"of": of, "query": query, "of_everybody": False}
    export = Export(owner=user, kind=kind, format=file_format, parameters=asked)
    table = table_of(export)
    asked["of_everybody"] = table.of_everybody
    export.title, export.expected = table.title, table.expected()
    return export, table


def at_once(export: Export, table: Table) -> "IO[bytes]":
    """The file of a small export, to be read from its beginning; no row is kept of it. Raises NotWritten."""
    with ExitStack() as stack, _full_disk():
        file: IO[bytes] = stack.enter_context(_scratch())
        export.done = write(table.content(), export.format, file)
        stack.pop_all()  # whoever sends it closes it
    export.size = file.tell()
    file.seek(0)
    note(export, exported=f"{export.done:,} rows as {export.get_format_display()}")
    return file


def later(export: Export) -> Export:
    """Let a worker write it. If the same is being written already, that one is returned."""
    same = Export.objects.filter(
        owner=export.owner,
        kind=export.kind,
        parameters=export.parameters,
        format=export.format,
        state__in=[ExportState.WAITING, ExportState.RUNNING],
    )
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=export.owner_id)  # whoever presses twice comes second
        if found := same.first():
            return found
        export.save()
        note(export, exported=f"about {export.expected:,} rows as {export.get_format_display()}, in a worker")
        export_later(export)
    return export


def cancel(export: Export) -> bool:
    """Drop it. False if it was too late."""
    working = Export.objects.filter(pk=export.pk, state__in=[ExportState.WAITING, ExportState.RUNNING])
    return bool(working.update(state=ExportState.CANCELLED, ended_at=timezone.now()))


# --- Writing -------------------------------------------------------------------------------------------------------


def work(export: Export) -> None:
    """A worker's part: write the file. Begun once more after a crash it starts afresh.

    Each try has a file of its own, for a worker that is taken for dead may still write. The first that is done counts.
    """
    exports = Export.objects.filter(pk=export.pk)
    working = exports.filter(state__in=[ExportState.WAITING, ExportState.RUNNING])
    if not working.update(state=ExportState.RUNNING, started_at=timezone.now(), done=0):
        return
    name = f"{FOLDER}/{export.pk}-{secrets.token_hex(8)}.{export.format}"
    try:
        with _scratch() as file, _progress(export) as tick, _full_disk():
            table = table_of(export)
            rows = write(table.content(), export.format, file, tick)
            size = file.tell()
            file.seek(0)
            _storage().save(name, File(file))
    except Cancelled:
        return
    except NothingThere:
        _fail(export, name, GONE)
    except WrongFilter:
        _fail(export, name, WRONG)
    except NotWritten as error:
        _fail(export, name, str(error))
    except Exception as error:
        if not _lost_connection(error):  # it is begun again after that
            _fail(export, name, BUG)
        raise
    else:
        # Since it was asked for, its maker may have been allowed to see more.
        parameters = export.parameters | {"of_everybody": table.of_everybody}
        done: dict[str, Any] = {"state": ExportState.DONE, "file": name, "size": size, "done": rows}
        done["parameters"] = parameters
        if not exports.filter(state=ExportState.RUNNING).update(**done, ended_at=timezone.now()):
            _storage().delete(name)  # cancelled at the last moment, or another try was faster


def _fail(export: Export, name: str, error: str) -> None:
    """This try ends it, unless something else did. What it wrote under `name` is deleted."""
    running = Export.objects.filter(pk=export.pk, state=ExportState.RUNNING)
    running.update(state=ExportState.FAILED, error=error, ended_at=timezone.now())
    _storage().delete(name)


def _lost_connection(error: Exception) -> bool:
    """Whether it says that PostgreSQL was out of reach or stopped, not what is wrong with the query."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    code = getattr(error.__cause__, "sqlstate", None) or ""  # none if the answer never came
    return not code or code.startswith(("08", "57P"))


def _scratch() -> "IO[bytes]":
    """A file that nobody else sees, gone when it is closed; where uploads are, too, for /tmp may be memory."""
    return TemporaryFile(dir=settings.FILE_UPLOAD_TEMP_DIR)


def _storage() -> Storage:
    storage: Storage = Export._meta.get_field("file").storage
    return storage


@contextmanager
def _full_disk() -> Iterator[None]:
    """A full disk, ours or the database's, is said in words."""
    try:
        yield
    except (OSError, FileCreateError) as error:
        # xlsxwriter wraps what the file system says.
        said = error.args[0] if isinstance(error, FileCreateError) else error
        if getattr(said, "errno", None) not in FULL:
            raise
        raise NotWritten(DISK_FULL) from error
    except OperationalError as error:
        if not isinstance(error.__cause__, DiskFull):
            raise
        raise NotWritten(DISK_FULL) from error


@contextmanager
def _progress(export: Export) -> Iterator[Tick]:
    """Writes down now and then how far it is, and looks whether it was cancelled.

    By a connection of its own: the other one is busy sending rows.
    """
    other = connection.copy()
    last = time.monotonic()

    def tick(rows: int) -> None:
        nonlocal last
        if time.monotonic() - last < TICK:
            return
        last = time.monotonic()
        with other.cursor() as cursor:
            cursor.execute("UPDATE calls_export SET done = %s WHERE id = %s AND state = 'running'", [rows, export.pk])
            if not cursor.rowcount:
                raise Cancelled

    try:
        yield tick
    finally:
        other.close()


# --- Looking after them --------------------------------------------------------------------------------------------


def lost(overdue: datetime) -> "RawQuerySet[Export]":
    """The exports that a worker should have, but whose job failed before `overdue` (aware)."""
    return Export.objects.raw(LOST_SQL, {"overdue": overdue})


def is_over() -> Q:
    """Exports whose time is over: nobody fetches them any more, also if no worker was there to delete them."""
    oldest = timezone.now() - KEPT
    return Q(ended_at__lt=oldest) | Q(ended_at=None, created_at__lt=oldest)


def forget() -> None:
    """Delete the exports, and their files, whose time is over, and files that are nobody's."""
    for export in Export.objects.filter(is_over()):
        export.file.delete(save=False)
        export.delete()
    _forget_strays(timezone.now() - STRAY)


def _forget_strays(oldest: datetime) -> None:
    storage = _storage()
    if not storage.exists(FOLDER):
        return
    kept = set(Export.objects.exclude(file="").values_list("file", flat=True))
    for name in (f"{FOLDER}/{each}" for each in storage.listdir(FOLDER)[1]):
        if name not in kept and storage.get_modified_time(name) < oldest:
            storage.delete(name)
