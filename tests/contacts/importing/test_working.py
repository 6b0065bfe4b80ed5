"""What workers do: progress, cancelling, crashes, waiting for each other, and what lost its job."""

import errno
import io
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import openpyxl
import pytest
from auditlog.models import LogEntry
from django.db import DataError, OperationalError, connection
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from calls.access import give_role, set_active
from calls.contacts.importing import Layout, apply, cancel, confirm, lost, steps, undo, waiting_for, work, working
from calls.contacts.importing import progress as noted
from calls.contacts.importing.problems import BUG, IN_VAIN
from calls.contacts.importing.rights import NO_RIGHT
from calls.models import Contact, ContactGroup, Import, ImportState, SuppressionList, User
from calls.models.importing import Existing
from calls.tasks import run_import, sweep
from tests.contacts.importing.helpers import contacts, csv_bytes, received
from tests.factories import make_group, make_user, number

FILE = csv_bytes([["Name", "Mobile"], *([f"Person {i}", number(i)] for i in range(40)), ["", "12"]])


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker has to do it, ten rows at a time, and tells of each step."""
    monkeypatch.setattr(steps, "INLINE_BYTES", 0)
    monkeypatch.setattr(steps, "INLINE_ROWS", 0)
    monkeypatch.setattr(working, "ROWS_AT_ONCE", 10)
    monkeypatch.setattr(apply, "ROWS_AT_ONCE", 10)
    monkeypatch.setattr(noted, "SECONDS", 0.0)


def waiting(existing: Existing = Existing.UPDATE, group: ContactGroup | None = None) -> Import:
    """An import into a group of 20, half of which are in the file, that waits for a worker."""
    group = group or make_group(numbers=[number(i) for i in range(30, 50)])
    import_ = received(make_user("admin"), group, FILE)
    confirm(import_, Layout.from_json(import_.layout), existing, "192.0.2.1")
    assert import_.state == ImportState.WAITING
    return import_


def jobs() -> list[tuple[str, str]]:
    waiting = ProcrastinateJob.objects.filter(status="todo", task_name="calls.tasks.run_import").order_by("id")
    return [(job.lock, job.args["import_id"]) for job in waiting]


def at(monkeypatch: pytest.MonkeyPatch, step: str, do: Callable[[Import], None]) -> list[tuple[str, int, int, int]]:
    """Do something once that step has begun; what was noted of the progress, as others see it."""
    seen: list[tuple[str, int, int, int]] = []
    note = noted.Noted._note

    def noting(self: noted.Noted) -> None:
        note(self)
        others = self._connection.cursor()
        others.execute("SELECT step, done, total, rows FROM calls_import WHERE id = %s", [self._import.pk])
        seen.extend(others.fetchall())
        if seen[-1][0] == step and seen[-1][1]:
            do(self._import)

    monkeypatch.setattr(noted.Noted, "_note", noting)
    return seen


@pytest.mark.django_db(transaction=True)
def test_a_worker_tells_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    import_ = waiting()
    ((lock, pk),) = jobs()
    assert (lock, pk) == (f"import-group-{import_.group_id}", str(import_.pk))
    seen = at(monkeypatch, "", lambda _: None)
    run_import(pk)
    import_.refresh_from_db()
    assert import_.state == ImportState.DONE
    assert [(step, rows) for step, _, _, rows in seen][:6] == [
        ("reading", 0),
        *(("reading", rows) for rows in (9, 19, 29, 39)),
        ("reading", 41),
    ]
    assert {total for step, _, total, _ in seen if step == "reading"} == {len(FILE)}
    assert [(done, total) for step, done, total, _ in seen if step == "writing"] == [
        (done, 40) for done in (0, 10, 20, 30, 40)
    ]
    assert (import_.rows, import_.counts["added"], import_.counts["updated"]) == (41, 30, 10)

    undo(import_, import_.owner)
    assert import_.state == ImportState.DONE
    import_.refresh_from_db()
    assert import_.state == ImportState.UNDOING
    run_import(pk)
    import_.refresh_from_db()
    assert import_.state == ImportState.UNDONE
    assert sorted(Contact.objects.values_list("number", "name")) == [(number(i), "") for i in range(30, 50)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("step", ["reading", "writing"])
def test_cancelled_while_it_works(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    import_ = waiting(Existing.REPLACE)
    assert import_.group
    before = contacts(import_.group)
    answers: list[bool] = []

    def by_somebody_else(running: Import) -> None:
        def act() -> None:
            answers.append(cancel(running))
            connection.close()

        thread = threading.Thread(target=act)
        thread.start()
        thread.join()

    at(monkeypatch, step, by_somebody_else)
    work(import_)
    import_.refresh_from_db()
    assert answers[0]
    assert import_.state == ImportState.CANCELLED
    assert contacts(import_.group) == before
    assert not import_.not_taken.exists()
    assert not import_.replaced.exists()


@pytest.mark.django_db
def test_a_crash_leaves_everything_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    import_ = waiting(Existing.REPLACE)
    assert import_.group
    before = contacts(import_.group)

    def crash(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("calls.contacts.importing.working._end", crash)
        with pytest.raises(KeyboardInterrupt):
            work(import_)
    import_.refresh_from_db()
    assert import_.state == ImportState.RUNNING
    assert contacts(import_.group) == before
    # Begun once more, it starts afresh.
    work(import_)
    import_.refresh_from_db()
    assert import_.state == ImportState.DONE
    assert [row[0] for row in contacts(import_.group)] == [number(i) for i in [*range(30, 40), *range(30)]]


@pytest.mark.django_db
def test_a_mistake_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import_ = waiting()
    with monkeypatch.context() as patch:
        patch.setattr(apply, "MEMORY_SQL", "SELECT 1 / 0")
        with pytest.raises(DataError, match="division by zero"):
            work(import_)
    import_.refresh_from_db()
    assert (import_.state, import_.error) == (ImportState.FAILED, BUG)
    Import.objects.update(state=ImportState.UNDOING)
    monkeypatch.setattr("calls.contacts.importing.working.done_later", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        work(import_)
    import_.refresh_from_db()
    assert (import_.state, import_.error) == (ImportState.DONE, BUG)


@pytest.mark.django_db
def test_what_another_try_may_mend_gets_another(monkeypatch: pytest.MonkeyPatch) -> None:
    import_ = waiting()

    def cut_off(*_: Any, **__: Any) -> None:
        raise OperationalError("the connection was lost")

    with monkeypatch.context() as patch:
        patch.setattr("calls.contacts.importing.working._end", cut_off)
        with pytest.raises(OperationalError):
            work(import_)
    import_.refresh_from_db()
    assert import_.state == ImportState.RUNNING
    work(import_)
    import_.refresh_from_db()
    assert import_.state == ImportState.DONE


@pytest.mark.django_db
def test_what_never_gets_better_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    import_ = waiting()

    def cut_off(*_: Any, **__: Any) -> None:
        raise OperationalError("the connection was lost")

    with monkeypatch.context() as patch:
        patch.setattr("calls.contacts.importing.working._end", cut_off)
        for _ in range(working.ATTEMPTS):
            with pytest.raises(OperationalError):
                work(import_)
    import_.refresh_from_db()
    assert (import_.state, import_.error) == (ImportState.FAILED, IN_VAIN)


@pytest.mark.django_db
def test_a_file_that_kills_its_workers_is_given_up() -> None:
    import_ = waiting()
    Import.objects.update(state=ImportState.RUNNING, attempts=working.ATTEMPTS)
    work(import_)
    import_.refresh_from_db()
    assert (import_.state, import_.error) == (ImportState.FAILED, IN_VAIN)


@pytest.mark.django_db
def test_a_file_that_may_not_be_read_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    import_ = waiting()
    monkeypatch.setattr(working, "opened_source", closed)
    work(import_)
    import_.refresh_from_db()
    assert import_.state == ImportState.FAILED
    assert import_.error.startswith("The portal can't read or keep the uploaded file: Permission denied.")


@pytest.mark.django_db
def test_who_confirmed_it_from_where_is_kept_with_it() -> None:
    import_ = waiting()
    ProcrastinateJob.objects.filter(status="todo").delete()
    Import.objects.update(started_at=timezone.now() - timedelta(minutes=1))
    sweep(0)
    run_import(str(import_.pk))
    assert import_.group
    assert LogEntry.objects.get_for_object(import_.group)[0].remote_addr == "192.0.2.1"


@pytest.mark.django_db
def test_a_small_workbook_with_many_rows_is_for_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "INLINE_BYTES", 1_000_000)
    monkeypatch.setattr(steps, "INLINE_SHEET_ROWS", 2)
    group, states = make_group(), []
    for rows in (1, 2):
        book = openpyxl.Workbook()
        assert book.active
        for cell in ("Mobile", *(number(i) for i in range(rows))):
            book.active.append([cell])
        out = io.BytesIO()
        book.save(out)
        import_ = received(make_user("admin"), group, out.getvalue())
        confirm(import_, Layout.from_json(import_.layout), Existing.SKIP)
        states.append(import_.state)
    assert states == [ImportState.DONE, ImportState.WAITING]


@pytest.mark.django_db
def test_nothing_is_undone_below_what_was_done_meanwhile() -> None:
    first = waiting()
    work(first)
    second = waiting(group=first.group)
    work(second)
    # As if it had been asked for before the second one was.
    Import.objects.filter(pk=first.pk).update(state=ImportState.UNDOING)
    work(first)
    first.refresh_from_db()
    assert (first.state, first.error) == (
        ImportState.DONE, "Import of list.csv was done later. Undo that one first.",
    )  # fmt: skip
    assert first.group
    assert len(contacts(first.group)) == 50


@pytest.mark.django_db
@pytest.mark.parametrize("gone", ["inactive", "viewer"])
def test_an_undo_that_waited_asks_for_the_right_again(gone: str) -> None:
    listed, other = SuppressionList.objects.create(name="Register"), make_user("admin", "other")
    import_ = received(make_user("admin"), listed, csv_bytes([["Mobile"], [number(1)]]))
    confirm(import_, Layout.from_json(import_.layout), Existing.SKIP)
    work(import_)
    import_.refresh_from_db()
    undo(import_, other)
    if gone == "viewer":
        give_role(other, "viewer")
    else:
        set_active(other, active=False)
    work(import_)
    import_.refresh_from_db()
    assert (import_.state, import_.error) == (ImportState.DONE, NO_RIGHT)
    assert listed.suppressions.count() == 1


@pytest.mark.django_db
def test_the_second_import_waits_for_the_first() -> None:
    first = waiting()
    second = waiting(group=first.group)
    (lock, _), (other, _) = jobs()
    assert lock == other
    assert waiting_for(first) is None
    assert waiting_for(second) == first
    work(first)
    assert waiting_for(second) is None


@pytest.mark.django_db
def test_a_small_import_waits_for_a_large_one(monkeypatch: pytest.MonkeyPatch) -> None:
    first = waiting()
    monkeypatch.setattr(steps, "INLINE_BYTES", 1_000_000)
    assert waiting_for(waiting(group=first.group)) == first


@pytest.mark.django_db(transaction=True)
def test_a_small_import_does_not_wait_long_for_whoever_changes_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "INLINE_BYTES", 1_000_000)
    monkeypatch.setattr(steps, "WAIT_SQL", "SET LOCAL lock_timeout = '50ms'")
    group = make_group(numbers=1)
    other = connection.copy()
    with other.cursor() as cursor:
        other.set_autocommit(False)
        cursor.execute("SELECT FROM calls_contactgroup WHERE id = %s FOR NO KEY UPDATE", [group.pk])
        import_ = received(make_user("admin"), group, FILE)
        confirm(import_, Layout.from_json(import_.layout), Existing.SKIP)
    other.rollback()
    other.close()
    assert jobs()[-1][1] == str(import_.pk)
    work(import_)
    assert len(contacts(group)) == 40


@pytest.mark.django_db
def test_what_lost_its_job_gets_another() -> None:
    import_ = waiting()
    ProcrastinateJob.objects.filter(status="todo").delete()
    now = timezone.now()
    Import.objects.update(created_at=now - timedelta(days=8), started_at=now - timedelta(minutes=1))
    assert [each.pk for each in lost(timezone.now())] == [import_.pk]
    sweep(0)
    assert [pk for _, pk in jobs()] == [str(import_.pk)]
    assert not list(lost(timezone.now()))


@pytest.mark.django_db
@pytest.mark.parametrize("gone", ["group", "right"])
def test_what_is_no_longer_possible(gone: str) -> None:
    import_ = waiting()
    assert import_.group
    if gone == "right":
        User.objects.update(is_active=False)
        work(import_)
        import_.refresh_from_db()
        assert import_.state == ImportState.FAILED
        assert import_.error.startswith("You may not do this")
    else:
        import_.group.contacts.all().delete()
        import_.group.delete()
        run_import(str(import_.pk))
        assert not Contact.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_it_does_not_wait_to_tell_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noted, "WAIT_SQL", "SET lock_timeout = '50ms'")
    import_ = waiting()
    other = connection.copy()
    other.set_autocommit(False)
    with other.cursor() as cursor, noted.Noted(import_) as progress:
        cursor.execute("SELECT FROM calls_import FOR UPDATE")
        progress.begin("reading", 100)
    other.rollback()
    other.close()
    import_.refresh_from_db()
    assert import_.step == ""
