"""The three roles, as Django groups with permissions; what a user may *see* is decided by the profile instead
(:mod:`calls.models.access`)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from auditlog.context import disable_auditlog
from django.contrib.auth.models import Group, Permission
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils.crypto import get_random_string

from calls.models import CallingRule, ListCategory, ListRole, SuppressionList, Traffic, User

ADMIN, OPERATOR, VIEWER = "admin", "operator", "viewer"

VIEWS = (
    "view_callgroup",
    "view_call",
    "view_contactgroup",
    "view_contact",
    "view_suppression",
    "view_suppressionlist",
    "view_callingrule",
    "view_sound",
    "view_ivr",
    "view_apikey",
    "change_apikey",
)
STEERS = (
    "add_callgroup",
    "change_callgroup",
    "add_contact",
    "change_contact",
    "delete_contact",
    "add_suppression",
    "add_apikey",
)

ROLES: dict[str, tuple[str, ...] | None] = {ADMIN: None, OPERATOR: VIEWS + STEERS, VIEWER: VIEWS}
"""Permissions of the app `calls` per role; None: all of them. Viewers have keys if an admin made one for them."""


OWN_LISTS = (
    (ListRole.MANUAL, "Do not call", ListCategory.ASKED),
    (ListRole.OPT_OUT, "Opted out by key press", ListCategory.OPT_OUT),
    (ListRole.CARRIER, "DND at the carrier", ListCategory.REGISTER),
)


def make_roles(**_: Any) -> None:
    """Create the roles and set their permissions; runs after each migration (signal `post_migrate`)."""
    ours = Permission.objects.filter(content_type__app_label="calls")
    for name, codenames in ROLES.items():
        group, _created = Group.objects.get_or_create(name=name)
        group.permissions.set(ours if codenames is None else ours.filter(codename__in=codenames))


def make_rows(**_: Any) -> None:
    """Create what there is one of each: the rules of each traffic type, the portal's own suppression lists.

    Runs after each migration, as :func:`make_roles` does.
    """
    with disable_auditlog():  # nobody changed anything
        for traffic in Traffic:
            CallingRule.objects.get_or_create(traffic=traffic)
        for role, name, category in OWN_LISTS:
            SuppressionList.objects.get_or_create(role=role, defaults={"name": name, "category": category})


READABLE = "abcdefghjkmnpqrstuvwxyzACDEFGHJKLMNPQRTUVWXY34679"
"""Letters and digits of which none looks like another: passwords are read out and typed."""


class NoAdminLeftError(Exception):
    """The change would leave nobody who can manage users."""


def random_password() -> str:
    """A password that nobody guesses: about 90 bits."""
    return get_random_string(16, READABLE)


def admins() -> "QuerySet[User]":
    """The users with the role admin who can sign in."""
    return User.objects.filter(Q(is_superuser=True) | Q(groups__name=ADMIN), is_active=True)


def give_role(user: User, role: str) -> None:
    """Save `user` with that role as the only one. Raises NoAdminLeftError if nobody would be admin any more.

    Django's own admin is open to admins only. It takes effect with the user's next request.
    """
    user.is_staff = role == ADMIN
    user.is_superuser = user.is_superuser and role == ADMIN
    with _admin_left():
        user.save()
        user.groups.set([Group.objects.get(name=role)])


def set_active(user: User, active: bool) -> None:
    """Let `user` sign in, or sign them out for good. Raises NoAdminLeftError if nobody would be admin any more."""
    user.is_active = active
    with _admin_left():
        user.save(update_fields=["is_active"])


@contextmanager
def _admin_left() -> Iterator[None]:
    """A transaction that is undone if it leaves no admin: two admins may deactivate each other at the same moment."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('admins'))")
        yield
        if not admins().exists():
            raise NoAdminLeftError
