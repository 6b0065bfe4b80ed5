"""API keys, and what is kept of the requests made with them (OBD-API.md, "Endpoint and authentication")."""

import hashlib
import hmac
import secrets
from datetime import date, timedelta
from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.utils import timezone

from calls.models.access import User
from calls.models.rules import Traffic

PREFIX_LENGTH = 9
"""`A` and eight hexadecimal digits: enough to find the key, useless without the rest."""

SECRET_DIGITS = 40
"""Hexadecimal digits of a key: 160 bits."""


class APIKeyQuerySet(models.QuerySet["APIKey"]):
    """API keys for a user."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """A person's own keys; an admin's are everybody's."""
        if not isinstance(user, User) or not user.is_active:
            return self.none()
        return self if user.sees_everything else self.filter(user=user)


class APIKey(models.Model):
    """What a program signs in with. It acts as its user, within that user's profile; only its hash is kept."""

    user = models.ForeignKey(User, models.CASCADE, related_name="api_keys")
    label = models.CharField(max_length=100, help_text="What uses this key.")
    prefix = models.CharField(max_length=PREFIX_LENGTH, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False, help_text="SHA-256 of the whole key.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, editable=False)
    networks = models.JSONField(default=list, blank=True, help_text="Addresses and networks it works from; empty: any.")
    rate = models.PositiveIntegerField(default=600, help_text="Requests a minute.")
    traffic = models.CharField(
        "traffic type",
        max_length=15,
        choices=Traffic,
        default=Traffic.PROMOTIONAL,
        help_text="What kind of calls are started with it.",
    )
    next_at = models.DateTimeField(default=timezone.now, editable=False, help_text="Runs ahead of now as it is used.")
    last_used_at = models.DateTimeField(null=True, editable=False)
    last_used_from = models.GenericIPAddressField(null=True, editable=False)

    objects = APIKeyQuerySet.as_manager()

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.prefix}… {self.label}"

    @classmethod
    def make(cls, user: User, label: str, **columns: object) -> "tuple[APIKey, str]":
        """Create a key: its row, and the key itself, which nobody can show again."""
        key = f"A{secrets.token_hex(SECRET_DIGITS // 2)}"
        row = cls.objects.create(user=user, label=label, prefix=key[:PREFIX_LENGTH], digest=digest_of(key), **columns)
        return row, key

    def fits(self, key: str) -> bool:
        """Whether `key` is this one; takes the same time whatever it is."""
        return hmac.compare_digest(self.digest, digest_of(key))

    @property
    def state(self) -> str:
        """`works`, `revoked` or `expired`; `stopped` if its user may not sign in."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= timezone.now():
            return "expired"
        return "works" if self.user.is_active else "stopped"

    @property
    def last_day(self) -> date | None:
        """The day at whose end it expires, in TIME_ZONE; None for a key that doesn't."""
        return timezone.localdate(self.expires_at - timedelta(microseconds=1)) if self.expires_at else None

    @property
    def works(self) -> bool:
        """Whether it is neither revoked nor expired, and its user may sign in."""
        return self.state == "works"


def digest_of(key: str) -> str:
    """What is kept of a key. A plain hash is enough: a key is random and long, so there is nothing to guess."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


class Idempotency(models.Model):
    """The answer to a request that came with an `Idempotency-Key`, given again to the same request for 24 hours."""

    api_key = models.ForeignKey(APIKey, models.CASCADE)
    key = models.CharField(max_length=64)
    digest = models.CharField(max_length=64, help_text="Of the request's parameters.")
    answer = models.JSONField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["api_key", "key"], name="idempotency_once")]
        indexes = [models.Index(fields=["created_at"], name="idempotency_age")]
