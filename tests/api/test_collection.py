"""The specification's collection, each request made as it is defined there, with only its variables set."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import requests
from pytest_django.live_server_helper import LiveServer

from calls.obd.replies import parse
from calls.obd.statuses import from_word
from tests.api.asking import Program
from tests.factories import make_sound

SPECIFICATION = Path(__file__).with_name("obd-api.postman_collection.json")
COLLECTION: dict[str, Any] = json.loads(SPECIFICATION.read_text())
REQUESTS = [(item["name"], "", item["request"]) for item in COLLECTION["item"]]
SAMPLES = [(item["name"], each["name"], each) for item in COLLECTION["item"] for each in item["response"]]


def filled(text: str, variables: dict[str, str]) -> str:
    return re.sub(r"\{\{([^}]+)\}\}", lambda match: variables[match[1]], text)


def send(request: dict[str, Any], variables: dict[str, str]) -> requests.Response:
    """Make a request of the collection, as Postman does."""
    fields = [field for field in request["body"]["formdata"] if not field.get("disabled")]
    return requests.request(
        request["method"],
        filled(request["url"], variables),
        headers={header["key"]: filled(header["value"], variables) for header in request["header"]},
        files=[(field["key"], (None, filled(field["value"], variables))) for field in fields],
        allow_redirects=False,
        timeout=30,
    )


@pytest.mark.django_db(transaction=True)
def test_each_request_of_the_collection(live_server: LiveServer) -> None:
    make_sound(123)
    variables = {
        "base_url": f"{live_server.url}/api",
        "version": "v1",
        "api_key": Program().key,
        "voice.call": "voice.call",
        "phone_number": "8123456789",
        "soundfile": "123.sound",
    }
    for name, _, request in REQUESTS:
        response = send(request, variables)
        reply = parse(response.content, response.headers["Content-Type"])
        assert (response.status_code, reply.status, reply.message) == (200, "200", "OK"), name
        assert [row.mobile for row in reply.rows] == ["8123456789"], name
        assert from_word(reply.rows[0].status), name
        variables["id"] = reply.rows[0].id
    assert re.fullmatch(r"[0-9]+-1", variables["id"])


@pytest.mark.parametrize(("item", "name", "sample"), SAMPLES)
def test_samples_of_the_collection_can_be_read(item: str, name: str, sample: dict[str, Any]) -> None:
    reply = parse(sample["body"].encode())
    assert (reply.status, reply.message) == ("200", "OK")
    assert [row.id for row in reply.rows] == ([] if item == "Start OBD Call" else ["123456-1"]), name
