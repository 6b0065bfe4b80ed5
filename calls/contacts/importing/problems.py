"""Why an import can't go on, in words for the person who asked for it."""

import errno
import os

from django.db import Error
from psycopg import errors

DISK_FULL = "The disk of the portal is full. Nothing was changed. Free some space, then try again."
DATABASE_FULL = "The disk of the database is full. Nothing was changed. Free some space, then try again."
GONE = "What this was to be imported into was deleted meanwhile."
BUG = "The portal has made a mistake. Nothing was changed. Its log says more; tell your administrator."
IN_VAIN = (
    "The portal has begun this several times, and was interrupted each time. Nothing was changed. Its log says more; "
    "try again, or tell your administrator."
)

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
# What no other try changes.
_NO_ACCESS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}


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
    if isinstance(error, OSError) and error.errno in _NO_ACCESS:
        return (
            f"The portal can't read or keep the uploaded file: {os.strerror(error.errno)}. Nothing was changed. Tell "
            "your administrator."
        )
    return DISK_FULL if isinstance(error, OSError) and error.errno in _NO_ROOM else ""
