"""`voice.call`: start calls (OBD-API.md), validated by the table that the form uses, started by the same core."""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.http import HttpRequest
from django.utils import timezone

from calls.api.context import context
from calls.api.errors import ApiError
from calls.api.status import mobile_of, word_of
from calls.carriers import get_carrier
from calls.dialing.places import place_of
from calls.dialing.plan import DUPLICATE_REASON, make_plan
from calls.dialing.request import NotAvailable, Options, find_groups, find_play
from calls.dialing.rules import Refusal, planned, rules_for
from calls.dialing.start import CannotStart, NobodyToCall, Starter, start, start_listed
from calls.models import (
    IVR,
    APIKey,
    CallGroup,
    CallRequest,
    ContactGroup,
    Idempotency,
    Outcome,
    PlannedCall,
    RequestState,
    Sound,
    User,
)
from calls.obd.parameters import MAX_NUMBERS, clean_call
from calls.obd.replies import SUCCESS, Reply, Row
from calls.obd.statuses import Status
from calls.obd.values import CallParameters, Play

logger = logging.getLogger(__name__)

KEPT = timedelta(hours=24)
"""How long the answer to a request with an `Idempotency-Key` is given again."""

NOT_KNOWN = (
    "The database was lost at the last step: whether calls were started is not known. Ask for them before you "
    "repeat this, or repeat it with the same Idempotency-Key."
)

NONE_CALLED = "400"
"""Status of the answer where no number can be called."""

WORDS = {
    Outcome.DUPLICATE: "DUPLICATE",
    Outcome.SUPPRESSED: "DND",
    Outcome.INVALID: "INVALID",
    Outcome.CAPPED: "CAPPED",
}

NOT_TOLD = {Outcome.SUPPRESSED: "on a suppression list", Outcome.CAPPED: "called often enough that day"}
"""Why a number is not called, where the whole reason is nothing for programs."""


def voice_call(request: HttpRequest, key: APIKey, parameters: Mapping[str, str]) -> Reply:
    """Start calls to numbers or contact groups. Raises ApiError 400, 403, 404, 409 or 500; ParameterErrors.

    With an `Idempotency-Key`, the same request gets the same answer for 24 hours and starts nothing again.
    """
    if not key.user.can_start_calls:
        raise ApiError(403, "The profile of this API key does not allow to start calls.")
    token = _token(request)
    reply: Reply | None = None
    try:
        with transaction.atomic():
            kept = _keep(key, token, parameters) if token else None
            if kept and kept.answer:
                return _reply(kept.answer)
            # Not before: what was right then may be wrong now, such as a time that is 15 minutes ahead.
            started = _start(key, clean_call(parameters, context()))
            if kept and started.ok:
                kept.answer = {**asdict(started), "rows": [asdict(row) for row in started.rows]}
                kept.save(update_fields=["answer"])
            elif kept:
                kept.delete()  # nothing was started: the request can be corrected
            reply = started
    except (OperationalError, InterfaceError) as error:
        if reply is None:
            raise
        # The COMMIT itself was not answered: it may have been done all the same.
        logger.exception("The database was lost while calls were started")
        raise ApiError(500, NOT_KNOWN) from error
    return reply


def _token(request: HttpRequest) -> str:
    token = request.headers.get("Idempotency-Key", "")
    if token and not (len(token) <= 64 and token.isascii() and token.isprintable()):
        raise ApiError(400, "Idempotency-Key: not 1 to 64 printable characters")
    return token


def _keep(key: APIKey, token: str, parameters: Mapping[str, str]) -> Idempotency:
    """The row of this token. A second request with it waits here until the first one has its answer."""
    text = json.dumps(sorted((name, value) for name, value in parameters.items() if name != "api_key"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    now = timezone.now()
    Idempotency.objects.filter(api_key=key, key=token, created_at__lt=now - KEPT).delete()
    Idempotency.objects.bulk_create(
        [Idempotency(api_key=key, key=token, digest=digest, created_at=now)], ignore_conflicts=True
    )
    row = Idempotency.objects.select_for_update().get(api_key=key, key=token)
    if row.digest != digest:
        raise ApiError(409, "Idempotency-Key: used before with other parameters")
    return row


def forget_answers() -> None:
    """Delete the answers that are not given again."""
    Idempotency.objects.filter(created_at__lt=timezone.now() - KEPT).delete()


def _reply(answer: Mapping[str, Any]) -> Reply:
    return Reply(**{**answer, "rows": tuple(Row(**row) for row in answer["rows"])})


def _start(key: APIKey, asked: CallParameters) -> Reply:
    try:
        play = _play(key.user, asked.play) if asked.play else ""
        groups = find_groups(key.user, asked.group_ids, asked.group_name) if asked.group_ids or asked.group_name else []
    except NotAvailable as error:
        raise ApiError(404, f"{error.parameter}: {error}") from error
    options = Options(
        play=play,
        message="" if play else asked.message,
        traffic=key.traffic,
        retries=asked.retries,
        campaign=asked.campaign,
        newgroup=asked.newgroup,
        schedule_time=asked.scheduletime,
        delay=asked.delay,
        meta=dict(asked.meta) if asked.meta is not None else None,
        callback=asked.callback,
        custom=",".join(asked.custom) if groups else "",
        contact_groups=tuple(group.pk for group in groups),
        carrier_group=_carrier_group(groups),
    )
    try:
        return _to_groups(key, options) if groups else _to_numbers(key, options, asked)
    except CannotStart as error:
        raise ApiError(404, f"play: There is no {play} that you may use.") from error


def _play(user: User, play: Play) -> str:
    """The reference of what is heard. Raises NotAvailable, unless starting finds out in the same way."""
    kind = Sound if play.kind == "sound" else IVR
    return str(play) if kind.objects.all().all_visible_to(user) else find_play(user, play).reference


def _carrier_group(groups: Sequence[ContactGroup]) -> str:
    held = [group for group in groups if group.held_by_carrier]
    if held and len(groups) > 1:
        raise ApiError(400, f"group: the carrier holds “{held[0].name}”, which can only be called by itself")
    return held[0].carrier_group if held else ""


# --- Numbers -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Listed:
    """One of the numbers asked for, as E.164 or, where it is no number, as it came; and why it isn't called."""

    number: str
    custom: str
    outcome: Outcome = Outcome.CALLABLE
    reason: str = ""

    @property
    def told(self) -> str:
        """Why it isn't called, as programs may know it."""
        return NOT_TOLD.get(self.outcome, self.reason)

    def row(self, obd_id: str, word: str) -> Row:
        """Its row in the answer; `word` is that of a call."""
        mobile = mobile_of(self.number) if self.number.startswith("+") else self.number
        return Row(id=obd_id, mobile=mobile, status=WORDS.get(self.outcome, word), custom=self.custom)


def _to_numbers(key: APIKey, options: Options, asked: CallParameters) -> Reply:
    now = timezone.now()
    numbers = [token.number for token in asked.numbers if token.number]
    refused, rules = rules_for(options, now, get_carrier(settings.CARRIER)).refusals(numbers)
    listed = _plan(asked, refused)
    called = [each for each in listed if each.outcome == Outcome.CALLABLE]
    if not called:
        _note_left_out(key, options, listed, planned(rules, now), None)
        reasons = "; ".join(dict.fromkeys(each.told for each in listed))
        rows = tuple(each.row("", "") for each in listed)
        return Reply(NONE_CALLED, f"numbers: none can be called; {reasons}", rows=rows)
    to_call = [(each.number, each.custom) for each in called]
    group, positions = start_listed(Starter(key.user, key), options, to_call, rules, now)
    if len(called) < len(listed):
        _note_left_out(key, options, listed, planned(rules, now), group)
    word = word_of(Status.HELD, group.due_at, timezone.now())
    ids = {number: f"{group.pk}-{n}" for number, n in positions.items()}
    rows = tuple(each.row(ids[each.number] if each.outcome == Outcome.CALLABLE else "", word) for each in listed)
    return Reply(SUCCESS, "OK", group_id=str(group.pk), rows=rows)


def _note_left_out(
    key: APIKey, options: Options, listed: Sequence[_Listed], rules: dict[str, Any], group: CallGroup | None
) -> None:
    """Keep on record who is not called and why, and the `rules`, as a plan does; `group` has the others' calls."""
    asked = CallRequest.objects.create(
        owner=key.user,
        api_key=key,
        typed={},
        options=options.as_json(),
        state=RequestState.STARTED if group else RequestState.REFUSED,
        expected=len(listed),
        seen=len(listed),
        rules=[rules],
        call_group=group,
        **Counter(str(each.outcome) for each in listed),
    )
    PlannedCall.objects.bulk_create(
        PlannedCall(
            request=asked,
            position=position,
            number=each.number[:80],
            custom=each.custom,
            place=place_of(each.number),
            outcome=each.outcome,
            reason=each.reason[:300],
        )
        for position, each in enumerate(listed, 1)
        if each.outcome != Outcome.CALLABLE
    )


def _plan(asked: CallParameters, refused: Mapping[str, Refusal]) -> list[_Listed]:
    """What becomes of each number, in their order."""
    customs = asked.custom or ("",) * len(asked.numbers)
    seen: set[str] = set()
    listed = []
    for token, custom in zip(asked.numbers, customs, strict=True):
        if token.number is None:
            listed.append(_Listed(token.raw, custom, Outcome.INVALID, token.reason))
        elif refusal := refused.get(token.number):
            listed.append(_Listed(token.number, custom, refusal.outcome, refusal.reason))
        elif token.number in seen:
            listed.append(_Listed(token.number, custom, Outcome.DUPLICATE, DUPLICATE_REASON))
        else:
            listed.append(_Listed(token.number, custom))
        seen.add(token.number or "")
    return listed


# --- Contact groups ----------------------------------------------------------------------------------------------


def _to_groups(key: APIKey, options: Options) -> Reply:
    """Plan and start as the browser does; a group's numbers are already known to be valid."""
    asked = CallRequest.objects.create(owner=key.user, api_key=key, typed={}, options=options.as_json())
    make_plan(asked)
    first = list(asked.planned.filter(position__lte=MAX_NUMBERS).order_by("position"))
    try:
        group = start(asked.pk)
    except NobodyToCall:
        return _none_of(asked, first)
    asked.refresh_from_db()
    rows = () if options.carrier_group else tuple(_first_rows(group, first))
    return Reply(SUCCESS, "OK", group_id=str(group.pk), rows=rows, total=asked.seen)


def _none_of(asked: CallRequest, first: Sequence[PlannedCall]) -> Reply:
    """The answer where no contact can be called; the plan stays, for it says why."""
    asked.refresh_from_db()
    if not asked.seen:
        raise ApiError(400, "group: no number of it can be called: there is none")
    asked.state = RequestState.REFUSED
    asked.save(update_fields=["state"])
    counts = {"suppressed": asked.suppressed, "capped": asked.capped, "invalid": asked.invalid}
    why = ", ".join(f"{count:,} are {what}" for what, count in counts.items() if count)
    message = f"group: no number of it can be called: {why}"
    return Reply(NONE_CALLED, message, rows=tuple(_first_rows(None, first)), total=asked.seen)


def _first_rows(group: CallGroup | None, first: Sequence[PlannedCall]) -> Iterator[Row]:
    """The first numbers in the order of the contacts, of which `group` has those that are called."""
    numbers = [row.number for row in first if row.outcome == Outcome.CALLABLE]
    calls = {call.number: call for call in group.calls.filter(number__in=numbers)} if group else {}
    word = word_of(Status.HELD, group.due_at, timezone.now()) if group else ""
    for row in first:
        call = calls.get(row.number) if row.outcome == Outcome.CALLABLE else None
        # What the plan would have called and is no call was suppressed in between.
        said = word if call else WORDS.get(Outcome(row.outcome), WORDS[Outcome.SUPPRESSED])
        yield Row(call.obd_id if call else "", mobile_of(row.number), said, custom=row.custom)
