"""What the columns of a list hold, as far as its titles and first rows tell."""

import re
from collections.abc import Container, Iterable, Sequence
from itertools import islice

from calls.contacts.importing.cells import as_text
from calls.contacts.importing.layout import MAX_EXTRA, Role
from calls.contacts.importing.titles import (
    WHOLE_NAMES,
    Rank,
    has_number_word,
    has_something_else,
    in_letters,
    is_reason,
    number_rank,
)
from calls.contacts.numbers import find
from calls.contacts.repair import CellValue, read_cell

SAMPLE_ROWS = 100
_HEADER_ROWS = 20
_RUN_DIGITS = 7

# What stands in the place of a number that isn't known.
_NOTHING = frozenset({"na", "nil", "none", "null", "unknown"})
_UNTITLED = re.compile(r"(?:Column \d+)?")
_NAME_PARTS = ("firstname", "givenname", "middlename", "lastname", "surname", "familyname")
_CUSTOM = (
    *("customreference", "custom", "reference", "ref", "customerreference", "externalreference", "externalid"),
    *("customerid", "clientid", "memberid", "accountid", "id"),
)
_REASONS = ("reason", "reasonforsuppression", "why")

Rows = Sequence[tuple[int, Sequence[CellValue]]]
"""The first rows that are not blank, each with its line."""


def guess_header(rows: Rows, region: str) -> int:
    """The line of the titles; 0 if there are none.

    Titles are the row with that of the reasons in a file of refused rows; or the last row before the first number
    that has a word which means numbers, and no number itself; or a first row with only texts above columns of numbers.
    """
    header = 0
    for line, cells in islice(rows, _HEADER_ROWS):
        texts = [as_text(cell) for cell in cells]
        if any(map(is_reason, texts)):
            return line
        if any(sum(map(str.isdigit, text)) >= _RUN_DIGITS for text in texts):
            # A number of that length in a row above the list need not be one to call.
            if header or any(read_cell(cell, region).numbers for cell in cells):
                break
        # A sentence above the list may have such a word too, but it stands alone.
        elif any(map(has_number_word, texts)) and (sum(map(bool, texts)) > 1 or max(map(len, texts)) < 30):
            header = line
    return header or (rows[0][0] if rows and _first_has_titles(rows) else 0)


def guess_columns(rows: Rows, titles: Sequence[str], region: str, *, suppression: bool) -> tuple[Role, ...]:
    """The role of each column of `rows`, which are those below the titles; `titles` is empty if there are none.

    One column has the numbers; none if several look equally like it, or none does.
    """
    width = max([len(titles), *(len(cells) for _, cells in rows)], default=0)
    reasons = {place for place, title in enumerate(titles) if is_reason(title)}
    if all(place in reasons or _UNTITLED.fullmatch(title) for place, title in enumerate(titles)):
        titles = []  # the refused rows of a list without titles
    kept = Role.SKIP if suppression else Role.EXTRA
    roles = [kept if place < len(titles) and titles[place] else Role.SKIP for place in range(width)]
    words = [in_letters(title) for title in titles]
    number = _number_column(rows, titles, [place for place in range(width) if place not in reasons], region)
    taken = reasons | {number}
    if suppression:
        roles = [Role.REASON if word in _REASONS else Role.SKIP for word in words] + roles[len(words) :]
    else:
        for word in _CUSTOM:
            if word in words and words.index(word) not in taken:
                roles[words.index(word)] = Role.CUSTOM
                break
        for place in _name_columns(rows, words, width, taken):
            roles[place] = Role.NAME
    for place in reasons:
        roles[place] = Role.SKIP
    if number is not None:
        roles[number] = Role.NUMBER
    extra = [place for place, role in enumerate(roles) if role is Role.EXTRA]
    for place in extra[MAX_EXTRA:]:
        roles[place] = Role.SKIP
    return tuple(roles)


def name_order(titles: Sequence[str], places: Iterable[int]) -> list[int]:
    """The columns of a name as it is said: the first name first, whatever the order in the file."""
    words = {place: in_letters(titles[place]) for place in places}
    return sorted(words, key=lambda place: _NAME_PARTS.index(words[place]) if words[place] in _NAME_PARTS else -1)


def columns_of_text(rows: Rows, width: int) -> list[int]:
    """The columns of which most cells have letters."""
    return [
        place
        for place in range(width)
        if (cells := _column(rows, place)) and sum(any(map(str.isalpha, cell)) for cell in cells) * 2 > len(cells)
    ]


def columns_of_numbers(rows: Rows, places: Iterable[int], region: str) -> list[int]:
    """The columns of which most cells that are not empty are numbers as they stand.

    Only that tells a column of numbers without a title from one of orders or amounts, and not from all of those.
    """
    return [
        place
        for place in places
        if (cells := [cell for cell in _column(rows, place) if cell])
        and sum(bool(find(cell, region)) for cell in cells) * 2 > len(cells)
    ]


def _first_has_titles(rows: Rows) -> bool:
    """Whether the first row has a text of its own for each column that most other rows fill, one with numbers."""
    (_, first), *below = rows
    titles = [as_text(cell) for cell in first]
    if not all(_could_be_title(cell) for cell, title in zip(first, titles, strict=True) if title):
        return False
    filled = with_numbers = 0
    for place in range(max((len(cells) for _, cells in below), default=0)):
        cells = [cell for cell in _column(below, place) if cell]
        if len(cells) * 2 <= len(below):
            continue
        title = titles[place] if place < len(titles) else ""
        if not title or title in cells:
            return False
        filled += 1
        if sum(sum(map(str.isdigit, cell)) >= _RUN_DIGITS for cell in cells) * 2 > len(cells):
            with_numbers += 1
            if not title[0].isalpha() or in_letters(title) in _NOTHING:
                return False
    return filled > 1 and with_numbers > 0


def _could_be_title(cell: CellValue) -> bool:
    return isinstance(cell, str) and any(map(str.isalpha, cell)) and sum(map(str.isdigit, cell)) < _RUN_DIGITS


def _number_column(rows: Rows, titles: Sequence[str], places: Sequence[int], region: str) -> int | None:
    """The column of numbers among `places`, by its title if one means numbers, otherwise by what is in it."""
    ranks = {place: number_rank(titles[place]) for place in places if place < len(titles)}
    columns = {place: [cells[place] for _, cells in rows if place < len(cells)] for place in places}
    valid = {
        place: sum(bool(read_cell(cell, region, put_back=False).numbers) for cell in column)
        for place, column in columns.items()
    }
    full = columns_of_numbers(rows, places, region)

    def best(rank: Rank, among: Iterable[int]) -> list[int]:
        return sorted((place for place in among if ranks.get(place) == rank), key=lambda place: -valid[place])

    with_digits = [place for place in places if any(map(_has_digit, _column(rows, place)))]
    # A title that surely means numbers has them, however damaged, rather than a column of numbers of something else.
    titled = [*best(Rank.SURE, with_digits), *best(Rank.PERHAPS, full)]
    possible = [place for place in places if place >= len(titles) or not has_something_else(titles[place])]
    # Numbers of somebody else only where no other column may have those of the contacts.
    if not any(ranks.get(place) is None for place in full if place in possible):
        titled += best(Rank.SOMEBODY, with_digits)
    titled += best(Rank.SURE, places)
    if titled:
        return titled[0]
    if best(Rank.SOMEBODY, places):
        return None if full else best(Rank.SOMEBODY, places)[0]
    # What a title may mean goes before what digits happen to be: such numbers may only have lost their "+".
    if long := [place for place in best(Rank.PERHAPS, with_digits) if _mostly_long(_column(rows, place))]:
        return long[0] if len(long) == 1 else None
    found = [place for place in full if place in possible] or [place for place in possible if valid[place]]
    if len(found) == 1:
        # A column of numbers that have lost their "+" looks like none, an order's like one.
        lost = [place for place in possible if place not in found and _mostly_lost_plus(_column(rows, place), region)]
        return None if lost else found[0]
    return next(iter(best(Rank.PERHAPS, with_digits)), None) if not found else None


def _column(rows: Rows, place: int) -> list[str]:
    return [as_text(cells[place]) for _, cells in rows if place < len(cells)]


def _mostly_long(cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell]
    return sum(sum(map(str.isdigit, cell)) >= _RUN_DIGITS for cell in filled) * 2 > len(filled)


def _mostly_lost_plus(cells: Sequence[str], region: str) -> bool:
    filled = [cell for cell in cells if cell]
    return sum(cell[0].isdecimal() and bool(find(f"+{cell}", region)) for cell in filled) * 2 > len(filled)


def _has_digit(text: str) -> bool:
    return any(map(str.isdigit, text))


def _name_columns(rows: Rows, words: Sequence[str], width: int, taken: Container[int | None]) -> list[int]:
    whole = [place for place, word in enumerate(words) if word in WHOLE_NAMES and place not in taken]
    if whole:
        return [min(whole, key=lambda place: WHOLE_NAMES.index(words[place]))]
    parts = sorted((_NAME_PARTS.index(word), place) for place, word in enumerate(words) if word in _NAME_PARTS)
    if words:
        contact = [place for place, word in enumerate(words) if word == "contact" and place not in taken]
        return [place for _, place in parts] or contact[:1]
    return [place for place in columns_of_text(rows, width) if place not in taken][:1]
