"""What a call group is doing or waiting for, in one plain sentence: the answer to "why is nothing dialling?"."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from django.utils import timezone

from calls.dialing.hours import HORIZON, in_words, their_clock
from calls.dialing.situation import CarrierHealth, Situation
from calls.models import Batch, CarrierBreaker, GroupState, KeptBy, Waits
from calls.obd.statuses import CANCELLED, REJECTED, UNCONFIRMED
from calls.templatetags.portal import zone_of

Tone = Literal["waits", "works", "attention", "done"]

LATE = timedelta(seconds=20)
"""Calls that are due for so long should have been handed over: something keeps them."""

RECENT = timedelta(minutes=10)
"""A failure of the carrier that is older says nothing about now."""

_ACCOUNT = re.compile("^(The carrier refuses our |OBD_)")
"""How the reason begins where the key, the account or the settings are meant (:mod:`calls.carriers.obd`)."""


@dataclass(frozen=True)
class Sentence:
    """What to tell people, and how: `attention` means that somebody must act."""

    text: str
    tone: Tone


def explain(situation: Situation) -> Sentence:
    """What the call group does or waits for. Looks nothing up; times are in the portal's zone and say so."""
    group = situation.group
    if group.ended_at:
        return Sentence(_ended(situation), "done")
    if group.state == GroupState.CANCELLED:
        sentence = Sentence(_cancelled(situation), "works")
    elif group.state == GroupState.PAUSED:
        sentence = _paused(situation)
    else:
        sentence = _running(situation)
    if situation.unconfirmed or situation.count(UNCONFIRMED):
        return Sentence(_unconfirmed(situation, sentence), "attention")
    return sentence


def when(at: datetime, now: datetime) -> str:
    """An aware time in words: "at 14:02 IST" today, "on 23 Nov 2026, 18:30 IST" otherwise."""
    local = timezone.localtime(at)
    clock = f"{local:%H:%M} {zone_of(local)}"
    if local.date() == timezone.localtime(now).date():
        return f"at {clock}"
    return f"on {local.day} {local:%b %Y}, {clock}"


def clock(at: datetime, now: datetime) -> str:
    """The same without its first word: "14:02 IST"."""
    return when(at, now).removeprefix("at ").removeprefix("on ")


def calls(number: int) -> str:
    """ "1 call", "1,450 calls"."""
    return f"{number:,} call{'' if number == 1 else 's'}"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _still_run(number: int) -> str:
    return f"{number:,} still {'runs' if number == 1 else 'run'}"


def _said(reason: str) -> str:
    """What the carrier or the connection said, as a sentence."""
    return f"{_upper(reason.rstrip('.'))}."


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]


def _ended(situation: Situation) -> str:
    group, now = situation.group, situation.now
    if group.state == GroupState.CANCELLED:
        reached = f"; {situation.reached:,} of {calls(group.total)} were reached" if situation.handed_over else ""
        return f"Cancelled{_by(situation)}: {_were_cancelled(situation)}{reached}."
    finished = f"Finished {when(group.ended_at or now, now)}"
    if not group.total:
        return f"{finished}: the carrier placed no calls."
    if situation.count(REJECTED) == group.total:
        return f"{finished}: the carrier refused {'it' if group.total == 1 else f'all {calls(group.total)}'}."
    were = "was" if group.total == 1 else "were"
    return f"{finished}: {situation.reached:,} of {calls(group.total)} {were} reached."


def _by(situation: Situation) -> str:
    """Who brought the call group into its state, and when."""
    group = situation.group
    by = f" by {group.state_by}" if group.state_by else ""
    return f"{by} {when(group.state_at, situation.now)}" if group.state_at else by


def _were_cancelled(situation: Situation) -> str:
    number = situation.count(CANCELLED)
    if not number:
        return "nothing was held any more"
    return f"{number:,} held {'call was' if number == 1 else 'calls were'} cancelled"


def _cancelled(situation: Situation) -> str:
    held, running = situation.group.held, situation.at_carrier
    done = _were_cancelled(situation) + (f" so far, {held:,} are still to do" if held else "")
    return f"Cancelled{_by(situation)}: {done}{f'; {_still_run(running)}' if running else ''}."


def _paused(situation: Situation) -> Sentence:
    group = situation.group
    if situation.refused_by_carrier:
        return Sentence(f"Paused by the portal{_by(situation)}. {_stopped(situation)}", "attention")
    held = f"{calls(group.held)} {_are(group.held)} held"
    reason = f" Reason: {group.state_reason}" if group.state_reason else ""
    if not group.total:
        return Sentence(f"Paused{_by(situation)}: nothing is handed over until you resume.{reason}", "waits")
    running = situation.at_carrier
    goes_on = f"; {running:,} {_are(running)} with the carrier and {'goes' if running == 1 else 'go'} on"
    return Sentence(f"Paused{_by(situation)}: {held}{goes_on if running else ''}.{reason}", "waits")


def _stopped(situation: Situation) -> str:
    """Why the portal paused the call group, and what to do about it."""
    group = situation.group
    held = f"{calls(group.held)} {_are(group.held)} held" if group.total else "the request is held"
    said = _said(group.state_reason)
    if _ACCOUNT.match(group.state_reason):
        mended = "an admin has mended that, in the settings or at the carrier"
        return f"{said} {_upper(held)} until {mended}, and somebody presses Resume."
    if not situation.rejected:
        return f"{said} {_upper(held)} until you resume."
    rejected = situation.rejected
    were = f"{calls(rejected)} {'was' if rejected == 1 else 'were'} rejected"
    return f"{said} {were}; {held}, as the carrier would refuse them too. Once that is mended, press Resume."


def _unconfirmed(situation: Situation, otherwise: Sentence) -> str:
    """What waits for a person; and what else is going on, unless that is merely that calls run."""
    number, running = situation.count(UNCONFIRMED), situation.at_carrier
    these = f"{calls(number)} {_are(number)} unconfirmed" if number else "one request is unconfirmed"
    text = f"Waiting for you: {these}. The carrier may have {'them' if number > 1 else 'it'}; "
    text += "nothing is sent again until the carrier reports, or you say what happened."
    if situation.group.state != GroupState.RUNNING or situation.group.held:
        return f"{text} {otherwise.text}"
    return f"{text} {running:,} of the others still {'runs' if running == 1 else 'run'}." if running else text


def _running(situation: Situation) -> Sentence:
    if situation.never:
        return _never(situation, situation.never)
    return _going_on(situation)


def _going_on(situation: Situation) -> Sentence:
    """What a running call group does apart from calls that the calling rules never allow."""
    group = situation.group
    if kept := situation.kept:
        return Sentence(_outside(situation, kept), "waits")
    if situation.state == "scheduled":
        return Sentence(_scheduled(situation), "waits")
    if situation.pending:
        return _waiting(situation, situation.pending)
    if not group.total:
        return Sentence("The carrier has the request; its calls are not known yet.", "works")
    if group.held:
        text = f"Handing over: {situation.handed_over:,} of {calls(group.total)} are with the carrier."
        return Sentence(text, "works")
    text = "The call is with the carrier." if group.total == 1 else "All calls are with the carrier; "
    text += "" if group.total == 1 else f"{_still_run(group.open)}."
    silent = situation.health.silent if situation.health else None
    return Sentence(f"{text} {_silent(silent, situation.now)}", "waits") if silent else Sentence(text, "works")


def _scheduled(situation: Situation) -> str:
    group, at = situation.group, when(situation.group.begins_at, situation.now)
    one = group.total == 1
    if not group.total:
        return _group_scheduled(situation, at)
    if group.waits == Waits.CARRIER and not group.held:
        first = "its call rings" if one else f"the first of {calls(group.total)} rings"
        return f"Scheduled with the carrier: {first} {at}; {'it' if one else 'they'} can't be taken back."
    if group.waits == Waits.CARRIER:
        return f"Scheduled with the carrier {at}; {calls(group.held)} {_are(group.held)} still to be handed over."
    return f"Scheduled: {'its call' if one else f'the first of {calls(group.total)}'} is handed over {at}."


def _group_scheduled(situation: Situation, at: str) -> str:
    """When calls to a contact group of the carrier begin, and whether the carrier has been asked for them."""
    group = f"its group “{situation.group.carrier_group}”"
    if situation.group.waits != Waits.CARRIER:
        return f"Scheduled: the carrier is asked to call {group} {at}."
    if situation.pending:
        return f"Scheduled with the carrier {at}; it is still to be asked to call {group}."
    return f"Scheduled with the carrier: it was asked to call {group} {at}; that can't be taken back."


def _outside(situation: Situation, batch: Batch) -> str:
    """Until when calls are held because people must not be called now, by the clocks here and there."""
    group = situation.group
    held = calls(group.held).replace(" ", " held ", 1) if group.total else "the request"
    go = "go" if group.held > 1 else "goes"
    at, theirs = clock(batch.due_at, situation.now), their_clock(batch.place, batch.due_at)
    why = "Too close to the end of" if batch.kept_by == KeptBy.CLOSING else "Outside"
    return f"{why} calling hours: {held} {go} out from {at}{f' ({theirs})' if theirs else ''}."


def _never(situation: Situation, batch: Batch) -> Sentence:
    """That the calling rules never let some calls go out, and what to do; and what becomes of the others."""
    group, pending = situation.group, situation.pending
    alone = pending is None or pending.kept_by == KeptBy.NEVER
    held = f"{calls(group.held)} {_are(group.held)} held" if alone else "those calls are held"
    held = held if group.total else "the request is held"
    text = (
        f"The calling rules allow no call in {in_words(batch.place)} within {HORIZON.days} days: {held}. Change the "
        "rules, override them for this call group, or cancel."
    )
    return Sentence(text if alone else f"{text} {_going_on(situation).text}", "attention")


def _waiting(situation: Situation, batch: Batch) -> Sentence:
    """Calls are held though the call group runs: they go out one batch after the other, or something keeps them."""
    group = situation.group
    held = f"{group.held:,} held {'call' if group.held == 1 else 'calls'}" if group.total else "the request"
    go = f"{held} {'go' if group.held > 1 else 'goes'} out"
    if not situation.worker_alive:
        return Sentence(f"No worker is running, so nothing is handed over: {go} once one is started.", "attention")
    if kept := _kept(situation, batch, go):
        return Sentence(kept, "waits")
    if not group.total:
        return Sentence(f"Handing over: the carrier is asked to call its group “{group.carrier_group}”.", "works")
    are = _are(situation.handed_over)
    return Sentence(f"Handing over: {situation.handed_over:,} of {calls(group.total)} {are} with the carrier.", "works")


def _kept(situation: Situation, batch: Batch, go: str) -> str:
    """What keeps calls whose turn it is, or until when they wait; empty if nothing does."""
    health, now = situation.health, situation.now
    later, again = batch.due_at > now, bool(batch.attempts and batch.answer)
    until = health.state.wait_until if health else None
    if later and not again:
        text = f"{_upper(go)} {when(batch.due_at, now)}."
    elif trouble := _down(health, now, batch.answer):
        text = f"{trouble} {_upper(go)} by {'themselves' if situation.group.held > 1 else 'itself'} once it answers."
    elif until and until > now:
        text = f"The carrier asked to wait until {clock(until, now)}. {_upper(go)} then."
    elif later:
        text = f"{_said(batch.answer)} {_upper(go)} again {when(batch.due_at, now)}."
    elif failure := _failure(situation):
        text = f"{_said(failure)} {_upper(go)} as soon as the carrier answers."
    elif not situation.handed_over and batch.due_at < now - LATE:
        text = f"Due since {clock(batch.due_at, now)}: {go} in turn; other call groups are being handed over."
    else:
        text = ""
    return text


def _failure(situation: Situation) -> str:
    """How the carrier fails just now; empty if its last answer was a good one, or the failure is old news."""
    carrier = situation.carrier
    if carrier is None or not carrier.failure or not carrier.failed_at or carrier.failed_at < situation.now - RECENT:
        return ""
    return carrier.failure


# --- The carrier ---------------------------------------------------------------------------------------------------


def carrier_trouble(health: CarrierHealth | None, now: datetime) -> str:
    """What keeps calls from going to this carrier, or their statuses from coming, for all call groups at once.

    Empty if nothing does.
    """
    if health is None:
        return ""
    if trouble := _down(health, now):
        return f"{trouble} Held calls go out by themselves once it answers."
    if health.state.wait_until and health.state.wait_until > now:
        return f"The carrier asked to wait until {clock(health.state.wait_until, now)}. Held calls go out then."
    if health.silent:
        return f"{_upper(_silent(health.silent, now, 'The carrier'))} Calls go on."
    return ""


def _down(health: CarrierHealth | None, now: datetime, answer: str = "") -> str:
    """That the carrier takes no calls, since when and why, and when one request is tried; empty if it does take them.

    `answer` is what the last request got back, in case questions have been answered since.
    """
    breaker = health.down if health else None
    if health is None or breaker is None or breaker.opened_at is None:
        return ""
    why = health.state.failure or answer
    since = f"The carrier is down: it has taken no calls since {clock(breaker.opened_at, now)}."
    return f"{since}{f' {_said(why)}' if why else ''} One request is tried {_next(breaker, now)}."


def _silent(breaker: CarrierBreaker, now: datetime, who: str = "It") -> str:
    """That the carrier answers no questions about calls, since when, and when it is asked again."""
    since = f"{who} has not answered questions about calls since {clock(breaker.opened_at or now, now)}"
    return f"{since}; it is asked again {_next(breaker, now)}."


def breaker_sentence(breaker: CarrierBreaker | None, now: datetime) -> str:
    """What the breaker for one kind of requests does; None is one that never had to do anything."""
    if breaker is None or not breaker.failures:
        return "Requests are made."
    failed = "The last one failed" if breaker.failures == 1 else f"The last {breaker.failures:,} in a row failed"
    if breaker.opened_at is None:
        return f"Requests are made. {failed}."
    since = f"Since {clock(breaker.opened_at, now)}. {failed}"
    return f"{since}; one is tried {_next(breaker, now)}, and all go on by themselves once one is answered."


def _next(breaker: CarrierBreaker, now: datetime) -> str:
    if breaker.next_trial < now + timedelta(minutes=1):
        return "within a minute"
    return f"about {clock(breaker.next_trial, now)}"
