"""Contacts from pasted text: what each line says, or why it can't be used.

Nothing is dropped without a word (DESIGN.md, rule 6): every line that isn't blank gives at least one entry.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from calls.contacts.names import as_name
from calls.contacts.numbers import NumberError, exists, find, has_extension, is_torn, normalise, split
from calls.contacts.repair import Cell, read_cell
from calls.obd.values import shown

_LINES = re.compile(r"\r\n|[\n\r\x0b\x0c\u2028\u2029]")
_PARTS = re.compile(r"[,;|\t]+")
# A run of digits with what people put between them, not glued to letters.
_RUN = re.compile(
    r"(?<![^\W_])[+(]?\d[\d\s().\-/+\u2010-\u2015\u2212\u200b-\u200f\u202a-\u202e\u2060\ufeff]*\d\)?(?![^\W_])"
)
_RUN_DIGITS = 7
_GLUED = re.compile(r"\d[^\W\d_]|[^\W\d_]\d")
_LIST_MARK = re.compile(r"\s*\d{1,4}[.)]\s+(?=\S)")


@dataclass(frozen=True, slots=True)
class Entry:
    """One number on a line: `number` (E.164), or None and the `reason`. `text` is what came, shortened and escaped.

    `line` counts from 1. `repaired` says in a few words what was done to a damaged number, see repair.py; "" for one
    that was written well.
    """

    line: int
    text: str
    number: str | None
    name: str
    reason: str
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


def _read_line(line: int, content: str, region: str) -> Iterator[Entry]:
    if mark := _LIST_MARK.match(content):
        rest = content[mark.end() :]
        # "020) 7946 0001" may be a number, or "04. 030 123456" the fourth of a list. No number has another such mark.
        if not mark[0].lstrip().startswith("0") or not exists(content, region):
            content = rest
        elif find(rest, region) not in {"", find(content, region)}:
            text = shown(content.strip())
            yield Entry(line, text, None, "", f"{text} could be one number or two")
            return
    try:
        normalise(content, region)
    except NumberError as error:
        whole = Entry(line, shown(content.strip()), None, "", str(error))
    else:
        yield from _entries(line, content, "", read_cell(content, region, put_back=False))
        return
    parts = _PARTS.split(content)
    items = [item for part in parts if part.strip() for item in _items(part.strip(), region)]
    if any(a.is_number and b.is_number and is_torn(a.text, b.text, region) for a, b in pairwise(items)):
        yield replace(whole, reason=f"{whole.text} could be one number or two")
        return
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
    cleaned = [item if item.is_number else _Item(as_name(item.text), False) for item in items]
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
        for entry in _entries(line, text, as_name(" ".join(name)), read_cell(text, region, put_back=False))
    ]


def _entries(line: int, text: str, name: str, cell: Cell) -> list[Entry]:
    """Return an entry for each number that the text holds, or one with the reason why it is refused."""
    said = shown(text.strip())
    if not cell.numbers:
        return [Entry(line, said, None, name, cell.reason)]
    return [Entry(line, said, number, name, "", cell.repaired) for number in cell.numbers]
