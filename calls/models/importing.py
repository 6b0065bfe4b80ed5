"""Imports into contact groups and suppression lists, from the upload to the result and its undoing."""

import uuid
from typing import Any, Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils import timezone

from calls.models.access import User
from calls.models.contacts import ContactGroup, SuppressionList


class ImportState(models.TextChoices):
    """How far an import is."""

    UPLOADED = "uploaded"  # its file is here; a person looks at the preview
    WAITING = "waiting"  # confirmed; a worker will begin
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"
    UNDOING = "undoing"
    UNDONE = "undone"


class Existing(models.TextChoices):
    """What happens to what is there already."""

    SKIP = "skip"  # it stays as it is
    UPDATE = "update"  # where the file says something
    REPLACE = "replace"  # what the file does not have is removed


class ImportQuerySet(models.QuerySet["Import"]):
    """Imports for a user."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """An import is its maker's, and once it is confirmed also for users who see everything."""
        own = models.Q(owner_id=user.pk or 0)
        if isinstance(user, User) and user.sees_everything:
            return self.filter(own | ~models.Q(state=ImportState.UPLOADED))
        return self.filter(own)


class Import(models.Model):
    """One file, or one pasted text, that is imported into a contact group or a suppression list."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(User, models.CASCADE)
    group = models.ForeignKey(ContactGroup, models.CASCADE, null=True, related_name="imports")
    suppression_list = models.ForeignKey(SuppressionList, models.CASCADE, null=True, related_name="imports")
    filename = models.CharField(max_length=200, help_text="As the person's computer calls it; empty for pasted text.")
    file = models.FileField(upload_to="imports/", blank=True)
    size = models.PositiveBigIntegerField(default=0, help_text="Bytes.")
    layout: "models.JSONField[dict[str, Any], dict[str, Any]]" = models.JSONField(
        default=dict, help_text="How the file is read; see contacts.importing.layout.Layout."
    )
    existing = models.CharField(max_length=10, choices=Existing, default=Existing.SKIP)
    reason = models.CharField(max_length=200, blank=True, help_text="Of suppressed numbers without one of their own.")
    state = models.CharField(max_length=10, choices=ImportState, default=ImportState.UPLOADED)
    step = models.CharField(max_length=10, blank=True, help_text="`reading` or `writing`.")
    done = models.PositiveBigIntegerField(default=0, help_text="Bytes, or rows of a workbook, read; or rows written.")
    total = models.PositiveBigIntegerField(default=0, help_text="Of those, how many there are.")
    rows = models.PositiveBigIntegerField(default=0, help_text="Rows read so far.")
    counts: "models.JSONField[dict[str, int], dict[str, int]]" = models.JSONField(
        default=dict, help_text="What became of the rows and contacts; see contacts.importing.apply."
    )
    reasons: "models.JSONField[dict[str, int], dict[str, int]]" = models.JSONField(
        default=dict, help_text="How many rows were refused for what."
    )
    repairs: "models.JSONField[dict[str, int], dict[str, int]]" = models.JSONField(
        default=dict, help_text="Of how many rows what was repaired or cut."
    )
    first_id = models.BigIntegerField(null=True, help_text="What it added has IDs from here ...")
    last_id = models.BigIntegerField(null=True, help_text="... to here.")
    error = models.TextField(blank=True)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="How often a worker has begun it.")
    address = models.CharField(max_length=45, blank=True, help_text="Where it was confirmed, or undone, from.")
    undone_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+", help_text="Who had it undone.")
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    objects = ImportQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(group=None, suppression_list__isnull=False)
                | models.Q(group__isnull=False, suppression_list=None),
                name="import_into_one_thing",
            )
        ]
        indexes = [models.Index(fields=["created_at"], name="import_age")]

    def __str__(self) -> str:
        return f"Import of {self.source}"

    @property
    def source(self) -> str:
        """Where the rows came from."""
        return self.filename or "pasted text"

    @property
    def target(self) -> ContactGroup | SuppressionList:
        """What it is imported into."""
        target = self.group or self.suppression_list
        assert target is not None  # noqa: S101 - a constraint says so
        return target

    @property
    def working(self) -> bool:
        """Whether a worker has, or will have, something to do for it."""
        return self.state in (ImportState.WAITING, ImportState.RUNNING, ImportState.UNDOING)

    @property
    def cancellable(self) -> bool:
        """Whether it can still be dropped."""
        return self.state in (ImportState.UPLOADED, ImportState.WAITING, ImportState.RUNNING)


class ImportedRow(models.Model):
    """A row of a file that was not taken: refused, or a repetition of an earlier row."""

    of = models.ForeignKey(Import, models.CASCADE, related_name="not_taken", db_index=False)
    line = models.PositiveBigIntegerField()
    cells = models.JSONField(help_text="The row's cells, as they came.")
    reason = models.CharField(max_length=300)
    duplicate = models.BooleanField(default=False)

    class Meta:
        indexes = [models.Index(fields=["of", "duplicate", "line"], name="importedrow_page")]


class ReplacedRows(models.Model):
    """Some contacts or suppressions as they were before an import changed or removed them, so that it can be undone."""

    of = models.ForeignKey(Import, models.CASCADE, related_name="replaced")
    rows = models.JSONField(help_text="A list of whole rows of their table.")
    removed = models.BooleanField(help_text="Whether they were removed; otherwise they were changed.")
