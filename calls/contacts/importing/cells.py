"""Cells as text, and as what a contact keeps of them."""

import re
import unicodedata
from datetime import date, datetime, time

from calls.contacts.repair import CellValue
from calls.exports.cells import cell

CUSTOM_LENGTH = 64
REASON_LENGTH = 200
EXTRA_LENGTH = 200
_FORMULA_TEXT = re.compile(r'="(.*)"', re.DOTALL)
_MARKS = {"=", "'"}


def as_text(value: CellValue) -> str:
    """A cell as a person reads it: a whole number without decimals."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 10**15 else repr(value)
    if isinstance(value, datetime):
        return value.isoformat(" ")
    return value.isoformat() if isinstance(value, date | time) else str(value)


def unprotect(cells: list[str]) -> None:
    """Take from cells of a CSV file what keeps spreadsheets from running or changing them; workbooks have no such."""
    for place, text in enumerate(cells):
        if text.lstrip()[:1] in _MARKS:
            cells[place] = _unprotected(text.strip())


def _unprotected(text: str) -> str:
    if formula := _FORMULA_TEXT.fullmatch(text):
        return formula[1]
    return text[1:] if cell(text[1:]) == text else text


def clean(text: str, length: int) -> str:
    """Text that a database takes and a page shows: without control characters, not longer than so many characters."""
    if not text.isprintable():
        kept = text[: length * 4]
        text = "".join(" " if unicodedata.category(char) in {"Cc", "Cs"} else char for char in kept)
    return text.strip()[:length].rstrip()
