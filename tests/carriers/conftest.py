"""A carrier for tests, and the `obd` carrier that talks to it."""

from collections.abc import Callable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from calls.carriers.obd import ObdCarrier
from tests.obd_server import KEY, ObdServer

MakeCarrier = Callable[..., ObdCarrier]


@pytest.fixture
def server() -> Iterator[ObdServer]:
    with ObdServer() as server:
        yield server


@pytest.fixture
def make_carrier() -> Iterator[MakeCarrier]:
    """Make carriers that are closed after the test."""
    made = []

    def make(base_url: str, **changes: Any) -> ObdCarrier:
        usual: dict[str, Any] = {
            "api_key": KEY,
            "timeout": 5.0,
            "connections": 4,
            "region": "IN",
            "zone": ZoneInfo("Asia/Kolkata"),
        }
        carrier = ObdCarrier(base_url=base_url, **usual | changes)
        made.append(carrier)
        return carrier

    yield make
    for carrier in made:
        carrier.close()


@pytest.fixture
def carrier(server: ObdServer, make_carrier: MakeCarrier) -> ObdCarrier:
    return make_carrier(server.url)
