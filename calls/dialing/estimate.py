"""How long call groups take: before they start, and while they run."""

import math
from datetime import datetime, timedelta

from django.conf import settings

from calls.carriers import get_carrier
from calls.carriers.base import MAX_CALLS
from calls.models import CallGroup

TYPICAL_CALL = 60.0
"""Seconds from hand-over to the end of a usual call: some ringing, some listening. A guess until figures are there."""


def batches_needed(calls: int) -> int:
    """Requests to the carrier for so many calls."""
    return math.ceil(calls / MAX_CALLS)


def takes(calls: int, retries: int, cps: float = 0.0) -> timedelta:
    """About how long so many calls take from the first hand-over on.

    `cps`: how many the carrier begins in a second; 0: all that it has.
    """
    handing_over = batches_needed(calls) / settings.CARRIER_RATE
    dialling = calls / cps if cps else 0.0
    return timedelta(seconds=max(handing_over, dialling) + TYPICAL_CALL * (1 + retries))


def expected_end(group: CallGroup, now: datetime) -> datetime | None:
    """About when a started call group will have ended, by its own pace so far; None if nothing tells."""
    if group.ended_at or not group.total:
        return None
    # Where the carrier waits for the scheduled time, the calls are handed over long before.
    begins = group.begins_at
    done, elapsed = group.total - group.open, now - begins
    has_waited = group.held and (group.state_at or group.override_at)  # so that what passed was not its pace
    if now >= begins and done and not has_waited:
        return now + elapsed * (group.open / done)
    cps = get_carrier(group.carrier).cps
    if now >= begins and done:
        return now + takes(group.open, group.retries, cps)
    return max(now, begins + takes(group.total, group.retries, cps))
