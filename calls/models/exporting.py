"""Exports that a worker writes, to be fetched within some days by whoever asked for them."""

import uuid
from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils import timezone

from calls.models.access import User


class ExportState(models.TextChoices):
    """How far an export is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class ExportFormat(models.TextChoices):
    """What kind of file it is."""

    CSV = "csv", "CSV"
    XLSX = "xlsx", "Excel workbook"


class ExportQuerySet(models.QuerySet["Export"]):
    """Exports for a user."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """An export is its maker's alone: others may see less, or more, than is in it."""
        return self.filter(owner_id=user.pk or 0)


class Export(models.Model):
    """One table written to a file: what of (`kind` with `parameters`, see calls.exports), how far, and where it is."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(User, models.CASCADE)
    kind = models.CharField(max_length=20)
    parameters = models.JSONField(default=dict)
    title = models.CharField(max_length=200, help_text="What is in it, in words.")
    format = models.CharField(max_length=4, choices=ExportFormat, default=ExportFormat.CSV)
    state = models.CharField(max_length=10, choices=ExportState, default=ExportState.WAITING)
    expected = models.PositiveBigIntegerField(default=0, help_text="Rows, about.")
    done = models.PositiveBigIntegerField(default=0, help_text="Rows written so far.")
    file = models.FileField(upload_to="exports/", blank=True)
    size = models.PositiveBigIntegerField(default=0, help_text="Bytes.")
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    objects = ExportQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["owner", "-created_at"], name="export_of_owner"),
            models.Index(fields=["created_at"], name="export_age"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def working(self) -> bool:
        """Whether a worker has, or will have, something to do for it."""
        return self.state in (ExportState.WAITING, ExportState.RUNNING)
