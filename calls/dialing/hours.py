"""When calling is allowed, in the portal's time zone (setting `CALLING_HOURS`, such as `09:00-21:00`)."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Self

from django.conf import settings
from django.utils import timezone


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

    def __str__(self) -> str:
        return f"{self.opens:%H:%M}-{'24:00' if self.closes == time.max else format(self.closes, '%H:%M')}"

    def allow(self, at: datetime) -> bool:
        """Whether `at` (aware) is within the hours."""
        return self.opens <= timezone.localtime(at).time() < self.closes

    def next_opening(self, at: datetime) -> datetime:
        """`at` (aware) itself if it is within the hours, else when they begin next (aware)."""
        if self.allow(at):
            return at
        local = timezone.localtime(at)
        day = local.date() if local.time() < self.opens else local.date() + timedelta(days=1)
        return timezone.make_aware(datetime.combine(day, self.opens))
