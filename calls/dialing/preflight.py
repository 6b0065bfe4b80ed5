"""The preflight: what a planned call request would do, and what the person who starts it should know first."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from calls.carriers import get_carrier
from calls.dialing.estimate import batches_needed, takes
from calls.dialing.explain import calls, clock
from calls.dialing.hours import HORIZON, in_words, their_clock
from calls.dialing.places import UNKNOWN
from calls.dialing.request import Options
from calls.dialing.rules import Rules, rules_for, times
from calls.dialing.start import last_again
from calls.models import CallRequest, Sound, Tally, Waits
from calls.obd.statuses import Status

SPOKEN_PER_SECOND = 14
"""Characters of English that a synthetic voice speaks in a second, about."""

SENSIBLE_SECONDS = 60
"""Longer than this few people listen."""


@dataclass(frozen=True)
class Preflight:
    """Figures and warnings (plain sentences). Times are aware; None: the calling rules never allow it."""

    batches: int
    begins: datetime | None
    ends: datetime | None
    at_once: bool
    warnings: list[str]


@dataclass(frozen=True)
class _Openings:
    """When phones may ring, by place, for calls that would ring from `checks.rings_at` on; `now` is aware.

    `never` has the places in which they may not ring at all.
    """

    checks: Rules
    by_place: dict[str, datetime]
    never: list[str]
    calls: dict[str, int]
    now: datetime

    @property
    def kept(self) -> dict[str, datetime]:
        """Only the places whose calls have to wait."""
        return {place: opens for place, opens in self.by_place.items() if opens > self.checks.rings_at}


def preflight(request: CallRequest, now: datetime) -> Preflight:
    """What starting `request` at `now` would do."""
    options = Options.from_json(request.options)
    checks = rules_for(options, now, get_carrier(settings.CARRIER))
    places = {UNKNOWN: 0} if options.carrier_group else request.places
    opens = {place: at for place in places if (at := checks.opening(place))}
    openings = _Openings(checks, opens, [place for place in places if place not in opens], places, now)
    default = None if openings.never else checks.rings_at
    begins, last = min(opens.values(), default=default), max(opens.values(), default=default)
    ends = last + checks.queue_at(last) + takes(request.callable, options.retries, checks.cps) if last else None
    batches = 1 if options.carrier_group else sum(map(batches_needed, places.values()))
    return Preflight(batches, begins, ends, begins == now, [*_warnings(request, options, openings)])


def _warnings(request: CallRequest, options: Options, openings: _Openings) -> Iterator[str]:
    yield from _about_hours(options, openings)
    yield from _about_attempts(options, openings.checks)
    if options.carrier_group:
        yield (
            f"The carrier holds the contact group “{options.carrier_group}” and picks its numbers: the portal can "
            "check neither duplicates nor suppression lists nor how many people are called, nor how often in a day. "
            "It keeps calling hours by its own clock, not by those where people are."
        )
    if options.waits == Waits.CARRIER and (options.schedule_time or options.delay):
        yield from _about_handed_over_at_once(openings)
    yield from _about_audio(options)
    yield from _about_no_result(options)
    if request.parent and (earlier := last_again(request.parent)):
        yield (
            f"Calls of call group {request.parent.pk} were made again before, as call group {earlier.pk}: "
            "people reached there would be called once more."
        )


def _about_hours(options: Options, openings: _Openings) -> Iterator[str]:
    rule, kept = openings.checks.rule, openings.kept
    if kept:
        first, last = min(kept, key=kept.__getitem__), max(kept, key=kept.__getitem__)
        wait = f"{_who_waits(options, openings)} until {_until(openings, first)}"
        if kept[first] != kept[last]:
            wait += f", the last ones until {_until(openings, last)}"
        soon = all(rule.allows(place, openings.checks.rings_at) for place in kept)
        why = "Too close to the end of" if soon else "Outside"
        yield f"{why} calling hours: {wait}. People are called {rule.times}, by the clocks where they are."
    if openings.never:
        yield _never(options, openings)
    late = [place for place, opens in openings.by_place.items() if _is_too_long(options, openings, place, opens)]
    if late:
        yield (
            f"Calling hours ({rule.times}) end before all calls can be made: "
            "the others are held until they begin again."
        )


def _never(options: Options, openings: _Openings) -> str:
    """That people in some places can't be called at all, and what becomes of their calls."""
    first, others = in_words(openings.never[0]), len(openings.never) - 1
    where = f"{first} and {others} other place{'s' if others > 1 else ''}" if others else first
    number = sum(openings.calls[place] for place in openings.never)
    held = f"{calls(number)} {'is' if number == 1 else 'are'} held"
    held = "the carrier is not asked" if options.carrier_group else held
    return f"The calling rules allow no call in {where} within {HORIZON.days} days: {held} until they are changed."


def _who_waits(options: Options, openings: _Openings) -> str:
    """Which calls wait, in words, with the verb."""
    if options.carrier_group:
        return "the carrier is not asked"
    waiting, all_calls = sum(openings.calls[place] for place in openings.kept), sum(openings.calls.values())
    if waiting == all_calls:
        return "the call waits" if waiting == 1 else f"all {waiting:,} calls wait"
    return f"{waiting:,} of {calls(all_calls)} {'waits' if waiting == 1 else 'wait'}"


def _until(openings: _Openings, place: str) -> str:
    at = openings.by_place[place]
    theirs = their_clock(place, at)
    return f"{clock(at, openings.now)}{f' ({theirs})' if theirs else ''}"


def _is_too_long(options: Options, openings: _Openings, place: str, opens: datetime) -> bool:
    checks = openings.checks
    # The carrier dials those elsewhere too.
    needs = checks.span + checks.dialling(sum(openings.calls.values()))
    lasts = max(takes(openings.calls[place], options.retries), needs)
    return checks.rule.next_opening(place, opens, lasts, checks.queue_at(opens)) != opens


def _about_handed_over_at_once(openings: _Openings) -> Iterator[str]:
    """That the carrier has the calls before they ring; not those that calling hours keep here."""
    held = len(openings.kept) + len(openings.never)
    if held < len(openings.calls):
        which = "the calls that it may make then" if held else "the calls"
        yield f"The carrier waits for the start: {which} are handed over at once and can't be cancelled then."


def _about_attempts(options: Options, checks: Rules) -> Iterator[str]:
    """What becomes of retries: they count for the cap, and have to fit into calling hours."""
    rule = checks.rule
    if checks.retries < options.retries:
        yield (
            f"{rule.traffic.capitalize()} calls may make a number ring {times(rule.cap or 0)} a day: "
            f"{checks.retries or 'no'} {'retry is' if checks.retries == 1 else 'retries are'} made instead of "
            f"{options.retries}."
        )
    open_for = rule.hours.duration
    if not rule.hours.all_day and open_for <= checks.span:
        yield (
            f"Calling hours ({rule.times}) are too short for {checks.attempts} attempts, which take up to "
            f"{round(checks.span.total_seconds() / 60)} minutes: nobody can be called. Ask for fewer retries."
        )


def _about_audio(options: Options) -> Iterator[str]:
    spoken = round(len(options.message) / SPOKEN_PER_SECOND)
    if spoken > SENSIBLE_SECONDS:
        yield f"The message takes about {spoken} seconds to speak; few people listen for more than {SENSIBLE_SECONDS}."
    number, _, kind = options.play.partition(".")
    sound = Sound.objects.filter(number=number).first() if kind == "sound" else None
    if sound and not sound.file:
        yield f"The portal has no file of {sound.reference}: the carrier must have one under that reference."
    elif sound:
        yield from (f"{sound.reference}: {warning}" for warning in sound.warnings)


def _about_no_result(options: Options) -> Iterator[str]:
    """Whoever was called without our hearing of it would be called twice."""
    again = options.again
    if not again or (again.statuses and Status.EXPIRED not in again.wanted):
        return
    expired = Tally.objects.filter(call_group=again.call_group, status=Status.EXPIRED, calls__gt=0).first()
    if expired:
        said = (
            f"Of {calls(expired.calls)} of call group {again.call_group} the carrier never told the result (Expired): "
            "these people may have been reached already, or be called yet."
        )
        if not again.statuses:
            said += " They are left out. To call them too, show the Expired calls there, and press Call these again."
        yield said
