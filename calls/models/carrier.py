"""What is known of a carrier's connection, and the pace that all workers on all hosts share.

:mod:`calls.dialing.pacing` reads and writes these rows; the carrier page shows them.
"""

from django.db import models
from django.utils import timezone


class RequestKind(models.TextChoices):
    """What a request to a carrier is for."""

    CALL = "call", "Hand-over"
    STATUS = "status", "Status question"
    CHECK = "check", "Connection check"


class RequestResult(models.TextChoices):
    """How a request to a carrier ended."""

    ANSWERED = "answered", "Answered"
    REFUSED = "refused", "Refused"
    NOT_TAKEN = "not taken", "Not taken"
    UNCLEAR = "unclear", "No clear answer"


class CarrierState(models.Model):
    """A carrier's health and pace."""

    name = models.CharField(max_length=10, primary_key=True)
    next_slot = models.DateTimeField(default=timezone.now, help_text="Before this no request is begun.")
    next_question = models.DateTimeField(default=timezone.now, help_text="Before this no status question is begun.")
    wait_until = models.DateTimeField(null=True, help_text="The carrier asked for no request before (`Retry-After`).")
    answered_at = models.DateTimeField(null=True, help_text="When it last answered readably.")
    failed_at = models.DateTimeField(null=True)
    failure = models.CharField(max_length=300, blank=True)
    idempotent_account = models.CharField(
        max_length=64, blank=True, help_text="The account for which it keeps answers by `Idempotency-Key`."
    )
    idempotent_seconds = models.PositiveIntegerField(default=0, help_text="How long it keeps them.")


class CarrierBreaker(models.Model):
    """The circuit breaker for one kind of requests: open once so many in a row have failed."""

    carrier = models.ForeignKey(CarrierState, models.CASCADE, related_name="breakers", db_index=False)
    kind = models.CharField(max_length=6, choices=RequestKind)
    failures = models.PositiveIntegerField(default=0, help_text="In a row, up to now.")
    opened_at = models.DateTimeField(null=True, help_text="Since when it is open; null: it is closed.")
    next_trial = models.DateTimeField(default=timezone.now, help_text="While it is open: when one request is tried.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["carrier", "kind"], name="carrier_breaker")]


class CarrierConnection(models.Model):
    """One of the `CARRIER_CONNECTIONS`: who makes a request holds one, no longer than until `leased_until`.

    `session` and `session_since` name the holder's database session, which ends with a holder that dies.
    """

    carrier = models.ForeignKey(CarrierState, models.CASCADE, related_name="connections", db_index=False)
    slot = models.PositiveSmallIntegerField()
    leased_until = models.DateTimeField(default=timezone.now)
    leased_at = models.DateTimeField(null=True)
    session = models.IntegerField(null=True)
    session_since = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["carrier", "slot"], name="carrier_connection")]


class CarrierRequest(models.Model):
    """A request that was made to a carrier, and how it ended; kept for a while, for the carrier page."""

    carrier = models.ForeignKey(CarrierState, models.CASCADE, related_name="requests", db_index=False)
    kind = models.CharField(max_length=6, choices=RequestKind)
    began_at = models.DateTimeField()
    seconds = models.FloatField()
    result = models.CharField(max_length=10, choices=RequestResult)
    said = models.CharField(max_length=300, blank=True, help_text="Without key and numbers.")

    class Meta:
        indexes = [
            models.Index(fields=["carrier", "-began_at"], name="carrierrequest_latest"),
            models.Index(
                fields=["carrier", "-began_at"],
                condition=~models.Q(result="answered"),
                name="carrierrequest_failures",
            ),
            models.Index(
                fields=["carrier", "-began_at"], condition=models.Q(kind="check"), name="carrierrequest_checks"
            ),
        ]
