"""The embedded PostgreSQL: who starts it, who shares it, who stops it."""

import os
import subprocess
from itertools import takewhile
from pathlib import Path

import psutil
import pytest

from obdportal.postgres import is_running, provide_database
from tests.ground.processes import start, users_of

# Provides the database, runs the SQL of each line that it reads, and says what came out.
HOLDER = """
import os, sys, psycopg
from obdportal.postgres import provide_database
provide_database()
print("ready", flush=True)
with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
    for line in sys.stdin:
        cursor = connection.execute(line)
        print(cursor.fetchone()[0] if cursor.description else "done", flush=True)
"""


class Holder:
    """A process that uses the database of a folder."""

    def __init__(self, data_dir: Path) -> None:
        self.process = start(data_dir, "-c", HOLDER)

    def ready(self) -> "Holder":
        assert self.process.stdout
        said = list(takewhile(lambda line: line != "ready\n", self.process.stdout))
        assert self.process.poll() is None, said
        return self

    def ask(self, query: str) -> str:
        assert self.process.stdin
        self.process.stdin.write(query + "\n")
        self.process.stdin.flush()
        return self._line()

    def leave(self) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        rest = self.process.stdout.read()
        assert (self.process.wait(), rest) == (0, "")

    def _line(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()


def test_one_process_starts_and_stops_it(data_dir: Path) -> None:
    holder = Holder(data_dir).ready()
    assert holder.ask("SELECT current_database()") == "obdportal"
    assert is_running(data_dir / "postgres")
    # Only we can reach it, and as root we run it under another account.
    assert holder.ask("SHOW listen_addresses") == ""
    assert (data_dir / "postgres").stat().st_mode & 0o077 == 0
    (server,) = users_of(data_dir, "postgres")
    assert server.uids().real != 0
    holder.leave()
    assert not is_running(data_dir / "postgres")
    assert users_of(data_dir) == []


def test_two_that_start_at_once_share_it_and_the_last_stops_it(data_dir: Path) -> None:
    holders = [Holder(data_dir), Holder(data_dir)]
    first, second = [holder.ready() for holder in holders]
    first.ask("CREATE TABLE shared ()")
    first.leave()
    assert second.ask("SELECT count(*) FROM shared") == "0"
    second.leave()
    assert users_of(data_dir) == []


def test_killed_holder_leaves_no_trace_behind(data_dir: Path) -> None:
    killed = Holder(data_dir).ready()
    killed.ask("CREATE TABLE kept ()")
    killed.process.kill()
    killed.process.communicate()
    assert is_running(data_dir / "postgres")

    holder = Holder(data_dir).ready()
    assert holder.ask("SELECT count(*) FROM kept") == "0"
    holder.leave()
    assert users_of(data_dir) == []


def test_killed_server_recovers(data_dir: Path) -> None:
    holder = Holder(data_dir).ready()
    holder.ask("CREATE TABLE kept ()")
    holder.process.kill()
    pid_file = data_dir / "postgres/data/postmaster.pid"
    server = psutil.Process(int(pid_file.read_text().splitlines()[0]))
    account = server.uids().real
    server.kill()
    server.wait()
    # After a reboot, the number in its lock files may belong to any program, even of the same user.
    with subprocess.Popen(["sleep", "60"], user=account) as other:
        for file in (pid_file, data_dir / "postgres/.s.PGSQL.5432.lock"):
            file.write_text("\n".join([str(other.pid), *file.read_text().splitlines()[1:]]))
        holder = Holder(data_dir).ready()
        assert holder.ask("SELECT count(*) FROM kept") == "0"
        holder.leave()
        other.kill()


def test_told_to_end_after_an_interrupted_first_start(data_dir: Path) -> None:
    draft = data_dir / "postgres/data.new"  # what initdb leaves when it is killed
    draft.mkdir(parents=True)
    (draft / "PG_VERSION").write_text("18\n")
    holder = Holder(data_dir).ready()
    holder.process.terminate()
    assert holder.process.wait() == 128 + 15
    holder.process.communicate()
    assert users_of(data_dir) == []


@pytest.mark.parametrize("name", ["long" * 30, "with space, 'quote' and ü"])
def test_any_path(data_dir: Path, name: str) -> None:
    folder = data_dir / name
    folder.mkdir()
    holder = Holder(folder).ready()
    assert holder.ask("SELECT 1") == "1"
    socket_folder = Path(holder.ask("SHOW unix_socket_directories"))
    assert socket_folder.stat().st_mode & 0o077 == 0
    holder.leave()
    assert folder not in socket_folder.parents  # too long, or with letters that would need quoting
    socket_folder.rmdir()


def test_failure_says_why(data_dir: Path) -> None:
    Holder(data_dir).ready().leave()
    (data_dir / "postgres/data/PG_VERSION").write_text("17\n")
    command = start(data_dir, "manage.py", "showmigrations")
    said, _ = command.communicate()
    assert command.returncode == 1
    assert "database files are incompatible with server" in said
    assert "Traceback" not in said


def test_log_has_no_personal_data(data_dir: Path) -> None:
    holder = Holder(data_dir).ready()
    holder.ask("CREATE TABLE t (number text UNIQUE)")
    holder.ask("INSERT INTO t VALUES ('+442079460001')")
    holder.process.stdin.write("INSERT INTO t VALUES ('+442079460001')\n")  # type: ignore[union-attr]
    holder.process.communicate()
    log = (data_dir / "postgres/log").read_text()
    assert "duplicate key" in log
    assert "2079460001" not in log


def test_a_database_of_ones_own_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", "postgresql://somewhere.example/else")
    provide_database()
    assert os.environ["DATABASE_URL"] == "postgresql://somewhere.example/else"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["makemigrations --check --dry-run", "migrate --help"])
def test_commands_that_need_no_database_start_none(data_dir: Path, command: str) -> None:
    finished = start(data_dir, "-W", "ignore", "manage.py", *command.split())
    finished.communicate()
    assert finished.returncode == 0
    assert not (data_dir / "postgres").exists()


def test_settings_start_no_database(data_dir: Path) -> None:
    code = "import django; django.setup(); from django.db import connection as c; c.ensure_connection()"
    finished = start(data_dir, "-c", code)
    said, _ = finished.communicate()
    assert "no-database-provided" in said
    assert not (data_dir / "postgres").exists()
