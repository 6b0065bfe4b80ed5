"""Imports into contact groups and suppression lists: CSV, workbooks and pasted text, up to two million rows.

`receive` stores a file and guesses its layout, `preview` shows how its first rows are read, `confirm` lets it be
imported, `work` is what a worker does then. An import is done whole or not at all, and `undo` takes it back.
"""

from calls.contacts.importing.encoding import ENCODINGS
from calls.contacts.importing.layout import REASON_COLUMN, Layout, Role
from calls.contacts.importing.order import waiting_for
from calls.contacts.importing.previewing import Preview, PreviewRow, preview
from calls.contacts.importing.problems import ImportNotPossible, UploadError
from calls.contacts.importing.receiving import MAX_BYTES, MAX_ROWS, read_as, receive, with_header
from calls.contacts.importing.refused import refused_lines
from calls.contacts.importing.rights import may_import
from calls.contacts.importing.steps import cancel, confirm, lost, undo, why_not_undone
from calls.contacts.importing.working import forget_old, work

__all__ = [
    "ENCODINGS",
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
    "forget_old",
    "lost",
    "may_import",
    "preview",
    "read_as",
    "receive",
    "refused_lines",
    "undo",
    "waiting_for",
    "why_not_undone",
    "with_header",
    "work",
]
