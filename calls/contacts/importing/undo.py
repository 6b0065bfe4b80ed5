"""Putting back what an import added, changed and removed: the other way round of :mod:`.apply`.

What was done to these very rows since then is undone too; rows that were added otherwise stay, and those that somebody
deleted stay deleted.
"""

from typing import Any

from django.db import connection

from calls.contacts.importing.apply import CONTACTS, KEPT_TOGETHER, MEMORY_SQL, ROWS_AT_ONCE, SUPPRESSIONS, Tick
from calls.models import Import

DELETE_ADDED_SQL = """
    DELETE FROM {table} WHERE {owner} = %(target)s AND id > %(after)s AND id <= %(to)s
"""
# What the import changed and somebody deleted since then, of all rows: room is made for them one after the other.
DELETED_SINCE_SQL = """
    CREATE TEMP TABLE import_deleted AS
    SELECT was.id FROM calls_replacedrows AS r, jsonb_to_recordset(r.rows) AS was (id bigint)
    WHERE r.of_id = %(import)s AND NOT r.removed AND NOT EXISTS (SELECT FROM {table} AS t WHERE t.id = was.id)
"""
# What has the ID, or the number, of a row that is put back: a removed number may have been added again since.
MAKE_ROOM_SQL = """
    DELETE FROM {table} WHERE id IN (SELECT was.id FROM {back});
    DELETE FROM {table} WHERE {owner} = %(target)s AND number IN (SELECT was.number FROM {back})
"""
PUT_BACK_SQL = "INSERT INTO {table} SELECT was.* FROM {back} ORDER BY was.id"
BACK_SQL = """
    calls_replacedrows AS r, jsonb_populate_recordset(NULL::{table}, r.rows) AS was
    WHERE r.of_id = %(import)s AND r.id > %(after)s AND r.id <= %(to)s
        AND NOT EXISTS (SELECT FROM import_deleted AS d WHERE d.id = was.id)
"""
REPLACED_SQL = "SELECT min(id), max(id) FROM calls_replacedrows WHERE of_id = %(import)s"
FORGET_SQL = "DELETE FROM calls_replacedrows WHERE of_id = %(import)s"


def put_back(import_: Import, begin: Tick, tick: Tick) -> None:
    """Undo the import, in the current transaction; the target's row is locked.

    `begin` is called with an amount of work, `tick` with how much of it is done.
    """
    table = CONTACTS if import_.group_id else SUPPRESSIONS
    values: dict[str, Any] = {"target": import_.group_id or import_.suppression_list_id, "import": import_.pk}
    names = {"table": table.name, "owner": table.owner, "back": BACK_SQL.format(table=table.name)}
    with connection.cursor() as cursor:
        cursor.execute(MEMORY_SQL)
        cursor.execute(DELETED_SINCE_SQL.format(**names), values)
        cursor.execute(REPLACED_SQL, values)
        replaced = cursor.fetchone()
        steps = [
            (after, min(after + at_once, last), queries)
            for first, last, at_once, queries in (
                (import_.first_id, import_.last_id, ROWS_AT_ONCE, (DELETE_ADDED_SQL,)),
                (*replaced, ROWS_AT_ONCE // KEPT_TOGETHER, (MAKE_ROOM_SQL, PUT_BACK_SQL)),
            )
            if first is not None and last is not None
            for after in range(first - 1, last, at_once)
        ]
        begin(len(steps))
        for done, (after, to, queries) in enumerate(steps, start=1):
            for query in queries:
                cursor.execute(query.format(**names), values | {"after": after, "to": to})
            tick(done)
        cursor.execute(FORGET_SQL, values)
