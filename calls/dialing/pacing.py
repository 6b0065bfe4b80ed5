"""The pace of requests to a carrier: all workers on all hosts together keep to it.

At most `CARRIER_CONNECTIONS` requests are under way at once, and `CARRIER_RATE` are begun in any second. What the
carrier asks to wait for (`Retry-After`) is waited for. A circuit breaker for each kind of requests opens when several
in a row have failed; then one is tried now and then until one succeeds. Everything is kept in the database, whose
clock is the one that counts.
"""

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from calls.carriers.base import Carrier, CarrierError, NotTaken, Refused, Stopped
from calls.models import CarrierBreaker, CarrierConnection, CarrierRequest, CarrierState, RequestKind, RequestResult

logger = logging.getLogger(__name__)

MARGIN = 0.9
"""The part of the rate that is used, and LATE the seconds that a request may begin after its turn came: together they
keep the carrier from ever seeing more than the rate in a second, though some requests are quicker than others."""

LATE = 0.04

QUESTIONS = 2.0
"""Status questions have every second turn at most, so that calls go out while many are under way."""

PATIENCE = 2.0
"""Seconds to wait for a connection before the job queues again."""

FAILURES = 5
"""Failures in a row that open the breaker."""

FIRST_TRIAL, LONGEST_TRIAL = 5.0, 120.0
"""Seconds until one request is tried while the breaker is open; doubled at each failure."""

LONGEST_WAIT = timedelta(hours=1)
"""A carrier that asks to wait for longer is asked again after this."""

SLOT_SQL = """
    UPDATE calls_carrierstate SET {column} = greatest({column}, clock_timestamp()) + %(step)s * interval '1 second'
    WHERE name = %(carrier)s RETURNING extract(epoch FROM {column} - clock_timestamp()) - %(step)s
"""
# A holder that died has no session any more, and its request has gone with it. After the server itself was started
# again nobody has his old session, dead or not: then only time tells.
LEASE_SQL = """
    UPDATE calls_carrierconnection SET
        leased_until = clock_timestamp() + %(lease)s * interval '1 second',
        leased_at = clock_timestamp(),
        session = pg_backend_pid(),
        session_since = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())
    WHERE id = (
        SELECT id FROM calls_carrierconnection AS c
        WHERE carrier_id = %(carrier)s AND slot < %(connections)s AND (
            leased_until <= clock_timestamp()
            OR leased_at > pg_postmaster_start_time() AND NOT EXISTS (
                SELECT FROM pg_stat_activity AS a
                WHERE a.pid = c.session AND coalesce(a.backend_start = c.session_since, true)
            )
        )
        ORDER BY slot LIMIT 1 FOR UPDATE SKIP LOCKED
    ) RETURNING id, leased_until
"""
RENEW_SQL = """
    UPDATE calls_carrierconnection SET leased_until = clock_timestamp() + %(lease)s * interval '1 second'
    WHERE id = %(id)s AND leased_until = %(until)s AND leased_until > clock_timestamp() RETURNING leased_until
"""
RETURN_SQL = """
    UPDATE calls_carrierconnection SET leased_until = clock_timestamp() WHERE id = %(id)s AND leased_until = %(until)s
"""
TRIAL_SQL = """
    UPDATE calls_carrierbreaker SET next_trial = clock_timestamp() + %(gap)s * interval '1 second'
    WHERE id = %(id)s AND opened_at IS NOT NULL AND next_trial <= clock_timestamp() RETURNING next_trial
"""
UNTRIED_SQL = """
    UPDATE calls_carrierbreaker SET next_trial = clock_timestamp() + %(gap)s * interval '1 second'
    WHERE carrier_id = %(carrier)s AND kind = %(kind)s AND opened_at IS NOT NULL
"""
FAILED_SQL = """
    INSERT INTO calls_carrierbreaker AS b (carrier_id, kind, failures, next_trial)
    VALUES (%(carrier)s, %(kind)s, 1, now())
    ON CONFLICT (carrier_id, kind) DO UPDATE SET
        failures = b.failures + 1,
        opened_at = CASE WHEN b.failures + 1 >= %(limit)s THEN coalesce(b.opened_at, clock_timestamp()) END,
        next_trial = clock_timestamp() + interval '1 second'
            * least(%(first)s * power(2, greatest(least(b.failures + 1 - %(limit)s, 20), 0)), %(longest)s)
    WHERE b.opened_at IS NULL OR %(trial)s
"""
"""While it is open only trials count: what was begun together and fails together is one failure more, not many."""


class NotNow(Exception):
    """No request may be made before `at` (aware); `str()` says why."""

    def __init__(self, at: datetime, why: str) -> None:
        super().__init__(why)
        self.at = at


@dataclass
class Turn:
    """The right to make one request after the other, with one connection. `trial`: the breaker is open."""

    carrier: Carrier
    kind: RequestKind
    trial: bool
    connection: int
    leased_until: datetime
    slot: float | None = None
    """When its request may begin (monotonic clock); None once one has."""
    tried: bool = False
    """Whether it is known by now how the trial went."""

    @contextmanager
    def request(self, *, asks_first: bool = False, first: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Around one request to the carrier: begins it at the right time, and writes down how it ended.

        Of what the request raises, :class:`CarrierError` tells whether the carrier is well. `asks_first`: it is a
        harmless one before what the turn is for. It can fail the trial, but not win it. `first` is done when the
        request's time has come; what it raises says nothing of the carrier.
        """
        self._begin(first)
        began_at, began = timezone.now(), time.monotonic()
        error: BaseException | None = None
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            # Whatever becomes of these notes, how the request ended must not be lost.
            try:
                self._note(began_at, time.monotonic() - began, error, asks_first=asks_first)
            except (DatabaseError, InterfaceError):
                logger.exception("A request to the carrier %s could not be noted", self.carrier.name)

    def _note(self, began_at: datetime, seconds: float, error: BaseException | None, *, asks_first: bool) -> None:
        result, said = _result(error)
        well = result in (RequestResult.ANSWERED, RequestResult.REFUSED)
        if not (well and asks_first):
            self.tried = True
            _tell_breaker(self.carrier.name, self.kind, well=well, trial=self.trial)
        CarrierRequest.objects.create(
            carrier_id=self.carrier.name,
            kind=RequestKind.CHECK if asks_first else self.kind,
            began_at=began_at,
            seconds=seconds,
            result=result,
            said=said,
        )
        _note_health(self.carrier, result, said, error)

    def _begin(self, first: Callable[[], None]) -> None:
        while True:
            if self.slot is None:
                self.slot = _take_slot(self.carrier.name)
            _sleep_until(self.slot)
            renewed = _row(RENEW_SQL, id=self.connection, until=self.leased_until, lease=_lease())
            if renewed:
                self.leased_until = renewed[0]
            else:  # we were held up for so long that others have it
                self.connection, self.leased_until = _lease_one(self.carrier.name)
            first()
            in_time, self.slot = time.monotonic() <= self.slot + LATE, None
            if in_time:
                return


@contextmanager
def turn(carrier: Carrier, kind: RequestKind) -> Iterator[Turn]:
    """Wait for the turn to make a request. Raises NotNow where that would take long."""
    trial = _let_through(carrier.name, kind)
    mine: Turn | None = None
    try:
        if kind == RequestKind.STATUS:
            _sleep_until(_take_slot(carrier.name, "next_question", QUESTIONS))
        number, until = _lease_one(carrier.name)
        mine = Turn(carrier, kind, trial, number, until)
        mine.slot = _take_slot(carrier.name)
        _sleep_until(mine.slot)
        # Meanwhile it may have asked to wait, or gone down.
        state = CarrierState.objects.get(name=carrier.name)
        _obey_wait(state)
        if not trial and (breaker := _open_breaker(carrier.name, kind)):
            raise _until_trial(breaker, state)
        yield mine
    finally:
        with suppress(DatabaseError, InterfaceError):  # the lease ends by itself, and so does the trial
            if mine is not None:
                _execute(RETURN_SQL, id=mine.connection, until=mine.leased_until)
            if trial and (mine is None or not mine.tried):
                _execute(UNTRIED_SQL, carrier=carrier.name, kind=kind, gap=FIRST_TRIAL)


@contextmanager
def one_request(carrier: Carrier, kind: RequestKind) -> Iterator[None]:
    """The turn for one request, and the request. Raises NotNow."""
    with turn(carrier, kind) as mine, mine.request():
        yield


def _lease() -> float:
    """Seconds that a request may take: to connect, for the TLS handshake, for the answer."""
    return 3 * float(settings.OBD_TIMEOUT) + 5


def _row(sql: str, **parameters: Any) -> tuple[Any, ...] | None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        found: tuple[Any, ...] | None = cursor.fetchone()
    return found


def _execute(sql: str, **parameters: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def _obey_wait(state: CarrierState) -> None:
    """Raises NotNow while the carrier wants no requests."""
    if state.wait_until and state.wait_until > timezone.now():
        raise NotNow(state.wait_until, "The carrier asked to wait.")


def _let_through(name: str, kind: RequestKind) -> bool:
    """Whether this is the one request that is tried while the breaker is open. Raises NotNow."""
    state = CarrierState.objects.get_or_create(name=name)[0]
    _obey_wait(state)
    breaker = _open_breaker(name, kind)
    if breaker is None:
        return False
    # The next trial is set when this one has ended; until then only by how long its two requests may take.
    if _row(TRIAL_SQL, id=breaker.pk, gap=2 * _lease()) is None:
        breaker.refresh_from_db()
        raise _until_trial(breaker, state)
    return True


def _open_breaker(name: str, kind: RequestKind) -> CarrierBreaker | None:
    return CarrierBreaker.objects.filter(carrier=name, kind=kind, opened_at__isnull=False).first()


def _until_trial(breaker: CarrierBreaker, state: CarrierState) -> NotNow:
    soonest = timezone.now() + timedelta(seconds=1)
    return NotNow(max(breaker.next_trial, soonest), state.failure or "The carrier is down.")


def _lease_one(name: str) -> tuple[int, datetime]:
    """A free connection: its row and until when it is ours. Raises NotNow."""
    connections = settings.CARRIER_CONNECTIONS
    gives_up = time.monotonic() + PATIENCE
    while True:
        found = _row(LEASE_SQL, carrier=name, connections=connections, lease=_lease())
        if found:
            return found[0], found[1]
        if CarrierConnection.objects.filter(carrier=name, slot__lt=connections).count() < connections:
            rows = [CarrierConnection(carrier_id=name, slot=slot) for slot in range(connections)]
            CarrierConnection.objects.bulk_create(rows, ignore_conflicts=True)
        elif time.monotonic() > gives_up:
            at = timezone.now() + timedelta(seconds=random.uniform(0.5, 1.5))  # noqa: S311
            raise NotNow(at, "All connections to the carrier are in use.")
        else:
            time.sleep(random.uniform(0.02, 0.1))  # noqa: S311


def _take_slot(name: str, column: str = "next_slot", steps: float = 1.0) -> float:
    """When the next request may begin (monotonic clock); no other one may at that time."""
    step = steps / (settings.CARRIER_RATE * MARGIN)
    found = _row(SLOT_SQL.format(column=column), carrier=name, step=step)
    return time.monotonic() + (float(found[0]) if found else 0.0)


def _sleep_until(at: float) -> None:
    time.sleep(max(0.0, at - time.monotonic()))


def _tell_breaker(name: str, kind: RequestKind, *, well: bool, trial: bool) -> None:
    if well:
        CarrierBreaker.objects.filter(carrier=name, kind=kind).update(failures=0, opened_at=None)
        return
    gaps = {"first": FIRST_TRIAL, "longest": LONGEST_TRIAL}
    _execute(FAILED_SQL, carrier=name, kind=kind, limit=FAILURES, trial=trial, **gaps)


def _note_health(carrier: Carrier, result: RequestResult, said: str, error: BaseException | None) -> None:
    now = timezone.now()
    columns: dict[str, Any] = {"failed_at": now, "failure": said}
    if result == RequestResult.ANSWERED or isinstance(error, Refused):
        columns = {
            "answered_at": now,
            "failure": "",
            "idempotent_account": carrier.account,
            "idempotent_seconds": carrier.idempotent_seconds,
        }
    elif result == RequestResult.NOT_TAKEN and isinstance(error, NotTaken) and error.retry_after is not None:
        columns["wait_until"] = now + min(timedelta(seconds=error.retry_after), LONGEST_WAIT)
    CarrierState.objects.filter(name=carrier.name).update(**columns)


def _result(error: BaseException | None) -> tuple[RequestResult, str]:
    if error is None:
        return RequestResult.ANSWERED, ""
    said = str(error)[:300]
    if isinstance(error, Refused | Stopped):
        return RequestResult.REFUSED, said
    if isinstance(error, NotTaken):
        return RequestResult.NOT_TAKEN, said
    return RequestResult.UNCLEAR, said if isinstance(error, CarrierError) else "The portal failed during this request."
