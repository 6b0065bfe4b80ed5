"""Putting back what an import added, changed and removed: the other way round of :mod:`.apply`.

What was done to these very rows since then is undone too; rows that were added otherwise stay, and those that somebody
deleted stay deleted.
"""

from typing import Any

from django.db import connection

from calls.contacts.importing.apply import CONTACTS, ROWS_AT_ONCE, SUPPRESSIONS, Tick
from calls.models import Import

DELETE_ADDED_SQL = """
    DELETE FROM {table} WHERE {owner} = %(target)s AND id > %(after)s AND id <= %(to)s
"""
# The import changed it, and somebody deleted it since then.
DELETED_SINCE_SQL = """
    DELETE FROM calls_replacedrow AS r
    WHERE r.of_id = %(import)s AND r.id > %(after)s AND r.id <= %(to)s AND NOT r.removed
    AND NOT EXISTS (SELECT FROM {table} AS t WHERE t.id = (r.row ->> 'id')::bigint)
"""
# What has the ID, or the number, of a row that is put back: a removed number may have been added again since.
MAKE_ROOM_SQL = """
    DELETE FROM {table} WHERE id IN (
        SELECT (row ->> 'id')::bigint FROM calls_replacedrow
        WHERE of_id = %(import)s AND id > %(after)s AND id <= %(to)s
    );
    DELETE FROM {table} WHERE {owner} = %(target)s AND number IN (
        SELECT row ->> 'number' FROM calls_replacedrow
        WHERE of_id = %(import)s AND id > %(after)s AND id <= %(to)s
    )
"""
PUT_BACK_SQL = """
    INSERT INTO {table}
    SELECT was.* FROM calls_replacedrow AS r, jsonb_populate_record(NULL::{table}, r.row) AS was
    WHERE r.of_id = %(import)s AND r.id > %(after)s AND r.id <= %(to)s ORDER BY was.id
"""
REPLACED_SQL = "SELECT min(id), max(id) FROM calls_replacedrow WHERE of_id = %(import)s"
FORGET_SQL = "DELETE FROM calls_replacedrow WHERE of_id = %(import)s"


def put_back(import_: Import, begin: Tick, tick: Tick) -> None:
    """Undo the import, in the current transaction; the target's row is locked.

    `begin` is called with an amount of work, `tick` with how much of it is done.
    """
    table = CONTACTS if import_.group_id else SUPPRESSIONS
    values: dict[str, Any] = {"target": import_.group_id or import_.suppression_list_id, "import": import_.pk}
    with connection.cursor() as cursor:
        cursor.execute(REPLACED_SQL, values)
        replaced = cursor.fetchone()
        steps = [
            (after, min(after + ROWS_AT_ONCE, last), queries)
            for first, last, queries in (
                (import_.first_id, import_.last_id, (DELETE_ADDED_SQL,)),
                (*replaced, (DELETED_SINCE_SQL,)),  # of all rows, before room is made for any of them
                (*replaced, (MAKE_ROOM_SQL, PUT_BACK_SQL)),
            )
            if first is not None and last is not None
            for after in range(first - 1, last, ROWS_AT_ONCE)
        ]
        begin(len(steps))
        for done, (after, to, queries) in enumerate(steps, start=1):
            for query in queries:
                cursor.execute(query.format(table=table.name, owner=table.owner), values | {"after": after, "to": to})
            tick(done)
        cursor.execute(FORGET_SQL, values)
