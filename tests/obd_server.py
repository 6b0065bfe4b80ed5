"""A real HTTP server on the loopback that speaks the OBD API like a carrier, for tests (OBD-API.md).

It writes down every request, places pretend calls that end by its own clock, answers in any of the formats, and
fails on demand (:mod:`tests.obd_wire`). Its replies are written by code of its own: tests would prove little if both
sides shared theirs.
"""

import heapq
import http.client
import re
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

from tests.obd_render import CONTENT_TYPES, render
from tests.obd_wire import (
    ANSWERS,
    NOT_TAKEN,
    UNCLEAR,
    Break,
    Fault,
    Handler,
    Listener,
    Received,
    Refuse,
    Say,
    Well,
    hung_up,
)

__all__ = [
    "ANSWERS", "KEY", "LOOPBACK", "NOT_TAKEN", "UNCLEAR",
    "Break", "Fault", "Handler", "ObdServer", "Received", "Refuse", "Say", "Well",
]  # fmt: skip

KEY = "A-fake-key-for-tests"
MAX_NUMBERS = 200
LOOPBACK = "127.0.0.1"


@dataclass
class Placed:
    """A call that the carrier took. It rings from `at` on, of the server's clock."""

    group: int
    n: int
    mobile: str
    custom: str
    at: float
    callback: str = ""
    word: str = ""

    @property
    def id(self) -> str:
        return f"{self.group}-{self.n}"


@dataclass
class Group:
    """A call group of the carrier's."""

    number: int
    alike: tuple[str, ...] | None
    calls: list[Placed] = field(default_factory=list)


@dataclass(frozen=True)
class Asked:
    """A number that the server was asked to call in a request that it read, when by its clock, and whether it does."""

    number: str
    at: float
    placed: bool


@dataclass(frozen=True)
class CalledBack:
    """A callback that the server made: its URL, and how it was answered (None: not at all, or it went elsewhere)."""

    url: str
    status: int | None


class ObdServer:
    """The carrier. Change its attributes while it runs; use it in `with`, which stops it at the end.

    format       of answers: "json", "xml", "text" or "php", whatever was asked for; "" for what was asked for
    with_ids     whether `voice.call` answers with rows; with_group whether with its group
    as_list      whether JSON rows are a list and not an object
    echo_custom  whether rows carry `custom`; mask whether numbers in rows are masked
    ends         final word for a number as it came; rings, talks: seconds until then
    faults       how the next requests are treated, one each, None for well; `always` when there are no more
    takes        seconds that it thinks before it answers; meanwhile is called at that time
    keeps        seconds for which it knows the answers it gave by `Idempotency-Key`, and says so; 0: it doesn't
    calls_back   whether it requests `callback` when a call ends (on the loopback only)
    certificate  for TLS with new connections; None: without TLS

    `port` 0 is any free one.
    """

    def __init__(self, zone: str = "Asia/Kolkata", port: int = 0) -> None:
        self.zone = ZoneInfo(zone)
        self.key = KEY
        self.format = ""
        self.with_ids = True
        self.with_group = True
        self.as_list = False
        self.echo_custom = True
        self.mask = False
        self.page = 1_000
        self.rings, self.talks = 2.0, 5.0
        self.ends: Callable[[str], str] = lambda number: "COMPLETED"
        self.contact_groups: dict[str, list[str]] = {}
        self.refused: dict[str, str] = {}
        """Numbers that `voice.call` lists without ID, with the word for it."""
        self.faults: deque[Fault | None] = deque()
        self.always: Fault | Callable[[], Fault | None] | None = None
        self.takes: Callable[[], float] = lambda: 0.0
        self.meanwhile: Callable[[Received], object] = lambda request: None
        self.keeps = 0
        self.calls_back = False
        self.certificate: ssl.SSLContext | None = None

        self.received: list[Received] = []
        self.called: list[str] = []
        """Each number that it took, in each request, in order: what rings."""
        self.asked: list[Asked] = []
        self.groups: dict[int, Group] = {}
        self.called_back: list[CalledBack] = []
        self.connections = 0
        self.begun: list[float] = []
        """When each request began to come in, even one that was not read (monotonic clock)."""
        self.most_at_once = 0
        """The most requests that were under way at once, for clients that had not hung up."""
        self.closing = threading.Event()
        self._under_way: set[socket.socket] = set()
        self._answers: dict[str, tuple[float, dict[str, str], dict[str, Any]]] = {}
        self._ending: list[tuple[float, int, Placed]] = []
        self._forwarded = 0.0
        self._lock = threading.RLock()
        self._http = Listener(self, port)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._caller = threading.Thread(target=self._call_back)

    def __enter__(self) -> Self:
        self._thread.start()
        self._caller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.close_connections()
        self._http.server_close()
        self._thread.join()
        self._caller.join()

    @property
    def url(self) -> str:
        scheme = "https" if self.certificate else "http"
        return f"{scheme}://{LOOPBACK}:{self._http.server_address[1]}/api/v1/"

    def requests(self, method: str) -> list[Received]:
        """What was received of one method."""
        return [request for request in self.received if request.method == method]

    @property
    def under_way(self) -> int:
        """Requests that clients wait for just now."""
        with self._lock:
            return sum(not hung_up(connection) for connection in self._under_way)

    def most_begun_in(self, seconds: float) -> int:
        """The most requests that began within so many seconds, whenever."""
        begun = sorted(self.begun)
        first = most = 0
        for last, at in enumerate(begun):
            while begun[first] <= at - seconds:
                first += 1
            most = max(most, last - first + 1)
        return most

    def now(self) -> float:
        """Seconds of the server's clock (epoch)."""
        return time.time() + self._forwarded

    def forward(self, seconds: float) -> None:
        """Move the server's clock on, so that calls end."""
        self._forwarded += seconds

    def wait_until_closed(self) -> None:
        """Wait until no connection is open on this side."""
        ends = time.monotonic() + 10
        while self._http.open:
            assert time.monotonic() < ends
            time.sleep(0.001)

    def begin(self, connection: socket.socket) -> None:
        """Note that a request is coming in."""
        with self._lock:
            self.begun.append(time.monotonic())
            self._under_way.add(connection)
            self.most_at_once = max(self.most_at_once, self.under_way)

    def next_fault(self) -> Fault | None:
        """How the request that is coming in is treated."""
        with self._lock:
            if self.faults:
                return self.faults.popleft()
        return self.always() if callable(self.always) else self.always

    def end(self, connection: socket.socket) -> None:
        """The answer to a request goes out, or never will."""
        with self._lock:
            self._under_way.discard(connection)

    def treat(self, request: Received) -> tuple[int, str, bytes]:
        """Write the request down and answer it: HTTP status, content type, body."""
        fault = request.fault
        with self._lock:
            self.received.append(request)
            before = len(self.called)
            reply = self._answer(request)
            placed = set(self.called[before:])
            self.asked += [Asked(number, request.at, number in placed) for number in request.numbers]
        self.meanwhile(request)
        self.closing.wait(self.takes())
        status = str(reply["status"])
        usual = Well(self.format, self.with_ids, self.with_group, self.as_list)
        shape = fault if isinstance(fault, Well) else usual
        form = shape.form or request.parameters.get("format", "text")
        if request.method == "voice.call":
            known = {"groupid": shape.with_group, "data": shape.with_ids}
            reply = {name: value for name, value in reply.items() if known.get(name, True)}
        http = fault.http if isinstance(fault, Refuse) else None
        return http or int(status), CONTENT_TYPES[form], render(form, reply, as_list=shape.as_list).encode()

    def _answer(self, request: Received) -> dict[str, Any]:
        if isinstance(request.fault, Refuse):
            return {"status": request.fault.status, "message": request.fault.message}
        if request.headers.get("x-api-key") != self.key:
            return {"status": "401", "message": "Invalid API key"}
        match request.method.lower():
            case "voice.call":
                return self._once(request)
            case "voice.status":
                return self._status(request.parameters["id"].split(","))
            case "voice.groupstatus":
                return self._group_status(request.parameters)
        return {"status": "400", "message": f"Unknown method {request.method}"}

    def _once(self, request: Received) -> dict[str, Any]:
        """What `voice.call` answers; the same as before to a request that was made before with the same key."""
        key = request.headers.get("idempotency-key", "") if self.keeps else ""
        at, given, reply = self._answers.get(key, (0.0, {}, {}))
        if reply and self.now() < at + self.keeps:
            same = given == request.parameters
            return reply if same else {"status": "409", "message": "Used with other parameters"}
        reply = self._call(request)
        if key and reply["status"] == "200":
            self._answers[key] = self.now(), request.parameters, reply
        return reply

    def _status(self, wanted: Sequence[str]) -> dict[str, Any]:
        if len(wanted) > MAX_NUMBERS:
            return {"status": "400", "message": "Too many IDs"}
        calls = [call for each in wanted if (call := self._find(each))]
        return {"status": "200", "message": "OK", "data": [self._row(call) for call in calls]}

    def _find(self, wanted: str) -> Placed | None:
        number, _, n = wanted.partition("-")
        group = self.groups.get(int(number))
        return group.calls[int(n) - 1] if group and 0 < int(n or 0) <= len(group.calls) else None

    def _call(self, request: Received) -> dict[str, Any]:
        given = request.parameters
        by_group = given.get("group", "")
        numbers = self.contact_groups.get(by_group, []) if by_group else request.numbers
        if not numbers or (not by_group and len(numbers) > MAX_NUMBERS):
            return {"status": "400", "message": f"{len(numbers)} numbers"}
        customs = given.get("custom", "").split(",")
        if len(customs) < len(numbers):
            customs = [customs[0] if by_group else ""] * len(numbers)
        group = self._group(given)
        rows = []
        for number, custom in zip(numbers, customs, strict=False):
            if number in self.refused:
                rows.append({"mobile": number, "status": self.refused[number], "custom": custom})
                continue
            callback = given.get("callback", "")
            call = Placed(group.number, len(group.calls) + 1, number, custom, self._rings_at(given), callback)
            group.calls.append(call)
            self.called.append(number)
            if callback:
                heapq.heappush(self._ending, (call.at, len(self.called), call))
            rows.append({"id": call.id, "mobile": self._shown(number), "status": "QUEUED", "custom": custom})
        shown = [row if self.echo_custom else {**row, "custom": ""} for row in rows]
        return {"status": "200", "message": "OK", "groupid": str(group.number), "data": shown}

    def _rings_at(self, given: dict[str, str]) -> float:
        scheduled = given.get("scheduletime", "")
        if scheduled and not scheduled.isdigit():
            scheduled = str(datetime.fromisoformat(scheduled).replace(tzinfo=self.zone).timestamp())
        return max(self.now(), float(scheduled or 0)) + int(given.get("delay", "0"))

    def _group(self, given: dict[str, str]) -> Group:
        """A call group of its own, or with newgroup=0 that of similar requests."""
        alike = None
        if given.get("newgroup", "0") == "0":
            alike = tuple(given.get(name, "") for name in ("campaign", "play", "message", "retries", "scheduletime"))
            for group in self.groups.values():
                if group.alike == alike:
                    return group
        number = 700_001 + len(self.groups)
        self.groups[number] = Group(number, alike)
        return self.groups[number]

    def _group_status(self, given: dict[str, str]) -> dict[str, Any]:
        group = self.groups.get(int(given["groupid"].partition("-")[0]))
        if group is None:
            return {"status": "404", "message": "No such group"}
        after = int(given.get("after", "0").rpartition("-")[2])
        limit = min(int(given.get("limit", self.page)), self.page)
        page = group.calls[after : after + limit]
        reply: dict[str, Any] = {"status": "200", "message": "OK", "data": [self._row(call) for call in page]}
        if after + limit < len(group.calls):
            reply |= {"total": len(group.calls), "next": page[-1].id}
        return reply

    def _row(self, call: Placed) -> dict[str, Any]:
        age = self.now() - call.at
        row: dict[str, Any] = {"id": call.id, "mobile": self._shown(call.mobile), "status": "QUEUED"}
        row["senttime"] = self.written(call.at) if age >= 0 else ""
        if age >= self.rings + self.talks:
            row["status"] = call.word or self.ends(call.mobile)
            row["endtime"] = self.written(call.at + self.rings + self.talks)
            if row["status"] == "COMPLETED":
                row |= {"answertime": self.written(call.at + self.rings), "duration": str(int(self.talks))}
            row["retries"] = "0"
        elif age >= self.rings:
            row["status"] = "INPROGRESS"
        if self.echo_custom and call.custom:
            row["custom"] = call.custom
        return row

    def _call_back(self) -> None:
        """Make the callbacks of calls as they end, until the server stops."""
        with ThreadPoolExecutor(4) as pool:
            while not self.closing.wait(0.02):
                with self._lock:
                    while self._ending and self._ending[0][0] + self.rings + self.talks <= self.now():
                        call = heapq.heappop(self._ending)[2]
                        if self.calls_back:
                            pool.submit(self._request, self._filled(call))
            pool.shutdown(cancel_futures=True)

    def _filled(self, call: Placed) -> str:
        values = {"obdid": call.id, "mobile": call.mobile} | self._row(call)
        return re.sub(r"\{(\w+)\}", lambda name: quote(str(values.get(name[1], "")), safe=""), call.callback)

    def _request(self, url: str) -> None:
        to = urlsplit(url)
        status = None
        if to.hostname == LOOPBACK:
            asking = http.client.HTTPConnection(LOOPBACK, to.port or 80, timeout=10)
            try:
                asking.request("GET", f"{to.path}?{to.query}")
                status = asking.getresponse().status
            except (OSError, http.client.HTTPException):
                pass  # nobody is there
            finally:
                asking.close()
        self.called_back.append(CalledBack(url, status))

    def written(self, at: float) -> str:
        """A time as the API writes it."""
        return f"{datetime.fromtimestamp(at, self.zone):%Y-%m-%d %H:%M:%S}"

    def _shown(self, number: str) -> str:
        return number[:2] + "X" * (len(number) - 2) if self.mask else number
