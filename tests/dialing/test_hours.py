"""When calling is allowed: by the clocks of the people called, the strictest of several, whatever UTC says."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import settings as relaxed
from hypothesis import strategies as st
from pytest_django import Settings

from calls.dialing.hours import Hours, Rule
from calls.models import CallingRule, Traffic

INDIA, LONDON = "IN Asia/Calcutta", "GB Europe/London"
COASTS = "US America/Los_Angeles America/New_York"
NOWHERE = "XX America/Regina Asia/Dhaka"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def rule(hours: str = "09:00-21:00", **columns: Any) -> Rule:
    chosen: dict[str, Any] = {
        "traffic": Traffic.PROMOTIONAL,
        "weekdays": frozenset(range(7)),
        "holidays": False,
        "closed": frozenset(),
        "cap": None,
        "here": "IN Asia/Kolkata",
    }
    return Rule(hours=Hours.parse(hours), **chosen | columns)


@pytest.mark.parametrize(
    ("place", "at", "opens"),
    [
        (INDIA, "2026-11-20 03:29:59", "2026-11-20 03:30"),
        (INDIA, "2026-11-20 03:30:00", "2026-11-20 03:30"),
        (INDIA, "2026-11-20 15:29:59", "2026-11-20 15:29:59"),
        (INDIA, "2026-11-20 15:30:00", "2026-11-21 03:30"),
        (INDIA, "2026-11-20 18:29:00", "2026-11-21 03:30"),
        ("", "2026-11-20 18:29:00", "2026-11-21 03:30"),
        # Clocks go forward, and back.
        (LONDON, "2026-03-28 22:00", "2026-03-29 08:00"),
        (LONDON, "2026-10-24 21:00", "2026-10-25 09:00"),
        # Nobody is called before nine in California, nor after nine in New York.
        (COASTS, "2026-11-20 14:00", "2026-11-20 17:00"),
        (COASTS, "2026-11-21 01:59", "2026-11-21 01:59"),
        (COASTS, "2026-11-21 02:00", "2026-11-21 17:00"),
        (NOWHERE, "2026-11-20 12:00", None),
    ],
)
def test_the_hours_of_a_day(place: str, at: str, opens: str | None) -> None:
    assert rule().next_opening(place, utc(at)) == (utc(opens) if opens else None)
    assert rule().allows(place, utc(at)) is (opens is not None and utc(opens) == utc(at))


def test_a_hole_in_the_night() -> None:
    """Hours that begin when clocks are changed: the stricter reading counts."""
    early = rule("02:30-05:00")
    assert early.next_opening("DE Europe/Berlin", utc("2026-03-29 00:00")) == utc("2026-03-29 01:30")
    assert early.next_opening("DE Europe/Berlin", utc("2026-10-25 00:00")) == utc("2026-10-25 01:30")


@pytest.mark.parametrize(
    ("at", "minutes", "opens"),
    [
        ("2026-11-20 15:00", 29, "2026-11-20 15:00"),
        ("2026-11-20 15:00", 30, "2026-11-21 03:30"),
        ("2026-11-20 02:00", 719, "2026-11-20 03:30"),
        ("2026-11-20 02:00", 720, None),
    ],
)
def test_the_last_ring_counts_too(at: str, minutes: int, opens: str | None) -> None:
    found = rule().next_opening(INDIA, utc(at), timedelta(minutes=minutes))
    assert found == (utc(opens) if opens else None)


@pytest.mark.parametrize(
    ("at", "hours", "opens"),
    [
        ("2026-11-20 15:00", 0.49, "2026-11-20 15:00"),
        ("2026-11-20 15:00", 0.5, "2026-11-21 03:30"),
        # It goes on while these calls wait.
        ("2026-11-20 00:00", 15.49, "2026-11-20 03:30"),
        ("2026-11-20 00:00", 15.5, "2026-11-21 03:30"),
        ("2026-11-20 04:00", 35.49, "2026-11-21 03:30"),
        ("2026-11-20 04:00", 35.5, "2026-11-22 03:30"),
        ("2026-11-20 04:00", 24 * 15, None),
    ],
)
def test_what_the_carrier_has_to_dial_first_counts(at: str, hours: float, opens: str | None) -> None:
    found = rule().next_opening(INDIA, utc(at), queue=timedelta(hours=hours))
    assert found == (utc(opens) if opens else None)


def test_weekdays_and_closed_days() -> None:
    workdays = rule(weekdays=frozenset(range(5)), closed=frozenset({date(2026, 11, 23)}))
    friday_evening = utc("2026-11-20 15:30")
    assert workdays.next_opening(INDIA, friday_evening) == utc("2026-11-24 03:30")
    assert rule(weekdays=frozenset()).next_opening(INDIA, friday_evening) is None
    weeks = frozenset(date(2026, 11, 20) + timedelta(days=i) for i in range(16))
    assert rule(closed=weeks).next_opening(INDIA, friday_evening) is None


def test_public_holidays_are_those_of_the_country() -> None:
    festive = rule(holidays=True)
    republic_day = utc("2026-01-26 06:00")
    assert festive.next_opening(INDIA, republic_day) == utc("2026-01-27 03:30")
    assert festive.next_opening("", republic_day) == utc("2026-01-27 03:30")
    assert festive.allows(LONDON, utc("2026-01-26 12:00"))
    assert festive.allows("XX Europe/London", utc("2026-12-25 12:00"))
    assert festive.holiday(INDIA, republic_day) == "Republic Day"
    assert festive.holiday(LONDON, republic_day) == rule().holiday(INDIA, republic_day) == ""


def test_the_whole_day() -> None:
    always = rule("00:00-24:00")
    late = utc("2026-11-20 18:29")
    assert always.allows(INDIA, late, timedelta(hours=30))
    assert always.allows(NOWHERE, late, timedelta(hours=30))
    workdays = rule("00:00-24:00", weekdays=frozenset(range(5)))
    assert workdays.allows(INDIA, late - timedelta(days=1), timedelta(hours=24))  # Thursday and Friday
    assert workdays.next_opening(INDIA, late, timedelta(minutes=1)) == utc("2026-11-22 18:30")


def test_a_day_with_several_midnights() -> None:
    assert rule().day(INDIA, utc("2026-11-20 20:00")) == (utc("2026-11-20 18:30"), utc("2026-11-21 18:30"))
    assert rule().day(COASTS, utc("2026-11-20 12:00")) == (utc("2026-11-20 05:00"), utc("2026-11-21 08:00"))
    assert rule().day(LONDON, utc("2026-10-25 12:00")) == (utc("2026-10-24 23:00"), utc("2026-10-26 00:00"))


def test_what_clocks_show() -> None:
    assert rule().local(INDIA, utc("2026-11-20 20:00")) == {"Asia/Calcutta": "2026-11-21 01:30 +05:30"}


@pytest.mark.parametrize(
    ("columns", "place", "words"),
    [
        ({}, INDIA, "09:00-21:00, in Asia/Calcutta"),
        (
            {"weekdays": frozenset(range(6))},
            COASTS,
            "09:00-21:00, Mon to Sat, in America/Los_Angeles and America/New_York",
        ),
        (
            {"weekdays": frozenset({0, 2}), "holidays": True},
            "",
            "09:00-21:00, Mon, Wed, not on public holidays, in Asia/Kolkata",
        ),
        ({"weekdays": frozenset()}, "CA A B C D", "09:00-21:00, on no day, in A and 3 other zones"),
    ],
)
def test_words(columns: dict[str, Any], place: str, words: str) -> None:
    assert rule(**columns).words(place) == words


@pytest.mark.django_db
def test_the_rule_of_a_traffic_type(settings: Settings) -> None:
    settings.CALLING_HOURS = "10:00-19:00"
    CallingRule.objects.all().delete()
    assert Rule.of(Traffic.SERVICE) == rule("10:00-19:00", traffic=Traffic.SERVICE)
    CallingRule.objects.create(
        traffic=Traffic.SERVICE, hours="08:00-24:00", weekdays=[5], closed_days=["2026-12-24"], daily_cap=3
    )
    assert Rule.of(Traffic.SERVICE) == rule(
        "08:00-24:00",
        traffic=Traffic.SERVICE,
        weekdays=frozenset({5}),
        closed=frozenset({date(2026, 12, 24)}),
        cap=3,
    )


ZONES = ["Europe/London", "America/New_York", "Asia/Calcutta", "Australia/Lord_Howe", "America/Santiago"]


@relaxed(max_examples=20)
@given(
    hour=st.integers(0, 24 * 700),
    names=st.lists(st.sampled_from(ZONES), min_size=1, max_size=2, unique=True),
    opens=st.integers(4, 12),
    closes=st.integers(13, 23),
    weekdays=st.sets(st.integers(0, 6)),
    closed=st.sets(st.integers(0, 14)),
    span=st.integers(0, 120),
)
def test_the_next_opening_is_the_first_quarter_that_all_clocks_allow(  # noqa: PLR0917
    hour: int, names: list[str], opens: int, closes: int, weekdays: set[int], closed: set[int], span: int
) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hour)
    off = frozenset(at.date() + timedelta(days=day) for day in closed)
    asked = rule(f"{opens:02}:00-{closes:02}:00", weekdays=frozenset(weekdays), closed=off)
    clocks = [ZoneInfo(name) for name in names]

    def allowed(moment: datetime) -> bool:
        shown = [moment.astimezone(zone) for zone in clocks]
        return all(
            time(opens) <= clock.time() < time(closes) and clock.weekday() in weekdays and clock.date() not in off
            for clock in shown
        )

    quarters = [at + timedelta(minutes=15 * i) for i in range(14 * 96 + 1)]
    lasting = timedelta(minutes=span)
    first = next((each for each in quarters if allowed(each) and allowed(each + lasting)), None)
    assert asked.next_opening(f"XX {' '.join(names)}", at, lasting) == first


@pytest.mark.parametrize(
    ("text", "shown"),
    [("09:00-21:00", "09:00-21:00"), (" 8:30 - 24:00 ".replace("8", "08"), "08:30-24:00"), ("00:00-24:00",) * 2],
)
def test_reading(text: str, shown: str) -> None:
    assert str(Hours.parse(text)) == shown


@pytest.mark.parametrize("text", ["", "09:00", "21:00-09:00", "09:00-09:00", "9 to 5", "09:00-25:00", "9-12-15"])
def test_wrong_hours_are_named(text: str) -> None:
    with pytest.raises(ValueError, match="CALLING_HOURS"):
        Hours.parse(text)
