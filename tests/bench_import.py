"""The part of `make bench` that imports: as ratios to a bare COPY, and to django-import-export.

Its numbers are well-formed Indian mobiles, since there are not a million that ring nowhere; no call is made here.
"""

import csv
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import phonenumbers
import xlsxwriter

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from calls.models import ContactGroup, Import, User
    from calls.models.importing import Existing

ROWS = int(os.environ.get("ROWS", "1000000"))
COMPARED_ROWS = ROWS // 10
SHEET_ROWS = ROWS // 5
SUPPRESSED = 100_000
FIRST = 8_123_000_000
TITLES = ["Name", "Mobile", "City"]

FILL_SQL = """
    INSERT INTO calls_contact (group_id, number, name, extra, created_at)
    SELECT %s, '+91' || %s + i, 'Person ' || i, '{"City": "Pune"}', now() FROM generate_series(0, %s - 1) AS i
"""
SUPPRESS_SQL = """
    INSERT INTO calls_suppression (list_id, number, reason, source, added_at)
    SELECT %s, '+91' || %s + i * 10, 'Asked', 'bench', now() FROM generate_series(0, %s - 1) AS i
"""
EQUAL_SQL = "DROP TABLE IF EXISTS bench_contact; CREATE TABLE bench_contact (LIKE calls_contact INCLUDING ALL)"
EQUALLY_FULL_SQL = """
    INSERT INTO bench_contact (group_id, number, name, custom, extra, created_at)
    SELECT group_id, number, name, custom, extra, created_at FROM calls_contact ORDER BY id
"""
COPY_SQL = "COPY bench_contact (group_id, number, name, custom, extra, created_at) FROM STDIN"

Memory = Callable[[], dict[str, float]]


def measure_import(memory: Memory) -> None:
    """Print the figures; workers of a running portal import. `memory` gives the peak of each kind of process in MiB."""
    from calls.models import ListRole, SuppressionList, User

    admin = User.objects.get(username="admin")
    chosen = SuppressionList.objects.get(role=ListRole.MANUAL)
    _execute(SUPPRESS_SQL, [chosen.pk, FIRST, SUPPRESSED])
    print(f"\nImports ({SUPPRESSED:,} numbers are suppressed)")
    with tempfile.TemporaryDirectory(prefix="obdportal-bench-") as folder:
        _sheet(admin, Path(folder, "list.xlsx"), memory)
        _compared(admin, Path(folder, "list.csv"))
        _large(admin, Path(folder, "list.csv"), memory)


def _large(admin: "User", path: Path, memory: Memory) -> None:
    from calls.models.importing import Existing

    print(f"  CSV of {ROWS:,} rows into a group of {ROWS:,}, half of them there:")
    _write_csv(path, FIRST + ROWS // 2, ROWS)
    group = _group(ROWS)
    empty, full = _copy(path), _copy(path, EQUALLY_FULL_SQL)
    _forget(group)
    print(f"  {'bare COPY into an equal but empty table':46} {empty:6.1f} s  {ROWS / empty:9,.0f} rows/s")
    print(f"  {'bare COPY into an equal table':46} {full:6.1f} s  {ROWS / full:9,.0f} rows/s")
    for existing in (Existing.SKIP, Existing.UPDATE, Existing.REPLACE):
        group = _group(ROWS)
        import_, seconds = _import(admin, group, path, existing)
        print(
            f"  {f'import, {existing.value}':46} {seconds:6.1f} s  {ROWS / seconds:9,.0f} rows/s  "
            f"{seconds / full:5.2f} x the COPY ({seconds / empty:.2f} x that into the empty one)"
        )
        print(f"    {_said(import_)}; undone in {_undo(import_):.1f} s")
        _forget(group)
    print(f"  peak memory of a worker: {memory()['worker']:.0f} MiB")


def _sheet(admin: "User", path: Path, memory: Memory) -> None:
    from calls.models.importing import Existing

    with xlsxwriter.Workbook(path, {"constant_memory": True}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, TITLES)
        for row, cells in enumerate(_rows(FIRST, SHEET_ROWS), start=1):
            sheet.write_row(row, 0, cells)
    group = _group(0)
    _, seconds = _import(admin, group, path, Existing.SKIP)
    print(f"  {f'XLSX of {SHEET_ROWS:,} rows':46} {seconds:6.1f} s  {SHEET_ROWS / seconds:9,.0f} rows/s")
    print(f"  peak memory of a worker: {memory()['worker']:.0f} MiB")
    _forget(group)


def _compared(admin: "User", path: Path) -> None:
    from calls.models.importing import Existing

    _write_csv(path, FIRST + COMPARED_ROWS // 2, COMPARED_ROWS, spoilt=False)
    group = _group(COMPARED_ROWS)
    _, ours = _import(admin, group, path, Existing.UPDATE)
    _forget(group)
    print(f"  {f'CSV of {COMPARED_ROWS:,} rows, half of them there, updated':46} {ours:6.1f} s")
    for title, cached in (("in bulk mode", False), ("in bulk mode, all contacts loaded before", True)):
        group = _group(COMPARED_ROWS)
        theirs = _import_export(group, path, cached=cached)
        _forget(group)
        print(f"  {'the same by django-import-export ' + title:46} {theirs:6.1f} s: {theirs / ours:.1f} times as long")


def _rows(first: int, count: int) -> Iterator[list[str]]:
    for i in range(count):
        yield [f"Person {i}", str(first + i), "Pune" if i % 2 else "Delhi"]


def _write_csv(path: Path, first: int, count: int, *, spoilt: bool = True) -> None:
    """A list of so many rows; of a spoilt one each hundredth row is refused, and another one repeats the row before."""
    before: list[str] = []
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(TITLES)
        for i, row in enumerate(_rows(first, count)):
            if spoilt and i % 100 == 98:
                writer.writerow([row[0], "9.19876E+11", row[2]])
            elif spoilt and i % 100 == 99:
                writer.writerow(before)
            else:
                writer.writerow(row)
                before = row


def _copy(path: Path, fill: str = "") -> float:
    """Seconds of a bare COPY of what is good in the file, as COPY wants it, into a table that was filled like this."""
    from django.db import connection

    with path.open(newline="") as file:
        good = {row[1]: row for row in csv.reader(file) if row[1].isdigit()}
    lines = [f'0\t+91{number}\t{name}\t\t{{"City": "{city}"}}\t2026-01-01\n' for name, number, city in good.values()]
    blocks = ["".join(lines[i : i + 10_000]) for i in range(0, len(lines), 10_000)]
    with connection.cursor() as cursor:
        cursor.execute(EQUAL_SQL)
        if fill:
            cursor.execute(fill)
        cursor.execute("VACUUM ANALYZE bench_contact")
        cursor.execute("CHECKPOINT")
        began = time.perf_counter()
        with cursor.copy(COPY_SQL) as copy:
            for block in blocks:
                copy.write(block)
        took = time.perf_counter() - began
        cursor.execute("DROP TABLE bench_contact")
    return took


def _group(size: int) -> "ContactGroup":
    from calls.models import ContactGroup

    group = ContactGroup.objects.create(name=f"Import {time.monotonic_ns()} bench")
    _execute(FILL_SQL, [group.pk, FIRST, size])
    _execute("VACUUM ANALYZE calls_contact", [])
    _execute("CHECKPOINT", [])
    return group


def _forget(group: "ContactGroup") -> None:
    _execute("DELETE FROM calls_contact WHERE group_id = %s", [group.pk])


def _import(admin: "User", group: "ContactGroup", path: Path, existing: "Existing") -> tuple["Import", float]:
    """The file imported by a worker, and in how many seconds."""
    from django.core.files.uploadedfile import SimpleUploadedFile

    from calls.contacts.importing import Layout, confirm, receive

    import_ = receive(admin, group, upload=SimpleUploadedFile(path.name, path.read_bytes()))
    confirm(import_, Layout.from_json(import_.layout), existing)
    return import_, _waited(import_)


def _undo(import_: "Import") -> float:
    from calls.contacts.importing import undo

    undo(import_, import_.owner)
    return _waited(import_)


def _waited(import_: "Import") -> float:
    """Seconds from when a worker began the import to its end."""
    import_.refresh_from_db()
    while import_.working:
        time.sleep(0.2)
        import_.refresh_from_db()
    assert import_.state in ("done", "undone"), import_.error
    assert import_.started_at
    assert import_.ended_at
    return (import_.ended_at - import_.started_at).total_seconds()


def _said(import_: "Import") -> str:
    return ", ".join(f"{count:,} {what}" for what, count in import_.counts.items() if count)


def _execute(query: str, values: list[Any]) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(query, values)


def _import_export(group: "ContactGroup", path: Path, *, cached: bool) -> float:
    """Seconds that django-import-export takes to read, normalise and write the file.

    In bulk mode it still looks up each row by itself, unless it is told to load all contacts before.
    """
    import tablib  # type: ignore[import-untyped]
    from import_export import fields, instance_loaders, resources  # type: ignore[import-untyped]

    from calls.models import Contact

    class Contacts(resources.ModelResource):  # type: ignore[misc]
        number = fields.Field(attribute="number", column_name="Mobile")
        name = fields.Field(attribute="name", column_name="Name")

        class Meta:
            model = Contact
            fields = ("number", "name")
            import_id_fields = ("number",)
            instance_loader_class = (
                instance_loaders.CachedInstanceLoader if cached else instance_loaders.ModelInstanceLoader
            )
            use_bulk = True
            batch_size = 1_000
            skip_diff = True

        def get_queryset(self) -> "QuerySet[Contact]":
            return Contact.objects.filter(group=group)

        def before_save_instance(self, instance: Contact, row: dict[str, str], **_: Any) -> None:
            instance.group = group
            instance.extra = {**instance.extra, "City": row["City"]}

    began = time.perf_counter()
    with path.open(newline="") as file:
        _, *rows = csv.reader(file)
    # Normalised first: contacts are looked up by what is in the data set.
    data = tablib.Dataset(*((name, _normalised(number), city) for name, number, city in rows), headers=TITLES)
    result = Contacts().import_data(data, raise_errors=True)
    took = time.perf_counter() - began
    assert result.total_rows == len(rows)
    return took


def _normalised(text: str) -> str:
    """E.164, as one gets it from phonenumbers."""
    number = phonenumbers.parse(text, "IN")
    assert phonenumbers.is_valid_number(number)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
