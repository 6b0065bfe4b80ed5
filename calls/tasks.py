"""The background jobs, as workers run them; :mod:`calls.dialing.jobs` defers them."""

from datetime import datetime, timedelta

from django.contrib.sessions.backends.db import SessionStore
from django.db import connection
from django.db.models.query import RawQuerySet
from django.utils import timezone
from procrastinate.contrib.django import app
from procrastinate.exceptions import UniqueViolation
from procrastinate.jobs import Status

from calls.api import callbacks
from calls.api.call import forget_answers
from calls.audit import acting
from calls.contacts import changes, importing
from calls.dialing import checkup, handover, plan, progress, start, steer
from calls.dialing.jobs import (
    callbacks_later,
    cancel_held_later,
    change_groups_later,
    check_carrier_later,
    deliver_what_is_due,
    export_later,
    follow_later,
    hand_over_lane_later,
    import_later,
    plan_later,
    rules_changed_later,
    start_later,
)
from calls.exports import work as exporting
from calls.models import Batch, CallGroup, CallRequest, Export, GroupChange, GroupState, Import, RequestState

PLANS_KEPT = timedelta(days=30)
"""How long call requests that were never started are kept, and what became of group changes."""

OVERDUE = timedelta(seconds=15)
"""Work that is due for so long has lost its job."""

CALLBACKS_WAIT = timedelta(seconds=10)
"""Callbacks to try again are looked for at least so often: of two jobs for later only the first one is kept."""

DEAD_WORKER = 10.0
"""Seconds without a heartbeat after which a worker is dead. One that is taken for dead too early does no harm: each job
copes with being begun once more."""


@app.task
def hand_over(call_group_id: int, lane: int) -> None:
    """Hand over one lane's batches; goes on later if some are left."""
    at = handover.hand_over(call_group_id, lane)
    if at:
        hand_over_lane_later(call_group_id, lane, at)


@app.task
def follow(call_group_id: int) -> None:
    """Ask the carrier what became of a call group's calls; goes on later while any is open."""
    at = progress.follow(call_group_id)
    if at:
        follow_later(call_group_id, at)


@app.task
def cancel_held(call_group_id: int) -> None:
    """Cancel what is held of a cancelled call group."""
    steer.cancel_held(call_group_id)


@app.task
def rules_changed(traffic: str) -> None:
    """Look again at what the rule for this traffic type, which somebody changed, keeps back."""
    steer.rules_changed(traffic)


@app.task
def plan_request(request_id: str) -> None:
    """Plan a large call request."""
    request = CallRequest.objects.filter(pk=request_id, state=RequestState.PLANNING).first()
    if request:
        plan.make_plan(request)


@app.task
def start_request(request_id: str) -> None:
    """Start a large call request that somebody confirmed."""
    asked = CallRequest.objects.select_related("owner", "api_key__user").get(pk=request_id)
    try:
        with acting(asked.owner, asked.api_key, asked.confirmed_from):
            start.start(request_id)
    except (start.CannotStart, start.NotPlanned) as error:
        startable = CallRequest.objects.filter(pk=request_id, state__in=[RequestState.STARTING, RequestState.PLANNED])
        startable.update(state=RequestState.FAILED, error=str(error))


@app.task
def change_groups(change_id: str) -> None:
    """Count a large group change, or carry it out as somebody confirmed it."""
    change = GroupChange.objects.select_related("owner").filter(pk=change_id).first()
    if change:
        changes.work(change)


@app.task
def run_import(import_id: str) -> None:
    """Carry out an import, or undo it."""
    import_ = Import.objects.filter(pk=import_id).first()
    if import_:
        importing.work(import_)


@app.task
def write_export(export_id: str) -> None:
    """Write the file of a large export."""
    export = Export.objects.select_related("owner").filter(pk=export_id).first()
    if export:
        exporting.work(export)


@app.task
def deliver_callbacks() -> None:
    """Deliver callbacks that are due; goes on later while any is left."""
    at = callbacks.deliver()
    if at:
        now = timezone.now()
        callbacks_later(min(at, now + CALLBACKS_WAIT) if at > now else None)


@app.task
def check_carrier(carrier: str) -> None:
    """Try the connection to a carrier; goes on later if it has to wait for its turn."""
    at = checkup.check(carrier)
    if at:
        check_carrier_later(carrier, at)


ORPHANS_SQL = """
    WITH first AS (  -- of the jobs with one lock: only after it the queue gives out another one
        SELECT DISTINCT ON (lock) lock, status, scheduled_at FROM procrastinate_jobs
        WHERE status IN ('todo', 'doing') AND lock LIKE 'hand-over-%%'
        ORDER BY lock, status = 'todo', priority DESC, id
    )
    SELECT b.call_group_id, b.lane FROM calls_batch AS b JOIN calls_callgroup AS g ON g.id = b.call_group_id
    WHERE (b.state = 'sending' AND b.sent_at < %(overdue)s
        OR b.state = 'pending' AND b.due_at < %(overdue)s AND g.state = 'running')
    AND NOT EXISTS (
        SELECT FROM first
        WHERE (first.status = 'doing' OR coalesce(first.scheduled_at, now()) <= now())
        AND first.lock = 'hand-over-' || b.call_group_id || '-' || b.lane
    )
    GROUP BY b.call_group_id, b.lane
"""
LOST_REQUESTS_SQL = """
    SELECT r.id FROM calls_callrequest AS r
    WHERE r.state = %(state)s AND r.created_at BETWEEN %(oldest)s AND %(overdue)s AND NOT EXISTS (
        SELECT FROM procrastinate_jobs AS j WHERE j.status IN ('todo', 'doing') AND j.lock = %(lock)s || r.id
    )
"""


@app.periodic(cron="* * * * * */10")
@app.task(queueing_lock="sweep", pass_context=False)
def sweep(timestamp: int) -> None:
    """Find work that lost its job, which a crash or a bug can do, and give it one; forget old requests."""
    overdue = timezone.now() - OVERDUE
    with connection.cursor() as cursor:
        cursor.execute(ORPHANS_SQL, {"overdue": overdue})
        for call_group_id, lane in cursor.fetchall():
            hand_over_lane_later(call_group_id, lane, timezone.now())
    for traffic in steer.kept_by_other_rules():
        rules_changed_later(traffic)
    unasked = Batch.objects.filter(check_at__lt=overdue).values_list("call_group", flat=True).distinct()
    for call_group_id in unasked:
        follow_later(call_group_id, timezone.now())
    for request in _lost_requests(RequestState.PLANNING, "plan-", overdue):
        plan_later(request)
    for request in _lost_requests(RequestState.STARTING, "start-", overdue):
        start_later(request)
    for change in changes.lost(overdue):
        change_groups_later(change)
    for import_ in importing.lost(overdue):
        import_later(import_)
    for export in exporting.lost(overdue):
        export_later(export)
    uncancelled = CallGroup.objects.unfinished().filter(state=GroupState.CANCELLED, held__gt=0, state_at__lt=overdue)
    for group in uncancelled:
        cancel_held_later(group.pk)
    deliver_what_is_due()
    checkup.forget_requests()


def _lost_requests(state: RequestState, lock: str, overdue: datetime) -> "RawQuerySet[CallRequest]":
    """Call requests of the last day in that state, whose job failed."""
    oldest = overdue - timedelta(days=1)
    return CallRequest.objects.raw(
        LOST_REQUESTS_SQL, {"state": state.value, "lock": lock, "oldest": oldest, "overdue": overdue}
    )


@app.periodic(cron="* * * * * */5")
@app.task(queueing_lock="revive")
async def revive(timestamp: int) -> None:
    """Give the jobs of dead workers to living ones; each job copes with having been begun before."""
    for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=DEAD_WORKER):
        try:
            await app.job_manager.retry_job(job)
        except UniqueViolation:
            # Another job for the same work waits already; this one holds its lock and must end.
            await app.job_manager.finish_job(job, status=Status.FAILED, delete_job=False)


FOLD_SQL = """
    WITH folded AS (
        DELETE FROM calls_activity WHERE (quarter, owner_id, status) IN (
            SELECT quarter, owner_id, status FROM calls_activity
            WHERE quarter > now() - interval '3 days' GROUP BY 1, 2, 3 HAVING count(*) > 1
        )
        RETURNING quarter, owner_id, status, calls, seconds
    )
    INSERT INTO calls_activity (quarter, owner_id, status, calls, seconds)
    SELECT quarter, owner_id, status, sum(calls), sum(seconds) FROM folded GROUP BY 1, 2, 3 HAVING sum(calls) <> 0
"""


@app.periodic(cron="*/5 * * * *")
@app.task(queueing_lock="fold_activity", lock="fold_activity")
def fold_activity(timestamp: int) -> None:
    """Fold the changes of one key into one row, so that reading stays cheap (see :class:`calls.models.Activity`)."""
    with connection.cursor() as cursor:
        cursor.execute(FOLD_SQL)


@app.periodic(cron="17 3 * * *")
@app.task(queueing_lock="tidy")
def tidy(timestamp: int) -> None:
    """Forget what is old: requests never started, group changes, imports, answers to programs, sessions."""
    old = CallRequest.objects.filter(created_at__lt=timezone.now() - PLANS_KEPT, call_group=None)
    old.exclude(state=RequestState.REFUSED).delete()  # they say why somebody was not called
    GroupChange.objects.filter(created_at__lt=timezone.now() - PLANS_KEPT).delete()
    importing.forget_old()
    forget_answers()
    SessionStore.clear_expired()


@app.periodic(cron="47 * * * *")
@app.task(queueing_lock="forget_exports")
def forget_exports(timestamp: int) -> None:
    """Forget old exports: each hour, for some portals are off at night."""
    exporting.forget()


@app.periodic(cron="27 3 * * *")
@app.task(queueing_lock="forget_jobs")
async def forget_jobs(timestamp: int) -> None:
    """Delete the records of jobs that ended a day ago or earlier."""
    await app.job_manager.delete_old_jobs(
        nb_hours=24, include_failed=True, include_cancelled=True, include_aborted=True
    )
