"""The whole portal with one command: database, web server, workers."""

import errno
import fcntl
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from obdportal.environment import BASE_DIR
from obdportal.gunicorn import bind, host, port
from obdportal.postgres import DatabaseUnavailableError, restart_if_dead
from obdportal.processes import LIFELINE, exit_on_signals, told_to_end

COMMANDS = {
    "web server": [sys.executable, "-m", "gunicorn", "-c", "python:obdportal.gunicorn", "obdportal.wsgi"],
    "worker": [sys.executable, "manage.py", "worker"],
}
STOP_SECONDS = 25  # longer than web server and worker give what they are doing
PORT_SECONDS = 15  # longer than the web server takes to notice that its parent was killed, and to end
STEADY_SECONDS = 60  # who lived longer did not die of starting
LONGEST_GAP = 30  # seconds


class Child:
    """A process of the portal, started again whenever it dies, after a gap that grows."""

    def __init__(self, name: str, lifeline: int) -> None:
        self.name = name
        self.lifeline = lifeline
        self.gap = 1
        self.start()

    def start(self) -> None:
        """Start the process: in a session of its own, so that Ctrl-C reaches us only, and we stop all in order."""
        self.process = subprocess.Popen(
            COMMANDS[self.name],
            cwd=BASE_DIR,
            env=os.environ | {LIFELINE: str(self.lifeline)},
            pass_fds=[self.lifeline],
            start_new_session=True,
        )
        self.started = time.monotonic()
        self.again_at: float | None = None

    def look_after(self) -> str:
        """Start the process again if it has died and the gap is over; return what there is to tell."""
        if self.process.poll() is None:
            return ""
        now = time.monotonic()
        if self.again_at is None:
            self.gap = 1 if now - self.started > STEADY_SECONDS else min(self.gap * 2, LONGEST_GAP)
            self.again_at = now + self.gap
            return f"The {self.name} ended ({self.process.returncode}); starting it again in {self.gap} s"
        if now >= self.again_at:
            self.start()
        return ""


class Command(BaseCommand):
    """Runs until it is told to stop."""

    help = "Starts the portal: its database (unless DATABASE_URL is set), web server and workers."

    def handle(self, *args: Any, **options: Any) -> None:
        """Prepare what is needed, start the processes, and look after them."""
        exit_on_signals(signal.SIGINT)
        try:
            with self._only_portal() as after_kill:
                self._take_port(wait=after_kill)
                self._prepare()
                self._serve()
        except SystemExit:
            self.stdout.write("\nStopped.")

    @contextmanager
    def _only_portal(self) -> Iterator[bool]:
        """Hold the lock on DATA_DIR, which the system drops however we end; tell whether the last holder was killed."""
        with (settings.DATA_DIR / "run.lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise CommandError(f"OBD Portal is already running at {lock.read()}") from None
            lock.seek(0)
            killed = bool(lock.read())  # it had no time to empty the file
            lock.truncate(0)
            lock.write(settings.PUBLIC_URL)
            lock.flush()
            try:
                yield killed
            finally:
                lock.truncate(0)

    def _take_port(self, *, wait: bool) -> None:
        """Raise CommandError if another program has our port; wait for the web server of a portal that was killed."""
        deadline = time.monotonic() + (PORT_SECONDS if wait else 0)
        while not _port_is_free():
            if time.monotonic() > deadline:
                raise CommandError(f"Port {settings.PORT} is in use by another program. Choose one: make run PORT=8001")
            time.sleep(0.2)

    def _prepare(self) -> None:
        """Bring the database and the static files up to date."""
        call_command("migrate", interactive=False, verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        call_command("bootstrap", stdout=self.stdout)
        self.stdout.flush()  # nothing else does when it goes to a pipe or a journal
        connections.close_all()

    def _serve(self) -> None:
        if told_to_end():
            raise SystemExit
        lifeline, held = os.pipe()  # the other end is ours alone and closes with us
        children: list[Child] = []
        try:
            for name in COMMANDS:
                children.append(Child(name, lifeline))  # noqa: PERF401 - each is stopped even if the next can't start
            self._watch(children)
        finally:
            _stop([child.process for child in children])
            os.close(held)
            os.close(lifeline)

    def _watch(self, children: list[Child]) -> None:
        announced = False
        while not told_to_end():
            self._look_after_database()
            for child in children:
                if news := child.look_after():
                    self.stderr.write(news)
            if not announced and _is_healthy():
                self.stdout.write(f"OBD Portal is ready: {settings.PUBLIC_URL}/  (Ctrl-C stops it)")
                self.stdout.flush()
                announced = True
            time.sleep(0.2)
        raise SystemExit

    def _look_after_database(self) -> None:
        try:
            if restart_if_dead():
                self.stderr.write("The database ended; it was started again")
        except DatabaseUnavailableError as error:
            self.stderr.write(f"The database ended, and could not be started again yet: {error}")


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    """Let the processes end what they are doing; kill those that take too long."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + STOP_SECONDS
    for process in processes:
        try:
            process.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _port_is_free() -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise CommandError(f"Can't listen on {bind}: {error.strerror}") from error
    return True


def _is_healthy() -> bool:
    connection = http.client.HTTPConnection("127.0.0.1" if host == "0.0.0.0" else host, port, timeout=1)  # noqa: S104
    try:
        connection.request("GET", "/healthz", headers={"Host": "localhost"})
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
