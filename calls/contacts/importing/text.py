"""CSV files and pasted text as rows of cells, line by line: nothing of the file but its current row is kept.

Encoding and delimiter are guessed from the beginning. Bytes that are not UTF-8 in a file that otherwise is are read
as Windows-1252, since files put together from several have both.
"""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from calls.contacts.importing.layout import MAX_COLUMNS
from calls.contacts.importing.problems import UploadError

SAMPLE_BYTES = 65_536
MIXED = "utf-8-sig"
"""The encoding of files that are UTF-8, perhaps with some other bytes."""

_MAX_LINE = 1024 * 1024
_MAX_CELL = csv.field_size_limit()
_MIXED_ERRORS = "calls.windows-1252"
_DELIMITERS = ",;\t|"
_SAMPLE_ROWS = 50
_SEPARATOR = re.compile(r'\ufeff?"?sep=([^"\r\n])"?[\r\n]*', re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x19\x1b-\x1f]")
_BLOCK = 1024 * 1024
_BINARY = "This is not a text file. Save the contacts as CSV or as an Excel workbook (.xlsx), and upload that."


def _as_windows_1252(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error(_MIXED_ERRORS, _as_windows_1252)


def guess_encoding(sample: bytes) -> str:
    """The encoding of a file that begins with these bytes."""
    if sample.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    # Text in UTF-16 without a mark: digits and commas have a zero byte each, always on the same side.
    even, odd = sample[:200:2].count(0), sample[1:200:2].count(0)
    if max(even, odd) > 10 > min(even, odd):
        return "utf-16-le" if odd > even else "utf-16-be"
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(sample)
    broken = text.count("\ufffd")
    others = sum(not char.isascii() for char in text)
    return "cp1252" if broken and broken * 2 >= others else MIXED


def has_other_bytes(path: Path) -> bool:
    """Whether a file that is taken for UTF-8 has bytes that are not."""
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    try:
        with path.open("rb") as file:
            for block in iter(lambda: file.read(_BLOCK), b""):
                decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return True
    return False


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


def guess_delimiter(text: str) -> str:
    """The delimiter that divides most of the first rows into the same number of cells."""
    if marked := _SEPARATOR.fullmatch(text.partition("\n")[0]):
        return marked[1]
    best, most = ",", (0.0, 0)
    for delimiter in _DELIMITERS:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        counts: Counter[int] = Counter()
        with suppress(csv.Error):  # the rows before it count
            counts.update(len(cells) for cells in islice(reader, _SAMPLE_ROWS) if cells)
        # The share of rows, for a wrong delimiter makes several rows of one that has lines in its cells.
        score = max(((rows / counts.total(), cells) for cells, rows in counts.items() if cells > 1), default=most)
        if score > most:
            best, most = delimiter, score
    return best


def opened(file: BinaryIO, encoding: str) -> io.TextIOWrapper:
    """The text of a file, from its beginning."""
    file.seek(0)
    errors = _MIXED_ERRORS if encoding == MIXED else "replace"
    return io.TextIOWrapper(file, encoding, errors, newline="")


def text_rows(text: io.TextIOBase, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a CSV file, each with the number of its first line, and with at most MAX_COLUMNS + 1 of its cells.

    Raises UploadError, naming the line, for a quote that is never closed and for cells, lines and rows of a length that
    no list has.
    """
    lines = _lines(text)
    offset = 0
    first = next(lines, "")
    if _SEPARATOR.fullmatch(first):
        offset = 1
    else:
        lines = _before(first, lines)
    line, length = 1, 0

    def bounded() -> Iterator[str]:
        nonlocal length
        for each in lines:
            length += len(each)
            if length > _MAX_LINE:
                raise UploadError(
                    f"The row that begins in line {line + offset:,} is longer than {_MAX_LINE:,} characters: perhaps a "
                    'quote (") in it is not closed. Mend it, then upload the file again.'
                )
            yield each

    reader = csv.reader(bounded(), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            yield line + offset, cells[: MAX_COLUMNS + 1]
            line, length = reader.line_num + 1, 0
    except csv.Error as error:
        problem = 'a quote (") that is not closed, or text behind one'
        if "larger than" in str(error):
            problem = f'a cell of more than {_MAX_CELL:,} characters, or a quote (") that is never closed'
        raise UploadError(f"Line {line + offset:,} has {problem}. Mend it, then upload the file again.") from None


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


def _before(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest
