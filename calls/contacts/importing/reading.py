"""Rows of cells become numbers with what belongs to them, or the reason why a row is refused."""

from collections import Counter
from collections.abc import Iterator, Sequence
from json import JSONEncoder
from typing import NamedTuple

from calls.contacts.entries import Entry, read_pasted
from calls.contacts.importing.cells import (
    CUSTOM_LENGTH,
    EXTRA_LENGTH,
    REASON_LENGTH,
    as_text,
    clean,
)
from calls.contacts.importing.guess import name_order
from calls.contacts.importing.layout import REASON_COLUMN, Layout, Role
from calls.contacts.importing.own import CONTACT_TITLES, is_contacts
from calls.contacts.importing.source import Rows
from calls.contacts.importing.text import Damaged
from calls.contacts.names import NAME_LENGTH, as_name, is_too_long
from calls.contacts.repair import CellValue, read_cell

NO_NUMBER = "no number in its column"
BEYOND = "has more cells than there are columns: perhaps a separator stands inside a cell"
BESIDE = "has something beside the columns: perhaps its cells were shifted, or a column has no title"
NAME_CUT = f"name cut to {NAME_LENGTH} characters"
CUSTOM_TOO_LONG = f"the custom reference is longer than {CUSTOM_LENGTH} characters"

_json = JSONEncoder(ensure_ascii=False).encode


class Row(NamedTuple):
    """What a row gives: `numbers` (E.164, each once), or none and the `reason` why it is refused.

    `extra` is JSON; `note` is the reason for suppressing the numbers. `repaired` says what was done to read them, and
    what else was cut.
    """

    line: int
    cells: Sequence[CellValue]
    numbers: tuple[str, ...]
    reason: str = ""
    repaired: str = ""
    name: str = ""
    custom: str = ""
    extra: str = "{}"
    note: str = ""


def read_rows(rows: Rows, layout: Layout, region: str) -> Iterator[Row]:
    """What the rows below the titles give; blank ones give nothing, a line of pasted text a row for each number."""
    if layout.kind == "pasted":
        for line, cells in rows:
            yield from _pasted(line, str(cells[0]), region)
        return
    columns = None if layout.header else _Columns(layout, (), region)
    for line, cells in rows:
        if line == layout.header:
            columns = _Columns(layout, cells, region)
        elif line > layout.header:
            columns = columns or _Columns(layout, (), region)
            if columns.free_text:
                yield from columns.read_text(line, cells)
            elif row := columns.read(line, cells):
                yield row


def unique_titles(cells: Sequence[CellValue], width: int) -> tuple[str, ...]:
    """A title for each of so many columns, each different from the others: "City", "City 2", "Column 3".

    Extra columns of the portal's own exports keep theirs, whatever the first columns are called then.
    """
    titles: dict[str, None] = {}
    counts: Counter[str] = Counter()
    own = min(len(CONTACT_TITLES), width) if is_contacts(cells) else 0
    for place in (*range(own, width), *range(own)):
        text = clean(as_text(cells[place]), EXTRA_LENGTH) if place < len(cells) else ""
        title = text or f"Column {place + 1}"
        # The count goes on where it was: thousands of columns may have the same title.
        while title in titles:
            counts[text] += 1
            title = f"{text or 'Column'} {counts[text] + 1}"
        titles[title] = None
    made = tuple(titles)
    return (*made[width - own :], *made[: width - own])


class _Columns:
    """Reads rows whose columns have these roles."""

    def __init__(self, layout: Layout, titles: Sequence[CellValue], region: str) -> None:
        self._region = region
        known = unique_titles(titles, len(layout.columns))
        placed = [
            [place for place, each in enumerate(layout.columns) if each is role]
            for role in (Role.NUMBER, Role.NAME, Role.CUSTOM, Role.REASON)
        ]
        self._numbers, names, self._custom, self._notes = placed
        self._names = name_order(known, names)
        self._extra = [
            (place, f"{_json(known[place])}: ") for place, role in enumerate(layout.columns) if role is Role.EXTRA
        ]
        self._width = len(layout.columns)
        self.free_text = Role.TEXT in layout.columns
        self._text = layout.columns.index(Role.TEXT) if self.free_text else 0
        self._has_reasons = layout.titles[-1:] == (REASON_COLUMN,)
        self._beyond = BEYOND if layout.kind == "csv" else BESIDE

    def read(self, line: int, cells: Sequence[CellValue]) -> Row | None:
        """What the row gives; None for a blank one."""
        if not any(map(as_text, cells)):
            return None
        if reason := self._damage(cells):
            return Row(line, cells, (), reason)
        if len(cells) < self._width:
            cells = [*cells, *[""] * (self._width - len(cells))]
        if len(self._numbers) == 1:
            value = cells[self._numbers[0]]
            numbers, repaired, reason = read_cell(value.strip() if isinstance(value, str) else value, self._region)
            if reason and value == "":
                reason = NO_NUMBER
        else:
            numbers, repaired, reason = self._several(cells)
        cut: list[str] = []
        name = self._name(cells, cut) if self._names else ""
        custom = self._joined(cells, self._custom) if self._custom else ""
        if custom and len(custom := clean(custom, CUSTOM_LENGTH + 1)) > CUSTOM_LENGTH:
            return Row(line, cells, (), reason or CUSTOM_TOO_LONG)
        extra = self._extras(cells, cut) if self._extra else "{}"
        note = self._note(cells, cut) if self._notes else ""
        if cut:
            repaired = ", ".join(filter(None, [repaired, *cut]))
        return Row(line, cells, numbers, reason, repaired, name, custom, extra, note)

    def read_text(self, line: int, cells: Sequence[CellValue]) -> Iterator[Row]:
        """A row for each number in the column with free text; nothing for a blank one."""
        if not any(map(as_text, cells)):
            return
        rows: list[Row] = []
        reason = self._damage(cells)
        if not reason and self._text < len(cells):
            rows += _pasted(line, as_text(cells[self._text]), self._region)
        yield from rows or [Row(line, cells, (), reason or NO_NUMBER)]

    def _damage(self, cells: Sequence[CellValue]) -> str:
        """Why nobody can tell which cell is which; "" if that is clear."""
        if len(cells) > self._width:
            rest = cells[self._width :]
            beyond = sum(bool(as_text(cell)) for cell in rest) if rest.count("") < len(rest) else 0
            # Of a mended row that had too many cells only the reason is left there, beside its emptied column.
            if beyond and not (beyond == 1 and self._has_reasons and not as_text(cells[self._width - 1])):
                return self._beyond
        return cells.reason if isinstance(cells, Damaged) else ""

    def _several(self, cells: Sequence[CellValue]) -> tuple[tuple[str, ...], str, str]:
        """The numbers of several columns; refused as a whole if one of them is. Empty cells are left out."""
        numbers: list[str] = []
        repairs: list[str] = []
        for place in self._numbers:
            value = cells[place]
            if as_text(value):
                found, repaired, reason = read_cell(value.strip() if isinstance(value, str) else value, self._region)
                if reason:
                    return (), "", reason
                numbers += found
                repairs.append(repaired)
        each = tuple(dict.fromkeys(numbers))
        return each, ", ".join(dict.fromkeys(filter(None, repairs))), "" if each else NO_NUMBER

    def _name(self, cells: Sequence[CellValue], cut: list[str]) -> str:
        names = self._names
        text = as_text(cells[names[0]]) if len(names) == 1 else self._joined(cells, names)
        if len(text) > NAME_LENGTH and is_too_long(text):
            cut.append(NAME_CUT)
        return as_name(text)

    def _note(self, cells: Sequence[CellValue], cut: list[str]) -> str:
        text = self._joined(cells, self._notes)
        if len(text) > REASON_LENGTH:
            cut.append(f"reason cut to {REASON_LENGTH} characters")
        return clean(text, REASON_LENGTH)

    def _joined(self, cells: Sequence[CellValue], places: Sequence[int]) -> str:
        return " ".join(filter(None, (as_text(cells[place]) for place in places)))

    def _extras(self, cells: Sequence[CellValue], cut: list[str]) -> str:
        kept = []
        longest = 0
        for place, title in self._extra:
            text = as_text(cells[place])
            longest = max(longest, len(text))
            if text := clean(text, EXTRA_LENGTH):
                kept.append(title + _json(text))
        if longest > EXTRA_LENGTH:
            cut.append(f"extra column cut to {EXTRA_LENGTH} characters")
        return f"{{{', '.join(kept)}}}"


def _pasted(line: int, text: str, region: str) -> Iterator[Row]:
    entries = read_pasted(text, region)
    for entry in entries:
        came = text if len(entries) == 1 else f"{entry.name} {entry.text}".strip()
        yield _row(line, came, entry)


def _row(line: int, came: str, entry: Entry) -> Row:
    numbers = (entry.number,) if entry.number else ()
    repaired = entry.repaired
    # What is cut may end with a space, which goes too.
    if len(entry.name) >= NAME_LENGTH - 1:
        repaired = ", ".join(filter(None, [repaired, NAME_CUT]))
    return Row(line, (came,), numbers, entry.reason, repaired, entry.name)
