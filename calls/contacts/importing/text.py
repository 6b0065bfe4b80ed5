"""CSV files and pasted text as rows of cells, line by line: nothing of the file but its current row is kept."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from typing import BinaryIO

from calls.contacts.importing.encoding import SAMPLE_BYTES, errors_of
from calls.contacts.importing.layout import MAX_COLUMNS
from calls.contacts.importing.problems import UploadError
from calls.contacts.repair import read_cell

_MAX_LINE = 1024 * 1024
_MAX_CELL = csv.field_size_limit()
_DELIMITERS = ",;\t|"
# These stand in cells, too: they divide where that gives a column of numbers.
_RARE_DELIMITERS = "~^:"
_PASTED_DELIMITERS = "~^"  # a colon is what people type behind a name
_SAMPLE_ROWS, _SAMPLE_COLUMNS = 50, 50
_LONGEST_NUMBER, _NUMBER_DIGITS = 50, 7
_SEPARATOR = re.compile(r'\ufeff?"?sep=([^"\r\n])"?[\r\n]*', re.IGNORECASE)
NOT_CLOSED = 'has an unclosed quote ("), or text behind one'
TAKES_IN_ROWS = 'has an unclosed quote ("), which takes in rows below it'
_NUMBER = re.compile(r"(?:\d[ -]?){7}")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x19\x1b-\x1f]")
_BLOCK = 1024 * 1024
_BINARY = "This is not a text file. Save the contacts as CSV or as an Excel workbook (.xlsx), and upload that."


def check_is_text(file: BinaryIO, encoding: str) -> None:
    """Raises UploadError, naming the line, for a file with bytes that no text has, or with nothing in it."""
    file.seek(0)
    sample = file.read(SAMPLE_BYTES).decode(encoding, "replace").lstrip("\ufeff")
    if len(_CONTROL.findall(sample)) * 100 > len(sample):
        raise UploadError(_BINARY)
    if not encoding.startswith(("utf-16", "utf-32")):
        _check_no_zeros(file)


def _check_no_zeros(file: BinaryIO) -> None:
    file.seek(0)
    lines = 1
    for block in iter(lambda: file.read(_BLOCK), b""):
        place = block.find(b"\0")
        if place >= 0:
            line = lines + block.count(b"\n", 0, place)
            raise UploadError(
                f"Line {line:,} has a zero byte, which no text has: the file is damaged. Save it as CSV again."
            )
        lines += block.count(b"\n")


def guess_delimiter(text: str, region: str, *, pasted: bool = False) -> str:
    """The delimiter of text that begins like this.

    It gives a column of numbers, if any does, and divides most of the first rows into the same number of cells.
    """
    if marked := _SEPARATOR.fullmatch(text.partition("\n")[0]):
        return marked[1]
    rare = _PASTED_DELIMITERS if pasted else _RARE_DELIMITERS
    best, most = ",", (False, 0.0, 0, 0)
    for delimiter in _DELIMITERS + rare:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        rows: list[list[str]] = []
        with suppress(csv.Error):  # the rows before it count
            rows += (cells for cells in islice(reader, _SAMPLE_ROWS) if cells)
        counts = Counter(map(len, rows))
        # The share of rows, for a wrong delimiter makes several rows of one that has lines in its cells.
        share, cells = max(((count / len(rows), cells) for cells, count in counts.items() if cells > 1), default=(0, 0))
        in_one_column, numbers = _numbers(rows, region)
        has_column = in_one_column * 2 >= len(rows) > 0
        score = (has_column, share, numbers, cells)
        if cells and score > most and (has_column or delimiter not in rare):
            best, most = delimiter, score
    return best


def _numbers(rows: Sequence[Sequence[str]], region: str) -> tuple[int, int]:
    """How many rows have a number in the same column, at most; and how many numbers there are in all."""
    columns: Counter[int] = Counter()
    numbers = 0
    for cells in rows:
        for place, cell in enumerate(cells[:_SAMPLE_COLUMNS]):
            if len(cell) < _LONGEST_NUMBER and sum(map(str.isdigit, cell)) >= _NUMBER_DIGITS:
                found = len(read_cell(cell.strip(), region).numbers)
                columns[place] += bool(found)
                numbers += found
    return max(columns.values(), default=0), numbers


def opened(file: BinaryIO, encoding: str) -> io.TextIOWrapper:
    """The text of a file, from its beginning."""
    file.seek(0)
    return io.TextIOWrapper(file, encoding, errors_of(encoding), newline="")


class Damaged(list[str]):
    """A row whose cells can't be told apart: its whole text as one cell, and the `reason` for a person."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__([text])
        self.reason = reason


def text_rows(text: io.TextIOBase, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file, each with the number of its first line, and with at most MAX_COLUMNS + 1 of its cells.

    A line with quotes that are not as they should be is read as spreadsheets do if that can be done in one way only;
    otherwise it is Damaged. Raises UploadError, naming the line, for a quote that takes in further lines and is never
    closed, and for cells, lines and rows of a length that no list has.
    """
    lines, offset = _behind_separator(_lines(text))
    line, length = 1, 0
    came: list[str] = []

    def bounded() -> Iterator[str]:
        nonlocal length
        for each in lines:
            length += len(each)
            if length > _MAX_LINE:
                raise UploadError(
                    f"The row that begins in line {line + offset:,} is longer than {_MAX_LINE:,} characters: perhaps a "
                    'quote (") in it is not closed. Mend it, then upload the file again.'
                )
            came.append(each)
            yield each

    reader = csv.reader(bounded(), delimiter=delimiter, strict=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            cells = _mended(error, came, delimiter, line + offset)
        if len(came) > 1 and _takes_in_rows(came, cells, delimiter):
            cells = Damaged("".join(came).rstrip("\r\n"), TAKES_IN_ROWS)
        yield line + offset, cells if len(cells) <= MAX_COLUMNS else _shortened(cells)
        line, length = reader.line_num + 1, 0
        came.clear()


def _mended(error: csv.Error, came: Sequence[str], delimiter: str, line: int) -> list[str]:
    """The cells of a damaged row, of which these lines were read. Raises UploadError if it may be more than one row."""
    if "larger than" in str(error):
        problem = f'a cell of more than {_MAX_CELL:,} characters, or a quote (") that is never closed'
    elif len(came) > 1:
        problem = 'a quote (") that is not closed, or text behind one'
    else:
        return _leniently(came[0], delimiter)
    raise UploadError(f"Line {line:,} has {problem}. Mend it, then upload the file again.") from None


def _leniently(line: str, delimiter: str) -> list[str]:
    """The cells of a line with text behind a quote or with one that is not closed, as spreadsheets read it.

    Damaged if a quote is left: then it is not clear where its cells end.
    """
    if line.count('"') % 2 == 0:
        cells = next(csv.reader([line], delimiter=delimiter))
        if not any('"' in cell for cell in cells):
            return cells
    return Damaged(line.rstrip("\r\n"), NOT_CLOSED)


def _takes_in_rows(lines: Sequence[str], cells: Sequence[str], delimiter: str) -> bool:
    """Whether the lines of what reads as one row look like rows themselves, and some cell has a number of one."""

    def like_a_row(text: str) -> bool:
        return delimiter in text and bool(_NUMBER.search(text))

    return all(map(like_a_row, lines)) and any(
        like_a_row(piece) for cell in cells if "\n" in cell or "\r" in cell for piece in cell.splitlines()
    )


def _shortened(cells: list[str]) -> list[str]:
    """A row of too many cells, with one for all that is in those beyond."""
    return [*cells[:MAX_COLUMNS], next(filter(str.strip, cells[MAX_COLUMNS:]), "")]


def pasted_rows(text: io.TextIOBase) -> Iterator[tuple[int, list[str]]]:
    """The lines of free text, each as the only cell of a row. Raises UploadError for a line that is far too long."""
    for line, content in enumerate(_lines(text), start=1):
        yield line, [content.rstrip("\r\n")]


def _lines(text: io.TextIOBase) -> Iterator[str]:
    for number, line in enumerate(iter(lambda: text.readline(_MAX_LINE), ""), start=1):
        if len(line) == _MAX_LINE:
            raise UploadError(
                f"Line {number:,} is longer than {_MAX_LINE:,} characters: the file is damaged, or no list of contacts."
            )
        # The end of a file as DOS had it.
        yield line.rstrip("\x1a") if line.endswith("\x1a") else line


def _behind_separator(lines: Iterator[str]) -> tuple[Iterator[str], int]:
    """The lines without a first one that only names the separator, and how many were left out."""
    first = next(lines, "")
    return (lines, 1) if _SEPARATOR.fullmatch(first) else (chain([first], lines), 0)
