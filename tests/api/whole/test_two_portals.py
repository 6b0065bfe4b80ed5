"""One portal is the carrier of another, over real HTTP: what the one sends is what the other understands."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.browser.portal import Portal, running_portal

PATIENCE = 240
"""Seconds that a loaded machine may need for all calls."""


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
    with running_portal(SANDBOX_SPEED="20", DEMO_DATA="false", CARRIER_RATE="100") as portal:
        yield portal


@pytest.fixture(scope="module")
def near(far: Portal) -> Iterator[Portal]:
    """The portal that hands its calls to `far`."""
    key = far.run("-m", "tests.api.whole.far")
    address = f"{far.url}/api/v1/"
    with running_portal(
        CARRIER="obd", OBD_BASE_URL=address, OBD_API_KEY=key, CARRIER_RATE="100", CALLBACK_ALLOW="127.0.0.0/8"
    ) as portal:
        yield portal


def test_a_thousand_calls_ring_once_and_end_alike_on_both(far: Portal, near: Portal, listener: Listener) -> None:
    options = {"retries": 1, "campaign": "Two portals", "delay": 1, "meta": {"ticket": 42}, "callback": listener.url}
    near.run("-m", "tests.api.whole.near", "1000", json.dumps(options))
    deadline = time.monotonic() + PATIENCE
    while (here := near.run("-m", "tests.api.whole.look"))["open"] or len(listener.came) < 1000:
        assert time.monotonic() < deadline, (here["open"], len(listener.came))
        time.sleep(2)
    there = far.run("-m", "tests.api.whole.look")
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
