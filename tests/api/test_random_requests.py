"""Whatever comes, no request breaks the endpoint, and each answer reads in the format asked for."""

from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calls.models import User
from calls.obd.parameters import FORMATS, PARAMETERS
from tests.api.asking import ENDPOINT, Program, answered
from tests.factories import make_group, make_ivr, make_sound

NAMES = sorted({row.name for table in PARAMETERS.values() for row in table} | {"retry", "api_key", "x", ""})
ROWS = [row for table in PARAMETERS.values() for row in table]
HEADERS = ["x-api-key", "Authorization", "Idempotency-Key", "X-Forwarded-For", "X-Forwarded-Port", "X-Correlation-ID"]

texts = st.one_of(
    st.sampled_from(
        [row.example for row in ROWS] + ["1", "0", "1.sound", "1.ivr", "1-1", "1,2", "-1", "null", "{}", "%"]
    ),
    st.text(max_size=40),
    st.integers().map(str),
    st.text("0123456789-,.;+ ", max_size=60),
)
raw = st.binary(max_size=30).map(quote_from_bytes)
parameters = st.dictionaries(st.sampled_from(NAMES), texts, max_size=8)
headers = st.dictionaries(
    st.sampled_from(HEADERS), st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=300), max_size=3
)
relaxed = settings(max_examples=60, suppress_health_check=list(HealthCheck))


@pytest.fixture
def program() -> Program:
    return Program(rate=1_000_000)


@pytest.mark.django_db
class TestFuzz:
    @pytest.fixture(autouse=True)
    def rows(self, program: Program) -> None:
        self.program = program
        make_sound(1)
        make_ivr(1)
        make_group("Customers", 2)

    def check(self, response: Any, wanted: str = "") -> None:
        answer = answered(response)
        assert answer.http < 500, answer.body
        assert answer.reply.status.isdigit()
        assert answer.http in {200, int(answer.reply.status)}
        if wanted in {"json", "jsonp", "xml"} and answer.reply.status != "413":
            kind = "javascript" if wanted == "jsonp" else wanted
            assert kind in answer.headers["Content-Type"] or answer.message.startswith(("jsonp: ", "format: "))

    @relaxed
    @given(st.sampled_from([*PARAMETERS, "x"]), parameters, headers, st.sampled_from([*FORMATS, "yaml"]))
    def test_parameters_and_headers(
        self, method: str, given: dict[str, str], more: dict[str, str], wanted: str
    ) -> None:
        data = {"method": method, "format": wanted} | {k: v for k, v in given.items() if k not in {"format", "jsonp"}}
        sent = {"x-api-key": self.program.key} | more
        self.check(Client().post(ENDPOINT, data, headers=sent), wanted)
        self.check(Client().get(ENDPOINT, data, headers=sent), wanted)

    @relaxed
    @given(st.lists(st.tuples(st.sampled_from([*NAMES, "method", "format"]), raw), max_size=6))
    def test_raw_query_strings(self, pairs: list[tuple[str, str]]) -> None:
        query = "&".join(f"{name}={value}" for name, value in pairs)
        sent = {"x-api-key": self.program.key}
        self.check(Client().get(f"{ENDPOINT}?{query}", headers=sent))
        form = "application/x-www-form-urlencoded"
        self.check(Client().generic("POST", ENDPOINT, query, form, headers=sent))

    @relaxed
    @given(
        st.one_of(
            st.binary(max_size=300),
            st.binary(max_size=60).map(
                lambda value: b'--x\r\nContent-Disposition: form-data; name="method"\r\n\r\n' + value + b"\r\n--x--\r\n"
            ),
            st.binary(max_size=60).map(lambda value: b"--x\r\nContent-Disposition: " + value + b"\r\n\r\n1\r\n--x--"),
        ),
        st.sampled_from(["multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "text/xml", ""]),
        st.sampled_from(["POST", "PUT", "HEAD"]),
    )
    def test_raw_bodies(self, body: bytes, content_type: str, verb: str) -> None:
        sent = {"x-api-key": self.program.key}
        response = Client().generic(verb, f"{ENDPOINT}?format=json", body, content_type, headers=sent)
        if verb == "HEAD":
            assert response.status_code == 405
        else:
            self.check(response)


@pytest.mark.django_db
def test_a_made_up_key_never_works() -> None:
    assert User.objects.count() == 0
    assert answered(Client().post(ENDPOINT, {"method": "voice.call", "api_key": "A" + "0" * 40})).http == 401
