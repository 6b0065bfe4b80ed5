"""When calling is allowed: local times of the portal's zone, whatever UTC says."""

from datetime import UTC, datetime

import pytest
from pytest_django import Settings

from calls.dialing.hours import Hours


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture(autouse=True)
def kolkata(settings: Settings) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"  # 5 h 30 min ahead of UTC
    settings.CALLING_HOURS = "09:00-21:00"


@pytest.mark.parametrize(
    ("at", "allowed", "opens"),
    [
        ("2026-11-20 03:29:59", False, "2026-11-20 03:30"),
        ("2026-11-20 03:30:00", True, "2026-11-20 03:30"),
        ("2026-11-20 09:00:00", True, "2026-11-20 09:00"),
        ("2026-11-20 15:29:59", True, "2026-11-20 15:29:59"),
        ("2026-11-20 15:30:00", False, "2026-11-21 03:30"),
        ("2026-11-20 19:00:00", False, "2026-11-21 03:30"),
        ("2026-11-20 18:29:00", False, "2026-11-21 03:30"),
    ],
)
def test_the_hours_of_a_day(at: str, allowed: bool, opens: str) -> None:
    hours = Hours.from_settings()
    assert hours.allow(utc(at)) is allowed
    assert hours.next_opening(utc(at)) == utc(opens)


def test_daylight_saving_moves_the_opening(settings: Settings) -> None:
    settings.TIME_ZONE = "Europe/London"
    hours = Hours.from_settings()
    assert hours.next_opening(utc("2026-03-28 22:00")) == utc("2026-03-29 08:00")
    assert hours.next_opening(utc("2026-10-24 21:00")) == utc("2026-10-25 09:00")


@pytest.mark.parametrize(
    ("text", "shown"),
    [("09:00-21:00", "09:00-21:00"), (" 8:30 - 24:00 ".replace("8", "08"), "08:30-24:00"), ("00:00-24:00",) * 2],
)
def test_reading(text: str, shown: str) -> None:
    assert str(Hours.parse(text)) == shown


def test_the_whole_day(settings: Settings) -> None:
    settings.CALLING_HOURS = "00:00-24:00"
    hours = Hours.from_settings()
    assert all(hours.allow(utc(f"2026-11-20 {hour:02}:59:59")) for hour in range(24))


@pytest.mark.parametrize("text", ["", "09:00", "21:00-09:00", "09:00-09:00", "9 to 5", "09:00-25:00", "9-12-15"])
def test_wrong_hours_are_named(text: str) -> None:
    with pytest.raises(ValueError, match="CALLING_HOURS"):
        Hours.parse(text)
