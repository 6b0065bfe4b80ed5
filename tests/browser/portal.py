"""The real portal for tests: `manage.py run` with a database and a data folder of its own."""

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, LiteralString

import psycopg

from tests import databases

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "pass for the browser tests"
PATIENCE = 120  # seconds; how long a loaded machine may need to start it
SPEED = "10"  # of the sandbox
_number = count(1)


@dataclass(frozen=True)
class Portal:
    """A portal that runs; `environment` is what it runs with."""

    url: str
    environment: dict[str, str]
    log: Path

    def run(self, *command: str) -> Any:
        """Run a Python program with the portal's settings; what it prints is JSON."""
        return json.loads(
            subprocess.run(
                [sys.executable, *command], cwd=ROOT, env=self.environment, check=True, capture_output=True, text=True
            ).stdout
        )

    def ask(self, query: LiteralString) -> list[Any]:
        """The first column of what its database answers: many times quicker than `run`."""
        with psycopg.connect(self.environment["DATABASE_URL"]) as connection:
            return [row[0] for row in connection.execute(query).fetchall()]

    def complaints(self) -> list[str]:
        """The lines of the log that no test should bring about."""
        return [line for line in self.log.read_text().splitlines() if " ERROR " in line]


@contextmanager
def running_portal(**settings: str) -> Iterator[Portal]:
    """Start a portal with its worker; stop both afterwards and forget everything that it kept.

    `{port}` in a setting stands for the port that it listens on.
    """
    name = f"{databases.PREFIX}{os.getpid()}_portal{next(_number)}"
    with _database(name) as database, tempfile.TemporaryDirectory(prefix="obdportal-browser-") as folder:
        port = _free_port()
        environment = os.environ | {
            "DATABASE_URL": database,
            "DATA_DIR": folder,
            "PORT": str(port),
            "ADMIN_PASSWORD": PASSWORD,
            "DEFAULT_REGION": "GB",  # whose numbers for drama the tests call
            "CALLING_HOURS": "00:00-24:00",  # the tests run at any hour
            "SANDBOX_SPEED": SPEED,
            **{name: value.replace("{port}", str(port)) for name, value in settings.items()},
        }
        portal = Portal(f"http://127.0.0.1:{port}", environment, Path(folder, "log"))
        with portal.log.open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "run"], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
            try:
                _wait_until_healthy(portal, port, process)
                yield portal
            finally:
                _stop(process)
        assert portal.complaints() == [], portal.log.read_text()[-5000:]


@contextmanager
def _database(name: str) -> Iterator[str]:
    server = os.environ["DATABASE_URL"]
    try:
        yield databases.create(server, name)
    finally:
        databases.drop(server, name)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_healthy(portal: Portal, port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not _is_healthy(port):
        said = portal.log.read_text()[-5000:]
        assert process.poll() is None, f"the portal ended: {said}"
        assert time.monotonic() < deadline, f"the portal did not become healthy: {said}"
        time.sleep(0.2)


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Let it stop its web server and worker; were it killed, they would end by themselves."""
    process.terminate()
    try:
        process.wait(40)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
