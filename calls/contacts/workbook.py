"""The process that reads a workbook: ``python -m calls.contacts.workbook <path> <most rows>``.

The first line that it writes is a JSON object: `{"sheet": its name, "others": [more sheets], "rows": 200000}`, or
`{"refused": why}`. Each further one is a list of rows, `[[number, [cell, ...]], ...]`, without the blank ones. A cell
is a string, a number, true or false, `{"date": "2026-11-23"}` or `{"time": "10:30:00"}`. A row that has nothing but
formulas which were never calculated is `[number, null]`; `"uncalculated"` of the first line says how many such formulas
the sheet has.

A list that fills a sheet goes on in the next ones with the same titles: their rows are counted on, titles left out.

The reader is native code that takes the bytes of strangers and keeps a whole sheet in memory: memory and time are
bounded here for good.
"""

import contextlib
import json
import re
import resource
import sys
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from itertools import chain, islice
from pathlib import Path
from typing import Any

from python_calamine import (
    CalamineError,
    CalamineSheet,
    CalamineWorkbook,
    PasswordError,
    SheetTypeEnum,
    SheetVisibleEnum,
)

MEMORY = 2 * 1024**3
CPU_SECONDS = 300
MAX_UNPACKED = 3 * 1024**3
"""Bytes that the parts of a workbook may have in all, unpacked; two million rows have less."""

MAX_COLUMNS = 500
MAX_CELL = 131_072
OLD_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""How old workbooks (.xls) begin, and the wrapping of encrypted ones."""

SHEET_ROWS = 1_048_576
"""Rows of a full sheet: it has room for no more."""

MAX_ROW = 1024 * 1024
"""Characters of a row, as JSON."""

_ROWS_AT_ONCE, _TEXT_AT_ONCE = 1_000, 1024 * 1024
LONGEST_LINE = 4 * (_TEXT_AT_ONCE + MAX_ROW + _ROWS_AT_ONCE + 10)
"""Bytes of the longest line that is written."""

_SHEET_NAME, _OTHER_SHEETS = 100, 1_000
"""Characters of a sheet's name, and further sheets, that are told."""

TOO_LARGE = (
    "The workbook needs too much memory when it is opened. Perhaps it has formats or single cells far below or beside "
    "the list: delete the rows and columns around it, or save the sheet as CSV, and upload that."
)
DAMAGED = (
    "The workbook can't be read: it is damaged, or not of a kind that is known here. Save it as CSV, or as a new Excel "
    "workbook (.xlsx), and upload that."
)
PROTECTED = (
    "The workbook is protected with a password. Save it without one (in Excel: File, Info, Protect Workbook, Encrypt "
    "with Password, and empty the field), and upload that."
)
EMPTY = "The workbook has no visible sheet with anything in it."

# Of the parts of an .xlsx: which one has which sheet, and a formula without a value.
_SHEET = re.compile(rb'<(?:\w+:)?sheet\s[^>]*?\bid="([^"]+)"')
_RELATION = re.compile(rb"<(?:\w+:)?Relationship\s[^>]*>")
_ID, _TARGET = re.compile(rb'\bId="([^"]+)"'), re.compile(rb'\bTarget="/?(?:xl/)?([^"]+)"')
_UNCALCULATED = re.compile(
    rb'<c\s[^>]*?\br="[A-Z]+(\d+)"[^>]*>\s*<f(?:\s[^>]*)?(?:/>|>[^<]*</f>)\s*(?:<v\s*/>|<v></v>)?\s*</c>'
)
_PART_AT_ONCE = 1024 * 1024

_json = json.JSONEncoder(ensure_ascii=False).encode


class Refused(Exception):
    """The workbook can't be used; `str()` says why, for a person."""


def main() -> None:
    """Write the rows of the workbook."""
    _bound_this_process()
    try:
        for line in _lines(Path(sys.argv[1]), int(sys.argv[2])):
            sys.stdout.write(line + "\n")
    except Refused as error:
        sys.stdout.write(_json({"refused": str(error)}) + "\n")
    except MemoryError:
        sys.stdout.write(_json({"refused": TOO_LARGE}) + "\n")


def _bound_this_process() -> None:
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _lines(path: Path, most: int) -> Iterator[str]:
    if zipfile.is_zipfile(path):
        _check_unpacked(path)
    try:
        workbook = CalamineWorkbook.from_path(path)
        sheet, others = _first_sheet(workbook)
        more, rows = _continued(workbook, sheet, others)
    except PasswordError:
        raise Refused(PROTECTED) from None
    except CalamineError:
        raise Refused(PROTECTED if _is_encrypted(path) else DAMAGED) from None
    others = [name[:_SHEET_NAME] for name in others[len(more) :][:_OTHER_SHEETS]]
    missing = _uncalculated(path, workbook.sheet_names.index(sheet.name))
    facts = {"sheet": sheet.name[:_SHEET_NAME], "others": others, "rows": rows, "uncalculated": sum(missing.values())}
    yield _json(facts)
    yield from _batches(islice(chain(_rows(sheet, missing), _rows_of(workbook, more, path)), most))


def _batches(rows: Iterable[str]) -> Iterator[str]:
    """The rows as JSON, many at once, but not more than memory has room for."""
    some: list[str] = []
    length = 0
    for row in rows:
        some.append(row)
        length += len(row)
        if len(some) == _ROWS_AT_ONCE or length >= _TEXT_AT_ONCE:
            yield f"[{','.join(some)}]"
            some, length = [], 0
    if some:
        yield f"[{','.join(some)}]"


def _is_encrypted(path: Path) -> bool:
    """Whether this is the wrapping of an encrypted workbook, which says so in its directory."""
    data = path.read_bytes()
    return data.startswith(OLD_MAGIC) and "EncryptedPackage".encode("utf-16-le") in data


def _check_unpacked(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as packed:
            unpacked = sum(part.file_size for part in packed.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        raise Refused(DAMAGED) from None
    if unpacked > MAX_UNPACKED:
        raise Refused(
            f"The workbook would have {unpacked / 1024**3:,.1f} GiB once it is unpacked; at most "
            f"{MAX_UNPACKED // 1024**3} GiB are read. Save the sheet with the contacts as CSV, and upload that."
        )


def _first_sheet(workbook: CalamineWorkbook) -> tuple[CalamineSheet, list[str]]:
    """The first visible sheet with anything in it, and the names of those behind it."""
    names = [
        each.name
        for each in workbook.sheets_metadata
        if each.visible == SheetVisibleEnum.Visible and each.typ == SheetTypeEnum.WorkSheet
    ]
    for place, name in enumerate(names):
        sheet = workbook.get_sheet_by_name(name)
        if sheet.end is not None:
            if sheet.width > MAX_COLUMNS:
                raise Refused(
                    f"The sheet “{name}” has {sheet.width:,} columns; at most {MAX_COLUMNS} are read. Delete the "
                    "columns that are not needed, and those that look empty to the right of the list."
                )
            return sheet, names[place + 1 :]
    raise Refused(EMPTY)


def _continued(workbook: CalamineWorkbook, sheet: CalamineSheet, names: list[str]) -> tuple[list[str], int]:
    """The names of the sheets behind a full one in which its list goes on, and how many rows they have in all."""
    titles = next(sheet.iter_rows())
    found: list[str] = []
    rows = height = _height(sheet)
    for name in names:
        if height < SHEET_ROWS or not any(titles):
            break
        other = workbook.get_sheet_by_name(name)
        height = _height(other)
        if not height or next(other.iter_rows()) != titles:
            break
        found.append(name)
        rows += height
    return found, rows


def _height(sheet: CalamineSheet) -> int:
    return sheet.end[0] + 1 if sheet.end else 0


def _rows_of(workbook: CalamineWorkbook, names: list[str], path: Path) -> Iterator[str]:
    """The rows of the sheets in which a list goes on."""
    for place, name in enumerate(names, start=1):
        missing = _uncalculated(path, workbook.sheet_names.index(name))
        yield from islice(_rows(workbook.get_sheet_by_name(name), missing, place * SHEET_ROWS), 1, None)


def _uncalculated(path: Path, place: int) -> Counter[int]:
    """How many formulas without a value the rows of the sheet at this place have; programs write such, not people.

    Of workbooks of other kinds than .xlsx nobody knows.
    """
    found: Counter[int] = Counter()
    with contextlib.suppress(zipfile.BadZipFile, KeyError, IndexError), zipfile.ZipFile(path) as packed:
        relation = _SHEET.findall(packed.read("xl/workbook.xml"))[place]
        for each in _RELATION.findall(packed.read("xl/_rels/workbook.xml.rels")):
            name, target = _ID.search(each), _TARGET.search(each)
            if name and target and name[1] == relation:
                with packed.open(f"xl/{target[1].decode()}") as part:
                    rest = b""
                    while block := part.read(_PART_AT_ONCE):
                        block = rest + block
                        found.update(int(row) for row in _UNCALCULATED.findall(block) if b"<f" in block)
                        rest = block[max(block.rfind(b"</c>"), len(block) - MAX_CELL) :]
    return found


def _rows(sheet: CalamineSheet, uncalculated: Counter[int], before: int = 0) -> Iterator[str]:
    """The rows that are not blank, each as JSON; so many rows were before them."""
    place = 0
    for place, cells in enumerate(sheet.iter_rows(), start=1):
        number = before + place
        if any(cell != "" for cell in cells):
            if any(isinstance(cell, str) and len(cell) > MAX_CELL for cell in cells):
                raise Refused(
                    f"Row {number:,} has a cell of more than {MAX_CELL:,} characters. Shorten it, then upload it again."
                )
            row = _json((number, [cell if isinstance(cell, str | float | int) else _moment(cell) for cell in cells]))
            if len(row) > MAX_ROW:
                raise Refused(
                    f"Row {number:,} has more than {MAX_ROW:,} characters. Shorten its cells, then upload it again."
                )
            yield row
        elif place in uncalculated:
            yield _json((number, None))
    for further in sorted(row for row in uncalculated if row > place):
        yield _json((before + further, None))


def _moment(value: Any) -> dict[str, str]:
    if isinstance(value, date):
        return {"date": str(value)}
    return {"time": str(value)}


if __name__ == "__main__":
    main()
