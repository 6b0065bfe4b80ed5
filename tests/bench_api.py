"""The API's part of `make bench`: its methods as ratios to a bare signed-in view that writes one row."""

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TYPE_CHECKING

import requests

if TYPE_CHECKING:
    from calls.models import CallGroup

ROUNDS = 200
CLIENTS = 8
SECONDS = 5.0
ROWS = 1_000

_numbers = count(8_123_000_000)

Ask = Callable[[requests.Session], requests.Response]


def measure_api(address: str, browser: requests.Session) -> None:
    """Print the figures; `browser` is signed in as admin."""
    from calls.models import APIKey, CallGroup, User
    from tests.factories import make_call_group

    admin = User.objects.get(username="admin")
    row, key = APIKey.make(admin, "Bench", rate=1_000_000)
    group = CallGroup.objects.order_by("total").last() or make_call_group(admin, 3)
    endpoint, headers = f"{address}/api/v1/", {"x-api-key": key}

    def bare(session: requests.Session) -> requests.Response:
        data = {"api_key_id": row.pk, "csrfmiddlewaretoken": browser.cookies["obdportal_csrf"]}
        # Each with a connection of its own, all with the same session.
        return session.post(f"{address}/bare/", data=data, cookies=browser.cookies, headers={"Referer": address})

    def api(**parameters: object) -> Ask:
        def ask(session: requests.Session) -> requests.Response:
            data = {name: value() if callable(value) else value for name, value in parameters.items()}
            return session.post(endpoint, data=data, headers=headers)

        return ask

    def a_number() -> int:
        return next(_numbers)

    call = {"method": "voice.call", "numbers": a_number, "message": "Hello.", "delay": 900, "format": "json"}
    asked = {
        "voice.call, one number": api(**call),
        "voice.call, newgroup=1": api(**call, newgroup=1),
        "voice.status": api(method="voice.status", id=f"{group.pk}-1", format="json"),
        f"voice.groupstatus, {ROWS:,} rows": api(
            method="voice.groupstatus", groupid=group.pk, limit=ROWS, format="json"
        ),
    }
    true = _callback(address, group)
    asked |= {
        "callback of the carrier, replayed": lambda session: session.get(true),
        "callback of the carrier, forged": lambda session: session.get(true.replace("/callbacks/", "/callbacks/1")),
    }
    times = _in_turn({"bare": bare, **asked})
    base = times.pop("bare")
    print(f"\nThe OBD API (baseline: a signed-in view that writes one row, {base * 1000:.1f} ms)")
    print(f"  {'the baseline':38} {'':31}  {_rate(bare):6.0f} a second")
    for name, median in times.items():
        ratio = f"{median * 1000:8.1f} ms  {median / base:6.2f} x the baseline"
        print(f"  {name:38} {ratio}  {_rate(asked[name]):6.0f} a second")


def _callback(address: str, group: "CallGroup") -> str:
    """A callback of the carrier that tells nothing new of the first call of a call group."""
    from django.conf import settings

    from calls.dialing.incoming import callback_url

    settings.CARRIER_CALLBACKS, settings.PUBLIC_URL = True, address
    url = callback_url(group.batches.get(first=1))
    return url.replace("{custom}", f"{group.pk}-1").replace("{status}", group.calls.get(n=1).status)


def _in_turn(asks: dict[str, Ask]) -> dict[str, float]:
    """The median seconds of each, one after the other so that all see the same machine."""
    session = requests.Session()
    times: dict[str, list[float]] = {name: [] for name in asks}
    for _ in range(ROUNDS):
        for name, ask in asks.items():
            began = time.perf_counter()
            _done(ask(session))
            times[name].append(time.perf_counter() - began)
    return {name: statistics.median(measured) for name, measured in times.items()}


def _done(response: requests.Response) -> None:
    """Raises for what is no answer; a forged callback is answered with 404."""
    if response.status_code != requests.codes.not_found:
        response.raise_for_status()


def _rate(ask: Ask) -> float:
    """Requests a second that so many clients get answered."""
    ends = time.monotonic() + SECONDS

    def client(_: int) -> int:
        session, done = requests.Session(), 0
        while time.monotonic() < ends:
            _done(ask(session))
            done += 1
        return done

    with ThreadPoolExecutor(CLIENTS) as pool:
        return sum(pool.map(client, range(CLIENTS))) / SECONDS
