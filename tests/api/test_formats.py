"""Every answer and every error in each format: well-formed, and read back by the carrier's own parser."""

import json
import re
from xml.etree import ElementTree

import pytest
from django.db import OperationalError

from calls.api import endpoint
from calls.obd.parameters import FORMATS
from tests.api.asking import Answer, Program
from tests.factories import make_call_group, make_user

pytestmark = pytest.mark.django_db

TYPES = {
    "text": "text/plain; charset=utf-8",
    "json": "application/json",
    "jsonp": "application/javascript; charset=utf-8",
    "xml": "application/xml; charset=utf-8",
    "php": "text/plain; charset=utf-8",
}
HOSTILE = "<b>&amp;]]>\"'\\ \x01\x1b\u2028\ufffe =>\n[x] => 1,\nGID=5 </script>"


@pytest.fixture
def program() -> Program:
    return Program()


def well_formed(answer: Answer, wanted: str, status: int, function: str = "callback") -> None:
    """Check what holds for each answer."""
    assert answer.headers["Content-Type"] == TYPES[wanted]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in answer.headers["Cache-Control"]
    assert answer.http == (200 if wanted == "jsonp" else status)
    assert answer.reply.status == str(status)
    if wanted == "json":
        assert next(iter(json.loads(answer.body))) == "status"
    if wanted == "jsonp":
        assert (match := re.fullmatch(r"/\*\*/([\w.]+)\((.*)\);", answer.body, re.DOTALL))
        assert match[1] == function
        assert json.loads(match[2])["status"] == str(status)
        assert answer.body.isascii()
    if wanted == "xml":
        assert ElementTree.fromstring(answer.body).findtext("status") == str(status)
    if wanted == "php":
        assert answer.body.startswith("Array\n(\n")
    if wanted == "text":
        assert answer.body.startswith(f"Status={status}\nMessage=")


@pytest.mark.parametrize("wanted", FORMATS)
class TestEachFormat:
    def test_answers(self, program: Program, wanted: str) -> None:
        started = program.call(format=wanted.upper(), custom="abc-1")
        well_formed(started, wanted, 200)
        assert started.reply.rows[0].custom == "abc-1"
        for answer in (
            program.status(id=started.reply.group_id, format=wanted),
            program.group(groupid=started.reply.group_id, format=wanted),
        ):
            well_formed(answer, wanted, 200)
            assert [row.id for row in answer.reply.rows] == [row.id for row in started.reply.rows]

    @pytest.mark.parametrize("name", ["method", "numbers", "play", "campaign", "meta", "group", "custom", "callback"])
    def test_hostile_texts(self, program: Program, wanted: str, name: str) -> None:
        for text in (HOSTILE, HOSTILE * 9, "x" * 500_000):
            given = {
                "method": "voice.call",
                "numbers": "+442079460001",
                "message": "Hello",
                "format": wanted,
                name: text,
            }
            method = given.pop("method")
            answer = program.ask(method, **given)
            well_formed(answer, wanted, 400 if answer.reply.status == "400" else 200)
            # What is no number has a row of its own.
            assert len(answer.body) < (5_000 if name == "numbers" else 2_000)

    def test_hostile_names(self, program: Program, wanted: str) -> None:
        group = make_call_group(program.user, ["+442079460001"], campaign="<&>\"'", custom="")
        answer = program.group(groupid=group.pk, campaign="</campaign>", format=wanted)
        well_formed(answer, wanted, 404)

    def test_errors(self, program: Program, wanted: str) -> None:
        mute = Program(make_user("viewer"))
        well_formed(program.ask("nonsense", format=wanted), wanted, 400)
        well_formed(program.ask("voice.status", headers={"x-api-key": "x"}, id=1, format=wanted), wanted, 401)
        well_formed(mute.call(format=wanted), wanted, 403)
        well_formed(program.status(id=1, format=wanted), wanted, 404)
        well_formed(program.call(play="9.sound", format=wanted), wanted, 404)
        headers = {"Idempotency-Key": "x"}
        program.call(headers=headers, format=wanted)
        well_formed(program.call(headers=headers, format=wanted, campaign="x"), wanted, 409)

    def test_too_fast(self, wanted: str) -> None:
        program = Program(rate=1)
        program.status(id=1)
        answer = program.status(id=1, format=wanted)
        well_formed(answer, wanted, 429)
        assert 0 < int(answer.headers["Retry-After"]) <= 60

    @pytest.mark.filterwarnings("ignore")
    def test_database_is_away(self, program: Program, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def away(*_: object) -> None:
            raise OperationalError("password=secret")

        monkeypatch.setattr(endpoint, "authenticate", away)
        answer = program.call(format=wanted)
        well_formed(answer, wanted, 503)
        assert "secret" not in answer.body
        assert answer.headers["Retry-After"]


def test_an_unknown_format_is_answered_in_text(program: Program) -> None:
    answer = program.call(format="yaml")
    well_formed(answer, "text", 400)
    assert answer.message == 'format: "yaml" is not text, json, jsonp, xml or php'


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "alert(1)", "a-b", "1a", "a..b", "é", "x" * 101])
def test_names_that_are_no_function(program: Program, name: str) -> None:
    answer = program.call(format="jsonp", jsonp=name)
    well_formed(answer, "text", 400)
    assert answer.message.startswith("jsonp: ")
    well_formed(program.call(format="json", jsonp=name), "json", 400)


def test_the_function_is_called(program: Program) -> None:
    well_formed(program.call(format="jsonp", jsonp="shop.onCall"), "jsonp", 200, "shop.onCall")
