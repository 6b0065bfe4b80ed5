"""The carrier of the storm: the loopback server, misbehaving at random, that writes down what it did with each request.

What it wrote down is the truth that the portal's rows are judged by.
"""

import random
import re
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import psutil

from tests.obd_server import Break, Fault, ObdServer, Refuse, Say, Well
from tests.obd_wire import Received
from tests.soak.callbacks import Caller

WORDS = ["COMPLETED", "NOANSWER", "ANSWERED", "BUSY", "COMPLETED", "FAILED_LEG2", "COMPLETED", "CONGESTION"]
"""How calls end, by the last digits of their numbers."""

FORMS = ["json"] * 5 + ["xml", "php", "text"]
KEY = re.compile(rb"\r\nidempotency-key: *([^\r\n]+)", re.IGNORECASE)
MOMENTS = ("begin", "read", "answer", "end")


@dataclass(frozen=True)
class Kind:
    """One way to treat a request.

    `takes` is the chance that its calls are placed all the same; `unclear` whether the portal can't know it.
    """

    name: str
    weight: float
    make: Callable[[random.Random], Fault | None]
    takes: float = 0.0
    unclear: bool = False


def _well(rng: random.Random) -> Fault:
    """Sometimes without IDs, without its group, or with neither."""
    return Well(rng.choice(FORMS), rng.random() < 0.75, rng.random() < 0.75, rng.random() < 0.5)


def _too_many(rng: random.Random) -> Fault:
    return Refuse(429, "Slow down", headers=(("Retry-After", str(rng.randint(1, 3))),))


WELL = Kind("well", 75, _well, takes=1)
CALM = Kind("well, in the calm", 0, lambda _: Well(), takes=1)
KINDS = [
    WELL,
    Kind("400", 1, lambda _: Refuse(400, "campaign: not that one")),
    Kind("402", 0.7, lambda _: Refuse(402, "No credit")),
    Kind("429", 3, _too_many),
    Kind("500", 2, lambda _: Say(b"<html>oops</html>", 500), 0.5, unclear=True),
    Kind("502", 2, lambda _: Say(b"<html>Bad gateway</html>", 502), 0.5, unclear=True),
    Kind("closed before reading", 2, lambda _: Break.BEFORE_READING, unclear=True),
    Kind("closed after reading", 2, lambda _: Break.AFTER_READING, 0.5, unclear=True),
    Kind("half an answer", 2, lambda _: Break.HALFWAY, 1, unclear=True),
    Kind("no answer", 1.5, lambda _: Break.NEVER, 0.5, unclear=True),
    Kind("trickle", 0.8, lambda _: Break.TRICKLE, 1, unclear=True),
    Kind("HTML", 2, lambda _: Say(b"<html><body>Welcome!</body></html>"), 0.5, unclear=True),
    Kind("broken JSON", 2, lambda _: Say(b'{"status": "200", "da', 200, "application/json"), 0.5, unclear=True),
    Kind("redirect", 2, lambda _: Say(b"", 302, headers=(("Location", "/api/v2/"),)), 0.5, unclear=True),
    Kind("closed after a good answer", 2, lambda _: Break.AFTER_ANSWER, 1),
]
REFUSALS = frozenset({"400", "402", "429"})


@dataclass
class Seen:
    """One request as the carrier saw it; times are epoch seconds."""

    kind: Kind
    began: float
    takes: bool
    worker: int | None = None
    """The process that sent it; None if that was gone before it could be found."""
    method: str = ""
    key: str = ""
    numbers: Sequence[str] = ()
    customs: Sequence[str] = ()
    read: bool = False
    taken: bool = False
    group: int = 0
    ended: float | None = None

    @property
    def is_order(self) -> bool:
        """Whether calls were asked for, in a request that was read."""
        return self.read and self.method == "voice.call"

    @property
    def perhaps_taken(self) -> bool:
        """Whether its phones may ring, as far as the portal can know."""
        return self.is_order and self.kind.name not in REFUSALS


class StormCarrier(ObdServer):
    """Use it as the server that it is. While `calm` it behaves.

    `workers` tells the processes that may send requests, `kill` ends one of them. `aim` makes the next order kill who
    sent it, at one of MOMENTS.
    """

    def __init__(self, seed: int, workers: Callable[[], list[int]], kill: Callable[[int], object]) -> None:
        super().__init__()
        self.rng = random.Random(seed)
        self.calm = False
        self.aim = ""
        self.log: list[Seen] = []
        self.deaf: list[tuple[float, float]] = []
        """From when until when it took no connections (epoch)."""
        self.thinks = 0.1
        self.rings, self.talks = 0.4, 0.8
        self.takes = lambda: self.rng.uniform(0, self.thinks)
        self.ends = lambda number: WORDS[int(number[-3:]) % len(WORDS)]
        self.caller = Caller(random.Random(seed + 1))
        self._workers, self._kill = workers, kill
        self._mine = threading.local()  # each connection has a thread of its own

    def __enter__(self) -> Self:
        self.caller.start()
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        self.caller.stop()
        super().__exit__(*error)

    def begin(self, connection: socket.socket) -> None:
        """A request is coming in."""
        super().begin(connection)
        self._mine.connection = connection

    def next_fault(self) -> Fault | None:
        """Choose how it is treated, and find out whose it is."""
        connection: socket.socket = self._mine.connection
        with self._lock:
            kind = CALM if self.calm else self.rng.choices(KINDS, [kind.weight for kind in KINDS])[0]
            seen = self._mine.seen = Seen(kind, time.time(), self.rng.random() < kind.takes)
            self.log.append(seen)
            fault = kind.make(self.rng)
        if getattr(self._mine, "worker", None) is None:
            self._mine.worker = self._sender(connection)
        seen.worker = self._mine.worker
        if fault is Break.BEFORE_READING:
            # The log has to say which order it was; the carrier that is played here has not looked.
            found = KEY.search(connection.recv(65_536, socket.MSG_PEEK))
            seen.key = found[1].decode() if found else ""
        self._shoot("begin")
        return fault

    def treat(self, request: Received) -> tuple[int, str, bytes]:
        """Write down what is asked, and answer it."""
        seen: Seen = self._mine.seen
        seen.method, seen.key = request.method, request.headers.get("idempotency-key", "")
        seen.numbers = request.numbers
        seen.customs = [custom for custom in request.parameters.get("custom", "").split(",") if custom]
        seen.read = True
        self._shoot("read")
        reply = super().treat(request)
        self._shoot("answer")
        return reply

    def end(self, connection: socket.socket) -> None:
        """The answer goes out; or, the second time, the request is done with."""
        super().end(connection)
        seen: Seen = self._mine.seen
        if seen.ended:
            self._shoot("end")
        seen.ended = time.time()

    def _answer(self, request: Received) -> dict[str, Any]:
        seen: Seen = self._mine.seen
        if seen.is_order and not seen.takes and not isinstance(request.fault, Refuse):
            return {"status": "200", "message": "OK"}  # which goes nowhere
        return super()._answer(request)

    def _call(self, request: Received) -> dict[str, Any]:
        reply = super()._call(request)
        seen: Seen = self._mine.seen
        seen.taken, seen.group = True, int(reply["groupid"])
        silent = isinstance(request.fault, Well) and not (request.fault.with_ids or request.fault.with_group)
        callback = request.parameters.get("callback", "")
        # Without IDs only a callback can tell the portal how these calls end.
        if callback and (silent or self.rng.random() < 0.1):
            due = time.monotonic() + self.rings + self.talks
            for call in self.groups[seen.group].calls[-len(request.numbers) :]:
                self.caller.tell(due, callback, call, self.ends(call.mobile))
        return reply

    def _sender(self, connection: socket.socket) -> int | None:
        try:
            port = connection.getpeername()[1]
        except OSError:
            return None
        for pid in self._workers():
            try:
                if any(found.laddr.port == port for found in psutil.Process(pid).net_connections("tcp4")):
                    return pid
            except psutil.Error:
                continue
        return None

    def _shoot(self, moment: str) -> None:
        seen: Seen = self._mine.seen
        if self.aim == moment and seen.worker and (moment == "begin" or seen.is_order):
            self.aim = ""
            self._kill(seen.worker)

    def refuse_connections(self, seconds: float) -> None:
        """Listen to nobody for so long."""
        began, address = time.time(), self._http.server_address
        self._http.shutdown()
        self._thread.join()
        self._http.socket.close()
        time.sleep(seconds)
        while True:
            self._http.server_address = address
            self._http.socket = socket.socket()
            try:
                self._http.server_bind()
                break
            except OSError:  # an outgoing connection has that port just now
                self._http.socket.close()
                time.sleep(0.05)
        self._http.server_activate()
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()
        self.deaf.append((began, time.time()))
