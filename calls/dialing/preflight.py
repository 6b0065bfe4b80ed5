"""The preflight: what a planned call request would do, and what the person who starts it should know first."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.utils import timezone

from calls.dialing.estimate import batches_needed, takes
from calls.dialing.hours import Rule
from calls.dialing.request import Options
from calls.models import CallGroup, CallRequest, Sound, Tally, Traffic, Waits
from calls.obd.statuses import Status

SPOKEN_PER_SECOND = 14
"""Characters of English that a synthetic voice speaks in a second, about."""

SENSIBLE_SECONDS = 60
"""Longer than this few people listen."""


@dataclass(frozen=True)
class Preflight:
    """Figures and warnings (plain sentences). Times are aware."""

    batches: int
    begins: datetime
    ends: datetime
    warnings: list[str]


def preflight(request: CallRequest, now: datetime) -> Preflight:
    """What starting `request` at `now` would do."""
    options = Options.from_json(request.options)
    begins = options.rings_at(now)
    ends = begins + takes(request.callable, options.retries)
    batches = 1 if options.carrier_group else batches_needed(request.callable)
    return Preflight(batches, begins, ends, [*_warnings(request, options, begins, ends)])


def _warnings(request: CallRequest, options: Options, begins: datetime, ends: datetime) -> Iterator[str]:
    yield from _about_hours(begins, ends)
    if options.carrier_group:
        yield (
            f"The carrier holds the contact group “{options.carrier_group}” and picks its numbers: the portal can "
            "check neither duplicates nor suppression lists nor how many people are called."
        )
    if options.waits == Waits.CARRIER and (options.schedule_time or options.delay):
        yield "The carrier waits for the start: the calls are handed over at once and can't be cancelled then."
    yield from _about_audio(options)
    yield from _about_no_result(options)
    if request.parent and (earlier := made_again(request)):
        yield (
            f"Calls of call group {request.parent.pk} were made again before, as call group {earlier.pk}: "
            "people reached there would be called once more."
        )


def _about_hours(begins: datetime, ends: datetime) -> Iterator[str]:
    rule = Rule.of(Traffic.PROMOTIONAL)
    hours = rule.hours
    if not rule.allows("", begins):
        opening = timezone.localtime(rule.next_opening("", begins))
        yield (
            f"Outside calling hours: phones would ring at {timezone.localtime(begins):%H:%M}, calling hours are "
            f"{hours} ({settings.TIME_ZONE}). They open next on {opening.day} {opening:%b} at {opening:%H:%M}."
        )
    elif not rule.allows("", ends):
        yield f"Some calls would ring after calling hours, which are {hours} ({settings.TIME_ZONE})."


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
    if not options.again or Status.EXPIRED not in options.again.wanted:
        return
    expired = Tally.objects.filter(call_group=options.again.call_group, status=Status.EXPIRED, calls__gt=0).first()
    if expired:
        yield (
            f"Of {expired.calls:,} call{'' if expired.calls == 1 else 's'} of call group {options.again.call_group} "
            "the carrier never told the result (Expired): these people may have been reached already."
        )


def made_again(request: CallRequest) -> CallGroup | None:
    """The last call group in which calls of the request's parent were made again."""
    return request.parent.children.order_by("-pk").first() if request.parent else None
