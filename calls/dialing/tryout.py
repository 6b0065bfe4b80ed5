"""What the calling rules say of one number at this moment: the small trial on their page."""

from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from calls.dialing.hours import Rule
from calls.dialing.places import country, place_of
from calls.models import Call, Suppression, SuppressionList, Traffic


@dataclass(frozen=True)
class Verdict:
    """Whether calls of one traffic type may be made to a number now.

    `opens_at` (aware) is when calling hours allow it next: `now` if they do, None if they do not within two weeks.
    `calls` were handed over in the day of `capped_until`, up to which no further one is if the cap is reached.
    """

    traffic: Traffic
    now: datetime
    opens_at: datetime | None
    words: str
    holiday: str
    lists: list[Suppression]
    calls: int
    cap: int | None
    capped_until: datetime

    @property
    def in_hours(self) -> bool:
        """Whether calling hours allow it."""
        return self.opens_at == self.now

    @property
    def capped(self) -> bool:
        """Whether the number was called as often as it may be that day."""
        return self.cap is not None and self.calls >= self.cap

    @property
    def may_ring(self) -> bool:
        """Whether nothing keeps a call away."""
        return self.in_hours and not self.lists and not self.capped


@dataclass(frozen=True)
class Tried:
    """A number (E.164), where it is and what the clocks there show, and each traffic type's verdict."""

    number: str
    country: str
    known: bool
    clocks: list[tuple[str, str]]
    verdicts: list[Verdict]


def try_number(number: str) -> Tried:
    """What holds for `number` (E.164) now."""
    place, now = place_of(number), timezone.now()
    rules = [Rule.of(traffic) for traffic in Traffic]
    return Tried(
        number=number,
        country=country(place),
        known=bool(place),
        clocks=[(str(zone), f"{now.astimezone(zone):%a %H:%M}") for zone in rules[0].clocks(place)],
        verdicts=[_verdict(number, place, rule, now) for rule in rules],
    )


def _verdict(number: str, place: str, rule: Rule, now: datetime) -> Verdict:
    applying = SuppressionList.objects.applying(rule.traffic, timezone.localdate(now))
    begins, ends = rule.day(place, now)
    called = Call.objects.filter(number=number, handed_over_at__gte=begins, handed_over_at__lt=ends)
    return Verdict(
        traffic=Traffic(rule.traffic),
        now=now,
        opens_at=rule.next_opening(place, now),
        words=rule.words(place),
        holiday=rule.holiday(place, now),
        lists=list(Suppression.objects.filter(number=number, list__in=applying).select_related("list")),
        calls=called.count(),
        cap=rule.cap,
        capped_until=ends,
    )
