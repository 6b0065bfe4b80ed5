"""Pages that change a contact group or a suppression list wait for an import a moment, not until it is done."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection, transaction
from psycopg.errors import LockNotAvailable

PATIENCE = "2s"
"""How long such a page waits for a lock."""


class Busy(Exception):
    """Something that takes long changes the contact group or suppression list. Nothing was saved; `str()` says so."""

    def __init__(self, what: object) -> None:
        super().__init__(
            f"An import into “{what}” is running, or another change of many rows. Nothing was saved: try again when "
            "it is done."
        )


@contextmanager
def short_wait(what: object) -> Iterator[None]:
    """A transaction that changes `what`, or what is in it. Raises Busy where that would have to wait for long."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", [PATIENCE])
            yield
    except OperationalError as error:
        if not isinstance(error.__cause__, LockNotAvailable):
            raise
        raise Busy(what) from None
