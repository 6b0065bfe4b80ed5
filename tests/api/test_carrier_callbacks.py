"""Callbacks in: what the carrier says at a batch's own URL is believed of that batch, and of nothing else."""

import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from django.core.signing import Signer
from django.db import OperationalError
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, given
from hypothesis import settings as relaxed
from hypothesis import strategies as st
from pytest_django import DjangoAssertNumQueries, Settings

from calls.carriers.base import Accepted, NotTaken, Order, Unconfirmed
from calls.dialing import handover, steer
from calls.dialing.incoming import FILLED_IN, callback_url
from calls.models import BatchState, CallGroup, User
from calls.obd.parameters import PLACEHOLDERS
from obdportal.logs import PlainFormatter, is_news
from tests.dialing.helpers import Carrier, batch, call, statuses, use
from tests.factories import make_call_group, make_user, number

pytestmark = pytest.mark.django_db

TIMES = {"senttime": "2026-11-20 12:00:01", "answertime": "2026-11-20 12:00:06", "endtime": "2026-11-20 12:00:36"}


@pytest.fixture
def operator() -> User:
    return make_user()


@pytest.fixture
def carrier(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Carrier:
    settings.CARRIER_CALLBACKS = True
    settings.PUBLIC_URL = "https://portal.example"
    settings.SECURE_SSL_REDIRECT = False
    told = Carrier()
    use(told, monkeypatch)
    monkeypatch.setattr("calls.dialing.start.MAX_CALLS", 2)
    return told


def handed_over(user: User, calls: int = 2) -> CallGroup:
    group = make_call_group(user, calls)
    handover.hand_over(group.pk, 0)
    return group


def filled(url: str, **values: str) -> str:
    """The path and query that the carrier requests: its values in place of the placeholders."""
    parts = urlsplit(url)
    names = {name: values.get(name, "") for name in parse_qs(parts.query)}
    return f"{parts.path}?{urlencode(names)}"


def calls_back(url: str, **values: str) -> int:
    response = Client().get(filled(url, **values))
    assert response["Content-Type"].startswith("text/plain")
    return response.status_code


def done(group: CallGroup, n: int, status: str = "COMPLETED", **values: str) -> dict[str, str]:
    return {"custom": f"{group.pk}-{n}", "obdid": f"77-{n}", "status": status, "duration": "30", **TIMES, **values}


# --- What the carrier is given ------------------------------------------------------------------------------------


def test_each_batch_is_handed_over_with_a_url_of_its_own(operator: User, carrier: Carrier) -> None:
    group = handed_over(operator, 4)
    first, second = (order.callback for order in carrier.orders)
    assert first != second
    assert first.startswith("https://portal.example/carrier/callbacks/")
    assert {*parse_qs(urlsplit(first).query)} == {*FILLED_IN}
    assert parse_qs(urlsplit(first).query)["obdid"] == ["{obdid}"]
    assert first == callback_url(batch(group))


def test_the_placeholders_are_those_of_the_api() -> None:
    assert {*FILLED_IN} <= {*PLACEHOLDERS}


def test_without_an_address_of_ours_there_is_none(operator: User, carrier: Carrier, settings: Settings) -> None:
    settings.CARRIER_CALLBACKS = False
    handed_over(operator)
    assert carrier.orders[0].callback == ""


# --- What it tells ------------------------------------------------------------------------------------------------


def test_a_call_ends(operator: User, carrier: Carrier) -> None:
    group = handed_over(operator)
    url = carrier.orders[0].callback
    assert calls_back(url, **done(group, 2, retries="1", digits="12#")) == 200
    told = call(group, 2)
    assert (told.status, told.carrier_id, told.duration, told.retries, told.digits) == (
        "COMPLETED",
        "77-2",
        30,
        1,
        "12#",
    )
    assert f"{told.ended_at:%H:%M:%S}" == "06:30:36"  # the carrier writes times in TIME_ZONE
    assert statuses(group) == ["QUEUED", "COMPLETED"]


@pytest.mark.parametrize(
    "who",
    [
        {"custom": "", "obdid": "", "mobile": number(1)},
        {"custom": "{custom}", "obdid": "{obdid}", "mobile": number(1)},
        {"custom": "", "obdid": "c2", "mobile": ""},
        {"custom": "", "obdid": "c2", "mobile": "44207XXXXX01"},
    ],
    ids=["number", "not filled in", "the carrier's ID", "masked number"],
)
def test_which_call_is_meant(operator: User, carrier: Carrier, who: dict[str, str]) -> None:
    group = make_call_group(operator, 2)
    carrier.answer = Accepted(ids={f"{group.pk}-2": "c2"})
    handover.hand_over(group.pk, 0)
    if who["obdid"] != "c2":
        group.calls.update(carrier_id="")
    assert calls_back(carrier.orders[0].callback, **done(group, 2) | who) == 200
    assert statuses(group) == ["QUEUED", "COMPLETED"]


def test_it_settles_an_unconfirmed_batch(operator: User, carrier: Carrier) -> None:
    carrier.answer = Unconfirmed("Timed out.")
    group = handed_over(operator)
    assert calls_back(carrier.orders[0].callback, **done(group, 1)) == 200
    settled = batch(group)
    assert (settled.state, settled.answer) == (BatchState.ACCEPTED, "Timed out.")
    assert settled.settled == f"The carrier called back about {group.pk}-1."
    assert statuses(group) == ["COMPLETED", "QUEUED"]


@pytest.mark.parametrize(
    "answer", [NotTaken("Connection refused."), Unconfirmed("Timed out.")], ids=["held", "settled"]
)
def test_what_seemed_not_to_have_got_there_is_not_handed_over_again(
    operator: User, carrier: Carrier, answer: Exception
) -> None:
    carrier.answer = answer
    group = handed_over(operator)
    if batch(group).state == BatchState.UNCONFIRMED:
        steer.settle(batch(group).pk, operator, placed=False)
    assert statuses(group) == ["HELD", "HELD"]
    carrier.answer = Accepted()
    assert calls_back(carrier.orders[0].callback, **done(group, 2)) == 200
    assert (batch(group).state, statuses(group)) == (BatchState.ACCEPTED, ["QUEUED", "COMPLETED"])
    group.batches.update(due_at=group.created_at)
    handover.hand_over(group.pk, 0)
    assert len(carrier.orders) == 1


def test_it_may_come_before_the_answer_does(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 2)

    def meanwhile(order: Order) -> Accepted:
        assert calls_back(order.callback, **done(group, 1)) == 200
        raise Unconfirmed("Timed out.")

    carrier.answer = meanwhile
    handover.hand_over(group.pk, 0)
    assert (batch(group).state, statuses(group)) == (BatchState.ACCEPTED, ["COMPLETED", "QUEUED"])


def test_calls_of_a_group_that_the_carrier_holds_are_learnt(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 0, carrier_group="vip", custom="autumn")
    carrier.answer = Unconfirmed("Timed out.")
    handover.hand_over(group.pk, 0)
    url = carrier.orders[0].callback
    assert calls_back(url, custom="autumn", obdid="77-1", mobile=number(5), status="BUSY") == 200
    assert [(each.number, each.status) for each in group.calls.all()] == [(number(5), "BUSY")]
    assert batch(group).state == BatchState.ACCEPTED


def test_the_token_stays_out_of_the_log(operator: User, carrier: Carrier) -> None:
    group = handed_over(operator)
    url = carrier.orders[0].callback
    assert calls_back(url, **done(group, 99)) == 404
    path = urlsplit(url).path
    record = logging.makeLogRecord({"msg": "Not Found: %s", "args": (path,)})
    assert PlainFormatter().format(record) == "Not Found: /carrier/callbacks/(token)/"


def test_forged_ones_can_not_fill_the_log(operator: User, carrier: Carrier) -> None:
    url = forged(handed_over(operator), carrier)
    record = logging.makeLogRecord({"msg": "Not Found: %s", "args": (urlsplit(url).path,), "status_code": 404})
    assert not is_news(record)
    assert is_news(logging.makeLogRecord({"msg": "Not Found: %s", "args": ("/nowhere/",), "status_code": 404}))


# --- Hostile ones -------------------------------------------------------------------------------------------------


def forged(group: CallGroup, carrier: Carrier) -> str:
    url = carrier.orders[0].callback
    return url.replace("/callbacks/", "/callbacks/1")


def of_another_salt(group: CallGroup, carrier: Carrier) -> str:
    token = Signer(salt="session", sep=".").sign(f"{batch(group).pk}-{batch(group).order_key}")
    return f"https://portal.example{reverse('carrier_callback', args=[token])}?custom=x&status=x&duration=x"


def without_signature(group: CallGroup, carrier: Carrier) -> str:
    return f"https://portal.example{reverse('carrier_callback', args=[batch(group).pk])}?custom=x&status=x"


def of_another_key(group: CallGroup, carrier: Carrier) -> str:
    token = Signer(key="guessed", salt="carrier callback", sep=".").sign(f"{batch(group).pk}-{batch(group).order_key}")
    return f"https://portal.example{reverse('carrier_callback', args=[token])}?custom=x&status=x"


@pytest.mark.parametrize("make", [forged, of_another_salt, without_signature, of_another_key])
def test_a_forged_one_looks_nothing_up(
    operator: User,
    carrier: Carrier,
    make: Callable[[CallGroup, Carrier], str],
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    group = handed_over(operator)
    url = make(group, carrier)
    with django_assert_num_queries(0):
        assert calls_back(url, **done(group, 1)) == 404
    assert statuses(group) == ["QUEUED", "QUEUED"]


@pytest.mark.parametrize(
    "whose",
    [
        lambda group: {"custom": f"{group.pk}-3"},
        lambda group: {"custom": f"{group.pk}-99"},
        lambda group: {"custom": f"{group.pk - 1}-1"},
        lambda group: {"custom": f"{10**17}-{10**17}"},
        lambda group: {"custom": "", "mobile": number(2)},
        lambda group: {"custom": "", "mobile": number(99)},
        lambda group: {"custom": "", "mobile": ""},
        lambda group: {"custom": "", "mobile": "", "obdid": "x" * 500},
    ],
    ids=["another batch", "no call", "another group", "large", "its number", "a number", "nobody", "an unknown ID"],
)
def test_it_is_believed_of_its_batch_only(
    operator: User, carrier: Carrier, whose: Callable[[CallGroup], dict[str, str]]
) -> None:
    make_call_group(operator, 2)
    group = handed_over(operator, 4)
    assert calls_back(carrier.orders[0].callback, **done(group, 1) | whose(group)) == 404
    assert statuses(group) == ["QUEUED"] * 4


def test_a_replayed_one_moves_no_call_backwards_and_costs_little(
    operator: User, carrier: Carrier, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    group = handed_over(operator)
    url = carrier.orders[0].callback
    assert calls_back(url, **done(group, 1, "INPROGRESS", retries="1")) == 200
    assert calls_back(url, **done(group, 1)) == 200
    before = call(group).timeline
    for status in ("QUEUED", "INPROGRESS", "NOANSWER", "COMPLETED", "PURPLE", ""):
        with django_assert_max_num_queries(3):
            assert calls_back(url, **done(group, 1, status, retries="0", duration="99")) == 200
    told = call(group)
    assert (told.status, told.duration, told.retries, told.timeline) == ("COMPLETED", 30, 1, before)


def test_it_can_not_bring_back_what_was_cancelled(operator: User, carrier: Carrier) -> None:
    carrier.answer = Unconfirmed("Timed out.")
    group = handed_over(operator)
    steer.cancel(group.pk, operator)
    steer.settle(batch(group).pk, operator, placed=False)
    assert statuses(group) == ["CANCELLED", "CANCELLED"]
    assert calls_back(carrier.orders[0].callback, **done(group, 1)) == 200
    assert statuses(group) == ["CANCELLED", "CANCELLED"]


@pytest.mark.parametrize("method", ["post", "put", "delete", "head"])
def test_only_get_is_taken(operator: User, carrier: Carrier, method: str) -> None:
    group = handed_over(operator)
    url = filled(carrier.orders[0].callback, **done(group, 1))
    options: dict[str, Any] = {} if method == "head" else {"data": b"x" * 1024 * 1024, "content_type": "text/plain"}
    assert getattr(Client(enforce_csrf_checks=True), method)(url, **options).status_code in {403, 405}
    assert statuses(group) == ["QUEUED", "QUEUED"]


@pytest.mark.parametrize(
    "query",
    [
        "status=%FF%FE&custom=%s-1",
        "status=COMPLETED%00&custom=%s-1",
        "status=COMPLETED&custom=%s-1&digits=%00%01%0a&obdid=%00",
        "status=COMPLETED&custom=%s-1&duration=-1&retries=1e9",
        "status=COMPLETED&custom=%s-1&duration=99999999999999999999&retries=9999999999",
        "status=COMPLETED&custom=%s-1&duration=%D9%A3&endtime=9999-99-99+99:99:99",
        "status=" + "A" * 6000 + "&custom=%s-1",
        "&".join(["status=BUSY"] * 500) + "&custom=%s-1",
        "status=<script>&custom=%s-1&endtime=0001-01-01+00:00:00",
    ],
    ids=["utf-8", "nul", "control", "negative", "huge", "other digits", "long", "repeated", "script"],
)
def test_odd_values_are_no_error(operator: User, carrier: Carrier, query: str) -> None:
    group = handed_over(operator)
    path = urlsplit(carrier.orders[0].callback).path
    response = Client().get(f"{path}?{query.replace('%s', str(group.pk))}")
    assert response.status_code == 200
    assert (call(group).duration, call(group).retries) == (None, 0)
    assert statuses(group)[1] == "QUEUED"


def test_without_a_database_the_carrier_is_asked_to_try_again(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = handed_over(operator)

    def away(*_: object) -> bool:
        raise OperationalError("connection lost")

    monkeypatch.setattr("calls.api.incoming.called_back", away)
    assert calls_back(carrier.orders[0].callback, **done(group, 1)) == 503


@relaxed(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=st.fixed_dictionaries({}, optional={name: st.text(max_size=40) for name in FILLED_IN}))
def test_no_values_break_it(operator: User, carrier: Carrier, values: dict[str, str]) -> None:
    group = CallGroup.objects.first() or handed_over(operator)
    url = callback_url(batch(group))
    clean = {name: value.encode("utf-8", "replace").decode() for name, value in values.items()}
    assert calls_back(url, **clean) in {200, 404}
    assert calls_back(url, **clean | {"custom": f"{group.pk}-1"}) == 200
    assert statuses(group)[1] == "QUEUED" or values.get("mobile") or values.get("obdid")
