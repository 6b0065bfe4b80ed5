"""A file arrives: it is looked at, stored, and its layout guessed."""

from django.core.files.uploadedfile import UploadedFile

from calls.models import ContactGroup, Import, SuppressionList, User

MAX_BYTES = 300 * 1024 * 1024
MAX_ROWS = 2_000_000


def receive(
    user: User,
    target: ContactGroup | SuppressionList,
    *,
    upload: UploadedFile | None = None,
    pasted: str = "",
    reason: str = "",
) -> Import:
    """A new import of an uploaded file, or of pasted text, with its layout as guessed.

    `reason` is that of suppressed numbers without one of their own. Raises UploadError: it is too large, empty, no
    text and no workbook, password-protected, or there is no room for it.
    """
    raise NotImplementedError
