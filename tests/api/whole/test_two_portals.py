"""One portal is the carrier of another, over real HTTP: what the one sends is what the other understands."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.browser.portal import Portal, running_portal

PATIENCE = 240
"""Seconds that a loaded machine may need for all calls."""

OPEN = "SELECT sum(open)::int FROM calls_callgroup"
ANSWERS = "SELECT http_status FROM calls_callback"


class Listener(ThreadingHTTPServer):
    """Takes callbacks and remembers their parameters."""

    daemon_threads = True

    def __init__(self) -> None:
        self.came: list[dict[str, list[str]]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/done?id={{obdid}}&to={{mobile}}&status={{status}}&meta={{meta}}"


class Handler(BaseHTTPRequestHandler):
    """Answers 204."""

    server: Listener

    def do_GET(self) -> None:
        self.server.came.append(parse_qs(urlsplit(self.path).query))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    with Listener() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def far() -> Iterator[Portal]:
    """The carrier: a portal on the sandbox."""
    settings = {"SANDBOX_SPEED": "20", "DEMO_DATA": "false", "CARRIER_RATE": "100"}
    with running_portal(**settings, CALLBACK_ALLOW="127.0.0.0/8") as portal:
        yield portal


@pytest.fixture(scope="module")
def near(far: Portal) -> Iterator[Portal]:
    """The portal that hands its calls to `far`."""
    key = far.run("-m", "tests.api.whole.far")
    address = f"{far.url}/api/v1/"
    with _near(address, key, PUBLIC_URL="http://127.0.0.1:{port}") as portal:
        yield portal


def _near(address: str, key: str, **settings: str) -> AbstractContextManager[Portal]:
    carrier = {"CARRIER": "obd", "OBD_BASE_URL": address, "OBD_API_KEY": key, "CARRIER_RATE": "100"}
    return running_portal(**carrier, CALLBACK_ALLOW="127.0.0.0/8", **settings)


def test_a_thousand_calls_ring_once_and_end_alike_on_both(far: Portal, near: Portal, listener: Listener) -> None:
    options = {"retries": 1, "campaign": "Two portals", "delay": 1, "meta": {"ticket": 42}, "callback": listener.url}
    near.run("-m", "tests.api.whole.near", "1000", json.dumps(options))
    deadline = time.monotonic() + PATIENCE
    while near.ask(OPEN) != [0] or near.ask(ANSWERS) != [204] * 1000:
        assert time.monotonic() < deadline, (near.ask(OPEN), Counter(near.ask(ANSWERS)))
        time.sleep(0.5)
    # The far one reports each call to the near one as well, perhaps after that asked.
    while far.ask(ANSWERS) != [200] * 1000:
        assert time.monotonic() < deadline, Counter(far.ask(ANSWERS))
        time.sleep(0.5)
    here, there = (portal.run("-m", "tests.api.whole.look") for portal in (near, far))
    rang = Counter(number for _, number, *_ in there["calls"])
    assert (len(rang), set(rang.values())) == (1000, {1})
    assert {row[1]: row[2] for row in here["calls"]} == {row[1]: row[2] for row in there["calls"]}
    assert {row[1]: (row[3], row[5]) for row in here["calls"]} == {row[1]: (row[3], row[5]) for row in there["calls"]}
    assert {row[2] for row in here["calls"]} == {"COMPLETED", "NOANSWER", "BUSY", "FAILED"}
    # Our OBD IDs travel as `custom`; that is how a lost answer would be matched.
    assert all(row[4].partition("-")[0] == str(here["calls"][0][0]) for row in there["calls"])
    told = {came["id"][0]: came["status"][0] for came in listener.came}
    assert told == {f"{row[0]}-{i}": row[2] for i, row in enumerate(here["calls"], 1)}
    assert all(json.loads(came["meta"][0]) == {"ticket": 42} for came in listener.came)


class Lossy(ThreadingHTTPServer):
    """Passes requests on to `address`, but loses the first answer to each order; counts how often each came."""

    daemon_threads = True

    def __init__(self, address: str) -> None:
        self.address = address
        self.orders: Counter[str] = Counter()
        super().__init__(("127.0.0.1", 0), LossyHandler)


class LossyHandler(BaseHTTPRequestHandler):
    server: Lossy

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        names = ("x-api-key", "Content-Type", "Idempotency-Key")
        headers = {name: self.headers[name] for name in names if self.headers[name]}
        answer = requests.post(self.server.address, data=body, headers=headers, timeout=30)
        order = headers.get("Idempotency-Key", "")
        self.server.orders[order] += 1
        if order and self.server.orders[order] == 1:
            return
        self.send_response(answer.status_code)
        for name in ("Content-Type", "Idempotency-Key-Kept"):
            self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


def test_lost_answers_are_asked_for_again_and_nobody_is_called_twice(far: Portal) -> None:
    key = far.run("-m", "tests.api.whole.far")
    before = len(far.run("-m", "tests.api.whole.look")["calls"])
    with Lossy(f"{far.url}/api/v1/") as lossy:
        thread = threading.Thread(target=lossy.serve_forever)
        thread.start()
        try:
            with _near(f"http://127.0.0.1:{lossy.server_port}/api/v1/", key) as near:
                near.run("-m", "tests.api.whole.near", "450", json.dumps({"campaign": "Lossy"}))
                deadline = time.monotonic() + PATIENCE
                while near.ask(OPEN) != [0]:
                    assert time.monotonic() < deadline, near.ask(OPEN)
                    time.sleep(0.5)
                here = near.run("-m", "tests.api.whole.look")
        finally:
            lossy.shutdown()
            thread.join()
    there = far.run("-m", "tests.api.whole.look")["calls"][before:]
    rang = Counter(number for _, number, *_ in there)
    assert (len(rang), set(rang.values())) == (450, {1})
    assert {row[1]: row[2] for row in here["calls"]} == {row[1]: row[2] for row in there}
    assert len(here["settled"]) == 3
    assert all("Idempotency-Key" in settled for settled in here["settled"]), here["settled"]
    assert [times for order, times in lossy.orders.items() if order] == [2, 2, 2]
