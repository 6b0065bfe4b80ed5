"""What tests of the audit log share."""

import re
from html import unescape
from typing import Any

from auditlog.models import LogEntry
from django.test import Client

from calls.history import Entry, read
from calls.models import User
from tests.factories import client_for

ADDRESS = "192.0.2.7"
"""From where people in these tests work; an address for documentation."""


def browser_of(user: User) -> Client:
    """A browser in which `user` is signed in, at ADDRESS."""
    client = client_for(user)
    client.defaults["REMOTE_ADDR"] = ADDRESS
    return client


def entries() -> list[Entry]:
    """All entries in plain words, oldest first."""
    return read(list(LogEntry.objects.select_related("actor").order_by("id")))


def forget() -> None:
    """Empty the log: what made the rows of a test is not what it is about."""
    LogEntry.objects.all().delete()


def text_of(answer: Any) -> str:
    """What a page says, without its markup."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.content.decode())).split())


def said(entry: Entry) -> str:
    """An entry on one line: who did what to which thing, and each field."""
    changes = "; ".join(f"{change.field}: {change.before} -> {change.after}" for change in entry.changes)
    key = f" ({entry.key})" if entry.key else ""
    return f"{entry.person}{key} {entry.did} {entry.thing_word} {entry.thing} | {changes}"
