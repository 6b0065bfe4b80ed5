"""The calling rules at work: what is checked of calls before phones ring, and what is written down of it.

Both the plan and each hand-over check the same: calling hours and days where the people are, suppression lists, and how
often a number rings in a day. What counts is when phones ring, from the first attempt to the last retry, which the
carrier makes by itself.
"""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self

from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from calls.carriers.base import Carrier
from calls.dialing.changes import PORTAL, calls_of, move
from calls.dialing.hours import HORIZON, Rule
from calls.dialing.places import place_of
from calls.dialing.request import Options
from calls.models import Batch, BatchState, Call, CallGroup, KeptBy, Outcome, Sound, Suppression, SuppressionList, Waits
from calls.obd.statuses import Status

MARGIN = timedelta(minutes=2)
"""So long before closing nothing is handed over any more: the request and the dialling take their time."""

RINGS_SQL = """
    SELECT {key}, sum(c.rings) AS rings
    FROM {numbers} JOIN calls_call AS c ON c.number = n.number JOIN calls_callgroup AS g ON g.id = c.call_group_id,
        LATERAL (SELECT CASE WHEN g.waits = 'carrier'
            THEN greatest(c.handed_over_at, g.schedule_time) + g.delay * interval '1 second'
            ELSE c.handed_over_at END AS at) AS first_ring
    WHERE c.rings > 0 AND g.id <> %(but)s
        AND first_ring.at < n.until AND first_ring.at + g.retries * %(gap)s * interval '1 second' >= n.since
    GROUP BY {key}
"""
"""How often numbers `n` ring between `n.since` and `n.until`, or may yet, by all call groups but one.

A call counts on each day that it may ring on.
"""

NUMBERS_SQL = """
    (SELECT unnest(%(numbers)s::text[]) AS number, %(since)s::timestamptz AS since, %(until)s::timestamptz AS until)
    AS n
"""

ON_LIST_SQL = "left('On the suppression list “' || l.name || '”: ' || s.reason, 300)"
"""That a number is on a suppression list `l`, and why (`s`)."""

NO_GROUP = 0
"""No call group has this ID."""

CAP_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('calls a day', 0))"


@dataclass(frozen=True)
class Refusal:
    """Why a number is not called."""

    outcome: Outcome
    reason: str


@dataclass(frozen=True)
class Rules:
    """What is checked of calls that ring from `rings_at` (aware) on, each with `retries`; `gap` is in seconds."""

    rule: Rule
    lists: Mapping[int, SuppressionList]
    rings_at: datetime
    retries: int
    gap: float

    @classmethod
    def of(cls, traffic: str, rings_at: datetime, retries: int, carrier: Carrier) -> Self:
        """The rules as they are now. Where the cap allows fewer attempts than were asked for, there are fewer."""
        rule = Rule.of(traffic)
        lists = SuppressionList.objects.applying(traffic, rings_at).order_by("pk").in_bulk()
        if rule.cap is not None:
            retries = min(retries, max(rule.cap - 1, 0))
        return cls(rule, lists, rings_at, retries, carrier.retry_gap)

    @property
    def span(self) -> timedelta:
        """From the first attempt to the last one, with the margin."""
        return timedelta(seconds=self.retries * self.gap) + MARGIN

    def opening(self, place: str) -> datetime | None:
        """When phones in `place` may begin to ring (aware); None: never within HORIZON."""
        return self.rule.next_opening(place, self.rings_at, self.span)

    def kept(self, place: str, now: datetime) -> tuple[datetime, KeptBy]:
        """Until when calls to `place` are kept from `now` (aware) on, and why.

        Where nobody can be called, that is when it is looked at again.
        """
        opens = self.opening(place)
        return (opens, KeptBy.HOURS) if opens else (now + HORIZON, KeptBy.NEVER)

    def day(self, place: str) -> tuple[datetime, datetime]:
        """From when until when rings in `place` count for the cap: the day or days on which these calls would ring."""
        at = self.opening(place) or self.rings_at
        return self.rule.day(place, at)[0], self.rule.day(place, at + self.span)[1]

    def suppressed(self, numbers: Collection[str]) -> dict[str, str]:
        """Those of these numbers that must not be called, each with the list that says so and why."""
        found = Suppression.objects.filter(number__in=numbers, list__in=self.lists).order_by("-list")
        return {
            number: on_list(self.lists[listed].name, reason)
            for number, listed, reason in found.values_list("number", "list", "reason")
        }

    def rings(self, numbers: Collection[str], place: str, but: int = NO_GROUP) -> dict[str, int]:
        """How often these numbers, all in `place`, ring that day or may yet, by all call groups but this one.

        Those that don't are left out.
        """
        since, until = self.day(place)
        parameters: dict[str, Any] = {"numbers": list(numbers), "since": since, "until": until}
        parameters |= {"gap": self.gap, "but": but}
        with connection.cursor() as cursor:
            cursor.execute(RINGS_SQL.format(key="n.number", numbers=NUMBERS_SQL), parameters)
            return {number: int(rings) for number, rings in cursor.fetchall()}

    def capped(self, numbers: Collection[str], place: str, but: int = NO_GROUP) -> dict[str, str]:
        """Those of these numbers, all in `place`, that would ring too often in a day, each with why.

        The rings of the call group `but` don't count.
        """
        if self.rule.cap is None:
            return {}
        rings = self.rings(numbers, place, but)
        used = {number: rings.get(number, 0) for number in numbers}
        return {number: self.over_cap(n) for number, n in used.items() if n + self.attempts > self.rule.cap}

    @property
    def attempts(self) -> int:
        """How often a number may ring by one of these calls."""
        return 1 + self.retries

    def over_cap(self, used: int) -> str:
        """Why a number is not called that rang, or may yet ring, so often that day."""
        rang = f"It rings up to {times(used)} that day already" if used else "It has not rung that day"
        kind = self.rule.traffic
        return f"{rang}; {kind} calls may make it ring {times(self.rule.cap or 0)} a day. Call it on another day."

    def never(self, place: str) -> str:
        """Why nobody in `place` can be called."""
        return f"No calling hours within {HORIZON.days} days fit it: {self.rule.words(place)}."[:300]

    def refusals(self, numbers: Collection[str]) -> dict[str, Refusal]:
        """Those of these numbers (E.164) that are not called, each with why."""
        refused = {number: Refusal(Outcome.SUPPRESSED, why) for number, why in self.suppressed(numbers).items()}
        by_place: dict[str, list[str]] = {}
        for number in numbers:
            if number not in refused:
                by_place.setdefault(place_of(number), []).append(number)
        for place, there in by_place.items():
            if self.opening(place) is None:
                refused |= {number: Refusal(Outcome.INVALID, self.never(place)) for number in there}
            else:
                capped = self.capped(there, place)
                refused |= {number: Refusal(Outcome.CAPPED, why) for number, why in capped.items()}
        return refused


def rules_for(options: Options, now: datetime, carrier: Carrier) -> Rules:
    """The rules for calls with these options that are started at `now` (aware)."""
    return Rules.of(options.traffic, options.rings_at(now), options.retries, carrier)


def on_list(name: str, reason: str) -> str:
    """That a number is on a suppression list, and why."""
    return f"On the suppression list “{name}”: {reason}"[:300]


def times(number: int) -> str:
    """ "once", "3 times"."""
    return {1: "once", 2: "twice"}.get(number, f"{number:,} times")


# --- Hand-over -----------------------------------------------------------------------------------------------------


def scheduled(group: CallGroup, sent_at: datetime) -> datetime | None:
    """The time that the carrier is asked to wait for by a request made at `sent_at`; None: it isn't, or it is past.

    The delay is in it: a carrier that is given both may count only one.
    """
    if group.waits != Waits.CARRIER or group.schedule_time is None or group.schedule_time <= sent_at:
        return None
    return group.schedule_time + timedelta(seconds=group.delay)


def delayed(group: CallGroup, sent_at: datetime) -> int:
    """The seconds of delay that the carrier is asked for by a request made at `sent_at`."""
    return group.delay if group.waits == Waits.CARRIER and not scheduled(group, sent_at) else 0


def rings_at(group: CallGroup, sent_at: datetime) -> datetime:
    """When phones ring if calls are handed over at `sent_at` (aware)."""
    return scheduled(group, sent_at) or sent_at + timedelta(seconds=delayed(group, sent_at))


def rules_of(group: CallGroup, sent_at: datetime, carrier: Carrier) -> Rules:
    """The rules for calls of this call group that are handed over at `sent_at` (aware)."""
    return Rules.of(group.traffic, rings_at(group, sent_at), group.retries, carrier)


def retries_of(batch: Batch) -> int:
    """The retries that the carrier was given with a batch."""
    retries: int = batch.rules[-1]["retries"] if batch.rules else batch.call_group.retries
    return retries


def rings_of(batch: Batch) -> int:
    """How often the carrier may make each number of a batch ring."""
    return 1 + retries_of(batch)


def keep(batch: Batch, checks: Rules, now: datetime) -> None:
    """Hold what can't ring now until it can: all batches of this place, so that they don't come up one by one."""
    until, kept_by = checks.kept(batch.place, now)
    there = Batch.objects.filter(call_group=batch.call_group_id, state=BatchState.PENDING, place=batch.place)
    there.filter(due_at__lt=until).update(due_at=until, kept_by=kept_by)


def take_out(group: CallGroup, batch: Batch, checks: Rules, held: QuerySet[Call], now: datetime) -> None:
    """End those held calls of a batch that must not be made."""
    numbers = list(held.values_list("number", flat=True))
    capped = checks.rule.cap is not None and not group.override_reason
    suppressed = checks.suppressed(numbers)
    _end(held, Status.DND, suppressed, now)
    if capped:
        _end(held, Status.CANCELLED, checks.capped(numbers, batch.place), now)


def _end(held: QuerySet[Call], status: Status, reasons: dict[str, str], now: datetime) -> None:
    """End the held calls to these numbers, each with its reason."""
    by_reason: dict[str, list[str]] = {}
    for number, reason in reasons.items():
        by_reason.setdefault(reason, []).append(number)
    for reason, numbers in by_reason.items():
        move(held.filter(number__in=numbers), status, PORTAL, reason[:200], ended_at=now)


def lock_cap(group: CallGroup) -> None:
    """Let nobody else count the rings of a number until this transaction ends, if they count for these calls.

    The call group is locked before, and nothing else.
    """
    if Rule.of(group.traffic).cap is not None and not group.override_reason:
        with connection.cursor() as cursor:
            cursor.execute(CAP_LOCK)


def may_ring_again(group: CallGroup, batch: Batch, carrier: Carrier) -> bool:
    """Whether the rules allow now that the request of an unconfirmed batch is made once more."""
    now = timezone.now()
    # Its request asks for the retries that it had, whatever the cap is now.
    rules = replace(rules_of(group, now, carrier), retries=retries_of(batch))
    numbers = list(calls_of(batch).filter(status=Status.UNCONFIRMED).values_list("number", flat=True))
    if rules.suppressed(numbers):
        return False
    if group.override_reason:
        return True
    if rules.opening(batch.place) != rules.rings_at:
        return False
    if rules.rule.cap is None:
        return True
    # Its calls count on the day for which they were sent: none of its attempts may fall on another one.
    moments = (rings_at(group, batch.sent_at or now), rules.rings_at, rules.rings_at + rules.span)
    same_day = len({rules.rule.day(batch.place, at) for at in moments}) == 1
    return same_day and not rules.capped(numbers, batch.place, but=group.pk)


def checked(group: CallGroup, batch: Batch, rules: Rules, now: datetime) -> dict[str, Any]:
    """What is written down of the checks before a hand-over at `now`: an entry of `Batch.rules`.

    Where the carrier holds the numbers, no list and no cap could be checked.
    """
    rule, place, numbers_known = rules.rule, batch.place, bool(batch.last)
    overridden = bool(group.override_reason)
    return {
        "at": now.isoformat(),
        "rings_at": rules.rings_at.isoformat(),
        "traffic": rule.traffic,
        "place": place,
        "local": rule.local(place, rules.rings_at),
        "hours": str(rule.hours),
        "weekdays": sorted(rule.weekdays),
        "holidays": rule.holidays,
        "holiday": rule.holiday(place, rules.rings_at),
        **_closed_days(rules, place),
        "numbers_known": numbers_known,
        "cap": rule.cap if numbers_known else None,
        "retries": group.retries if overridden else rules.retries,
        "lists": [_listed(each) for each in rules.lists.values()] if numbers_known else [],
        "override": _override(group) if overridden else None,
        "played": _played(group),
    }


def _closed_days(rules: Rules, place: str) -> dict[str, list[str]]:
    """The further closed days near those on which phones would ring there, and those of them on which they would."""
    moments = (rules.rings_at, rules.rings_at + rules.span)
    days = {at.astimezone(zone).date() for zone in rules.rule.clocks(place) for at in moments}
    near = [day for day in sorted(rules.rule.closed) if min(days) - HORIZON <= day <= max(days) + HORIZON]
    return {
        "closed_days": [day.isoformat() for day in near],
        "closed": [day.isoformat() for day in near if day in days],
    }


def _listed(each: SuppressionList) -> dict[str, Any]:
    scrubbed_on = each.scrubbed_on and each.scrubbed_on.isoformat()
    return {"id": each.pk, "name": each.name, "version": each.version, "scrubbed_on": scrubbed_on}


def _override(group: CallGroup) -> dict[str, str]:
    at = group.override_at.isoformat() if group.override_at else ""
    return {"reason": group.override_reason, "by": str(group.override_by or ""), "at": at}


def _played(group: CallGroup) -> dict[str, str]:
    """What is heard, by its reference and the SHA-256 of the portal's own file, or by that of the message."""
    number, _, kind = group.play.partition(".")
    if not kind:
        return {"reference": "", "sha256": digest_of(group.message)}
    sound = Sound.objects.filter(number=number).first() if kind == "sound" else None
    return {"reference": group.play, "sha256": sound.sha256 if sound else ""}


def digest_of(message: str) -> str:
    """The SHA-256 of a message that is spoken."""
    return hashlib.sha256(message.encode()).hexdigest()
