"""The file of an import as rows of cells, whatever kind of file it is."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from calls.contacts.importing.cells import unprotect
from calls.contacts.importing.layout import Layout
from calls.contacts.importing.problems import UploadError
from calls.contacts.importing.sheets import opened_sheet
from calls.contacts.importing.text import opened, pasted_rows, text_rows
from calls.contacts.repair import CellValue
from calls.models import Import

FIRST_ROWS = 1_000
"""Rows, blank ones too, among which those that show how a file is read are looked for."""

_EVERYTHING = 2**31
GONE = "The uploaded file is not there any more. Upload it again."

Rows = Iterator[tuple[int, Sequence[CellValue]]]


@dataclass(frozen=True)
class Source:
    """The rows of a file, each with its line, blank ones too; `position()` of `total` says how far they are read.

    `sheet` is that of a workbook, `others` those sheets that are not read; `uncalculated` of its formulas have no
    value.
    """

    rows: Rows
    position: Callable[[], int]
    total: int
    sheet: str = ""
    others: list[str] = field(default_factory=list)
    uncalculated: int = 0


def path_of(import_: Import) -> Path:
    """The file of an import. Raises UploadError if it was dropped."""
    if not import_.file:
        raise UploadError(GONE)
    return Path(import_.file.path)


def opened_file(path: Path) -> BinaryIO:
    """The bytes of a file. Raises UploadError if it is not there any more."""
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise UploadError(GONE) from None


@contextmanager
def opened_source(path: Path, layout: Layout, most: int = _EVERYTHING) -> Iterator[Source]:
    """The file at `path`; not more than `most` rows of it. Raises UploadError, also while rows are read."""
    if layout.kind == "xlsx":
        with opened_file(path), opened_sheet(path, most) as sheet:
            place = 0

            def counted() -> Rows:
                nonlocal place
                for row in sheet.rows:
                    place = row[0]
                    yield row

            yield Source(counted(), lambda: place, sheet.height, sheet.name, sheet.others, sheet.uncalculated)
        return
    with opened_file(path) as file:
        text = opened(file, layout.encoding)
        rows = pasted_rows(text) if layout.kind == "pasted" else _unprotected(text_rows(text, layout.delimiter))
        yield Source(islice(rows, most), file.tell, path.stat().st_size)


def _unprotected(rows: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    for line, cells in rows:
        unprotect(cells)
        yield line, cells
