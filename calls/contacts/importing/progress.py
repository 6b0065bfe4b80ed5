"""How far an import is, for the page that shows it; and whether somebody has cancelled it meanwhile."""

import time
from typing import Any, Self

from django.db import OperationalError, connection
from psycopg.errors import LockNotAvailable

from calls.models import Import

SECONDS = 0.5
"""Between two notes of how far it is."""

NOTE_SQL = "UPDATE calls_import SET step = %s, done = %s, total = %s, rows = %s WHERE id = %s AND state = %s"
# Somebody who deletes the import may wait for what its own transaction has locked.
WAIT_SQL = "SET lock_timeout = '1s'"
STATE_SQL = "SELECT state FROM calls_import WHERE id = %s"


class Cancelled(Exception):
    """Somebody has cancelled the import."""


class Unnoted:
    """For a small import, whose end is waited for."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to do."""

    def begin(self, step: str, total: int) -> None:
        """A step begins."""

    def at(self, done: int, rows: int | None = None) -> None:
        """So much of the step is done."""


class Noted(Unnoted):
    """Notes it in the import's row, through a connection of its own: others see it while a transaction goes on."""

    def __init__(self, import_: Import) -> None:
        self._import = import_
        self._connection = connection.copy()
        with self._connection.cursor() as cursor:
            cursor.execute(WAIT_SQL)
        self._step, self._total, self._done, self._rows = "", 0, 0, 0
        self._next = 0.0

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self._connection.close()

    def begin(self, step: str, total: int) -> None:
        """A step begins, with so many bytes to read or rows to write. Raises Cancelled."""
        self._step, self._total, self._done = step, total, 0
        self._note()

    def at(self, done: int, rows: int | None = None) -> None:
        """So much of the step is done; `rows` were read. Raises Cancelled."""
        self._done, self._rows = done, self._rows if rows is None else rows
        if time.monotonic() >= self._next:
            self._note()

    def _note(self) -> None:
        self._next = time.monotonic() + SECONDS
        noted: list[Any] = [self._step, self._done, self._total, self._rows, self._import.pk, self._import.state]
        with self._connection.cursor() as cursor:
            try:
                cursor.execute(NOTE_SQL, noted)
            except OperationalError as error:
                if isinstance(error.__cause__, LockNotAvailable):
                    return
                raise
            if not cursor.rowcount:
                cursor.execute(STATE_SQL, [self._import.pk])
                # One that is not there (any more) is found out when it ends.
                if cursor.fetchone():
                    raise Cancelled
