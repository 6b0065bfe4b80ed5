"""Where call groups stand: all that their pages say of them, looked up for many groups in a few queries."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import F, FilteredRelation, Q

from calls.carriers import get_carrier
from calls.dialing import figures
from calls.dialing.estimate import expected_end, takes
from calls.models import (
    Batch,
    BatchState,
    CallGroup,
    CarrierBreaker,
    CarrierState,
    GroupState,
    KeptBy,
    RequestKind,
    Tally,
)
from calls.obd.statuses import COMPLETED, NOT_REACHED, REJECTED, UNCONFIRMED


@dataclass(frozen=True)
class CarrierHealth:
    """A carrier as its requests found it, with the breakers that are open: nothing goes out but a trial now and then.

    `down` is the one for hand-over, `silent` the one for status questions.
    """

    state: CarrierState
    down: CarrierBreaker | None = None
    silent: CarrierBreaker | None = None


def carriers_health(names: Iterable[str]) -> dict[str, CarrierHealth]:
    """The health of these carriers, in one query; one to which no request was made is left out."""

    states: Iterable[Any] = CarrierState.objects.filter(name__in=set(names)).annotate(
        **{
            name: FilteredRelation("breakers", condition=Q(breakers__kind=kind, breakers__opened_at__isnull=False))
            for name, kind in (("down", RequestKind.CALL), ("silent", RequestKind.STATUS))
        },
        down_since=F("down__opened_at"),
        down_trial=F("down__next_trial"),
        silent_since=F("silent__opened_at"),
        silent_trial=F("silent__next_trial"),
    )
    return {
        state.name: CarrierHealth(
            state,
            down=_breaker(state.down_since, state.down_trial),
            silent=_breaker(state.silent_since, state.silent_trial),
        )
        for state in states
    }


def _breaker(opened_at: datetime | None, next_trial: datetime) -> CarrierBreaker | None:
    return CarrierBreaker(opened_at=opened_at, next_trial=next_trial) if opened_at else None


@dataclass(frozen=True)
class Situation:
    """A call group at `now` (aware): its counts, the batches that matter next, its carrier, the workers."""

    group: CallGroup
    now: datetime
    tally: dict[str, int] = field(default_factory=dict)
    seconds: int = 0
    pending: Batch | None = None
    never: Batch | None = None
    """One that calling hours keep for good, perhaps while others go on."""
    unconfirmed: Batch | None = None
    health: CarrierHealth | None = None
    worker_alive: bool = True

    def count(self, *statuses: str) -> int:
        """How many calls have one of these statuses."""
        return sum(self.tally.get(status, 0) for status in statuses)

    @property
    def carrier(self) -> CarrierState | None:
        """What is known of the carrier's connection; None before the first request."""
        return self.health.state if self.health else None

    @property
    def state(self) -> str:
        """The state as pages show it: scheduled, running, paused, cancelled or finished."""
        group = self.group
        if group.ended_at:
            return "cancelled" if group.state == GroupState.CANCELLED else "finished"
        if group.state == GroupState.RUNNING and group.begins_at > self.now:
            return "scheduled"
        return group.state

    @property
    def kept(self) -> Batch | None:
        """The batch that goes out next, if calling hours keep it; None if they keep nothing, or other batches go on."""
        batch = self.pending
        return batch if batch and batch.kept_by in KeptBy.values and batch.due_at > self.now else None

    @property
    def done(self) -> int:
        """Calls whose status is final."""
        return self.group.total - self.group.open

    @property
    def handed_over(self) -> int:
        """Calls that left the portal; nobody can take them back."""
        return self.group.total - self.group.held - self.group.not_made

    @property
    def at_carrier(self) -> int:
        """Calls that the carrier has and that are not over yet; without those of which we don't know."""
        return self.group.open - self.group.held - self.count(UNCONFIRMED)

    @property
    def reached(self) -> int:
        """Calls that somebody answered."""
        return self.count(COMPLETED)

    @property
    def not_reached(self) -> int:
        """Calls that could be made again."""
        return self.count(*NOT_REACHED)

    @property
    def needs_attention(self) -> bool:
        """Whether it goes on only when somebody acts."""
        stuck = self.refused_by_carrier or (self.group.state == GroupState.RUNNING and self.never)
        return bool(self.unconfirmed or self.count(UNCONFIRMED) or stuck)

    @property
    def refused_by_carrier(self) -> bool:
        """Whether the carrier would refuse everything, so that the portal paused the call group."""
        group = self.group
        return group.state == GroupState.PAUSED and not group.state_by_id and bool(group.state_reason)

    @property
    def rejected(self) -> int:
        """Calls that the carrier refused."""
        return self.count(REJECTED)

    @property
    def asr(self) -> float | None:
        """Answer-seizure ratio, 0 to 1."""
        return figures.asr(self.tally)

    @property
    def acd(self) -> float | None:
        """Average call duration in seconds."""
        return figures.acd(self.tally, self.seconds)

    @property
    def took(self) -> timedelta | None:
        """How long an ended call group was under way."""
        ended_at = self.group.ended_at
        return max(ended_at - self.group.due_at, timedelta(0)) if ended_at else None

    @property
    def expected_end(self) -> datetime | None:
        """About when it will have ended, to the minute; None while that depends on others, or nothing tells."""
        waits = self.group.state != GroupState.RUNNING or self.unconfirmed or (self.health and self.health.down)
        end = None if waits or self.never else expected_end(self.group, self.now)
        if end and self.kept:
            cps = get_carrier(self.group.carrier).cps
            end = max(end, self.kept.due_at + takes(self.group.held, self.group.retries, cps))
        return (end + timedelta(seconds=59)).replace(second=0, microsecond=0) if end else None


def situations(groups: Iterable[CallGroup], now: datetime, *, worker_alive: bool = True) -> list[Situation]:
    """The situation of each of `groups`, in their order; as many queries for fifty as for one."""
    groups = list(groups)
    counts: dict[int, dict[str, int]] = {group.pk: {} for group in groups}
    seconds = dict.fromkeys(counts, 0)
    tallies = Tally.objects.filter(call_group__in=counts, calls__gt=0)
    for group_id, status, calls, talked in tallies.values_list("call_group_id", "status", "calls", "seconds"):
        counts[group_id][status] = calls
        seconds[group_id] += talked if status == COMPLETED else 0
    unfinished = [group.pk for group in groups if not group.ended_at]
    pending = _first_batches(unfinished, BatchState.PENDING)
    never = _first_batches([*pending], BatchState.PENDING, kept_by=KeptBy.NEVER)
    unconfirmed = _first_batches(unfinished, BatchState.UNCONFIRMED)
    health = carriers_health(group.carrier for group in groups) if unfinished else {}
    return [
        Situation(
            group=group,
            now=now,
            tally=counts[group.pk],
            seconds=seconds[group.pk],
            pending=pending.get(group.pk),
            never=never.get(group.pk),
            unconfirmed=unconfirmed.get(group.pk),
            health=health.get(group.carrier),
            worker_alive=worker_alive,
        )
        for group in groups
    ]


def _first_batches(groups: list[int], state: BatchState, **more: str) -> dict[int, Batch]:
    """The batch in this state that is due first, of each call group that has one."""
    if not groups:
        return {}
    batches = Batch.objects.filter(call_group__in=groups, state=state, **more)
    first = batches.order_by("call_group", "due_at", "first").distinct("call_group")
    return {batch.call_group_id: batch for batch in first}
