"""The sandbox: a pretend phone network without a simulator process and without state (DESIGN.md, "The sandbox").

A call's status is a pure function of its number, the attempt and the time since hand-over. The last digit decides:
0-5 answered, 6 no answer, 7 busy, 8 congestion on the first attempt and answered on a retry, 9 failed.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from django.conf import settings
from django.utils import timezone

from calls.carriers.base import MAX_CALLS, Accepted, AskedCall, Order, Question, Refused, Report, Turn
from calls.obd.statuses import Status

RETRY_GAP = 15.0
"""Seconds between two attempts."""

LONGEST_RINGING = 8.0
"""Seconds."""


@dataclass(frozen=True)
class Attempt:
    """One try at a number: seconds of ringing and of talking, and how it ends."""

    rings: float
    talks: float
    ends: Status


def _share(*parts: object) -> float:
    """A number from 0 to 1 that is always the same for the same parts."""
    digest = hashlib.blake2b("|".join(map(str, parts)).encode(), digest_size=4).digest()
    return int.from_bytes(digest) / 0xFFFFFFFF


def attempt(number: str, tried: int) -> Attempt:
    """What happens when `number` is called for the `tried`-th time (from 0), in seconds of the pretend network."""
    rings = 2 + (LONGEST_RINGING - 2) * _share(number, tried, "rings")
    talks = 5 + 35 * _share(number, tried, "talks")
    match number[-1]:
        case "6":
            return Attempt(rings, 0, Status.NOANSWER)
        case "7":
            return Attempt(rings, 0, Status.BUSY)
        case "8" if tried == 0:
            return Attempt(rings, 0, Status.CONGESTION)
        case "9":
            return Attempt(rings, 0, Status.FAILED)
    return Attempt(rings, talks, Status.COMPLETED)


def pressed(number: str, tried: int) -> str:
    """The key that the called person presses during an IVR: now and then 1, 2 or 3, rarely 9, else none."""
    share = _share(number, tried, "keys")
    if share < 0.3:
        return str(1 + int(share * 10))
    return "9" if share > 0.97 else ""


def report(call: AskedCall, question: Question, now: datetime, speed: float) -> Report:
    """The state of one call at `now` (aware). `speed` divides all times but the schedule and the delay."""
    begins = question.schedule_time or question.sent_at + timedelta(seconds=question.delay)
    known: dict[str, Any] = {"number": call.number, "obd_id": call.obd_id, "carrier_id": call.carrier_id}
    for tried in range(question.retries + 1):
        if now < begins:
            return Report(**known, word=Status.QUEUED, retries=max(tried - 1, 0))
        this = attempt(call.number, tried)
        answered = begins + timedelta(seconds=this.rings / speed)
        ended = answered + timedelta(seconds=this.talks / speed)
        if now < ended:
            talking = this.talks > 0 and now >= answered
            return Report(**known, word=Status.INPROGRESS, retries=tried, answered_at=answered if talking else None)
        if this.ends is Status.COMPLETED:
            digits = pressed(call.number, tried) if question.play.endswith(".ivr") else ""
            seconds = max(1, round(this.talks / speed))
            return Report(
                **known,
                word=this.ends,
                retries=tried,
                answered_at=answered,
                ended_at=ended,
                duration=seconds,
                digits=digits,
            )
        begins = ended + timedelta(seconds=RETRY_GAP / speed)
    return Report(**known, word=this.ends, retries=question.retries, ended_at=ended, duration=0)


@dataclass(frozen=True)
class SandboxCarrier:
    """Rings no phone. `speed` 10 runs the pretend network ten times as fast."""

    speed: float = 1.0
    name: str = "sandbox"
    account: str = ""
    idempotent_seconds: int = 0
    cps: float = 0.0

    @classmethod
    def from_settings(cls) -> Self:
        """The sandbox at the speed of the settings."""
        return cls(speed=settings.SANDBOX_SPEED)

    @property
    def retry_gap(self) -> float:
        """Seconds: only who was not reached is called again, so nobody talked in between."""
        return (LONGEST_RINGING + RETRY_GAP) / self.speed

    def place(self, order: Order) -> Accepted:
        """Take the order; the answer carries an ID for each call. Raises Refused as `voice.call` does."""
        if order.group:
            raise Refused(f"The sandbox holds no contact groups, so there is no group “{order.group}”.")
        if not order.calls:
            raise Refused("There are no numbers to call.")
        if len(order.calls) > MAX_CALLS:
            raise Refused(f"There are {len(order.calls)} numbers; at most {MAX_CALLS} go into one request.")
        if not (order.play or order.message):
            raise Refused("There is nothing to play.")
        # No group: each batch is asked about by its calls, as only they and their time say what became of them.
        return Accepted(ids={call.obd_id: call.obd_id for call in order.calls}, message="OK")

    def check(self) -> str:
        """The sandbox is always there."""
        return "The sandbox answers. No phone rings."

    def reports(self, question: Question, turn: Turn) -> Iterator[Report]:
        """The state of each call asked about, now; no request is made, so no `turn` is needed."""
        now = timezone.now()
        for call in question.calls:
            yield report(call, question, now, self.speed)
