"""A real HTTP server on the loopback that speaks the OBD API like a carrier, for tests (OBD-API.md).

It writes down every request, places pretend calls that end by its own clock, answers in any of the formats, and
fails on demand. Its replies are written by code of its own: tests would prove little if both sides shared theirs.
"""

import json
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

KEY = "A-fake-key-for-tests"
MAX_NUMBERS = 200

CONTENT_TYPES = {
    "json": "application/json",
    "xml": "application/xml",
    "php": "text/plain; charset=utf-8",
    "text": "text/plain; charset=utf-8",
}


class Break(Enum):
    """Ways in which an answer does not come, or not whole."""

    BEFORE_READING = auto()
    AFTER_READING = auto()
    HALFWAY = auto()
    NEVER = auto()
    TRICKLE = auto()
    TRICKLE_HEADERS = auto()
    ENDLESS = auto()
    AFTER_ANSWER = auto()
    """Answers well, then closes the connection without having said so."""


@dataclass(frozen=True)
class Refuse:
    """A refusal in the format of the API; with HTTP status `http` where that differs from `status`."""

    status: int | str
    message: str = ""
    http: int | None = None


@dataclass(frozen=True)
class Say:
    """An answer as it stands. With `{answer}` in the body that is replaced by what would have been answered."""

    body: bytes = b""
    status: int = 200
    content_type: str = "text/html"
    headers: tuple[tuple[str, str], ...] = ()


Fault = Break | Refuse | Say


@dataclass(frozen=True)
class Received:
    """One request as it came. `at` is of the server's clock; `fault` is how it was treated, None for well."""

    verb: str
    path: str
    headers: dict[str, str]
    pairs: tuple[tuple[str, str], ...]
    at: float
    fault: Fault | None

    @property
    def parameters(self) -> dict[str, str]:
        """The form fields; a field given twice is an error of the test's subject."""
        assert len(dict(self.pairs)) == len(self.pairs), self.pairs
        return dict(self.pairs)

    @property
    def method(self) -> str:
        return self.parameters.get("method", "")

    @property
    def numbers(self) -> list[str]:
        return [number for number in self.parameters.get("numbers", "").split(",") if number]


@dataclass
class Placed:
    """A call that the carrier took."""

    group: int
    n: int
    mobile: str
    custom: str
    at: float
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


class ObdServer:
    """The carrier. Change its attributes while it runs; use it in `with`, which stops it at the end.

    format       of answers: "json", "xml", "text" or "php", whatever was asked for; "" for what was asked for
    with_ids     whether `voice.call` answers with rows; with_group whether with its group
    as_list      whether JSON rows are a list and not an object
    echo_custom  whether rows carry `custom`; mask whether numbers in rows are masked
    ends         final word for a number as it came; rings, talks: seconds until then
    faults       how the next requests are treated, one each, None for well; `always` when there are no more
    """

    def __init__(self, zone: str = "Asia/Kolkata") -> None:
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
        self.always: Fault | None = None

        self.received: list[Received] = []
        self.called: list[str] = []
        """Each number asked to call, in each request that was read, in order: what may have rung."""
        self.groups: dict[int, Group] = {}
        self.connections = 0
        self.closing = threading.Event()
        self._forwarded = 0.0
        self._lock = threading.RLock()
        self._http = _Http(self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._http.shutdown()
        self._http.close_connections()
        self._http.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/api/v1/"

    def requests(self, method: str) -> list[Received]:
        """What was received of one method."""
        return [request for request in self.received if request.method == method]

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

    def next_fault(self) -> Fault | None:
        """How the request that is coming in is treated."""
        with self._lock:
            return self.faults.popleft() if self.faults else self.always

    def treat(self, request: Received) -> tuple[int, str, bytes]:
        """Write the request down and answer it: HTTP status, content type, body."""
        with self._lock:
            self.received.append(request)
            if request.method == "voice.call" and not isinstance(request.fault, Refuse):
                self.called += request.numbers
            reply = self._answer(request)
        status = str(reply["status"])
        http = request.fault.http if isinstance(request.fault, Refuse) else None
        form = self.format or request.parameters.get("format", "text")
        return http or int(status), CONTENT_TYPES[form], render(form, reply, as_list=self.as_list).encode()

    def _answer(self, request: Received) -> dict[str, Any]:
        if isinstance(request.fault, Refuse):
            return {"status": request.fault.status, "message": request.fault.message}
        if request.headers.get("x-api-key") != self.key:
            return {"status": "401", "message": "Invalid API key"}
        match request.method.lower():
            case "voice.call":
                return self._call(request)
            case "voice.status":
                return self._status(request.parameters["id"].split(","))
            case "voice.groupstatus":
                return self._group_status(request.parameters)
        return {"status": "400", "message": f"Unknown method {request.method}"}

    def _status(self, wanted: Sequence[str]) -> dict[str, Any]:
        if len(wanted) > MAX_NUMBERS:
            return {"status": "400", "message": "Too many IDs"}
        calls = [call for group in self.groups.values() for call in group.calls if call.id in wanted]
        return {"status": "200", "message": "OK", "data": [self._row(call) for call in calls]}

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
            call = Placed(group.number, len(group.calls) + 1, number, custom, self.now())
            group.calls.append(call)
            rows.append({"id": call.id, "mobile": self._shown(number), "status": "QUEUED", "custom": custom})
        reply: dict[str, Any] = {"status": "200", "message": "OK"}
        if self.with_group:
            reply["groupid"] = str(group.number)
        if self.with_ids:
            reply["data"] = [row if self.echo_custom else {**row, "custom": ""} for row in rows]
        return reply

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
        row["senttime"] = self.written(call.at)
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

    def written(self, at: float) -> str:
        """A time as the API writes it."""
        return f"{datetime.fromtimestamp(at, self.zone):%Y-%m-%d %H:%M:%S}"

    def _shown(self, number: str) -> str:
        return number[:2] + "X" * (len(number) - 2) if self.mask else number


def render(form: str, reply: dict[str, Any], *, as_list: bool = False) -> str:
    """The reply as the specification's samples and OBD-API.md lay it out."""
    reply = dict(reply)
    rows: Sequence[dict[str, Any]] = reply.pop("data", [])
    return {"json": _json, "xml": _xml, "php": _php, "text": _text}[form](reply, rows, as_list)


def _json(reply: dict[str, Any], rows: Sequence[dict[str, Any]], as_list: bool) -> str:
    data = {"data": list(rows) if as_list else dict(enumerate(rows))} if rows else {}
    return json.dumps({"status": reply["status"], **data, **reply})


def _xml(reply: dict[str, Any], rows: Sequence[dict[str, Any]], as_list: bool) -> str:
    def fields(values: dict[str, Any]) -> str:
        return "".join(f"<{name}>{escape(str(value))}</{name}>\r\n" for name, value in values.items())

    voices = "".join(f"<voice>\r\n{fields(row)}</voice>\r\n" for row in rows)
    data = f"<data>\r\n{voices}</data>\r\n" if rows else ""
    return f'<?xml version="1.0" encoding="UTF-8" ?>\r\n<api>\r\n{fields(reply)}{data}</api>'


def _php(reply: dict[str, Any], rows: Sequence[dict[str, Any]], as_list: bool) -> str:
    if not rows:
        return "Array\r\n(\r\n" + "".join(f"[{name}] => {value}\r\n" for name, value in reply.items()) + ")"
    lines = [
        f"            [{n}] => [\r\n"
        + ",\r\n".join(f'                [{name}] => "{value}"' for name, value in row.items())
        + "\r\n           ]"
        for n, row in enumerate(rows)
    ]
    head = {name: value for name, value in reply.items() if name not in {"status", "message"}}
    fields = [
        f"    [status] => {reply['status']}",
        *(f'    [{name}] => "{value}"' for name, value in head.items()),
        "    [data] => [\r\n" + ",\r\n".join(lines) + "\r\n    ]",
        f'    [message] => "{reply["message"]}"',
    ]
    return "Array\r\n(\r\n" + ",\r\n".join(fields) + "\r\n)"


_TEXT_NAMES = {
    "status": "Status", "message": "Message", "groupid": "GID", "total": "Total", "next": "Next",
    "id": "ID", "mobile": "Mobile", "senttime": "SentTime", "answertime": "AnswerTime", "endtime": "EndTime",
    "duration": "Duration", "retries": "Retries", "digits": "Digits", "custom": "Custom",
}  # fmt: skip


def _text(reply: dict[str, Any], rows: Sequence[dict[str, Any]], as_list: bool) -> str:
    def shown(value: Any) -> str:
        return f'"{value}"' if " " in str(value) else str(value)

    lines = [f"{_TEXT_NAMES[name]}={value}" for name, value in reply.items()]
    lines += [" ".join(f"{_TEXT_NAMES[name]}={shown(value)}" for name, value in row.items()) for row in rows]
    return "\n".join(lines) + "\n"


class _Http(ThreadingHTTPServer):
    daemon_threads = False  # so that closing waits for them
    request_queue_size = 64

    def __init__(self, carrier: ObdServer) -> None:
        self.carrier = carrier
        self.open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.carrier.connections += 1
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.open.discard(request)

    def close_connections(self) -> None:
        """Wake the threads that wait for a client."""
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: _Http
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60

    def handle(self) -> None:
        with suppress(OSError):  # the client has gone
            super().handle()

    def handle_one_request(self) -> None:
        if not self.connection.recv(1, socket.MSG_PEEK):
            self.close_connection = True
            return
        self.fault = self.server.carrier.next_fault()
        if self.fault is Break.BEFORE_READING:
            self.close_connection = True
            return
        super().handle_one_request()

    def do_GET(self) -> None:
        self._treat(self.path.partition("?")[2])

    def do_POST(self) -> None:
        self._treat(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def _treat(self, form: str) -> None:
        carrier = self.server.carrier
        headers = {name.lower(): value for name, value in self.headers.items()}
        pairs = tuple(parse_qsl(form, keep_blank_values=True, strict_parsing=True))
        request = Received(self.command, self.path, headers, pairs, carrier.now(), self.fault)
        status, content_type, body = carrier.treat(request)
        more: tuple[tuple[str, str], ...] = ()
        if isinstance(self.fault, Say):
            status, content_type, more = self.fault.status, self.fault.content_type, self.fault.headers
            body = self.fault.body.replace(b"{answer}", body)
        if isinstance(self.fault, Break):
            self.close_connection = True
            self._break(self.fault, status, content_type, body)
        else:
            self._send(status, content_type, body, more)

    def _send(
        self, status: int, content_type: str, body: bytes, more: Sequence[tuple[str, str]] = (), whole: bool = True
    ) -> None:
        phrase = HTTPStatus(status).phrase
        fields = [("Content-Type", content_type), ("Content-Length", str(len(body))), *more]
        head = f"HTTP/1.1 {status} {phrase}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields) + "\r\n"
        self.wfile.write(head.encode() + (body if whole else body[: len(body) // 2]))

    def _break(self, fault: Break, status: int, content_type: str, body: bytes) -> None:
        match fault:
            case Break.HALFWAY:
                self._send(status, content_type, body, whole=False)
            case Break.NEVER:
                self.connection.recv(1)  # until the client gives up
            case Break.TRICKLE:
                self._send(status, content_type, body + b" " * 100_000, whole=False)
                self._trickle(b" ")
            case Break.TRICKLE_HEADERS:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                self._trickle(b"x")
            case Break.ENDLESS:
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + body)
                while not self.server.carrier.closing.is_set():
                    self.wfile.write(b" " * 1_000_000)
            case Break.AFTER_ANSWER:
                self._send(status, content_type, body)

    def _trickle(self, piece: bytes) -> None:
        while not self.server.carrier.closing.wait(0.02):
            self.wfile.write(piece)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        pass
