"""When people may be called, by the clocks where they are: hours, weekdays, public holidays and closed days.

A number can be in several time zones at once (:mod:`calls.dialing.places`); then all of their clocks must allow it.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache, reduce
from typing import Self
from zoneinfo import ZoneInfo

import holidays
from django.conf import settings
from django.utils import timezone

from calls.dialing.places import country, zones
from calls.models import CallingRule
from calls.models.rules import WEEKDAYS

HORIZON = timedelta(days=14)
"""Where people may not be called for so long, they count as never."""

Window = tuple[datetime, datetime]
"""From the first moment in which a phone may ring up to, and without, the second; aware."""


@dataclass(frozen=True)
class Hours:
    """From `opens` up to, and without, `closes` on each day; local times."""

    opens: time
    closes: time

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `HH:MM-HH:MM`, the later time last; 24:00 ends a day. Raises ValueError."""
        try:
            opens, closes = (part.strip() for part in text.split("-"))
            hours = cls(time.fromisoformat(opens), time.max if closes == "24:00" else time.fromisoformat(closes))
            if hours.opens < hours.closes:
                return hours
        except ValueError:
            pass
        raise ValueError(f"CALLING_HOURS: “{text}” is not like 09:00-21:00, the earlier time first.")

    @classmethod
    def from_settings(cls) -> Self:
        """The hours of the settings."""
        return cls.parse(settings.CALLING_HOURS)

    @property
    def all_day(self) -> bool:
        """Whether they never close."""
        return (self.opens, self.closes) == (time.min, time.max)

    @property
    def duration(self) -> timedelta:
        """How long they are on a day whose clocks are not changed."""
        opens, closes = (datetime.combine(date.min, clock) for clock in (self.opens, self.closes))
        return closes - opens

    def __str__(self) -> str:
        return f"{self.opens:%H:%M}-{'24:00' if self.closes == time.max else format(self.closes, '%H:%M')}"


@dataclass(frozen=True)
class Rule:
    """When calls of one traffic type may ring, and how often; `here` is the place of numbers without a known one.

    Moments are aware. `span` is the time from the first ring to the last one, which must all be allowed. `queue` is how
    long the carrier needs from a moment on for the calls that it has by then; while these calls wait, it goes on.
    """

    traffic: str
    hours: Hours
    weekdays: frozenset[int]
    holidays: bool
    closed: frozenset[date]
    cap: int | None
    here: str

    @classmethod
    def of(cls, traffic: str) -> Self:
        """The rule for calls of this traffic type, as admins and the settings have it now."""
        row = CallingRule.objects.filter(pk=traffic).first() or CallingRule(traffic=traffic)
        return cls(
            traffic=traffic,
            hours=Hours.parse(row.hours or settings.CALLING_HOURS),
            weekdays=frozenset(row.weekdays),
            holidays=row.holidays,
            closed=frozenset(map(date.fromisoformat, row.closed_days)),
            cap=row.daily_cap,
            here=f"{settings.DEFAULT_REGION} {settings.TIME_ZONE}",
        )

    def allows(self, place: str, at: datetime, span: timedelta = timedelta(0)) -> bool:
        """Whether phones in `place` may ring at `at`, and up to `span` later."""
        return self.next_opening(place, at, span) == at

    def next_opening(
        self, place: str, at: datetime, span: timedelta = timedelta(0), queue: timedelta = timedelta(0)
    ) -> datetime | None:
        """The first moment from `at` on at which calls may begin; None: there is none within HORIZON."""
        if self._always:
            return at
        for opens, closes in _windows(self, place or self.here, at.astimezone(UTC).date()):
            begins = max(at, opens)
            if begins > at + HORIZON:
                break
            if begins + span + max(queue - (begins - at), timedelta(0)) < closes:
                return begins
        return None

    def day(self, place: str, at: datetime) -> Window:
        """The day on which `at` lies: from its first midnight to its last, where clocks differ."""
        days = [(at.astimezone(zone).date(), zone) for zone in self.clocks(place)]
        begins = min(_moment(day, time.min, zone, latest=False) for day, zone in days)
        ends = max(_moment(day + timedelta(days=1), time.min, zone, latest=True) for day, zone in days)
        return begins, ends

    def holiday(self, place: str, at: datetime) -> str:
        """The public holiday that it is at `at` where people are; empty if it is none, or none that matters."""
        days = {at.astimezone(zone).date() for zone in self.clocks(place)}
        names = (self._holiday(place, day) for day in sorted(days))
        return next(filter(None, names), "")

    def local(self, place: str, at: datetime) -> dict[str, str]:
        """What the clocks of each zone show at `at`: `{"Asia/Calcutta": "2026-11-23 14:02 +05:30"}`."""
        shown = ((str(zone), at.astimezone(zone).isoformat(" ", "minutes")) for zone in self.clocks(place))
        return {name: f"{clock[:16]} {clock[16:]}" for name, clock in shown}

    def words(self, place: str) -> str:
        """When people in `place` may be called: "09:00-21:00, Mon to Sat, not on public holidays, in Asia/Calcutta"."""
        return f"{self.times}, in {in_words(place or self.here)}"

    @property
    def times(self) -> str:
        """When people may be called, by their own clocks: "09:00-21:00, Mon to Sat, not on public holidays"."""
        parts = [str(self.hours)]
        if len(self.weekdays) < len(WEEKDAYS):
            parts.append(in_days(self.weekdays))
        if self.holidays:
            parts.append("not on public holidays")
        if self.closed:
            parts.append(f"not on {len(self.closed)} further day{'s' if len(self.closed) > 1 else ''}")
        return ", ".join(parts)

    @property
    def _always(self) -> bool:
        return self.hours.all_day and len(self.weekdays) == len(WEEKDAYS) and not self.holidays and not self.closed

    def clocks(self, place: str) -> list[ZoneInfo]:
        """The time zones that count in `place`."""
        return [ZoneInfo(name) for name in zones(place) or zones(self.here)]

    def _holiday(self, place: str, day: date) -> str:
        return _holidays(country(place or self.here), day.year).get(day, "") if self.holidays else ""

    def is_open(self, place: str, day: date) -> bool:
        """Whether calls are made on that day in `place` at all."""
        return day.weekday() in self.weekdays and day not in self.closed and not self._holiday(place, day)


def in_words(place: str) -> str:
    """The zones of a place as people read them: "Asia/Calcutta", "America/Adak and 10 other zones"."""
    first, *others = zones(place) or ("the portal's zone",)
    if len(others) > 2:
        return f"{first} and {len(others)} other zones"
    return " and ".join([first, *others])


def their_clock(place: str, at: datetime) -> str:
    """What clocks show there at `at`: "09:00 in Europe/London"; empty if that is what the portal's clock shows."""
    shown = sorted({f"{at.astimezone(ZoneInfo(name)):%H:%M}" for name in zones(place)})
    if not shown or shown == [f"{timezone.localtime(at):%H:%M}"]:
        return ""
    return f"{' to '.join([shown[0], *shown[1:][-1:]])} in {in_words(place)}"


def in_days(weekdays: Collection[int]) -> str:
    """Days of the week, from 0 (Monday) to 6, in words: "every day", "Mon to Fri", "Mon, Wed", "on no day"."""
    days = sorted(weekdays)
    names = [WEEKDAYS[day][:3] for day in days]
    if len(days) == len(WEEKDAYS):
        return "every day"
    if len(days) > 2 and days == [*range(days[0], days[-1] + 1)]:
        return f"{names[0]} to {names[-1]}"
    return ", ".join(names) or "on no day"


@lru_cache(maxsize=10_000)
def _windows(rule: Rule, place: str, first: date) -> tuple[Window, ...]:
    """When all clocks of a place allow calls, in order, for HORIZON from `first` on and a day more at both ends."""
    return reduce(_common, (_windows_of_zone(rule, place, zone, first) for zone in rule.clocks(place)))


def _windows_of_zone(rule: Rule, place: str, zone: ZoneInfo, first: date) -> tuple[Window, ...]:
    found: list[Window] = []
    for number in range(-2, HORIZON.days + 4):
        day = first + timedelta(days=number)
        if not rule.is_open(place, day):
            continue
        opens = _moment(day, rule.hours.opens, zone, latest=True)
        if rule.hours.closes == time.max:
            closes = _moment(day + timedelta(days=1), time.min, zone, latest=False)
        else:
            closes = _moment(day, rule.hours.closes, zone, latest=False)
        if found and opens <= found[-1][1]:
            found[-1] = (found[-1][0], closes)
        elif opens < closes:
            found.append((opens, closes))
    return tuple(found)


def _common(these: tuple[Window, ...], those: tuple[Window, ...]) -> tuple[Window, ...]:
    def overlaps() -> Iterator[Window]:
        for opens, closes in these:
            for opens_too, closes_too in those:
                window = max(opens, opens_too), min(closes, closes_too)
                if window[0] < window[1]:
                    yield window

    return tuple(overlaps())


def _moment(day: date, clock: time, zone: ZoneInfo, *, latest: bool) -> datetime:
    """When clocks show that, in UTC. Where they are changed it can be twice, or never: then the stricter one counts."""
    twice = [datetime.combine(day, clock, zone).replace(fold=fold).astimezone(UTC) for fold in (0, 1)]
    return max(twice) if latest else min(twice)


@cache
def _holidays(region: str, year: int) -> dict[date, str]:
    """The public holidays of a country; none where they aren't known."""
    try:
        return dict(holidays.country_holidays(region, years=year, language="en_US"))
    except NotImplementedError:
        return {}
