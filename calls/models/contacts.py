"""Contact groups and their contacts; suppression lists and the numbers on them."""

from datetime import date, datetime, timedelta
from datetime import timezone as tzoffset
from typing import Self

import pgtrigger
from django.conf import settings
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Reverse
from django.utils import timezone

from calls.models.access import EnabledQuerySet
from calls.models.rules import Traffic

SIZE_SQL = """
    UPDATE calls_contactgroup AS g SET size = g.size {sign} c.calls
    FROM (SELECT group_id, count(*) AS calls FROM {rows} GROUP BY group_id) AS c
    WHERE g.id = c.group_id;
    RETURN NULL;
"""


class ContactGroupQuerySet(EnabledQuerySet):
    """Contact groups for a user."""

    all_flag = "uses_all_contact_groups"
    chosen = "contact_groups"


def validate_group_name(name: str) -> None:
    """Refuse names that the API's `group` parameter could not tell from IDs (OBD-API.md, voice.call)."""
    if name.isdigit():
        raise ValidationError("“%(name)s” is all digits: it would be read as a group ID.", params={"name": name})
    if "," in name:
        raise ValidationError("“%(name)s” has a comma: commas separate groups.", params={"name": name})


class ContactGroup(models.Model):
    """A named list of contacts; or, with `carrier_group`, a reference to a list that the carrier holds."""

    name = models.CharField(max_length=100, unique=True, validators=[validate_group_name])
    carrier_group = models.CharField(
        "group held by the carrier",
        max_length=64,
        blank=True,
        help_text="The carrier's ID or name of the group. The carrier then picks the numbers.",
    )
    size = models.PositiveBigIntegerField(default=0, editable=False, help_text="Kept by a database trigger.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ContactGroupQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def held_by_carrier(self) -> bool:
        """Whether the carrier holds the numbers, so that the portal does not know them."""
        return bool(self.carrier_group)


def contact_words() -> models.Func:
    """The words of a contact's name, and its group as one more: no name has a word that begins with `=`.

    So one index finds the contacts of one group; those of others, perhaps millions with the same words, are not read.
    """
    group = models.Func(
        models.F("group"),
        template="array_to_tsvector(ARRAY['=' || (%(expressions)s)::text])",
        output_field=SearchVectorField(),
    )
    name = SearchVector("name", config="simple")
    # The options in the order of the alphabet, as the migration has them: otherwise Django takes it for another index.
    return models.Func(name, group, arg_joiner=" || ", output_field=SearchVectorField(), template="(%(expressions)s)")


class Contact(models.Model):
    """One phone number (E.164) in a contact group."""

    group = models.ForeignKey(ContactGroup, models.CASCADE, related_name="contacts", db_index=False)
    number = models.CharField(max_length=16)
    name = models.CharField(max_length=100, blank=True)
    custom = models.CharField(
        "custom reference",
        max_length=64,
        blank=True,
        default="",  # besides the database's own, which a form of a new contact would show
        db_default="",
        help_text="Goes with each call to this contact.",
    )
    extra = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["group", "number"], name="contact_once_per_group")]
        indexes = [
            models.Index(fields=["group", "id"], name="contact_page"),
            models.Index("group", OpClass("number", "varchar_pattern_ops"), name="contact_first_digits"),
            models.Index("group", OpClass(Reverse("number"), "text_pattern_ops"), name="contact_last_digits"),
            GinIndex(contact_words(), name="contact_words"),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="contact_size_insert",
                level=pgtrigger.Statement,
                when=pgtrigger.After,
                operation=pgtrigger.Insert,
                referencing=pgtrigger.Referencing(new="new_rows"),
                func=SIZE_SQL.format(sign="+", rows="new_rows"),
            ),
            pgtrigger.Trigger(
                name="contact_size_delete",
                level=pgtrigger.Statement,
                when=pgtrigger.After,
                operation=pgtrigger.Delete,
                referencing=pgtrigger.Referencing(old="old_rows"),
                func=SIZE_SQL.format(sign="-", rows="old_rows"),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.number}".strip()


class ListRole(models.TextChoices):
    """What the portal itself puts numbers on a list for; there is one list of each role."""

    MANUAL = "manual", "Numbers added by hand"
    OPT_OUT = "opt_out", "Opted out by key press"
    CARRIER = "carrier", "Reported as DND by the carrier"


class ListCategory(models.TextChoices):
    """Why the numbers of a list must not be called."""

    ASKED = "asked", "Asked not to be called"
    OPT_OUT = "opt_out", "Opted out by key press"
    REGISTER = "register", "Register of preferences (DND, NCPR, DNC)"
    LEGAL = "legal", "Legal reasons"
    OTHER = "other", "Other"


LAST_ZONE = tzoffset(timedelta(hours=-12))
"""Where each day ends last: of the clocks on earth none is further behind."""


def day_not_over(at: datetime) -> date:
    """The earliest day that it still is anywhere on earth at `at` (aware)."""
    return at.astimezone(LAST_ZONE).date()


class SuppressionListQuerySet(models.QuerySet["SuppressionList"]):
    """Suppression lists as far as they apply."""

    def applying(self, traffic: str, at: datetime) -> Self:
        """The lists that keep calls of this traffic type away at `at` (aware): on their last day, wherever it still is.

        So no clock of a called person matters, nor the portal's.
        """
        lists = self.filter(models.Q(ends_on=None) | models.Q(ends_on__gte=day_not_over(at)))
        return lists if traffic == Traffic.PROMOTIONAL else lists.filter(promotional_only=False)


class SuppressionList(models.Model):
    """A list of numbers that must not be called: where it comes from, how old it is, and for how long it applies."""

    name = models.CharField(max_length=100, unique=True)
    role = models.CharField(max_length=10, choices=ListRole, blank=True, editable=False)
    category = models.CharField(max_length=10, choices=ListCategory, default=ListCategory.OTHER)
    source = models.CharField(max_length=200, blank=True, help_text="Who gave it: a register, a client, a department.")
    scrubbed_on = models.DateField(
        "scrub date", null=True, blank=True, help_text="When it was last compared with its source."
    )
    ends_on = models.DateField(
        "applies until",
        null=True,
        blank=True,
        help_text="The last day on which it keeps calls away; empty: for good. Once that day is over everywhere on "
        "earth, its numbers are called again.",
    )
    promotional_only = models.BooleanField(
        "only for promotional calls",
        default=False,
        help_text="For registers that let transactional and service calls through.",
    )
    size = models.PositiveBigIntegerField(default=0, editable=False, help_text="Kept by a database trigger.")
    version = models.PositiveBigIntegerField(
        default=0, editable=False, help_text="Grows with each change of its numbers; kept by a database trigger."
    )
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = SuppressionListQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["role"], condition=~models.Q(role=""), name="suppression_list_of_role"),
            models.CheckConstraint(
                condition=models.Q(promotional_only=False) | models.Q(role__in=["", "manual"]),
                name="suppression_list_keeps_all_away",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def ended(self) -> bool:
        """Whether its last day is over, everywhere on earth."""
        return self.ends_on is not None and self.ends_on < day_not_over(timezone.now())

    @property
    def scrub_age(self) -> int | None:
        """Days since it was last compared with its source; None if nobody said when that was."""
        return (timezone.localdate() - self.scrubbed_on).days if self.scrubbed_on else None

    @property
    def takes_imports(self) -> bool:
        """Whether people put numbers on it. The portal's own hands write the others, and must never wait for that."""
        return self.role in ("", ListRole.MANUAL)


def manual_list() -> int:
    """The ID of the list that numbers are put on by hand."""
    return SuppressionList.objects.values_list("pk", flat=True).get(role=ListRole.MANUAL)


VERSION_SQL = """
    UPDATE calls_suppressionlist AS l SET size = l.size {sign} c.numbers, version = l.version + 1
    FROM (SELECT list_id, count(*) AS numbers FROM {rows} GROUP BY list_id) AS c
    WHERE l.id = c.list_id;
    RETURN NULL;
"""


class Suppression(models.Model):
    """A number on a suppression list, with why, where that came from, who added it and when."""

    list = models.ForeignKey(
        SuppressionList, models.CASCADE, related_name="suppressions", db_index=False, default=manual_list
    )
    number = models.CharField(max_length=16)
    reason = models.CharField(max_length=200, help_text="Why this number must not be called.")
    source = models.CharField(max_length=100, blank=True, help_text="Where that came from: a call, a letter, a list.")
    added_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, editable=False)
    added_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        # The number first: this index answers "which lists have it?" for every call.
        constraints = [models.UniqueConstraint(fields=["number", "list"], name="suppression_once_per_list")]
        indexes = [
            models.Index(fields=["list", "id"], name="suppression_page"),
            models.Index(OpClass("number", "varchar_pattern_ops"), name="suppression_first_digits"),
            models.Index(OpClass(Reverse("number"), "text_pattern_ops"), name="suppression_last_digits"),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="suppression_version_insert",
                level=pgtrigger.Statement,
                when=pgtrigger.After,
                operation=pgtrigger.Insert,
                referencing=pgtrigger.Referencing(new="new_rows"),
                func=VERSION_SQL.format(sign="+", rows="new_rows"),
            ),
            pgtrigger.Trigger(
                name="suppression_version_delete",
                level=pgtrigger.Statement,
                when=pgtrigger.After,
                operation=pgtrigger.Delete,
                referencing=pgtrigger.Referencing(old="old_rows"),
                func=VERSION_SQL.format(sign="-", rows="old_rows"),
            ),
            pgtrigger.Trigger(
                name="suppression_version_update",
                level=pgtrigger.Statement,
                when=pgtrigger.After,
                operation=pgtrigger.Update,
                referencing=pgtrigger.Referencing(new="new_rows"),
                func=VERSION_SQL.format(sign="+ 0 *", rows="new_rows"),
            ),
        ]

    def __str__(self) -> str:
        return self.number
