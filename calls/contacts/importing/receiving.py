"""A file arrives: it is looked at, stored, and its layout guessed."""

import unicodedata
from dataclasses import replace
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files import File
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError

from calls.contacts.importing.cells import as_text
from calls.contacts.importing.encoding import SAMPLE_BYTES, guess_encoding
from calls.contacts.importing.guess import (
    SAMPLE_ROWS,
    columns_of_numbers,
    columns_of_text,
    guess_columns,
    guess_header,
)
from calls.contacts.importing.layout import MAX_COLUMNS, REASON_COLUMN, TEXT_COLUMN, Layout, Role
from calls.contacts.importing.own import begins_as_own, own_columns
from calls.contacts.importing.problems import GONE, ImportNotPossible, UploadError, in_words
from calls.contacts.importing.reading import unique_titles
from calls.contacts.importing.source import FIRST_ROWS, opened_file, opened_source, path_of
from calls.contacts.importing.staging import MAX_ROWS
from calls.contacts.importing.text import check_is_text, guess_delimiter
from calls.contacts.repair import CellValue, read_cell
from calls.contacts.workbook import OLD_MAGIC
from calls.models import ContactGroup, Import, SuppressionList, User

__all__ = ["MAX_BYTES", "MAX_ROWS", "read_as", "receive", "with_header"]

MAX_BYTES = 300 * 1024 * 1024

_WORKBOOKS = (b"PK\x03\x04", OLD_MAGIC)
_OTHER_FILES = {
    b"%PDF": "This is a PDF file. Save the contacts as CSV or as an Excel workbook (.xlsx), and upload that.",
    b"\x1f\x8b": "This is a compressed file. Unpack it, and upload what is in it.",
    b"7z\xbc\xaf": "This is a compressed file. Unpack it, and upload what is in it.",
    b"Rar!": "This is a compressed file. Unpack it, and upload what is in it.",
}
_EMPTY = "The file is empty."
_FEW = 0.1
"""Of rows without titles: what so few of them have beyond the others is no column."""

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
        path = Path(import_.file.path)
        layout, import_.total = _guess_layout(path, pasted=upload is None, suppression=import_.group is None)
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
    """The layout with the titles in that line (0: nowhere), and its columns guessed anew.

    Raises UploadError, also if that line is blank.
    """
    rows, _ = _sample(path_of(import_), layout, header)
    if header and (not rows or rows[0][0] != header):
        raise UploadError(f"Row {header} is blank, or there is none: it can't have the titles.")
    return _fitted(_with_columns(layout, rows, header, suppression=not import_.group_id), rows)


def read_as(import_: Import, kind: str, encoding: str, delimiter: str) -> Layout:
    """The layout of a text file that is read like this, its titles and columns guessed anew. Raises UploadError."""
    path = path_of(import_)
    with opened_file(path) as file:
        check_is_text(file, encoding)
    layout = Layout(kind, encoding, delimiter)
    rows, _ = _checked_sample(path, layout)
    if kind == "pasted":
        return layout
    header = _header(rows, suppression=not import_.group_id)
    return _fitted(_with_columns(layout, rows, header, suppression=not import_.group_id), rows)


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


def _guess_layout(path: Path, *, pasted: bool, suppression: bool) -> tuple[Layout, int]:
    """How the file is best read, and how many bytes, or rows of a sheet, there are. Raises UploadError."""
    with path.open("rb") as file:
        sample = file.read(SAMPLE_BYTES)
        for magic, problem in _OTHER_FILES.items():
            if sample.startswith(magic):
                raise UploadError(problem)
        if sample.startswith(_WORKBOOKS) and not pasted:
            layout = Layout("xlsx")
        else:
            encoding = guess_encoding(file)
            check_is_text(file, encoding)
            text = sample.decode(encoding, "replace")
            own = begins_as_own(text)
            delimiter = "," if own else guess_delimiter(text, settings.DEFAULT_REGION, pasted=pasted)
            layout = Layout("csv", encoding, delimiter)
    rows, total = _checked_sample(path, layout)
    header = _header(rows, suppression=suppression)
    if header == rows[-1][0] and len(rows) < SAMPLE_ROWS:
        raise UploadError("The file has titles and nothing below them.")
    guessed = _with_columns(layout, rows, header, suppression=suppression)
    alone = len(guessed.columns) == 1
    in_lines = pasted and alone and any(any(map(as_text, cells[1:])) for _, cells in rows)  # several numbers in some
    if layout.kind == "csv" and not header and (pasted or alone) and (in_lines or not _is_table(rows, guessed)):
        return Layout("pasted", layout.encoding), total
    return _fitted(guessed, rows), total


def _header(rows: Sample, *, suppression: bool) -> int:
    """The line of the titles; 0 if there are none."""
    own = own_columns(rows[0][1], rows[1:], suppression=suppression)
    return rows[0][0] if own else guess_header(rows, settings.DEFAULT_REGION)


def _checked_sample(path: Path, layout: Layout) -> tuple[Sample, int]:
    """The first rows that are not blank, and how much there is in all.

    Raises UploadError if there are none, or if they have too many columns.
    """
    rows, total = _sample(path, layout)
    if not rows:
        raise UploadError(_BLANK)
    if max(len(cells) for _, cells in rows) > MAX_COLUMNS:
        raise UploadError(
            f"The file has more than {MAX_COLUMNS} columns; no more are read. Delete those that are not needed."
        )
    return rows, total


def _sample(path: Path, layout: Layout, first: int = 0) -> tuple[Sample, int]:
    """The first rows, from that line on, that are not blank; and how much there is in all."""
    with opened_source(path, layout, FIRST_ROWS) as source:
        filled = ((line, list(cells)) for line, cells in source.rows if line >= first and any(map(as_text, cells)))
        return list(islice(filled, SAMPLE_ROWS)), source.total


def _fitted(layout: Layout, rows: Sample) -> Layout:
    """The layout without columns behind the list that have no title.

    What stands there makes its row suspicious: its cells may be another column's.
    """
    width = len(layout.columns)
    if titles := next((cells for line, cells in rows if layout.header and line == layout.header), []):
        known = [place for place, cell in enumerate(titles) if as_text(cell)]
        width = max(known + [place for place, role in enumerate(layout.columns) if role is not Role.SKIP]) + 1
    columns = layout.columns[:width]
    if layout.titles[:1] == (TEXT_COLUMN,) and REASON_COLUMN in layout.titles:
        columns = (Role.TEXT, *[Role.SKIP] * (len(columns) - 1))
    return replace(layout, titles=layout.titles[:width], columns=columns)


def _without_few(rows: Sample) -> Sample:
    """Rows of a list without titles, without the columns behind it in which few rows have anything."""
    widths = sorted(max(place for place, cell in enumerate(cells, 1) if as_text(cell)) for _, cells in rows)
    width = widths[len(widths) - 1 - int(len(widths) * _FEW)] if widths else 0
    return [(line, cells[:width]) for line, cells in rows]


def _with_columns(layout: Layout, rows: Sample, header: int, *, suppression: bool) -> Layout:
    titles: list[CellValue] = next((cells for line, cells in rows if line == header), [])
    below = [(line, cells) for line, cells in rows if line > header]
    if not titles:
        below = _without_few(below)
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
