"""The words of the audit log's pages: kinds of things, what is done to them, names and values of their fields."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from auditlog.models import LogEntry
from auditlog.registry import auditlog
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import FieldDoesNotExist
from django.db.models import BooleanField, CharField, DateTimeField, Field, JSONField, Model, TextField
from django.utils import timezone

from calls.audit import NEW_PASSWORD
from calls.models import APIKey, CallGroup, Contact, Export, Suppression, User
from calls.models.rules import WEEKDAYS
from calls.templatetags.portal import zone_of

CREATE, UPDATE, DELETE, ACCESS = (
    LogEntry.Action.CREATE, LogEntry.Action.UPDATE, LogEntry.Action.DELETE, LogEntry.Action.ACCESS,
)  # fmt: skip

KINDS = {"suppression": "Suppressed number", "accessattempt": "Lock after wrong passwords", "export": "Export"}
"""What a kind of things is called where that is not the model's own name."""

NOTED = ("accessattempt", "export")
"""Kinds whose rows are not watched: what is done with them is noted."""

THINGS = {"suppression": "suppressed number", "accessattempt": "lock after wrong passwords", "export": "the table"}
"""The same in a sentence, before the name of one."""

LABELS = {
    "api_key": "API key",
    "closed_days": "further days without calls",
    "created_by": "created by",
    "due_at": "handed over from",
    "file": "file",
    "groups": "role",
    "id": "ID",
    "is_active": "may sign in",
    "is_staff": "may open Django's admin",
    "is_superuser": "superuser",
    "override_at": "overridden at",
    "override_by": "overridden by",
    "override_reason": "reason for the override",
    "newgroup": "a call group of its own",
    "peak_dbfs": "peak (dBFS)",
    "play": "what is played",
    "prefix": "begins with",
    "rate": "requests a minute",
    "rms_dbfs": "loudness (dBFS)",
    "sha256": "checksum (SHA-256)",
    "state_at": "decided at",
    "state_by": "decided by",
    "state_reason": "reason",
    "waits": "who waits",
    "weekdays": "days with calls",
}
"""Plain names of fields where the model's own says less."""

SECRET = {"password", "digest"}
"""Never shown, even if the log had them."""

NOT_SAID = {CREATE: {"id", "created_at", "date_joined"}, DELETE: {"id"}, ACCESS: {"session"}}
"""Fields that say nothing new beside what was done."""

STEERED = {"paused": "paused", "running": "resumed", "cancelled": "cancelled"}

Changes = dict[str, Any]


def kinds() -> dict[str, str]:
    """The kinds of things that the log is about, by the name of their model, in the order of their labels."""
    labels = {
        model._meta.model_name or "": _label(model._meta.model_name or "", model) for model in auditlog.get_models()
    }
    labels |= {name: KINDS[name] for name in NOTED}
    return dict(sorted(labels.items(), key=lambda item: item[1].lower()))


def _label(name: str, model: type[Model] | None) -> str:
    text = KINDS.get(name) or (str(model._meta.verbose_name) if model else name)
    return text[:1].upper() + text[1:]


def kind_label(kind: ContentType) -> str:
    """The kind of a thing, as a heading has it."""
    return _label(kind.model, kind.model_class())


def thing_word(kind: ContentType) -> str:
    """The kind of a thing, as a sentence has it."""
    model = kind.model_class()
    return THINGS.get(kind.model) or (str(model._meta.verbose_name) if model else kind.model)


def deed(action: int, model: type[Model] | None, changes: Changes) -> str:
    """What was done, as one says it between who did it and the thing."""
    if action == ACCESS:
        return _after(changes, "session") or "looked at"
    if action == CREATE:
        return "started" if model is CallGroup else "added" if model in (Contact, Suppression) else "created"
    if action == DELETE:
        return "removed" if model is Suppression else "deleted"
    return next((word for is_it, word in _special(model, changes) if is_it), "changed")


def _special(model: type[Model] | None, changes: Changes) -> list[tuple[bool, str]]:
    state, active = _after(changes, "state"), _after(changes, "is_active")
    return [
        (model is CallGroup and state in STEERED, STEERED.get(state, "")),
        (model is CallGroup and "override_reason" in changes, "overrode the calling rules of"),
        (model is CallGroup and "settled" in changes, "settled unconfirmed calls of"),
        (model is CallGroup and "callbacks" in changes, "sent callbacks again of"),
        (model is User and "password" in changes, "set the password of"),
        (model is User and active == "False", "deactivated"),
        (model is User and active == "True", "activated"),
        (model is APIKey and "revoked_at" in changes, "revoked"),
        ("lock" in changes, "ended"),
        ("exported" in changes, "exported"),
        ("downloaded" in changes, "downloaded" if model is Export else "downloaded rows not imported into"),
    ]


def _after(changes: Changes, name: str) -> str:
    told = changes.get(name)
    return str(told[1]) if isinstance(told, list) and len(told) == 2 else ""


def is_said(name: str, action: int) -> bool:
    """Whether an entry with this action says this field."""
    return name not in NOT_SAID.get(action, ())


def field_label(model: type[Model] | None, name: str) -> str:
    """The plain name of a field, or of what else an entry says something of."""
    field = _field(model, name)
    return LABELS.get(name) or str(getattr(field, "verbose_name", name)).replace("_", " ")


def _field(model: type[Model] | None, name: str) -> "Field[Any, Any] | None":
    try:
        found = model._meta.get_field(name) if model else None
    except FieldDoesNotExist:
        return None
    return found if isinstance(found, Field) else None


def value(model: type[Model] | None, name: str, held: Any) -> str:
    """A value as the log holds it (a text) in plain words; empty for nothing. Times get the portal's zone."""
    text = "" if held is None else str(held)
    if name in SECRET and text not in ("", NEW_PASSWORD):
        return "" if text == "None" else "(not shown)"
    field = _field(model, name)
    if field is None:
        return text
    if text == "None" and (field.null or not isinstance(field, CharField | TextField)):
        return ""
    if field.choices:
        return str(dict(field.flatchoices).get(text, text))
    say = SAYERS_OF.get(name) or next((say for kind, say in SAYERS.items() if isinstance(field, kind)), str)
    return say(text)


def _moment(text: str) -> str:
    """The log holds times in UTC without saying so."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    local = timezone.localtime(at if at.tzinfo else at.replace(tzinfo=UTC))
    return f"{local.day} {local:%b %Y, %H:%M:%S} {zone_of(local)}"


def _json(text: str) -> str:
    try:
        held = json.loads(text)
    except ValueError:
        return text
    if isinstance(held, dict):
        return ", ".join(f"{name}: {_plain(each)}" for name, each in held.items())
    if isinstance(held, list):
        return ", ".join(map(_plain, held))
    return "" if held is None else _plain(held)


def _weekdays(text: str) -> str:
    """ "Monday, Tuesday" for `[0, 1]`."""
    try:
        return ", ".join(WEEKDAYS[day] for day in json.loads(text))
    except (ValueError, TypeError, IndexError):
        return text


def _plain(held: Any) -> str:
    return str(held) if isinstance(held, str) else json.dumps(held, ensure_ascii=False)


SAYERS: dict[type["Field[Any, Any]"], Callable[[str], str]] = {
    BooleanField: lambda text: {"True": "yes", "False": "no"}.get(text, text),
    DateTimeField: _moment,
    JSONField: _json,
}
"""How values of each kind of field are said."""

SAYERS_OF = {"weekdays": _weekdays}
"""The same of fields by their name."""
