"""Exports that a worker writes: their page, their progress, what goes wrong, and who may fetch them."""

import errno
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import DataError, OperationalError, connection
from django.db.models import F, Func, TextField
from django.test import Client
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob
from psycopg.errors import AdminShutdown, DiskFull, TooManyColumns
from xlsxwriter import Workbook

from calls import tasks
from calls.access import make_roles
from calls.exports import kinds, work
from calls.exports.kinds import Column, Made
from calls.exports.write import write
from calls.models import Call, CallGroup, Export, ExportFormat, ExportState, User
from tests.audit.rows import entries, forget, said
from tests.exports.saved import export, rows_of
from tests.factories import client_for, make_group, make_user
from tests.watching.rows import group_of

PAGE = "/exports/"


@pytest.fixture
def asha(db: None) -> User:
    return make_user("operator", "asha")


@pytest.fixture
def web(asha: User) -> Client:
    return client_for(asha)


@pytest.fixture
def group(asha: User, monkeypatch: pytest.MonkeyPatch) -> CallGroup:
    """A call group that is too large to be exported while somebody waits."""
    monkeypatch.setattr("calls.views.exports.EXPORT_INLINE", 2)
    return group_of(asha, {"COMPLETED": 3}, campaign="Reminder")


def asked(web: Client, group: CallGroup, kind_of_file: str = "csv") -> Export:
    """An export that a worker has not begun."""
    answer = export(web, "calls_of_group", group.pk, kind_of_file=kind_of_file)
    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    return Export.objects.latest("created_at")


def done(row: Export) -> Export:
    """What it is after a worker had it."""
    tasks.write_export(str(row.pk))
    row.refresh_from_db()
    return row


def files() -> list[str]:
    """The names of all files of exports."""
    there = default_storage.listdir("exports")[1] if default_storage.exists("exports") else []
    return [f"exports/{name}" for name in there]


def page(web: Client) -> str:
    return str(web.get(PAGE).content.decode())


def test_a_large_table_is_written_by_a_worker(web: Client, group: CallGroup) -> None:
    row = asked(web, group)
    assert (row.state, row.expected, row.title) == ("waiting", 3, f"Calls of call group {group.pk}")
    assert "Waits for a worker" in page(web)
    row = done(row)
    assert (row.state, row.done) == ("done", 3)
    assert "Download" in page(web)
    assert "hx-get" not in page(web)
    answer = web.get(f"{PAGE}{row.pk}/file/")
    assert answer["Content-Disposition"] == f'attachment; filename="call-group-{group.pk}.csv"'
    assert len(rows_of(answer)) == 4


def test_asking_twice_gives_one_export(web: Client, group: CallGroup) -> None:
    assert asked(web, group) == asked(web, group)
    assert asked(web, group, "xlsx").format == "xlsx"
    assert Export.objects.count() == 2


@pytest.mark.parametrize(("fields", "status"), [(47, 200), (60, 302)])
@pytest.mark.django_db
def test_fields_count_as_rows_of_the_audit_log(monkeypatch: pytest.MonkeyPatch, fields: int, status: int) -> None:
    for place in ("calls.exports.kinds", "calls.views.exports"):
        monkeypatch.setattr(f"{place}.EXPORT_INLINE", 50)
    boss = client_for(make_user("admin"))
    forget()
    make_group()
    LogEntry.objects.update(changes={f"campaign {i}": ["", "x"] for i in range(fields)})
    kind = LogEntry.objects.get().content_type
    LogEntry.objects.create(content_type=kind, object_pk="1", object_repr="x", action=LogEntry.Action.ACCESS)
    answer = export(boss, "audit_log")
    assert b"".join(answer) or status == 302
    assert answer.status_code == status
    if status == 302:
        row = Export.objects.get()
        assert (row.expected, done(row).done) == (61, 62)  # the export is in the log, too


def test_the_log_says_who_exported_and_downloaded_what(web: Client, group: CallGroup) -> None:
    forget()
    row = done(asked(web, group))
    b"".join(web.get(f"{PAGE}{row.pk}/file/"))
    b"".join(export(web, "contacts", make_group("Friends", 2).pk))
    title = f"the table Calls of call group {group.pk}"
    assert [said(entry) for entry in entries() if "the table" in said(entry)] == [
        f"asha exported {title} | exported:  -> about 3 rows as CSV, in a worker",
        f"asha downloaded {title} | downloaded:  -> 3 rows as CSV",
        "asha exported the table Contacts of Friends | exported:  -> 2 rows as CSV",
    ]
    assert "the table" in client_for(make_user("admin")).get("/audit-log/?did=exported&kind=export").content.decode()


# --- Who may fetch it ----------------------------------------------------------------------------------------------


def test_an_export_is_its_makers_alone(web: Client, group: CallGroup) -> None:
    row = done(asked(web, group))
    boss = client_for(make_user("admin"))
    assert boss.get(f"{PAGE}{row.pk}/file/").status_code == 404
    assert boss.post(f"{PAGE}{row.pk}/cancel/").status_code == 404
    assert row.title not in page(boss)


def hide_the_group(user: User, group: CallGroup) -> None:
    CallGroup.objects.filter(pk=group.pk).update(owner=make_user())
    User.objects.filter(pk=user.pk).update(sees_all_calls=False)


def take_the_role(user: User, group: CallGroup) -> None:
    user.groups.clear()


@pytest.mark.parametrize("change", [hide_the_group, take_the_role])
def test_what_one_may_not_see_any_more_is_not_fetched(
    web: Client, asha: User, group: CallGroup, change: Callable[[User, CallGroup], None]
) -> None:
    row, later = done(asked(web, group)), asked(web, group, "xlsx")
    change(asha, group)
    assert web.get(f"{PAGE}{row.pk}/file/").status_code == 404
    assert done(later).error == work.GONE


def test_calls_of_others_are_not_fetched_by_who_sees_only_their_own(web: Client, asha: User, group: CallGroup) -> None:
    assert export(web, "calls").status_code == 302
    row = done(Export.objects.get())
    assert len(rows_of(web.get(f"{PAGE}{row.pk}/file/"))) == 4
    User.objects.filter(pk=asha.pk).update(sees_all_calls=False)
    assert web.get(f"{PAGE}{row.pk}/file/").status_code == 404


@pytest.mark.parametrize("state", ["waiting", "failed", "cancelled"])
def test_there_is_no_file_before_it_is_done(web: Client, group: CallGroup, state: str) -> None:
    row = asked(web, group)
    Export.objects.update(state=state)
    assert web.get(f"{PAGE}{row.pk}/file/").status_code == 404


def test_a_file_that_is_gone(web: Client, group: CallGroup) -> None:
    row = done(asked(web, group))
    default_storage.delete(str(row.file))
    assert web.get(f"{PAGE}{row.pk}/file/").status_code == 404
    assert web.get(f"{PAGE}{uuid.uuid4()}/file/").status_code == 404


def test_after_its_time_a_file_is_not_fetched(web: Client, group: CallGroup) -> None:
    row = done(asked(web, group))
    Export.objects.update(ended_at=timezone.now() - timedelta(days=7, minutes=1))  # and no worker was there since
    assert web.get(f"{PAGE}{row.pk}/file/").status_code == 404
    assert row.title not in page(web)


def test_no_download_is_offered_of_what_one_may_not_see_any_more(web: Client, asha: User, group: CallGroup) -> None:
    done(asked(web, group))
    hide_the_group(asha, group)
    shown = page(web)
    assert "or you may not see it any more" in shown
    assert "Download" not in shown


@pytest.fixture
def boss(db: None, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Of whom the audit log, which is too large here to be exported while somebody waits, has something."""
    client = client_for(make_user("admin", "boss"))
    b"".join(export(client, "contacts", make_group().pk))
    monkeypatch.setattr("calls.views.exports.EXPORT_INLINE", 0)
    return client


def test_somebody_whom_the_filter_names_is_renamed_before_it_is_written(boss: Client) -> None:
    export(boss, "audit_log", query="who=boss")
    User.objects.update(username="chief")
    row = done(Export.objects.get())
    assert (row.state, row.error) == ("failed", work.WRONG)


def test_somebody_whom_the_filter_names_is_renamed_after_it_was_written(boss: Client) -> None:
    export(boss, "audit_log", query="who=boss")
    row = done(Export.objects.get())
    User.objects.update(username="chief")
    assert "Download" in page(boss)
    answer = boss.get(f"{PAGE}{row.pk}/file/")
    assert answer["Content-Disposition"] == 'attachment; filename="audit-log.csv"'
    assert len(rows_of(answer)) > 1


# --- Progress and cancelling ---------------------------------------------------------------------------------------


def test_how_far_it_is(web: Client, group: CallGroup) -> None:
    asked(web, group)
    now = timezone.now()
    Export.objects.update(state="running", started_at=now - timedelta(seconds=10), expected=1_000_000, done=250_000)
    shown = page(web)
    assert 'max="1000000" value="250000"' in shown
    assert "250,000 of about 1,000,000 rows, less than a minute left" in shown
    assert 'hx-trigger="every 1s"' in shown


def test_cancelled_before_a_worker_has_it(web: Client, group: CallGroup) -> None:
    row = asked(web, group)
    assert web.post(f"{PAGE}{row.pk}/cancel/")["Location"] == PAGE
    assert done(row).state == "cancelled"
    assert files() == []
    web.post(f"{PAGE}{row.pk}/cancel/")
    assert "It was too late to cancel." in page(web)


class Watched:
    """Rows of a table; when some are read, somebody elsewhere looks how far the export is, then cancels it."""

    def __init__(self, row: Export) -> None:
        self.row, self.seen = row, list[int]()

    def __iter__(self) -> Iterator[tuple[int]]:
        for number in range(9):
            if number == 4:
                self.seen.append(Export.objects.get(pk=self.row.pk).done)
            if number == 6:
                work.cancel(self.row)
            yield (number,)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind_of_file", list(ExportFormat))
def test_cancelled_while_it_is_written(kind_of_file: ExportFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    make_roles()
    row, table = work.asked_for(make_user("operator"), "calls", 0, "", kind_of_file)
    work.later(row)
    made: list[Workbook] = []
    monkeypatch.setattr(Workbook, "_store_workbook", made.append)
    watched = Watched(row)
    content = Made(["number"], watched)
    monkeypatch.setattr(work, "table_of", lambda export: replace(table, content=lambda: content))
    monkeypatch.setattr(work, "TICK", 0.0)
    monkeypatch.setattr("calls.exports.write.AT_ONCE", 2)
    assert done(row).state == "cancelled"
    assert watched.seen == [4]
    assert files() == []
    assert made == []


MANY_SQL = """
    INSERT INTO calls_contact (group_id, number, name, custom, extra, created_at)
    SELECT %s, '+999' || 10000000 + i, repeat('x', 90), '', '{}', now() FROM generate_series(1, 100000) AS i
"""


# --- What goes wrong -----------------------------------------------------------------------------------------------


def full(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def database_full(*_: Any) -> None:
    raise OperationalError from DiskFull()


@pytest.mark.parametrize("fault", [full, database_full])
def test_a_full_disk_is_said(
    web: Client, group: CallGroup, monkeypatch: pytest.MonkeyPatch, fault: Callable[..., None]
) -> None:
    row = asked(web, group)
    with monkeypatch.context() as patch:
        patch.setattr(work, "write", fault)
        assert done(row).state == "failed"
        assert "The disk is full." in page(web)
        answer = export(web, "contacts", make_group(numbers=1).pk)
        assert answer["Location"] == PAGE
    assert "Export once more" in page(web)
    assert done(asked(web, group)).state == "done"


RAISE_SQL = """
    CREATE FUNCTION pg_temp.no_room(text) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'could not write to file' USING ERRCODE = 'disk_full'; END $$
"""


@pytest.mark.parametrize("kind_of_file", list(ExportFormat))
def test_a_disk_of_the_database_that_fills_among_the_rows(
    web: Client, group: CallGroup, monkeypatch: pytest.MonkeyPatch, kind_of_file: ExportFormat
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(RAISE_SQL)
    no_room = Func(F("number"), function="pg_temp.no_room", output_field=TextField())
    monkeypatch.setattr(kinds, "CALLS", [Column("number", no_room)])
    row = done(asked(web, group, kind_of_file))
    assert (row.state, row.error) == ("failed", work.DISK_FULL)


def test_a_disk_that_fills_while_the_file_is_kept(
    web: Client, group: CallGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = asked(web, group, "xlsx")
    monkeypatch.setattr("django.core.files.storage.FileSystemStorage.save", full)
    assert done(row).state == "failed"


def test_after_a_crash_it_is_begun_afresh(web: Client, group: CallGroup) -> None:
    row = asked(web, group)
    Export.objects.update(state=ExportState.RUNNING, done=2)  # its worker died
    assert done(row).state == "done"
    assert len(rows_of(web.get(f"{PAGE}{row.pk}/file/"))) == 4


@pytest.mark.parametrize("fault", [None, full])
def test_begun_twice_at_once(
    web: Client, group: CallGroup, monkeypatch: pytest.MonkeyPatch, fault: Callable[..., None] | None
) -> None:
    row = asked(web, group)

    def slow(*args: Any) -> int:
        """Another worker takes this one for dead, begins the same and is done first."""
        monkeypatch.setattr(work, "write", write)
        done(row)
        if fault:
            fault()
        return write(*args)

    monkeypatch.setattr(work, "write", slow)
    assert done(row).state == "done"
    assert files() == [str(row.file)]
    assert len(rows_of(web.get(f"{PAGE}{row.pk}/file/"))) == 4


@pytest.mark.parametrize("fault", [DataError("no such date"), OperationalError("too wide"), ValueError("a bug")])
def test_a_mistake_of_the_portal_ends_it(
    web: Client, group: CallGroup, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    row = asked(web, group)

    def wrong(*_: Any) -> None:
        raise fault from (TooManyColumns() if isinstance(fault, OperationalError) else None)

    monkeypatch.setattr(work, "write", wrong)
    with pytest.raises(type(fault)):
        done(row)
    assert Export.objects.get().state == "failed"
    assert work.BUG in page(web)


@pytest.mark.parametrize("cause", [None, AdminShutdown()])
def test_after_a_lost_connection_it_is_begun_again(
    web: Client, group: CallGroup, monkeypatch: pytest.MonkeyPatch, cause: Exception | None
) -> None:
    row = asked(web, group)

    def lost(*_: Any) -> None:
        raise OperationalError from cause

    with monkeypatch.context() as patch:
        patch.setattr(work, "write", lost)
        with pytest.raises(OperationalError):
            done(row)
    ProcrastinateJob.objects.all()._raw_delete("default")
    assert list(work.lost(timezone.now() + timedelta(minutes=1))) == [row]
    assert done(row).state == "done"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind_of_file", list(ExportFormat))
def test_a_connection_that_ends_among_the_rows(kind_of_file: ExportFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    make_roles()
    group = make_group(numbers=1)
    with connection.cursor() as cursor:
        cursor.execute(MANY_SQL, [group.pk])
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    row, _ = work.asked_for(make_user("admin"), "contacts", group.pk, "", kind_of_file)
    work.later(row)
    ended: list[int] = []

    @contextmanager
    def ending(export: Export) -> Iterator[Callable[[int], None]]:
        def tick(rows: int) -> None:
            if not ended:
                ended.append(rows)
                other = connection.copy()
                with other.cursor() as cursor:
                    cursor.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
                other.close()

        yield tick

    with monkeypatch.context() as patch:
        patch.setattr(work, "_progress", ending)
        with pytest.raises(OperationalError):
            tasks.write_export(str(row.pk))
    connection.close()
    row.refresh_from_db()
    assert (ended, row.state) == ([2_000], "running")
    assert done(row).state == "done"
    assert row.done == 100_001


def test_lost_ones_get_a_job_again(web: Client, group: CallGroup) -> None:
    row = asked(web, group)
    now = timezone.now() + timedelta(minutes=1)
    assert list(work.lost(now)) == []
    ProcrastinateJob.objects.all()._raw_delete("default")
    assert list(work.lost(now)) == [row]
    Export.objects.filter(pk=row.pk).update(created_at=now - timedelta(days=3))  # however long all workers were away
    assert list(work.lost(now)) == [row]


def test_old_ones_are_deleted_with_their_files(web: Client, group: CallGroup) -> None:
    old, new = done(asked(web, group)), done(asked(web, group, "xlsx"))
    Export.objects.filter(pk=old.pk).update(ended_at=timezone.now() - timedelta(days=7, minutes=1))
    forget()
    tasks.forget_exports(0)
    assert list(Export.objects.all()) == [new]
    assert not default_storage.exists(str(old.file))
    assert default_storage.exists(str(new.file))
    assert entries() == []


def test_what_its_maker_could_see_when_it_was_written_counts(
    web: Client, asha: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calls.views.exports.EXPORT_INLINE", 2)
    group_of(asha, {"COMPLETED": 3})
    group_of(make_user("operator", "ravi"), {"COMPLETED": 3})
    User.objects.update(sees_all_calls=False)
    export(web, "calls")
    asked = Export.objects.get()
    User.objects.update(sees_all_calls=True)
    work.work(asked)
    assert len(rows_of(web.get(f"/exports/{asked.pk}/file/"))) == 7
    User.objects.update(sees_all_calls=False)
    assert web.get(f"/exports/{asked.pk}/file/").status_code == 404


def test_files_that_are_nobodys_are_deleted(web: Client, group: CallGroup) -> None:
    row = done(asked(web, group))
    stray, fresh = (default_storage.save(f"exports/{name}.csv", ContentFile(b"half of")) for name in ("a", "b"))
    old = (timezone.now() - timedelta(days=1, minutes=1)).timestamp()
    for name in (str(row.file), stray):
        os.utime(default_storage.path(name), (old, old))
    tasks.forget_exports(0)
    assert sorted(files()) == sorted([str(row.file), fresh])


def test_calls_that_end_meanwhile_do_no_harm(web: Client, group: CallGroup) -> None:
    row = asked(web, group)
    Call.objects.filter(call_group=group, n=3).delete()
    assert done(row).done == 2
