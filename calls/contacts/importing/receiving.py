"""A file arrives: it is looked at, stored, and its layout guessed."""

import unicodedata
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files import File
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError

from calls.contacts.importing.cells import as_text
from calls.contacts.importing.guess import (
    SAMPLE_ROWS,
    columns_of_numbers,
    columns_of_text,
    guess_columns,
    guess_header,
)
from calls.contacts.importing.layout import MAX_COLUMNS, Layout, Role
from calls.contacts.importing.own import begins_as_own, own_columns
from calls.contacts.importing.problems import GONE, ImportNotPossible, UploadError, in_words
from calls.contacts.importing.reading import unique_titles
from calls.contacts.importing.source import FIRST_ROWS, opened_source
from calls.contacts.importing.staging import MAX_ROWS
from calls.contacts.importing.text import SAMPLE_BYTES, check_is_text, guess_delimiter, guess_encoding
from calls.contacts.repair import CellValue, read_cell
from calls.contacts.workbook import OLD_MAGIC
from calls.models import ContactGroup, Import, SuppressionList, User

__all__ = ["MAX_BYTES", "MAX_ROWS", "receive", "with_header"]

MAX_BYTES = 300 * 1024 * 1024

_WORKBOOKS = (b"PK\x03\x04", OLD_MAGIC)
_OTHER_FILES = {
    b"%PDF": "This is a PDF file. Save the contacts as CSV or as an Excel workbook (.xlsx), and upload that.",
    b"\x1f\x8b": "This is a compressed file. Unpack it, and upload what is in it.",
    b"7z\xbc\xaf": "This is a compressed file. Unpack it, and upload what is in it.",
    b"Rar!": "This is a compressed file. Unpack it, and upload what is in it.",
}
_EMPTY = "The file is empty."
_BLANK = f"The file is empty, or its first {FIRST_ROWS:,} rows are. Delete empty rows above the list."

Sample = list[tuple[int, list[CellValue]]]


def receive(
    user: User,
    target: ContactGroup | SuppressionList,
    *,
    upload: "UploadedFile[Any] | None" = None,
    pasted: str = "",
    reason: str = "",
) -> Import:
    """A new import of an uploaded file, or of pasted text, with its layout as guessed.

    `reason` is that of suppressed numbers without one of their own. Raises UploadError: it is too large, empty, no
    text and no workbook, password-protected, or there is no room for it; or the target was deleted meanwhile. Raises
    ImportNotPossible if nothing can be imported into the target.
    """
    _check_target(target)
    import_ = Import(owner=user, reason=reason, filename=_shown_name(upload.name or "") if upload else "")
    if isinstance(target, ContactGroup):
        import_.group = target
    else:
        import_.suppression_list = target
    content: File[Any] = upload or File(BytesIO(pasted.encode("utf-8", "replace")))
    import_.size = content.size
    _check_size(import_.size)
    try:
        import_.file.save(str(import_.pk), content, save=False)
        layout = _guess_layout(Path(import_.file.path), pasted=upload is None, suppression=import_.group is None)
        import_.layout = layout.as_json()
        import_.save()
    except Exception as error:
        if import_.file:
            import_.file.delete(save=False)
        words = GONE if isinstance(error, IntegrityError) else in_words(error)
        if words:
            raise UploadError(words) from error
        raise
    return import_


def with_header(import_: Import, layout: Layout, header: int) -> Layout:
    """The layout with the titles in that line (0: nowhere), and its columns guessed anew. Raises UploadError."""
    rows = _sample(Path(import_.file.path), layout)
    return _with_columns(layout, rows, header, suppression=not import_.group_id)


def _check_target(target: ContactGroup | SuppressionList) -> None:
    if isinstance(target, ContactGroup):
        if target.held_by_carrier:
            raise ImportNotPossible(f"The carrier holds “{target}”: its contacts are not here.")
    elif not target.takes_imports:
        raise ImportNotPossible(f"The portal itself keeps “{target}”: nothing is imported into it.")


def _check_size(size: int) -> None:
    if not size:
        raise UploadError(_EMPTY)
    if size > MAX_BYTES:
        raise UploadError(
            f"The file has {size / 1024**2:,.0f} MiB; at most {MAX_BYTES // 1024**2} MiB are taken in. Split it."
        )


def _shown_name(name: str) -> str:
    """The file's name, without what no page and no database takes."""
    return "".join(char for char in name if unicodedata.category(char) not in {"Cc", "Cs", "Cf"})[:200]


def _guess_layout(path: Path, *, pasted: bool, suppression: bool) -> Layout:
    """How the file is best read. Raises UploadError."""
    with path.open("rb") as file:
        sample = file.read(SAMPLE_BYTES)
        for magic, problem in _OTHER_FILES.items():
            if sample.startswith(magic):
                raise UploadError(problem)
        if sample.startswith(_WORKBOOKS) and not pasted:
            layout = Layout("xlsx")
        else:
            encoding = guess_encoding(sample)
            check_is_text(file, encoding)
            text = sample.decode(encoding, "replace")
            layout = Layout("csv", encoding, "," if begins_as_own(text) else guess_delimiter(text))
    rows = _sample(path, layout)
    if not rows:
        raise UploadError(_BLANK)
    if max(len(cells) for _, cells in rows) > MAX_COLUMNS:
        raise UploadError(
            f"The file has more than {MAX_COLUMNS} columns; no more are read. Delete those that are not needed."
        )
    own = own_columns(rows[0][1], rows[1:], suppression=suppression)
    header = rows[0][0] if own else guess_header(rows, settings.DEFAULT_REGION)
    if header == rows[-1][0] and len(rows) < SAMPLE_ROWS:
        raise UploadError("The file has titles and nothing below them.")
    guessed = _with_columns(layout, rows, header, suppression=suppression)
    if layout.kind == "csv" and not header and (pasted or len(guessed.columns) == 1) and not _is_table(rows, guessed):
        return Layout("pasted", layout.encoding)
    return guessed


def _sample(path: Path, layout: Layout) -> Sample:
    """The first rows that are not blank."""
    with opened_source(path, layout, FIRST_ROWS) as source:
        filled = ((line, list(cells)) for line, cells in source.rows if any(map(as_text, cells)))
        return list(islice(filled, SAMPLE_ROWS))


def _with_columns(layout: Layout, rows: Sample, header: int, *, suppression: bool) -> Layout:
    titles: list[CellValue] = next((cells for line, cells in rows if line == header), [])
    below = [(line, cells) for line, cells in rows if line > header]
    texts = [as_text(cell) for cell in titles]
    columns = own_columns(texts, below, suppression=suppression) or guess_columns(
        below, texts, settings.DEFAULT_REGION, suppression=suppression
    )
    return Layout(layout.kind, layout.encoding, layout.delimiter, header, unique_titles(titles, len(columns)), columns)


def _is_table(rows: Sample, layout: Layout) -> bool:
    """Whether most rows have one number in the same column, or several beside one text; else they are free text.

    Of several numbers beside a name some may be those of orders, which must not be called: the person has to say.
    """
    width = len(layout.columns)
    if Role.NUMBER not in layout.columns:
        several = len(columns_of_numbers(rows, range(width), settings.DEFAULT_REGION)) > 1
        return several and len(rows) > 1 and len(columns_of_text(rows, width)) == 1
    place = layout.columns.index(Role.NUMBER)
    cells = [row[place] for _, row in rows if place < len(row)]
    return sum(bool(read_cell(cell, settings.DEFAULT_REGION).numbers) for cell in cells) * 5 >= len(rows) * 4
