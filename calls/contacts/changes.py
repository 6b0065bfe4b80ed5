"""From the preview of a group change to its result: at once, or in a worker if many contacts are looked at."""

from datetime import datetime
from typing import Any

from django.db import OperationalError, transaction
from django.db.models.query import RawQuerySet
from django.utils import timezone
from psycopg.errors import DiskFull

from calls.audit import acting
from calls.contacts.busy import Busy, short_wait
from calls.contacts.combine import CannotCombine, Combination, busy_group, carry_out, counts
from calls.contacts.importing.problems import DATABASE_FULL
from calls.dialing.jobs import change_groups_later
from calls.models import ChangeState, ContactGroup, GroupChange, User
from calls.models.combining import CANCELLABLE

INLINE_LIMIT = 50_000
"""Up to so many contacts are looked at while the person waits; more in a worker."""

LOST_SQL = """
    SELECT c.id FROM calls_groupchange AS c
    WHERE c.state IN ('counting', 'waiting', 'running')
    AND coalesce(c.started_at, c.created_at) < %(overdue)s AND NOT EXISTS (
        SELECT FROM procrastinate_jobs AS j WHERE j.status IN ('todo', 'doing') AND j.lock = 'group-change-' || c.id
    )
"""


def ask(user: User, what: Combination, group: ContactGroup, typed: dict[str, Any]) -> GroupChange:
    """A new group change, counted: now, or in a worker if it is large. Raises CannotCombine."""
    change = GroupChange(
        owner=user, kind=what.kind, group=group, parameters=what.as_json(), typed=typed, expected=_size(what)
    )
    with transaction.atomic():
        if change.expected <= INLINE_LIMIT:
            change.counts, change.state = counts(what, user), ChangeState.COUNTED
        change.save()
        if change.state == ChangeState.COUNTING:
            change_groups_later(change)
    return change


def _size(what: Combination) -> int:
    """The contacts in all groups that are looked at."""
    return sum(ContactGroup.objects.filter(pk__in=what.groups).values_list("size", flat=True))


def confirm(change: GroupChange, address: str = "") -> None:
    """Do it, or let a worker do it, logged as done from `address`; once, however often it is confirmed.

    Raises CannotCombine; it can be confirmed again then.
    """
    what = Combination.from_json(change.parameters)
    try:
        with short_wait(change):
            _confirm(change, _size(what), address)
    except Busy:
        raise CannotCombine(str(Busy(busy_group(what)))) from None
    except OperationalError as error:
        if not isinstance(error.__cause__, DiskFull):
            raise
        raise CannotCombine(DATABASE_FULL) from None


def _confirm(change: GroupChange, size: int, address: str) -> None:
    counted = GroupChange.objects.filter(pk=change.pk, state=ChangeState.COUNTED)
    if size > INLINE_LIMIT:  # also if it has grown since it was counted
        if counted.update(state=ChangeState.WAITING, expected=size, confirmed_from=address):
            change_groups_later(change)
    elif counted.update(state=ChangeState.RUNNING, started_at=timezone.now()):
        _carry_out(change)


def cancel(change: GroupChange) -> bool:
    """Drop it. False if it was too late."""
    droppable = GroupChange.objects.filter(pk=change.pk, state__in=CANCELLABLE)
    return bool(droppable.update(state=ChangeState.CANCELLED, ended_at=timezone.now()))


def work(change: GroupChange) -> None:
    """A worker's part: count, or do it as confirmed.

    Begun once more after a crash it starts afresh, for nothing was done then.
    """
    try:
        with acting(change.owner, None, change.confirmed_from):
            _work(change)
    except CannotCombine as error:
        _fail(change, str(error))
    except OperationalError as error:
        if not isinstance(error.__cause__, DiskFull):
            raise
        _fail(change, DATABASE_FULL)


def _work(change: GroupChange) -> None:
    changes = GroupChange.objects.filter(pk=change.pk)
    if change.state == ChangeState.COUNTING:
        found = counts(Combination.from_json(change.parameters), change.owner)
        changes.filter(state=ChangeState.COUNTING).update(state=ChangeState.COUNTED, counts=found)
        return
    # Committed before it begins, so that the page says so, and it can't be cancelled any more.
    changes.filter(state=ChangeState.WAITING).update(state=ChangeState.RUNNING, started_at=timezone.now())
    with transaction.atomic():
        running = changes.filter(state=ChangeState.RUNNING).select_for_update().first()
        if running:
            _carry_out(running)


def _carry_out(change: GroupChange) -> None:
    done = carry_out(Combination.from_json(change.parameters), change.owner)
    GroupChange.objects.filter(pk=change.pk).update(
        state=ChangeState.DONE, counts=done.counts, made=[group.pk for group in done.made], ended_at=timezone.now()
    )


def _fail(change: GroupChange, error: str) -> None:
    begun = GroupChange.objects.filter(
        pk=change.pk, state__in=[ChangeState.COUNTING, ChangeState.WAITING, ChangeState.RUNNING]
    )
    begun.update(state=ChangeState.FAILED, error=error, ended_at=timezone.now())


def lost(overdue: datetime) -> "RawQuerySet[GroupChange]":
    """The group changes that a worker should have, but whose job failed before `overdue` (aware)."""
    return GroupChange.objects.raw(LOST_SQL, {"overdue": overdue})
