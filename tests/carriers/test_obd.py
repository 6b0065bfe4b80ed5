"""What the `obd` carrier sends, and what it makes of each kind of answer (OBD-API.md)."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import responses
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from calls.carriers import get_carrier, obd
from calls.carriers.base import (
    Accepted,
    AskedCall,
    Carrier,
    CarrierError,
    NoAnswer,
    NotTaken,
    Order,
    OrderedCall,
    Question,
    Refused,
    Report,
    Stopped,
    Unconfirmed,
)
from calls.carriers.obd import ObdCarrier
from calls.carriers.rows import Reader
from calls.obd.replies import Reply, Row, render
from tests.carriers.conftest import MakeCarrier
from tests.factories import number
from tests.obd_server import KEY, ObdServer, Refuse, Say

IST = ZoneInfo("Asia/Kolkata")
LONDON = ZoneInfo("Europe/London")
SENT = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
FORMATS = ["json", "xml", "text", "php"]


def order(calls: int = 3, **changes: Any) -> Order:
    return Order(calls=[OrderedCall(f"12-{i + 1}", number(i)) for i in range(calls)], **{"play": "1.sound"} | changes)


def question(count: int = 3, **changes: Any) -> Question:
    asked = [AskedCall(f"12-{i + 1}", number(i), f"700001-{i + 1}") for i in range(count)]
    return replace(Question(calls=asked, sent_at=SENT), **changes)


def sent(server: ObdServer) -> dict[str, str]:
    """The parameters of the one request made."""
    (request,) = server.received
    return request.parameters


# --- What is sent ------------------------------------------------------------------------------------------------


def test_least_that_is_sent(server: ObdServer, carrier: ObdCarrier) -> None:
    carrier.place(order(2))
    assert sent(server) == {
        "method": "voice.call",
        "numbers": "442079460000,442079460001",
        "custom": "12-1,12-2",
        "play": "1.sound",
        "retries": "0",
        "newgroup": "0",
        "format": "json",
    }


def test_all_that_can_be_sent(server: ObdServer, make_carrier: MakeCarrier) -> None:
    callback = "https://example.com/?id={obdid}&s={status}"
    make_carrier(server.url, region="GB").place(
        order(
            1,
            play="1234.ivr",
            message="Hello & good-bye, 100%: a+b=c",
            retries=2,
            campaign="Spring “sale” & पहला",
            newgroup=True,
            schedule_time=datetime(2026, 12, 24, 18, 30, 5, tzinfo=UTC),
            delay=900,
            meta={"name": "Zoë", "list": [1, None, True]},
            callback=callback,
        )
    )
    assert sent(server) == {
        "method": "voice.call",
        "numbers": "2079460000",
        "custom": "12-1",
        "play": "1234.ivr",
        "message": "Hello & good-bye, 100%: a+b=c",
        "retries": "2",
        "campaign": "Spring “sale” & पहला",
        "newgroup": "1",
        "scheduletime": "2026-12-25 00:00:05",
        "delay": "900",
        "meta": '{"name":"Zoë","list":[1,null,true]}',
        "callback": callback,
        "format": "json",
    }


def test_group_of_the_carrier_is_sent_in_place_of_numbers(server: ObdServer, carrier: ObdCarrier) -> None:
    server.contact_groups["Members 7"] = ["8123456789"]
    accepted = carrier.place(Order(calls=[], group="Members 7", play="1.sound", custom="ref-1"))
    assert accepted == Accepted(group="700001", message="OK")
    assert sent(server) == {
        "method": "voice.call",
        "group": "Members 7",
        "custom": "ref-1",
        "play": "1.sound",
        "retries": "0",
        "newgroup": "0",
        "format": "json",
    }


@pytest.mark.parametrize(
    ("time", "written"),
    [
        (datetime(2026, 10, 24, 12, 0, tzinfo=UTC), "2026-10-24 13:00:00"),
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "2026-10-25 01:30:00"),
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "1792891800"),
        (datetime(2026, 10, 25, 2, 30, tzinfo=UTC), "2026-10-25 02:30:00"),
    ],
    ids=["summer", "first 01:30", "second 01:30", "winter"],
)
def test_schedule_is_written_for_the_carriers_clock(
    server: ObdServer, make_carrier: MakeCarrier, time: datetime, written: str
) -> None:
    make_carrier(server.url, zone=LONDON).place(order(schedule_time=time))
    assert sent(server)["scheduletime"] == written


def test_key_goes_into_its_header_and_nowhere_else(server: ObdServer, carrier: ObdCarrier) -> None:
    carrier.place(order())
    (request,) = server.received
    assert request.verb == "POST"
    assert [name for name, value in request.headers.items() if KEY in value] == ["x-api-key"]
    assert KEY not in str(request.pairs) + request.path
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("ending", "path"),
    [
        ("/api/v1", "/api/v1/"),
        ("/api/v1/", "/api/v1/"),
        ("/api/v1//  ", "/api/v1/"),
        ("/api/v1/index.php", "/api/v1/index.php"),
        ("", "/"),
    ],
)
def test_address_with_and_without_slash(server: ObdServer, make_carrier: MakeCarrier, ending: str, path: str) -> None:
    make_carrier(server.url.removesuffix("/api/v1/") + ending).place(order())
    assert server.received[0].path == path


@pytest.fixture
def fresh_carriers() -> Iterator[None]:
    get_carrier.cache_clear()
    yield
    get_carrier.cache_clear()


@pytest.mark.usefixtures("fresh_carriers")
def test_settings_make_the_carrier(server: ObdServer, settings: Settings) -> None:
    settings.OBD_BASE_URL, settings.OBD_API_KEY, settings.DEFAULT_REGION = server.url.rstrip("/"), f"{KEY}\n", "GB"
    settings.OBD_TIMEOUT, settings.TIME_ZONE = 3, "Europe/London"
    carrier = get_carrier("obd")
    assert isinstance(carrier, ObdCarrier)
    try:
        carrier.place(order(1, schedule_time=SENT))
    finally:
        carrier.close()
    assert carrier.name == "obd"
    assert sent(server)["numbers"] == "2079460000"
    assert sent(server)["scheduletime"] == "2026-11-20 10:00:00"
    assert server.received[0].headers["x-api-key"] == KEY


# --- Answers to voice.call: taken --------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_taken_with_ids(server: ObdServer, carrier: ObdCarrier, form: str) -> None:
    server.format = form
    assert carrier.place(order(3)) == Accepted(
        group="700001", ids={"12-1": "700001-1", "12-2": "700001-2", "12-3": "700001-3"}, message="OK"
    )


@pytest.mark.parametrize("form", FORMATS)
def test_taken_without_ids(server: ObdServer, carrier: ObdCarrier, form: str) -> None:
    server.format, server.with_ids, server.with_group = form, False, False
    assert carrier.place(order(3)) == Accepted(message="OK")


@pytest.mark.parametrize("form", FORMATS)
def test_taken_but_some_numbers_are_not_called(server: ObdServer, carrier: ObdCarrier, form: str) -> None:
    server.format = form
    server.refused = {"442079460000": "DND", "442079460002": "INVALID", "442079460003": "DUPLICATE"}
    accepted = carrier.place(order(5))
    assert accepted.ids == {"12-2": "700001-1", "12-5": "700001-2"}
    assert accepted.refused == {"12-1": "DND", "12-3": "INVALID", "12-4": "DUPLICATE"}


@pytest.mark.parametrize("form", ["json", "xml"])
@pytest.mark.parametrize("region", ["IN", "GB", "US"])
def test_rows_without_our_reference_are_told_by_number(
    server: ObdServer, make_carrier: MakeCarrier, form: str, region: str
) -> None:
    server.format, server.echo_custom, server.as_list = form, False, True
    accepted = make_carrier(server.url, region=region).place(order(2))
    assert accepted.ids == {"12-1": "700001-1", "12-2": "700001-2"}


def placed(*rows: Row, calls: int = 2, region: str = "GB") -> tuple[dict[str, str], dict[str, str]]:
    return Reader(region, LONDON).placed(rows, order(calls).calls)


@pytest.mark.parametrize(
    "mobile", ["+442079460001", "00442079460001", "442079460001", "020 7946 0001", "2079460001", "+44 (0)20-7946-0001"]
)
def test_numbers_in_rows_may_be_written_in_any_way(mobile: str) -> None:
    assert placed(Row("7-1", mobile, "QUEUED")) == ({"12-2": "7-1"}, {})


def test_rows_about_other_calls_are_left_out() -> None:
    rows = [
        Row("7-1", "+442079460009", ""),
        Row("7-2", "", ""),
        Row("7-3", "junk", ""),
        Row("7-4", "", "", custom="13-1"),
    ]
    assert placed(*rows) == ({}, {})


def test_our_reference_counts_more_than_the_number() -> None:
    assert placed(Row("7-1", "+442079460000", "", custom="12-2")) == ({"12-2": "7-1"}, {})


def test_bare_ids_are_matched_by_position() -> None:
    assert placed(Row("7-1", "", ""), Row("7-2", "", "")) == ({"12-1": "7-1", "12-2": "7-2"}, {})


def test_bare_ids_that_are_too_few_or_too_many_are_not_guessed() -> None:
    assert placed(Row("7-1", "", "")) == ({}, {})
    assert placed(Row("7-1", "", ""), Row("7-2", "", ""), Row("7-3", "", "")) == ({}, {})


def test_a_number_that_has_an_id_is_not_refused() -> None:
    first, again = Row("7-1", number(0), "QUEUED"), Row("", number(0), "DUPLICATE")
    assert placed(first, again) == placed(again, first) == ({"12-1": "7-1"}, {})


@pytest.mark.parametrize("word", ["", "QUEUED", "SCHEDULED", "COMPLETED", "SOMETHING"])
def test_rows_without_id_refuse_only_by_a_word_that_says_so(word: str) -> None:
    assert placed(Row("", number(0), word)) == ({}, {})


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"status": 200, "message": "OK", "group_id": 5, "data": [{"id": "5-1", "mobile": 442079460000}]}',
        b'{"status": "200", "data": {"gid": "5", "0": {"id": "5-1", "mobile": "442079460000"}}, "message": "OK"}',
        '{"status": "200", "gid": "5", "data": {"id": "5-1", "mobile": "442079460000"}}'.encode("utf-16"),
        b"<api><status>200</status><gid>5</gid><data><voice><id>5-1</id><mobile>442079460000</mobile></voice></data></api>",
    ],
    ids=["BOM, list, numbers", "group in data", "UTF-16, single row", "XML"],
)  # fmt: skip
def test_odd_but_readable_answers(server: ObdServer, carrier: ObdCarrier, body: bytes) -> None:
    server.faults.append(Say(body))
    accepted = carrier.place(order(1))
    assert (accepted.group, accepted.ids) == ("5", {"12-1": "5-1"})


def test_compressed_answer(server: ObdServer, carrier: ObdCarrier) -> None:
    body = gzip.compress(b'{"status": "200", "message": "OK", "groupid": "5"}')
    server.faults.append(Say(body, headers=(("Content-Encoding", "gzip"),)))
    assert carrier.place(order()) == Accepted(group="5", message="OK")


def none_called(*words: str, message: str = "numbers: none can be called", form: str = "json") -> Say:
    """A refusal by another portal, with its word for each number."""
    rows = tuple(Row("", number(i)[1:], word, custom=f"12-{i + 1}") for i, word in enumerate(words))
    body, content_type = render(Reply("400", message, rows=rows), form)
    return Say(body.encode(), 400, content_type)


@pytest.mark.parametrize("form", FORMATS)
def test_none_of_the_numbers_may_be_called(server: ObdServer, carrier: ObdCarrier, form: str) -> None:
    server.faults.append(none_called("DND", "INVALID", "CAPPED", form=form))
    accepted = carrier.place(order(3))
    assert accepted.refused == {"12-1": "DND", "12-2": "INVALID", "12-3": "CAPPED"}
    assert (accepted.ids, accepted.group, accepted.message) == ({}, "", "numbers: none can be called")


@pytest.mark.parametrize(
    ("words", "message", "kind"),
    [
        (["DND", "DND"], "numbers: none", Refused),
        (["DND", "DND", "REJECTED"], "play: no such sound", Refused),
        (["DND", "DND", "QUEUED"], "numbers: odd", Refused),
        ([], "numbers: none", Refused),
        (["DND"] * 3, "No credit", Stopped),
    ],
)
def test_refusals_that_are_not_about_every_number(
    server: ObdServer, carrier: ObdCarrier, words: list[str], message: str, kind: type[CarrierError]
) -> None:
    server.faults.append(none_called(*words, message=message))
    with pytest.raises(kind):
        carrier.place(order(3))


def test_a_refused_group_of_the_carriers_own(server: ObdServer, carrier: ObdCarrier) -> None:
    server.faults.append(none_called())
    with pytest.raises(Refused):
        carrier.place(Order(calls=[], group="77", play="1.sound"))


# --- Answers to voice.call: not taken, or not known --------------------------------------------------------------


def failure(carrier: ObdCarrier) -> CarrierError:
    with pytest.raises(CarrierError) as caught:
        carrier.place(order())
    assert str(caught.value).strip()
    return caught.value


@pytest.mark.parametrize(
    ("refusal", "kind", "said"),
    [
        (Refuse(400, "retries: 5"), Refused, "The carrier refused the request (400): retries: 5"),
        (Refuse(404, "No such sound in this account"), Refused,
         "The carrier refused the request (404): No such sound in this account"),
        (Refuse(409, ""), Refused, "The carrier refused the request (409)."),
        (Refuse(413, "Too large"), Refused, "The carrier refused the request (413): Too large"),
        (Refuse(401, "Wrong"), Stopped, "The carrier refuses our key or account (401): Wrong"),
        (Refuse(402, "Pay"), Stopped, "The carrier refuses our key or account (402): Pay"),
        (Refuse(403, "Not you"), Stopped, "The carrier refuses our key or account (403): Not you"),
        (Refuse(400, "Invalid API key"), Stopped, "The carrier refuses our key or account (400): Invalid API key"),
        (Refuse(400, "No credit"), Stopped, "The carrier refuses our key or account (400): No credit"),
        (Refuse(429, "Slow down"), NotTaken, "The carrier takes no more requests just now (429): Slow down"),
        (Refuse(408, "Timeout"), Unconfirmed, "The carrier failed with 408: Timeout"),
        (Refuse(500, "Insufficient credits"), Unconfirmed, "The carrier failed with 500: Insufficient credits"),
        (Refuse(502, ""), Unconfirmed, "The carrier failed with 502."),
        (Refuse(503, "Away"), Unconfirmed, "The carrier failed with 503: Away"),
    ],
)  # fmt: skip
def test_readable_refusals(
    server: ObdServer, carrier: ObdCarrier, refusal: Refuse, kind: type[CarrierError], said: str
) -> None:
    for server.format in FORMATS:
        for http in (None, 200):  # failures can come with HTTP 200
            server.faults.append(replace(refusal, http=http))
            error = failure(carrier)
            assert (type(error), str(error)) == (kind, said)


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (Refuse("ERROR", "Something is wrong", 200), Refused),
        (Refuse("ERROR", "Wrong credentials: invalid key", 200), Stopped),
        (Refuse("FAILED", "", 403), Stopped),
        (Refuse("FAILED", "", 429), NotTaken),
        (Refuse("FAILED", "", 500), Unconfirmed),
        (Refuse("E401", "", 200), Stopped),
        (Refuse("1007", "", 200), Unconfirmed),
        (Refuse("201", "", 200), Unconfirmed),
        (Refuse("200", "OK", 404), Unconfirmed),
        (Refuse("200", "OK", 500), Unconfirmed),
        (Refuse("403", "", 502), Unconfirmed),
    ],
)
def test_odd_statuses(server: ObdServer, carrier: ObdCarrier, refusal: Refuse, kind: type[CarrierError]) -> None:
    server.faults.append(refusal)
    assert type(failure(carrier)) is kind


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html><html><head><title>Bad Gateway</title></head></html>",
        b'{"status": "200", "data": {"0": {"id": "7-1", "mob',
        b'<?xml version="1.0"?><api><status>200</status><message>O',
        b"",
        b"\0\0\0\0",
        b"OK",
        b"null",
        b"[]",
        b'{"message": "Forbidden"}',
    ],
    ids=["HTML", "cut JSON", "cut XML", "empty", "zeros", "a word", "null", "list", "no status"],
)
def test_unreadable_answers_are_unconfirmed(server: ObdServer, carrier: ObdCarrier, body: bytes) -> None:
    for http in (200, 400, 401, 403, 404, 429, 500, 502, 503):
        server.faults.append(Say(body, http))
        error = failure(carrier)
        assert type(error) is Unconfirmed
        assert str(error) == f"The carrier answered {http} with something unreadable."


@pytest.mark.parametrize("http", [200, 400, 500])
def test_key_and_numbers_in_a_carriers_words_are_masked(server: ObdServer, carrier: ObdCarrier, http: int) -> None:
    message = f"Key {KEY}: 442079460000, +44 20 7946 0001 and (020) 7946-0002 of group 123456 " + "x" * 500
    server.faults.append(Refuse(400, message, http))
    said = str(failure(carrier))
    assert "(400): Key (key): (number), (number) and (number) of group 123456 xxx" in said or http == 500
    assert KEY not in said
    assert "7946" not in said
    assert len(said) < 300


@given(body=st.binary(max_size=300), http=st.sampled_from([200, 400, 403, 429, 500]))
def test_only_a_readable_answer_is_anything_but_unconfirmed(body: bytes, http: int) -> None:
    carrier = ObdCarrier("https://carrier.example/", KEY, timeout=1, connections=1, region="GB", zone=LONDON)
    with responses.RequestsMock() as mock:
        mock.post("https://carrier.example/", body=body, status=http)
        try:
            carrier.place(order())
        except Unconfirmed:
            pass
        except CarrierError:
            assert http != 500
            assert b"4" in body or any(word in body.upper() for word in (b"ERROR", b"FAIL"))
        else:
            assert http == 200
    carrier.close()


# --- Questions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("by_group", [True, False])
def test_reports_in_every_format(server: ObdServer, carrier: ObdCarrier, form: str, by_group: bool) -> None:
    server.format = form
    server.ends = lambda mobile: "NOANSWER" if mobile.endswith("1") else "COMPLETED"
    carrier.place(order(2))
    asked = question(2, calls=[], group="700001") if by_group else question(2)
    first, second = carrier.reports(asked)
    assert (first.word, first.number, first.obd_id, first.carrier_id) == ("QUEUED", number(0), "12-1", "700001-1")
    server.forward(10)
    first, second = carrier.reports(asked)
    began = first.sent_at
    assert began is not None
    assert abs(began - datetime.now(UTC)) < timedelta(seconds=10)
    assert first == Report(
        number=number(0),
        word="COMPLETED",
        obd_id="12-1",
        carrier_id="700001-1",
        sent_at=began,
        answered_at=began + timedelta(seconds=2),
        ended_at=began + timedelta(seconds=7),
        duration=5,
        retries=0,
    )
    assert (second.word, second.duration) == ("NOANSWER", None)


def test_group_is_asked_page_by_page(server: ObdServer, carrier: ObdCarrier) -> None:
    server.page = 2
    carrier.place(order(5))
    reports = list(carrier.reports(question(group="700001", calls=[])))
    assert [report.obd_id for report in reports] == [f"12-{i}" for i in range(1, 6)]
    asked = [request.parameters for request in server.requests("voice.groupstatus")]
    assert asked == [
        {"method": "voice.groupstatus", "groupid": "700001", "format": "json"},
        {"method": "voice.groupstatus", "groupid": "700001", "limit": "1000", "after": "700001-2", "format": "json"},
        {"method": "voice.groupstatus", "groupid": "700001", "limit": "1000", "after": "700001-4", "format": "json"},
    ]


def test_pages_that_repeat_end(server: ObdServer, carrier: ObdCarrier) -> None:
    server.always = Say(b'{"status": "200", "data": [{"id": "7-1", "mobile": "442079460000"}], "next": "7-1"}')
    assert len(list(carrier.reports(question(group="7")))) == 2
    assert len(server.received) == 2


def test_pages_without_end_are_no_answer(make_carrier: MakeCarrier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(obd, "MAX_PAGES", 5)
    asked = 0

    def page(request: object) -> tuple[int, dict[str, str], str]:
        nonlocal asked
        asked += 1
        return 200, {}, json.dumps({"status": "200", "next": f"7-{asked}"})

    with responses.RequestsMock() as mock:
        mock.add_callback(responses.POST, "https://carrier.example/", page)
        with pytest.raises(NoAnswer, match="has no end"):
            list(make_carrier("https://carrier.example/").reports(question(group="7")))
    assert asked == 5


def test_calls_are_asked_200_at_a_time(server: ObdServer, carrier: ObdCarrier) -> None:
    for first in (0, 200, 400):
        carrier.place(order(min(200, 450 - first)))
    reports = list(carrier.reports(question(450)))
    assert [report.carrier_id for report in reports] == [f"700001-{i}" for i in range(1, 451)]
    asked = [request.parameters["id"].split(",") for request in server.requests("voice.status")]
    assert [len(ids) for ids in asked] == [200, 200, 50]


def test_nothing_to_ask(server: ObdServer, carrier: ObdCarrier) -> None:
    assert list(carrier.reports(question(0))) == []
    assert list(carrier.reports(question(calls=[AskedCall("12-1", number(0), "")]))) == []
    assert server.received == []


def test_only_calls_with_an_id_are_asked_about(server: ObdServer, carrier: ObdCarrier) -> None:
    carrier.place(order(2))
    calls = [AskedCall("12-1", number(0), ""), AskedCall("12-2", number(1), "700001-2")]
    assert [report.obd_id for report in carrier.reports(question(calls=calls))] == ["12-2"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Refuse(401, "Wrong"), "The carrier refuses our key or account (401): Wrong"),
        (Refuse(404, "No such group"), "The carrier refused the request (404): No such group"),
        (Refuse(429), "The carrier takes no more requests just now (429)."),
        (Refuse(500), "The carrier failed with 500."),
        (Say(b"<html></html>", 502), "The carrier answered 502 with something unreadable."),
    ],
)
def test_failed_questions_are_no_answer(server: ObdServer, carrier: ObdCarrier, fault: Refuse | Say, said: str) -> None:
    server.always = fault
    for asked in (question(), question(group="700001")):
        with pytest.raises(NoAnswer) as caught:
            list(carrier.reports(asked))
        assert str(caught.value) == said


def test_reports_before_a_failure_are_given(server: ObdServer, carrier: ObdCarrier) -> None:
    server.page = 2
    carrier.place(order(5))
    server.faults += [None, Refuse(500)]
    reports = carrier.reports(question(group="700001"))
    assert [next(reports).obd_id, next(reports).obd_id] == ["12-1", "12-2"]
    with pytest.raises(NoAnswer):
        next(reports)


def test_masked_numbers_are_told_by_id(server: ObdServer, carrier: ObdCarrier) -> None:
    server.mask, server.echo_custom = True, False
    carrier.place(order(2))
    assert [report.number for report in carrier.reports(question(2))] == [number(0), number(1)]


def report_of(row: Row, zone: ZoneInfo = IST, asked: tuple[AskedCall, ...] = ()) -> Report | None:
    return Reader("IN", zone).report(row, asked)


def test_row_that_nothing_identifies_is_skipped() -> None:
    assert report_of(Row("7-1", "99XXXXXXXX", "COMPLETED")) is None
    assert report_of(Row("7-1", "", "COMPLETED", custom="my-reference")) is None


def test_row_with_our_reference_needs_no_number() -> None:
    assert report_of(Row("7-1", "44XXXXXXXXXX", "BUSY", custom="12-2")) == Report(
        number="", word="BUSY", obd_id="12-2", carrier_id="7-1"
    )
    asked = (AskedCall("12-2", number(1), ""),)
    found = report_of(Row("7-1", "44XXXXXXXXXX", "BUSY", custom="12-2"), asked=asked)
    assert found is not None
    assert found.number == number(1)


@pytest.mark.parametrize("custom", ["ref-1", "12", "12-", "-1", "12-1-1", "a12-1", "१२-१"])
def test_reference_of_somebody_else_is_no_obd_id(custom: str) -> None:
    found = report_of(Row("7-1", number(0), "BUSY", custom=custom))
    assert found is not None
    assert found.obd_id == ""


@pytest.mark.parametrize(
    ("written", "time"),
    [
        ("2017-08-17 12:09:16", datetime(2017, 8, 17, 6, 39, 16, tzinfo=UTC)),
        ("2017-08-17T12:09:16", datetime(2017, 8, 17, 6, 39, 16, tzinfo=UTC)),
        ("2017-08-17 12:09", datetime(2017, 8, 17, 6, 39, tzinfo=UTC)),
        ("2017-08-17 12:09:16.5", datetime(2017, 8, 17, 6, 39, 16, tzinfo=UTC)),
        ("", None),
        (None, None),
        ("0000-00-00 00:00:00", None),
        ("2017-02-30 12:00:00", None),
        ("2017-08-17 25:00:00", None),
        ("17/08/2017 12:09", None),
        ("soon", None),
    ],
)
def test_times_of_the_carrier(written: str | None, time: datetime | None) -> None:
    found = report_of(
        Row("7-1", number(0), "COMPLETED", senttime=written, answertime=written or "", endtime=written or "")
    )
    assert found is not None
    assert (found.sent_at, found.answered_at, found.ended_at) == (time, time, time)
    assert found.sent_at is None or found.sent_at.tzinfo


@pytest.mark.parametrize("count", [None, 0, 3, 999_999_999])
def test_counts_that_can_not_be_are_left_out(count: int | None) -> None:
    found = report_of(Row("7-1", number(0), "COMPLETED", duration=count, retries=count))
    assert found is not None
    expected = None if count == 999_999_999 else count
    assert (found.duration, found.retries) == (expected, expected)


ROW = st.builds(
    Row,
    id=st.text(max_size=20),
    mobile=st.sampled_from([number(0), "020 7946 0001", "99XXXXXXXX", ""]) | st.text(max_size=20),
    status=st.text(max_size=20),
    senttime=st.none() | st.text(max_size=20) | st.datetimes().map(str),
    answertime=st.text(max_size=20),
    endtime=st.datetimes().map(str),
    duration=st.none() | st.integers(0, 10**9),
    retries=st.none() | st.integers(0, 10**9),
    digits=st.text(max_size=20),
    custom=st.sampled_from(["12-1", "12-2", "13-1", ""]) | st.text(max_size=20),
)


@given(rows=st.lists(ROW, max_size=5))
def test_rows_never_surprise(rows: list[Row]) -> None:
    ids, refused = placed(*rows, calls=2)
    assert {*ids, *refused} <= {"12-1", "12-2"}
    assert not {*ids} & {*refused}
    for row in rows:
        found = report_of(row)
        assert found is None or found.number or found.obd_id


def test_it_is_a_carrier(carrier: ObdCarrier) -> None:
    as_carrier: Carrier = carrier
    assert as_carrier.name == "obd"
