"""From the preview of an import to its result, and back: at once for a small file, otherwise in a worker."""

from datetime import datetime

from django.db import OperationalError, connection, transaction
from django.db.models.query import RawQuerySet
from django.utils import timezone
from psycopg.errors import LockNotAvailable

from calls.contacts.importing.layout import MAX_EXTRA, Layout, Role
from calls.contacts.importing.order import done_later, others
from calls.contacts.importing.problems import BUG, ImportNotPossible, in_words
from calls.contacts.importing.progress import Cancelled, Unnoted
from calls.contacts.importing.rights import check_right
from calls.contacts.importing.staging import forget
from calls.contacts.importing.working import KEPT_FOR, carry_out, drop_file, fail, take_back
from calls.dialing.jobs import import_later
from calls.models import Import, ImportState, User
from calls.models.importing import Existing

INLINE_BYTES = 256 * 1024
"""A file up to this size is imported while the person waits."""

INLINE_ROWS = 50_000
"""Rows that are changed while the person waits."""

INLINE_SHEET_ROWS = 20_000
"""A sheet with so many rows is imported while the person waits: however many they are, a workbook can be small."""

WAIT_SQL = "SET LOCAL lock_timeout = '2s'"

LOST_SQL = """
    SELECT i.id FROM calls_import AS i
    WHERE i.state IN ('waiting', 'running', 'undoing') AND i.started_at < %(overdue)s AND NOT EXISTS (
        SELECT FROM procrastinate_jobs AS j WHERE j.status IN ('todo', 'doing') AND j.args ->> 'import_id' = i.id::text
    )
"""


def confirm(import_: Import, layout: Layout, existing: Existing, address: str = "") -> None:
    """Import it as `layout` says, logged as done from `address`; once, however often it is confirmed.

    A small file is done when this returns; a larger one waits for a worker. Raises ImportNotPossible.
    """
    _check_layout(layout)
    check_right(import_.owner, import_.target, existing)
    with transaction.atomic():
        uploaded = Import.objects.filter(pk=import_.pk, state=ImportState.UPLOADED)
        if not uploaded.update(
            state=ImportState.WAITING,
            layout=layout.as_json(),
            existing=existing,
            address=address,
            started_at=timezone.now(),
        ):
            return
        import_.refresh_from_db()
        if not _is_small(import_, layout) or others(import_).exists():
            import_later(import_)
            return
        Import.objects.filter(pk=import_.pk).update(state=ImportState.RUNNING)
    _at_once(import_)


def _is_small(import_: Import, layout: Layout) -> bool:
    """Whether a person can wait for it."""
    return (
        import_.size <= INLINE_BYTES
        and (layout.kind != "xlsx" or import_.total <= INLINE_SHEET_ROWS)
        and (import_.existing != Existing.REPLACE or import_.target.size <= INLINE_ROWS)
    )


def cancel(import_: Import) -> bool:
    """Drop it, and its file. False if it was too late."""
    droppable = Import.objects.filter(
        pk=import_.pk, state__in=[ImportState.UPLOADED, ImportState.WAITING, ImportState.RUNNING]
    )
    if not droppable.update(state=ImportState.CANCELLED, ended_at=timezone.now()):
        return False
    drop_file(import_)
    return True


def undo(import_: Import, user: User, address: str = "") -> None:
    """Put back what was there before, as `user` wants: at once, or in a worker if it changed much.

    Raises ImportNotPossible.
    """
    with transaction.atomic():
        imports = Import.objects.filter(pk=import_.pk)
        locked = imports.select_for_update(no_key=True).select_related(None).first()
        if locked is None or locked.state != ImportState.DONE:
            raise ImportNotPossible("Only an import that is done, and was not undone yet, can be undone.")
        if why := why_not_undone(locked):
            raise ImportNotPossible(why)
        check_right(user, locked.target, Existing.REPLACE)
        imports.update(
            state=ImportState.UNDOING,
            undone_by=user,
            address=address,
            started_at=timezone.now(),
            attempts=0,
            step="",
            done=0,
            total=0,
            error="",
        )
        if sum(locked.counts.get(what, 0) for what in ("added", "updated", "removed")) > INLINE_ROWS:
            import_later(locked)
            return
    import_.refresh_from_db()
    _at_once(import_)


def why_not_undone(import_: Import) -> str:
    """Why an import that is done can't be undone (any more); "" if it can."""
    if import_.ended_at is None or import_.ended_at < timezone.now() - KEPT_FOR:
        return f"What was there before is kept for {KEPT_FOR.days} days, which are over."
    if other := others(import_).first():
        return f"{other} is under way. Undo this one when that is done."
    return done_later(import_)


def lost(overdue: datetime) -> "RawQuerySet[Import]":
    """The imports that a worker should have, but whose job failed before `overdue` (aware)."""
    return Import.objects.raw(LOST_SQL, {"overdue": overdue})


def _at_once(import_: Import) -> None:
    """Import or undo it now; if somebody else is changing its target, a worker does so later."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(WAIT_SQL)
            if import_.state == ImportState.UNDOING:
                take_back(import_, Unnoted())
            else:
                carry_out(import_, Unnoted())
            forget()
    except Cancelled:
        pass  # whoever cancelled it has written that down
    except Exception as error:
        if isinstance(error, OperationalError) and isinstance(error.__cause__, LockNotAvailable):
            with transaction.atomic():
                import_later(import_)
        elif words := in_words(error):
            fail(import_, words)
        else:
            fail(import_, BUG)
            raise
    import_.refresh_from_db()


def _check_layout(layout: Layout) -> None:
    if layout.kind == "pasted":
        return
    if not {Role.NUMBER, Role.TEXT} & set(layout.columns):
        raise ImportNotPossible("Say which column has the phone numbers.")
    extra = layout.columns.count(Role.EXTRA)
    if extra > MAX_EXTRA:
        raise ImportNotPossible(f"{extra} columns would be kept beside the others; at most {MAX_EXTRA} can be.")
