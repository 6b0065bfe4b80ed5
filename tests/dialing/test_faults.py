"""Everything that a carrier can do to a request, and what becomes of the calls: by HTTP, through the real hand-over.

A number is asked for again only where the carrier certainly has not taken it.
"""

import socket
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from calls.carriers import get_carrier
from calls.carriers.obd import ObdCarrier
from calls.dialing import handover, pacing, progress, steer
from calls.models import (
    BatchState,
    CallGroup,
    CarrierBreaker,
    CarrierRequest,
    CarrierState,
    GroupState,
    RequestKind,
    RequestResult,
    User,
)
from tests.certificates import REFUSED, Certificates
from tests.dialing.helpers import batch, freeze, statuses
from tests.factories import make_call_group, make_user, number
from tests.obd_server import ANSWERS, KEY, NOT_TAKEN, UNCLEAR, Break, Fault, ObdServer, Refuse, Well

pytestmark = pytest.mark.django_db

NUMBERS = [number(i) for i in range(3)]
SLOW = {"never answers", "trickles", "trickles headers"}


def connect(settings: Settings, url: str, timeout: float = 10.0) -> None:
    """Let the carrier of the settings be there."""
    forget()
    settings.OBD_BASE_URL, settings.OBD_TIMEOUT = url, timeout


def forget() -> None:
    carrier = get_carrier("obd")
    assert isinstance(carrier, ObdCarrier)
    carrier.close()
    get_carrier.cache_clear()


@pytest.fixture
def server(settings: Settings) -> Iterator[ObdServer]:
    """A carrier that is the one of the settings."""
    with ObdServer() as server:
        settings.CARRIER, settings.OBD_API_KEY = "obd", KEY
        settings.CARRIER_RATE, settings.CARRIER_CONNECTIONS = 1_000.0, 4
        get_carrier.cache_clear()
        connect(settings, server.url)
        yield server
        forget()


@pytest.fixture
def operator() -> User:
    return make_user()


@dataclass(frozen=True)
class World:
    """What can be made to go wrong."""

    server: ObdServer
    settings: Settings
    monkeypatch: pytest.MonkeyPatch
    folder: Path

    def connect(self, url: str = "", timeout: float = 10.0) -> None:
        """Let the carrier of the settings be at `url`; without one where the server is."""
        connect(self.settings, url or self.server.url, timeout)

    def mend(self) -> None:
        """Let all be well again."""
        self.server.certificate = None
        self.server.faults.clear()
        self.server.begun.clear()
        self.connect()


@pytest.fixture
def world(server: ObdServer, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    return World(server, settings, monkeypatch, tmp_path)


def hand_over(group: CallGroup) -> None:
    """Do the work of all lanes that is due."""
    for lane in range(4):
        handover.hand_over(group.pk, lane)
    group.refresh_from_db()


def follow(group: CallGroup) -> None:
    """Ask about everything that the carrier may have, now."""
    group.batches.filter(check_at__isnull=False).update(check_at=timezone.now())
    progress.follow(group.pk)
    group.refresh_from_db()


def states(group: CallGroup) -> list[str]:
    return list(group.batches.order_by("first").values_list("state", flat=True))


@dataclass(frozen=True)
class Outcome:
    """What has become of a call group of one batch, and of the only request that was made for it."""

    batch: BatchState
    call: str
    group: GroupState
    result: RequestResult


ACCEPTED = Outcome(BatchState.ACCEPTED, "QUEUED", GroupState.RUNNING, RequestResult.ANSWERED)
REJECTED = Outcome(BatchState.REJECTED, "REJECTED", GroupState.RUNNING, RequestResult.REFUSED)
STOPPED = Outcome(BatchState.PENDING, "HELD", GroupState.PAUSED, RequestResult.REFUSED)
HELD = Outcome(BatchState.PENDING, "HELD", GroupState.RUNNING, RequestResult.NOT_TAKEN)
UNCONFIRMED = Outcome(BatchState.UNCONFIRMED, "UNCONFIRMED", GroupState.RUNNING, RequestResult.UNCLEAR)

REFUSALS = {"400": REJECTED, "404": REJECTED} | dict.fromkeys(("401", "402", "403"), STOPPED)


def outcome(group: CallGroup) -> Outcome:
    (state,), (call,) = states(group), set(statuses(group))
    (request,) = CarrierRequest.objects.filter(carrier="obd", kind=RequestKind.CALL)
    return Outcome(BatchState(state), call, GroupState(group.state), RequestResult(request.result))


def noted(result: RequestResult) -> str:
    """What is known of the carrier after its one request; must be the same wherever it is written."""
    (request,) = CarrierRequest.objects.all()
    state = CarrierState.objects.get(name="obd")
    failures = sum(CarrierBreaker.objects.values_list("failures", flat=True))
    assert failures == (result in {RequestResult.NOT_TAKEN, RequestResult.UNCLEAR})
    assert state.failure in {request.said, ""}
    assert bool(state.failure) is bool(state.failed_at)
    assert (state.answered_at is None) is bool(state.failure)
    assert (request.said == "") is (result == RequestResult.ANSWERED)
    assert KEY not in request.said
    assert "7946" not in request.said
    return request.said


# --- Handing over ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ANSWERS.values(), ids=ANSWERS)
def test_taken(server: ObdServer, operator: User, fault: Fault) -> None:
    server.faults.append(fault)
    group = make_call_group(operator, NUMBERS)
    hand_over(group)
    assert outcome(group) == ACCEPTED
    noted(ACCEPTED.result)
    knows = {call.carrier_id for call in group.calls.all()}
    shape = fault if isinstance(fault, Well) else Well()
    assert knows == ({f"700001-{n}" for n in (1, 2, 3)} if shape.with_ids else {""})
    assert batch(group).carrier_group == ("700001" if shape.with_group else "")
    hand_over(group)
    assert len(server.begun) == 1
    assert Counter(server.called) == dict.fromkeys((each[1:] for each in NUMBERS), 1)


@pytest.mark.parametrize("name", REFUSALS)
def test_refused(server: ObdServer, operator: User, name: str) -> None:
    server.faults.append(NOT_TAKEN[name])
    group = make_call_group(operator, NUMBERS)
    hand_over(group)
    assert outcome(group) == REFUSALS[name]
    said = noted(RequestResult.REFUSED)
    assert said == batch(group).answer
    assert group.state_reason == (said if REFUSALS[name] == STOPPED else "")
    assert (group.ended_at is not None) is (REFUSALS[name] == REJECTED)
    hand_over(group)
    assert len(server.begun) == 1
    assert server.called == []


@pytest.mark.parametrize("name", ["401", "402", "403"])
def test_stopped_goes_again_when_it_is_resumed(
    server: ObdServer, operator: User, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    server.faults.append(NOT_TAKEN[name])
    group = make_call_group(operator, NUMBERS)
    hand_over(group)
    freeze(monkeypatch, timezone.now() + timedelta(minutes=1))
    hand_over(group)
    assert len(server.begun) == 1
    steer.resume(group.pk, operator)
    hand_over(group)
    assert (states(group), set(statuses(group))) == (["accepted"], {"QUEUED"})
    assert Counter(server.called) == dict.fromkeys((each[1:] for each in NUMBERS), 1)


def sent_again_at(server: ObdServer, group: CallGroup, monkeypatch: pytest.MonkeyPatch) -> datetime:
    """When the batch is sent again: not before it is due, then once and for all."""
    due = batch(group).due_at
    tried = len(server.begun)
    freeze(monkeypatch, due - timedelta(seconds=0.1))
    hand_over(group)
    assert (states(group), len(server.begun)) == (["pending"], tried)
    freeze(monkeypatch, due)
    hand_over(group)
    hand_over(group)
    assert (states(group), set(statuses(group))) == (["accepted"], {"QUEUED"})
    assert len(server.begun) == tried + 1
    assert Counter(server.called) == dict.fromkeys((each[1:] for each in NUMBERS), 1)
    assert batch(group).attempts == 2
    assert CarrierState.objects.get(name="obd").failure == ""
    return due


@pytest.mark.parametrize(
    ("header", "shortest", "longest"),
    [(None, 5, 6.25), ("0", 5, 6.25), ("1", 5, 6.25), ("60", 60, 60), ("86400", 3600, 3600), ("soon", 5, 6.25)],
)
def test_429_goes_again_when_the_carrier_says_so(
    world: World, operator: User, header: str | None, shortest: float, longest: float
) -> None:
    world.server.faults.append(Refuse(429, "Slow down", headers=(("Retry-After", header),) if header else ()))
    group = make_call_group(operator, NUMBERS)
    began = timezone.now()
    hand_over(group)
    ended = timezone.now()
    assert outcome(group) == HELD
    assert noted(HELD.result) == batch(group).answer == "The carrier takes no more requests just now (429): Slow down"
    assert world.server.called == []
    asked_for = CarrierState.objects.get(name="obd").wait_until
    assert (asked_for is None) is (header in {None, "soon"})
    due = sent_again_at(world.server, group, world.monkeypatch)
    assert began + timedelta(seconds=shortest) <= due <= ended + timedelta(seconds=longest)


def test_429_with_a_date(server: ObdServer, operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    at = timezone.now().replace(microsecond=0) + timedelta(minutes=3)
    server.faults.append(Refuse(429, headers=(("Retry-After", format_datetime(at)),)))
    group = make_call_group(operator, NUMBERS)
    hand_over(group)
    assert outcome(group) == HELD
    assert abs(sent_again_at(server, group, monkeypatch) - at) < timedelta(seconds=30)


@pytest.mark.parametrize("name", UNCLEAR)
def test_unclear_is_unconfirmed_and_never_sent_again(
    server: ObdServer, operator: User, settings: Settings, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    connect(settings, server.url, 0.3 if name in SLOW else 10)
    server.faults.append(UNCLEAR[name])
    group = make_call_group(operator, NUMBERS)
    hand_over(group)
    assert outcome(group) == UNCONFIRMED
    assert noted(UNCONFIRMED.result) == batch(group).answer
    assert group.ended_at is None
    taken = Counter(server.called)
    assert set(taken.values()) <= {1}
    for later in (timedelta(seconds=10), timedelta(hours=1), timedelta(days=2)):
        freeze(monkeypatch, timezone.now() + later)
        hand_over(group)
        follow(group)
    assert outcome(group) == UNCONFIRMED
    assert len(server.begun) == 1 + len(server.requests("voice.status")), "checks alone were made besides"
    assert Counter(server.called) == taken


@pytest.mark.parametrize("name", UNCLEAR)
def test_unclear_is_asked_for_again_where_the_carrier_keeps_answers(
    server: ObdServer, operator: User, settings: Settings, name: str
) -> None:
    server.keeps = 3_600
    hand_over(make_call_group(operator, [number(9)]))  # so it says that it keeps them
    connect(settings, server.url, 0.3 if name in SLOW else 10)
    server.faults.append(UNCLEAR[name])
    group = make_call_group(operator, NUMBERS)
    hand_over(group)
    assert states(group) in (["unconfirmed"], ["accepted"]), "another lane may have asked again by now"
    connect(settings, server.url)
    hand_over(group)
    assert (states(group), set(statuses(group))) == (["accepted"], {"QUEUED"})
    assert batch(group).settled == "Asked again with the same Idempotency-Key, the carrier took it once."
    assert Counter(server.called) == dict.fromkeys((each[1:] for each in [number(9), *NUMBERS]), 1)
    keys = [request.headers["idempotency-key"] for request in server.requests("voice.call")][1:]
    assert len(set(keys)) == 1


# --- What ends before a request is sent ----------------------------------------------------------------------------


def unknown_name(world: World) -> None:
    real = socket.getaddrinfo

    def find(host: str, *args: Any, **kwargs: Any) -> Any:
        if host == "carrier.invalid":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(host, *args, **kwargs)

    world.monkeypatch.setattr(socket, "getaddrinfo", find)
    world.connect("http://carrier.invalid/api/v1/")


def refused_connection(world: World) -> None:
    world.connect("http://127.0.0.1:1/api/v1/")


def no_tls(world: World) -> None:
    world.server.faults.append(Break.BEFORE_READING)  # so that it reads no handshake
    world.connect(world.server.url.replace("http:", "https:"))


def certificate(kind: str) -> "Mishap":
    def present(world: World) -> None:
        certificates = Certificates(world.folder)
        certificates.trust(world.monkeypatch)
        world.server.certificate = certificates.context(kind)
        world.connect()

    return present


Mishap = Callable[[World], None]
NEVER_SENT: dict[str, tuple[Mishap, str]] = {
    "unknown name": (unknown_name, "The carrier's name could not be looked up."),
    "refused connection": (refused_connection, "The carrier refused the connection."),
    "no TLS": (no_tls, "The TLS handshake with the carrier failed."),
    **{f"{kind} certificate": (certificate(kind), said) for kind, said in REFUSED.items()},
}


@pytest.mark.parametrize(("mishap", "said"), NEVER_SENT.values(), ids=NEVER_SENT)
def test_never_sent_goes_again_soon(world: World, operator: User, mishap: Mishap, said: str) -> None:
    mishap(world)
    group = make_call_group(operator, NUMBERS)
    began = timezone.now()
    hand_over(group)
    ended = timezone.now()
    assert outcome(group) == HELD
    assert noted(HELD.result) == batch(group).answer == said
    assert (world.server.received, world.server.asked) == ([], [])
    world.mend()
    due = sent_again_at(world.server, group, world.monkeypatch)
    assert began + timedelta(seconds=5) <= due <= ended + timedelta(seconds=6.25)


@pytest.mark.parametrize(("mishap", "said"), NEVER_SENT.values(), ids=NEVER_SENT)
def test_a_question_that_is_never_sent_changes_nothing(world: World, operator: User, mishap: Mishap, said: str) -> None:
    group = make_call_group(operator, NUMBERS)
    hand_over(group)
    mishap(world)
    assert_asked_in_vain(world.server, group, RequestResult.NOT_TAKEN)
    assert CarrierState.objects.get(name="obd").failure == said
    world.mend()
    assert_told_when_asked_again(world.server, group, world.monkeypatch)


# --- Several batches -----------------------------------------------------------------------------------------------


@pytest.fixture
def in_threes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of three calls."""
    monkeypatch.setattr("calls.dialing.start.MAX_CALLS", 3)


@pytest.mark.usefixtures("in_threes")
@pytest.mark.parametrize("name", ["400", "404"])
def test_refused_batch_keeps_back_the_next_ones(server: ObdServer, operator: User, name: str) -> None:
    server.faults += [None, NOT_TAKEN[name]]
    group = make_call_group(operator, 9)
    hand_over(group)
    assert states(group) == ["accepted", "rejected", "pending"]
    assert (group.state, group.state_reason) == (GroupState.PAUSED, batch(group, 4).answer)
    steer.resume(group.pk, operator)
    hand_over(group)
    assert states(group) == ["accepted", "rejected", "accepted"]
    assert Counter(server.called) == {number(i)[1:]: 1 for i in (0, 1, 2, 6, 7, 8)}


@pytest.mark.usefixtures("in_threes")
@pytest.mark.parametrize("name", ["401", "402", "403"])
def test_stopped_batch_stops_the_next_ones(server: ObdServer, operator: User, name: str) -> None:
    server.faults += [None, NOT_TAKEN[name]]
    group = make_call_group(operator, 9)
    hand_over(group)
    assert states(group) == ["accepted", "pending", "pending"]
    assert (group.state, group.state_reason) == (GroupState.PAUSED, batch(group, 4).answer)
    assert len(server.begun) == 2


@pytest.mark.usefixtures("in_threes")
def test_what_the_carrier_asks_to_wait_for_holds_back_the_next_ones(
    server: ObdServer, operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.faults += [None, NOT_TAKEN["429 with Retry-After"]]
    group, other = make_call_group(operator, 9), make_call_group(operator, [number(10)])
    hand_over(group)
    hand_over(other)
    assert (states(group), states(other)) == (["accepted", "pending", "pending"], ["pending"])
    assert (group.state, len(server.begun)) == (GroupState.RUNNING, 2)
    freeze(monkeypatch, timezone.now() + timedelta(seconds=21))
    hand_over(group)
    hand_over(other)
    assert (states(group), states(other)) == (["accepted"] * 3, ["accepted"])
    assert Counter(server.called) == {number(i)[1:]: 1 for i in (*range(9), 10)}


@pytest.mark.usefixtures("in_threes")
@pytest.mark.parametrize("name", sorted(UNCLEAR.keys() - SLOW))
def test_the_next_batches_tell_what_became_of_an_unclear_one(server: ObdServer, operator: User, name: str) -> None:
    server.faults += [None, UNCLEAR[name]]
    group = make_call_group(operator, 9, newgroup=False)
    hand_over(group)
    assert states(group) == ["accepted", "unconfirmed", "accepted"]
    follow(group)
    taken = number(3)[1:] in server.called
    assert states(group) == ["accepted", "accepted" if taken else "unconfirmed", "accepted"]
    assert batch(group, 4).settled == (f"The carrier reports calls of it: {group.pk}-4." if taken else "")
    server.forward(10)
    follow(group)
    assert Counter(statuses(group)) == Counter(COMPLETED=9 if taken else 6, UNCONFIRMED=0 if taken else 3)
    assert set(Counter(server.called).values()) == {1}


# --- Questions -----------------------------------------------------------------------------------------------------


def assert_asked_in_vain(server: ObdServer, group: CallGroup, result: RequestResult) -> None:
    before = (states(group), statuses(group), group.state, server.called.copy())
    began = timezone.now()
    follow(group)
    ended = timezone.now()
    assert (states(group), statuses(group), group.state, server.called) == before
    (request,) = CarrierRequest.objects.filter(kind=RequestKind.STATUS)
    assert request.result == result
    breaker = CarrierBreaker.objects.filter(kind=RequestKind.STATUS).first()
    assert (breaker.failures if breaker else 0) == (result != RequestResult.REFUSED)
    asked = batch(group)
    assert asked.checked_at is None
    assert asked.check_at
    assert began + timedelta(seconds=2.4) <= asked.check_at <= ended + timedelta(seconds=3.6)


def assert_told_when_asked_again(server: ObdServer, group: CallGroup, monkeypatch: pytest.MonkeyPatch) -> None:
    server.forward(10)
    asked = batch(group)
    assert asked.check_at
    requests = len(server.begun)
    progress.follow(group.pk)
    assert len(server.begun) == requests, "not yet"
    wait_until = CarrierState.objects.get(name="obd").wait_until
    freeze(monkeypatch, max(asked.check_at, wait_until or asked.check_at))
    progress.follow(group.pk)
    assert set(statuses(group)) == {"COMPLETED"}
    assert batch(group).checked_at == timezone.now()
    assert Counter(server.called) == dict.fromkeys((each[1:] for each in NUMBERS), 1)


IN_VAIN = {
    **{name: (NOT_TAKEN[name], RequestResult.REFUSED) for name in REFUSALS},
    **{name: (NOT_TAKEN[name], RequestResult.NOT_TAKEN) for name in NOT_TAKEN.keys() - REFUSALS.keys()},
    **{name: (fault, RequestResult.UNCLEAR) for name, fault in UNCLEAR.items()},
}


@pytest.mark.parametrize("with_group", [True, False], ids=["by group", "by ID"])
@pytest.mark.parametrize("name", sorted(IN_VAIN))
def test_a_question_that_is_not_answered_changes_nothing(
    world: World, operator: User, name: str, with_group: bool
) -> None:
    server = world.server
    server.with_group = with_group
    group = make_call_group(operator, NUMBERS)
    hand_over(group)
    world.connect(timeout=0.3 if name in SLOW else 10)
    fault, result = IN_VAIN[name]
    server.faults.append(fault)
    assert_asked_in_vain(server, group, result)
    world.connect()
    assert_told_when_asked_again(server, group, world.monkeypatch)
    asked = {request.method for request in server.received} - {"voice.call"}
    assert asked == {"voice.groupstatus" if with_group else "voice.status"}


@pytest.mark.parametrize("name", sorted(ANSWERS))
def test_answered_questions(server: ObdServer, operator: User, name: str) -> None:
    group = make_call_group(operator, NUMBERS)
    hand_over(group)
    server.forward(10)
    server.faults.append(ANSWERS[name])
    follow(group)
    assert set(statuses(group)) == {"COMPLETED"}
    assert group.ended_at
    assert CarrierRequest.objects.get(kind=RequestKind.STATUS).result == RequestResult.ANSWERED


def test_questions_too_wait_for_what_the_carrier_asks_to_wait_for(
    server: ObdServer, operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = make_call_group(operator, NUMBERS)
    hand_over(group)
    server.faults.append(NOT_TAKEN["429 with Retry-After"])
    follow(group)
    wait_until = CarrierState.objects.get(name="obd").wait_until
    freeze(monkeypatch, timezone.now() + timedelta(seconds=10))
    follow(group)
    assert batch(group).check_at == wait_until
    assert len(server.begun) == 2, "one order and one question"


def test_pages_before_the_one_that_fails_count(
    server: ObdServer, operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.page = 2
    monkeypatch.setattr(progress, "STEP", 2)
    group = make_call_group(operator, NUMBERS)
    hand_over(group)
    server.forward(10)
    server.faults += [None, UNCLEAR["500"]]
    follow(group)
    assert statuses(group) == ["COMPLETED", "COMPLETED", "QUEUED"]
    assert batch(group).check_at
    follow(group)
    assert set(statuses(group)) == {"COMPLETED"}


def test_kinds_of_failures_have_a_breaker_each(server: ObdServer, operator: User) -> None:
    group = make_call_group(operator, NUMBERS)
    hand_over(group)
    server.always = UNCLEAR["500"]
    for _ in range(pacing.FAILURES):
        follow(group)
    assert CarrierBreaker.objects.get(kind=RequestKind.STATUS).opened_at
    server.always = None
    other = make_call_group(operator, [number(5)])
    hand_over(other)
    assert states(other) == ["accepted"]
    assert CarrierBreaker.objects.get(kind=RequestKind.STATUS).opened_at
