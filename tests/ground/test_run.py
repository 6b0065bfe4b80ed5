"""`manage.py run`: the whole portal with one command."""

import re
import signal
import socket
import subprocess
from pathlib import Path

import psutil
import pytest
import requests

from tests.ground.processes import PATIENCE, start, users_of, wait_until


class Portal:
    """A portal with a DATA_DIR and a port of its own."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"

    def start(self) -> subprocess.Popen[str]:
        return start(self.data_dir, "manage.py", "run", PORT=str(self.port), DEMO_DATA="false", WEB_PROCESSES="1")

    def start_until_ready(self) -> tuple[subprocess.Popen[str], str]:
        """Return the process and what it said until it was ready."""
        process = self.start()
        said = ""
        assert process.stdout
        for line in process.stdout:
            said += line
            if "is ready" in line:
                return process, said
        pytest.fail(f"did not get ready: {said}")

    def health(self) -> int:
        try:
            return requests.get(self.url + "healthz", timeout=5).status_code
        except requests.ConnectionError:
            return 0


@pytest.fixture
def portal(data_dir: Path) -> Portal:
    return Portal(data_dir)


def stop(process: subprocess.Popen[str], number: int) -> str:
    """End the process with the signal; return what it still said."""
    for _ in range(3):  # as from a terminal, where make and the shell pass it on as well
        process.send_signal(number)
    said, _ = process.communicate(timeout=2 * PATIENCE)
    return said


def test_life_of_a_portal(portal: Portal) -> None:
    """One long test: each start takes seconds."""
    process, said = portal.start_until_ready()
    assert portal.url in said
    password = re.search(r"Sign in as: admin\s+password: (\w{16}) \(shown this once\)", said)
    assert password
    assert portal.health() == 200
    assert (portal.data_dir / "secret_key").stat().st_mode & 0o777 == 0o600

    # Starting it once more does no harm.
    second = portal.start()
    complaint, _ = second.communicate()
    assert second.returncode == 1
    assert f"already running at {portal.url.rstrip('/')}" in complaint
    assert "Traceback" not in complaint

    # A worker that dies is replaced.
    (worker,) = users_of(portal.data_dir, "worker")
    worker.kill()
    worker.wait()
    wait_until(lambda: users_of(portal.data_dir, "worker"), "a new worker")

    # So is the database, and everything goes on.
    killed = psutil.Process(int((portal.data_dir / "postgres/data/postmaster.pid").read_text().splitlines()[0]))
    killed.kill()
    wait_until(lambda: killed.pid not in {left.pid for left in users_of(portal.data_dir)}, "the end of the database")
    wait_until(lambda: portal.health() == 200 and users_of(portal.data_dir, "worker"), "a new database")

    # Killed: what it started ends by itself; only the database may stay.
    process.kill()
    process.communicate()
    wait_until(lambda: all(left.name() == "postgres" for left in users_of(portal.data_dir)), "the end of its processes")

    # Started again: finds the database and everything in it. Told to stop: leaves nothing.
    process, said = portal.start_until_ready()
    assert "First start" not in said
    assert portal.health() == 200
    said = stop(process, signal.SIGTERM)
    assert "Traceback" not in said
    assert process.returncode == 0
    assert users_of(portal.data_dir) == []
    assert portal.health() == 0


def test_stopped_while_starting(portal: Portal) -> None:
    process = portal.start()
    wait_until((portal.data_dir / "run.lock").exists, "the lock")
    assert "Traceback" not in stop(process, signal.SIGINT)
    assert process.returncode == 0
    assert users_of(portal.data_dir) == []


def test_port_in_use(portal: Portal) -> None:
    with socket.create_server(("127.0.0.1", portal.port)):
        process = portal.start()
        said, _ = process.communicate()
    assert process.returncode == 1
    assert f"Port {portal.port} is in use" in said
    assert "PORT=" in said
    assert "Traceback" not in said
