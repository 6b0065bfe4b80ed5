"""Call requests and their plans: who would be called, before anybody is."""

import uuid
from typing import Any, Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils import timezone

from calls.models.access import User
from calls.models.keys import APIKey


class RequestState(models.TextChoices):
    """How far a call request is. A program's is refused if none of its numbers may be called: that stays on record."""

    PLANNING = "planning"
    PLANNED = "planned"
    STARTING = "starting"
    STARTED = "started"
    CANCELLED = "cancelled"
    FAILED = "failed"
    REFUSED = "refused"


class CallRequestQuerySet(models.QuerySet["CallRequest"]):
    """Call requests for a user."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """A call request is its maker's alone."""
        return self.filter(owner_id=user.pk or 0)


class CallRequest(models.Model):
    """What somebody asked for, its plan, and the call group that it became.

    The plan's numbers are :class:`PlannedCall` rows; confirming it starts what is `callable` there. Of numbers that a
    program asked for by themselves only those that were left out are there.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(User, models.CASCADE)
    api_key = models.ForeignKey(APIKey, models.SET_NULL, null=True, help_text="The key that it came with, if any.")
    created_at = models.DateTimeField(default=timezone.now)
    typed = models.JSONField(help_text="The form as it was typed, so that it can be changed again.")
    parent = models.ForeignKey(
        "CallGroup", models.SET_NULL, null=True, related_name="+", help_text="Group whose calls are made again."
    )
    made_again = models.ForeignKey(
        "CallGroup",
        models.SET_NULL,
        null=True,
        related_name="+",
        help_text="The last group in which the parent's calls were made again before, as whoever confirmed saw.",
    )
    options = models.JSONField(help_text="The validated options; see dialing.request.")
    state = models.CharField(max_length=10, choices=RequestState, default=RequestState.PLANNING)
    error = models.TextField(blank=True)
    confirmed_from = models.CharField(max_length=45, blank=True, help_text="The address of who confirmed a large one.")
    expected = models.PositiveBigIntegerField(default=0, help_text="Numbers to look at.")
    seen = models.PositiveBigIntegerField(default=0, help_text="Numbers looked at so far.")
    callable = models.PositiveBigIntegerField(default=0)
    duplicate = models.PositiveBigIntegerField(default=0)
    invalid = models.PositiveBigIntegerField(default=0)
    suppressed = models.PositiveBigIntegerField(default=0)
    capped = models.PositiveBigIntegerField(default=0, help_text="Numbers that were called often enough that day.")
    places: "models.JSONField[dict[str, int], dict[str, int]]" = models.JSONField(
        default=dict, help_text="How many of the callable numbers are where; see dialing.places."
    )
    rules: "models.JSONField[list[dict[str, Any]], list[dict[str, Any]]]" = models.JSONField(
        default=list,
        help_text="What was checked by the plan, and at the start if that left more out; see dialing.rules.",
    )
    call_group = models.ForeignKey("CallGroup", models.SET_NULL, null=True, related_name="requests")

    objects = CallRequestQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="callrequest_age")]


class Outcome(models.TextChoices):
    """What a plan decides about one number."""

    CALLABLE = "callable"
    DUPLICATE = "duplicate"
    INVALID = "invalid"
    SUPPRESSED = "suppressed"
    CAPPED = "capped"


class PlannedCall(models.Model):
    """One number of a call request's plan, with what would happen to it and why."""

    request = models.ForeignKey(CallRequest, models.CASCADE, related_name="planned", db_index=False)
    position = models.PositiveBigIntegerField()
    number = models.CharField(max_length=80, help_text="E.164; as it was typed where it is invalid.")
    name = models.CharField(max_length=100, blank=True)
    custom = models.CharField(max_length=64, blank=True)
    outcome = models.CharField(max_length=10, choices=Outcome)
    reason = models.CharField(max_length=300, blank=True)
    place = models.TextField(blank=True, db_default="", help_text="Where the number is; see dialing.places.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["request", "number"], condition=models.Q(outcome="callable"), name="planned_once"
            ),
        ]
        indexes = [
            models.Index(fields=["request", "outcome", "position"], name="planned_page"),
            # Who asks why somebody was not called has the number alone.
            models.Index(
                fields=["number"],
                condition=models.Q(outcome__in=["suppressed", "capped", "invalid"]),
                name="planned_left_out",
            ),
        ]
