"""Each parameter of the OBD API: what is understood, and how a wrong one is named."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.obd.parameters import (
    PARAMETERS,
    CallId,
    CallParameters,
    Context,
    NumberToken,
    Parameter,
    ParameterError,
    ParameterErrors,
    Play,
    clean_call,
    clean_groupstatus,
    clean_method,
    clean_status,
    fill_callback,
    parameter,
)

NOW = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)  # 10:00 in India
INDIA = Context(NOW, ZoneInfo("Asia/Kolkata"), "IN")
LEAST = {"numbers": "8123456789", "play": "1.sound"}


def clean(**given: str) -> CallParameters:
    return clean_call(LEAST | given, INDIA)


def problems(raw: Mapping[str, str], context: Context = INDIA, **options: Any) -> dict[str, str]:
    with pytest.raises(ParameterErrors) as caught:
        clean_call(raw, context, **options)
    return {error.parameter: error.message for error in caught.value.errors}


def problem(context: Context = INDIA, **given: str) -> str:
    (name,) = given
    found = problems(LEAST | given, context)
    assert list(found) == [name]
    return found[name]


def test_the_least_that_a_call_needs() -> None:
    assert clean() == CallParameters(
        numbers=(NumberToken("8123456789", "+918123456789", ""),),
        group_ids=(),
        group_name="",
        play=Play("sound", 1),
        message="",
        retries=0,
        campaign="",
        newgroup=False,
        scheduletime=None,
        delay=0,
        meta=None,
        custom=(),
        callback="",
        format="text",
        jsonp="callback",
    )


def test_everything_at_once() -> None:
    raw = {row.name: row.example for row in PARAMETERS["voice.call"]} | {"custom": "a-1,b_2", "group": ""}
    call = clean_call(raw, INDIA)
    assert [token.number for token in call.numbers] == ["+918123456789", "+917410410123"]
    assert call.custom == ("a-1", "b_2")
    assert call.meta == {"order": 4711}
    assert call.scheduletime == datetime(2026, 12, 24, 12, 30, tzinfo=UTC)
    assert (call.format, call.jsonp) == ("json", "shop.onCall")


def test_unknown_parameters_are_ignored() -> None:
    assert clean(unheard_of="x", method="voice.call") == clean()


def test_blank_is_missing() -> None:
    blank = {row.name: " " for row in PARAMETERS["voice.call"]}
    assert clean_call(blank | LEAST, INDIA) == clean()


@pytest.mark.parametrize("row", [row for rows in PARAMETERS.values() for row in rows], ids=lambda row: row.name)
def test_every_row_of_the_table_is_whole(row: Parameter) -> None:
    assert row.summary.endswith((".", "}"))
    assert "{m" not in row.rule
    assert row.clean(row.example, INDIA) is not None


def test_all_that_is_wrong_is_said_at_once_in_the_order_of_the_table() -> None:
    raw = {"numbers": "8123456789", "message": "नमस्ते", "retries": "5", "delay": "901", "format": "yaml"}
    assert list(problems(raw)) == ["message", "retries", "delay", "format"]


def test_an_error_names_parameter_value_and_rule() -> None:
    with pytest.raises(ParameterErrors) as caught:
        clean(retries="5")
    (error,) = caught.value.errors
    assert (error.parameter, error.got, error.rule) == ("retries", "5", "0, 1 or 2")
    assert str(error) == str(caught.value) == 'retries: "5" is not 0, 1 or 2'


def test_what_came_is_shortened_and_escaped() -> None:
    error = ParameterError("play", "\x00\u202e" + "x" * 100, "rule")
    assert error.got == r"\x00\u202e" + "x" * 49 + "…"
    assert len(error.got) == 60


# numbers and group


def test_numbers_and_play_are_needed() -> None:
    assert problems({}) == {
        "numbers": "missing; needed: phone numbers separated by commas, at most 200; or group instead",
        "play": "missing; needed: a sound like 123.sound, or an IVR like ivr:1234 or 1234.ivr; or message instead",
    }


@pytest.mark.parametrize(
    "text",
    [
        "8123456789,7410410123",
        "8123456789, +91 74104-10123,,",
        "08123456789;917410410123",
        "8123456789\r\n7410410123\n",
        "8123456789\t7410410123",
        "8123456789|7410410123",
        "81234 56789 74104 10123",
        "8123456789 7410410123",
        " 918123456789+917410410123",
    ],
)
def test_numbers_in_every_separator(text: str) -> None:
    assert [token.number for token in clean(numbers=text).numbers] == ["+918123456789", "+917410410123"]


def test_a_wrong_number_is_kept_with_its_reason() -> None:
    tokens = clean(numbers="8123456789,123,\x0081234S6789,8123456789").numbers
    assert tokens == (
        NumberToken("8123456789", "+918123456789", ""),
        NumberToken("123", None, "too short: 3 digits"),
        NumberToken(r"\x0081234S6789", None, "has a control character (U+0000)"),
        NumberToken("8123456789", "+918123456789", ""),
    )


def test_at_most_200_numbers() -> None:
    numbers = [str(8123456789 + n) for n in range(201)]
    assert len(clean(numbers=",".join(numbers[:200])).numbers) == 200
    assert problem(numbers=",".join(numbers)) == (
        '"201 numbers" are too many; needed: phone numbers separated by commas, at most 200'
    )
    assert problem(numbers=" ".join(numbers)).startswith('"201 numbers" are too many')
    assert len(clean_call(LEAST | {"numbers": ",".join(numbers)}, INDIA, max_numbers=201).numbers) == 201
    assert "at most 1" in problems(LEAST | {"numbers": "1,2"}, max_numbers=1)["numbers"]


def test_far_too_many_numbers_are_refused_before_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calls.contacts.numbers.normalise", lambda *_, **__: pytest.fail("a number was read"))
    assert problem(numbers="8123456 789 " * 80_000).startswith('"800,000 digits" are too many')


def test_separators_alone_are_no_numbers() -> None:
    assert problem(numbers=", ;").startswith('", ;" has no numbers')


def test_programs_write_foreign_numbers_without_plus() -> None:
    raw = LEAST | {"numbers": "442079460001"}
    assert clean_call(raw, INDIA).numbers[0].number is None
    assert clean_call(raw, replace(INDIA, bare_international=True)).numbers[0].number == "+442079460001"


@pytest.mark.parametrize(
    ("text", "ids", "name"),
    [
        ("12", (12,), ""),
        ("12, 15,12", (12, 15), ""),
        ("Customers of Pune", (), "Customers of Pune"),
        ("ग्राहक", (), "ग्राहक"),
        ("12a", (), "12a"),
    ],
)
def test_group_overrides_numbers(text: str, ids: tuple[int, ...], name: str) -> None:
    call = clean(group=text, numbers="," * 1000)
    assert (call.group_ids, call.group_name, call.numbers) == (ids, name, ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,customers", "mixes IDs and names or names several groups"),
        ("a,b", "mixes IDs and names or names several groups"),
        (",", "mixes IDs and names or names several groups"),
        (",".join(map(str, range(101))), '"101 contact groups" are too many'),
        ("9" * 19, "has too many digits for an ID"),
        ("x" * 101, "is 101 characters long"),
        ("a\nb", "has a control character (U+000A)"),
        ("a\ud800", "has a control character (U+D800)"),
    ],
)
def test_wrong_groups(text: str, expected: str) -> None:
    assert expected in problem(group=text)


# play and message


@pytest.mark.parametrize(
    ("text", "play", "written"),
    [
        ("123.sound", Play("sound", 123), "123.sound"),
        ("ivr:1234", Play("ivr", 1234), "1234.ivr"),
        ("1234.ivr", Play("ivr", 1234), "1234.ivr"),
        (" IVR:0012 ", Play("ivr", 12), "12.ivr"),
    ],
)
def test_play(text: str, play: Play, written: str) -> None:
    assert clean(play=text).play == play
    assert str(play) == written


@pytest.mark.parametrize(
    "text", ["123", "sound", ".sound", "-1.sound", "1.5.sound", "ivr:", "1.sound,2.sound", "१.sound"]
)
def test_wrong_play(text: str) -> None:
    assert "is not a sound like 123.sound, or an IVR like ivr:1234 or 1234.ivr" in problem(play=text)


def test_play_has_priority_over_message() -> None:
    call = clean(message="नमस्ते")
    assert (call.play, call.message) == (Play("sound", 1), "")


def speak(text: str) -> str:
    return clean_call({"numbers": "8123456789", "message": text}, INDIA).message


def test_message() -> None:
    assert speak("Hello! 50% off (today) @ #1 ~ {ok}") == "Hello! 50% off (today) @ #1 ~ {ok}"
    assert len(speak("a" * 1000)) == 1000


def test_typographic_characters_become_plain_ones() -> None:
    assert speak("\u201cIt\u2019s here\u201d \u2013 wait\u2026\r\nNow.") == '"It\'s here" - wait... Now.'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("नमस्ते", "has “न” (DEVANAGARI LETTER NA, U+0928); needed: English text in plain ASCII characters"),
        ("Caf\xe9", "has “é” (LATIN SMALL LETTER E WITH ACUTE, U+00E9)"),
        ("a\x00b", "has a control character (U+0000)"),
        ("a\x7fb", "has a control character (U+007F)"),
        ("a" * 1001, "is 1,001 characters long"),
    ],
)
def test_wrong_message(text: str, expected: str) -> None:
    assert expected in problems({"numbers": "8123456789", "message": text})["message"]


# whole numbers, words, campaign


@pytest.mark.parametrize("text", ["0", "1", "2", "02"])
def test_retries(text: str) -> None:
    assert clean(retries=text).retries == clean(retry=text).retries == int(text)


def test_retries_under_both_names() -> None:
    assert clean(retry="1", retries="1").retries == 1
    assert problems(LEAST | {"retry": "1", "retries": "2"}) == {
        "retries": '"2 and 1" are different values of retries and retry; needed: 0, 1 or 2'
    }


@pytest.mark.parametrize("text", ["3", "-1", "1.0", "two", "+1", "१", "9" * 5000])
def test_wrong_retries(text: str) -> None:
    assert problem(retries=text).endswith("is not 0, 1 or 2")


@pytest.mark.parametrize("text", ["0", "1", "900"])
def test_delay(text: str) -> None:
    assert clean(delay=text).delay == int(text)


@pytest.mark.parametrize("text", ["901", "-1", "1.5", "1m"])
def test_wrong_delay(text: str) -> None:
    assert problem(delay=text) == f'"{text}" is not a whole number from 0 to 900 seconds'


def test_newgroup() -> None:
    assert clean(newgroup="1").newgroup is True
    assert clean(newgroup="0").newgroup is False
    assert problem(newgroup="true") == '"true" is not 0 or 1'


def test_campaign() -> None:
    assert clean(campaign=" दिवाली <b> ").campaign == "दिवाली <b>"
    assert len(clean(campaign="c" * 100).campaign) == 100
    assert "is 101 characters long" in problem(campaign="c" * 101)
    assert "has a control character (U+0000)" in problem(campaign="a\x00")
    assert "has a control character (U+2028)" in problem(campaign="a\u2028b")


def test_format_and_jsonp() -> None:
    assert clean(format="XML").format == "xml"
    assert problem(format="yaml") == '"yaml" is not text, json, jsonp, xml or php'
    assert clean(jsonp="$.a_1.b").jsonp == "$.a_1.b"


@pytest.mark.parametrize("text", ["a(", "1a", "a..b", "alert(1)//", "</script>", "a b", "é", "a" * 101])
def test_wrong_jsonp(text: str) -> None:
    assert "JavaScript function" in problem(jsonp=text)


# scheduletime


@pytest.mark.parametrize(
    "text",
    [
        "1795415400",
        "2026-11-23 12:00:00",
        "2026-11-23T12:00",
        "2026-11-23 12:00",
        "2026-11-23T12:00:00",
        "23/11/2026 12:00 PM",
    ],
)
def test_scheduletime_in_every_form(text: str) -> None:
    assert clean(scheduletime=text).scheduletime == datetime(2026, 11, 23, 6, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "hour"), [("24/11/2026 12:00 AM", 0), ("24/11/2026 1:05 am", 1), ("24/11/2026 11:59pm", 23)]
)
def test_scheduletime_on_a_clock_of_twelve_hours(text: str, hour: int) -> None:
    time = clean(scheduletime=text).scheduletime
    assert time is not None
    assert time.astimezone(INDIA.zone).hour == hour


def test_scheduletime_from_15_minutes_to_2_months_ahead() -> None:
    assert clean(scheduletime="2026-11-23 10:15:00").scheduletime == NOW + timedelta(minutes=15)
    assert clean(scheduletime="2027-01-23 10:00:00").scheduletime == datetime(2027, 1, 23, 4, 30, tzinfo=UTC)
    assert "is only 14 minutes ahead" in problem(scheduletime="2026-11-23 10:14:59")
    assert "is 61 days ahead" in problem(scheduletime="2027-01-23 10:00:01")


def test_two_months_end_with_the_last_day_of_a_short_month() -> None:
    context = replace(INDIA, now=datetime(2026, 12, 31, 4, 30, tzinfo=UTC))
    raw = LEAST | {"scheduletime": "2027-02-28 10:00:00"}
    assert clean_call(raw, context).scheduletime == datetime(2027, 2, 28, 4, 30, tzinfo=UTC)
    assert "scheduletime" in problems(LEAST | {"scheduletime": "2027-03-01 00:00:00"}, context)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-23 09:59:00", "is in the past"),
        ("2025-01-01 00:00:00", "is in the past"),
        ("0001-01-01 00:00:00", "is out of range"),
        ("9999-12-31 23:59:59", "days ahead"),
        ("2027-02-23 10:00:00", "days ahead"),
        ("99999999999", "days ahead"),
        ("1795415400000", "looks like milliseconds; epoch time is in seconds"),
        ("2026-11-31 10:00:00", "is no time that exists"),
        ("2026-11-24 24:00:00", "is no time that exists"),
        ("24/11/2026 13:00 PM", "is no time that exists"),
        ("24/11/2026 00:30 AM", "is no time that exists"),
        ("0000-01-01 00:00:00", "is no time that exists"),
        ("24/11/2026 10:00", "is not epoch seconds, YYYY-MM-DD HH:MM:SS"),
        ("2026-11-24", "is not epoch seconds"),
        ("2026-11-24T10:00Z", "is not epoch seconds"),
        ("tomorrow", "is not epoch seconds"),
        ("२०२६-११-२४T११:११", "is not epoch seconds"),
    ],
)
def test_wrong_scheduletime(text: str, expected: str) -> None:
    assert expected in problem(scheduletime=text)


LONDON = Context(datetime(2027, 3, 20, 12, 0, tzinfo=UTC), ZoneInfo("Europe/London"), "GB")
BRITISH = {"numbers": "020 7946 0001", "play": "1.sound"}


def test_a_time_that_daylight_saving_skips_is_refused() -> None:
    raw = BRITISH | {"scheduletime": "2027-03-28 01:30:00"}
    assert "does not exist in Europe/London: clocks skip it" in problems(raw, LONDON)["scheduletime"]


def test_of_a_time_that_comes_twice_the_first_is_taken() -> None:
    context = replace(LONDON, now=datetime(2027, 10, 20, 12, 0, tzinfo=UTC))
    time = clean_call(BRITISH | {"scheduletime": "2027-10-31T01:30"}, context).scheduletime
    assert time == datetime(2027, 10, 31, 0, 30, tzinfo=UTC)


# meta


def test_meta_is_read_as_json() -> None:
    call = clean(meta=' {"a": [1, 2.5, null, "\\u00e9\\ud83d\\ude00"]} ')
    assert call.meta == {"a": [1, 2.5, None, "é😀"]}


def test_meta_of_8_kib_and_one_byte_more() -> None:
    text = json.dumps({"a": "é" * 4091}, ensure_ascii=False)
    assert len(text.encode()) == 8191
    assert clean(meta=text + " ").meta
    assert "is 8,193 bytes long; needed: a JSON object of at most 8,192 bytes" in problem(meta=text.replace(" ", "   "))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "is not valid JSON"),
        ("a=b", "is not valid JSON"),
        ("{'a': 1}", "is not valid JSON"),
        ('{"a": "\x01"}', "is not valid JSON"),
        ('{"a": ' + "1" * 5000 + "}", "is not valid JSON"),
        ("[1]", "is JSON, but no object"),
        ('"a"', "is JSON, but no object"),
        ("null", "is JSON, but no object"),
        ('{"a": 1, "a": 2}', 'has the key "a" twice'),
        ('{"b": {"a": 1, "a": 1}}', 'has the key "a" twice'),
        ('{"a": NaN}', "has NaN, which JSON does not know"),
        ('{"a": -Infinity}', "has -Infinity, which JSON does not know"),
        ('{"a": 1e999}', "has a number that is too large (1e999)"),
        ('{"a": "\\u0000"}', "has a character that can't be kept (U+0000)"),
        ('{"\\ud800": 1}', "has a character that can't be kept (U+D800)"),
        ('{"a": "\ud800"}', "has a character that can't be kept (U+D800)"),
        ('{"a":' * 21 + "1" + "}" * 21, "is nested too deeply"),
        ("[" * 8000, "is nested too deeply"),
    ],
)
def test_wrong_meta(text: str, expected: str) -> None:
    assert expected in problem(meta=text)


# custom


def test_custom_is_one_for_each_number() -> None:
    numbers = "8123456789,123,8123456789"
    assert clean(numbers=numbers, custom="a, b-2,C_3").custom == ("a", "b-2", "C_3")
    assert clean(custom="x" * 64).custom == ("x" * 64,)
    assert clean(group="1", custom="a").custom == ("a",)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"custom": "a,b"}, '"2 references" do not match 1 numbers'),
        ({"numbers": "8123456789,7410410123", "custom": "a"}, '"1 references" do not match 2 numbers'),
        ({"group": "1", "custom": "a,b"}, '"2 references" are too many for a group'),
        ({"custom": "a,"}, "has an empty reference"),
        ({"custom": "a b"}, '"a b" is not references of letters'),
        ({"custom": "अ"}, '"अ" is not references of letters'),
        ({"custom": "x" * 65}, "is not references of letters"),
    ],
)
def test_wrong_custom(given: dict[str, str], expected: str) -> None:
    assert expected in problems(LEAST | given)["custom"]


# callback


@pytest.mark.parametrize(
    "url",
    [
        "http://callback.com/?obdid={obdid}",
        "https://example.com:8443/a/{mobile}/b?x={meta}&y={digits}#z",
        "HTTPS://example.com",
        "http://[2001:db8::1]/",
        "http://192.0.2.1/",
        "http://xn--bcher-kva.example/",
        "https://example.com/" + "a" * 1980,
    ],
)
def test_callback(url: str) -> None:
    assert clean(callback=url).callback == url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("javascript:alert(1)", "does not begin with http:// or https://"),
        ("ftp://example.com/", "does not begin with http:// or https://"),
        ("example.com/done", "does not begin with http:// or https://"),
        ("//example.com/done", "does not begin with http:// or https://"),
        ("http://", "has no host"),
        ("http:///path", "has no host"),
        ("http://?x=1", "has no host"),
        ("http:example.com", "has no host"),
        ("http://:80/", "has no host"),
        ("http://user:pass@example.com/", "has a user name"),
        ("http://@example.com/", "has a user name"),
        ("http://{mobile}.example.com/", "has a wrong host"),
        ("http://exa_mple..com/", "has a wrong host"),
        ("http://a,b/", "has a wrong host"),
        ("http://example.com:0/", "has a wrong host"),
        ("http://example.com:99999/", "is not a URL"),
        ("http://[::1/", "is not a URL"),
        ("http://example.com/a b", "has a space; write it as %20"),
        ("http://example.com/\x00", "has a control character (U+0000); encode it"),
        ("http://example.com/\r\nX: y", "has a control character (U+000D)"),
        ("http://example.com/é", "has “é” (LATIN SMALL LETTER E WITH ACUTE, U+00E9); encode it"),
        ("http://example.com\\@evil.example/", "has “\\” (REVERSE SOLIDUS, U+005C); encode it"),
        ("http://example.com/?x={nonsense}", "has an unknown placeholder {nonsense} (known are {obdid} {mobile}"),
        ("http://example.com/?x={OBDID}", "has an unknown placeholder {OBDID}"),
        ("http://example.com/?x={}", "has an unknown placeholder {}"),
        ("http://example.com/?x={obdid", "has a brace that is not paired"),
        ("http://example.com/?x={{obdid}}", "has a brace that is not paired"),
        ("http://example.com/{obdid}/{obdid}?x={meta}&y={meta}", "has {meta} more than once"),
        ("https://example.com/" + "a" * 1981, "is 2,001 characters long"),
    ],
)
def test_wrong_callback(url: str, expected: str) -> None:
    assert expected in problem(callback=url)


def test_placeholders_are_filled_in_encoded() -> None:
    url = "https://example.com/{campaign}?m={mobile}&x={digits}"
    filled = fill_callback(url, {"campaign": "a/b ä&{mobile}", "mobile": "+918123456789"})
    assert filled == "https://example.com/a%2Fb%20%C3%A4%26%7Bmobile%7D?m=%2B918123456789&x="


# the other methods


@pytest.mark.parametrize("text", ["voice.call", "VOICE.CALL", " Voice.Call "])
def test_method_is_compared_without_case(text: str) -> None:
    assert clean_method(text) == "voice.call"


@pytest.mark.parametrize("text", ["", "voice", "voice.hangup"])
def test_unknown_method(text: str) -> None:
    with pytest.raises(ParameterError, match=r"voice.call, voice.status, voice.groupstatus"):
        clean_method(text)


def test_status() -> None:
    status = clean_status({"id": "123456-1, 7-2,123456,7-2", "mobile": "08123456789", "format": "json"}, INDIA)
    assert status.ids == (CallId(123456, 1), CallId(7, 2), CallId(123456, None))
    assert [str(call) for call in status.ids] == ["123456-1", "7-2", "123456"]
    assert (status.mobile, status.format) == ("+918123456789", "json")
    assert clean_status({"id": ",".join(map(str, range(200)))}, INDIA).mobile == ""


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({}, "id: missing; needed: OBD IDs like 123456-1 separated by commas, at most 200"),
        ({"id": ","}, 'id: "," is not OBD IDs like'),
        ({"id": "1-1;drop"}, 'id: "1-1;drop" is not OBD IDs like'),
        ({"id": "1-1-1"}, 'id: "1-1-1" is not'),
        ({"id": "1," + "9" * 19}, "is not OBD IDs like"),
        ({"id": ",".join(map(str, range(201)))}, 'id: "201 IDs" are too many'),
        ({"id": "1-1", "mobile": "12"}, 'mobile: "12" can\'t be a number: too short: 2 digits; needed: a phone number'),
    ],
)
def test_wrong_status(raw: dict[str, str], expected: str) -> None:
    with pytest.raises(ParameterErrors) as caught:
        clean_status(raw, INDIA)
    assert str(caught.value).startswith(expected) or expected in str(caught.value)


def test_groupstatus() -> None:
    query = clean_groupstatus({"groupid": "123456"}, INDIA)
    assert (query.group, query.campaign, query.limit, query.after) == (123456, "", 1000, 0)
    query = clean_groupstatus(
        {"groupid": "123456-1", "campaign": "Sale", "limit": "10000", "after": "123456-1000"}, INDIA
    )
    assert (query.group, query.campaign, query.limit, query.after) == (123456, "Sale", 10_000, 1000)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({}, "groupid: missing; needed: a call group ID like 123456"),
        ({"groupid": "1,2"}, 'groupid: "1,2" is not a call group ID like 123456'),
        ({"groupid": "1", "limit": "10001"}, 'limit: "10001" is not a whole number from 1 to 10,000'),
        ({"groupid": "1", "limit": "0"}, 'limit: "0" is not a whole number from 1 to 10,000'),
        ({"groupid": "1", "after": "2-1"}, 'after: "2-1" is not an OBD ID of this call group, like 123456-1000'),
        ({"groupid": "1", "after": "1"}, 'after: "1" is not an OBD ID of this call group, like 123456-1000'),
    ],
)
def test_wrong_groupstatus(raw: dict[str, str], expected: str) -> None:
    with pytest.raises(ParameterErrors) as caught:
        clean_groupstatus(raw, INDIA)
    assert str(caught.value) == expected


# the table


def test_a_limit_changed_in_the_table_changes_rule_and_check(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tuple(
        replace(row, limits={"minimum": 0, "maximum": 3}) if row.name == "retries" else row
        for row in PARAMETERS["voice.call"]
    )
    monkeypatch.setitem(PARAMETERS, "voice.call", rows)
    assert parameter("voice.call", "retries").rule == "0, 1, 2 or 3"
    assert clean(retries="3").retries == 3
    assert problem(retries="4") == '"4" is not 0, 1, 2 or 3'


def test_parameter_knows_only_the_table() -> None:
    with pytest.raises(KeyError):
        parameter("voice.call", "colour")


ODD = st.text() | st.text(alphabet="0123456789,.:-/ {}[]\"'aAmMpPsoundivr+\x00\ud800न")


@given(st.dictionaries(st.sampled_from([*(row.name for row in PARAMETERS["voice.call"]), "retry"]), ODD))
def test_any_text_is_understood_or_named(raw: dict[str, str]) -> None:
    try:
        call = clean_call(raw, INDIA)
    except ParameterErrors as found:
        for error in found.errors:
            assert error.parameter in str(error)
            assert str(error).encode()
            assert str(error).isprintable()
    else:
        assert call.play or call.message
        assert call.numbers or call.group_ids or call.group_name


@given(st.dictionaries(st.sampled_from(["id", "mobile", "groupid", "campaign", "limit", "after", "format"]), ODD))
def test_any_query_is_understood_or_named(raw: dict[str, str]) -> None:
    for check in (clean_status, clean_groupstatus):
        try:
            check(raw, INDIA)
        except ParameterErrors as found:
            assert str(found).isprintable()  # noqa: PT017 - most texts are wrong, some are right
