"""Who may do and see what: users with their profile, and the rule that decides access (DESIGN.md, rule 7).

A user has one role (a Django group with permissions, made in :mod:`calls.access`) that says what they may *do*,
and a profile (the fields here) that says which contact groups, sounds, IVRs and calls they may *see and use*.
"""

from typing import TYPE_CHECKING, Any, Self

from django.contrib.auth.models import AbstractUser, AnonymousUser
from django.db import connection, models
from django.utils.functional import cached_property

if TYPE_CHECKING:
    from calls.models.contacts import ContactGroup
    from calls.models.media import IVR, Sound

SEE_EVERYTHING = "calls.see_everything"

HELD_SQL = """
    ARRAY(
        SELECT t.app_label || '.' || p.codename FROM auth_permission AS p
        JOIN django_content_type AS t ON t.id = p.content_type_id
        WHERE p.id IN (
            SELECT permission_id FROM calls_user_user_permissions WHERE user_id = calls_user.id
            UNION ALL
            SELECT gp.permission_id FROM auth_group_permissions AS gp
            JOIN calls_user_groups AS ug ON ug.group_id = gp.group_id WHERE ug.user_id = calls_user.id
        )
    )
"""
"""The permissions of a user, their own and those of their role: an expression on `calls_user`."""


class User(AbstractUser):
    """A person who signs in; the profile fields say what of the account is enabled for them."""

    may_start_calls = models.BooleanField("may start calls", default=True)
    sees_all_calls = models.BooleanField(
        "sees calls that others started", default=True, help_text="Otherwise only calls that this user started."
    )
    uses_all_contact_groups = models.BooleanField("all contact groups", default=True)
    uses_all_sounds = models.BooleanField("all sounds", default=True)
    uses_all_ivrs = models.BooleanField("all IVRs", default=True)
    contact_groups: "models.ManyToManyField[ContactGroup, Any]" = models.ManyToManyField(
        "ContactGroup", blank=True, related_name="users", verbose_name="chosen contact groups"
    )
    sounds: "models.ManyToManyField[Sound, Any]" = models.ManyToManyField(
        "Sound", blank=True, related_name="users", verbose_name="chosen sounds"
    )
    ivrs: "models.ManyToManyField[IVR, Any]" = models.ManyToManyField(
        "IVR", blank=True, related_name="users", verbose_name="chosen IVRs"
    )

    class Meta(AbstractUser.Meta):
        permissions = [("see_everything", "Can see and use everything, whatever the profile says")]

    @cached_property
    def held_permissions(self) -> frozenset[str]:
        """What the role and Django's admin give, such as `calls.add_callgroup`, looked up once."""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {HELD_SQL} FROM calls_user WHERE id = %s", [self.pk])
            return frozenset(name for (names,) in cursor for name in names)

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        """As Django's own, in one query instead of two: nothing here has permissions for single objects."""
        return self.is_active and (self.is_superuser or (obj is None and perm in self.held_permissions))

    @property
    def sees_everything(self) -> bool:
        """True for admins: their profile does not limit them."""
        return self.has_perm(SEE_EVERYTHING)

    @property
    def can_start_calls(self) -> bool:
        """True if both the role and the profile let this user start calls."""
        return self.has_perm("calls.add_callgroup") and (self.may_start_calls or self.sees_everything)

    @property
    def role(self) -> str:
        """The name of the role: admin, operator or viewer; empty if none was given."""
        if self.is_superuser:
            return "admin"
        group = self.groups.order_by("pk").first()
        return group.name if group else ""


class EnabledQuerySet(models.QuerySet[Any]):
    """Rows that a profile enables: all of them, or chosen ones.

    Subclasses name the two profile fields: a flag for "all" and the many-to-many of chosen ones.
    """

    all_flag: str
    chosen: str

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """The rows that `user` may see, which are those that they may use."""
        if not isinstance(user, User) or not user.is_active:
            return self.none()
        if self.all_visible_to(user):
            return self
        return self.filter(pk__in=getattr(user, self.chosen).values("pk"))

    def all_visible_to(self, user: User) -> bool:
        """Whether there is nothing that this active user may not see."""
        return getattr(user, self.all_flag) or user.sees_everything
