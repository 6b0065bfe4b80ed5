"""The calling rules at work: what is checked of calls before phones ring, and what is written down of it.

Both the plan and each hand-over check the same: calling hours and days where the people are, suppression lists, and how
often a number rings in a day. What counts is when phones ring, from the first attempt to the last retry, which the
carrier makes by itself.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Self

from django.db import connection
from django.db.models import F, QuerySet, Sum

from calls.carriers.base import Carrier
from calls.dialing.changes import PORTAL, calls_of, move
from calls.dialing.hours import HORIZON, Rule
from calls.dialing.places import place_of
from calls.dialing.request import Options
from calls.models import Batch, BatchState, Call, CallGroup, KeptBy, Outcome, Sound, SuppressionList, Waits
from calls.obd.statuses import Status

MARGIN = timedelta(minutes=2)
"""So long before closing nothing is handed over any more: the request and the dialling take their time."""

NOTICE = timedelta(minutes=17)
"""A carrier is told a time that is at least so far ahead: 15 minutes, as it demands, and some for the way there."""

RINGS_SQL = """
    SELECT {key}, sum(c.rings) AS rings
    FROM {numbers} JOIN calls_call AS c ON c.number = n.number JOIN calls_callgroup AS g ON g.id = c.call_group_id,
        LATERAL (SELECT CASE WHEN g.waits = 'carrier'
            THEN greatest(c.handed_over_at, coalesce(g.schedule_time, c.handed_over_at) + g.delay * interval '1 second')
            ELSE c.handed_over_at END AS at) AS first_ring
    WHERE c.rings > 0 AND g.id <> %(but)s
        AND first_ring.at < n.until AND greatest(first_ring.at + g.retries * %(gap)s * interval '1 second',
            CASE WHEN %(queues)s THEN coalesce(c.answered_at, c.ended_at, 'infinity') END) >= n.since
    GROUP BY {key}
"""
"""How often numbers `n` ring between `n.since` and `n.until`, or may yet, by all call groups but one.

A call counts on each day that it may ring on: where the carrier lets calls wait until it can dial them, it may ring
until it is known to be over.
"""

NUMBERS_SQL = """
    (SELECT unnest(%(numbers)s::text[]) AS number, %(since)s::timestamptz AS since, %(until)s::timestamptz AS until)
    AS n
"""

ON_LIST_SQL = "left('On the suppression list “' || l.name || '”: ' || s.reason, 300)"
"""That a number is on a suppression list `l`, and why (`s`)."""

LOOK_UP_SQL = """
    SELECT l.*, s.number, s.reason AS why FROM ({lists}) AS l
    LEFT JOIN calls_suppression AS s ON s.list_id = l.id AND s.number = ANY(%s) ORDER BY l.id
"""
"""The lists, each as often as it has some of these numbers, and once if it has none.

One statement, so that no import comes between the numbers of a list and its version.
"""

NO_GROUP = 0
"""No call group has this ID."""

COUNTS_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('calls a day', 0))"


@dataclass(frozen=True)
class Refusal:
    """Why a number is not called."""

    outcome: Outcome
    reason: str


@dataclass(frozen=True)
class Rules:
    """What is checked of calls that ring from `rings_at` (aware) on, each with `retries`.

    `gap` (in seconds) and `cps` are the carrier's. `queue` is how long it needs by then until it has begun all that it
    has, itself, of these calls, and of others: the last of them may ring so late.
    """

    rule: Rule
    rings_at: datetime
    retries: int
    gap: float
    cps: float
    queue: timedelta = timedelta(0)
    looked_at: Mapping[int, SuppressionList] | None = None

    @classmethod
    def of(
        cls, traffic: str, rings_at: datetime, retries: int, carrier: Carrier, queue: timedelta = timedelta(0)
    ) -> Self:
        """The rules as they are now. Where the cap allows fewer attempts than were asked for, there are fewer."""
        rule = Rule.of(traffic)
        if rule.cap is not None:
            retries = min(retries, max(rule.cap - 1, 0))
        return cls(rule, rings_at, retries, carrier.retry_gap, carrier.cps, queue)

    @cached_property
    def lists(self) -> Mapping[int, SuppressionList]:
        """The suppression lists that apply, by ID: as they were when numbers were looked up, or as they are now."""
        return self._applying().in_bulk() if self.looked_at is None else self.looked_at

    def _applying(self) -> QuerySet[SuppressionList, SuppressionList]:
        return SuppressionList.objects.applying(self.rule.traffic, self.rings_at).order_by("pk")

    @property
    def span(self) -> timedelta:
        """From the first attempt to the last one, with the margin."""
        return timedelta(seconds=self.retries * self.gap) + MARGIN

    @property
    def digest(self) -> str:
        """Tells by which rules calls are kept."""
        return digest_of_rule(self.rule, self.gap, self.cps)

    def dialling(self, calls: int) -> timedelta:
        """How long the carrier takes to begin all attempts of so many of these calls; no time if that isn't known."""
        return _dialling(calls * self.attempts, self.cps)

    def queue_at(self, at: datetime) -> timedelta:
        """What is left of the queue at `at` (aware)."""
        return max(self.queue - (at - self.rings_at), timedelta(0))

    def opening(self, place: str) -> datetime | None:
        """When phones in `place` may begin to ring (aware); None: never within HORIZON."""
        return self.rule.next_opening(place, self.rings_at, self.span, self.queue)

    def kept(self, place: str, now: datetime) -> tuple[datetime, KeptBy]:
        """Until when calls to `place` are kept from `now` (aware) on, and why.

        Where nobody can be called, that is when it is looked at again.
        """
        opens = self.opening(place)
        if opens is None:
            return now + HORIZON, KeptBy.NEVER
        return opens, KeptBy.CLOSING if self.rule.allows(place, self.rings_at) else KeptBy.HOURS

    def day(self, place: str) -> tuple[datetime, datetime]:
        """From when until when rings in `place` count for the cap: the day or days on which these calls would ring."""
        at = self.opening(place) or self.rings_at
        return self.rule.day(place, at)[0], self.rule.day(place, at + self.queue_at(at) + self.span)[1]

    def look_up(self, numbers: Collection[str]) -> tuple[dict[str, str], Self]:
        """Those of these numbers that must not be called, each with the list that says so and why.

        And these rules with the lists as they were in that very moment.
        """
        if not numbers:
            return {}, self
        applying, values = self._applying().query.sql_with_params()
        rows: Iterable[Any] = SuppressionList.objects.raw(LOOK_UP_SQL.format(lists=applying), [*values, list(numbers)])
        suppressed: dict[str, str] = {}
        lists: dict[int, SuppressionList] = {}
        for each in rows:
            lists[each.pk] = each
            if each.number:  # of several lists the first one says why
                suppressed.setdefault(each.number, on_list(each.name, each.why))
        return suppressed, replace(self, looked_at=lists)

    def rings(self, numbers: Collection[str], place: str, but: int = NO_GROUP) -> dict[str, int]:
        """How often these numbers, all in `place`, ring that day or may yet, by all call groups but this one.

        Those that don't are left out.
        """
        since, until = self.day(place)
        parameters: dict[str, Any] = {"numbers": list(numbers), "since": since, "until": until}
        parameters |= {"gap": self.gap, "queues": bool(self.cps), "but": but}
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

    def refusals(self, numbers: Collection[str]) -> tuple[dict[str, Refusal], Self]:
        """Those of these numbers (E.164) that are not called, each with why; and these rules as :meth:`look_up`."""
        suppressed, looked_up = self.look_up(numbers)
        refused = {number: Refusal(Outcome.SUPPRESSED, why) for number, why in suppressed.items()}
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
        return refused, looked_up


def rules_for(options: Options, now: datetime, carrier: Carrier) -> Rules:
    """The rules for calls with these options that are started at `now` (aware)."""
    at = options.rings_at(now)
    told_when = options.waits == Waits.CARRIER and options.schedule_time
    queue = timedelta(0) if told_when else _queue(carrier, now, at)
    return Rules.of(options.traffic, at, options.retries, carrier, queue)


def _dialling(attempts: int, cps: float) -> timedelta:
    return timedelta(seconds=attempts / cps) if cps else timedelta(0)


def _queue(carrier: Carrier, now: datetime, at: datetime, more: int = 0) -> timedelta:
    """How long the carrier needs from `at` on until it has begun all that it has by `now`, and so many attempts more.

    Each call counts with all attempts that it may take: more are never made. Calls that the carrier makes later by
    itself don't count.
    """
    if not carrier.cps:
        return timedelta(0)
    groups = CallGroup.objects.unfinished().filter(carrier=carrier.name)
    now_or_earlier = groups.exclude(waits=Waits.CARRIER, schedule_time__gt=at)
    return max(_dialling(_attempts(now_or_earlier) + more, carrier.cps) - (at - now), timedelta(0))


def _waiting_there(carrier: Carrier, at: datetime) -> int:
    """The attempts of all calls that the carrier waits with until a time about `at`, with which it begins then."""
    if not carrier.cps:
        return 0
    about = (at - timedelta(hours=12), at + timedelta(hours=12))
    groups = CallGroup.objects.unfinished().filter(carrier=carrier.name, waits=Waits.CARRIER)
    return _attempts(groups.filter(schedule_time__range=about))


def _attempts(groups: QuerySet[CallGroup, CallGroup]) -> int:
    """How often the calls of these call groups that the carrier has may ring; those that ended are not among them."""
    return groups.aggregate(n=Sum((F("open") - F("held")) * (F("retries") + 1)))["n"] or 0


def digest_of_rule(rule: Rule, gap: float, cps: float) -> str:
    """What is the same while the same calls are kept until the same time; `gap` (in seconds), `cps`: the carrier's."""
    days = sorted(rule.weekdays), sorted(rule.closed), rule.holidays
    told = str(rule.traffic), rule.hours, days, rule.cap, rule.here, gap, cps
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]


def on_list(name: str, reason: str) -> str:
    """That a number is on a suppression list, and why."""
    return f"On the suppression list “{name}”: {reason}"[:300]


def times(number: int) -> str:
    """ "once", "3 times"."""
    return {1: "once", 2: "twice"}.get(number, f"{number:,} times")


# --- Hand-over -----------------------------------------------------------------------------------------------------


def scheduled(group: CallGroup, sent_at: datetime) -> datetime | None:
    """The time that the carrier is asked to wait for by a request made at `sent_at`; None: it isn't.

    The delay is in it: a carrier that is given both may count only one.
    """
    at = rings_at(group, sent_at)
    asks = group.waits == Waits.CARRIER and group.schedule_time is not None and at - sent_at >= NOTICE
    return at if asks else None


def delayed(group: CallGroup, sent_at: datetime) -> int:
    """The seconds of delay that the carrier is asked for by a request made at `sent_at`."""
    return group.delay if group.waits == Waits.CARRIER and group.schedule_time is None else 0


def rings_at(group: CallGroup, sent_at: datetime) -> datetime:
    """When phones ring if calls are handed over at `sent_at` (aware), or as soon after it as they can be."""
    if group.waits != Waits.CARRIER:
        return sent_at
    return max(sent_at, (group.schedule_time or sent_at) + timedelta(seconds=group.delay))


def put_off(group: CallGroup, batch: Batch, checks: Rules, now: datetime) -> bool:
    """Whether a batch that is due has to wait, for calling hours or for its time: it is due then."""
    if not group.override_reason and checks.opening(batch.place) != checks.rings_at:
        _keep(batch, checks, now)
        return True
    return _waits_here(group, now)


def _waits_here(group: CallGroup, now: datetime) -> bool:
    """Whether the portal has to wait for the scheduled time, as it is too near to be told to the carrier.

    Later batches, pauses, and whatever else keeps calls bring that about. All of them are due then.
    """
    at = rings_at(group, now)
    if group.schedule_time is None or at <= now or scheduled(group, now):
        return False
    group.batches.filter(state=BatchState.PENDING, due_at__lt=at).update(due_at=at)
    return True


def rules_of(group: CallGroup, sent_at: datetime, carrier: Carrier, calls: int = 0) -> Rules:
    """The rules for so many calls of this call group, new to the carrier, that are handed over at `sent_at` (aware)."""
    at, attempts = rings_at(group, sent_at), 1 + group.retries
    if scheduled(group, sent_at):
        queue = _dialling(_waiting_there(carrier, at) + calls * attempts, carrier.cps)
    else:
        queue = _queue(carrier, sent_at, at, calls * attempts)
    return Rules.of(group.traffic, at, group.retries, carrier, queue)


def retries_of(batch: Batch) -> int:
    """The retries that the carrier was given with a batch."""
    retries: int = last_check(batch)["retries"] if batch.rules else batch.call_group.retries
    return retries


def last_check(batch: Batch) -> dict[str, Any]:
    """What was written down before the last hand-over of a batch (see :func:`checked`); empty if there was none."""
    return batch.rules[-1] if batch.rules else {}


def rings_of(batch: Batch) -> int:
    """How often the carrier may make each number of a batch ring."""
    return 1 + retries_of(batch)


def _keep(batch: Batch, checks: Rules, now: datetime) -> None:
    """Hold what can't ring now until it can: all batches of this place, so that they don't come up one by one."""
    until, kept_by = checks.kept(batch.place, now)
    there = Batch.objects.filter(call_group=batch.call_group_id, state=BatchState.PENDING, place=batch.place)
    there.filter(due_at__lt=until).update(due_at=until, kept_by=kept_by, kept_under=checks.digest)


def take_out(group: CallGroup, batch: Batch, checks: Rules, held: QuerySet[Call], now: datetime) -> Rules:
    """End those held calls of a batch that must not be made. Returns the rules with the lists as they were then."""
    numbers = list(held.values_list("number", flat=True))
    suppressed, checks = checks.look_up(numbers)
    _end(held, Status.DND, suppressed, now)
    if checks.rule.cap is not None and not group.override_reason:
        _end(held, Status.CANCELLED, checks.capped(numbers, batch.place), now)
    return checks


def _end(held: QuerySet[Call], status: Status, reasons: dict[str, str], now: datetime) -> None:
    """End the held calls to these numbers, each with its reason."""
    by_reason: dict[str, list[str]] = {}
    for number, reason in reasons.items():
        by_reason.setdefault(reason, []).append(number)
    for reason, numbers in by_reason.items():
        move(held.filter(number__in=numbers), status, PORTAL, reason[:200], ended_at=now)


def lock_counts(group: CallGroup, carrier: Carrier) -> None:
    """Let nobody else count until this transaction ends, if counts matter for these calls: rings, or the queue.

    The call group is locked before, and nothing else.
    """
    if (carrier.cps or Rule.of(group.traffic).cap is not None) and not group.override_reason:
        with connection.cursor() as cursor:
            cursor.execute(COUNTS_LOCK)


def may_ring_again(group: CallGroup, batch: Batch, now: datetime, carrier: Carrier) -> Rules | None:
    """The rules, if they allow at `now` that the request of an unconfirmed batch is made once more."""
    # Its request asks for the retries that it had, whatever the cap is now.
    rules = replace(rules_of(group, now, carrier), retries=retries_of(batch))
    numbers = list(calls_of(batch).filter(status=Status.UNCONFIRMED).values_list("number", flat=True))
    suppressed, rules = rules.look_up(numbers)
    if suppressed:
        return None
    if group.override_reason:
        return rules
    if rules.opening(batch.place) != rules.rings_at:
        return None
    if rules.rule.cap is None:
        return rules
    # Its calls count on the day for which they were sent: none of its attempts may fall on another one.
    last = rules.rings_at + rules.queue + rules.span
    moments = (rings_at(group, batch.sent_at or now), rules.rings_at, last)
    same_day = len({rules.rule.day(batch.place, at) for at in moments}) == 1
    return rules if same_day and not rules.capped(numbers, batch.place, but=group.pk) else None


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


def planned(rules: Rules, now: datetime) -> dict[str, Any]:
    """What is written down of the checks of a plan at `now`: an entry of `CallRequest.rules`.

    It holds for numbers in many places: :func:`there` adds what concerns one.
    """
    entry = checked(CallGroup(), Batch(first=1, last=1, place=""), rules, now)
    return entry | {"local": {}, "holiday": "", "closed": [], "played": None}


def there(entry: dict[str, Any], place: str, rule: Rule) -> dict[str, Any]:
    """What was checked of a plan, with what clocks and calendars in `place` said; `rule` is one of its traffic type."""
    at = datetime.fromisoformat(entry["rings_at"])
    rule = replace(rule, holidays=entry["holidays"])
    days = {f"{at.astimezone(zone):%Y-%m-%d}" for zone in rule.clocks(place)}
    closed = [day for day in entry["closed_days"] if day in days]
    facts = {"local": rule.local(place, at), "holiday": rule.holiday(place, at), "closed": closed}
    return entry | {"place": place} | facts


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
