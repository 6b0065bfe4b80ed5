"""The API page: everything an integrator needs, and programs that run as they stand."""

import base64
import hashlib
import hmac
import json
import re
import shutil
import subprocess
import sys
import time
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from calls.api import describe, examples
from calls.api.signing import headers_of, secret_of
from calls.models import APIKey, Call
from calls.obd.parameters import PARAMETERS
from tests.factories import client_for, make_sound, make_user

pytestmark = pytest.mark.django_db

ROLES = ("viewer", "operator", "admin")


def page(role: str = "operator", **headers: str) -> str:
    return client_for(make_user(role)).get(reverse("api_docs"), headers=headers).content.decode()


def code(text: str) -> dict[str, str]:
    """The code on the page, by ID."""
    found = re.findall(r'<pre id="([^"]+)"[^>]*><code>(.*?)</code></pre>', text, re.DOTALL)
    return {name: unescape(body) for name, body in found}


@pytest.mark.parametrize("role", ROLES)
def test_everybody_reads_every_parameter_with_its_rule(role: str) -> None:
    text = unescape(page(role))
    for rows in PARAMETERS.values():
        for row in rows:
            assert f"<code>{row.name}</code>" in text
            assert row.rule in text
            assert row.summary in text


def test_errors_formats_and_placeholders_are_listed() -> None:
    text = unescape(page())
    for status, words in describe.ERRORS.items():
        assert f">{status}</th>" in text
        assert words in text
    for name, words in describe.PLACEHOLDERS.items():
        assert f"{{{name}}}" in text
        assert words in text
    assert {f"format-{name}" for name in describe.FORMATS} <= code(text).keys()


def test_examples_have_the_address_that_the_reader_uses() -> None:
    programs = code(page(host="localhost"))
    for name in ("key-1", "key-2", "key-3", "program-curl", "program-Python", "program-PHP"):
        assert '"http://localhost/api/v1/"' in programs[name]
        assert examples.KEY in programs[name]


def test_ids_are_unique_and_links_lead_somewhere() -> None:
    text = page()
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len({*ids})
    assert {*re.findall(r'href="#([^"]+)"', text)} <= {*ids}


class TestProgramsRun:
    """As they stand on the page, with a key in place of the placeholder."""

    @pytest.fixture
    def programs(self, live_server: Any) -> dict[str, str]:
        user = make_user("operator")
        make_sound(123)
        key = APIKey.make(user, "Tests")[1]
        client = client_for(user)
        host = live_server.url.removeprefix("http://")
        shown = client.get("/api/", headers={"host": host}).content.decode()
        return {name: body.replace(examples.KEY, key) for name, body in code(shown).items()}

    @pytest.mark.parametrize("name", ["key-1", "key-2", "key-3"])
    def test_each_way_to_give_the_key(self, programs: dict[str, str], name: str) -> None:
        assert "Status=404" in run(["sh", "-c", programs[name]])
        with_wrong_key = re.sub("A[0-9a-f]{40}", "A" + "0" * 40, programs[name])
        assert "Status=401" in run(["sh", "-c", with_wrong_key])

    def test_curl(self, programs: dict[str, str]) -> None:
        assert '"groupid"' in run(["sh", "-c", programs["program-curl"]])
        assert Call.objects.count() == 2

    def test_python(self, programs: dict[str, str], tmp_path: Path) -> None:
        said = run_file([sys.executable], tmp_path / "program.py", programs["program-Python"])
        assert "{'QUEUED': '2'}" in said or "{'SCHEDULED': '2'}" in said
        assert Call.objects.count() == 2

    def test_php_where_it_is_installed(self, programs: dict[str, str], tmp_path: Path) -> None:
        php = shutil.which("php")
        if php is None:  # nothing to run it with; the shape is all that can be held
            assert programs["program-PHP"].startswith("<?php\n$request = curl_init(")
            return
        assert "-2 " in run_file([php], tmp_path / "program.php", programs["program-PHP"])
        assert Call.objects.count() == 2


def run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_file(command: list[str], path: Path, program: str) -> str:
    path.write_text(program)
    return run([*command, str(path)])


class TestSignature:
    TARGET = "/done?id=123456-1&status=COMPLETED"

    @pytest.fixture
    def secret(self) -> str:
        return secret_of(APIKey.make(make_user("operator"), "Tests")[0])

    def is_genuine(self, secret: str, headers: dict[str, str], target: str) -> bool:
        """As the programs on the page say: the one in Python, and where PHP is installed the same by that."""
        programs = code(page())
        names: dict[str, Any] = {}
        exec(programs["verify-Python"], names)
        verdict = bool(names["is_genuine"](secret, headers, target))
        if php := shutil.which("php"):
            server = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
            main = "$_SERVER = json_decode($argv[2], true) + $_SERVER; echo is_genuine($argv[1]) ? 'yes' : 'no';"
            program = programs["verify-PHP"].removeprefix("<?php") + main
            said = run([php, "-r", program, secret, json.dumps(server | {"REQUEST_URI": target})])
            assert said == ("yes" if verdict else "no")
        return verdict

    def test_the_documentation_has_the_same_program(self) -> None:
        documented = (Path(__file__).resolve().parents[2] / "docs/callbacks.md").read_text()
        assert f"```python\n{examples.VERIFY_PYTHON}```" in documented

    def test_the_program_on_the_page_takes_ours(self, secret: str) -> None:
        headers = headers_of(secret, "msg_1", int(time.time()), self.TARGET)
        assert self.is_genuine(secret, headers, self.TARGET)
        two = headers | {"webhook-signature": f"v1,old {headers['webhook-signature']}"}
        assert self.is_genuine(secret, two, self.TARGET)

    def test_and_nothing_else(self, secret: str) -> None:
        now = int(time.time())
        headers = headers_of(secret, "msg_1", now, self.TARGET)
        assert not self.is_genuine(secret, headers, self.TARGET + "0")
        assert not self.is_genuine(secret, headers | {"webhook-id": "msg_2"}, self.TARGET)
        assert not self.is_genuine(secret, headers | {"webhook-timestamp": str(now - 1)}, self.TARGET)
        assert not self.is_genuine(secret, headers_of(secret, "msg_1", now - 301, self.TARGET), self.TARGET)
        assert not self.is_genuine("whsec_" + base64.b64encode(b"another").decode(), headers, self.TARGET)

    def test_the_words_on_the_page_describe_it(self, secret: str) -> None:
        text = unescape(page())
        assert "{id}.{timestamp}.{request target}" in text
        headers = headers_of(secret, "msg_1", 1_700_000_000, self.TARGET)
        content = f"msg_1.1700000000.{self.TARGET}".encode()
        digest = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), content, hashlib.sha256).digest()
        assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
