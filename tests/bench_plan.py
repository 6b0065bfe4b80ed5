"""The part of `make bench` that plans: a million contacts, as a ratio to one INSERT ... SELECT of as many rows.

Its numbers have the shapes of four countries, one of them with hundreds of area codes; no call is made here.
"""

import os
import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from django.db import connection
from django.utils import timezone

if TYPE_CHECKING:
    from calls.models import CallRequest

ROWS = int(os.environ.get("ROWS", "1000000"))
SMALL = 1_000
SUPPRESSED = 100_000
REPEATED = 3
SHAPES = {
    "all in India": "'+91' || 8123000000 + i",
    "in four countries": """CASE i %% 4 WHEN 0 THEN '+91' || 8123000000 + i
        WHEN 1 THEN '+1' || 201 + i %% 790 || 5550000 + i WHEN 2 THEN '+44' || 7400000000 + i
        ELSE '+61' || 412000000 + i END""",
}
FILL_SQL = """
    INSERT INTO calls_contact (group_id, number, name, extra, created_at)
    SELECT %s, {number}, CASE WHEN i <= {rows} / 100 THEN 'Elder ' ELSE '' END || 'Person ' || i,
        '{{}}', now() FROM generate_series(1, %s) AS i
    ON CONFLICT DO NOTHING
"""
SUPPRESS_SQL = """
    INSERT INTO calls_suppression (list_id, number, reason, source, added_at)
    SELECT %s, number, 'Asked', 'bench', now() FROM calls_contact WHERE group_id = %s ORDER BY id LIMIT %s
    ON CONFLICT DO NOTHING
"""
EQUAL_SQL = """
    DROP TABLE IF EXISTS bench_planned;
    CREATE TABLE bench_planned (LIKE calls_plannedcall INCLUDING ALL);
    ALTER TABLE bench_planned ADD FOREIGN KEY (request_id) REFERENCES calls_callrequest DEFERRABLE INITIALLY DEFERRED
"""
INSERT_SQL = """
    INSERT INTO bench_planned (request_id, position, number, name, custom, outcome, reason, place)
    SELECT %s, row_number() OVER (ORDER BY id), number, name, custom, 'callable', '', 'IN Asia/Calcutta'
    FROM calls_contact WHERE group_id = %s
"""


def measure_plan(compare: Callable[[str, dict[str, str]], None]) -> None:
    """Print the figures; `compare` prints how long the pages take."""
    from calls.models import ContactGroup, ListRole, SuppressionList

    chosen = SuppressionList.objects.get(role=ListRole.MANUAL)
    for name, number in SHAPES.items():
        group = ContactGroup.objects.create(name=f"Plan, {name}")
        _execute(FILL_SQL.format(number=number, rows=ROWS), [group.pk, ROWS])
        _execute(SUPPRESS_SQL, [chosen.pk, group.pk, SUPPRESSED])
        # As autovacuum does it in the background some time after so many rows.
        _execute("VACUUM ANALYZE calls_contact, calls_suppression", [])
        print(f"\nPlan and preflight of {ROWS:,} contacts {name}, {SUPPRESSED:,} of them suppressed")
        _compared(group.pk)
    small = ContactGroup.objects.create(name=f"Plan, {SMALL}")
    _execute(FILL_SQL.format(number=SHAPES["all in India"], rows=SMALL), [small.pk, SMALL])
    for size, pk in ((SMALL, small.pk), (ROWS, group.pk)):
        page = f"/contact-groups/{pk}/"
        searches = {
            "by last digits": "00047",
            "by digits that nobody has": "55555555",
            "by name": "Person",
            "by two words": "Person 47",
            "by a name that nobody has": "Nobody",
            "by a name that the oldest have": "Elder",
        }
        pages = {"first page": page} | {name: f"{page}?{urlencode({'q': text})}" for name, text in searches.items()}
        compare(f"Pages of a contact group of {size:,}", pages)


def _compared(group: int) -> None:
    """Plan, and insert as many rows by one statement, in turn."""
    bare, planned = [], []
    for _ in range(REPEATED):
        _execute(EQUAL_SQL, [])
        request = _request(group)
        bare.append(_seconds(partial(_execute, INSERT_SQL, [request.pk, group])))
        planned.append(_seconds(partial(_plan, request)))
        _execute("TRUNCATE bench_planned", [])
        request.delete()
    typical, ours = statistics.median(bare), statistics.median(planned)
    print(f"  one INSERT ... SELECT {typical:6.1f} s")
    print(f"  plan and preflight    {ours:6.1f} s  {ours / typical:5.2f} x that")


def _request(group: int) -> "CallRequest":
    from calls.dialing.request import Options
    from calls.models import CallRequest, User

    options = Options(message="Hello.", contact_groups=(group,)).as_json()
    # In an hour only would a worker take it for one that has lost its job.
    later = timezone.now() + timedelta(hours=1)
    owner = User.objects.get(username="admin")
    return CallRequest.objects.create(owner=owner, typed={}, options=options, created_at=later)


def _plan(request: "CallRequest") -> None:
    from django.utils import timezone

    from calls.dialing.plan import make_plan
    from calls.dialing.preflight import preflight

    make_plan(request)
    request.refresh_from_db()
    preflight(request, timezone.now())


def _seconds(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _execute(sql: str, parameters: list[Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
