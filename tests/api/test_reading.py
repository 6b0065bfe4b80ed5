"""How requests come: methods, bodies and their encodings; and that errors come in the format asked for."""

from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from calls.models import CallGroup
from tests.api.asking import ENDPOINT, Answer, Program, answered

pytestmark = pytest.mark.django_db

FORM = "application/x-www-form-urlencoded"
CALL = {"method": "voice.call", "numbers": "+442079460001", "message": "Hello", "format": "json"}


@pytest.fixture
def program() -> Program:
    return Program()


def post(program: Program, body: bytes | str, content_type: str = FORM, query: str = "", **extra: Any) -> Answer:
    data = body.encode() if isinstance(body, str) else body
    response = program.client.generic(
        "POST", ENDPOINT + query, data, content_type, headers={"x-api-key": program.key}, **extra
    )
    return answered(response)


class TestGood:
    def test_query_string(self, program: Program) -> None:
        assert answered(Client().get(ENDPOINT, CALL | {"api_key": program.key})).http == 200

    def test_form(self, program: Program) -> None:
        assert post(program, urlencode(CALL)).http == 200

    def test_form_that_says_its_charset(self, program: Program) -> None:
        assert post(program, urlencode(CALL), f"{FORM}; charset=UTF-8").http == 200

    def test_multipart(self, program: Program) -> None:
        assert (
            program.ask(CALL["method"], **{name: value for name, value in CALL.items() if name != "method"}).http == 200
        )

    def test_query_string_and_body_together(self, program: Program) -> None:
        assert post(program, urlencode(CALL), query=f"?method=voice.call&api_key={program.key}").http == 200

    def test_post_without_body(self, program: Program) -> None:
        assert post(program, b"", "", query=f"?{urlencode(CALL)}").http == 200

    @pytest.mark.parametrize("path", ["/api/v1", "/api/v1/", "/api/v1/index.php"])
    def test_paths_without_a_redirect(self, program: Program, path: str) -> None:
        for ask in (Client().get, Client().post):
            assert ask(path, CALL | {"api_key": program.key}).status_code == 200

    @pytest.mark.parametrize("method", ["VOICE.CALL", " Voice.Call "])
    def test_method_without_case(self, program: Program, method: str) -> None:
        assert post(program, urlencode(CALL | {"method": method})).http == 200

    def test_unknown_parameters_are_ignored(self, program: Program) -> None:
        assert post(program, urlencode(CALL) + "&x=1&x=2&y[]=%00&%ff=%ff&%00=1&FORMAT=yaml").http == 200

    def test_the_same_twice(self, program: Program) -> None:
        assert post(program, urlencode(CALL) + "&format=json").http == 200

    def test_retry_is_retries(self, program: Program) -> None:
        assert program.call(retry=2).http == 200
        assert CallGroup.objects.get().retries == 2
        assert program.call(retry=2, retries=1).http == 400


class TestBad:
    def bad(self, answer: Answer, http: int, *words: str) -> None:
        assert answer.http == http, answer.body
        assert answer.headers["Content-Type"].startswith("application/json"), answer.body
        assert all(word in answer.message for word in words), answer.message
        assert not CallGroup.objects.exists()

    @pytest.mark.parametrize("method", ["", "voice", "voice.call2", "voice.call\r\n", "<script>", "x" * 9999])
    def test_unknown_method(self, program: Program, method: str) -> None:
        if method.strip() != "voice.call":
            self.bad(post(program, urlencode(CALL | {"method": method})), 400, "method", "voice.groupstatus")

    @pytest.mark.parametrize(
        "content_type", ["application/json", "text/plain", "x", "", "application/xml; charset=\xff"]
    )
    def test_wrong_content_type(self, program: Program, content_type: str) -> None:
        answer = post(program, b'{"method": "voice.call"}', content_type, "?format=json")
        self.bad(answer, 400, "Content-Type")

    @pytest.mark.parametrize("charset", ["latin-1", "utf-16", "idna", "nonsense", "utf-7"])
    def test_other_charsets(self, program: Program, charset: str) -> None:
        for kind in (FORM, "multipart/form-data; boundary=x"):
            answer = post(program, urlencode(CALL), f"{kind}; charset={charset}", "?format=json")
            self.bad(answer, 400, "charset")

    @pytest.mark.parametrize(
        ("content_type", "body"),
        [
            ("multipart/form-data", b"x"),
            ("multipart/form-data; boundary=" + "x" * 500, b"x"),
            ("multipart/form-data; boundary=x y\xff", b"--x"),
            (
                "multipart/form-data; boundary=x",
                b"--x\r\nContent-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64\r\n\r\n!\r\n--x--",
            ),
        ],
    )
    def test_broken_multipart(self, program: Program, content_type: str, body: bytes) -> None:
        answer = post(program, body, content_type, "?format=json")
        assert answer.http == 400
        assert answer.headers["Content-Type"].startswith("application/json")

    def test_cut_off_multipart(self, program: Program) -> None:
        answer = post(program, b'--x\r\nContent-Disposition: form-data; name="met', "multipart/form-data; boundary=x")
        assert answer.http == 400

    @pytest.mark.parametrize("kind", [FORM, "multipart/form-data; boundary=x", "text/plain"])
    @pytest.mark.parametrize("size", [1024 * 1024 + 1, 2 * 1024 * 1024])
    def test_large_body(self, program: Program, kind: str, size: int) -> None:
        self.bad(post(program, b"x" * size, kind, "?format=json"), 413, "1,048,576")

    def test_body_of_a_mebibyte(self, program: Program) -> None:
        body = urlencode(CALL) + "&x="
        assert post(program, body + "x" * (1024 * 1024 - len(body))).http == 200

    @pytest.mark.parametrize("length", ["x", "-1", "1e3", " "])
    def test_odd_lengths(self, program: Program, length: str) -> None:
        assert post(program, urlencode(CALL), query="?format=json", CONTENT_LENGTH=length).http == 400

    def test_chunks(self, program: Program) -> None:
        answer = post(program, b"", query="?format=json", HTTP_TRANSFER_ENCODING="chunked")
        self.bad(answer, 400, "Content-Length")

    def test_too_many_parameters(self, program: Program) -> None:
        many = "&".join(f"x{i}=1" for i in range(2000))
        self.bad(post(program, many, query="?format=json"), 400, "body")
        assert post(program, b"", query=f"?{many}").http == 400

    @pytest.mark.parametrize(("text", "words"), [("%00", "NUL"), ("%ff", "UTF-8"), ("%ed%a0%80", "UTF-8")])
    @pytest.mark.parametrize("name", ["campaign", "message", "numbers", "api_key", "method"])
    def test_nul_and_invalid_utf8(self, program: Program, name: str, text: str, words: str) -> None:
        rest = urlencode({key: value for key, value in CALL.items() if key != name})
        self.bad(post(program, f"{name}=a{text}b&{rest}"), 400, name, words)
        self.bad(post(program, rest, query=f"?{name}=a{text}b"), 400, name, words)

    def test_duplicates(self, program: Program) -> None:
        self.bad(post(program, urlencode(CALL) + "&message=Bye"), 400, "message", "twice")
        self.bad(post(program, urlencode(CALL), query="?numbers=%2B442079460002"), 400, "numbers", "twice")

    def test_different_formats_are_answered_in_text_or_one_of_them(self, program: Program) -> None:
        assert post(program, urlencode(CALL) + "&format=xml").http == 400


class TestOtherMethods:
    @pytest.mark.parametrize("method", ["HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
    def test_are_refused_and_start_nothing(self, program: Program, method: str) -> None:
        query = urlencode(CALL | {"api_key": program.key})
        answer = answered(program.client.generic(method, f"{ENDPOINT}?{query}"))
        assert (answer.http, answer.headers["Allow"]) == (405, "GET, POST")
        assert answer.headers["Content-Type"].startswith("application/json")
        assert not CallGroup.objects.exists()
        if method != "HEAD":
            assert answer.message.startswith(f"{method}: ")


@pytest.mark.parametrize("header", ["X-Correlation-ID", "X-Forwarded-Port", "X-Forwarded-For", "User-Agent", "Cookie"])
@pytest.mark.parametrize("value", ["x" * 5000, "99999999999999", "-1", "\xff", "a=b; obdportal_session=x"])
def test_no_header_breaks_it(program: Program, header: str, value: str) -> None:
    assert program.call(headers={header: value}).http == 200
