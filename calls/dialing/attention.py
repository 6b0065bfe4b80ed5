"""What waits for somebody, over all call groups that they may see: unconfirmed batches, call groups that the portal
paused because the carrier would refuse them, and those with calls that the calling rules never allow. For admins also
suppression lists that end, or are old."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, Q, QuerySet
from django.utils import timezone

from calls.dialing.evidence import REPEAT_MARGIN
from calls.models import (
    Batch,
    BatchState,
    Call,
    CallGroup,
    CarrierState,
    GroupState,
    KeptBy,
    ListCategory,
    SuppressionList,
    User,
)
from calls.models.contacts import day_not_over
from calls.obd.statuses import UNCONFIRMED

COUNTED = 99
"""What waits is counted up to this."""

END_NEAR = timedelta(days=7)
"""Suppression lists that end, or ended, within this time are shown."""

SCRUB_DAYS = 31
"""A register that was compared with its source longer ago is old: registers change all the time."""


def unconfirmed(user: User) -> QuerySet[Batch]:
    """The batches of which nobody knows whether the carrier took them, of the call groups that `user` may see."""
    return Batch.objects.filter(state=BatchState.UNCONFIRMED, call_group__in=CallGroup.objects.visible_to(user))


def with_calls(batches: QuerySet[Batch]) -> QuerySet[Batch]:
    """Look up where the unconfirmed calls of each batch are in the call group: at most as many as a batch has."""
    calls = Call.objects.filter(
        call_group=OuterRef("call_group"), n__gte=OuterRef("first"), n__lte=OuterRef("last"), status=UNCONFIRMED
    )
    return batches.annotate(in_question=ArraySubquery(calls.order_by("n").values("n")))


def stopped(user: User) -> QuerySet[CallGroup]:
    """The call groups that the portal paused, and not a person, among those that `user` may see."""
    groups = CallGroup.objects.visible_to(user).filter(ended_at=None, state=GroupState.PAUSED, state_by=None)
    return groups.exclude(state_reason="")


def never_allowed(user: User) -> QuerySet[CallGroup]:
    """The running call groups with calls that the calling rules never allow, among those that `user` may see."""
    groups = CallGroup.objects.visible_to(user).filter(ended_at=None, state=GroupState.RUNNING)
    return groups.filter(pk__in=kept_for_good().values("call_group"))


def kept_for_good() -> QuerySet[Batch]:
    """The batches that calling hours keep, and would for ever."""
    return Batch.objects.filter(state=BatchState.PENDING, kept_by=KeptBy.NEVER)


def waiting(user: User) -> int:
    """How many batches and call groups wait for somebody, at most one more than COUNTED; costs one small query."""
    every = (unconfirmed(user), stopped(user), never_allowed(user), old_lists(user))
    batches, *others = (rows.values_list("pk") for rows in every)
    return len(batches.union(*others, all=True)[: COUNTED + 1])


def old_lists(user: User) -> QuerySet[SuppressionList]:
    """The suppression lists that end or ended these days, and the registers with an old scrub date or none.

    None for people who can't do anything about that.
    """
    if not user.has_perm("calls.change_suppressionlist"):
        return SuppressionList.objects.none()
    today = timezone.localdate()
    applies = Q(ends_on=None) | Q(ends_on__gte=day_not_over(timezone.now()))
    register = Q(category=ListCategory.REGISTER, role="") & applies
    old = Q(scrubbed_on=None) | Q(scrubbed_on__lt=today - timedelta(days=SCRUB_DAYS))
    return SuppressionList.objects.filter(
        Q(ends_on__gte=today - END_NEAR, ends_on__lte=today + END_NEAR) | (register & old)
    )


def is_old(listed: SuppressionList) -> bool:
    """Whether its scrub date, or that there is none, is why it is among `old_lists`."""
    register = listed.category == ListCategory.REGISTER and not listed.role and not listed.ended
    return register and (listed.scrub_age is None or listed.scrub_age > SCRUB_DAYS)


@dataclass(frozen=True)
class Unsettled:
    """A batch of :func:`with_calls` with what is known of it. `carrier`: what is known of its carrier's connection."""

    batch: Batch
    carrier: CarrierState | None
    now: datetime

    @property
    def places(self) -> list[int]:
        """Where its calls in question are in the call group: not those that were taken out before the hand-over.

        All of them once it is settled; none where the carrier picks the numbers.
        """
        batch: Any = self.batch
        return batch.in_question or list(range(batch.first, batch.last + 1))

    @property
    def number(self) -> int:
        """How many these are."""
        return len(self.places)

    @property
    def which(self) -> str:
        """The same in words: "2", "1 to 200", or "among 1 to 3" if there are others between them."""
        places = self.places
        if len(places) < 2:
            return "".join(f"{n:,}" for n in places)
        others = places[-1] - places[0] >= len(places)
        return f"{'among ' if others else ''}{places[0]:,} to {places[-1]:,}"

    @property
    def repeated_until(self) -> datetime | None:
        """Until when the portal makes the same request again, which the carrier would not place twice; None: never."""
        batch, carrier = self.batch, self.carrier
        if carrier is None or not batch.account or carrier.idempotent_account != batch.account or not batch.sent_at:
            return None
        until = batch.sent_at + timedelta(seconds=carrier.idempotent_seconds) - REPEAT_MARGIN
        return until if until > self.now and batch.call_group.state == GroupState.RUNNING else None

    @property
    def is_called_back(self) -> bool:
        """Whether the carrier was told where to report these calls by itself."""
        return settings.CARRIER_CALLBACKS and self.batch.call_group.carrier != "sandbox"
