"""The part of `make bench` that exports calls, in a worker of a running portal: as ratios to a bare COPY."""

import os
import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from calls.models import CallGroup, Export, User

ROWS = int(os.environ.get("ROWS", "1000000"))
SHEET_ROWS = ROWS // 5
FIRST = 8_123_000_000
ROUNDS = 3

# Half of the calls were answered; names and custom references are as long as they usually are.
FILL_SQL = """
    INSERT INTO calls_call (
        call_group_id, n, number, name, custom, status, word, carrier_id, retries, created_at,
        handed_over_at, answered_at, ended_at, duration, digits, timeline
    )
    SELECT %(group)s, i, '+91' || %(first)s + i, 'Person ' || i, 'order-' || i,
        CASE WHEN i %% 2 = 0 THEN 'COMPLETED' ELSE 'NOANSWER' END,
        CASE WHEN i %% 2 = 0 THEN 'ANSWER' ELSE 'NOANSWER' END, '', 0, now(), now(),
        CASE WHEN i %% 2 = 0 THEN now() END, now(), CASE WHEN i %% 2 = 0 THEN 30 ELSE 0 END, '', '[]'
    FROM generate_series(1, %(rows)s) AS i
"""
BARE_SQL = """
    COPY (
        SELECT c.call_group_id, c.n, c.number, c.name, g.campaign, c.status, c.word, c.handed_over_at, c.answered_at,
            c.ended_at, c.duration, c.retries, c.digits, c.custom
        FROM calls_call AS c JOIN calls_callgroup AS g ON g.id = c.call_group_id WHERE c.call_group_id = %s ORDER BY c.n
    ) TO STDOUT (FORMAT csv)
"""

Memory = Callable[[], dict[str, float]]


def measure_export(memory: Memory) -> None:
    """Print the figures. `memory` gives the peak of each kind of process in MiB."""
    from calls.models import ExportFormat, User

    admin = User.objects.get(username="admin")
    large, small = _filled(admin, ROWS), _filled(admin, SHEET_ROWS)
    print(f"\nExport of {ROWS:,} calls")
    bare = statistics.median(_bare(large) for _ in range(ROUNDS))
    print(f"  bare COPY of the same columns: {bare:.1f} s, {ROWS / bare:,.0f} rows a second")
    _exported(admin, small, ExportFormat.CSV)  # whatever a worker needs once
    before = memory()["worker"]
    took = statistics.median(_exported(admin, large, ExportFormat.CSV) for _ in range(ROUNDS))
    print(f"  as CSV: {took:.1f} s, {ROWS / took:,.0f} rows a second, {took / bare:.2f} x the bare COPY")
    print(
        f"  peak memory, worker: {before:.0f} MiB after {SHEET_ROWS:,} rows, {memory()['worker']:.0f} MiB after these"
    )
    took = _exported(admin, small, ExportFormat.XLSX)
    print(f"  {SHEET_ROWS:,} calls as a workbook: {took:.1f} s, {SHEET_ROWS / took:,.0f} rows a second")
    print(f"  peak memory, worker: {memory()['worker']:.0f} MiB")


def _filled(owner: "User", rows: int) -> "CallGroup":
    """A finished call group of so many calls."""
    from django.db import connection
    from django.utils import timezone

    from calls.models import CallGroup

    group = CallGroup.objects.create(owner=owner, carrier="sandbox", message="Hello.", due_at=timezone.now())
    with connection.cursor() as cursor:
        cursor.execute(FILL_SQL, {"group": group.pk, "first": FIRST, "rows": rows})
        cursor.execute("VACUUM ANALYZE calls_call")
    return group


def _bare(group: "CallGroup") -> float:
    from django.db import connection

    began = time.monotonic()
    with connection.cursor() as cursor, cursor.copy(BARE_SQL, [group.pk]) as copy:
        rows = sum(1 for _ in copy)
    assert rows == group.calls.count(), rows
    return time.monotonic() - began


def _exported(owner: "User", group: "CallGroup", kind: str) -> float:
    """Seconds that a worker needs for the file."""
    from calls.exports import work
    from calls.models import ExportFormat, ExportState

    export, _ = work.asked_for(owner, "calls_of_group", group.pk, "", ExportFormat(kind))
    work.later(export)
    while export.working:
        time.sleep(0.2)
        export.refresh_from_db()
    assert export.state == ExportState.DONE, export.error
    _has_all(export)
    assert export.started_at is not None
    assert export.ended_at is not None
    return (export.ended_at - export.started_at).total_seconds()


def _has_all(export: "Export") -> None:
    assert export.done == export.expected
    if export.format == "csv":
        with export.file.open() as file:
            lines = sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b""))
        assert lines == export.done + 1, lines
