"""GET /healthz."""

from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.test import Client

pytestmark = pytest.mark.django_db


def beat(age: timedelta) -> None:
    """Let a worker have given its last sign of life some time ago."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - %s)", [age])


def test_everything_alive(client: Client) -> None:
    beat(timedelta(seconds=59))
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"site": "ok", "database": "ok", "worker": "ok"}


@pytest.mark.parametrize("age", [None, timedelta(seconds=61)])
def test_no_worker(client: Client, age: timedelta | None) -> None:
    if age:
        beat(age)
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json() == {"site": "ok", "database": "ok", "worker": "down"}


def test_one_living_worker_is_enough(client: Client) -> None:
    beat(timedelta(hours=1))
    beat(timedelta(seconds=1))
    assert client.get("/healthz").status_code == 200


def test_no_database(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise OperationalError("password of the database: secret")

    monkeypatch.setattr(connection, "cursor", fail)
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json() == {"site": "ok", "database": "down", "worker": "down"}


def test_never_cached_and_read_only(client: Client) -> None:
    assert "no-store" in client.get("/healthz")["Cache-Control"]
    assert client.post("/healthz").status_code == 405
