"""The carrier page, the check of the connection, and how long requests are kept."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from calls import tasks
from calls.carriers import get_carrier
from calls.dialing import checkup
from calls.dialing.jobs import check_carrier_later
from calls.models import CarrierBreaker, CarrierConnection, CarrierRequest, CarrierState, RequestKind, RequestResult
from tests.factories import client_for, make_user
from tests.obd_server import KEY, ObdServer, Refuse

pytestmark = pytest.mark.django_db

JOBS_SQL = "SELECT status, scheduled_at FROM procrastinate_jobs WHERE task_name = 'calls.tasks.check_carrier'"


@pytest.fixture
def client() -> Client:
    return client_for(make_user("admin"))


@pytest.fixture
def server(settings: Settings) -> Iterator[ObdServer]:
    """The carrier that the settings name."""
    with ObdServer() as server:
        settings.CARRIER, settings.OBD_BASE_URL, settings.OBD_API_KEY = "obd", server.url, KEY
        get_carrier.cache_clear()
        yield server
        get_carrier.cache_clear()


@pytest.fixture
def worker() -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now())")


def said(client: Client) -> str:
    """What the page says, without markup."""
    response = client.get("/carrier/")
    assert response.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def requests(result: str = "answered", number: int = 1, **columns: Any) -> None:
    """So many requests that ended so, just now unless told otherwise."""
    CarrierState.objects.get_or_create(name=columns.setdefault("carrier_id", "sandbox"))
    values = {"kind": "call", "began_at": timezone.now(), "seconds": 0.25} | columns
    CarrierRequest.objects.bulk_create(CarrierRequest(result=result, **values) for _ in range(number))


def jobs() -> list[tuple[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(JOBS_SQL)
        return list(cursor.fetchall())


# --- What it shows --------------------------------------------------------------------------------------------------


def test_only_admins_see_it() -> None:
    for user in (make_user("viewer"), make_user("operator")):
        assert client_for(user).get("/carrier/").status_code == 403
        assert client_for(user).post("/carrier/check/").status_code == 403
        assert 'href="/carrier/"' not in client_for(user).get("/").content.decode()
    assert 'href="/carrier/"' in client_for(make_user("admin")).get("/").content.decode()
    assert jobs() == []


def test_the_sandbox_is_honest(client: Client) -> None:
    text = said(client)
    assert "This is the sandbox: no phone rings" in text
    assert "No request has been made to it yet." in text
    assert "Closed Requests are made." in text
    assert "No requests yet" in text


def test_a_real_carrier_is_named_without_its_key(client: Client, server: ObdServer, settings: Settings) -> None:
    settings.OBD_BASE_URL = server.url.replace("http://", "http://user:secret@") + "?key=secret#secret"
    text = said(client)
    assert f"Address {server.url}" in text
    assert "Key set; it is never shown" in text
    assert "secret" not in text
    assert KEY not in text
    assert "at most 10 a second" in text
    assert "0 of 4 in use now" in text
    assert "no, it is only asked: PUBLIC_URL is not set" in text
    settings.CARRIER_CALLBACKS, settings.PUBLIC_URL = True, "https://portal.example"
    assert "to https://portal.example , and it is asked as well" in said(client)


@pytest.mark.parametrize("url", ["", "carrier.example", "http://[::1", "http://carrier.example:port/"])
def test_an_address_that_is_none(client: Client, server: ObdServer, settings: Settings, url: str) -> None:
    settings.OBD_BASE_URL, settings.OBD_API_KEY = url, ""
    text = said(client)
    assert "OBD_BASE_URL is not an address" in text
    assert "OBD_API_KEY is not set" in text


def test_what_is_used_now(client: Client) -> None:
    requests(number=3)
    requests(number=2, began_at=timezone.now() - timedelta(minutes=5))
    later, before = timezone.now() + timedelta(seconds=30), timezone.now() - timedelta(seconds=30)
    for slot, until in enumerate((later, later, before)):
        CarrierConnection.objects.create(carrier_id="sandbox", slot=slot, leased_until=until)
    text = said(client)
    assert "3 in the last minute" in text
    assert "2 of 4 in use now" in text


def test_counts_and_latency_of_the_last_hour(client: Client) -> None:
    for tenth in range(1, 22):
        requests(seconds=tenth / 10)
    requests("refused", 4, seconds=1.1)
    requests("not taken", 3, seconds=99)
    requests("unclear", 2, kind="status", seconds=30)
    requests(number=9, began_at=timezone.now() - timedelta(minutes=61))
    call, status = sorted(checkup.by_kind("sandbox", timezone.now()), key=lambda each: each.kind)
    assert (call.kind, call.answered, call.refused, call.not_taken, call.unclear) == (RequestKind.CALL, 21, 4, 3, 0)
    assert call.median == pytest.approx(1.1)
    assert call.slow == pytest.approx(1.98)
    assert (status.kind, status.unclear, status.median) == (RequestKind.STATUS, 2, None)
    assert "Hand-over 21 4 3 0 1.100 s 1.980 s" in said(client)


def test_figures_of_very_many_requests_say_that_they_are_of_the_latest(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkup, "LOOKED_AT", 5)
    requests(number=4)
    assert "the latest" not in said(client)
    requests("refused", 4, began_at=timezone.now() + timedelta(seconds=1))
    assert "the latest 5 requests" in said(client)
    (call,) = checkup.by_kind("sandbox", timezone.now())
    assert (call.refused, call.answered) == (4, 1)


def test_failures_of_the_last_day_by_what_was_said(client: Client) -> None:
    day = timezone.now() - timedelta(hours=23)
    requests("not taken", 3, said="The carrier refused the connection.", began_at=day)
    requests("unclear", 1, kind="status", said="The carrier failed with 502.")
    requests("refused", 1, said="Long ago.", began_at=day - timedelta(hours=2))
    found = [(each.result, each.said, each.times) for each in checkup.failures("sandbox", timezone.now())]
    assert found == [
        (RequestResult.NOT_TAKEN, "The carrier refused the connection.", 3),
        (RequestResult.UNCLEAR, "The carrier failed with 502.", 1),
    ]
    failures = said(client).split("Failures of the last 24 hours")[1].split("Last requests")[0]
    assert "The carrier refused the connection. Hand-over Not taken 3" in failures
    assert "Long ago." not in failures


def test_the_last_requests_are_listed(client: Client) -> None:
    for second in range(25):
        requests(said=f"Number {second:02}.", began_at=timezone.now() - timedelta(seconds=second))
    listed = re.findall(r"Number \d\d\.", said(client))
    assert listed == [f"Number {second:02}." for second in range(20)]


def test_breakers_waits_and_kept_answers_in_sentences(client: Client, server: ObdServer) -> None:
    now = timezone.now()
    state = CarrierState.objects.create(
        name="obd", failure="The carrier refused the connection.", idempotent_account="another", idempotent_seconds=7200
    )
    CarrierBreaker.objects.create(
        carrier=state, kind="call", failures=7, opened_at=now, next_trial=now + timedelta(minutes=2)
    )
    CarrierBreaker.objects.create(carrier=state, kind="status", failures=2)
    text = said(client)
    assert "The carrier is down: it has taken no calls since" in text
    assert "Hand-over Open Since" in text
    assert "The last 7 in a row failed; one is tried about" in text
    assert "Status question Closed Requests are made. The last 2 in a row failed." in text
    assert "Connection check Closed Requests are made. Circuit" not in text
    assert "not kept, as far as is known" in text
    CarrierState.objects.update(idempotent_account=get_carrier("obd").account, wait_until=now + timedelta(minutes=5))
    CarrierBreaker.objects.all().delete()
    text = said(client)
    assert "kept for 2 hours" in text
    assert "The carrier asked to wait until" in text


def test_as_many_queries_for_many_requests_as_for_few(
    client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client.get("/carrier/")
    for number in (1, 500):
        requests(number=number)
        requests("unclear", number, said="Broken.")
        with django_assert_max_num_queries(15):
            client.get("/carrier/")


def test_a_refresh_that_would_show_the_same_has_no_body(client: Client) -> None:
    html = client.get("/carrier/").content.decode()
    address = re.search(r'hx-get="(/carrier/\?v=\w+)"', html)
    assert address
    assert client.get(address[1], headers={"HX-Request": "true"}).status_code == 204
    requests()
    assert client.get(address[1], headers={"HX-Request": "true"}).status_code == 200


# --- Checking the connection ----------------------------------------------------------------------------------------


def test_the_check_is_a_job_and_its_result_is_shown(client: Client, server: ObdServer, worker: None) -> None:
    assert client.get("/carrier/check/").status_code == 405
    response = client.post("/carrier/check/", follow=True)
    assert response.redirect_chain == [("/carrier/", 302)]
    assert server.received == []
    assert len(jobs()) == 1
    assert "Checking The connection is being checked." in said(client)
    client.post("/carrier/check/")
    assert len(jobs()) == 1

    tasks.check_carrier("obd")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET status = 'succeeded'")
    assert [request.method for request in server.received] == ["voice.status"]
    assert "Last check Answered The carrier answers and takes our key." in said(client)
    assert CarrierRequest.objects.get().kind == RequestKind.CHECK


def test_a_check_with_a_wrong_key_says_so(client: Client, server: ObdServer) -> None:
    server.key = "another key"
    tasks.check_carrier("obd")
    assert "Last check Refused The carrier refuses our key or account (401): Invalid API key" in said(client)
    assert jobs() == []


def test_a_check_of_a_carrier_that_is_down(client: Client, server: ObdServer, settings: Settings) -> None:
    settings.OBD_BASE_URL = "http://127.0.0.1:1/api/v1/"
    get_carrier.cache_clear()
    tasks.check_carrier("obd")
    assert "Last check Not taken The carrier refused the connection." in said(client)


def test_a_check_waits_for_its_turn_and_says_so(client: Client, server: ObdServer, worker: None) -> None:
    server.faults.append(Refuse(429, "Slow down"))
    until = timezone.now() + timedelta(minutes=10)
    CarrierState.objects.create(name="obd", wait_until=until)
    tasks.check_carrier("obd")
    assert server.received == []
    ((status, at),) = jobs()
    assert (status, at) == ("todo", until)
    text = said(client)
    assert "Last check Waits The check is made" in text
    assert "the carrier asked to wait." in text


def test_without_a_worker_the_check_waits(client: Client) -> None:
    client.post("/carrier/check/")
    assert "No worker is running: the check is made once one is started." in said(client)


def test_a_check_on_the_sandbox_says_that_no_phone_rings(client: Client) -> None:
    tasks.check_carrier("sandbox")
    assert "Last check Answered The sandbox answers. No phone rings." in said(client)


def test_a_check_under_way_counts_as_waiting() -> None:
    check_carrier_later("obd")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET status = 'doing'")
    assert checkup.check_waits("obd") is not None
    assert checkup.check_waits("sandbox") is None
    with connection.cursor() as cursor:
        cursor.execute("UPDATE procrastinate_jobs SET status = 'failed'")
    assert checkup.check_waits("obd") is None


# --- Forgetting -----------------------------------------------------------------------------------------------------


def test_answered_requests_are_kept_for_an_hour_and_others_for_a_day() -> None:
    now = timezone.now()
    for carrier in ("sandbox", "obd"):
        for minutes in (59, 61, 60 * 24 - 1, 60 * 24 + 1):
            for result in ("answered", "refused", "unclear"):
                requests(result, carrier_id=carrier, began_at=now - timedelta(minutes=minutes))
    tasks.sweep(0)
    for carrier in ("sandbox", "obd"):
        left = CarrierRequest.objects.filter(carrier=carrier)
        assert left.filter(result="answered").count() == 1
        assert left.exclude(result="answered").count() == 6
