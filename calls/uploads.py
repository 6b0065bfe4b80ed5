"""Uploads go to a temporary file. One that is too large, or finds no room, ends with words, not with a crash."""

import errno
from typing import Any

from django.core.files.uploadedfile import TemporaryUploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler

from calls.contacts.importing import MAX_BYTES

DISK_FULL = "There was no room left for the file on the disk of the portal. Free some space there, then try again."


class UploadHandler(TemporaryFileUploadHandler):
    """Keeps no more of a file than the largest import has; the file's size is still that of all that came.

    A file for which there was no room has a `problem`, the words for the person who sent it.
    """

    file: TemporaryUploadedFile

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Write a piece of the file."""
        if start > MAX_BYTES or problem_of(self.file):
            return
        try:
            self.file.write(raw_data)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self.file.problem = DISK_FULL  # type: ignore[attr-defined]
            self.file.truncate(0)


def problem_of(file: Any) -> str:
    """Why an uploaded file can't be used, whatever is in it; empty if it can."""
    return getattr(file, "problem", "")
