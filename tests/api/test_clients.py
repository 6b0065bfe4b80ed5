"""Plain clients, as integrators have them, against a live server."""

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import requests
from pytest_django.live_server_helper import LiveServer

from tests.api.asking import Program
from tests.factories import make_sound

pytestmark = pytest.mark.django_db(transaction=True)

CALL = {"method": "voice.call", "format": "json", "numbers": "8123456789", "play": "123.sound", "newgroup": "1"}
PHP = """
$request = curl_init($argv[1]);
curl_setopt_array($request, [
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_HTTPHEADER => ["x-api-key: " . $argv[2]],
    CURLOPT_POSTFIELDS => json_decode($argv[3], true),
]);
echo curl_exec($request);
"""


@pytest.fixture
def endpoint(live_server: LiveServer) -> str:
    return f"{live_server.url}/api/v1/"


@pytest.fixture
def key() -> str:
    make_sound(123)
    return Program().key


def run(*command: str) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def good(answer: dict[str, Any]) -> None:
    assert (answer["status"], answer["data"]["0"]["mobile"]) == ("200", "8123456789"), answer


class TestCurl:
    """Every machine that runs these tests has curl."""

    FORM = [part for name, value in CALL.items() for part in ("-d", f"{name}={value}")]

    def test_header(self, endpoint: str, key: str) -> None:
        good(run("curl", "-sS", endpoint, "-H", f"x-api-key: {key}", *self.FORM))

    def test_basic(self, endpoint: str, key: str) -> None:
        good(run("curl", "-sS", endpoint, "-u", f"{key}:", *self.FORM))
        good(run("curl", "-sS", endpoint, "-u", f"api:{key}", *self.FORM))

    def test_parameter(self, endpoint: str, key: str) -> None:
        good(run("curl", "-sS", endpoint, "-d", f"api_key={key}", *self.FORM))
        good(run("curl", "-sS", "-G", endpoint.rstrip("/"), "-d", f"api_key={key}", *self.FORM))

    def test_multipart(self, endpoint: str, key: str) -> None:
        form = ["-F" if part == "-d" else part for part in self.FORM]
        good(run("curl", "-sS", f"{endpoint}index.php", "-H", f"x-api-key: {key}", *form))

    def test_large_body(self, endpoint: str, key: str, tmp_path: Path) -> None:
        large = tmp_path / "large"
        large.write_bytes(b"x" * 2 * 1024 * 1024)
        answer = run("curl", "-sS", f"{endpoint}?format=json", "--data-binary", f"@{large}", "-H", "Expect:")
        assert answer["status"] == "413"

    def test_chunks(self, endpoint: str, key: str) -> None:
        done = subprocess.run(
            ["curl", "-sS", endpoint, "-u", f"{key}:", "-H", "Transfer-Encoding: chunked", *self.FORM],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stdout.startswith("Status=400\n")


class TestRequests:
    def test_post(self, endpoint: str, key: str) -> None:
        good(requests.post(endpoint, data=CALL, headers={"x-api-key": key}, timeout=30).json())
        good(requests.post(endpoint, data=CALL, auth=(key, ""), timeout=30).json())

    def test_get(self, endpoint: str, key: str) -> None:
        good(requests.get(endpoint, params=CALL | {"api_key": key}, timeout=30, allow_redirects=False).json())

    def test_large_body(self, endpoint: str, key: str) -> None:
        for content_type in ("application/x-www-form-urlencoded", "text/plain"):
            headers = {"x-api-key": key, "Content-Type": content_type}
            answer = requests.post(endpoint, data=b"x" * 2 * 1024 * 1024, headers=headers, timeout=30)
            assert answer.status_code == 413

    def test_basic_by_hand(self, endpoint: str, key: str) -> None:
        token = base64.b64encode(f"{key}:x".encode()).decode()
        good(requests.post(endpoint, data=CALL, headers={"Authorization": f"basic {token}"}, timeout=30).json())


def php() -> list[str]:
    """PHP with its curl extension, if this machine has it."""
    found = shutil.which("php")
    if found and "curl" in subprocess.run([found, "-m"], capture_output=True, text=True, check=False).stdout.split():
        return [found]
    return []


def test_php(endpoint: str, key: str) -> None:
    for interpreter in php():
        good(run(interpreter, "-r", PHP, endpoint, key, json.dumps(CALL)))
