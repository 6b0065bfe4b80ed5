"""What the audit log keeps: who changed what, when, from where, before and after (DESIGN.md, rule 9).

django-auditlog writes an entry for each saved or deleted row of these models. Changes to many rows at once are
written with :func:`note`.
"""

from typing import Any

from auditlog.context import auditlog_value
from auditlog.models import LogEntry
from auditlog.registry import auditlog
from django.db.models import Model

from calls.models import IVR, APIKey, CallGroup, Contact, ContactGroup, Sound, Suppression, User

COUNTS = ["total", "held", "open", "version", "ended_at"]


def register() -> None:
    """Watch the models that people change."""
    chosen = {"groups", "contact_groups", "sounds", "ivrs"}
    auditlog.register(User, exclude_fields=["password", "last_login"], m2m_fields=chosen)
    auditlog.register(ContactGroup, exclude_fields=["size"])
    for model in (Contact, Suppression, IVR):
        auditlog.register(model)
    auditlog.register(Sound, exclude_fields=["peaks"])  # 400 figures that the checksum stands for
    auditlog.register(CallGroup, exclude_fields=COUNTS)
    auditlog.register(APIKey, exclude_fields=["digest", "next_at", "last_used_at", "last_used_from"])


def note(row: Model, **changes: Any) -> None:
    """Log a change of `row` that was made without saving it: each keyword with what happened, in words or figures."""
    LogEntry.objects.log_create(
        row,
        action=LogEntry.Action.UPDATE,
        changes={name: ["", str(value)] for name, value in changes.items()},
        force_log=True,
    )


def act_as(user: User) -> None:
    """Log what the current request changes from now on as done by `user`, whose API key it came with."""
    # auditlog's set_actor() inside of its middleware would leave a signal receiver behind with each request.
    auditlog_value.get({})["actor"] = user
