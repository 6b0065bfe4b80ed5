"""Simulated days with shifting clocks, holidays, retries, caps, and rules and lists that change meanwhile.

Each hand-over is judged by what this file knows by itself: its own clocks, holidays, lists and count of rings.
"""

import random
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db.models import Q
from django.utils import timezone
from pytest_django import Settings

from calls.carriers.base import Accepted, NotTaken, Order, Report, Unconfirmed
from calls.dialing import handover, progress, start, steer
from calls.models import (
    Batch,
    BatchState,
    Call,
    CallGroup,
    CallingRule,
    CarrierState,
    GroupState,
    Suppression,
    SuppressionList,
    Traffic,
    User,
    Waits,
)
from calls.obd.statuses import FINAL
from tests.dialing.helpers import Carrier, use
from tests.factories import make_group, make_request, make_user, number

BEGINS = datetime(2026, 3, 27, tzinfo=UTC)
"""Clocks in Britain are changed on the 29th; 3 April is Good Friday."""

DAYS = 8
GAP = timedelta(minutes=50)
"""Between two attempts of the carrier."""

AMERICA = ("Adak", "Anchorage", "Boise", "Chicago", "Denver", "Juneau", "Los_Angeles", "New_York", "Phoenix")
PEOPLE: dict[str, tuple[str, tuple[str, ...]]] = (
    {number(i): ("GB", ("Europe/London",)) for i in range(5)}
    | {f"+1202555010{i}": ("US", ("America/New_York",)) for i in range(4)}
    # Free of charge, so it may be answered anywhere.
    | {"+18005550100": ("US", (*(f"America/{name}" for name in AMERICA), "Pacific/Honolulu"))}
    | {"+918123456789": ("IN", ("Asia/Calcutta",)), "+917410410123": ("IN", ("Asia/Calcutta",))}
)
HOLIDAYS = {"GB": {date(2026, 4, 3)}, "IN": {date(2026, 3, 31), date(2026, 4, 3)}, "US": set[date]()}


@dataclass
class Ring:
    """An attempt that the carrier makes, or may make."""

    number: str
    at: datetime
    really: bool


@dataclass
class Network(Carrier):
    """A carrier that rings by itself, remembers it, and fails in all the ways that matter."""

    drawn: random.Random
    judge: Callable[[Order], None]
    rings: list[Ring] = field(default_factory=list)
    reports: list[tuple[datetime, int, Report]] = field(default_factory=list)  # type: ignore[assignment]
    answers: dict[str, Accepted] = field(default_factory=dict)
    account = "an account"
    idempotent_seconds = 86_400
    retry_gap = GAP.total_seconds()

    def check(self) -> str:
        return "It answers."

    def place(self, order: Order) -> Accepted:
        self.judge(order)
        ending = self.drawn.choices(["taken", "not taken", "lost request", "lost answer"], [14, 3, 1, 1])[0]
        if ending == "not taken":
            raise NotTaken("Connection refused.", retry_after=self.drawn.choice([None, 1800]))
        if ending == "lost request":
            raise Unconfirmed("The request was lost.")
        if order.key not in self.answers:
            self.answers[order.key] = Accepted(ids={call.obd_id: call.obd_id for call in order.calls})
            self._ring(order)
        if ending == "lost answer":
            raise Unconfirmed("The answer was lost.")
        return self.answers[order.key]

    def _ring(self, order: Order) -> None:
        for call, attempts in possible(order):
            last = self.drawn.choice([*range(len(attempts)), len(attempts) - 1])
            self.rings += [Ring(call.number, at, really=n <= last) for n, at in enumerate(attempts)]
            answered = self.drawn.random() < 0.5 or last < len(attempts) - 1
            word = "COMPLETED" if answered else "NOANSWER"
            report = Report(call.number, word, obd_id=call.obd_id, retries=last)
            over = attempts[last] + timedelta(minutes=self.drawn.choice([1, 300]))
            self.reports.append((over, int(call.obd_id.partition("-")[0]), report))

    def took(self, obd_id: str) -> bool:
        return any(obd_id in answer.ids for answer in self.answers.values())


def possible(order: Order) -> list[tuple[Any, list[datetime]]]:
    """Each call of an order with all moments at which its phone may ring."""
    first = (order.schedule_time or timezone.now()) + timedelta(seconds=order.delay)
    return [(call, [first + GAP * n for n in range(order.retries + 1)]) for call in order.calls]


class Week:
    """The days, what people do in them, and what this file thinks of each hand-over."""

    def __init__(self, seed: int, user: User) -> None:
        self.drawn = random.Random(seed)
        self.user = user
        self.now = BEGINS
        self.carrier = Network(self.drawn, self.judge)
        self.placed: list[str] = []
        self.wrong: list[object] = []
        self.lists: dict[int, tuple[bool, date | None, set[str]]] = {}
        for name, promotional_only, ends_on in (
            ("Asked us", False, None),
            ("Register", True, None),
            ("Until Monday", False, date(2026, 3, 30)),
        ):
            row = SuppressionList.objects.create(name=name, promotional_only=promotional_only, ends_on=ends_on)
            self.lists[row.pk] = (promotional_only, ends_on, set())
        self.rules: dict[str, dict[str, Any]] = {}
        for traffic in Traffic:
            self.change_rule(traffic)

    # --- The judge -------------------------------------------------------------------------------------------------

    def judge(self, order: Order) -> None:
        """Note what is wrong with an order: an exception here would be the carrier's, which is caught."""
        group = CallGroup.objects.get(pk=order.calls[0].obd_id.partition("-")[0])
        rule = self.rules[group.traffic]
        if group.state != GroupState.RUNNING:
            self.wrong.append((self.now, group.state))
        for call, attempts in possible(order):
            self.placed.append(call.obd_id)
            if self.suppressed(call.number, group.traffic, attempts[0]):
                self.wrong.append((self.now, call, "suppressed"))
            if group.override_reason:
                continue
            # The request and the dialling take a moment.
            late = [
                at for at in (*attempts, attempts[-1] + timedelta(minutes=1)) if not self.open(rule, call.number, at)
            ]
            if late:
                self.wrong.append((self.now, call, late, rule))
            # A request that is repeated with its key rings nobody anew.
            if rule["daily_cap"] is not None and order.key not in self.carrier.answers:
                used = self.used(call.number, attempts)
                if used + len(attempts) > rule["daily_cap"]:
                    self.wrong.append((self.now, call, used, attempts, rule))

    def suppressed(self, called: str, traffic: str, at: datetime) -> bool:
        day = at.astimezone(ZoneInfo("Etc/GMT+12")).date()  # where each day ends last
        return any(
            called in numbers and (traffic == "promotional" or not only) and (ends_on is None or day <= ends_on)
            for only, ends_on, numbers in self.lists.values()
        )

    def open(self, rule: dict[str, Any], called: str, at: datetime) -> bool:
        country, zones = PEOPLE[called]
        opens, closes = (time.fromisoformat(part) for part in rule["hours"].split("-"))
        clocks = [at.astimezone(ZoneInfo(zone)) for zone in zones]
        return all(
            opens <= clock.time() < closes
            and clock.weekday() in rule["weekdays"]
            and clock.date().isoformat() not in rule["closed_days"]
            and not (rule["holidays"] and clock.date() in HOLIDAYS[country])
            for clock in clocks
        )

    def used(self, called: str, attempts: list[datetime]) -> int:
        """How often the phone really rings on the days of these attempts, by its own calendar."""

        def days(at: datetime) -> set[tuple[str, date]]:
            return {(zone, at.astimezone(ZoneInfo(zone)).date()) for zone in PEOPLE[called][1]}

        new = set().union(*map(days, attempts))
        return sum(ring.really and ring.number == called and bool(days(ring.at) & new) for ring in self.carrier.rings)

    # --- What people do --------------------------------------------------------------------------------------------

    def act(self) -> None:
        acts = [self.begin, self.begin, self.begin, self.suppress, self.suppress, self.release, self.rule, self.steer]
        with suppress(steer.NotPossible, start.CannotStart):
            self.drawn.choice(acts)()

    def begin(self) -> None:
        called = self.drawn.sample(sorted(PEOPLE), self.drawn.randint(2, 6))
        waits = self.drawn.choice([Waits.PORTAL, Waits.PORTAL, Waits.CARRIER])
        later = self.drawn.choice([None, None, timedelta(hours=self.drawn.randint(1, 30))])
        request = make_request(
            self.user,
            contact_groups=(make_group(numbers=called).pk,),
            traffic=self.drawn.choice([*Traffic]),
            retries=self.drawn.randint(0, 2),
            waits=waits,
            schedule_time=self.now + later if later else None,
            delay=self.drawn.choice([0, 0, 240]),
        )
        start.start(request.pk)

    def suppress(self) -> None:
        pk, called = self.drawn.choice([*self.lists]), self.drawn.choice(sorted(PEOPLE))
        Suppression.objects.get_or_create(list_id=pk, number=called, defaults={"reason": "Asked"})
        self.lists[pk][2].add(called)

    def release(self) -> None:
        pk = self.drawn.choice([*self.lists])
        Suppression.objects.filter(list_id=pk).delete()
        self.lists[pk][2].clear()

    def rule(self) -> None:
        self.change_rule(self.drawn.choice([*Traffic]))

    def change_rule(self, traffic: Traffic) -> None:
        self.rules[traffic] = {
            "hours": self.drawn.choice(["09:00-21:00", "10:00-19:00", "08:00-22:30"]),
            "weekdays": self.drawn.choice([[*range(7)], [0, 1, 2, 3, 4], [0, 1, 3, 5, 6]]),
            "holidays": self.drawn.random() < 0.6,
            "closed_days": self.drawn.choice([[], ["2026-04-01"]]),
            "daily_cap": self.drawn.choice([None, 1, 3, 4]),
        }
        CallingRule.objects.update_or_create(traffic=traffic, defaults=self.rules[traffic])
        steer.rules_changed(traffic)

    def steer(self) -> None:
        group = self.drawn.choice(list(CallGroup.objects.unfinished()) or [None])
        act = self.drawn.choices(["pause", "resume", "cancel", "override"], [3, 4, 1, 1])[0]
        if group is None:
            return
        if act == "override":
            steer.override(group.pk, self.user, "A flood is coming.")
        else:
            getattr(steer, act)(group.pk, self.user)

    def settle(self) -> None:
        """The carrier is asked in vain now and then; the operator finds out what really happened."""
        Batch.objects.filter(state=BatchState.UNCONFIRMED, sent_at__lt=self.now - timedelta(hours=2)).update(
            repeats=True
        )
        for batch in Batch.objects.filter(state=BatchState.UNCONFIRMED, sent_at__lt=self.now - timedelta(hours=5)):
            steer.settle(batch.pk, self.user, placed=self.carrier.took(f"{batch.call_group_id}-{batch.first}"))

    # --- Time ------------------------------------------------------------------------------------------------------

    def run(self, until: datetime, gap: int) -> None:
        """Let time pass, with something done every `gap` minutes at most; 0: nobody does anything more."""
        next_act = self.now
        while self.now < until:
            pending = Batch.objects.filter(state=BatchState.PENDING, call_group__state=GroupState.RUNNING)
            due = pending.order_by("due_at").values_list("due_at", flat=True).first()
            moments = [each for each in (due, next_act if gap else None) if each]
            self.now = max(self.now + timedelta(minutes=1), min([*moments, self.now + timedelta(hours=6)]))
            if gap and self.now >= next_act:
                next_act = self.now + timedelta(minutes=self.drawn.randint(1, gap))
                self.act()
            self.report()
            self.settle()
            waits = Q(state=BatchState.PENDING, due_at__lte=self.now) | Q(state=BatchState.UNCONFIRMED, repeats=True)
            work = Batch.objects.filter(waits, call_group__state=GroupState.RUNNING)
            for group in work.values_list("call_group", flat=True).distinct():
                handover.hand_over(group, 0)

    def report(self) -> None:
        """What the carrier tells by now; that calls are over can come late."""
        told: dict[int, list[Report]] = defaultdict(list)
        for over, group, report in self.carrier.reports:
            if over <= self.now:
                told[group].append(report)
        self.carrier.reports = [each for each in self.carrier.reports if each[0] > self.now]
        for group, reports in told.items():
            progress.record(group, reports, "carrier", BEGINS)


@pytest.mark.django_db
@pytest.mark.parametrize("seed", [1, 2])
def test_nobody_is_called_against_the_rules_and_everybody_else_is(
    seed: int, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.CALLING_HOURS = "09:00-21:00"
    user = make_user("admin")
    week = Week(seed, user)
    monkeypatch.setattr(timezone, "now", lambda: week.now)
    use(week.carrier, monkeypatch)
    monkeypatch.setattr(start, "MAX_CALLS", 2)  # several batches from few numbers
    CarrierState.objects.create(name="sandbox", idempotent_account="an account", idempotent_seconds=86_400)
    week.run(BEGINS + timedelta(days=DAYS), gap=300)
    for group in CallGroup.objects.filter(state=GroupState.PAUSED):
        steer.resume(group.pk, user)
    week.run(week.now + timedelta(days=9), gap=0)

    calls = list(Call.objects.select_related("call_group"))
    assert not week.wrong
    assert len(week.placed) > 60
    assert not [call for call in calls if call.status not in FINAL]
    for call in calls:
        if call.handed_over_at is None and call.call_group.state != GroupState.CANCELLED:
            note = call.timeline[-1][4]
            assert (call.status, "suppression list" in note) == ("DND", True) or "a day. Call it on another day" in note
