"""The rows of a file in a temporary table of this database session, where the database sorts them out.

Each row of `import_given` is a number of the file: `n` is its place among them, `place` that of the row it stands in. A
refused row has no number. `again` says that the number may have come before, as far as some bits of memory tell;
whether it has says the database.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from json import dumps

from django.db import connection

from calls.contacts.importing.cells import as_text, clean
from calls.contacts.importing.problems import UploadError
from calls.contacts.importing.reading import Row
from calls.contacts.repair import CellValue

MAX_ROWS = 2_000_000
TEXT_AT_ONCE = 1024 * 1024
"""Characters that the database is given at once."""

REASON_LENGTH = 300
_KEPT_OF_CELL, _KEPT_OF_ROW = 1_000, 10_000
"""Characters of a cell, and of all of its row, that are kept of a row that is not taken."""

_KINDS = 100
OTHER_REASONS, OTHER_REPAIRS = "another reason", "repaired otherwise"

_PLACES = 2**27
_NOT_IN_JSON = re.compile("[\x00\ud800-\udfff]")
# What a reason says of one row only. Without it the reasons of many rows are one.
_SPECIAL = re.compile(
    r"^.+ (?=is (?:a|an|not a|below 0|not)\b)|^.+ (?=has lost a 0|has more than|could be one|stands for)"
    r'|^".+" (?=beside a number)|(?<=has lost a 0 or a \+).+|(?<=could be one number) or \d+'
)
# The same of what was repaired: 9.12E+9 written out, 3 numbers in one cell.
_SPECIAL_REPAIR = re.compile(r"^.+ (?=written out$)|^\d+ (?=numbers in one cell$)")

TABLES = ("import_given", "import_repeated", "import_fresh", "import_changed", "import_removed", "import_deleted")
CREATE_SQL = """
    CREATE TEMP TABLE import_given (
        n bigint, place bigint, line bigint, number text COLLATE "C", again boolean,
        name text, custom text, extra jsonb, note text, cells jsonb, reason text
    );
    CREATE TEMP TABLE import_repeated (place bigint, line bigint, first bigint, cells jsonb)
"""
# Of a number that comes more than once the first one counts.
REPEATED_SQL = """
    WITH first AS (
        SELECT number, min(n) AS n, min(line) AS line FROM import_given
        WHERE number IN (SELECT number FROM import_given WHERE again) GROUP BY number
    ), gone AS (
        DELETE FROM import_given AS given USING first WHERE first.number = given.number AND given.n > first.n
        RETURNING given.place, given.line, first.line AS first, given.cells
    )
    INSERT INTO import_repeated SELECT place, min(line), min(first), (array_agg(cells))[1] FROM gone GROUP BY place
"""
# A row with several numbers is taken while one of them is new.
TAKEN_SQL = "DELETE FROM import_repeated WHERE place IN (SELECT place FROM import_given)"
COUNT_SQL = "SELECT (SELECT count(*) FROM import_repeated), (SELECT count(number) FROM import_given)"


@dataclass
class Given:
    """What was found in a file: its rows, those refused and those that repeat others, and how many numbers it has.

    `reasons` and `repairs` say of how many rows what was refused and repaired.
    """

    rows: int = 0
    refused: int = 0
    duplicate: int = 0
    numbers: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    repairs: Counter[str] = field(default_factory=Counter)

    @property
    def accepted(self) -> int:
        """The rows of which at least one number is taken."""
        return self.rows - self.refused - self.duplicate


def stage(rows: Iterable[Row], given: Given) -> None:
    """Put the rows into the temporary tables, which are made anew, and sort them out; `given` says what was found.

    Raises UploadError.
    """
    forget()
    with connection.cursor() as cursor:
        cursor.execute(CREATE_SQL)
        for some in _pieces(_lines(rows, given)):
            with cursor.copy("COPY import_given FROM STDIN") as copy:
                copy.write(some)
        cursor.execute("ANALYZE import_given")
        cursor.execute(REPEATED_SQL)
        if cursor.rowcount:
            cursor.execute(TAKEN_SQL)
        cursor.execute(COUNT_SQL)
        given.duplicate, given.numbers = cursor.fetchone()


def forget() -> None:
    """Remove the temporary tables of this database session."""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {', '.join(TABLES)}")


def _pieces(lines: Iterable[str]) -> Iterator[str]:
    """The lines, many at once, but not more than memory has room for: rows can be long."""
    some: list[str] = []
    length = 0
    for line in lines:
        some.append(line)
        length += len(line)
        if length >= TEXT_AT_ONCE:
            yield "".join(some)
            some, length = [], 0
    if some:
        yield "".join(some)


def _lines(rows: Iterable[Row], given: Given) -> Iterator[str]:
    """What COPY takes for each number, and for each refused row."""
    seen = bytearray(_PLACES // 8)
    n = 0
    for row in rows:
        given.rows += 1
        if given.rows > MAX_ROWS:
            raise UploadError(f"The file has more than {MAX_ROWS:,} rows. Split it.")
        head = f"{given.rows}\t{row.line}"
        if not row.numbers:
            n += 1
            given.refused += 1
            given.reasons[_kind(row.reason, given.reasons)] += 1
            tail = _escaped(f"{_kept(row.cells)}\t{clean(row.reason, REASON_LENGTH)}")
            yield f"{n}\t{head}\t\\N\tf\t\t\t{{}}\t\t{tail}\n"
            continue
        if row.repaired:
            for kind in _repairs(row.repaired):
                given.repairs[kind if kind in given.repairs or len(given.repairs) < _KINDS else OTHER_REPAIRS] += 1
        rest = f"{row.name}\t{row.custom}\t{row.extra}\t{row.note}"
        if "\\" in rest:
            rest = _escaped(rest)
        for number in row.numbers:
            n += 1
            mark = hash(number) % _PLACES
            if seen[mark >> 3] & 1 << (mark & 7):
                # Its cells are needed if it turns out that the row repeats others.
                yield f"{n}\t{head}\t{number}\tt\t{rest}\t{_escaped(_kept(row.cells))}\t\n"
            else:
                seen[mark >> 3] |= 1 << (mark & 7)
                yield f"{n}\t{head}\t{number}\tf\t{rest}\t\\N\t\n"


def _kept(cells: Sequence[CellValue]) -> str:
    texts: list[str] = []
    room = _KEPT_OF_ROW
    for cell in cells:
        text = (cell if isinstance(cell, str) else as_text(cell))[: min(room, _KEPT_OF_CELL)]
        texts.append(_NOT_IN_JSON.sub("\ufffd", text))
        room -= len(text)
    return dumps(texts, ensure_ascii=False)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\")


def _kind(reason: str, known: Counter[str]) -> str:
    """The reason without what only this row has in it; of very many different ones the later ones are one."""
    kind = _SPECIAL.sub("", reason)
    return kind if kind in known or len(known) < _KINDS else OTHER_REASONS


@lru_cache(1_000)
def _repairs(said: str) -> tuple[str, ...]:
    """What was repaired in a row, each once, without what only this row has in it."""
    return tuple(dict.fromkeys(_SPECIAL_REPAIR.sub("", repair) for repair in said.split(", ")))
