"""Calls as CSV, streamed: any number of them in little memory (FIELD.md, complaints 13 and 14)."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from datetime import datetime, tzinfo
from typing import Any

from django.utils import timezone

E164 = re.compile(r"\+\d+")
FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")
"""How a cell begins that some spreadsheet would run: also after spaces, and with full-width signs."""

BOM = "\ufeff"
"""Without it Excel reads names in other scripts as gibberish."""

CALL_COLUMNS = {
    "n": "OBD ID",
    "number": "number",
    "name": "name",
    "call_group__campaign": "campaign",
    "status": "status",
    "word": "carrier's word",
    "handed_over_at": "sent",
    "answered_at": "answered",
    "ended_at": "ended",
    "duration": "duration (s)",
    "retries": "retries",
    "digits": "digits",
    "custom": "custom",
}
DROPPED_COLUMNS = {"number": "number", "name": "name", "outcome": "outcome", "reason": "reason"}

LINES = 500
"""Lines sent at once."""


def cell(value: Any, zone: tzinfo | None = None) -> str:
    """The text of a cell that no spreadsheet runs as a formula. Times are in `zone` (the portal's), with its offset.

    A number keeps its plus sign: a plus and digits alone are at worst read as that figure.
    """
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(zone or timezone.get_current_timezone()).isoformat(" ", "seconds")
    text = str(value)
    if text[:1].isalnum():  # nearly all cells, and no formula begins so
        return text
    return f"'{text}" if FORMULA.match(text) and not E164.fullmatch(text) else text


def lines(headings: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[bytes]:
    """A CSV file (UTF-8 with a byte order mark, CRLF) in pieces of some hundred lines."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    zone = timezone.get_current_timezone()
    buffer.write(BOM)
    writer.writerow(headings)
    for number, row in enumerate(rows, 1):
        writer.writerow([cell(value, zone) for value in row])
        if number % LINES == 0:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()


def call_lines(rows: Iterable[tuple[Any, ...]]) -> Iterator[bytes]:
    """The CSV file of calls: each row has the call group's ID and the values of `CALL_COLUMNS`."""
    return lines(CALL_COLUMNS.values(), ((f"{group}-{n}", *rest) for group, n, *rest in rows))
