"""Uploads go to a temporary file. One that is too large, or finds no room, ends with words, not with a crash."""

from typing import Any

from django.core.files.uploadedfile import TemporaryUploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler

from calls.contacts.importing import MAX_BYTES
from calls.contacts.importing.problems import in_words


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
            if not (words := in_words(error)):
                raise
            self.file.problem = words  # type: ignore[attr-defined]
            self.file.truncate(0)


def problem_of(file: Any) -> str:
    """Why an uploaded file can't be used, whatever is in it; empty if it can."""
    return getattr(file, "problem", "")
