"""How the connection to a carrier is: trying it when somebody asks to, and figures of the requests that were made."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from calls.carriers import get_carrier
from calls.carriers.base import CarrierError
from calls.dialing.jobs import check_lock
from calls.dialing.pacing import NotNow, one_request
from calls.models import CarrierRequest, CarrierState, RequestKind, RequestResult

ANSWERED_KEPT, OTHERS_KEPT = timedelta(hours=1), timedelta(days=1)
"""How long the records of requests are kept: of those that were answered, and of all others."""

LOOKED_AT = 20_000
"""Requests that figures are made from at most, the latest ones: a page costs the same however many there are."""

REASONS_SHOWN = 20

KINDS_SQL = """
    WITH latest AS (
        SELECT kind, began_at, result, seconds FROM calls_carrierrequest
        WHERE carrier_id = %(carrier)s AND began_at > %(since)s ORDER BY began_at DESC LIMIT %(most)s
    )
    SELECT kind, count(*) FILTER (WHERE began_at > %(minute)s), count(*) FILTER (WHERE result = 'answered'),
        count(*) FILTER (WHERE result = 'refused'), count(*) FILTER (WHERE result = 'not taken'),
        count(*) FILTER (WHERE result = 'unclear'),
        percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY seconds)
            FILTER (WHERE result IN ('answered', 'refused'))
    FROM latest GROUP BY kind ORDER BY kind
"""
REASONS_SQL = """
    WITH latest AS (
        SELECT kind, began_at, result, said FROM calls_carrierrequest
        WHERE carrier_id = %(carrier)s AND began_at > %(since)s AND NOT (result = 'answered')
        ORDER BY began_at DESC LIMIT %(most)s
    )
    SELECT kind, result, said, count(*), max(began_at) FROM latest
    GROUP BY kind, result, said ORDER BY count(*) DESC, max(began_at) DESC LIMIT %(shown)s
"""
WAITS_SQL = """
    SELECT coalesce(scheduled_at, now()) FROM procrastinate_jobs
    WHERE queueing_lock = %(lock)s AND status = 'todo' OR lock = %(lock)s AND status = 'doing'
    ORDER BY id LIMIT 1
"""


def check(name: str) -> datetime | None:
    """Ask the carrier something harmless, in its turn; how it ended is among its requests.

    Returns when to try again (aware) if it isn't its turn now.
    """
    carrier = get_carrier(name)
    try:
        with one_request(carrier, RequestKind.CHECK):
            carrier.check()
    except NotNow as error:
        return error.at
    except CarrierError:
        pass  # that is a result too
    return None


def check_waits(name: str) -> datetime | None:
    """From when on (aware) the check that somebody asked for is made; None if none is to be made."""
    with connection.cursor() as cursor:
        cursor.execute(WAITS_SQL, {"lock": check_lock(name)})
        found = cursor.fetchone()
    return found[0] if found else None


def last_check(name: str) -> CarrierRequest | None:
    """The latest check of this carrier, if it is still on record."""
    return CarrierRequest.objects.filter(carrier=name, kind=RequestKind.CHECK).order_by("-began_at").first()


@dataclass(frozen=True)
class KindFigures:
    """Requests of one kind in the last hour, by how they ended; times are in seconds, None without an answer."""

    kind: RequestKind
    last_minute: int
    answered: int
    refused: int
    not_taken: int
    unclear: int
    median: float | None
    slow: float | None
    """The time within which 95 % were answered."""

    @property
    def number(self) -> int:
        """All of them."""
        return self.answered + self.refused + self.not_taken + self.unclear


def by_kind(name: str, now: datetime) -> list[KindFigures]:
    """What became of the requests to this carrier in the hour before `now` (aware)."""
    rows = _rows(KINDS_SQL, name, now - timedelta(hours=1), minute=now - timedelta(minutes=1))
    return [KindFigures(RequestKind(kind), *counts, *(times or (None, None))) for kind, *counts, times in rows]


@dataclass(frozen=True)
class Reason:
    """Requests of one kind that failed in the same way."""

    kind: RequestKind
    result: RequestResult
    said: str
    times: int
    last_at: datetime


def failures(name: str, now: datetime) -> list[Reason]:
    """What went wrong with requests to this carrier in the day before `now` (aware), most frequent first."""
    rows = _rows(REASONS_SQL, name, now - OTHERS_KEPT, shown=REASONS_SHOWN)
    return [Reason(RequestKind(kind), RequestResult(result), *others) for kind, result, *others in rows]


def _rows(sql: str, carrier: str, since: datetime, **more: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, {"carrier": carrier, "since": since, "most": LOOKED_AT, **more})
        return list(cursor.fetchall())


def forget_requests() -> None:
    """Delete the records of requests that are too old to be shown."""
    now = timezone.now()
    # Carrier by carrier, so that the index by carrier and time leads there.
    for name in CarrierState.objects.values_list("pk", flat=True):
        requests = CarrierRequest.objects.filter(carrier=name)
        requests.filter(began_at__lt=now - OTHERS_KEPT).delete()
        requests.filter(began_at__lt=now - ANSWERED_KEPT, result=RequestResult.ANSWERED).delete()
