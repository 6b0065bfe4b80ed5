"""From the preview of an import to its result, and back: at once for a small file, otherwise in a worker."""

from datetime import datetime

from django.db.models.query import RawQuerySet

from calls.contacts.importing.layout import Layout
from calls.models import Import, User
from calls.models.importing import Existing


class ImportNotPossible(Exception):
    """It can't be done now; the message says why. Nothing was changed."""


def confirm(import_: Import, layout: Layout, existing: Existing, address: str = "") -> None:
    """Import it as `layout` says, logged as done from `address`; once, however often it is confirmed.

    A small file is done when this returns; a larger one waits for a worker. Raises ImportNotPossible.
    """
    raise NotImplementedError


def cancel(import_: Import) -> bool:
    """Drop it. False if it was too late."""
    raise NotImplementedError


def undo(import_: Import, user: User, address: str = "") -> None:
    """Put back what was there before: at once, or in a worker if it changed much. Raises ImportNotPossible."""
    raise NotImplementedError


def work(import_: Import, address: str = "") -> None:
    """A worker's part: import it, or undo it, as confirmed from `address`.

    Begun once more after a crash it starts afresh, for nothing was done then.
    """
    raise NotImplementedError


def lost(overdue: datetime) -> "RawQuerySet[Import]":
    """The imports of the last day that a worker should have, but whose job failed before `overdue` (aware)."""
    raise NotImplementedError
