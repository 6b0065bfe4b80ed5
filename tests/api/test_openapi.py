"""The OpenAPI description says what the validator does, and comes from the same table."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from openapi_spec_validator import validate

from calls.api import describe
from calls.api.openapi import SCHEMAS, document, property_of
from calls.obd import parameters
from calls.obd.parameters import PARAMETERS, Context, Parameter
from calls.obd.replies import Reply, render
from calls.obd.values import ParameterError
from tests.factories import client_for, make_user

ROWS = [(method, row) for method, rows in PARAMETERS.items() for row in rows]
CONTEXT = Context(datetime(2026, 3, 2, 12, tzinfo=UTC), ZoneInfo("Asia/Kolkata"), "IN", bare_international=True)


def test_the_description_is_valid() -> None:
    validate(document("https://calls.example.com"))


def test_it_is_read_without_signing_in_and_names_this_portal() -> None:
    answer = Client().get("/api/v1/openapi.json")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    assert answer.json()["servers"] == [{"url": "http://testserver"}]
    assert [*answer.json()["paths"]] == ["/api/v1/"]


def test_every_parameter_of_the_table_is_in_it_and_no_other() -> None:
    described: dict[str, set[str]] = {}
    for schema in document("https://calls.example.com")["components"]["schemas"].values():
        if "method" in schema.get("properties", {}):
            (method,) = schema["properties"]["method"]["enum"]
            described.setdefault(method, {*schema["properties"]} - {"method"})
    assert described == {method: {row.name for row in rows} for method, rows in PARAMETERS.items()}


def test_every_check_of_the_table_has_a_schema() -> None:
    assert {row.cleaner for _, row in ROWS} == SCHEMAS.keys()


def test_words_are_there_for_every_method_error_format_and_placeholder() -> None:
    assert describe.METHODS.keys() == PARAMETERS.keys()
    assert describe.PLACEHOLDERS.keys() == {*parameters.PLACEHOLDERS}
    assert [*describe.FORMATS] == [*parameters.FORMATS]
    for name, content_type in describe.FORMATS.items():
        assert render(Reply("200", "OK"), name)[1] == content_type
    for status in describe.ERRORS:
        assert describe.failure(status).status == str(status)


def agrees(row: Parameter, text: str) -> tuple[bool, bool]:
    """Whether the description and the validator take `text`."""
    schema = property_of(row)
    if schema["type"] == "integer":
        described = text.isdigit() and schema["minimum"] <= int(text) <= schema["maximum"]
    elif "enum" in schema:
        described = text in schema["enum"]
    else:
        described = bool(re.search(schema.get("pattern", ""), text)) and len(text) <= schema.get("maxLength", 10**9)
    try:
        row.clean(text, CONTEXT)
    except ParameterError:
        return described, False
    return described, True


@pytest.mark.parametrize(("method", "row"), ROWS, ids=lambda each: getattr(each, "name", each))
def test_examples_are_described_and_accepted(method: str, row: Parameter) -> None:
    example = describe.example_of(row)
    schema = property_of(row)
    assert [str(each) for each in schema["examples"]] == [example]
    described, _ = agrees(row, example)
    assert described
    row.clean(example, replace(CONTEXT, now=datetime.now(UTC)))


TRIED = {
    "play": ["1.sound", "1.SOUND", "ivr:12", "IVR:12", "12.ivr", "12", ".sound", "1.mp3", "ivr:", "x1.sound", "1" * 19],
    "message": [
        "Hello", "Caf\xe9", "“Quoted” \u2013 and so on", "a\nb", "a\x07b", " a\n",
        " " * 1001, "x" * 1000, "x" * 1001,
    ],
    "retries": ["0", "2", "3", "10"],
    "meta": ["{}", '{"a": 1}', "x", " " * 8193, "{" + " " * 8190 + "}", "{" + " " * 8191 + "}"],
    "campaign": [" " * 101, " a ", "Spring sale", "Frühling", "a\tb", "a\u2028b", "x" * 100, "x" * 101],
    "newgroup": ["0", "1", "2"],
    "scheduletime": ["tomorrow", "2026-03-02", "1772460000000"],
    "delay": ["0", "900", "901"],
    "custom": ["a", "a,b", "a b", "a,", "x" * 64, "x" * 65, "a;b", "\xe4"],
    "callback": [
        "https://example.com", "HTTP://example.com/?a={obdid}", "ftp://example.com", "example.com", "https://",
        "https://example.com/{nothing}", "https://example.com/{", "https://{obdid}.example.com/", "https://a b/",
        "https://user@example.com/", "https://[2001:db8::1]:8080/x", "https://example.com:x/", "https://example.com/\xe4",
        "https://example.com/a\\b", "https://example.com?status={status}#x", "https://example.com/" + "x" * 2000,
    ],
    "format": ["json", "text", "yaml"],
    "jsonp": [" " * 101, " a ", "callback", "a.b", "$x", "1a", "a..b", "a b", "alert(1)", "x" * 100, "x" * 101],
    "group": ["12", "12,15", "12, 15,", "VIP", "V,I", "12,VIP", "9" * 18, "9" * 19, "x" * 100, "x" * 101, "a\x07"],
    "id": ["1", "1-1", "1-1,2", "1-1;2", "1-1-1", "x", ",", "1,,2", ",".join(["1-1"] * 200), ",".join(["1-1"] * 201)],
    "groupid": ["1", "1-1", "x", "1,2"],
    "limit": ["1", "10000", "10001", "0"],
    "after": ["1-1", "x"],
}  # fmt: skip


@pytest.mark.parametrize(("method", "row"), ROWS, ids=lambda each: getattr(each, "name", each))
def test_it_takes_what_the_validator_takes(method: str, row: Parameter) -> None:
    """Where a schema can't say all, it has a format of its own, and the validator may be stricter."""
    strict = "format" in property_of(row) or "contentSchema" in property_of(row)
    for text in TRIED.get(row.name, []):
        described, accepted = agrees(row, text)
        assert described == accepted or (strict and described), text[:80]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("method", "name", "limits", "text"),
    [
        ("voice.call", "retries", {"minimum": 0, "maximum": 1}, "2"),
        ("voice.call", "numbers", {"max_items": 1}, "8123456789,7410410123"),
        ("voice.call", "message", {"max_length": 4}, "Hello"),
        ("voice.call", "delay", {"minimum": 0, "maximum": 59}, "60"),
        ("voice.status", "id", {"max_items": 1}, "1-1,1-2"),
        ("voice.groupstatus", "limit", {"minimum": 1, "maximum": 77}, "78"),
    ],
)
def test_a_limit_changed_in_the_table_changes_validator_description_and_page(
    monkeypatch: pytest.MonkeyPatch, method: str, name: str, limits: dict[str, int], text: str
) -> None:
    def said() -> tuple[str, Any, bool]:
        row = parameters.parameter(method, name)
        page = client_for(user).get("/api/").content.decode()
        assert row.rule in page
        return row.rule, Client().get("/api/v1/openapi.json").content, accepts(row)

    def accepts(row: Parameter) -> bool:
        try:
            row.clean(text, CONTEXT)
        except ParameterError:
            return False
        return True

    user = make_user("viewer")
    rule, description, accepted = said()
    assert accepted
    changed = [replace(row, limits=limits) if row.name == name else row for row in PARAMETERS[method]]
    monkeypatch.setitem(PARAMETERS, method, tuple(changed))
    new_rule, new_description, now_accepted = said()
    assert new_rule != rule
    assert new_description != description
    assert not now_accepted
    assert new_rule.encode() in new_description
