"""Rates of calls, from counts that the database keeps (DESIGN.md, rule 4; FIELD.md, "Terms of the trade")."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from django.db.models import Sum
from django.db.models.functions import ExtractHour
from django.utils import timezone

from calls.models import Activity, User
from calls.obd.statuses import CANCELLED, COMPLETED, DND, FINAL

ATTEMPTED = FINAL - {DND, CANCELLED}
"""Final statuses of calls that were tried: of the others no phone was to ring."""


def asr(tally: Mapping[str, int]) -> float | None:
    """Answer-seizure ratio, 0 to 1: answered of those attempted that are over; None before there are any."""
    attempted = sum(tally.get(status, 0) for status in ATTEMPTED)
    return tally.get(COMPLETED, 0) / attempted if attempted else None


def acd(tally: Mapping[str, int], seconds: int) -> float | None:
    """Average call duration: seconds talked for each answered call; None before there are any."""
    answered = tally.get(COMPLETED, 0)
    return seconds / answered if answered else None


@dataclass(frozen=True)
class Day:
    """The calls handed over on one local day, by status and by local hour; `seconds` were talked in answered ones."""

    tally: dict[str, int]
    hours: list[dict[str, int]]
    seconds: int

    @property
    def total(self) -> int:
        """Calls handed over."""
        return sum(self.tally.values())

    @property
    def asr(self) -> float | None:
        """Answer-seizure ratio, 0 to 1."""
        return asr(self.tally)

    @property
    def acd(self) -> float | None:
        """Average call duration in seconds."""
        return acd(self.tally, self.seconds)


def today(user: User, now: datetime) -> Day:
    """The day of `now` (aware) in the portal's zone, of the calls that `user` may see."""
    day = timezone.localtime(now).date()
    begins, ends = (timezone.make_aware(datetime.combine(date, time.min)) for date in (day, day + timedelta(days=1)))
    activity = Activity.objects.filter(quarter__gte=begins, quarter__lt=ends)
    if not (user.sees_all_calls or user.sees_everything):
        activity = activity.filter(owner=user)
    sums = (
        activity.annotate(hour=ExtractHour("quarter", tzinfo=timezone.get_default_timezone()))
        .values_list("hour", "status")
        .annotate(calls=Sum("calls"), talked=Sum("seconds"))
    )
    tally: dict[str, int] = {}
    hours: list[dict[str, int]] = [{} for _ in range(24)]
    seconds = 0
    for hour, status, calls, talked in sums:
        if calls:
            tally[status] = tally.get(status, 0) + calls
            hours[hour][status] = calls
        seconds += talked if status == COMPLETED else 0
    return Day({status: calls for status, calls in tally.items() if calls}, hours, seconds)
