"""Callbacks: what is told at the end of each call to the program that asked for it, and how that went.

A row is made by a trigger, in the transaction that makes the call final, so none is lost and none is made twice.
:mod:`calls.api.callbacks` delivers them.
"""

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils import timezone

from calls.models.access import User
from calls.models.dialing import Call, CallGroup


class CallbackState(models.TextChoices):
    """`pending -> delivered | failed`; a failed one becomes pending again if somebody sends it again."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class CallbackQuerySet(models.QuerySet["Callback"]):
    """Callbacks for a user."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """The callbacks of the calls that `user` may see."""
        if not isinstance(user, User) or not user.is_active:
            return self.none()
        if user.sees_all_calls or user.sees_everything:
            return self
        return self.filter(call_group__owner=user)


UNDELIVERED = models.Q(state__in=["pending", "failed"])
PENDING = models.Q(state="pending")


class Callback(models.Model):
    """The request at the end of one call.

    While a request is under way, `due_at` is when it is made again if nothing is written down until then: a worker
    that dies in the middle loses nothing.
    """

    call = models.OneToOneField(Call, models.CASCADE, related_name="delivery")
    call_group = models.ForeignKey(CallGroup, models.CASCADE, related_name="callbacks", db_index=False)
    host = models.CharField(max_length=300)
    state = models.CharField(max_length=10, choices=CallbackState, default=CallbackState.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(default=timezone.now)
    tried_at = models.DateTimeField(null=True, help_text="When the last answer came, or was given up.")
    first_failed_at = models.DateTimeField(null=True, help_text="Since when it fails.")
    delivered_at = models.DateTimeField(null=True)
    http_status = models.PositiveSmallIntegerField(null=True)
    answer = models.CharField(max_length=300, blank=True, help_text="The answer begins so, or why there is none.")

    objects = CallbackQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["call_group", "id"], name="callback_of_group"),
            models.Index(fields=["call_group", "state", "id"], condition=UNDELIVERED, name="callback_left_of_group"),
            models.Index(fields=["state", "id"], condition=UNDELIVERED, name="callback_left"),
            models.Index(fields=["host", "due_at"], condition=PENDING, name="callback_due_of_host"),
            models.Index(fields=["due_at"], condition=PENDING, name="callback_due"),
        ]
