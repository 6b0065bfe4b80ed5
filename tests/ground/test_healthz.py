"""GET /healthz."""

import pytest
from django.db import OperationalError, connection
from django.test import Client

pytestmark = pytest.mark.django_db


def beat(age: int) -> None:
    """Let a worker have given its last sign of life so many seconds ago."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - make_interval(secs => %s))", [age]
        )


def test_everything_alive(client: Client) -> None:
    beat(59)
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"site": "ok", "database": "ok", "worker": "ok"}


@pytest.mark.parametrize("age", [None, 61])
def test_no_worker(client: Client, age: int | None) -> None:
    if age:
        beat(age)
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json() == {"site": "ok", "database": "ok", "worker": "down"}


def test_one_living_worker_is_enough(client: Client) -> None:
    beat(3600)
    beat(1)
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
