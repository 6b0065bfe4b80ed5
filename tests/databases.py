"""Databases of test runs: each run has its own, all are copies of one that was migrated once."""

import hashlib
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent

PREFIX = "test_obdportal_"  # followed by the ID of the process that uses it, and perhaps `_` and for what
TEMPLATE_PREFIX = "template_obdportal_"  # followed by what its migrations are

_LOCK = "SELECT pg_advisory_lock(hashtext('template of test databases'))"


def drop_leftovers(server: str) -> None:
    """Drop the databases of test runs that were killed."""
    with psycopg.connect(server, autocommit=True) as connection:
        for name in _databases(connection):
            process = name.removeprefix(PREFIX)
            if process != name and not psutil.pid_exists(int(process.partition("_")[0])):
                with suppress(psycopg.Error):  # another run drops it at this moment
                    _drop(connection, name)


def template(server: str) -> str:
    """The name of a migrated, empty database on this server. Whoever comes first makes it, which takes seconds."""
    name = TEMPLATE_PREFIX + _migrations()
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(_LOCK)  # until the connection ends
        there = _databases(connection)
        if name not in there:
            for old in (each for each in there if each.startswith(TEMPLATE_PREFIX)):
                _drop(connection, old)
            half = f"{TEMPLATE_PREFIX}half"
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(half)))
            migrate = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
            subprocess.run(migrate, cwd=ROOT, env=os.environ | {"DATABASE_URL": address(server, half)}, check=True)
            rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
            connection.execute(rename.format(sql.Identifier(half), sql.Identifier(name)))
    return name


def create(server: str, name: str) -> str:
    """Make a migrated database; returns its URL."""
    copied = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    source = template(server)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(copied.format(sql.Identifier(name), sql.Identifier(source)))
    return address(server, name)


def drop(server: str, name: str) -> None:
    """Drop a database, whoever uses it."""
    with psycopg.connect(server, autocommit=True) as connection:
        _drop(connection, name)


def address(server: str, name: str) -> str:
    """The URL of another database of this server."""
    url, _, options = server.partition("?")
    return f"{url.rpartition('/')[0]}/{name}?{options}"


def _databases(connection: psycopg.Connection) -> list[str]:
    return [name for (name,) in connection.execute("SELECT datname FROM pg_database").fetchall()]


def _drop(connection: psycopg.Connection, name: str) -> None:
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def _migrations() -> str:
    """What is migrated to: our own migrations, and the locked versions of the packages that have some."""
    files = [*sorted((ROOT / "calls/migrations").glob("*.py")), ROOT / "requirements.txt"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
