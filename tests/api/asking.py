"""What tests of the OBD API share: a program that has a key."""

from dataclasses import dataclass
from typing import Any

from django.test import Client

from calls.models import APIKey, User
from calls.obd.replies import Reply, parse
from tests.factories import make_user

ENDPOINT = "/api/v1/"


@dataclass
class Answer:
    """An answer: its HTTP status, its body and what it says."""

    http: int
    body: str
    headers: dict[str, str]

    @property
    def reply(self) -> Reply:
        return parse(self.body.encode(), self.headers["Content-Type"])

    @property
    def message(self) -> str:
        return self.reply.message


def answered(response: Any) -> Answer:
    return Answer(response.status_code, response.content.decode(), dict(response.items()))


class Program:
    """A program with an API key of a user."""

    def __init__(self, user: User | None = None, **columns: Any) -> None:
        self.user = user or make_user()
        self.row, self.key = APIKey.make(self.user, "shop", **({"rate": 100_000} | columns))
        self.client = Client()

    def ask(self, method: str, headers: Any = None, **parameters: object) -> Answer:
        """Ask by POST, the key in the header."""
        data = {"method": method, **parameters}
        headers = {"x-api-key": self.key, **(headers or {})}
        return answered(self.client.post(ENDPOINT, data, headers=headers))

    def call(self, headers: Any = None, **parameters: object) -> Answer:
        """`voice.call` with a message to a number for drama, unless said otherwise."""
        given: dict[str, object] = {"numbers": "+442079460001", "message": "Hello"}
        if "group" in parameters:
            del given["numbers"]
        return self.ask("voice.call", headers, **given | parameters)

    def status(self, **parameters: object) -> Answer:
        return self.ask("voice.status", **parameters)

    def group(self, **parameters: object) -> Answer:
        return self.ask("voice.groupstatus", **parameters)
