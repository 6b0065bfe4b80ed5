"""Why an import can't go on, in words for the person who asked for it."""

import errno

from django.db import Error
from psycopg import errors

DISK_FULL = "The disk of the portal is full. Nothing was changed. Free some space, then try again."
DATABASE_FULL = "The disk of the database is full. Nothing was changed. Free some space, then try again."
GONE = "What this was to be imported into was deleted meanwhile."
BUG = "The portal has made a mistake. Nothing was changed. Its log says more; tell your administrator."

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


class UploadError(ValueError):
    """A whole file can't be used; `str()` says why, and what to do."""


class ImportNotPossible(Exception):
    """It can't be done now; the message says why. Nothing was changed."""


def in_words(error: Exception) -> str:
    """What to tell a person of an error; "" if it is none of theirs."""
    if isinstance(error, UploadError | ImportNotPossible):
        return str(error)
    cause = error.__cause__ if isinstance(error, Error) else error
    if isinstance(cause, errors.DiskFull):
        return DATABASE_FULL
    return DISK_FULL if isinstance(error, OSError) and error.errno in _NO_ROOM else ""
