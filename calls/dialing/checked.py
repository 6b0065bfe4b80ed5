"""What was checked before calls were handed over, and why others were not: what an inspector asks for (FIELD.md).

The facts are those of `Batch.rules`, written down at each hand-over; here they are said in words.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db.models import OuterRef, Subquery

from calls.dialing.hours import HORIZON, Rule, in_days
from calls.dialing.rules import digest_of, there
from calls.exports.cells import plain
from calls.models import Batch, Call, CallGroup, GroupState, KeptBy, PlannedCall, Sound, Traffic
from calls.obd.statuses import Status

NOT_CHECKED = "not checked: the carrier holds the numbers"

KEPT: dict[str, str] = {
    KeptBy.HOURS: "Held: it waits for calling hours.",
    KeptBy.CLOSING: "Held: it was too close to the end of calling hours, and waits for the next ones.",
    KeptBy.NEVER: "Held: the calling rules allow no call there at all.",
}


@dataclass(frozen=True)
class Override:
    """Why, by whom and when the calling rules were overridden."""

    reason: str
    by: str
    at: datetime | None

    def __str__(self) -> str:
        return f"{self.reason} ({self.by}, {plain(self.at)})"


@dataclass(frozen=True)
class Checked:
    """What was checked before one hand-over. Texts are empty where nothing is known."""

    at: datetime
    rings_at: datetime
    """When the phone could ring first: later than `at` if the carrier waits for a scheduled time or a delay."""
    traffic: str
    place: str
    local: list[str]
    hours: str
    weekdays: str
    holidays: str
    closed_days: str
    cap: str
    lists: list[str]
    override: Override | None
    reference: str
    sha256: str
    still: bool | None
    """Whether it would still play that audio, or message; None where that can't be known."""

    @property
    def played(self) -> str:
        """Whether what was played is still the same, in words."""
        if self.still is None:
            return "The carrier's own: it alone knows what it played."
        return "Still the same today." if self.still else "It was replaced or deleted since."


@dataclass(frozen=True, kw_only=True)
class _WithChecks:
    checks: list[Checked]

    @property
    def last(self) -> Checked | None:
        """The check that counts."""
        return self.checks[-1] if self.checks else None

    @property
    def earlier(self) -> list[Checked]:
        """What was checked before."""
        return self.checks[:-1]


@dataclass(frozen=True, kw_only=True)
class Record(_WithChecks):
    """A call with what was checked: the last entry of `checks` is that of the hand-over that counts."""

    call: Call
    group: CallGroup
    batch: Batch | None
    why: str
    """Why it was not handed over; empty if it was."""

    @property
    def hand_overs(self) -> int:
        """How many requests for it may have reached the carrier: none of those after which it was held again."""
        held_again = max((at for at, status, *_ in self.call.timeline if status == Status.HELD), default=0.0)
        return sum(checked.at.timestamp() > held_again for checked in self.checks)


@dataclass(frozen=True, kw_only=True)
class LeftOut(_WithChecks):
    """A number that a request left out, with what the plan checked, and the start if that left others out."""

    planned: PlannedCall


def records(calls: Iterable[Call]) -> list[Record]:
    """These calls, which come with their call groups, with what was checked; in a few queries."""
    listed = list(calls)
    batches = _batches(listed)
    kept = _kept_audio(batches.values())
    return [_record(call, batches.get(call.pk), kept) for call in listed]


def record_of(call: Call, batch: Batch | None) -> Record:
    """The same of one call, whose batch is known."""
    return _record(call, batch, _kept_audio([batch] if batch else []))


def left_out(planned: Iterable[PlannedCall]) -> Iterator[LeftOut]:
    """These numbers, which come with their requests, with what was checked."""
    rules = {str(traffic): Rule.of(traffic) for traffic in Traffic}
    for each in planned:
        entries = [there(entry, each.place, rules[entry["traffic"]]) for entry in each.request.rules]
        # Nothing was to be played yet.
        yield LeftOut(planned=each, checks=[_checked(entry, CallGroup(), {}) for entry in entries])


def _record(call: Call, batch: Batch | None, kept: dict[str, str]) -> Record:
    checks = [_checked(entry, call.call_group, kept) for entry in (batch.rules or [] if batch else [])]
    if call.ended_at and batch and batch.last:  # what was checked later concerned others of its batch
        ended_at = max(call.ended_at, call.handed_over_at or call.ended_at)  # clocks of carriers may be behind
        checks = [checked for checked in checks if checked.at <= ended_at]
    return Record(call=call, group=call.call_group, batch=batch, checks=checks, why=why_not(call, batch))


def _batches(calls: Sequence[Call]) -> dict[int, Batch]:
    """The batch of each call, by the call's ID."""
    earlier = Batch.objects.filter(call_group=OuterRef("call_group"), first__lte=OuterRef("n")).order_by("-first")
    found = Call.objects.filter(pk__in=[call.pk for call in calls])
    ids = dict(found.annotate(batch=Subquery(earlier.values("pk")[:1])).values_list("pk", "batch"))
    batches = Batch.objects.in_bulk([pk for pk in ids.values() if pk])
    found_for = {call.pk: batches.get(ids.get(call.pk, 0)) for call in calls}
    # A group of the carrier's own is one batch, whose calls are learnt later.
    return {call.pk: b for call in calls if (b := found_for[call.pk]) and (b.last >= call.n or not b.last)}


def _kept_audio(batches: Iterable[Batch]) -> dict[str, str]:
    """The checksum that each sound which was played has today, by its reference."""
    played = {entry.get("played", {}).get("reference", "") for batch in batches for entry in batch.rules or []}
    numbers = [number for number, _, kind in (text.partition(".") for text in played) if kind == "sound"]
    return {f"{n}.sound": sha for n, sha in Sound.objects.filter(number__in=numbers).values_list("number", "sha256")}


# --- In words ------------------------------------------------------------------------------------------------------


def _checked(entry: dict[str, Any], group: CallGroup, kept: dict[str, str]) -> Checked:
    played = entry.get("played") or {}
    traffic, holiday = entry.get("traffic", ""), entry.get("holiday", "")
    numbers_known = entry.get("numbers_known", True)
    return Checked(
        at=datetime.fromisoformat(entry["at"]),
        rings_at=datetime.fromisoformat(entry.get("rings_at") or entry["at"]),
        traffic=str(Traffic(traffic).label) if traffic in Traffic.values else traffic,
        place=entry.get("place", ""),
        local=[f"{when} ({zone})" for zone, when in entry.get("local", {}).items()],
        hours=entry.get("hours", ""),
        weekdays=in_days(entry["weekdays"]) if "weekdays" in entry else "",
        holidays=_holidays(entry.get("holidays", False), holiday),
        closed_days=_closed_days(entry["closed_days"], entry["closed"]) if "closed_days" in entry else "",
        cap=_cap(entry.get("cap")) if numbers_known else NOT_CHECKED,
        lists=[_list(each) for each in entry.get("lists", [])] if numbers_known else [NOT_CHECKED],
        override=_override(entry.get("override")),
        reference=played.get("reference", ""),
        sha256=played.get("sha256", ""),
        still=_still(played, group, kept),
    )


def _cap(cap: int | None) -> str:
    return "no limit" if cap is None else f"at most {cap} a day"


def _holidays(looked_at: bool, holiday: str) -> str:
    if not looked_at:
        return "called on them too"
    return f"not called on them; that day was {holiday}" if holiday else "not called on them; it was none"


def _closed_days(near: list[str], closed: list[str]) -> str:
    """`not called on 24 Dec 2026, 25 Dec 2026; it was none of them`."""
    if not near:
        return f"there were none within {HORIZON.days} days of it"
    them = f"it was {'none of them' if len(near) > 1 else 'another day'}"
    return f"not called on {_days(near)}; {f'that day was {_days(closed)}' if closed else them}"


def _days(days: Iterable[str]) -> str:
    return ", ".join(f"{day.day} {day:%b %Y}" for day in map(date.fromisoformat, days))


def _list(listed: dict[str, Any]) -> str:
    """`Do not call, version 12, scrubbed on 14 Mar 2026`."""
    scrubbed = f"scrubbed on {_days([listed['scrubbed_on']])}" if listed.get("scrubbed_on") else "never scrubbed"
    return f"{listed.get('name', '')}, version {listed.get('version', 0)}, {scrubbed}"


def _override(override: dict[str, Any] | None) -> Override | None:
    if not override:
        return None
    at = datetime.fromisoformat(override["at"]) if override.get("at") else None
    return Override(override.get("reason", ""), override.get("by", ""), at)


def _still(played: dict[str, Any], group: CallGroup, kept: dict[str, str]) -> bool | None:
    reference, sha256 = played.get("reference", ""), played.get("sha256", "")
    if not sha256:
        return None
    return bool((kept.get(reference) if reference else digest_of(group.message)) == sha256)


# --- Not handed over -----------------------------------------------------------------------------------------------


def why_not(call: Call, batch: Batch | None) -> str:
    """Why this call, which comes with its call group, was not handed over; empty if it was."""
    if call.handed_over_at or call.status == Status.SENDING:
        return ""
    if call.status != Status.HELD:
        note = str(call.timeline[-1][4]) if call.timeline else ""
        return note or Status(call.status).meaning
    group = call.call_group
    if group.state == GroupState.PAUSED:
        return f"Held: the call group is paused. {group.state_reason}".strip()
    if group.state == GroupState.CANCELLED:
        return "Held: it is about to be cancelled."
    return KEPT.get(batch.kept_by if batch else "", "Held: its turn has not come.")
