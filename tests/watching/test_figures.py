"""Rates, and the figures of the day."""

from datetime import UTC, datetime, timedelta

import pytest
from pytest_django import Settings

from calls.dialing.figures import acd, asr, today
from calls.models import Call
from tests.factories import make_user
from tests.watching.rows import SECONDS, group_of

NOW = datetime(2026, 11, 23, 8, 32, tzinfo=UTC)  # 14:02 in India


def test_asr_counts_those_attempted_that_are_over() -> None:
    tally = {"COMPLETED": 6, "BUSY": 2, "NOANSWER": 2, "QUEUED": 90, "HELD": 90, "DND": 3, "CANCELLED": 4}
    assert asr(tally) == 0.6


def test_no_rates_before_there_is_anything_to_rate() -> None:
    assert asr({"QUEUED": 5}) is None
    assert acd({"BUSY": 5}, 0) is None


def test_acd_is_of_answered_calls() -> None:
    assert acd({"COMPLETED": 4, "BUSY": 6}, 100) == 25


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("zone", "utc", "hour"),
    [
        ("Asia/Kolkata", datetime(2026, 11, 22, 18, 30, tzinfo=UTC), 0),  # the first minute of the day there
        ("Asia/Kolkata", datetime(2026, 11, 23, 8, 29, tzinfo=UTC), 13),
        ("Asia/Kolkata", datetime(2026, 11, 23, 8, 30, tzinfo=UTC), 14),
        ("Asia/Kathmandu", datetime(2026, 11, 23, 8, 16, tzinfo=UTC), 14),  # 45 minutes off
    ],
)
def test_hours_are_local(settings: Settings, zone: str, utc: datetime, hour: int) -> None:
    settings.TIME_ZONE = zone
    group_of(make_user(), {"COMPLETED": 2, "BUSY": 1}, handed_over_at=utc)
    day = today(make_user(), NOW)
    assert [(place, counts) for place, counts in enumerate(day.hours) if counts] == [
        (hour, {"COMPLETED": 2, "BUSY": 1})
    ]
    assert day.tally == {"COMPLETED": 2, "BUSY": 1}
    assert (day.total, day.seconds, day.acd) == (3, 2 * SECONDS, SECONDS)


@pytest.mark.django_db
def test_yesterday_and_tomorrow_are_other_days(settings: Settings) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"
    for at in (datetime(2026, 11, 22, 18, 29, tzinfo=UTC), datetime(2026, 11, 23, 18, 30, tzinfo=UTC)):
        group_of(make_user(), {"COMPLETED": 2}, handed_over_at=at)
    assert today(make_user(), NOW).total == 0


@pytest.mark.django_db
def test_a_status_that_all_calls_left_is_gone(settings: Settings) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"
    group = group_of(make_user(), {"QUEUED": 3}, handed_over_at=NOW - timedelta(hours=1))
    Call.objects.filter(call_group=group).update(status="BUSY")
    assert today(make_user(), NOW).tally == {"BUSY": 3}


@pytest.mark.django_db
def test_held_calls_were_not_handed_over(settings: Settings) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"
    group_of(make_user(), {"HELD": 3})
    assert today(make_user(), NOW).total == 0


@pytest.mark.django_db
def test_only_calls_that_one_may_see(settings: Settings) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"
    asha, ravi = make_user(sees_all_calls=False), make_user(sees_all_calls=False)
    group_of(asha, {"COMPLETED": 2}, handed_over_at=NOW)
    group_of(ravi, {"BUSY": 1}, handed_over_at=NOW)
    assert today(asha, NOW).tally == {"COMPLETED": 2}
    assert today(make_user("viewer"), NOW).tally == {"COMPLETED": 2, "BUSY": 1}
    assert today(make_user("admin", sees_all_calls=False), NOW).total == 3
