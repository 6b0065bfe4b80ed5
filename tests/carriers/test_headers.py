"""What goes to and fro beside parameters and rows: the connection check, Idempotency-Key, Retry-After, the account."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from calls.carriers import obd
from calls.carriers.base import CarrierError, NotTaken, Order, OrderedCall, Refused, Stopped, Unconfirmed
from calls.carriers.connection import Answer
from calls.carriers.obd import ObdCarrier
from tests.carriers.conftest import MakeCarrier
from tests.factories import number
from tests.obd_server import KEY, NOT_TAKEN, UNCLEAR, Break, Fault, ObdServer, Refuse, Say

WEEK = 7 * 24 * 3600


def order(key: str = "", calls: int = 1) -> Order:
    return Order(calls=[OrderedCall(f"12-{i + 1}", number(i)) for i in range(calls)], play="1.sound", key=key)


# --- The connection check ----------------------------------------------------------------------------------------


def test_check_asks_something_harmless(server: ObdServer, carrier: ObdCarrier) -> None:
    assert carrier.check() == "The carrier answers and takes our key."
    (request,) = server.received
    assert request.parameters == {"method": "voice.status", "id": "1-1", "format": "json"}
    assert request.headers["x-api-key"] == KEY
    assert server.asked == []


@pytest.mark.parametrize("refusal", [Refuse(400, "id: 1-1 is none"), Refuse(404, "No such call")], ids=str)
def test_check_is_content_with_any_answer_about_the_call(
    server: ObdServer, carrier: ObdCarrier, refusal: Refuse
) -> None:
    server.faults.append(refusal)
    assert carrier.check() == "The carrier answers and takes our key."


WRONG: dict[str, tuple[Fault, type[CarrierError]]] = {
    "key": (Refuse(401, "Invalid API key"), Stopped),
    "key by message": (Refuse(400, "Invalid API key"), Stopped),
    "credit": (Refuse(402, "No credit"), Stopped),
    "address": (Refuse(403, "Not from there"), Stopped),
    "429": (NOT_TAKEN["429"], NotTaken),
    **{
        name: (UNCLEAR[name], Unconfirmed)
        for name in ("500", "503", "HTML", "broken JSON", "redirect", "20 MiB", "closes before reading")
    },
}


@pytest.mark.parametrize(("fault", "kind"), WRONG.values(), ids=WRONG)
def test_check_says_what_is_wrong(
    server: ObdServer, carrier: ObdCarrier, fault: Fault, kind: type[CarrierError]
) -> None:
    server.faults.append(fault)
    with pytest.raises(CarrierError) as caught:
        carrier.check()
    assert type(caught.value) is kind
    assert KEY not in str(caught.value)
    assert len(server.begun) == 1


def test_check_of_wrong_settings_makes_no_request(server: ObdServer, make_carrier: MakeCarrier) -> None:
    with pytest.raises(Stopped, match="OBD_API_KEY is not set"):
        make_carrier(server.url, api_key="").check()
    assert server.connections == 0


# --- The account -------------------------------------------------------------------------------------------------


def test_account_tells_address_and_key_apart_and_shows_neither(make_carrier: MakeCarrier) -> None:
    mine = make_carrier("https://carrier.example/api/v1/").account
    assert mine == make_carrier(" https://carrier.example/api/v1", timeout=1.0).account
    assert mine != make_carrier("https://carrier.example/api/v2/").account
    assert mine != make_carrier("https://carrier.example/api/v1/", api_key="A-fake-key-of-another").account
    assert len(mine) == 64
    assert KEY not in mine
    assert "carrier.example" not in mine


# --- Idempotency-Key ---------------------------------------------------------------------------------------------


def test_key_of_the_order_goes_with_the_hand_over_alone(server: ObdServer, carrier: ObdCarrier) -> None:
    carrier.place(order("d2f6a0b0-0000-4000-8000-000000000001"))
    carrier.place(order())
    carrier.check()
    keys = [request.headers.get("idempotency-key") for request in server.received]
    assert keys == ["d2f6a0b0-0000-4000-8000-000000000001", None, None]
    assert "d2f6a0b0" not in str([request.pairs for request in server.received])


def test_the_same_order_again_is_placed_once_where_answers_are_kept(server: ObdServer, carrier: ObdCarrier) -> None:
    server.keeps = 3600
    server.faults += [Break.AFTER_READING, None]
    with pytest.raises(Unconfirmed):
        carrier.place(order("key-1", 3))
    accepted = carrier.place(order("key-1", 3))
    assert accepted == carrier.place(order("key-1", 3))
    assert accepted.ids == {"12-1": "700001-1", "12-2": "700001-2", "12-3": "700001-3"}
    assert len(server.called) == 3
    assert [asked.placed for asked in server.asked] == [True] * 3 + [False] * 6
    with pytest.raises(Refused, match="409"):
        carrier.place(order("key-1", 2))
    server.forward(3601)
    carrier.place(order("key-1", 3))
    assert len(server.called) == 6


def test_carriers_that_keep_no_answers_say_nothing(server: ObdServer, carrier: ObdCarrier) -> None:
    assert carrier.idempotent_seconds == 0
    carrier.place(order("key-1"))
    assert carrier.idempotent_seconds == 0


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("86400", 86_400), ("1", 1), ("0", 0), (str(WEEK), WEEK), ("999999999", WEEK), ("9999999999", 0), ("", 0),
     ("-1", 0), ("1.5", 0), ("a day", 0), ("٣", 0)],
)  # fmt: skip
def test_how_long_answers_are_kept_is_read_from_every_readable_answer(
    carrier: ObdCarrier, header: str, seconds: int
) -> None:
    answers = (b'{"status": "200", "message": "OK"}', 200), (b'{"status": "404", "message": "None"}', 404)
    for body, status in answers:
        read(carrier, Answer(status, "application/json", body, {"Idempotency-Key-Kept": header}))
        assert carrier.idempotent_seconds == seconds
    read(carrier, Answer(200, "application/json", answers[0][0], {}))
    assert carrier.idempotent_seconds == 0, "another server answers there now"


def test_an_unreadable_answer_says_nothing_of_kept_ones(server: ObdServer, carrier: ObdCarrier) -> None:
    server.keeps = 3600
    carrier.check()
    for fault in (Say(b"<html>", 502), Break.AFTER_READING, UNCLEAR["redirect"]):
        server.faults.append(fault)
        with pytest.raises(Unconfirmed):
            carrier.check()
        assert carrier.idempotent_seconds == 3600


def read(carrier: ObdCarrier, answer: Answer) -> CarrierError | None:
    try:
        return carrier._read(answer)[1]
    except CarrierError as error:
        return error


# --- Retry-After -------------------------------------------------------------------------------------------------


def retry_after(server: ObdServer, carrier: ObdCarrier, *headers: tuple[str, str]) -> float | None:
    server.faults.append(Refuse(429, "Slow down", headers=headers))
    with pytest.raises(NotTaken) as caught:
        carrier.place(order())
    assert type(caught.value) is NotTaken
    return caught.value.retry_after


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7.0), ("0", 0.0), ("  120 ", 120.0), ("999999999", 999_999_999.0), ("9999999999", None), ("", None),
     ("-7", None), ("1.5", None), ("soon", None), ("Tomorrow, 99 Foo 2026 99:99:99 GMT", None)],
)  # fmt: skip
def test_retry_after_in_seconds(server: ObdServer, carrier: ObdCarrier, header: str, seconds: float | None) -> None:
    assert retry_after(server, carrier, ("Retry-After", header)) == seconds


def test_retry_after_as_a_date(server: ObdServer, carrier: ObdCarrier) -> None:
    at = datetime.now(UTC) + timedelta(minutes=5)
    for name in ("Retry-After", "retry-after"):
        found = retry_after(server, carrier, (name, format_datetime(at, usegmt=True)))
        assert found is not None
        assert 0 < found <= 300
    past = format_datetime(at - timedelta(hours=1), usegmt=True)
    assert retry_after(server, carrier, ("Retry-After", past)) == 0.0


def test_without_retry_after_nothing_is_asked_for(server: ObdServer, carrier: ObdCarrier) -> None:
    assert retry_after(server, carrier) is None


def test_retry_after_counts_whatever_the_body_says_the_status_is(server: ObdServer, carrier: ObdCarrier) -> None:
    server.faults.append(Refuse(429, "Slow down", http=200, headers=(("Retry-After", "9"),)))
    with pytest.raises(NotTaken) as caught:
        carrier.check()
    assert caught.value.retry_after == 9.0


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=60))
@example("Mon, 01 Jan 99999 00:00:00 GMT")
@example("Mon, 01 Jan 0001 00:00:00 +2359")
@example("Mon, 01 Jan 2026 00:00:00 +99999999999")
@example("Fri, 31 Dec 9999 23:59:59 -2359")
@example("1 Jan 20260101 0:0:0:0")
@example("9" * 60)
def test_no_retry_after_surprises(header: str) -> None:
    found = obd._retry_after(Answer(429, "", b"", {"Retry-After": header}))
    assert found is None or found >= 0
