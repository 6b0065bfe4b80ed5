"""What an import would make of the first rows of its file."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from django.conf import settings

from calls.contacts.importing.cells import as_text
from calls.contacts.importing.layout import Layout, Role
from calls.contacts.importing.reading import Row, read_rows, unique_titles
from calls.contacts.importing.source import FIRST_ROWS, Rows, Source, opened_source
from calls.contacts.importing.text import MIXED, has_other_bytes
from calls.contacts.repair import CellValue
from calls.models import Import

PREVIEW_ROWS = 20
CELL_LENGTH = 100
_SHEETS_NAMED = 3


@dataclass(frozen=True)
class PreviewRow:
    """One row: its `cells` as text, and what is read from it; `reason` says why it would be refused."""

    line: int
    cells: tuple[str, ...]
    numbers: tuple[str, ...]
    name: str
    repaired: str
    reason: str


@dataclass(frozen=True)
class Preview:
    """The first rows as they would be read, the title of each column, and what the person should know."""

    rows: list[PreviewRow]
    titles: tuple[str, ...]
    warnings: list[str]


def preview(import_: Import, layout: Layout) -> Preview:
    """The first rows as they would be read with this layout. Raises UploadError."""
    path = Path(import_.file.path)
    titles: list[CellValue] = []
    with opened_source(path, layout, FIRST_ROWS) as source:
        noted = _noted(source.rows, layout.header, titles)
        rows = list(islice(read_rows(noted, layout, settings.DEFAULT_REGION), PREVIEW_ROWS))
        warnings = list(_warnings(path, layout, source, rows))
    return Preview([_shown(row) for row in rows], unique_titles(titles, len(layout.columns)), warnings)


def _noted(rows: Rows, header: int, titles: list[CellValue]) -> Rows:
    for line, cells in rows:
        if line == header:
            titles += cells
        yield line, cells


def _shown(row: Row) -> PreviewRow:
    cells = tuple(as_text(cell)[:CELL_LENGTH] for cell in row.cells)
    return PreviewRow(row.line, cells, row.numbers, row.name, row.repaired, row.reason)


def _warnings(path: Path, layout: Layout, source: Source, rows: list[Row]) -> Iterator[str]:
    if source.others:
        named = ", ".join(f"“{name}”" for name in source.others[:_SHEETS_NAMED])
        more = len(source.others) - _SHEETS_NAMED
        rest = f" and {more} more" if more > 0 else ""
        yield f"Only the sheet “{source.sheet}” is read, not {named}{rest}. To read another one, move it to the front."
    if layout.encoding == MIXED and layout.kind != "xlsx" and has_other_bytes(path):
        yield (
            "Some of the text is not in UTF-8 as the rest of it is; it is read as Windows-1252. Look whether the names "
            "are right; if not, save the file as CSV UTF-8 and upload that."
        )
    if layout.kind != "pasted" and Role.NUMBER not in layout.columns:
        yield "No column looks like one of phone numbers. Say which one it is."
    elif rows and not any(row.numbers for row in rows):
        yield "None of these rows has a number that can be called. Is it the right column?"
    if any(len(row.cells) > len(layout.columns) for row in rows) and layout.kind == "csv":
        yield "Some rows have more cells than there are columns; what is in them is left out."
