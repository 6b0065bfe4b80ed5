"""The pace of requests to a carrier, which all threads and processes share: neither limit is ever exceeded.

The carrier is on the loopback and says what it saw. Nothing here asserts how fast anything is.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from random import Random
from urllib.parse import urlsplit

import psycopg
import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from calls.carriers import get_carrier
from calls.carriers.base import CarrierError, NotTaken, Refused, Stopped, Unconfirmed
from calls.carriers.obd import ObdCarrier
from calls.dialing import handover, pacing
from calls.dialing.pacing import NotNow, one_request, turn
from calls.models import CallGroup, CarrierBreaker, CarrierConnection, CarrierRequest, CarrierState, RequestKind
from tests.dialing.helpers import at_the_same_moment
from tests.factories import make_call_group, make_user
from tests.ground.processes import ROOT, wait_until
from tests.obd_server import KEY, Break, Fault, ObdServer, Received, Refuse

pytestmark = pytest.mark.django_db(transaction=True)

CONNECTIONS, RATE = 4, 20


@pytest.fixture
def server(settings: Settings) -> Iterator[ObdServer]:
    """A carrier that is the one of the settings."""
    with ObdServer() as server:
        settings.CARRIER, settings.OBD_BASE_URL, settings.OBD_API_KEY = "obd", server.url, KEY
        settings.CARRIER_RATE, settings.CARRIER_CONNECTIONS, settings.OBD_TIMEOUT = float(RATE), CONNECTIONS, 10.0
        get_carrier.cache_clear()
        yield server
        carrier = get_carrier("obd")
        assert isinstance(carrier, ObdCarrier)
        carrier.close()
        get_carrier.cache_clear()


class Processes:
    """Processes that make requests, on the database of the test."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._database = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, kind: RequestKind, threads: int, requests: int) -> int:
        """Begin with so many requests in each thread, with the settings of now: the ID of the process."""
        command = [sys.executable, "-m", "tests.carriers.requester", str(kind), str(threads), str(requests)]
        names = ("CARRIER", "OBD_BASE_URL", "OBD_API_KEY", "OBD_TIMEOUT", "CARRIER_RATE", "CARRIER_CONNECTIONS")
        environment = {name: str(getattr(self._settings, name)) for name in names}
        environment["DATABASE_URL"] = self._database.geturl()
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment)
        self.started.append(process)
        return process.pid

    def end(self) -> list[int]:
        """Wait until all have ended: how they did."""
        return [process.wait(120) for process in self.started]


@pytest.fixture
def processes(server: ObdServer, settings: Settings) -> Iterator[Processes]:
    processes = Processes(settings)
    yield processes
    for process in processes.started:
        process.kill()
        process.wait()


def sender(request: Received) -> int:
    """The process that made a request."""
    return int(request.parameters["id"].partition("-")[0])


# --- Limits --------------------------------------------------------------------------------------------------------


def test_connections_are_never_exceeded_by_processes_and_threads_even_when_they_die(
    server: ObdServer, processes: Processes, settings: Settings
) -> None:
    settings.OBD_TIMEOUT = 3.0  # so that the connections of the dead are soon taken again
    random = Random(4)
    server.takes = lambda: random.uniform(0.0, 0.5)
    doomed = {processes.start(RequestKind.CALL, 3, 1_000), processes.start(RequestKind.STATUS, 3, 1_000)}
    for kind in (RequestKind.CALL, RequestKind.STATUS):
        processes.start(kind, 3, 10)
    lock = threading.Lock()

    def kill_in_the_middle(request: Received) -> None:
        with lock:
            if sender(request) in doomed and len(server.begun) > 20 * (3 - len(doomed)):
                doomed.discard(sender(request))
                os.kill(sender(request), signal.SIGKILL)

    server.meanwhile = kill_in_the_middle
    wait_until(lambda: not doomed, "both are killed in the middle of a request")
    processes.start(RequestKind.CHECK, 2, 5)
    assert sorted(processes.end()) == [-signal.SIGKILL, -signal.SIGKILL, 0, 0, 0]
    assert len(server.begun) > 70
    assert 2 <= server.most_at_once <= CONNECTIONS
    assert server.most_begun_in(1.0) <= RATE


def test_rate_is_never_exceeded_by_processes_and_threads(server: ObdServer, processes: Processes) -> None:
    for kind in (RequestKind.CALL, RequestKind.CHECK, RequestKind.CALL):
        processes.start(kind, 4, 10)
    assert processes.end() == [0, 0, 0]
    assert len(server.begun) == 120
    assert server.most_begun_in(1.0) <= RATE
    assert server.most_at_once <= CONNECTIONS


def test_questions_take_half_of_the_turns_at_most(server: ObdServer) -> None:
    def ask() -> None:
        for _ in range(5):
            succeed(RequestKind.STATUS)

    began = time.monotonic()
    at_the_same_moment(*[ask] * 6)
    # The first may begin at once, each further one two turns after the one before.
    assert time.monotonic() - began >= 29 * 2 / RATE


def test_nobody_begins_late_with_a_slot_that_has_gone_by(server: ObdServer) -> None:
    carrier = get_carrier("obd")
    with turn(carrier, RequestKind.CALL) as mine:
        first = CarrierState.objects.get().next_slot
        time.sleep(2 * pacing.LATE)
        with mine.request():
            assert CarrierState.objects.get().next_slot > first, "it took another one"


# --- Connections of the dead ---------------------------------------------------------------------------------------


def killed_in_the_middle(server: ObdServer, processes: Processes) -> CarrierConnection:
    """The connection of a process that was killed during its request."""
    server.meanwhile = lambda request: os.kill(sender(request), signal.SIGKILL)
    processes.start(RequestKind.CALL, 1, 1)
    assert processes.end() == [-signal.SIGKILL]
    (lease,) = CarrierConnection.objects.all()
    assert timezone.now() < lease.leased_until <= timezone.now() + timedelta(seconds=pacing._lease())
    server.meanwhile = lambda request: None
    return lease


def test_the_connection_of_a_killed_process_is_free_before_its_lease_ends(
    server: ObdServer, processes: Processes, settings: Settings
) -> None:
    settings.CARRIER_CONNECTIONS = 1
    settings.OBD_TIMEOUT = 600.0
    lease = killed_in_the_middle(server, processes)
    with one_request(get_carrier("obd"), RequestKind.CALL):
        get_carrier("obd").check()
    lease.refresh_from_db()
    assert lease.leased_until <= timezone.now(), "given back"


def test_after_the_database_was_started_again_only_time_ends_a_lease(
    server: ObdServer, processes: Processes, settings: Settings
) -> None:
    """Nobody has his old session then, dead or not."""
    settings.CARRIER_CONNECTIONS = 1
    settings.OBD_TIMEOUT = 0.5
    lease = killed_in_the_middle(server, processes)
    CarrierConnection.objects.update(leased_at=timezone.now() - timedelta(days=9))
    carrier = get_carrier("obd")
    with pytest.raises(NotNow, match="All connections to the carrier are in use"), turn(carrier, RequestKind.CALL):
        pass
    while not server.requests("voice.status")[1:]:
        with suppress(NotNow), one_request(carrier, RequestKind.CALL):
            carrier.check()
    assert timezone.now() >= lease.leased_until
    lease.refresh_from_db()
    assert lease.leased_until <= timezone.now(), "given back"


def test_who_was_held_up_beyond_the_lease_takes_another_connection(server: ObdServer, settings: Settings) -> None:
    carrier = get_carrier("obd")
    with turn(carrier, RequestKind.CALL) as mine:
        CarrierConnection.objects.filter(pk=mine.connection).update(leased_until=timezone.now())
        with turn(carrier, RequestKind.CALL) as other:
            assert other.connection == mine.connection
            with mine.request(), other.request():
                assert mine.connection != other.connection
    assert CarrierConnection.objects.filter(leased_until__gt=timezone.now()).count() == 0


def test_fewer_connections_count_at_once(server: ObdServer, settings: Settings) -> None:
    carrier = get_carrier("obd")
    with turn(carrier, RequestKind.CALL), turn(carrier, RequestKind.CALL):
        settings.CARRIER_CONNECTIONS = 2
        with pytest.raises(NotNow, match="in use"), turn(carrier, RequestKind.CALL):
            pass
        settings.CARRIER_CONNECTIONS = 3
        with turn(carrier, RequestKind.CALL):
            pass


# --- Retry-After ---------------------------------------------------------------------------------------------------


def asked_to_wait(server: ObdServer, seconds: int) -> None:
    carrier = get_carrier("obd")
    server.faults.append(Refuse(429, "Slow down", headers=(("Retry-After", str(seconds)),)))
    with pytest.raises(NotTaken), one_request(carrier, RequestKind.STATUS):
        carrier.check()


def test_everybody_waits_for_what_the_carrier_asks_to_wait_for(server: ObdServer, processes: Processes) -> None:
    asked_to_wait(server, 3)
    wait_until_at = CarrierState.objects.get().wait_until
    carrier = get_carrier("obd")

    def refused_a_turn(kind: RequestKind) -> datetime:
        with pytest.raises(NotNow, match="asked to wait") as caught, one_request(carrier, kind):
            pass
        return caught.value.at

    found = at_the_same_moment(*[partial(refused_a_turn, kind) for kind in RequestKind])
    assert found == [wait_until_at] * 3
    began = len(server.begun)
    assert began == 1
    seen: list[datetime] = []
    server.meanwhile = lambda request: seen.append(timezone.now())
    for kind in RequestKind:
        processes.start(kind, 1, 1)
    assert processes.end() == [0, 0, 0]
    assert wait_until_at
    assert len(seen) == 3
    assert min(seen) >= wait_until_at


def test_who_waits_for_a_turn_meanwhile_waits_too(server: ObdServer, settings: Settings) -> None:
    settings.CARRIER_CONNECTIONS = 1
    others_wait = threading.Event()
    server.meanwhile = lambda request: others_wait.wait(30)

    def second() -> None:
        wait_until(lambda: server.received, "the first request is under way")
        threading.Timer(0.3, others_wait.set).start()
        with pytest.raises(NotNow, match="asked to wait"), one_request(get_carrier("obd"), RequestKind.CALL):
            pass

    at_the_same_moment(partial(asked_to_wait, server, 30), second)
    assert len(server.begun) == 1


def test_no_carrier_makes_us_wait_for_ever(server: ObdServer) -> None:
    asked_to_wait(server, 999_999_999)
    wait_until_at = CarrierState.objects.get().wait_until
    assert wait_until_at
    assert wait_until_at <= timezone.now() + pacing.LONGEST_WAIT


# --- The breaker ---------------------------------------------------------------------------------------------------


def fail(kind: RequestKind, times: int = 1) -> None:
    """Make requests of this kind that end unclearly."""
    for _ in range(times):
        with pytest.raises(Unconfirmed), one_request(get_carrier("obd"), kind):
            raise Unconfirmed("The carrier failed with 500.")


def fail_once(under_way: threading.Barrier) -> None:
    """Make a request that ends unclearly once the others are there too."""

    def request() -> None:
        with one_request(get_carrier("obd"), RequestKind.CALL):
            under_way.wait(30)
            raise Unconfirmed("The carrier failed with 500.")

    with pytest.raises(Unconfirmed):
        request()


def succeed(kind: RequestKind) -> None:
    with one_request(get_carrier("obd"), kind):
        pass


def is_open(kind: RequestKind) -> bool:
    return CarrierBreaker.objects.filter(kind=kind, opened_at__isnull=False).exists()


def gap(kind: RequestKind) -> float:
    """Seconds from the last failure to the next trial."""
    failed_at = CarrierState.objects.get().failed_at
    assert failed_at
    return (CarrierBreaker.objects.get(kind=kind).next_trial - failed_at).total_seconds()


def waits(kind: RequestKind) -> float:
    """Seconds until the next trial."""
    return (CarrierBreaker.objects.get(kind=kind).next_trial - timezone.now()).total_seconds()


def let_one_try(kind: RequestKind) -> None:
    assert CarrierBreaker.objects.filter(kind=kind).update(next_trial=timezone.now() - timedelta(seconds=1))


def test_breaker_opens_after_so_many_failures_in_a_row(server: ObdServer) -> None:
    fail(RequestKind.CALL, pacing.FAILURES - 1)
    succeed(RequestKind.CALL)
    fail(RequestKind.CALL, pacing.FAILURES - 1)
    assert not is_open(RequestKind.CALL)
    fail(RequestKind.CALL)
    assert is_open(RequestKind.CALL)
    with pytest.raises(NotNow, match="failed with 500") as caught, one_request(get_carrier("obd"), RequestKind.CALL):
        pass
    assert caught.value.at == CarrierBreaker.objects.get().next_trial


@pytest.mark.parametrize("error", [Refused("No."), Stopped("No credit.")], ids=["refused", "stopped"])
def test_a_carrier_that_says_no_is_not_down(server: ObdServer, error: CarrierError) -> None:
    for _ in range(2 * pacing.FAILURES):
        with pytest.raises(type(error)), one_request(get_carrier("obd"), RequestKind.CALL):
            raise error
    assert not is_open(RequestKind.CALL)


def test_gaps_between_trials_double_up_to_the_longest(server: ObdServer) -> None:
    fail(RequestKind.CALL, pacing.FAILURES)
    gaps = [gap(RequestKind.CALL)]
    opened_at = CarrierBreaker.objects.get().opened_at
    for _ in range(6):
        let_one_try(RequestKind.CALL)
        fail(RequestKind.CALL)
        gaps.append(gap(RequestKind.CALL))
    assert gaps == pytest.approx([5, 10, 20, 40, 80, 120, 120], abs=2)
    assert CarrierBreaker.objects.get().opened_at == opened_at
    let_one_try(RequestKind.CALL)
    succeed(RequestKind.CALL)
    assert not is_open(RequestKind.CALL)
    fail(RequestKind.CALL, pacing.FAILURES - 1)
    assert not is_open(RequestKind.CALL), "it counts from the beginning"
    fail(RequestKind.CALL)
    assert gap(RequestKind.CALL) == pytest.approx(5, abs=2)


def test_requests_that_fail_together_are_one_outage(server: ObdServer, settings: Settings) -> None:
    settings.CARRIER_CONNECTIONS = 2 * pacing.FAILURES
    all_under_way = threading.Barrier(2 * pacing.FAILURES)

    at_the_same_moment(*[partial(fail_once, all_under_way)] * (2 * pacing.FAILURES))
    assert is_open(RequestKind.CALL)
    assert waits(RequestKind.CALL) <= pacing.FIRST_TRIAL


def test_who_waits_for_a_turn_while_the_breaker_opens_makes_no_request(server: ObdServer, settings: Settings) -> None:
    settings.CARRIER_CONNECTIONS = 1
    fail(RequestKind.CALL, pacing.FAILURES - 1)
    both = threading.Barrier(2)

    def second() -> None:
        wait_until(CarrierConnection.objects.filter(leased_until__gt=timezone.now()).exists, "the first has its turn")
        threading.Timer(0.3, both.wait, [30]).start()
        with pytest.raises(NotNow, match="failed with 500"), one_request(get_carrier("obd"), RequestKind.CALL):
            pytest.fail("a request while the breaker is open")

    at_the_same_moment(partial(fail_once, both), second)


def test_an_outage_of_weeks_breaks_no_breaker(server: ObdServer) -> None:
    fail(RequestKind.CALL, pacing.FAILURES)
    CarrierBreaker.objects.update(failures=100_000)
    let_one_try(RequestKind.CALL)
    fail(RequestKind.CALL)
    assert gap(RequestKind.CALL) == pytest.approx(120, abs=2)


def test_one_trial_at_a_time(server: ObdServer) -> None:
    fail(RequestKind.CALL, pacing.FAILURES)
    let_one_try(RequestKind.CALL)
    carrier = get_carrier("obd")
    all_asked = threading.Barrier(6)

    def try_it() -> bool:
        try:
            with turn(carrier, RequestKind.CALL) as mine:
                all_asked.wait(30)
                return mine.trial
        except NotNow:
            all_asked.wait(30)
            return False

    assert sorted(at_the_same_moment(*[try_it] * 6)) == [False] * 5 + [True]


def test_a_trial_that_takes_long_stays_the_only_one(server: ObdServer, settings: Settings) -> None:
    settings.OBD_TIMEOUT = 60.0
    fail(RequestKind.CALL, pacing.FAILURES)
    let_one_try(RequestKind.CALL)
    with turn(get_carrier("obd"), RequestKind.CALL) as mine:
        assert mine.trial
        assert waits(RequestKind.CALL) > 60


def test_a_trial_that_nobody_made_is_soon_somebody_elses(server: ObdServer, settings: Settings) -> None:
    fail(RequestKind.CALL, pacing.FAILURES)
    let_one_try(RequestKind.CALL)
    with turn(get_carrier("obd"), RequestKind.CALL) as mine:
        assert mine.trial
    assert is_open(RequestKind.CALL)
    assert waits(RequestKind.CALL) <= pacing.FIRST_TRIAL
    settings.CARRIER_CONNECTIONS = 0
    let_one_try(RequestKind.CALL)
    with pytest.raises(NotNow, match="in use"), turn(get_carrier("obd"), RequestKind.CALL):
        pass
    assert waits(RequestKind.CALL) <= pacing.FIRST_TRIAL


@pytest.mark.parametrize("kind", RequestKind)
def test_each_kind_has_a_breaker(server: ObdServer, kind: RequestKind) -> None:
    others = set(RequestKind) - {kind}
    for _ in range(pacing.FAILURES):
        fail(kind)
        for other in others:
            succeed(other)
    assert is_open(kind)
    assert not any(map(is_open, others))
    for other in others:
        succeed(other)
    assert is_open(kind)


# --- The breaker and hand-over -------------------------------------------------------------------------------------


@pytest.fixture
def group(server: ObdServer, monkeypatch: pytest.MonkeyPatch) -> CallGroup:
    """A call group of eight batches, none of which is handed over."""
    monkeypatch.setattr("calls.dialing.start.MAX_CALLS", 1)
    return make_call_group(make_user(), 8)


def hand_over(group: CallGroup) -> Counter[str]:
    """Do the work of all lanes that is due: how many batches are in which state."""
    for lane in range(CONNECTIONS):
        handover.hand_over(group.pk, lane)
    return Counter(group.batches.values_list("state", flat=True))


def test_a_carrier_that_is_down_gets_few_batches(server: ObdServer, group: CallGroup) -> None:
    server.always = Break.AFTER_READING
    assert hand_over(group) == {"unconfirmed": 5, "pending": 3}
    assert is_open(RequestKind.CALL)
    assert hand_over(group) == {"unconfirmed": 5, "pending": 3}
    assert [request.method for request in server.received] == ["voice.call"] * 5


def test_the_trial_asks_something_harmless_first(server: ObdServer, group: CallGroup) -> None:
    server.always = Break.AFTER_READING
    hand_over(group)
    for expected in (10, 20, 40):
        let_one_try(RequestKind.CALL)
        assert hand_over(group) == {"unconfirmed": 5, "pending": 3}
        assert gap(RequestKind.CALL) == pytest.approx(expected, abs=2)
    assert [request.method for request in server.received[5:]] == ["voice.status"] * 3
    server.always = None
    let_one_try(RequestKind.CALL)
    assert hand_over(group) == {"unconfirmed": 5, "accepted": 3}
    assert [request.method for request in server.received[8:]] == ["voice.status"] + ["voice.call"] * 3
    assert not is_open(RequestKind.CALL)


def test_calls_that_fail_while_questions_go_well_keep_the_breaker_open(server: ObdServer, group: CallGroup) -> None:
    server.always = Break.AFTER_READING
    hand_over(group)
    server.always = None
    for n, expected in ((1, 10), (2, 20)):
        server.faults += [None, Break.AFTER_READING]
        let_one_try(RequestKind.CALL)
        assert hand_over(group) == {"unconfirmed": 5 + n, "pending": 3 - n}
        assert is_open(RequestKind.CALL), "only a hand-over can close it"
        assert gap(RequestKind.CALL) == pytest.approx(expected, abs=2)
    let_one_try(RequestKind.CALL)
    assert hand_over(group) == {"unconfirmed": 7, "accepted": 1}
    assert not is_open(RequestKind.CALL)


def test_a_refused_key_is_an_answer_to_the_trial(server: ObdServer, group: CallGroup) -> None:
    server.always = Break.AFTER_READING
    hand_over(group)
    server.always = None
    server.key = "another"
    let_one_try(RequestKind.CALL)
    assert hand_over(group) == {"unconfirmed": 5, "pending": 3}
    group.refresh_from_db()
    assert group.state_reason == "The carrier refuses our key or account (401): Invalid API key"


# --- Notes ---------------------------------------------------------------------------------------------------------


def end_connections_of_others() -> None:
    """The database drops everybody's connection in the middle of what they do."""
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [connection.settings_dict["NAME"]],
        )


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (None, "accepted"),
        (Refuse(400, "No"), "rejected"),
        (Refuse(429), "pending"),
        (Break.AFTER_READING, "unconfirmed"),
    ],
    ids=["taken", "refused", "not taken", "unclear"],
)
def test_a_lost_database_loses_no_outcome(
    server: ObdServer, fault: Fault | None, state: str, caplog: pytest.LogCaptureFixture
) -> None:
    group = make_call_group(make_user(), 2)
    server.faults.append(fault)
    server.meanwhile = lambda request: end_connections_of_others()
    assert hand_over(group) == {state: 1}
    assert len(server.begun) == 1
    assert "could not be noted" in caplog.text
    assert CarrierConnection.objects.filter(leased_until__gt=timezone.now()).count() == 0


def test_what_is_noted_of_each_request(server: ObdServer) -> None:
    carrier = get_carrier("obd")
    server.faults += [None, Refuse(401, f"Wrong key {KEY} for 442079460001"), Refuse(429), Refuse(500)]
    for _ in range(4):
        with suppress(CarrierError), one_request(carrier, RequestKind.CHECK):
            carrier.check()
    with pytest.raises(ZeroDivisionError), one_request(carrier, RequestKind.CHECK):
        1 / 0  # noqa: B018
    found = list(CarrierRequest.objects.order_by("pk").values_list("kind", "result", "said"))
    assert found == [
        ("check", "answered", ""),
        ("check", "refused", "The carrier refuses our key or account (401): Wrong key (key) for (number)"),
        ("check", "not taken", "The carrier takes no more requests just now (429)."),
        ("check", "unclear", "The carrier failed with 500."),
        ("check", "unclear", "The portal failed during this request."),
    ]
    assert all(0 <= request.seconds < 60 for request in CarrierRequest.objects.all())
    state = CarrierState.objects.get()
    assert state.failure == "The portal failed during this request."
    assert state.answered_at
    assert state.failed_at
    assert state.answered_at < state.failed_at
    assert CarrierBreaker.objects.get().failures == 3


def test_what_the_carrier_says_of_kept_answers_is_known_to_all(server: ObdServer) -> None:
    carrier = get_carrier("obd")
    for keeps in (3_600, 0):
        server.keeps = keeps
        with one_request(carrier, RequestKind.CHECK):
            carrier.check()
        state = CarrierState.objects.get()
        assert (state.idempotent_account, state.idempotent_seconds) == (carrier.account, keeps)
