"""What the columns of a list hold, as far as its titles and first rows tell."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import islice

from calls.contacts.importing.cells import as_text
from calls.contacts.importing.layout import MAX_EXTRA, REASON_COLUMN, Role
from calls.contacts.numbers import find
from calls.contacts.repair import CellValue, read_cell

SAMPLE_ROWS = 100
_HEADER_ROWS = 20
_RUN_DIGITS = 7

# How words of a title begin that means numbers; the first ones win where several columns hold numbers.
_NUMBER_WORDS = (
    *("mobile", "mob", "msisdn", "whatsapp", "cell", "phone", "telephone", "tel", "ph", "number", "contact"),
    *("मोबाइल", "फोन"),
)
_SHORT_WORDS = {"mob", "tel", "ph"}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\x00-\x7f]+")
_WHOLE_NAMES = ("name", "fullname", "customername", "contactname", "contactperson", "customer", "नाम")
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

    Titles are the last row before the first number that has a word which means numbers, and no number itself.
    """
    header = 0
    for line, cells in islice(rows, _HEADER_ROWS):
        texts = [as_text(cell) for cell in cells]
        if any(sum(map(str.isdigit, text)) >= _RUN_DIGITS for text in texts):
            # A number of that length in a row above the list need not be one to call.
            if header or any(read_cell(cell, region).numbers for cell in cells):
                break
        # A sentence above the list may have such a word too, but it stands alone.
        elif any(_number_rank(text) is not None for text in texts) and (
            sum(map(bool, texts)) > 1 or max(map(len, texts)) < 30
        ):
            header = line
    return header


def guess_columns(rows: Rows, titles: Sequence[str], region: str, *, suppression: bool) -> tuple[Role, ...]:
    """The role of each column of `rows`, which are those below the titles; `titles` is empty if there are none.

    No column has the numbers if none of them looks like it.
    """
    width = max([len(titles), *(len(cells) for _, cells in rows)], default=0)
    roles = [
        Role.EXTRA if place < len(titles) and titles[place] and not suppression else Role.SKIP for place in range(width)
    ]
    words = [_word(title) for title in titles]
    for place, word in enumerate(words):
        if word == _word(REASON_COLUMN):
            roles[place] = Role.SKIP
        elif suppression and word in _REASONS:
            roles[place] = Role.REASON
    numbers = _number_columns(rows, titles, width, region)
    if not suppression:
        for word in _CUSTOM:
            if word in words and words.index(word) not in numbers:
                roles[words.index(word)] = Role.CUSTOM
                break
        for place in _name_columns(rows, words, width, numbers):
            roles[place] = Role.NAME
    for place in numbers:
        roles[place] = Role.NUMBER
    extra = [place for place, role in enumerate(roles) if role is Role.EXTRA]
    for place in extra[MAX_EXTRA:]:
        roles[place] = Role.SKIP
    return tuple(roles)


def name_order(titles: Sequence[str], places: Iterable[int]) -> list[int]:
    """The columns of a name as it is said: the first name first, whatever the order in the file."""
    words = {place: _word(titles[place]) for place in places}
    return sorted(words, key=lambda place: _NAME_PARTS.index(words[place]) if words[place] in _NAME_PARTS else -1)


def _number_columns(rows: Rows, titles: Sequence[str], width: int, region: str) -> list[int]:
    columns = [[cells[place] for _, cells in rows if place < len(cells)] for place in range(width)]
    valid = [sum(bool(read_cell(cell, region).numbers) for cell in column) for column in columns]
    titled = [
        (valid[place], -rank, -place) for place, title in enumerate(titles) if (rank := _number_rank(title)) is not None
    ]
    if titled:
        return [-max(titled)[2]]
    # Without titles only what is a number as it stands tells a column of numbers from one of orders or amounts.
    whole = [sum(bool(find(as_text(cell), region)) for cell in column) for column in columns]
    filled = [sum(as_text(cell) != "" for cell in column) for column in columns]
    if titles:
        best = max(range(width), key=lambda place: (whole[place], valid[place]), default=0)
        return [best] if width and valid[best] else []
    full = [place for place in range(width) if whole[place] * 2 > filled[place]]
    best = max(range(width), key=lambda place: (whole[place], valid[place], -place), default=0)
    return full or ([best] if width and valid[best] else [])


def _name_columns(rows: Rows, words: Sequence[str], width: int, numbers: Sequence[int]) -> list[int]:
    whole = [place for place, word in enumerate(words) if word in _WHOLE_NAMES and place not in numbers]
    if whole:
        return [min(whole, key=lambda place: _WHOLE_NAMES.index(words[place]))]
    parts = sorted((_NAME_PARTS.index(word), place) for place, word in enumerate(words) if word in _NAME_PARTS)
    if words:
        contact = [place for place, word in enumerate(words) if word == "contact" and place not in numbers]
        return [place for _, place in parts] or contact[:1]
    for place in range(width):
        cells = [as_text(cells[place]) for _, cells in rows if place < len(cells)]
        if place not in numbers and sum(any(map(str.isalpha, cell)) for cell in cells) * 2 > len(cells):
            return [place]
    return []


def _word(title: str) -> str:
    return "".join(char for char in title.lower() if unicodedata.category(char)[0] in "LM")


def _number_rank(title: str) -> int | None:
    """How surely a title means phone numbers, 0 for the surest, None for one that doesn't."""
    if _word(title) in _WHOLE_NAMES or _word(title) == _word(REASON_COLUMN):
        return None
    words = [word.lower() for word in _WORD.findall(title)]
    ranks = [
        rank
        for rank, start in enumerate(_NUMBER_WORDS)
        if any(word == start if start in _SHORT_WORDS else word.startswith(start) for word in words)
    ]
    return min(ranks, default=None)
