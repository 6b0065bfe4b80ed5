"""The contract between the dialing core and whoever places calls.

Only workers talk to a carrier. A carrier is asked two things: to place a batch of calls, and what became of calls.
How a request to place calls ended decides whether a phone may ring, so the errors say just that (DESIGN.md, rule 1).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

MAX_CALLS = 200
"""Numbers in one order (OBD-API.md, `numbers`)."""


class CarrierError(Exception):
    """Something between us and the carrier went wrong; `str()` is a plain sentence for people."""


class NotTaken(CarrierError):
    """The carrier certainly took nothing: the request may be made again, `retry_after` seconds later if it says so."""

    def __init__(self, sentence: str, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class Stopped(NotTaken):
    """The carrier certainly took nothing and would refuse everything else too (wrong key, no credit)."""


class Refused(CarrierError):
    """The carrier read the request and said no to it: these calls are not placed."""


class Unconfirmed(CarrierError):
    """The carrier may have taken the request; it must not be made again without evidence."""


class NoAnswer(CarrierError):
    """A question about calls was not answered; it may be asked again."""


@dataclass(frozen=True)
class OrderedCall:
    """One number (E.164) to call, under our OBD ID."""

    obd_id: str
    number: str


@dataclass(frozen=True)
class Order:
    """One request to place calls: the parameters of `voice.call` (OBD-API.md).

    Either `calls` (at most 200) or `group`, the carrier's own ID or name of a contact group.
    `schedule_time` (aware) and `delay` (seconds) are set only where the carrier is to wait.
    `callback` is one for the portal itself: the portal requests those of its users (:mod:`calls.api.callbacks`).
    `key` is the order's own: a carrier that knows `Idempotency-Key` places orders with the same key once.
    """

    calls: Sequence[OrderedCall]
    group: str = ""
    play: str = ""
    message: str = ""
    retries: int = 0
    campaign: str = ""
    newgroup: bool = False
    schedule_time: datetime | None = None
    delay: int = 0
    meta: Mapping[str, Any] | None = None
    custom: str = ""
    callback: str = ""
    key: str = ""


@dataclass(frozen=True)
class Accepted:
    """The carrier took the order. `ids` and `refused` are keyed by our OBD ID; both may be empty.

    `refused` holds calls that the carrier lists as not placed, with its word for it (`DND`, `INVALID`).
    """

    group: str = ""
    ids: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    message: str = ""


@dataclass(frozen=True)
class AskedCall:
    """A call whose status is asked for; `carrier_id` is empty where the carrier gave none."""

    obd_id: str
    number: str
    carrier_id: str


@dataclass(frozen=True)
class Question:
    """What became of these calls? They were handed over in one request, begun at `sent_at` (aware).

    With `group`, the carrier's ID of its group, all calls of that group are meant and `calls` is empty.
    """

    calls: Sequence[AskedCall]
    sent_at: datetime
    group: str = ""
    play: str = ""
    retries: int = 0
    schedule_time: datetime | None = None
    delay: int = 0


@dataclass(frozen=True)
class Report:
    """What the carrier says of one call. `obd_id` is ours where the carrier gave it back, else empty.

    Times are aware; `duration` is in seconds; `word` is the carrier's own.
    """

    number: str
    word: str
    obd_id: str = ""
    carrier_id: str = ""
    sent_at: datetime | None = None
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    duration: int | None = None
    retries: int | None = None
    digits: str = ""


Turn = Callable[[], AbstractContextManager[object]]
"""Entered around each request, so that all workers together keep to the pace (:mod:`calls.dialing.pacing`)."""


class Carrier(Protocol):
    """Places calls and tells what became of them."""

    @property
    def name(self) -> str:
        """As in the setting `CARRIER`."""

    @property
    def account(self) -> str:
        """A digest of where requests go, as whom; empty where it makes none."""

    @property
    def idempotent_seconds(self) -> int:
        """For how long it has said that orders with the same key are placed once; 0: it has not."""

    @property
    def retry_gap(self) -> float:
        """Seconds from one attempt to call a number to the next one, at most: it makes retries by itself."""

    @property
    def cps(self) -> float:
        """Calls that it begins in a second; the others wait in its queue. 0: it begins all that it is given at once."""

    def place(self, order: Order) -> Accepted:
        """Hand over one order, in one request. Raises NotTaken, Stopped, Refused or Unconfirmed."""

    def check(self) -> str:
        """Ask something harmless, in one request: what it said. Raises NotTaken, Stopped, Refused or Unconfirmed."""

    def reports(self, question: Question, turn: Turn) -> Iterator[Report]:
        """What the carrier knows of these calls (and perhaps of others in the same group). Raises NoAnswer.

        What `turn` raises passes through, perhaps after some reports.
        """
