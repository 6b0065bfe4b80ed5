"""The three roles, as Django groups with permissions; what a user may *see* is decided by the profile instead
(:mod:`calls.models.access`)."""

from typing import Any

from django.contrib.auth.models import Group, Permission

ADMIN, OPERATOR, VIEWER = "admin", "operator", "viewer"

VIEWS = (
    "view_callgroup",
    "view_call",
    "view_contactgroup",
    "view_contact",
    "view_suppression",
    "view_sound",
    "view_ivr",
)
STEERS = (
    "add_callgroup",
    "change_callgroup",
    "add_contact",
    "change_contact",
    "delete_contact",
    "add_suppression",
)

ROLES: dict[str, tuple[str, ...] | None] = {ADMIN: None, OPERATOR: VIEWS + STEERS, VIEWER: VIEWS}
"""Permissions of the app `calls` per role; None: all of them."""


def make_roles(**_: Any) -> None:
    """Create the roles and set their permissions; runs after each migration (signal `post_migrate`)."""
    ours = Permission.objects.filter(content_type__app_label="calls")
    for name, codenames in ROLES.items():
        group, _created = Group.objects.get_or_create(name=name)
        group.permissions.set(ours if codenames is None else ours.filter(codename__in=codenames))
