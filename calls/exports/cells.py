"""What is in a cell of an export: text that no spreadsheet takes for something else (FIELD.md, complaint 14).

PostgreSQL makes the cells of large tables, Python those of others. Both go by the same pattern.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from datetime import datetime, tzinfo
from typing import Any

from django.utils import timezone

SPACES = " \\t\\n\\r\\f\\v\x1c-\x1f\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
FORMULA = f"^(?!\\+[0-9]+\\Z)'*(?:[{SPACES}]*[=+\\-@\uff1d\uff0b\uff0d\uff20]|[\\t\\r\\n])"
"""How a cell begins that some spreadsheet would run: also after spaces, and with full-width signs.

After apostrophes too, although none would run that: taking one apostrophe away then always gives back what it was.
Python and PostgreSQL read this pattern alike. A number keeps its plus sign: a plus and digits alone are at worst read
as that figure.
"""

TEXT = (
    "CASE WHEN {0} = '' THEN NULL WHEN ascii({0}) | 32 BETWEEN 97 AND 122 THEN {0} "  # a letter needs no second look
    "WHEN {0} ~ %s THEN '''' || {0} ELSE {0} END"
)
TIME = "to_char({0}, 'YYYY-MM-DD HH24:MI:SSTZH:TZM')"
FIGURE = "{0}"
"""How SQL makes cells of columns. `TEXT` takes `FORMULA` as a parameter; `TIME` is in the session's zone."""

BOM = "\ufeff"
"""Without it Excel reads names in other scripts as gibberish."""

LINES = 500
"""Lines sent at once."""

_formula = re.compile(FORMULA)


def plain(value: Any, zone: tzinfo | None = None) -> str:
    """A value as text. Times (aware) are in `zone` (default: the portal's), with its offset."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone(zone or timezone.get_current_timezone()).isoformat(" ", "seconds")
    return str(value)


def cell(value: Any, zone: tzinfo | None = None) -> str:
    """The same, so that no spreadsheet runs it as a formula."""
    text = plain(value, zone)
    return f"'{text}" if _formula.match(text) else text


def line(cells: Iterable[str]) -> bytes:
    """One line of a CSV file (UTF-8)."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue().encode()


def lines(headings: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[bytes]:
    """A CSV file (UTF-8 with a byte order mark) in pieces of some hundred lines."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    zone = timezone.get_current_timezone()
    buffer.write(BOM)
    writer.writerow(map(cell, headings))
    for number, row in enumerate(rows, 1):
        writer.writerow([cell(value, zone) for value in row])
        if number % LINES == 0:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()
