"""What an import would make of the first rows of its file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Self

from django.conf import settings

from calls.contacts.importing.cells import as_text
from calls.contacts.importing.encoding import ENCODINGS, MIXED, has_other_bytes
from calls.contacts.importing.layout import Layout, Role
from calls.contacts.importing.reading import Row, read_rows, unique_titles
from calls.contacts.importing.source import FIRST_ROWS, Rows, Source, opened_source, path_of
from calls.contacts.repair import CellValue
from calls.models import Import

PREVIEW_ROWS = 20
FURTHER_ROWS = 10
"""Rows behind the first ones that would be refused, and as many that were repaired, that are shown."""

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
    """The first rows as they would be read, the title of each column, and what the person should know.

    `further` are some rows behind them that would be refused or were repaired; of `looked_at` rows these are `refused`
    and `repaired` in all. `whole`: there are no others.
    """

    rows: list[PreviewRow]
    titles: tuple[str, ...]
    warnings: list[str]
    further: list[PreviewRow] = field(default_factory=list)
    looked_at: int = 0
    refused: int = 0
    repaired: int = 0
    whole: bool = True


def preview(import_: Import, layout: Layout) -> Preview:
    """The first rows as they would be read with this layout. Raises UploadError."""
    path = path_of(import_)
    titles: list[CellValue] = []
    with opened_source(path, layout, FIRST_ROWS) as source:
        lines = _Lines(source.rows)
        noted = _noted(lines, layout.header, titles)
        rows = list(read_rows(noted, layout, settings.DEFAULT_REGION))
        warnings = list(_warnings(path, layout, source, rows))
    refused = [row for row in rows if row.reason]
    repaired = [row for row in rows if row.repaired and not row.reason]
    behind = rows[PREVIEW_ROWS - 1].line if len(rows) > PREVIEW_ROWS else rows[-1].line if rows else 0
    further = [
        row for some in (refused, repaired) for row in islice((r for r in some if r.line > behind), FURTHER_ROWS)
    ]
    return Preview(
        [_shown(row) for row in rows[:PREVIEW_ROWS]],
        unique_titles(titles, len(layout.columns)),
        warnings,
        [_shown(row) for row in sorted(further, key=lambda row: row.line)],
        len(rows),
        len(refused),
        len(repaired),
        len(rows) <= PREVIEW_ROWS and lines.came < FIRST_ROWS,
    )


class _Lines:
    """Rows to be read once, and how many `came`, blank ones among them."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.came = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> tuple[int, Sequence[CellValue]]:
        row = next(self._rows)
        self.came += 1
        return row


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
    if source.uncalculated:
        yield (
            f"The sheet has {source.uncalculated:,} formulas that were never calculated; they are read as empty cells. "
            "Open the workbook in a spreadsheet program, save it, and upload that."
        )
    if layout.kind != "xlsx":
        yield from _encoding_warning(path, layout.encoding)
    if layout.kind != "pasted" and not {Role.NUMBER, Role.TEXT} & set(layout.columns):
        yield "No column looks like one of phone numbers. Say which one it is."
    elif rows and not any(row.numbers for row in rows):
        yield "None of these rows has a number that can be called. Is it the right column?"


def _encoding_warning(path: Path, encoding: str) -> Iterator[str]:
    if encoding == MIXED and has_other_bytes(path):
        yield (
            "Some of the text is not in UTF-8 as the rest of it is; it is read as Windows-1252. Look whether the names "
            "are right; if not, choose another encoding, or save the file as CSV UTF-8 and upload that."
        )
    elif encoding != MIXED and not encoding.startswith("utf"):
        yield (
            f"It is read as {ENCODINGS[encoding]}, since it is not in UTF-8. Look whether the names are right; if not, "
            "choose another encoding."
        )
