"""Deferring background jobs: in the transaction that makes the rows they work on, so neither is lost without the other.

The jobs are named, not imported: :mod:`calls.tasks`, which runs them, builds on all of this package. They are deferred
through Django's connection even by a worker, whose own connection would make them visible before the rows are.
"""

from contextlib import suppress
from datetime import datetime
from typing import Unpack

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from procrastinate.contrib.django.django_connector import DjangoConnector
from procrastinate.exceptions import AlreadyEnqueued
from procrastinate.jobs import Job, JobDeferrer
from procrastinate.manager import JobManager
from procrastinate.tasks import ConfigureTaskOptions, configure_task

from calls.carriers.base import MAX_CALLS
from calls.models import Batch, BatchState, Callback, CallbackState, CallGroup, CallRequest, Export, GroupChange, Import

# A job keeps all later ones with its lock back until it has run, whenever that is.
SOONER_SQL = """
    UPDATE procrastinate_jobs SET scheduled_at = least(coalesce(scheduled_at, now()), %s)
    WHERE lock = ANY(%s) AND status = 'todo' RETURNING lock
"""

SOMEBODY_WAITS = 10
"""Priority of what a person waits for. All else takes turns: a job that goes on queues again behind the others."""


def _job(task: str, **options: Unpack[ConfigureTaskOptions]) -> JobDeferrer:
    return configure_task(name=f"calls.tasks.{task}", job_manager=JobManager(DjangoConnector()), **options)


def hand_over_later(call_group_id: int, at: datetime) -> None:
    """Defer the jobs that hand over this call group's batches and follow its calls, from `at` (aware) on."""
    pending = Batch.objects.filter(call_group=call_group_id, state=BatchState.PENDING)
    lanes = range(pending[: settings.CARRIER_CONNECTIONS].count())
    _by(at, *(_lane(call_group_id, lane, at) for lane in lanes), _follow(call_group_id, at))


def hand_over_new_later(group: CallGroup, at: datetime, batches: int) -> None:
    """Defer the jobs for so many new batches of this call group, from `at` (aware) on.

    `group` is new, or locked and as it was before.
    """
    lanes = settings.CARRIER_CONNECTIONS
    # Small requests that one after the other are listed in one call group take turns.
    first = group.total + group.total // MAX_CALLS
    chosen = [(first + i) % lanes for i in range(min(batches, lanes))]
    jobs = [*(_lane(group.pk, lane, at) for lane in chosen), _follow(group.pk, at)]
    if group.total:
        _by(at, *jobs)
    else:
        JobManager(DjangoConnector()).batch_defer_jobs(jobs)


def hand_over_lane_later(call_group_id: int, lane: int, at: datetime) -> None:
    """Defer the job of one lane (see :mod:`calls.dialing.handover`); one that waits comes sooner if need be."""
    _by(at, _lane(call_group_id, lane, at))


def _lane(call_group_id: int, lane: int, at: datetime) -> Job:
    # The lock: only one worker at a time runs a lane.
    job = _job("hand_over", lock=f"hand-over-{call_group_id}-{lane}", schedule_at=at)
    return job.make_new_job(call_group_id=call_group_id, lane=lane)


def follow_later(call_group_id: int, at: datetime) -> None:
    """Defer the job that asks the carrier about this call group; one that waits comes sooner if need be."""
    _by(at, _follow(call_group_id, at))


def _by(at: datetime, *jobs: Job) -> None:
    """Let a job with each of their locks run at `at` (aware) at the latest: the one that waits, or this new one."""
    with connection.cursor() as cursor:
        cursor.execute(SOONER_SQL, [at, [job.lock for job in jobs]])
        waiting = {lock for (lock,) in cursor.fetchall()}
    for job in jobs:
        if job.lock not in waiting:
            # One with a queueing lock may be deferred by somebody else just now.
            with suppress(AlreadyEnqueued), transaction.atomic():
                JobManager(DjangoConnector()).defer_job(job)


def _follow(call_group_id: int, at: datetime) -> Job:
    lock = f"follow-{call_group_id}"
    job = _job("follow", lock=lock, queueing_lock=lock, schedule_at=at)
    return job.make_new_job(call_group_id=call_group_id)


def cancel_held_later(call_group_id: int) -> None:
    """Defer the job that cancels many held calls."""
    _job("cancel_held", priority=SOMEBODY_WAITS, lock=f"cancel-{call_group_id}").defer(call_group_id=call_group_id)


def rules_changed_later(traffic: str) -> None:
    """Defer the job that looks again at what the rule for this traffic type keeps back, unless one is waiting."""
    lock = f"rules-{traffic}"
    try:
        with transaction.atomic():
            _job("rules_changed", priority=SOMEBODY_WAITS, lock=lock, queueing_lock=lock).defer(traffic=traffic)
    except AlreadyEnqueued:
        pass


def plan_later(request: CallRequest) -> None:
    """Defer the job that plans a large call request."""
    _job("plan_request", priority=SOMEBODY_WAITS, lock=f"plan-{request.pk}").defer(request_id=str(request.pk))


def start_later(request: CallRequest) -> None:
    """Defer the job that starts a large call request."""
    _job("start_request", priority=SOMEBODY_WAITS, lock=f"start-{request.pk}").defer(request_id=str(request.pk))


def change_groups_later(change: GroupChange) -> None:
    """Defer the job that counts a large group change, or does it."""
    _job("change_groups", priority=SOMEBODY_WAITS, lock=f"group-change-{change.pk}").defer(change_id=str(change.pk))


def import_later(import_: Import) -> None:
    """Defer the job that carries out an import, or undoes it; one per target at a time."""
    target = f"group-{import_.group_id}" if import_.group_id else f"list-{import_.suppression_list_id}"
    job = _job("run_import", priority=SOMEBODY_WAITS, lock=f"import-{target}")
    job.defer(import_id=str(import_.pk))


def export_later(export: Export) -> None:
    """Defer the job that writes a large export."""
    _job("write_export", priority=SOMEBODY_WAITS, lock=f"export-{export.pk}").defer(export_id=str(export.pk))


def check_lock(carrier: str) -> str:
    """The lock of the job that tries the connection to this carrier."""
    return f"check-carrier-{carrier}"


def check_carrier_later(carrier: str, at: datetime | None = None) -> None:
    """Defer the job that tries the connection to this carrier, unless one is waiting: now, or from `at` (aware) on."""
    lock = check_lock(carrier)
    job = _job("check_carrier", priority=SOMEBODY_WAITS, lock=lock, queueing_lock=lock, schedule_at=at)
    try:
        with transaction.atomic():
            job.defer(carrier=carrier)
    except AlreadyEnqueued:
        pass


def callbacks_later(at: datetime | None = None) -> None:
    """Defer the job that delivers callbacks, unless one is waiting: now, or from `at` (aware) on."""
    # Two queueing locks: a job that waits for the next try must not keep back one that has something to do now.
    job = _job("deliver_callbacks", queueing_lock="callbacks-later" if at else "callbacks", schedule_at=at)
    try:
        with transaction.atomic():
            job.defer()
    except AlreadyEnqueued:
        pass


def callbacks_after_commit() -> None:
    """Deliver the callbacks that this transaction may have made.

    Not deferred in the transaction itself: those of all call groups would wait for each other. If the portal stops in
    between, the sweep defers the job.
    """
    transaction.on_commit(deliver_what_is_due, robust=True)


def deliver_what_is_due() -> None:
    """Defer the job that delivers callbacks if there is one to deliver."""
    if Callback.objects.filter(state=CallbackState.PENDING, due_at__lte=timezone.now()).exists():
        callbacks_later()
