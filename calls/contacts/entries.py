"""Contacts from pasted text and from CSV files: what each line says, or why it can't be used.

Nothing is dropped without a word (DESIGN.md, rule 6): every line that isn't blank gives at least one entry.
"""

import codecs
import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from calls.contacts.numbers import NumberError, find, has_extension, normalise, split
from calls.contacts.repair import Cell, read_cell
from calls.obd.values import shown

MAX_BYTES = 5 * 1024 * 1024
NAME_LENGTH = 100
EXTRA_COLUMNS = 20
EXTRA_LENGTH = 200

_LINES = re.compile(r"\r\n|[\n\r\x0b\x0c\u2028\u2029]")
_PARTS = re.compile(r"[,;|\t]+")
# A run of digits with what people put between them, not glued to letters.
_RUN = re.compile(
    r"(?<![^\W_])[+(]?\d[\d\s().\-/+\u2010-\u2015\u2212\u200b-\u200f\u202a-\u202e\u2060\ufeff]*\d\)?(?![^\W_])"
)
_RUN_DIGITS = 7
_GLUED = re.compile(r"\d[^\W\d_]|[^\W\d_]\d")
_LIST_MARK = re.compile(r"\s*\d{1,4}[.)]\s+")
_EMPTY_BRACKETS = re.compile(r"[(<\[]\s*[)>\]]")
_NAME_EDGES = " :;,-\u2013\u2014=<>\"'.\u200b\ufeff"
_DELIMITERS = ",;\t|"
_SAMPLE_ROWS = 50
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f]")
_FORMULA_TEXT = re.compile(r'="(.*)"')
# How words of a title begin that means numbers; the first ones win where several columns hold numbers.
_NUMBER_WORDS = (
    *("mobile", "mob", "msisdn", "whatsapp", "cell", "phone", "telephone", "tel", "ph", "number", "contact"),
    *("मोबाइल", "फोन"),
)
_SHORT_WORDS = {"mob", "tel", "ph"}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\x00-\x7f]+")
_WHOLE_NAMES = ("name", "fullname", "customername", "contactname", "contactperson", "customer", "नाम")
_NAME_PARTS = ("firstname", "givenname", "middlename", "lastname", "surname", "familyname")
_OTHER_FILES = (
    (b"PK\x03\x04", "This is an Excel workbook or a zip file. Save it as CSV and upload that."),
    (b"\xd0\xcf\x11\xe0", "This is an old Excel workbook. Save it as CSV and upload that."),
    (b"%PDF", "This is a PDF, not a CSV file."),
)


class UploadError(ValueError):
    """A whole file can't be used; `str()` says why, for the person who uploaded it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One number on a line: `number` (E.164), or None and the `reason`. `text` is what came, shortened and escaped.

    `line` counts from 1. `extra` has the other columns of a CSV file with a header, by their titles. `repaired` says in
    a few words what was done to a damaged number, see repair.py; "" for one that was written well.
    """

    line: int
    text: str
    number: str | None
    name: str
    reason: str
    extra: Mapping[str, str] = field(default_factory=dict)
    repaired: str = ""


def read_pasted(text: str, region: str) -> list[Entry]:
    """Return the entries of pasted text: numbers with any separator, names before or behind them.

    Commas, semicolons, tabs, pipes, line breaks and, between whole numbers, spaces separate. `region` is where numbers
    without country code belong.
    """
    return [
        entry
        for line, content in enumerate(_LINES.split(text), start=1)
        if content.strip(" \t\ufeff")
        for entry in _read_line(line, content, region)
    ]


def read_csv(data: bytes, region: str) -> list[Entry]:
    """Return the entries of a CSV file, whose encoding, delimiter, header and columns are guessed.

    Raises UploadError for a file that is empty, larger than MAX_BYTES, no text, or has a quote that is never closed.
    """
    text = _decode(data)
    rows = _rows(text)
    if not rows:
        raise UploadError("The file is empty.")
    sample = [cells for _, cells in rows[: _SAMPLE_ROWS + 1]]
    header = _header(sample[0])
    if header and len(rows) == 1:
        raise UploadError("The file has a header and nothing below it.")
    column = _number_column(sample[1:] if header else sample, header, region)
    if column is None:
        return read_pasted(text, region)
    names = _name_columns(sample, header, column)
    layout = _Layout(header, column, names)
    return [entry for line, cells in rows[1 if header else 0 :] for entry in _read_row(line, cells, layout, region)]


def _read_line(line: int, content: str, region: str) -> Iterator[Entry]:
    try:
        yield Entry(line, shown(content.strip()), normalise(content, region), "", "")
    except NumberError as error:
        whole = Entry(line, shown(content.strip()), None, "", str(error))
    else:
        return
    parts = _PARTS.split(_LIST_MARK.sub("", content, count=1) if _LIST_MARK.match(content) else content)
    items = [item for part in parts if part.strip() for item in _items(part.strip(), region)]
    yield from _named(line, items, region) or [whole]


@dataclass(frozen=True, slots=True)
class _Item:
    """A piece of a line: a number or what should be one, or a part of a name."""

    text: str
    is_number: bool


def _items(part: str, region: str) -> Iterator[_Item]:
    """Split what stands between two separators into names and numbers, in their order."""
    letters = sum(map(str.isalpha, part))
    digits = sum(map(str.isdigit, part))
    if not letters and digits:
        yield from (_Item(piece, True) for piece in split(part.strip("<>\"' "), region))
        return
    runs = [run for run in _RUN.finditer(part) if sum(map(str.isdigit, run[0])) >= _RUN_DIGITS]
    if (not runs and digits > letters and _GLUED.search(part)) or (runs and has_extension(part)):
        yield _Item(part, True)
        return
    end = 0
    for run in runs:
        yield _Item(part[end : run.start()], False)
        yield from (_Item(piece, True) for piece in split(run[0], region))
        end = run.end()
    yield _Item(part[end:], False)


def _named(line: int, items: list[_Item], region: str) -> list[Entry]:
    """Give each number its name: the one before it if the line begins with a name, otherwise the one behind it."""
    cleaned = [item if item.is_number else _Item(_name(item.text), False) for item in items]
    cleaned = [item for item in cleaned if item.text]
    numbers = [item.text for item in cleaned if item.is_number]
    if not numbers:
        return []
    names: list[list[str]] = [[] for _ in numbers]
    before = not cleaned[0].is_number
    seen = 0
    for item in cleaned:
        if item.is_number:
            seen += 1
        else:
            names[min(seen if before else seen - 1, len(numbers) - 1)].append(item.text)
    return [
        entry
        for text, name in zip(numbers, names, strict=True)
        for entry in _entries(line, text, _name(" ".join(name)), read_cell(text, region, put_back=False), {})
    ]


def _entries(line: int, text: str, name: str, cell: Cell, extra: Mapping[str, str]) -> list[Entry]:
    """Return an entry for each number that the text holds, or one with the reason why it is refused."""
    said = shown(text.strip())
    if not cell.numbers:
        return [Entry(line, said, None, name, cell.reason, extra)]
    return [Entry(line, said, number, name, "", extra, cell.repaired) for number in cell.numbers]


def _name(text: str) -> str:
    """Return a name without punctuation around it, control characters or brackets that held the number."""
    text = "".join(" " if unicodedata.category(char) in {"Cc", "Cs"} else char for char in text[: NAME_LENGTH * 4])
    text = " ".join(_EMPTY_BRACKETS.sub(" ", text).split()).strip(_NAME_EDGES)
    for opening, closing in ("()", "[]"):
        if text.count(opening) != text.count(closing):
            text = text.strip(opening + closing + _NAME_EDGES)
    return text[:NAME_LENGTH].rstrip()


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which column of a CSV file holds what; `header` is empty if there is none."""

    header: list[str]
    number: int
    names: list[int]


def _read_row(line: int, cells: list[str], layout: _Layout, region: str) -> Iterator[Entry]:
    if not any(map(str.strip, cells)):
        return
    name = _name(" ".join(cells[column] for column in layout.names if column < len(cells)))
    extra = _extra(cells, layout)
    text = cells[layout.number].strip() if layout.number < len(cells) else ""
    if not text:
        yield Entry(line, shown(" ".join(cells).strip()), None, name, "no number in its column", extra)
        return
    entries = _entries(line, text, name, read_cell(text, region), extra)
    # Of a list in a cell the good numbers are taken, each of the others is refused by itself.
    pieces = [] if entries[0].number else split(text, region)
    if len(pieces) > 1:
        entries = [entry for piece in pieces for entry in _entries(line, piece, name, read_cell(piece, region), extra)]
    yield from entries


def _extra(cells: list[str], layout: _Layout) -> dict[str, str]:
    return {
        title: value
        for column, (title, cell) in enumerate(zip(layout.header, cells, strict=False))
        if column != layout.number
        and column not in layout.names
        and column < EXTRA_COLUMNS
        and title
        and (value := _CONTROL.sub(" ", cell).strip()[:EXTRA_LENGTH])
    }


def _decode(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise UploadError(f"The file is larger than {MAX_BYTES // 1024**2} MiB. Split it.")
    for magic, problem in _OTHER_FILES:
        if data.startswith(magic):
            raise UploadError(problem)
    try:
        text = data.decode(_encoding(data))
    except UnicodeDecodeError:
        text = _decode_other(data)
    text = text.removeprefix("\ufeff").rstrip("\x1a")
    if "\0" in text or len(_CONTROL.findall(text)) * 100 > len(text):
        raise UploadError("This is not a text file. Save the contacts as CSV and upload that.")
    if not text.strip():
        raise UploadError("The file is empty.")
    return text


def _decode_other(data: bytes) -> str:
    """Return the text of a file with broken UTF-8, or in the encoding of old spreadsheets."""
    text = data.decode(errors="replace")
    broken = text.count("\ufffd")
    if len(text) - len(text.encode("ascii", errors="ignore")) > broken * 2:
        return text
    return data.decode("cp1252", errors="replace")


def _encoding(data: bytes) -> str:
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    # Text in UTF-16 without a mark: digits and commas have a zero byte each, always on the same side.
    even, odd = data[:200:2].count(0), data[1:200:2].count(0)
    if max(even, odd) > 10 > min(even, odd):
        return "utf-16-le" if odd > even else "utf-16-be"
    return "utf-8"


def _rows(text: str) -> list[tuple[int, list[str]]]:
    """Return the rows that aren't blank, each with the number of its first line."""
    first, _, rest = text.partition("\n")
    offset = 0
    if (marked := re.fullmatch(r'"?sep=(.)"?\r?', first)) and rest.strip():
        text, offset = rest, 1
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=marked[1] if marked else _delimiter(text), strict=True)
    rows = []
    line = 1
    try:
        for cells in reader:
            if any(map(str.strip, cells)):
                rows.append((line + offset, [_cell(cell) for cell in cells]))
            line = reader.line_num + 1
    except csv.Error as error:
        problem = 'a quote (") that is not closed, or text behind one'
        if "larger than" in str(error):
            problem = f"a cell of more than {csv.field_size_limit():,} characters"
        raise UploadError(f"Line {line + offset} has {problem}.") from None
    return rows


def _cell(cell: str) -> str:
    """Return the text of a cell, without the formula that some programs write to keep leading zeros."""
    cell = cell.strip()
    formula = _FORMULA_TEXT.fullmatch(cell)
    return formula[1] if formula else cell


def _delimiter(text: str) -> str:
    """Return the delimiter that divides most of the first rows into the same number of cells."""
    best, most = ",", (0, 0)
    for delimiter in _DELIMITERS:
        reader = csv.reader(io.StringIO(text[:65536], newline=""), delimiter=delimiter)
        counts = Counter(len(cells) for cells in islice(reader, _SAMPLE_ROWS) if len(cells) > 1)
        for cells, rows in counts.most_common(1):
            if (rows, cells) > most:
                best, most = delimiter, (rows, cells)
    return best


def _word(title: str) -> str:
    return "".join(char for char in title.lower() if unicodedata.category(char)[0] in "LM")


def _number_rank(title: str) -> int | None:
    """Return how surely a title means phone numbers, 0 for the surest, None for one that doesn't."""
    words = [word.lower() for word in _WORD.findall(title)]
    ranks = [
        rank
        for rank, start in enumerate(_NUMBER_WORDS)
        if any(word == start if start in _SHORT_WORDS else word.startswith(start) for word in words)
    ]
    return min(ranks, default=None) if _word(title) not in _WHOLE_NAMES else None


def _header(cells: list[str]) -> list[str]:
    """Return the titles if the first row has any: no digits to call, and a word that means a number."""
    if any(sum(map(str.isdigit, cell)) >= _RUN_DIGITS for cell in cells):
        return []
    if any(_number_rank(cell) is not None for cell in cells):
        return [_CONTROL.sub(" ", cell).strip()[:EXTRA_LENGTH] for cell in cells]
    return []


def _number_column(rows: list[list[str]], header: list[str], region: str) -> int | None:
    """Return the column whose cells are phone numbers; None if the rows are better read like pasted text."""
    width = max(map(len, rows), default=0)
    valid = [sum(bool(find(cells[column], region)) for cells in rows if column < len(cells)) for column in range(width)]
    titled = [
        (valid[column] if column < width else 0, -rank, column)
        for column, title in enumerate(header)
        if (rank := _number_rank(title)) is not None
    ]
    if titled:
        return max(titled)[2]
    filled = [column for column in range(width) if valid[column]]
    return filled[0] if width > 1 and len(filled) == 1 else None


def _name_columns(sample: list[list[str]], header: list[str], number: int) -> list[int]:
    words = [_word(title) for title in header]
    whole = [column for column, word in enumerate(words) if word in _WHOLE_NAMES and column != number]
    if whole:
        return [min(whole, key=lambda column: _WHOLE_NAMES.index(words[column]))]
    parts = sorted((_NAME_PARTS.index(word), column) for column, word in enumerate(words) if word in _NAME_PARTS)
    if header:
        contact = [column for column, word in enumerate(words) if word == "contact" and column != number]
        return [column for _, column in parts] or contact[:1]
    width = max(map(len, sample))
    for column in range(width):
        cells = [cells[column] for cells in sample if column < len(cells)]
        if column != number and sum(any(map(str.isalpha, cell)) for cell in cells) * 2 > len(cells):
            return [column]
    return []
