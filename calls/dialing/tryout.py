"""What the calling rules say of one number at this moment: the small trial on their page."""

from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.utils import timezone

from calls.carriers import get_carrier
from calls.dialing.places import country, place_of
from calls.dialing.rules import Rules
from calls.models import Suppression, Traffic


@dataclass(frozen=True)
class Verdict:
    """Whether calls of one traffic type may be made to a number now.

    `opens_at` (aware) is when calling hours allow it: `now` if they do, None if they do not within two weeks. On the
    day on which a call would ring then, which ends at `day_ends`, the number rings `rings` times already, or may yet.
    """

    traffic: Traffic
    now: datetime
    opens_at: datetime | None
    words: str
    holiday: str
    lists: list[Suppression]
    rings: int
    cap: int | None
    capped: bool
    day_ends: datetime

    @property
    def in_hours(self) -> bool:
        """Whether calling hours allow it."""
        return self.opens_at == self.now

    @property
    def may_ring(self) -> bool:
        """Whether nothing keeps a call away."""
        return self.in_hours and not self.lists and not self.capped


@dataclass(frozen=True)
class Tried:
    """A number (E.164), its country ("IN", empty if it isn't known), what each zone's clock shows there, and each
    traffic type's verdict."""

    number: str
    country: str
    clocks: list[tuple[str, str]]
    verdicts: list[Verdict]


def try_number(number: str) -> Tried:
    """What holds for a call to `number` (E.164) now, without retries."""
    place, now, carrier = place_of(number), timezone.now(), get_carrier(settings.CARRIER)
    checks = [Rules.of(traffic, now, 0, carrier) for traffic in Traffic]
    return Tried(
        number=number,
        country=country(place),
        clocks=[(str(zone), f"{now.astimezone(zone):%a %H:%M}") for zone in checks[0].rule.clocks(place)],
        verdicts=[_verdict(number, place, each) for each in checks],
    )


def _verdict(number: str, place: str, checks: Rules) -> Verdict:
    rule = checks.rule
    return Verdict(
        traffic=Traffic(rule.traffic),
        now=checks.rings_at,
        opens_at=checks.opening(place),
        words=rule.words(place),
        holiday=rule.holiday(place, checks.rings_at),
        lists=list(Suppression.objects.filter(number=number, list__in=checks.lists).select_related("list")),
        rings=checks.rings([number], place).get(number, 0),
        cap=rule.cap,
        capped=bool(checks.capped([number], place)),
        day_ends=checks.day(place)[1],
    )
