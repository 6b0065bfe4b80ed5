"""The portal's processes in the storm: each is started again whenever it ends, and killed at random.

Everything ends with this process: what it started has a pipe from it and ends when that is closed, however that came.
"""

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from obdportal.postgres import is_running, share_server
from obdportal.processes import LIFELINE

ROOT = Path(__file__).resolve().parents[2]
WORKER = ("manage.py", "worker")
WEB = ("-m", "gunicorn", "-c", "python:obdportal.gunicorn", "obdportal.wsgi")
STOP_SECONDS = 40


def own_settings(**settings: str) -> None:
    """Make these the portal's settings, of this process and of those that it starts, and no others."""
    for name in re.findall(r"^#?(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE):
        os.environ.pop(name, None)
    os.environ |= {"ENV_FILE": os.devnull, "DJANGO_SETTINGS_MODULE": "obdportal.settings", **settings}


@dataclass(frozen=True)
class Death:
    """A process that ended; `at` is epoch seconds."""

    pid: int
    at: float
    killed: bool


class Process:
    """A process of the portal in a session of its own, started again when it has ended."""

    def __init__(self, command: Sequence[str], log: Path, lifeline: int) -> None:
        self._command, self._log, self._lifeline = command, log, lifeline
        self._lock = threading.Lock()
        self._killed = self._stopped = False
        self.deaths: list[Death] = []
        self._start()

    def _start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self._command],
                cwd=ROOT,
                env=os.environ | {LIFELINE: str(self._lifeline)},
                pass_fds=[self._lifeline],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._killed = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> bool:
        """SIGKILL, to its children too. False if it had ended already."""
        with self._lock:
            if self._killed or self._process.poll() is not None:
                return False
            self._killed = True
            os.killpg(self.pid, signal.SIGKILL)
            self.deaths.append(Death(self.pid, time.time(), killed=True))
            return True

    def look_after(self) -> None:
        """Start it again if it has ended."""
        with self._lock:
            if self._stopped or self._process.poll() is None:
                return
            if not self._killed:
                self.deaths.append(Death(self.pid, time.time(), killed=False))
            self._start()

    def stop(self) -> None:
        """End it in good order; kill it if that takes long."""
        with self._lock:
            self._stopped = True
            if self._process.poll() is None:
                self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(self.pid, signal.SIGKILL)
                self._process.wait()
            self.deaths.append(Death(self.pid, time.time(), killed=False))


class Portal:
    """Two workers and a web process, looked after by a thread; use it in `with`, which ends them all."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._lifeline, self._held = os.pipe()
        self._over = threading.Event()
        self._keeper = threading.Thread(target=self._keep)
        self._gone: list[Process] = []
        self.workers: list[Process] = []
        self.web: Process | None = None

    def __enter__(self) -> "Portal":
        self._keeper.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._keeper.join()
        for process in (*self.workers, *filter(None, [self.web])):
            process.stop()
        os.close(self._held)
        os.close(self._lifeline)

    def serve(self) -> None:
        """Start the web process."""
        self.web = Process(WEB, self._log, self._lifeline)

    def work(self, **settings: str) -> None:
        """Let two workers run with these settings, instead of those that run."""
        stopped, self.workers = self.workers, []
        for worker in stopped:
            worker.stop()
        self._gone += stopped
        os.environ |= settings
        self.workers = [Process(WORKER, self._log, self._lifeline) for _ in range(2)]

    def _keep(self) -> None:
        while not self._over.wait(0.1):
            for process in (*self.workers, *filter(None, [self.web])):
                process.look_after()

    @property
    def pids(self) -> list[int]:
        """The workers that run."""
        return [worker.pid for worker in self.workers]

    def kill_worker(self, pid: int) -> bool:
        """Kill that worker. False if it is gone."""
        return any(worker.pid == pid and worker.kill() for worker in self.workers)

    @property
    def deaths(self) -> list[Death]:
        """All workers that ended."""
        return [death for worker in (*self._gone, *self.workers) for death in worker.deaths]


class Database:
    """The embedded PostgreSQL of a temporary DATA_DIR, stopped hard and started again."""

    # Only the machine's end would lose what a dead process has written: nothing here waits for a disk.
    OPTIONS = ("fsync=off", "full_page_writes=off", "max_connections=200")

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "postgres"
        self._folder.mkdir()
        self.outages: list[tuple[float, float]] = []
        """From when until when it was away (epoch)."""
        self.url = share_server(self._folder, "obdportal", *self.OPTIONS)

    def crash(self, rng: random.Random) -> None:
        """End it without a goodbye to anybody; start it again some moments later."""
        postmaster = int((self._folder / "data/postmaster.pid").read_text().splitlines()[0])
        began = time.time()
        # An immediate shutdown ends its processes; the other lets them find out.
        os.kill(postmaster, rng.choice([signal.SIGQUIT, signal.SIGKILL]))
        while is_running(self._folder):
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 2.5))
        share_server(self._folder, "obdportal", *self.OPTIONS)
        self.outages.append((began, time.time()))


def answers(url: str) -> bool:
    """Whether the database takes connections."""
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def temporary_folder() -> Path:
    """A folder that the account which runs the database can reach."""
    return Path(tempfile.mkdtemp(prefix="obdportal-soak-")).resolve() / "var"
