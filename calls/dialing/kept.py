"""What calling hours keep of a call group, and at which local times it would ring if they did not."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Case, Count, F, Min, OuterRef, Q, QuerySet, Subquery, Sum, When
from django.db.models.functions import Coalesce

from calls.dialing.hours import Rule, in_words
from calls.dialing.places import country
from calls.dialing.rules import rings_at
from calls.models import Batch, BatchState, Call, CallGroup, GroupState, KeptBy
from calls.obd.statuses import HELD

STILL_HELD = (
    Call.objects.filter(
        call_group=OuterRef("call_group"), n__gte=OuterRef("first"), n__lte=OuterRef("last"), status=HELD
    )
    .order_by()
    .values("call_group")
    .annotate(held=Count("pk"))
    .values("held")
)
# Only a batch that was to be handed over before may have lost calls: to suppression lists, or the cap.
IN_BATCH = Case(When(rules__isnull=True, then=F("last") - F("first") + 1), default=Coalesce(Subquery(STILL_HELD), 0))
"""How many calls of a batch are held."""


@dataclass(frozen=True)
class KeptThere:
    """The calls to one place: how many (0 where the carrier picks the numbers), what clocks there would show if they
    rang as soon as possible, when they ring otherwise (None: never), and by which rule."""

    place: str
    calls: int
    clocks: list[str]
    opens_at: datetime | None
    rule: str

    @property
    def country(self) -> str:
        """Two letters; empty if it isn't known."""
        return country(self.place)


def kept(group: CallGroup) -> QuerySet[Batch]:
    """The batches that calling hours keep."""
    return group.batches.filter(state=BatchState.PENDING).exclude(kept_by="")


def can_override(group: CallGroup) -> bool:
    """Whether calling hours keep calls of it that would be made now."""
    return not group.ended_at and group.state == GroupState.RUNNING and kept(group).exists()


def kept_places(group: CallGroup, now: datetime) -> list[KeptThere]:
    """The places where calls are kept at `now` (aware), those with the most calls first."""
    at = rings_at(group, now)
    if group.schedule_time:  # which an override leaves as it is, whoever waits for it
        at = max(at, group.schedule_time + timedelta(seconds=group.delay))
    rule = Rule.of(group.traffic)
    places = (
        kept(group)
        .values_list("place")
        .annotate(calls=Sum(IN_BATCH), opens=Min("due_at", filter=~Q(kept_by=KeptBy.NEVER)))
    )
    return [
        KeptThere(place, max(calls, 0), _clocks(rule, place, at), opens, rule.words(place))
        for place, calls, opens in places.order_by("-calls", "place")
    ]


def _clocks(rule: Rule, place: str, at: datetime) -> list[str]:
    """ "Mon 23 Nov, 22:15 in Europe/London"; where several zones are meant, the earliest and the latest of them."""
    moments = sorted({at.astimezone(zone).replace(tzinfo=None) for zone in rule.clocks(place)})
    shown = [f"{local:%a} {local.day} {local:%b}, {local:%H:%M}" for local in (moments[0], *moments[1:][-1:])]
    return [" to ".join(shown), in_words(place or rule.here)]
