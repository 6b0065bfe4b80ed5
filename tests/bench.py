"""`make bench`: what a large call group costs, as ratios to a page that asks the database for nothing.

Runs a portal of its own on the sandbox, on a free port of 127.0.0.1 and in a temporary folder. It starts a call group
of 100 numbers and one of SIZE (100,000), and times the pages of both in turn with the baseline page, while the
calls run and after they ended. It ends by itself.
"""

import atexit
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psutil
import requests

from tests.bench_api import measure_api
from tests.bench_export import measure_export
from tests.bench_import import measure_import
from tests.bench_plan import measure_plan

ROOT = Path(__file__).resolve().parents[1]
SIZE = int(os.environ.get("SIZE", "100000"))
SMALL = 100
ROUNDS = 15
BATCHES = 5_000
"""Batches that are queued when the call group is paused and cancelled."""

STILL = 3.0
"""Seconds in which nothing must be begun any more."""

BASELINE = "/account/password/"
PASSWORD = "only-for-this-benchmark"
FILL_SQL = """
    INSERT INTO calls_contact (group_id, number, name, extra, created_at)
    SELECT %s, '+9990' || lpad(i::text, 8, '0'), 'Contact ' || i, '{}', now() FROM generate_series(1, %s) AS i
"""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def portal(data_dir: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A running portal: its address and process."""
    port = free_port()
    os.environ |= {
        "ENV_FILE": os.devnull,
        "DATA_DIR": str(data_dir),
        "PORT": str(port),
        "CARRIER": "sandbox",
        "SANDBOX_SPEED": "20",
        "CARRIER_RATE": "1000",
        "DEMO_DATA": "false",
        "ADMIN_PASSWORD": PASSWORD,
        "DJANGO_SETTINGS_MODULE": "tests.bench_settings",
    }
    os.environ.pop("DATABASE_URL", None)
    process = subprocess.Popen([sys.executable, "manage.py", "run"], cwd=ROOT, stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        wait(lambda: healthy(address), 120)
        yield address, process
    finally:
        process.terminate()
        process.wait(60)


def healthy(address: str) -> bool:
    """Whether the portal answers that all its parts are alive."""
    try:
        return requests.get(f"{address}/healthz", timeout=5).ok
    except requests.ConnectionError:
        return False


def wait(condition: Any, seconds: float) -> float:
    """Wait until the condition holds; the seconds that took. Raises TimeoutError."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise TimeoutError
        time.sleep(0.1)
    return time.monotonic() - began


def peak_memory(process: subprocess.Popen[bytes]) -> dict[str, float]:
    """Peak resident memory in MiB of each kind of process of the portal, the largest of its kind."""
    peaks: dict[str, float] = {}
    for child in psutil.Process(process.pid).children(recursive=True):
        command = " ".join(child.cmdline())
        kind = "worker" if "manage.py worker" in command else "web" if "gunicorn" in command else ""
        status = Path(f"/proc/{child.pid}/status").read_text() if kind else ""
        if found := re.search(r"VmHWM:\s+(\d+)", status):
            peaks[kind] = max(peaks.get(kind, 0.0), int(found[1]) / 1024)
    return peaks


class Operator:
    """Somebody who is signed in and clicks."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.session = requests.Session()
        self.get("/login/")
        self.post("/login/", username="admin", password=PASSWORD)

    def get(self, path: str) -> requests.Response:
        response = self.session.get(self.address + path, timeout=120)
        response.raise_for_status()
        return response

    def post(self, path: str, **data: object) -> requests.Response:
        token = self.session.cookies["obdportal_csrf"]
        data["csrfmiddlewaretoken"] = token
        headers = {"Referer": self.address}
        response = self.session.post(self.address + path, data=data, headers=headers, timeout=120)
        response.raise_for_status()
        return response

    def start(self, contact_group: int) -> tuple[int, float, float]:
        """Start calls to a contact group: the call group's ID, seconds to the preflight, seconds to the call group."""
        began = time.monotonic()
        preflight = self.post("/start/", who="groups", groups=contact_group, heard="message", message="Hello.").url
        path = preflight.removeprefix(self.address)
        wait(lambda: "What would happen" in self.get(path).text, 300)
        planned = time.monotonic()
        self.post(f"{path}confirm/")
        wait(lambda: "/call-groups/" in self.get(path).url, 300)
        group = int(self.get(path).url.rstrip("/").rpartition("/")[2])
        return group, planned - began, time.monotonic() - planned


def seconds(operator: Operator, path: str) -> float:
    """How long one request takes."""
    began = time.perf_counter()
    operator.get(path)
    return time.perf_counter() - began


def compare(operator: Operator, title: str, pages: dict[str, str]) -> None:
    """Print each page's median time and its ratio to the baseline's, taken in turn."""
    times: dict[str, list[float]] = {name: [] for name in pages}
    base: list[float] = []
    for _ in range(ROUNDS):
        base.append(seconds(operator, BASELINE))
        for name, path in pages.items():
            times[name].append(seconds(operator, path))
    typical = statistics.median(base)
    print(f"\n{title} (baseline: {typical * 1000:.1f} ms)")
    for name, measured in times.items():
        median = statistics.median(measured)
        print(f"  {name:38} {median * 1000:8.1f} ms  {median / typical:6.2f} x the baseline")


def fill(size: int) -> int:
    """A contact group of so many contacts: its ID."""
    from django.db import connection

    from calls.models import ContactGroup

    group = ContactGroup.objects.create(name=f"Bench {size}")
    with connection.cursor() as cursor:
        cursor.execute(FILL_SQL, [group.pk, size])
    return group.pk


def pages_of(call_group: int, contact_group: int) -> dict[str, str]:
    """The pages that a call group's size could make slow."""
    return {
        "dashboard": "/",
        "call groups": "/call-groups/",
        "call group": f"/call-groups/{call_group}/",
        "call group, not reached": f"/call-groups/{call_group}/?status=BUSY",
        "call group, last digits": f"/call-groups/{call_group}/?digits=00047",
        "one call": f"/call-groups/{call_group}/calls/50/",
        "calls": "/calls/",
        "calls, by number": "/calls/?digits=00047",
        "calls, by status": "/calls/?status=FAILED",
        "contact group": f"/contact-groups/{contact_group}/",
    }


def steering(operator: Operator, contact_group: int) -> None:
    """Print how long after pausing and cancelling many queued batches the last request was still begun."""
    from django.db.models import Max
    from django.utils import timezone

    from calls.dialing.plan import make_plan
    from calls.dialing.request import Options
    from calls.dialing.start import start
    from calls.models import BatchState, CallRequest, User

    options = Options(message="Hello.", contact_groups=(contact_group,)).as_json()
    owner = User.objects.get(username="admin")
    request = CallRequest.objects.create(owner=owner, typed={}, options=options)
    make_plan(request)
    with patch("calls.dialing.start.MAX_CALLS", max(SIZE // BATCHES, 1)):
        group = start(request.pk)
    batches = group.batches.all()
    for act in ("pause", "cancel"):
        begun = batches.exclude(sent_at=None).count()
        wait(lambda begun=begun: batches.exclude(sent_at=None).count() > begun + 20, 60)
        queued, asked = batches.filter(state=BatchState.PENDING).count(), timezone.now()
        operator.post(f"/call-groups/{group.pk}/{act}/")
        time.sleep(STILL)
        last = batches.aggregate(at=Max("sent_at"))["at"]
        late = max(0.0, (last - asked).total_seconds())
        print(f"  {act} with {queued:,} batches queued: the last request was begun {late * 1000:.0f} ms after it")
        if act == "pause":
            operator.post(f"/call-groups/{group.pk}/resume/")


def main() -> None:
    """Run it all."""
    folder = tempfile.mkdtemp(prefix="obdportal-bench-")
    Path(folder).chmod(0o755)
    # Registered first, so it runs last: after the database has stopped.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with portal(Path(folder, "var")) as (address, process):
        measure(address, process)


def measure(address: str, process: subprocess.Popen[bytes]) -> None:
    """Start both call groups and print the figures."""
    import django

    from obdportal.postgres import provide_database

    provide_database()
    django.setup()
    from calls.models import CallGroup

    operator = Operator(address)
    if os.environ.get("ONLY") == "api":
        measure_api(address, operator.session)
        return
    if os.environ.get("ONLY") == "export":
        measure_export(lambda: peak_memory(process))
        return
    if os.environ.get("ONLY") == "import":
        measure_import(lambda: peak_memory(process))
        return
    if os.environ.get("ONLY") == "plan":
        measure_plan(partial(compare, operator))
        return
    small, large = fill(SMALL), fill(SIZE)
    small_group, _, _ = operator.start(small)
    wait(lambda: CallGroup.objects.finished().filter(pk=small_group).exists(), 300)
    compare(operator, f"Pages of a finished call group of {SMALL}", pages_of(small_group, small))
    group, planned, started = operator.start(large)
    print(f"\n{SIZE:,} numbers: preflight after {planned:.1f} s, call group after {started:.1f} s")
    began = time.monotonic()
    compare(operator, f"Pages while {SIZE:,} calls run", pages_of(group, large))
    wait(lambda: CallGroup.objects.finished().filter(pk=group).exists(), 1_800)
    print(f"\n  all {SIZE:,} calls handed over and final {time.monotonic() - began:.0f} s after the start")
    compare(operator, f"Pages of a finished call group of {SIZE:,}", pages_of(group, large))
    steering(operator, large)
    measure_api(address, operator.session)
    measure_import(lambda: peak_memory(process))
    measure_plan(partial(compare, operator))
    measure_export(lambda: peak_memory(process))
    for kind, peak in peak_memory(process).items():
        print(f"  peak memory, {kind}: {peak:.0f} MiB")


if __name__ == "__main__":
    main()
