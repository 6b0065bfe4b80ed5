"""Callbacks: the request at the end of each call, made by workers (OBD-API.md, `callback`).

A job claims callbacks that are due and makes their requests in threads; only the job's own thread talks to the
database. A claim sets `due_at` to when the request is made again if nothing is heard of it: that is committed before
the request, so a worker that dies loses nothing, and the receiver may get the same callback twice.

Advisory locks of the job's session bound how many jobs there are, and how many requests are under way at one host,
over all workers; they end with the session, whatever happens to it.
"""

import json
import logging
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Min
from django.utils import timezone

from calls.api import outside
from calls.api.signing import headers_of, secret_of
from calls.api.status import mobile_of, stamp
from calls.models import Call, Callback, CallbackState, CallGroup
from calls.obd.parameters import fill_callback

logger = logging.getLogger(__name__)

JOBS = 2
"""Jobs that deliver at the same time, of all workers: the other places of a worker are for calls."""

AT_ONCE = 16
"""Requests of one job at the same time."""

AT_ONCE_PER_HOST = 4
"""Requests to one host at the same time, of all workers."""

HOSTS = 100
"""Hosts looked at together; the next ones follow."""

TURN_SECONDS = 30.0
"""A job claims nothing more after this, and queues again behind others."""

LEASE = timedelta(seconds=60)
"""After this a request of which nothing is heard is made again: far more than it may take."""

SHORTEST_GAP, LONGEST_GAP = 10.0, 3600.0
"""Seconds to the next try. In between it is as long as the callback has been failing, so the gaps double."""

JITTER = 0.25
"""A gap is up to this part longer, so that what failed together is not tried again together."""

GIVES_UP_AFTER = timedelta(hours=24)
"""Counted from the first failure; the last try is then."""

BUSY = timedelta(seconds=2)
"""When a job that found no place for a request looks again."""

LOOK_AGAIN = 0.5
"""Seconds after which a job with requests under way looks for more to do."""

JOB_LOCKS = "SELECT pg_try_advisory_lock(hashtext('callback job'), %(n)s)"
HOST_LOCKS = "SELECT pg_try_advisory_lock(hashtext('callback host ' || %(host)s), %(n)s)"
# Goes from host to host along the index, however many callbacks wait for each; the first one of a host is due first.
HOSTS_SQL = """
    WITH RECURSIVE hosts AS (
        (
            SELECT host, due_at FROM calls_callback WHERE state = 'pending' AND host > %(after)s
            ORDER BY host, due_at LIMIT 1
        )
        UNION ALL
        SELECT following.host, following.due_at FROM hosts AS h CROSS JOIN LATERAL (
            SELECT host, due_at FROM calls_callback WHERE state = 'pending' AND host > h.host
            ORDER BY host, due_at LIMIT 1
        ) AS following
    )
    SELECT host FROM hosts WHERE due_at <= %(now)s LIMIT %(limit)s
"""
CLAIM_SQL = """
    UPDATE calls_callback SET attempts = attempts + 1, due_at = %(lease)s WHERE id = (
        SELECT id FROM calls_callback WHERE state = 'pending' AND host = %(host)s AND due_at <= %(now)s
        ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
    ) RETURNING id
"""


def deliver() -> datetime | None:
    """Deliver the callbacks that are due, for one turn. Returns when to go on (aware); None: nothing is left."""
    job = _free_lock(JOB_LOCKS, range(JOBS))
    if job is None:
        return None  # the jobs that run look for more until nothing is due
    turn = _Turn()
    try:
        turn.run()
    finally:
        _unlock(JOB_LOCKS, job)
    at = next_due()
    if at and not turn.served:
        # What is due is at hosts at which another job has as many requests under way as there may be.
        return max(at, timezone.now() + BUSY)
    return at


def next_due() -> datetime | None:
    """When the next callback is to be tried (aware); None: none is pending."""
    pending = Callback.objects.filter(state=CallbackState.PENDING)
    at: datetime | None = pending.aggregate(at=Min("due_at"))["at"]
    return at


# --- What is requested -------------------------------------------------------------------------------------------


def values_of(call: Call, group: CallGroup) -> dict[str, str]:
    """What the placeholders stand for, as the API writes it."""
    return {
        "obdid": call.obd_id,
        "mobile": mobile_of(call.number),
        "status": call.status,
        "campaign": group.campaign,
        "custom": call.custom,
        "senttime": stamp(call.handed_over_at),
        "answertime": stamp(call.answered_at),
        "endtime": stamp(call.ended_at),
        "duration": "" if call.duration is None else str(call.duration),
        "retries": str(call.retries),
        "digits": call.digits,
        "meta": "" if group.meta is None else json.dumps(group.meta, ensure_ascii=False, separators=(",", ":")),
    }


def url_of(callback: Callback) -> str:
    """The URL of this callback, with its placeholders filled in."""
    return fill_callback(callback.call_group.callback, values_of(callback.call, callback.call_group))


@dataclass(frozen=True)
class Delivery:
    """One request to make, with all that it needs. `slot` is its place among those to the same host."""

    callback: Callback
    slot: int
    url: str
    webhook_id: str
    secret: str


@dataclass(frozen=True)
class Outcome:
    """How a request ended: the HTTP status, if an answer came, and the beginning of it or why there is none."""

    http_status: int | None
    answer: str

    @property
    def delivered(self) -> bool:
        """Whether the receiver has it."""
        return self.http_status is not None and 200 <= self.http_status < 300


def request(delivery: Delivery) -> Outcome:
    """Make the request; never raises."""
    timestamp = int(time.time())
    try:
        answer = outside.get(
            delivery.url, lambda target: headers_of(delivery.secret, delivery.webhook_id, timestamp, target)
        )
    except outside.NotReached as error:
        return Outcome(None, str(error))
    except Exception:
        logger.exception("Callback %s: requesting it broke", delivery.webhook_id)
        return Outcome(None, "The portal failed while this was requested.")
    return Outcome(answer.status, answer.text)


# --- Claiming and settling ---------------------------------------------------------------------------------------


class _Turn:
    """One job's turn: as many requests under way as there may be, taken from all hosts in rotation."""

    def __init__(self) -> None:
        self.ends = time.monotonic() + TURN_SECONDS
        self.under_way: dict[Future[Outcome], Delivery] = {}
        self.slots: defaultdict[str, set[int]] = defaultdict(set)
        self.after = ""
        """The host that was served last."""

    @property
    def served(self) -> bool:
        """Whether anything could be done."""
        return bool(self.after)

    def run(self) -> None:
        """Deliver until nothing is due or the turn is over."""
        try:
            with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="callback") as pool:
                while True:
                    if time.monotonic() < self.ends:
                        for delivery in self._claim():
                            self.under_way[pool.submit(request, delivery)] = delivery
                    if not self.under_way:
                        return
                    for future in wait(self.under_way, LOOK_AGAIN, FIRST_COMPLETED).done:
                        self._settle(self.under_way.pop(future), future.result())
        finally:
            for host, slots in self.slots.items():
                for slot in slots:
                    _unlock(HOST_LOCKS, slot, host)

    def _claim(self) -> Iterator[Delivery]:
        """Claim what is due, one of each host after the other, until there is no place for more."""
        free = AT_ONCE - len(self.under_way)
        hosts = self._hosts() if free else []
        while hosts:
            for host in tuple(hosts):
                if not free:
                    return
                delivery = self._claim_of(host)
                if delivery is None:
                    hosts.remove(host)
                else:
                    self.after, free = host, free - 1
                    yield delivery

    def _hosts(self) -> list[str]:
        """Hosts to which a request is due and may be made, beginning after the one that was served last."""
        found = _hosts_after(self.after)
        if len(found) < HOSTS:
            found = list(dict.fromkeys([*found, *_hosts_after("")]))
        return [host for host in found if len(self.slots[host]) < AT_ONCE_PER_HOST]

    def _claim_of(self, host: str) -> Delivery | None:
        slot = _free_lock(HOST_LOCKS, (n for n in range(AT_ONCE_PER_HOST) if n not in self.slots[host]), host)
        if slot is None:
            return None
        self.slots[host].add(slot)
        callback = claim(host)
        if callback is None:
            self._release(host, slot)
            return None
        group = callback.call_group
        secret = secret_of(group.api_key or group.owner)
        return Delivery(callback, slot, url_of(callback), f"call-{callback.call.obd_id}", secret)

    def _release(self, host: str, slot: int) -> None:
        _unlock(HOST_LOCKS, slot, host)
        self.slots[host].discard(slot)

    def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        self._release(delivery.callback.host, delivery.slot)
        settle(delivery.callback, outcome)


def _hosts_after(host: str) -> list[str]:
    """The hosts that follow in the alphabet and have callbacks that are due."""
    with connection.cursor() as cursor:
        cursor.execute(HOSTS_SQL, {"after": host, "now": timezone.now(), "limit": HOSTS})
        return [name for (name,) in cursor.fetchall()]


def claim(host: str) -> Callback | None:
    """The next callback that is due at `host`, counted as tried; nobody else claims it until the lease is over."""
    now = timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(CLAIM_SQL, {"host": host, "now": now, "lease": now + LEASE})
        row = cursor.fetchone()
    if row is None:
        return None
    return Callback.objects.select_related("call", "call_group__api_key", "call_group__owner").get(pk=row[0])


def settle(callback: Callback, outcome: Outcome) -> None:
    """Write down how a request for `callback` ended, as it was claimed."""
    now = timezone.now()
    pending = Callback.objects.filter(pk=callback.pk, state=CallbackState.PENDING)
    said = {"http_status": outcome.http_status, "answer": _told(outcome)[:300], "tried_at": now}
    if outcome.delivered:
        # However late: the receiver has it.
        pending.update(state=CallbackState.DELIVERED, delivered_at=now, **said)
        return
    since = callback.first_failed_at or now
    gives_up_at = since + GIVES_UP_AFTER
    due_at = min(now + gap(now - since), gives_up_at)
    state = CallbackState.FAILED if now >= gives_up_at else CallbackState.PENDING
    # Unless it was claimed once more meanwhile: that request will say.
    pending.filter(attempts=callback.attempts).update(state=state, first_failed_at=since, due_at=due_at, **said)


def gap(failing: timedelta) -> timedelta:
    """The time to the next try of a callback that has been failing for so long."""
    seconds = min(max(failing.total_seconds(), SHORTEST_GAP), LONGEST_GAP)
    return timedelta(seconds=seconds * random.uniform(1, 1 + JITTER))  # noqa: S311 - no secret


def _told(outcome: Outcome) -> str:
    if outcome.http_status is not None and 300 <= outcome.http_status < 400:
        return "A redirect, which is not followed: the callback URL itself has to answer."
    return outcome.answer


# --- Advisory locks of this session ------------------------------------------------------------------------------


def _free_lock(sql: str, numbers: "Iterator[int] | range", host: str = "") -> int | None:
    """Take the first of these locks that is free; None if none is."""
    with connection.cursor() as cursor:
        for n in numbers:
            cursor.execute(sql, {"host": host, "n": n})
            if cursor.fetchone()[0]:
                return n
    return None


def _unlock(sql: str, n: int, host: str = "") -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql.replace("pg_try_advisory_lock", "pg_advisory_unlock"), {"host": host, "n": n})
