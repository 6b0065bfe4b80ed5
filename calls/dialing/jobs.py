"""Deferring background jobs: in the transaction that makes the rows they work on, so neither is lost without the other.

The jobs are named, not imported: :mod:`calls.tasks`, which runs them, builds on all of this package.
"""

from datetime import datetime

from django.conf import settings
from django.db import transaction
from procrastinate.contrib.django import app
from procrastinate.exceptions import AlreadyEnqueued

from calls.models import Batch, BatchState, CallRequest


def hand_over_later(call_group_id: int, at: datetime) -> None:
    """Defer the jobs that hand over this call group's batches and follow its calls, from `at` (aware) on."""
    pending = Batch.objects.filter(call_group=call_group_id, state=BatchState.PENDING)
    for lane in range(pending[: settings.CARRIER_CONNECTIONS].count()):
        hand_over_lane_later(call_group_id, lane, at)
    follow_later(call_group_id, at)


def hand_over_lane_later(call_group_id: int, lane: int, at: datetime) -> None:
    """Defer the job of one lane (see :mod:`calls.dialing.handover`)."""
    # The lock: only one worker at a time runs a lane.
    job = app.configure_task("calls.tasks.hand_over", lock=f"hand-over-{call_group_id}-{lane}", schedule_at=at)
    job.defer(call_group_id=call_group_id, lane=lane)


def follow_later(call_group_id: int, at: datetime) -> None:
    """Defer the job that asks the carrier about this call group, unless one is waiting."""
    lock = f"follow-{call_group_id}"
    job = app.configure_task("calls.tasks.follow", lock=lock, queueing_lock=lock, schedule_at=at)
    try:
        with transaction.atomic():
            job.defer(call_group_id=call_group_id)
    except AlreadyEnqueued:
        pass


def cancel_held_later(call_group_id: int) -> None:
    """Defer the job that cancels many held calls."""
    app.configure_task("calls.tasks.cancel_held", lock=f"cancel-{call_group_id}").defer(call_group_id=call_group_id)


def plan_later(request: CallRequest) -> None:
    """Defer the job that plans a large call request."""
    app.configure_task("calls.tasks.plan_request", lock=f"plan-{request.pk}").defer(request_id=str(request.pk))


def start_later(request: CallRequest) -> None:
    """Defer the job that starts a large call request."""
    app.configure_task("calls.tasks.start_request", lock=f"start-{request.pk}").defer(request_id=str(request.pk))
