"""What the audit log keeps: who changed what, when, from where, before and after (DESIGN.md, rule 9).

django-auditlog writes an entry for each saved or deleted row of these models. Changes to many rows at once are
written with :func:`note`. :mod:`calls.history` reads the log.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any

from auditlog.context import auditlog_value, set_extra_data
from auditlog.models import LogEntry
from auditlog.registry import auditlog
from django.db.models import Model
from django.db.models.signals import post_save

from calls.models import (
    IVR,
    APIKey,
    CallGroup,
    CallingRule,
    Contact,
    ContactGroup,
    Sound,
    Suppression,
    SuppressionList,
    User,
)

COUNTS = ["total", "held", "open", "version", "ended_at"]

API_KEY = "api_key"
"""Where an entry's additional data name the API key that a change was made with: `{"id": 1, "name": "A…"}`."""

NEW_PASSWORD = "a new one was set"  # noqa: S105 - not a password
"""All that is said of one."""


def register() -> None:
    """Watch the models that people change."""
    _watch(User, without=["password", "last_login"], linked=["groups", "contact_groups", "sounds", "ivrs"])
    _watch(ContactGroup, without=["size"])
    _watch(SuppressionList, without=["size", "version"])
    for model in (Contact, Suppression, IVR):
        _watch(model)
    _watch(Sound, without=["peaks"])  # 400 figures that the checksum stands for
    _watch(CallGroup, without=[*COUNTS, "similarity"], linked=["contact_groups"])
    _watch(CallingRule)
    _watch(APIKey, without=["digest", "next_at", "last_used_at", "last_used_from"])
    post_save.connect(_note_password, sender=User)


def _watch(model: type[Model], without: Iterable[str] = (), linked: Iterable[str] = ()) -> None:
    """Log the rows of `model`: without these columns, with these many-to-many ones."""
    # auditlog would log `calls: calls.Call.None` for a new call group.
    backwards = [field.name for field in model._meta.get_fields() if field.auto_created and not field.concrete]
    auditlog.register(model, exclude_fields=[*without, *backwards], m2m_fields=set(linked))


def note(row: Model, **changes: Any) -> None:
    """Log a change of `row` that was made without saving it: each keyword with what happened, in words or figures."""
    _write(row, LogEntry.Action.UPDATE, changes)


def _note_password(instance: User, created: bool, **_: Any) -> None:
    """Log that a user got a new password, on whichever page, or by `manage.py changepassword`."""
    if getattr(instance, "_password", None) is not None and not created:  # set_password() leaves it until it is saved
        note(instance, password=NEW_PASSWORD)


def note_session(user: User, what: str) -> None:
    """Log that `user` signed in or out: `what` says which."""
    _write(user, LogEntry.Action.ACCESS, {"session": what}, actor=user)


def _write(row: Model, action: int, changes: dict[str, Any], **columns: Any) -> None:
    LogEntry.objects.log_create(
        row,
        action=action,
        changes={name: ["", str(value)] for name, value in changes.items()},
        force_log=True,
        **columns,
    )


def act_as(key: APIKey) -> None:
    """Log what the current request changes from now on as done with this API key, by its user."""
    # auditlog's set_actor() inside of its middleware would leave a signal receiver behind with each request.
    auditlog_value.get({}).update(_done_by(key.user, key))


def acting(user: User, key: APIKey | None, address: str) -> AbstractContextManager[None]:
    """Log what a worker changes inside as done by `user`, with this key if there is one, from `address`.

    Not in a request, whose own log entries would then be nobody's.
    """
    return set_extra_data({"remote_addr": address or None} | _done_by(user, key))  # type: ignore[no-any-return]


def address() -> str:
    """The address that the current request comes from; empty where there is none, as in a worker."""
    return str(auditlog_value.get({}).get("remote_addr") or "")


def _done_by(user: User, key: APIKey | None) -> dict[str, Any]:
    return {"actor": user} | ({"additional_data": {API_KEY: {"id": key.pk, "name": str(key)}}} if key else {})
