"""The carrier of the tests on the wire: HTTP and TLS on the loopback, and every way in which a request can go wrong."""

import os
import socket
import ssl
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qsl

Headers = tuple[tuple[str, str], ...]


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
class Well:
    """A good answer, written in this way. `form` is empty for the format that was asked for."""

    form: str = ""
    with_ids: bool = True
    with_group: bool = True
    as_list: bool = False


@dataclass(frozen=True)
class Refuse:
    """A refusal in the format of the API: nothing is placed. With HTTP status `http` where that is another."""

    status: int | str
    message: str = ""
    http: int | None = None
    headers: Headers = ()


@dataclass(frozen=True)
class Say:
    """An answer as it stands. With `{answer}` in the body that is replaced by what would have been answered."""

    body: bytes = field(default=b"", repr=False)
    status: int = 200
    content_type: str = "text/html"
    headers: Headers = ()


Fault = Break | Well | Refuse | Say

ANSWERS: dict[str, Fault] = {
    **{f"IDs as {form}": Well(form) for form in ("json", "text", "xml", "php")},
    "IDs as a list": Well("json", as_list=True),
    **{f"no IDs in {form}": Well(form, with_ids=False, with_group=False) for form in ("json", "text", "xml", "php")},
    "only the group": Well(with_ids=False),
    "closes after a good answer": Break.AFTER_ANSWER,
}
"""By name: how a carrier answers well."""

NOT_TAKEN: dict[str, Fault] = {
    **{f"{status}": Refuse(status, "No") for status in (400, 404, 401, 402, 403)},
    "429": Refuse(429, "Slow down"),
    "429 with Retry-After": Refuse(429, "Slow down", headers=(("Retry-After", "20"),)),
}
"""By name: how a carrier says that it takes nothing, so that one knows."""

UNCLEAR: dict[str, Fault] = {
    **{f"{status}": Refuse(status, "Broken") for status in (500, 502, 503)},
    **{f"{status} though it took it": Say(b"{answer}", status) for status in (500, 502, 503)},
    "closes before reading": Break.BEFORE_READING,
    "closes after reading": Break.AFTER_READING,
    "closes half-way": Break.HALFWAY,
    "never answers": Break.NEVER,
    "trickles": Break.TRICKLE,
    "trickles headers": Break.TRICKLE_HEADERS,
    "20 MiB": Say(b"{answer}" + b" " * (20 << 20), content_type="application/json"),
    "endless": Break.ENDLESS,
    "HTML": Say(b"<!DOCTYPE html><html><body>Bad Gateway</body></html>"),
    "broken JSON": Say(b'{"status": "200", "data": {"0": {"id": "7-1", "mob', content_type="application/json"),
    "redirect": Say(b"{answer}", 307, headers=(("Location", "/api/v2/"),)),
}
"""By name: what leaves open whether a carrier took the request."""


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


class Carrier(Protocol):
    """Who says what becomes of requests."""

    certificate: ssl.SSLContext | None
    closing: threading.Event
    connections: int
    keeps: int

    def now(self) -> float: ...
    def begin(self, connection: socket.socket) -> None: ...
    def next_fault(self) -> Fault | None: ...
    def treat(self, request: Received) -> tuple[int, str, bytes]: ...
    def end(self, connection: socket.socket) -> None: ...


def hung_up(connection: socket.socket) -> bool:
    """Whether the client has closed its end, so that it waits for no answer any more."""
    try:
        # The handler's socket would wait for what the handler has just read itself.
        with socket.socket(fileno=os.dup(connection.fileno())) as same:
            return not same.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:  # reset, or closed on this side too
        return True


class Listener(ThreadingHTTPServer):
    """Accepts connections on the loopback, a thread for each."""

    daemon_threads = False  # so that closing waits for them
    request_queue_size = 64

    def __init__(self, carrier: Carrier, port: int = 0) -> None:
        self.carrier = carrier
        self.open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.carrier.connections += 1
        self.open.add(request)
        super().process_request(request, client_address)

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self.carrier.certificate is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(Handler.timeout)
        with suppress(OSError):  # the client wants no such certificate
            encrypted = self.carrier.certificate.wrap_socket(request, server_side=True)
            self.open.add(encrypted)
            try:
                super().finish_request(encrypted, client_address)
            finally:
                self.shutdown_request(encrypted)

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self.open.discard(request)

    def close_connections(self) -> None:
        """Wake the threads that wait for a client."""
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Handler(BaseHTTPRequestHandler):
    """Reads requests and answers them, as the carrier says."""

    server: Listener
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60

    def handle(self) -> None:
        with suppress(OSError):  # the client has gone
            super().handle()

    def handle_one_request(self) -> None:
        if not self._comes_in():
            self.close_connection = True
            return
        carrier = self.server.carrier
        carrier.begin(self.connection)
        try:
            self.fault = carrier.next_fault()
            if self.fault is Break.BEFORE_READING:
                self.close_connection = True
            else:
                super().handle_one_request()
        finally:
            carrier.end(self.connection)

    def _comes_in(self) -> bool:
        if isinstance(self.connection, ssl.SSLSocket):
            return bool(self.rfile.peek(1))  # type: ignore[attr-defined]
        return bool(self.connection.recv(1, socket.MSG_PEEK))

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
        more: Headers = (("Idempotency-Key-Kept", str(carrier.keeps)),) if carrier.keeps else ()
        if isinstance(self.fault, Say):
            status, content_type = self.fault.status, self.fault.content_type
            body = self.fault.body.replace(b"{answer}", body)
        if isinstance(self.fault, Say | Refuse):
            more += self.fault.headers
        if isinstance(self.fault, Break):
            self.close_connection = True
            self._break(self.fault, status, content_type, body)
        else:
            self._send(status, content_type, body, more)

    def _send(
        self, status: int, content_type: str, body: bytes, more: Sequence[tuple[str, str]] = (), whole: bool = True
    ) -> None:
        # Before, not after: the client may begin its next request as soon as it has the last byte.
        self.server.carrier.end(self.connection)
        self._write(status, content_type, body, more, 1 if whole else 2)

    def _write(self, status: int, content_type: str, body: bytes, more: Sequence[tuple[str, str]], part: int) -> None:
        fields = [("Content-Type", content_type), ("Content-Length", str(len(body))), *more]
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in fields)]
        self.wfile.write("\r\n".join([*lines, "", ""]).encode() + body[: len(body) // part])

    def _break(self, fault: Break, status: int, content_type: str, body: bytes) -> None:
        match fault:
            case Break.HALFWAY:
                self._send(status, content_type, body, whole=False)
            case Break.NEVER:
                self.connection.recv(1)  # until the client gives up
            case Break.TRICKLE:
                self._write(status, content_type, body + b" " * 100_000, (), 2)
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
