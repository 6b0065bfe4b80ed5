"""Imports into contact groups and suppression lists: CSV, workbooks and pasted text, up to two million rows.

`receive` stores a file and guesses its layout, `preview` shows how its first rows are read, `confirm` lets it be
imported, `work` is what a worker does then. An import is done whole or not at all, and `undo` takes it back.
"""

from calls.contacts.entries import UploadError
from calls.contacts.importing.layout import Layout, Role
from calls.contacts.importing.preview import Preview, PreviewRow, preview
from calls.contacts.importing.receive import MAX_BYTES, MAX_ROWS, receive
from calls.contacts.importing.refused import REASON_COLUMN, refused_lines
from calls.contacts.importing.steps import ImportNotPossible, cancel, confirm, lost, undo, work

__all__ = [
    "MAX_BYTES",
    "MAX_ROWS",
    "REASON_COLUMN",
    "ImportNotPossible",
    "Layout",
    "Preview",
    "PreviewRow",
    "Role",
    "UploadError",
    "cancel",
    "confirm",
    "lost",
    "preview",
    "receive",
    "refused_lines",
    "undo",
    "work",
]
