"""Contact groups, their contacts, and the suppression list."""

import pgtrigger
from django.conf import settings
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.search import SearchVector
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import Reverse

from calls.models.access import EnabledQuerySet

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


class Contact(models.Model):
    """One phone number (E.164) in a contact group."""

    group = models.ForeignKey(ContactGroup, models.CASCADE, related_name="contacts", db_index=False)
    number = models.CharField(max_length=16)
    name = models.CharField(max_length=100, blank=True)
    extra = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["group", "number"], name="contact_once_per_group")]
        indexes = [
            models.Index(fields=["group", "id"], name="contact_page"),
            models.Index("group", OpClass("number", "varchar_pattern_ops"), name="contact_first_digits"),
            models.Index("group", OpClass(Reverse("number"), "text_pattern_ops"), name="contact_last_digits"),
            GinIndex(SearchVector("name", config="simple"), name="contact_words"),
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


class Suppression(models.Model):
    """A number that must not be called, with why, where that came from, who added it and when."""

    number = models.CharField(max_length=16, unique=True)
    reason = models.CharField(max_length=200, help_text="Why this number must not be called.")
    source = models.CharField(max_length=100, blank=True, help_text="Where that came from: a call, a letter, a list.")
    added_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, editable=False)
    added_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index(OpClass("number", "varchar_pattern_ops"), name="suppression_first_digits"),
            models.Index(OpClass(Reverse("number"), "text_pattern_ops"), name="suppression_last_digits"),
        ]

    def __str__(self) -> str:
        return self.number
