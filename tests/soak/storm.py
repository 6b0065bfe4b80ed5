"""The storm: an operator starts calls while workers, web process, database and carrier fail at random.

Django must be set up before this is imported.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from calls.carriers import get_carrier
from calls.dialing import steer
from calls.dialing.plan import make_plan
from calls.dialing.request import Options
from calls.dialing.rules import rules_for
from calls.dialing.start import Starter, start, start_listed
from calls.models import Batch, BatchState, Call, CallGroup, CallRequest, GroupState, User
from tests.soak import judge
from tests.soak.carrier import MOMENTS, Seen, StormCarrier
from tests.soak.processes import Database, Portal
from tests.soak.weather import Weather

T = TypeVar("T")

PATIENCE = 150.0
"""Seconds for which something is waited for."""

AWAY = 60.0
"""Seconds for which the operator tries again while the database is away."""

CANCELLED = 3
"""Call groups that are cancelled in a storm, at most."""

CAMPAIGNS = ("Survey", "Reminder", "Invitation")


class Failed(Exception):
    """Something did not hold; `str()` lists what."""


def number(i: int) -> str:
    """The i-th number that rings nowhere: 555-01xx in each area of North America."""
    area, last = divmod(i, 100)
    return f"+1{AREAS[area]}55501{last:02}"


# Those that phonenumbers takes for areas; the list would only get old here.
AREAS: list[int] = []


def patient(act: Callable[[], T]) -> T:
    """What `act` returns, as soon as the database is there."""
    gives_up = time.monotonic() + AWAY
    while True:
        try:
            return act()
        except (OperationalError, InterfaceError):
            if time.monotonic() > gives_up:
                raise
            with suppress(Exception):  # a broken connection may complain when it is closed
                connection.close()
            time.sleep(0.2)


@dataclass
class Figures:
    """What is told at the end."""

    rows: dict[str, str] = field(default_factory=dict)

    def tell(self, name: str, value: object) -> None:
        self.rows[name] = f"{value:,}" if isinstance(value, int) else str(value)


@dataclass(frozen=True)
class Scene:
    """Where it all happens."""

    portal: Portal
    database: Database
    carrier: StormCarrier


class Chaos(threading.Thread):
    """Kills, stops and refuses, until it has been as often as the weather says: then `enough` is set."""

    def __init__(self, rng: random.Random, weather: Weather, scene: Scene) -> None:
        super().__init__()
        self._rng, self._weather = rng, weather
        self._portal, self._database, self._carrier = scene.portal, scene.database, scene.carrier
        self.enough = threading.Event()
        self._stopped = threading.Event()
        self.error: BaseException | None = None
        self.killed = self.web_killed = 0

    def run(self) -> None:
        try:
            for act, at in self._acts():
                while time.monotonic() < at:
                    if self._stopped.wait(max(0.0, at - time.monotonic())):
                        return
                act()
        except Exception as error:  # noqa: BLE001 - it is told by the one who waits for us
            self.error = error
        finally:
            self.enough.set()

    def stop(self) -> None:
        """Begin nothing more, and end."""
        self._stopped.set()
        self.join()

    def _acts(self) -> list[tuple[Callable[[], object], float]]:
        now, weather = time.monotonic(), self._weather
        acts: list[tuple[Callable[[], object], int]] = [
            (self._kill_worker, weather.workers),
            (self._kill_web, weather.web),
            (lambda: self._database.crash(self._rng), weather.database),
            (lambda: self._carrier.refuse_connections(self._rng.uniform(1, 4)), weather.deaf),
        ]
        spread = [
            (act, now + self._rng.uniform(0.03, 1) * weather.seconds) for act, times in acts for _ in range(times)
        ]
        return sorted(spread, key=lambda each: each[1])

    def _kill_worker(self) -> None:
        """One at any moment, or one that is just handing over; the latter may take a while to come."""
        before = self._deaths()
        if self._rng.random() < 0.5:
            self._carrier.aim = self._rng.choice(MOMENTS)
            self._stopped.wait(1)
            self._carrier.aim = ""
        while self._deaths() == before and not self._stopped.is_set():
            if not self._portal.kill_worker(self._rng.choice(self._portal.pids)):
                time.sleep(0.05)
        self.killed += 1

    def _deaths(self) -> int:
        return sum(death.killed for death in self._portal.deaths)

    def _kill_web(self) -> None:
        if self._portal.web and self._portal.web.kill():
            self.web_killed += 1


class Storm:
    """One run of calls through the storm, and the judgement of it."""

    def __init__(self, seed: int, weather: Weather, scene: Scene, first_number: int) -> None:
        self._rng = random.Random(seed)
        self._weather, self._scene = weather, scene
        self._portal, self._database, self._carrier = scene.portal, scene.database, scene.carrier
        self._number = first_number
        self._began_log = len(scene.carrier.log)
        self._user = User.objects.get(username="admin")
        self.figures = Figures()
        self.wrong: list[str] = []
        self._cancelled = 0
        self._not_placed: set[str] = set()

    def run(self) -> None:
        """Everything, in order. Raises Failed."""
        began = time.monotonic()
        weather = self._weather
        self._carrier.begun.clear()
        self._carrier.most_at_once, self._carrier.calm, self._carrier.thinks = 0, False, weather.thinks
        settings.CARRIER_CONNECTIONS = weather.connections
        self._portal.work(CARRIER_CONNECTIONS=str(weather.connections), CARRIER_RATE=str(weather.rate))
        chaos = Chaos(random.Random(self._rng.random()), weather, self._scene)
        chaos.start()
        try:
            self._operate(chaos)
        finally:
            chaos.stop()
        if chaos.error:
            raise Failed(f"the storm itself broke: {chaos.error!r}") from chaos.error
        self._carrier.calm = True
        stormed = time.monotonic() - began
        self._await(judge.not_at_rest)
        rested = time.monotonic() - began
        self._judge_storm(chaos)
        self._settle()
        self._await(judge.not_final, resume=True)
        self._await(lambda: [] if self._carrier.caller.idle else ["callbacks wait"])
        self._judge_end()
        self.figures.tell("seconds of storm", f"{stormed:.0f}")
        self.figures.tell("seconds until all was at rest", f"{rested - stormed:.0f}")
        self.figures.tell("seconds in all", f"{time.monotonic() - began:.0f}")
        if self.wrong:
            raise Failed("\n".join(self.wrong))

    @property
    def log(self) -> list[Seen]:
        """What the carrier has seen in this run."""
        return self._carrier.log[self._began_log :]

    # --- The operator ---------------------------------------------------------------------------------------------

    def _operate(self, chaos: Chaos) -> None:
        sizes = self._sizes()
        gap = self._weather.seconds * self._weather.spread / len(sizes)
        began = time.monotonic()
        steered = began
        for i in range(len(sizes) + 1):
            if i < len(sizes):
                self._start(sizes[i])
            while (time.monotonic() < began + i * gap or i == len(sizes)) and not chaos.enough.is_set():
                time.sleep(0.05)
                if time.monotonic() > steered + 1:
                    patient(self._steer)
                    steered = time.monotonic()
        gives_up = time.monotonic() + PATIENCE
        while not patient(self._few_wait) and time.monotonic() < gives_up:
            time.sleep(1)
            patient(self._steer)

    def _few_wait(self) -> bool:
        """Whether most batches have been handed over, so that the storm has not missed them."""
        waiting = Batch.objects.filter(state=BatchState.PENDING, call_group__state=GroupState.RUNNING)
        return waiting.count() < Batch.objects.count() * 0.1

    def _sizes(self) -> list[int]:
        """Calls of each request: many small ones, some large."""
        sizes = []
        left, largest = self._weather.calls, self._weather.largest
        while left:
            most = self._rng.choices([40, 200, 700, 2000], [55, 30, 12, 3])[0]
            sizes.append(min(self._rng.randint(1, min(most, largest)), left))
            left -= sizes[-1]
        return sizes

    def _start(self, size: int) -> None:
        numbers = [number(i) for i in range(self._number, self._number + size)]
        self._number += size
        if self._rng.random() < 0.3:
            campaign = self._rng.choice(CAMPAIGNS)
            patient(lambda: self._start_listed(numbers, Options(play="1.sound", newgroup=False, campaign=campaign)))
        else:
            options = Options(play="1.sound", campaign=f"Campaign {self._rng.randint(1, 9)}")
            request = patient(lambda: self._plan(numbers, options))
            patient(lambda: start(request.pk))

    def _plan(self, numbers: Sequence[str], options: Options) -> CallRequest:
        request = CallRequest.objects.create(
            owner=self._user, typed={"numbers": "\n".join(numbers)}, options=options.as_json()
        )
        make_plan(request)
        request.refresh_from_db()
        return request

    def _start_listed(self, numbers: Sequence[str], options: Options) -> None:
        """As the API does. Whether an answer of the database that was lost said yes is looked up."""
        if not Call.objects.filter(number=numbers[0]).exists():
            now = timezone.now()
            with transaction.atomic():
                checks = rules_for(options, now, get_carrier(settings.CARRIER))
                start_listed(Starter(self._user), options, [(number, "") for number in numbers], checks, now)

    def _steer(self) -> None:
        """Resume what a refusal has paused, mostly; now and then pause or cancel one."""
        for group in CallGroup.objects.filter(state=GroupState.PAUSED):
            if self._rng.random() < 0.3:
                steer.resume(group.pk, self._user)
        if self._rng.random() < 0.1:
            running = CallGroup.objects.unfinished().filter(state=GroupState.RUNNING, held__gt=0).order_by("?").first()
            steered = steer.cancel if self._cancelled < CANCELLED and self._rng.random() < 0.3 else steer.pause
            if running:
                self._cancelled += steered is steer.cancel
                with suppress(steer.NotPossible):
                    steered(running.pk, self._user)

    def _resume_all(self) -> None:
        for group in CallGroup.objects.filter(state=GroupState.PAUSED):
            steer.resume(group.pk, self._user)

    def _settle(self) -> None:
        """Say of each unconfirmed batch what the carrier did with it."""
        by_key = {seen.key: seen for seen in self.log if seen.key}
        placed = 0
        for batch in Batch.objects.filter(state=BatchState.UNCONFIRMED):
            seen = by_key.get(str(batch.order_key))
            taken = seen is not None and seen.taken
            try:
                steer.settle(
                    batch.pk, self._user, placed=taken, carrier_group=str(seen.group) if seen and taken else ""
                )
            except steer.NotPossible:
                continue  # by a callback, just now
            placed += taken
            if not taken:
                self._not_placed.add(str(batch.order_key))
        self.figures.tell("settled: placed", placed)
        self.figures.tell("settled: not placed", len(self._not_placed))

    def _await(self, what_is_left: Callable[[], list[str]], resume: bool = False) -> None:
        """Wait until nothing is left. Raises Failed."""
        gives_up = time.monotonic() + PATIENCE
        while left := patient(what_is_left):
            if time.monotonic() > gives_up:
                raise Failed("\n".join(["not done in time:", *left]))
            if resume:
                self._resume_all()
            time.sleep(0.5)

    # --- The judgement --------------------------------------------------------------------------------------------

    def _judge_storm(self, chaos: Chaos) -> None:
        unconfirmed = list(Batch.objects.filter(state=BatchState.UNCONFIRMED))
        troubles = judge.Troubles(self._portal.deaths, self._database.outages, settings.OBD_TIMEOUT)
        self.wrong += judge.rang_twice(self.log)
        self.wrong += judge.not_ambiguous(self.log, unconfirmed, troubles, self._carrier.deaf)
        self.wrong += judge.wrong_tallies()
        log, tell = self.log, self.figures.tell
        tell("calls", self._weather.calls)
        tell("call groups", CallGroup.objects.count())
        tell("batches", Batch.objects.count())
        tell("workers killed", chaos.killed)
        tell("web process killed", chaos.web_killed)
        tell("database stopped hard", len(self._database.outages))
        tell("requests to the carrier", len(log))
        tell("orders read", sum(seen.is_order for seen in log))
        tell("orders taken", sum(seen.taken for seen in log))
        for kind in sorted({seen.kind.name for seen in log}):
            tell(f"  {kind}", sum(seen.kind.name == kind for seen in log))
        tell("most requests at once", self._carrier.most_at_once)
        tell("most requests begun in a second", self._carrier.most_begun_in(1.0))
        tell("unconfirmed before settling", f"{len(unconfirmed)} batches")
        evidence = Batch.objects.exclude(settled="").exclude(settled__startswith="Settled by ")
        tell("settled by evidence", evidence.count())
        for status, calls in sorted(judge.all_statuses().items()):
            tell(f"  {status}", calls)

    def _judge_end(self) -> None:
        self.wrong += judge.rang_twice(self.log, self._not_placed)
        self.wrong += judge.wrong_tallies()
        self.wrong += judge.wrong_ends(self._carrier)
        self.wrong += judge.wrong_answers(self._carrier)
        self.wrong += judge.too_fast(self._carrier, self._weather.connections, self._weather.rate)
        for what, times in sorted(self._carrier.caller.answers.items()):
            self.figures.tell(f"callbacks: {what}", times)
