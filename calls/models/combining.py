"""Combining and splitting contact groups: what somebody asked for, and what became of it."""

import uuid
from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils import timezone

from calls.models.access import User
from calls.models.contacts import ContactGroup


class Combining(models.TextChoices):
    """What can be made of contact groups."""

    COPY = "copy", "Copy"
    MERGE = "merge", "Merge"
    SPLIT = "split", "Split by size"
    DIFFERENCE = "difference", "Difference"
    INTERSECTION = "intersection", "Intersection"
    REMOVE = "remove", "Remove duplicates"


class ChangeState(models.TextChoices):
    """How far a group change is. Only `counting`, `counted` and `waiting` can be cancelled."""

    COUNTING = "counting"
    COUNTED = "counted"
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


class GroupChangeQuerySet(models.QuerySet["GroupChange"]):
    """Group changes for a user."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """A group change is its maker's alone."""
        return self.filter(owner_id=user.pk or 0)


class GroupChange(models.Model):
    """One combining or splitting of contact groups, from its preview to its result (:mod:`calls.contacts.changes`)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(User, models.CASCADE)
    kind = models.CharField(max_length=12, choices=Combining)
    group = models.ForeignKey(
        ContactGroup,
        models.SET_NULL,
        null=True,
        related_name="+",
        help_text="On whose page it was asked for.",
    )
    parameters = models.JSONField(help_text="What to do; see contacts.combine.Combination.")
    typed = models.JSONField(help_text="The form as it was typed, so that it can be changed again.")
    expected = models.PositiveBigIntegerField(default=0, help_text="Contacts in all groups that are looked at.")
    state = models.CharField(max_length=10, choices=ChangeState, default=ChangeState.COUNTING)
    counts: "models.JSONField[dict[str, int], dict[str, int]]" = models.JSONField(
        default=dict, help_text="What would become of the contacts; once it is done, what did."
    )
    made: "models.JSONField[list[int], list[int]]" = models.JSONField(default=list, help_text="IDs of groups made.")
    error = models.TextField(blank=True)
    confirmed_from = models.CharField(max_length=45, blank=True, help_text="The address of who confirmed a large one.")
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    objects = GroupChangeQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="groupchange_age")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.group or 'a deleted contact group'}"

    @property
    def working(self) -> bool:
        """Whether a worker has, or will have, something to do for it."""
        return self.state in (ChangeState.COUNTING, ChangeState.WAITING, ChangeState.RUNNING)

    @property
    def cancellable(self) -> bool:
        """Whether it can still be dropped."""
        return self.state in CANCELLABLE


CANCELLABLE = (ChangeState.COUNTING, ChangeState.COUNTED, ChangeState.WAITING)
