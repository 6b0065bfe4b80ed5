"""From the numbers in `import_given` (:mod:`.staging`) to the contacts of a group, or the numbers of a list, and back.

All of it happens in one transaction of the caller, some thousand rows at a time, so that it can tell how far it is.
Only rows that really change are written; what they were before is kept in ReplacedRows, so that it can be undone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.utils import timezone

from calls.models import Import, SuppressionList, Traffic
from calls.models.importing import Existing

ROWS_AT_ONCE = 25_000
"""Rows that one statement writes."""

KEPT_TOGETHER = 500
"""Rows as they were before that are kept in one row of ReplacedRows: a million rows of their own would cost more."""

SOURCE_LENGTH = 100

Tick = Callable[[int], None]
"""Called with the number of rows written; may raise to end the import, which leaves everything as it was."""


@dataclass(frozen=True)
class Table:
    """How numbers get into a table: the columns that an import fills, and what it fills them with.

    `given` are expressions of a row of `import_given` for each of `columns`; `updated` those that keep what the table
    has (`t`) where the file has nothing. `added` are further columns, for new rows only.
    """

    name: str
    owner: str
    columns: tuple[str, ...]
    given: tuple[str, ...]
    updated: tuple[str, ...]
    added: dict[str, str]


CONTACTS = Table(
    name="calls_contact",
    owner="group_id",
    columns=("name", "custom", "extra"),
    given=("g.name", "g.custom", "g.extra"),
    updated=(
        "CASE WHEN g.name = '' THEN t.name ELSE g.name END",
        "CASE WHEN g.custom = '' THEN t.custom ELSE g.custom END",
        "t.extra || g.extra",
    ),
    added={"created_at": "now()"},
)
SUPPRESSIONS = Table(
    name="calls_suppression",
    owner="list_id",
    columns=("reason",),
    given=("CASE WHEN g.note = '' THEN %(reason)s ELSE g.note END",),
    updated=("CASE WHEN g.note = '' THEN t.reason ELSE g.note END",),
    added={"source": "%(source)s", "added_by_id": "%(user)s", "added_at": "now()"},
)

FRESH_SQL = """
    CREATE TEMP TABLE import_fresh AS
    SELECT row_number() OVER (ORDER BY g.n) AS place, g.number, {given_as} FROM import_given AS g
    WHERE g.number IS NOT NULL AND NOT EXISTS (
        SELECT FROM {table} AS t WHERE t.{owner} = %(target)s AND t.number = g.number
    )
"""
CHANGED_SQL = """
    CREATE TEMP TABLE import_changed AS
    SELECT row_number() OVER (ORDER BY t.id) AS place, t.id, {new_as}
    FROM import_given AS g JOIN {table} AS t ON t.number = g.number AND t.{owner} = %(target)s
    WHERE ({columns_of_t}) IS DISTINCT FROM ({new})
"""
REMOVED_SQL = """
    CREATE TEMP TABLE import_removed AS
    SELECT row_number() OVER (ORDER BY t.id) AS place, t.id FROM {table} AS t
    WHERE t.{owner} = %(target)s AND NOT EXISTS (SELECT FROM import_given AS g WHERE g.number = t.number)
"""
PLACES_SQL = "CREATE UNIQUE INDEX ON {chosen} (place); ANALYZE {chosen}"

INSERT_SQL = """
    WITH written AS (
        INSERT INTO {table} ({owner}, number, {columns}, {added_columns})
        SELECT %(target)s, number, {columns}, {added} FROM import_fresh
        WHERE place > %(after)s AND place <= %(to)s ORDER BY place
        RETURNING id
    )
    SELECT min(id), max(id) FROM written
"""
BOUNDS_SQL = "SELECT min(id), max(id) FROM {chosen} WHERE place > %(after)s AND place <= %(to)s"
# Said for the planner: without it, it would read the whole table for each of these steps.
NEAR_SQL = "t.{owner} = %(target)s AND t.id >= %(first)s AND t.id <= %(last)s"
KEEP_SQL = """
    INSERT INTO calls_replacedrows (of_id, rows, removed)
    SELECT %(import)s, jsonb_agg(to_jsonb(t)), {removed} FROM {chosen} AS c JOIN {table} AS t USING (id)
    WHERE c.place > %(after)s AND c.place <= %(to)s AND {near} GROUP BY c.place / {together}
"""
UPDATE_SQL = """
    UPDATE {table} AS t SET ({columns}) = ROW ({columns_of_c}) FROM import_changed AS c
    WHERE t.id = c.id AND c.place > %(after)s AND c.place <= %(to)s AND {near}
"""
DELETE_SQL = """
    DELETE FROM {table} AS t USING import_removed AS c
    WHERE t.id = c.id AND c.place > %(after)s AND c.place <= %(to)s AND {near}
"""
NOT_TAKEN_SQL = """
    INSERT INTO calls_importedrow (of_id, line, cells, reason, duplicate)
    SELECT %(import)s, line, cells, reason, false FROM import_given WHERE number IS NULL
    UNION ALL
    SELECT %(import)s, line, cells, 'repeats line ' || first, true FROM import_repeated
    ORDER BY 2
"""
SUPPRESSED_SQL = """
    SELECT count(*) FROM import_given AS g WHERE number IN (
        SELECT s.number FROM calls_suppression AS s WHERE s.list_id = ANY(%(lists)s)
    )
"""
# Sorting and hashing a million rows would go to disk with the little memory that is usual.
MEMORY_SQL = "SET LOCAL work_mem = '64MB'"


def keep_not_taken(import_: Import) -> None:
    """Keep the rows that are refused, or repeat others, with the import."""
    with connection.cursor() as cursor:
        cursor.execute(NOT_TAKEN_SQL, {"import": import_.pk})


@dataclass(frozen=True)
class Written:
    """What became of the numbers of a file, and the IDs of the new rows: no other rows of the target have such."""

    counts: dict[str, int]
    first_id: int | None
    last_id: int | None


class Writer:
    """Writes one import, in the current transaction; the target's row is locked."""

    def __init__(self, import_: Import, begin: Tick, tick: Tick) -> None:
        self._import, self._begin, self._tick = import_, begin, tick
        self._table = table = CONTACTS if import_.group_id else SUPPRESSIONS
        new = table.given if import_.existing == Existing.REPLACE else table.updated
        self._names = {
            "table": table.name,
            "owner": table.owner,
            "columns": ", ".join(table.columns),
            "columns_of_t": ", ".join(f"t.{column}" for column in table.columns),
            "columns_of_c": ", ".join(f"c.{column}" for column in table.columns),
            "given_as": _named(table.given, table.columns),
            "new": ", ".join(new),
            "new_as": _named(new, table.columns),
            "near": NEAR_SQL.format(owner=table.owner),
            "together": KEPT_TOGETHER,
            "added_columns": ", ".join(table.added),
            "added": ", ".join(table.added.values()),
        }
        self._values: dict[str, Any] = {
            "target": import_.group_id or import_.suppression_list_id,
            "import": import_.pk,
            "reason": import_.reason,
            "source": import_.source[:SOURCE_LENGTH],
            "user": import_.owner_id,
        }
        self._done = 0

    def write(self, numbers: int) -> Written:
        """Add, update and remove what the file with so many numbers says.

        `begin` is called with the number of rows that will be written, `tick` with how many are.
        """
        existing = self._import.existing
        self._run(MEMORY_SQL)
        fresh = self._choose(FRESH_SQL, "import_fresh")
        changed = self._choose(CHANGED_SQL, "import_changed") if existing != Existing.SKIP else 0
        removed = self._choose(REMOVED_SQL, "import_removed") if existing == Existing.REPLACE else 0
        self._begin(fresh + changed + removed)
        self._write(removed, KEEP_SQL, DELETE_SQL, chosen="import_removed", removed="true")
        self._write(changed, KEEP_SQL, UPDATE_SQL, chosen="import_changed", removed="false")
        ids = [each for each in self._write(fresh, INSERT_SQL) if each is not None]
        keep_not_taken(self._import)
        counts = {"added": fresh, "updated": changed, "unchanged": numbers - fresh - changed, "removed": removed}
        if self._import.group_id:
            counts["suppressed"] = self._suppressed()
        return Written(counts, min(ids, default=None), max(ids, default=None))

    def _choose(self, query: str, name: str) -> int:
        """Make a temporary table of the rows to write; how many there are."""
        self._run(query)
        count = self._run("SELECT count(*) FROM {chosen}", chosen=name)[0]
        self._run(PLACES_SQL, chosen=name)
        return int(count)

    def _write(self, rows: int, *queries: str, **names: str) -> list[Any]:
        """Run the queries for some rows at a time; what they return."""
        returned: list[Any] = []
        for after in range(0, rows, ROWS_AT_ONCE):
            to = min(after + ROWS_AT_ONCE, rows)
            values = {"after": after, "to": to}
            if names:
                values["first"], values["last"] = self._run(BOUNDS_SQL, values, **names)
            for query in queries:
                returned += self._run(query, values, **names)
            self._done += to - after
            self._tick(self._done)
        return returned

    def _suppressed(self) -> int:
        lists = SuppressionList.objects.applying(Traffic.PROMOTIONAL, timezone.now())
        return int(self._run(SUPPRESSED_SQL, {"lists": list(lists.values_list("pk", flat=True))})[0])

    def _run(self, query: str, values: dict[str, Any] | None = None, **names: str) -> tuple[Any, ...]:
        """Run a query; its only row if it returns one."""
        with connection.cursor() as cursor:
            cursor.execute(query.format(**self._names, **names), self._values | (values or {}))
            return cursor.fetchone() if cursor.description else ()


def _named(expressions: tuple[str, ...], columns: tuple[str, ...]) -> str:
    return ", ".join(f"{expression} AS {column}" for expression, column in zip(expressions, columns, strict=True))
