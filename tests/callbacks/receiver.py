"""A receiver of callbacks on the loopback that notes every request, and a trap that notes every connection."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """Answers with `status`, `headers` and `body`, or as `answer` does."""

    status: int = 200
    body: bytes = b"thanks"
    headers: dict[str, str] = field(default_factory=dict)
    answer: Callable[[BaseHTTPRequestHandler], None] | None = None
    hold: threading.Event | None = None
    """Answers wait for it."""
    targets: list[str] = field(default_factory=list)
    received: list[dict[str, str]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    port: int = 0
    closing: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_for(self, requests: int) -> None:
        ends = time.monotonic() + 60
        while len(self.targets) < requests:
            assert time.monotonic() < ends, self.targets
            time.sleep(0.005)


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    def usual(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(receiver.status)
        for name, value in receiver.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(receiver.body)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with receiver.lock:
                receiver.targets.append(self.requestline.split()[1])  # `path` is tidied up
                receiver.received.append({name.lower(): value for name, value in self.headers.items()})
                receiver.at_once += 1
                receiver.most_at_once = max(receiver.most_at_once, receiver.at_once)
            try:
                if receiver.hold:
                    receiver.hold.wait(20)
                with suppress(OSError):  # the client has gone
                    (receiver.answer or usual)(self)
            finally:
                with receiver.lock:
                    receiver.at_once -= 1

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
            pass

    return Handler


@contextmanager
def listening(**how: Any) -> Iterator[Receiver]:
    """A receiver that runs."""
    receiver = Receiver(**how)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(receiver))
    server.daemon_threads = False
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.closing.set()
        if receiver.hold:
            receiver.hold.set()
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Trap:
    """Listens on all addresses of this machine."""

    port: int
    sockets: list[socket.socket]

    @property
    def caught(self) -> int:
        """Connections that were made to it: they wait to be accepted."""
        found = 0
        for each in self.sockets:
            with suppress(BlockingIOError):
                while True:
                    each.accept()[0].close()
                    found += 1
        return found


@contextmanager
def trap() -> Iterator[Trap]:
    """A port that must not be reached, on IPv4 and IPv6."""
    four = socket.socket()
    four.bind(("", 0))
    sockets = [four]
    port = four.getsockname()[1]
    with suppress(OSError):  # a machine without IPv6
        six = socket.socket(socket.AF_INET6)
        six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        six.bind(("::", port))
        sockets.append(six)
    for each in sockets:
        each.listen(64)
        each.setblocking(False)
    try:
        yield Trap(port, sockets)
    finally:
        for each in sockets:
            each.close()
