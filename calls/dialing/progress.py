"""Progress: what the carrier says became of calls, written to them.

Each batch that was handed over is asked about until its calls are final: soon while things change, more and more
rarely while they don't. A carrier that can reach us also reports by itself (:mod:`calls.dialing.incoming`).
"""

import random
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import chain, groupby, islice

from django.conf import settings
from django.db import transaction
from django.db.models import F, Min, Q, QuerySet
from django.utils import timezone

from calls.carriers import get_carrier
from calls.carriers.base import AskedCall, CarrierError, NoAnswer, Question, Report
from calls.dialing import evidence, rules
from calls.dialing.changes import CARRIER, PORTAL, Change, calls_of, end_if_over, move, write
from calls.dialing.jobs import hand_over_lane_later
from calls.dialing.locks import locked
from calls.dialing.pacing import NotNow, one_request
from calls.models import Batch, BatchState, Call, CallGroup, GroupState, RequestKind
from calls.obd.statuses import AT_CARRIER, FINAL, NOT_REACHED, Status, advance, from_word

SHORTEST_GAP, LONGEST_GAP = 2.0, 60.0
"""Seconds between two questions about a batch; grows by half while nothing changes, GROWS times."""

GROWS = 10

QUIET = 10
"""Questions without anything new after which a group that the carrier holds has no more calls."""

JITTER = 0.2
"""A gap is up to this part shorter or longer, so that questions are spread out."""

TURN_SECONDS = 5.0
"""A job asks no further question after this, and queues again behind others."""

CLOCK_SLACK = timedelta(minutes=5)
"""A carrier's clock may be off by so much."""

STEP = 500
"""Reports written in one transaction."""

LISTED_EXPIRES = timedelta(days=3)
"""So long after they should have rung calls expire though the carrier still says that it has them."""

SILENT = timedelta(hours=1)
"""A carrier that answered about calls so shortly before may have them still, though it can't be asked just now."""

MOST_KEYS = 40
"""Pressed keys that are kept of a call."""

UNSETTLED = (BatchState.UNCONFIRMED, BatchState.PENDING)
"""What a callback settles: by that the carrier took it."""

ASKABLE = (BatchState.ACCEPTED, BatchState.UNCONFIRMED)


def gap_after(checks: int) -> timedelta:
    """How long to wait after so many questions about a batch without anything new."""
    gap = min(SHORTEST_GAP * 1.5 ** min(checks, GROWS), LONGEST_GAP)
    return timedelta(seconds=gap * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311


def follow(call_group_id: int) -> datetime | None:
    """Ask about this call group's batches that are due. Returns when to go on (aware); None: nothing is left."""
    group = CallGroup.objects.get(pk=call_group_id)
    due = group.batches.filter(state__in=ASKABLE, check_at__lte=timezone.now()).order_by("carrier_group", "first")
    ends = time.monotonic() + TURN_SECONDS
    for batches in _asked_together(due):
        if time.monotonic() > ends:
            return timezone.now()
        try:
            check(group, batches)
        except NotNow as error:
            for batch in due:
                expire(group, batch)
            group.batches.filter(state__in=ASKABLE, check_at__lte=timezone.now()).update(check_at=error.at)
            break
    return next_check(call_group_id)


def _asked_together(batches: Iterable[Batch]) -> Iterator[list[Batch]]:
    """Batches in one group of the carrier's are answered together; others one by one."""
    for carrier_group, found in groupby(batches, key=lambda batch: batch.carrier_group):
        if carrier_group:
            yield list(found)
        else:
            yield from ([batch] for batch in found)


def next_check(call_group_id: int) -> datetime | None:
    """When to look at the call group again (aware); None when there will be nothing to ask, unless it is resumed."""
    batches = Batch.objects.filter(call_group=call_group_id)
    next_at = batches.filter(check_at__isnull=False).aggregate(at=Min("check_at"))["at"]
    goes_out = Q(state=BatchState.SENDING) | Q(state=BatchState.PENDING, call_group__state=GroupState.RUNNING)
    unsent = batches.filter(goes_out).aggregate(at=Min("due_at"))["at"]
    if next_at is None and unsent is None:
        return None
    soonest = timezone.now() + timedelta(seconds=SHORTEST_GAP / 2)
    # While batches are still being handed over, new ones to ask about appear all the time.
    unsent = unsent and max(unsent, soonest + timedelta(seconds=1))
    soon: datetime = min(at for at in (next_at, unsent) if at)
    return max(soonest, soon)


def check(group: CallGroup, batches: Sequence[Batch]) -> None:
    """Ask the carrier about batches that it answers together, and write down what it says. Raises NotNow."""
    question = _question(group, batches)
    listed: set[str] = set()
    whole = answered = False
    changed = 0
    try:
        carrier = get_carrier(group.carrier)
        if evidence.is_repeat_open(group, batches[0]):
            # Its answers to anything tell whether it would know a repeat; perhaps none came so far.
            with suppress(CarrierError), one_request(carrier, RequestKind.CHECK):
                carrier.check()
        reports = carrier.reports(question, partial(one_request, carrier, RequestKind.STATUS))
        reports = _noted(reports, listed)
        first = list(islice(reports, 1))
        changed = record(group.pk, chain(first, reports), CARRIER, since=question.sent_at)
        # Nothing came: perhaps nothing was asked, where neither the carrier's group nor its IDs are known.
        whole = answered = bool(first)
    except NoAnswer:
        pass
    for batch in batches:
        if whole and question.group:
            _settle_by_absence(batch, question.group, listed)
        elif evidence.may_repeat(group, batch):
            Batch.objects.filter(pk=batch.pk).update(repeats=True)
            hand_over_lane_later(group.pk, batch.lane, timezone.now())
        expire(group, batch, listed)
        _check_later(group, batch, changed=bool(changed), answered=answered)


def _noted(reports: Iterator[Report], listed: set[str]) -> Iterator[Report]:
    """The reports, while their OBD IDs and numbers are put into `listed`."""
    for report in reports:
        listed.update({report.obd_id, report.number} - {""})
        yield report


def _question(group: CallGroup, batches: Sequence[Batch]) -> Question:
    carrier_group = batches[0].carrier_group or evidence.sibling_group(group, batches[0])
    calls = [] if carrier_group else calls_of(batches[0]).filter(status__in=AT_CARRIER)
    sent_at = min(batch.sent_at or timezone.now() for batch in batches)
    return Question(
        calls=[AskedCall(call.obd_id, call.number, call.carrier_id) for call in calls],
        sent_at=sent_at,
        group=carrier_group,
        play=group.play,
        retries=rules.retries_of(batches[0]),
        schedule_time=rules.scheduled(group, sent_at),
        delay=rules.delayed(group, sent_at),
    )


def _settle_by_absence(batch: Batch, carrier_group: str, listed: set[str]) -> None:
    """Call an unconfirmed batch after all, where the carrier's list shows that it never took it."""
    with transaction.atomic():
        group = locked(batch.call_group_id)
        batch.refresh_from_db()
        if evidence.is_absent(group, batch, carrier_group, listed):
            note = f"The carrier lists later calls in its group {carrier_group} and none of these: it was not placed."
            evidence.settle_not_placed(group, batch, note)


def record(call_group_id: int, reports: Iterable[Report], source: str, since: datetime) -> int:
    """Write reports about calls of this call group: how many calls changed.

    `since` (aware) is when the calls were handed over: a report of an older call to the same number isn't theirs.
    """
    changed = 0
    reports = iter(reports)
    while chunk := list(islice(reports, STEP)):
        with transaction.atomic():
            group = locked(call_group_id)
            if group.carrier_group:
                # Its `custom` was not made by us, so it is no OBD ID of ours however it looks.
                chunk = [replace(report, obd_id="") for report in chunk if report.number]
                _learn_calls(group, {report.number: report for report in chunk if not _is_older(report, since)})
            pairs = _pairs(group, chunk, since)
            _settle_by_evidence(group, [call for call, _ in pairs if call.status == Status.UNCONFIRMED])
            changed += write([_change(call, report) for call, report in pairs], source)
            for call, report in _pairs(group, [each for each in chunk if each.digits], since, FINAL):
                if report.digits[:MOST_KEYS] not in call.digits:
                    _learn_keys(call, report.digits[:MOST_KEYS])
    return changed


def _pairs(
    group: CallGroup,
    reports: Iterable[Report],
    since: datetime,
    statuses: Collection[Status] = (*AT_CARRIER, Status.SENDING),
) -> list[tuple[Call, Report]]:
    """The open calls of the call group that are reported about, each with its report.

    Our OBD ID tells a call by itself. Else the number does, and where the carrier lists several calls to it, which
    similar call groups or earlier ones can cause, its own ID or the time.
    """
    by_n: dict[int, Report] = {}
    by_number: dict[str, list[Report]] = defaultdict(list)
    for report in reports:
        call_group, _, n = report.obd_id.partition("-")
        if call_group == str(group.pk):
            by_n[int(n)] = report
        elif not report.obd_id:
            by_number[report.number].append(report)
    calls = Call.objects.filter(
        Q(n__in=by_n) | Q(number__in=by_number), call_group=group, status__in=statuses
    ).order_by("n")
    found = ((call, by_n.get(call.n) or _best(call, by_number[call.number], since)) for call in calls)
    return [(call, report) for call, report in found if report]


def _best(call: Call, reports: Sequence[Report], since: datetime) -> Report | None:
    """Of the reports about the number of a call, the one that is about the call: sent when it was."""

    def apart(report: Report) -> timedelta:
        if report.sent_at is None or call.handed_over_at is None:
            return timedelta.max
        return abs(report.sent_at - call.handed_over_at)

    return min((report for report in reversed(reports) if _fits(call, report, since)), key=apart, default=None)


def _fits(call: Call, report: Report, since: datetime) -> bool:
    """Whether a report about the number of a call may be about that call and not about another one."""
    if call.carrier_id and report.carrier_id:
        return call.carrier_id == report.carrier_id
    if _is_older(report, since):
        return False
    # Only a number: enough to go on where the carrier took the batch, too little to say that it took it.
    return call.status not in (Status.SENDING, Status.UNCONFIRMED) or report.sent_at is not None


def _is_older(report: Report, since: datetime) -> bool:
    return report.sent_at is not None and report.sent_at < since - CLOCK_SLACK


def _change(call: Call, report: Report) -> Change:
    status = advance(Status(call.status), from_word(report.word))
    ended_at = report.ended_at or timezone.now() if status.is_final else None
    retries = None if report.retries is None else max(report.retries, call.retries)
    return Change(
        call,
        status=status,
        word=report.word,
        carrier_id=report.carrier_id,
        retries=retries,
        rings=_rang(call, status, retries),
        answered_at=report.answered_at,
        ended_at=ended_at,
        duration=report.duration,
        digits=report.digits,
    )


def _rang(call: Call, status: Status, retries: int | None) -> int | None:
    """How often a call rang, from its last report; while that isn't certain, more than was known if it did, else None.

    Of a call that was not reached, carriers that don't count its retries say 0.
    """
    if retries is None or not status.is_final or (status in NOT_REACHED and not retries):
        return 1 + retries if retries and retries >= call.rings else None
    return 1 + retries


def _learn_calls(group: CallGroup, reports: dict[str, Report]) -> None:
    """Add the calls of a contact group that the carrier holds: it picked the numbers."""
    known = set(Call.objects.filter(call_group=group, number__in=reports).values_list("number", flat=True))
    now, rings = timezone.now(), rules.rings_of(group.batches.get())
    Call.objects.bulk_create(
        Call(
            call_group=group,
            n=n,
            number=number,
            custom=group.custom,
            status=Status.QUEUED,
            carrier_id=reports[number].carrier_id,
            created_at=now,
            handed_over_at=reports[number].sent_at or now,
            rings=rings,
        )
        for n, number in enumerate((number for number in reports if number not in known), group.total + 1)
    )


def _settle_by_evidence(group: CallGroup, seen: Sequence[Call]) -> None:
    """The carrier reports a call of an unconfirmed batch, so it took that batch."""
    for batch in group.batches.filter(state=BatchState.UNCONFIRMED) if seen else ():
        named = [call for call in seen if batch.first <= call.n <= batch.last]
        if named:
            evidence.settle_placed(group, batch, f"The carrier reports calls of it: {named[0].obd_id}.")
            for call in named:
                call.status = Status.QUEUED


def called_back(batch_id: int, report: Report) -> bool:
    """Write what the carrier reported by itself of a call of this batch; False if it is about no call of it.

    It proves that the carrier took the batch: even if it seemed not to have got there, its calls are not handed over
    again. Costs two small reads where it says nothing new.
    """
    batch = Batch.objects.filter(pk=batch_id).first()
    if batch is None:
        return False
    named = _named(batch, report)
    if named is None if batch.last else not report.number:
        return False
    if named and named.status in FINAL and report.digits[:MOST_KEYS] not in named.digits:
        _learn_keys(named, report.digits[:MOST_KEYS])
    if named and batch.state not in UNSETTLED and not (named.status not in FINAL and _change(named, report).is_news):
        return True
    with transaction.atomic():
        group = locked(batch.call_group_id)
        batch.refresh_from_db()
        if batch.state in UNSETTLED:
            about = named.obd_id if named else "one of its calls"
            evidence.settle_placed(group, batch, f"The carrier called back about {about}.")
        if named is None:
            record(group.pk, [report], CARRIER, since=group.created_at)
            return True
        named.refresh_from_db()
        if named.status in {*AT_CARRIER, Status.SENDING}:
            write([_change(named, report)], CARRIER)
    return True


def _learn_keys(call: Call, digits: str) -> None:
    """Keep the keys that the carrier tells after a call's end, besides those known: one may mean to call no more."""
    with transaction.atomic():
        locked(call.call_group_id)
        call.refresh_from_db(fields=["digits"])
        if digits not in call.digits:
            known = "" if call.digits in digits else call.digits
            Call.objects.filter(pk=call.pk).update(digits=f"{known}{digits}"[-MOST_KEYS:])


def _named(batch: Batch, report: Report) -> Call | None:
    """The call of the batch that is meant: by our OBD ID, the carrier's ID or the number."""
    calls = calls_of(batch)
    group, _, n = report.obd_id.partition("-")
    if report.obd_id:
        return calls.filter(n=n).first() if group == str(batch.call_group_id) else None
    found = calls.filter(carrier_id=report.carrier_id).first() if report.carrier_id else None
    return found or (calls.filter(number=report.number).first() if report.number else None)


def _followed(batch: Batch) -> QuerySet[Call]:
    """The calls that the carrier is asked about with this batch: of a group that it holds, all it has told of."""
    return calls_of(batch) if batch.last else Call.objects.filter(call_group=batch.call_group_id)


def _given_up(group: CallGroup, batch: Batch) -> bool:
    """Whether it is so long after the calls should have rung that nothing more will be heard of them."""
    return _waited(group, batch) >= timedelta(hours=settings.CALL_EXPIRES)


def _waited(group: CallGroup, batch: Batch) -> timedelta:
    now = timezone.now()
    return now - rules.rings_at(group, batch.sent_at or now)


def expire(group: CallGroup, batch: Batch, listed: Collection[str] = ()) -> int:
    """End calls that the carrier never finished: how many. Unconfirmed ones stay for a person to settle.

    Not what it has just told of (`listed`: OBD IDs and numbers), which it may still make; nor any, where it can't be
    asked for a while. Only after LISTED_EXPIRES nothing keeps them.
    """
    if not _given_up(group, batch):
        return 0
    now, kept = timezone.now(), _waited(group, batch) < LISTED_EXPIRES
    if kept and not listed and batch.checked_at and now - batch.checked_at < SILENT:
        return 0
    with transaction.atomic():
        locked(group.pk)
        stale = _followed(batch).filter(status__in=[Status.QUEUED, Status.INPROGRESS])
        if kept:
            ours = (call for call in stale.only("n", "number", "call_group") if _is_told(call, listed))
            stale = stale.exclude(pk__in=[call.pk for call in ours])
        note = f"No final status after {settings.CALL_EXPIRES:g} hours."
        return move(stale, Status.EXPIRED, PORTAL, note, ended_at=now)


def _is_told(call: Call, listed: Collection[str]) -> bool:
    return call.obd_id in listed or call.number in listed


def _check_later(group: CallGroup, batch: Batch, *, changed: bool, answered: bool) -> None:
    """Set when the batch is asked about again: never, once its calls are final."""
    now = timezone.now()
    checks = 0 if changed else batch.checks + 1
    goes_on = _followed(batch).filter(status__in=AT_CARRIER).exists() or _may_grow(group, batch, checks)
    Batch.objects.filter(pk=batch.pk).update(
        check_at=now + gap_after(checks) if goes_on else None,
        checks=checks,
        checked_at=now if answered else F("checked_at"),
    )
    if not (goes_on or batch.last):
        end_if_over(group.pk)


def _may_grow(group: CallGroup, batch: Batch, checks: int) -> bool:
    """Whether calls may still become known: the carrier lists those of a group that it holds when it makes them."""
    if batch.last or _given_up(group, batch):
        return False
    return checks < QUIET or not _followed(batch).exists()
