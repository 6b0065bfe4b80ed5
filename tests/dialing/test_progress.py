"""Progress: reports of the carrier find their calls, settle what was unknown, and never undo a final status."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from calls.carriers.base import Accepted, NoAnswer, Question, Report, Unconfirmed
from calls.dialing import handover, progress, steer
from calls.dialing.pacing import NotNow
from calls.models import BatchState, Call, CallGroup, CarrierState, User, Waits
from calls.obd.statuses import Status
from tests.dialing.helpers import Carrier, batch, call, freeze, statuses, use
from tests.factories import make_call_group, make_user, number

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)
EXPIRES_AFTER = timedelta(hours=6)  # the setting's default


@pytest.fixture
def operator() -> User:
    return make_user()


@pytest.fixture
def carrier(monkeypatch: pytest.MonkeyPatch) -> Carrier:
    told = Carrier()
    use(told, monkeypatch)
    freeze(monkeypatch, NOON)
    return told


def handed_over(user: User, calls: int = 1, **options: Any) -> CallGroup:
    """A call group all of whose batches the carrier has answered."""
    group = make_call_group(user, calls, **options)
    handover.hand_over(group.pk, 0)
    group.refresh_from_db()
    return group


def unconfirmed(user: User, carrier: Carrier, calls: int = 1, **options: Any) -> CallGroup:
    """A call group of which nobody knows whether the carrier took it."""
    answer, carrier.answer = carrier.answer, Unconfirmed("Timed out.")
    group = handed_over(user, calls, **options)
    carrier.answer = answer
    return group


def told(group: CallGroup, *reports: Report) -> int:
    """Record what the carrier says of the call group's calls, which were handed over at noon."""
    return progress.record(group.pk, reports, "carrier", since=NOON)


def follow(group: CallGroup) -> datetime | None:
    """Ask about all batches of the call group, due or not."""
    group.batches.filter(check_at__isnull=False).update(check_at=NOON - timedelta(days=9))
    return progress.follow(group.pk)


# --- Whose report is it? ------------------------------------------------------------------------------------------


def test_matched_by_our_own_id(operator: User, carrier: Carrier) -> None:
    group = handed_over(operator, 2)
    # Carriers mask numbers, and their clocks may be anywhere: our own ID is enough.
    long_ago = NOON - timedelta(days=1)
    assert told(group, Report("", "BUSY", obd_id=f"{group.pk}-2", sent_at=long_ago)) == 1
    assert statuses(group) == ["QUEUED", "BUSY"]


def test_matched_by_the_carriers_id(operator: User, carrier: Carrier) -> None:
    carrier.answer = lambda order: Accepted(ids={each.obd_id: f"c{each.number}" for each in order.calls})
    group = handed_over(operator, 2)
    report = Report(number(1), "BUSY", carrier_id=f"c{number(1)}", sent_at=NOON - timedelta(days=1))
    assert told(group, report) == 1
    assert statuses(group) == ["QUEUED", "BUSY"]


def test_matched_by_number_alone(operator: User, carrier: Carrier) -> None:
    group = handed_over(operator, 2)
    assert told(group, Report(number(1), "BUSY")) == 1
    assert statuses(group) == ["QUEUED", "BUSY"]


def test_the_carriers_id_is_learnt_from_a_report(operator: User, carrier: Carrier) -> None:
    group = handed_over(operator)
    told(group, Report(number(0), "INPROGRESS", carrier_id="c1"))
    assert call(group).carrier_id == "c1"
    assert told(group, Report(number(0), "BUSY", carrier_id="c2")) == 0
    assert told(group, Report(number(0), "COMPLETED", carrier_id="c1")) == 1
    assert statuses(group) == ["COMPLETED"]


@pytest.mark.parametrize(
    "stray",
    [
        Report(number(0), "BUSY", obd_id="999999999-1"),
        Report(number(0), "BUSY", obd_id="0-1"),
        Report(number(5), "BUSY"),
        Report("", "BUSY"),
        Report(number(0), "BUSY", carrier_id="somebody else's"),
        Report(number(0), "BUSY", sent_at=NOON - timedelta(minutes=6)),
        Report(number(0), "BUSY", sent_at=NOON - timedelta(days=30)),
    ],
    ids=["another group's", "no group's", "another number", "no number", "another call", "older", "old"],
)
def test_reports_of_other_calls_are_ignored(operator: User, carrier: Carrier, stray: Report) -> None:
    carrier.answer = lambda order: Accepted(ids={each.obd_id: "c1" for each in order.calls})
    group = handed_over(operator)
    if stray.sent_at:
        Call.objects.update(carrier_id="")
    assert told(group, stray) == 0
    assert statuses(group) == ["QUEUED"]


def test_our_id_with_another_n_is_not_this_call(operator: User, carrier: Carrier) -> None:
    group = handed_over(operator, 2)
    assert told(group, Report(number(0), "BUSY", obd_id=f"{group.pk}-99")) == 0
    assert statuses(group) == ["QUEUED", "QUEUED"]


def test_a_clock_that_is_a_little_off_does_not_matter(operator: User, carrier: Carrier) -> None:
    group = handed_over(operator)
    assert told(group, Report(number(0), "BUSY", sent_at=NOON - timedelta(minutes=4))) == 1


@pytest.mark.parametrize("turned", [False, True])
def test_of_two_calls_to_a_number_each_gets_its_own_report(operator: User, carrier: Carrier, turned: bool) -> None:
    """The carrier lists similar call groups of ours as one, so the number is in its list twice."""
    carrier.answer = lambda order: Accepted("G7", {each.obd_id: f"c{each.obd_id}" for each in order.calls})
    group = handed_over(operator)
    other = handed_over(operator)
    reports = [
        Report(number(0), "COMPLETED", carrier_id=f"c{group.pk}-1", sent_at=NOON),
        Report(number(0), "BUSY", carrier_id=f"c{other.pk}-1", sent_at=NOON),
    ]
    if turned:
        reports.reverse()
    told(group, *reports)
    told(other, *reports)
    assert (statuses(group), statuses(other)) == (["COMPLETED"], ["BUSY"])


def test_of_two_reports_without_ids_the_one_sent_with_the_call_counts(operator: User, carrier: Carrier) -> None:
    group = handed_over(operator)
    told(
        group,
        Report(number(0), "BUSY", sent_at=NOON - timedelta(minutes=4)),
        Report(number(0), "COMPLETED", sent_at=NOON + timedelta(seconds=1)),
        Report(number(0), "FAILED", sent_at=NOON + timedelta(hours=1)),
    )
    assert statuses(group) == ["COMPLETED"]


def test_a_held_call_is_not_reported_about(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 1)
    assert told(group, Report(number(0), "COMPLETED")) == 0
    assert statuses(group) == ["HELD"]


def test_a_call_that_is_just_being_sent_needs_more_than_a_number(operator: User, carrier: Carrier) -> None:
    """It may be an older call to that number; our own ID says that it is this one."""
    group = make_call_group(operator, 1)
    handover.claim(group.pk, 0)
    assert told(group, Report(number(0), "COMPLETED")) == 0
    assert told(group, Report(number(0), "COMPLETED", obd_id=f"{group.pk}-1")) == 1
    assert statuses(group) == ["COMPLETED"]


# --- What a report changes ----------------------------------------------------------------------------------------


def test_everything_that_is_told_is_kept(operator: User, carrier: Carrier) -> None:
    group = handed_over(operator)
    answered, ended = NOON + timedelta(seconds=5), NOON + timedelta(seconds=25)
    told(group, Report(
        number(0), "Answered", carrier_id="c1", sent_at=NOON, answered_at=answered, ended_at=ended, duration=20,
        retries=1, digits="12#",
    ))  # fmt: skip
    done = call(group)
    assert (done.status, done.word, done.carrier_id, done.retries) == ("COMPLETED", "Answered", "c1", 1)
    assert (done.answered_at, done.ended_at, done.duration, done.digits) == (answered, ended, 20, "12#")
    assert done.timeline[-1][1:4] == ["COMPLETED", "carrier", "Answered"]


@pytest.mark.parametrize("final", ["COMPLETED", "BUSY", "DND", "EXPIRED", "CANCELLED"])
def test_a_final_status_stays(operator: User, carrier: Carrier, final: str) -> None:
    group = handed_over(operator)
    Call.objects.update(status=final)
    before = call(group).timeline
    for word in [*Status, "ANSWERED", "Sunspots"]:
        assert told(group, Report(number(0), word, obd_id=f"{group.pk}-1", duration=9, retries=2)) == 0
    assert (call(group).status, call(group).timeline) == (final, before)


def test_a_status_between_two_attempts(operator: User, carrier: Carrier) -> None:
    group = handed_over(operator, retries=1)
    for word, retries in [("INPROGRESS", 0), ("QUEUED", 0), ("INPROGRESS", 1), ("BUSY", 1)]:
        told(group, Report(number(0), word, retries=retries))
    assert (call(group).status, call(group).retries) == ("BUSY", 1)
    assert [entry[1] for entry in call(group).timeline[-4:]] == ["INPROGRESS", "QUEUED", "INPROGRESS", "BUSY"]


def test_a_new_attempt_shows_though_the_status_is_the_same(operator: User, carrier: Carrier) -> None:
    group = handed_over(operator, retries=2)
    told(group, Report(number(0), "INPROGRESS", retries=0))
    length = len(call(group).timeline)
    assert told(group, Report(number(0), "INPROGRESS", retries=1)) == 1
    assert len(call(group).timeline) == length + 1
    assert told(group, Report(number(0), "INPROGRESS", retries=1)) == 0


def test_unknown_words_are_kept_and_not_final(operator: User, carrier: Carrier) -> None:
    group = handed_over(operator)
    assert told(group, Report(number(0), "Sunspots on the line")) == 1
    assert (call(group).status, call(group).word, call(group).ended_at) == ("QUEUED", "Sunspots on the line", None)
    assert call(group).timeline[-1][3] == "Sunspots on the line"
    assert told(group, Report(number(0), "Sunspots on the line")) == 0
    assert told(group, Report(number(0), "COMPLETED")) == 1


def test_a_long_word_is_cut(operator: User, carrier: Carrier) -> None:
    group = handed_over(operator)
    told(group, Report(number(0), "x" * 500, carrier_id="c" * 500, digits="1" * 500))
    told(group, Report(number(0), "COMPLETED"))
    assert (len(call(group).carrier_id), len(call(group).digits)) == (100, 40)


def test_a_final_call_has_an_end_even_if_the_carrier_tells_none(operator: User, carrier: Carrier) -> None:
    group = handed_over(operator)
    told(group, Report(number(0), "BUSY"))
    assert call(group).ended_at == NOON


def test_many_reports_are_written_in_steps(operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "STEP", 3)
    group = handed_over(operator, 8)
    assert told(group, *(Report(number(i), "BUSY") for i in range(8))) == 8
    group.refresh_from_db()
    assert (group.open, group.ended_at is not None) == (0, True)


# --- Unconfirmed --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["QUEUED", "INPROGRESS", "COMPLETED", "Sunspots", ""])
def test_a_report_of_one_call_settles_its_batch(operator: User, carrier: Carrier, word: str) -> None:
    group = unconfirmed(operator, carrier, 3)
    told(group, Report(number(1), word, obd_id=f"{group.pk}-2"))
    assert batch(group).state == BatchState.ACCEPTED
    seen = word if word in ("INPROGRESS", "COMPLETED") else "QUEUED"
    assert statuses(group) == ["QUEUED", seen, "QUEUED"]
    assert f"{group.pk}-2" in batch(group).settled
    assert batch(group).answer == "Timed out."


def test_a_report_settles_only_the_batch_of_its_call(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calls.dialing.start.MAX_CALLS", 2)
    group = unconfirmed(operator, carrier, 4)
    told(group, Report(number(2), "QUEUED", obd_id=f"{group.pk}-3"))
    assert (batch(group, 1).state, batch(group, 3).state) == ("unconfirmed", "accepted")
    assert statuses(group) == ["UNCONFIRMED", "UNCONFIRMED", "QUEUED", "QUEUED"]


@pytest.mark.parametrize(
    ("report", "settles"),
    [
        (Report(number(0), "COMPLETED"), False),
        (Report(number(0), "COMPLETED", sent_at=NOON - timedelta(hours=1)), False),
        (Report(number(0), "COMPLETED", sent_at=NOON + timedelta(seconds=3)), True),
    ],
    ids=["number alone", "an older call", "number and time"],
)
def test_what_is_evidence(operator: User, carrier: Carrier, report: Report, settles: bool) -> None:
    group = unconfirmed(operator, carrier)
    told(group, report)
    assert batch(group).state == (BatchState.ACCEPTED if settles else BatchState.UNCONFIRMED)
    assert statuses(group) == (["COMPLETED"] if settles else ["UNCONFIRMED"])


def test_settled_calls_are_never_handed_over_again(operator: User, carrier: Carrier) -> None:
    group = unconfirmed(operator, carrier)
    told(group, Report(number(0), "BUSY", obd_id=f"{group.pk}-1"))
    with pytest.raises(steer.NotPossible):
        steer.settle(batch(group).pk, operator, placed=False)
    handover.hand_over(group.pk, 0)
    assert carrier.numbers == [number(0)]


def test_an_unconfirmed_batch_is_looked_for_among_its_siblings(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With newgroup=0 the carrier puts all batches into one group of its own, which the first one has told."""
    monkeypatch.setattr("calls.dialing.start.MAX_CALLS", 1)
    group = make_call_group(operator, 2, newgroup=False)
    carrier.answer = lambda order: Accepted("G7") if order.calls[0].obd_id.endswith("-1") else _lost()
    handover.hand_over(group.pk, 0)
    assert [batch(group, n).state for n in (1, 2)] == ["accepted", "unconfirmed"]
    carrier.says = lambda question: (
        [Report(number(1), "COMPLETED", obd_id=f"{group.pk}-2")] if question.group == "G7" else []
    )
    follow(group)
    assert {question.group for question in carrier.questions} == {"G7"}
    assert batch(group, 2).state == "accepted"
    assert statuses(group) == ["QUEUED", "COMPLETED"]


def _lost() -> Accepted:
    raise Unconfirmed("Timed out.")


def test_a_group_of_its_own_has_no_siblings(operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calls.dialing.start.MAX_CALLS", 1)
    group = make_call_group(operator, 2, newgroup=True)
    carrier.answer = lambda order: Accepted("G7") if order.calls[0].obd_id.endswith("-1") else _lost()
    handover.hand_over(group.pk, 0)
    follow(group)
    asked = {question.group: list(question.calls) for question in carrier.questions}
    assert set(asked) == {"G7", ""}
    assert [each.number for each in asked[""]] == [number(1)]


# --- What is asked ------------------------------------------------------------------------------------------------


def test_calls_are_asked_for_by_the_carriers_ids(operator: User, carrier: Carrier) -> None:
    carrier.answer = lambda order: Accepted(ids={each.obd_id: f"c{each.obd_id}" for each in order.calls})
    at = NOON + timedelta(hours=1)
    group = handed_over(operator, 2, retries=2, schedule_time=at, delay=5, waits=Waits.CARRIER)
    told(group, Report(number(0), "BUSY"))
    follow(group)
    (question,) = carrier.questions
    assert [(each.obd_id, each.carrier_id) for each in question.calls] == [(f"{group.pk}-2", f"c{group.pk}-2")]
    assert (question.sent_at, question.schedule_time, question.delay) == (NOON, at + timedelta(seconds=5), 0)
    assert (question.play, question.retries, question.group) == ("1.sound", 2, "")


def test_batches_in_one_group_of_the_carriers_are_asked_about_once(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calls.dialing.start.MAX_CALLS", 1)
    carrier.answer = Accepted("G7")
    group = handed_over(operator, 3, newgroup=False)
    follow(group)
    assert [(question.group, list(question.calls)) for question in carrier.questions] == [("G7", [])]


def test_nothing_is_asked_before_it_is_due(operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch) -> None:
    group = handed_over(operator)
    assert progress.follow(group.pk) == NOON + timedelta(seconds=handover.FIRST_CHECK)
    assert carrier.questions == []
    freeze(monkeypatch, NOON + timedelta(seconds=handover.FIRST_CHECK))
    progress.follow(group.pk)
    assert len(carrier.questions) == 1


def test_gaps_grow_while_nothing_changes_and_begin_anew_with_a_change(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = handed_over(operator)
    moment, gaps = NOON, []
    words = ["INPROGRESS", *["INPROGRESS"] * 10, "QUEUED", "QUEUED"]
    for word in words:
        carrier.says = [Report(number(0), word)]
        due = batch(group).check_at
        assert due
        gaps.append((due - moment).total_seconds())
        moment = due
        freeze(monkeypatch, moment)
        progress.follow(group.pk)
    assert gaps[:4] == [2, 2, 3, 4.5]
    assert gaps[-3] == progress.LONGEST_GAP == max(gaps)
    assert gaps[-1] == 2
    assert gaps[1:-1] == sorted(gaps[1:-1])


def test_a_carrier_that_is_silent_for_days_is_still_asked(operator: User, carrier: Carrier) -> None:
    group = unconfirmed(operator, carrier)
    group.batches.update(checks=30_000)
    carrier.says = NoAnswer("Timed out.")
    follow(group)
    assert batch(group).check_at == NOON + timedelta(seconds=progress.LONGEST_GAP)


def test_no_more_questions_once_all_is_final(operator: User, carrier: Carrier) -> None:
    group = handed_over(operator, 2)
    carrier.says = [Report(number(0), "BUSY"), Report(number(1), "COMPLETED")]
    assert follow(group) is None
    assert batch(group).check_at is None
    group.refresh_from_db()
    assert group.ended_at


def test_no_answer_changes_nothing_and_is_asked_again(operator: User, carrier: Carrier) -> None:
    group = handed_over(operator)
    carrier.says = NoAnswer("The carrier answered 502.")
    assert follow(group) is not None
    assert statuses(group) == ["QUEUED"]
    assert (batch(group).check_at is not None, batch(group).checked_at) == (True, None)
    assert "502" in CarrierState.objects.get(name="sandbox").failure


def test_an_answer_that_breaks_off_keeps_what_came(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "STEP", 1)
    group = handed_over(operator, 2)

    def broken(question: Question) -> Sequence[Report]:
        return _Broken([Report(number(0), "BUSY")])

    carrier.says = broken
    follow(group)
    assert statuses(group) == ["BUSY", "QUEUED"]
    assert batch(group).check_at


class _Broken(list[Report]):
    """Reports of which only the first ones arrive."""

    def __iter__(self) -> Any:
        yield from super().__iter__()
        raise NoAnswer("The connection broke.")


def test_a_paused_group_is_not_asked_about_all_the_time(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 1)
    steer.pause(group.pk, operator)
    assert progress.follow(group.pk) is None
    steer.resume(group.pk, operator)
    assert progress.follow(group.pk) is not None


def test_a_paused_group_with_calls_at_the_carrier_is_followed(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calls.dialing.start.MAX_CALLS", 1)
    group = make_call_group(operator, 2)
    claimed = handover.claim(group.pk, 0)
    assert claimed
    handover.settle_accepted(claimed[0], Accepted())
    steer.pause(group.pk, operator)
    assert follow(group) is not None
    carrier.says = [Report(number(0), "BUSY")]
    assert follow(group) is None


def test_a_scheduled_group_is_followed_from_its_time_on(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 1, schedule_time=NOON + timedelta(days=1))
    assert progress.follow(group.pk) == NOON + timedelta(days=1)


# --- Expiry -------------------------------------------------------------------------------------------------------


def test_calls_without_a_result_expire(operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch) -> None:
    group = handed_over(operator, 3)
    told(group, Report(number(0), "COMPLETED"), Report(number(1), "INPROGRESS"))
    freeze(monkeypatch, NOON + EXPIRES_AFTER - timedelta(seconds=1))
    follow(group)
    assert statuses(group) == ["COMPLETED", "INPROGRESS", "QUEUED"]
    freeze(monkeypatch, NOON + EXPIRES_AFTER)
    assert follow(group) is None
    assert statuses(group) == ["COMPLETED", "EXPIRED", "EXPIRED"]
    assert "6 hours" in call(group, 3).timeline[-1][4]
    group.refresh_from_db()
    assert group.ended_at


def test_calls_that_the_carrier_still_has_do_not_expire(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its queue is long: it would make them, and their people would be called again as not reached."""
    group = handed_over(operator, 3)
    carrier.says = [Report(number(0), "QUEUED", obd_id=f"{group.pk}-1"), Report(number(1), "INPROGRESS")]
    freeze(monkeypatch, NOON + EXPIRES_AFTER)
    assert follow(group) is not None
    assert statuses(group) == ["QUEUED", "INPROGRESS", "EXPIRED"]
    # It can't be asked for a moment.
    carrier.says = NoAnswer("Timed out.")
    freeze(monkeypatch, NOON + EXPIRES_AFTER + timedelta(minutes=59))
    assert follow(group) is not None
    assert statuses(group) == ["QUEUED", "INPROGRESS", "EXPIRED"]
    carrier.says = [Report(number(0), "COMPLETED"), Report(number(1), "INPROGRESS")]
    freeze(monkeypatch, NOON + progress.LISTED_EXPIRES - timedelta(seconds=1))
    assert follow(group) is not None
    assert statuses(group) == ["COMPLETED", "INPROGRESS", "EXPIRED"]
    freeze(monkeypatch, NOON + progress.LISTED_EXPIRES)
    assert follow(group) is None
    assert statuses(group) == ["COMPLETED", "EXPIRED", "EXPIRED"]


def test_calls_expire_where_the_carrier_has_been_silent(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = handed_over(operator)
    carrier.says = [Report(number(0), "QUEUED")]
    freeze(monkeypatch, NOON + EXPIRES_AFTER)
    follow(group)
    carrier.says = NoAnswer("Timed out.")
    freeze(monkeypatch, NOON + EXPIRES_AFTER + progress.SILENT)
    follow(group)
    assert statuses(group) == ["EXPIRED"]


def test_what_the_carrier_says_last_counts_before_expiry(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = handed_over(operator)
    carrier.says = [Report(number(0), "COMPLETED")]
    freeze(monkeypatch, NOON + timedelta(days=2))
    follow(group)
    assert statuses(group) == ["COMPLETED"]


def test_calls_that_the_carrier_makes_later_expire_later(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = NOON + timedelta(days=1)
    group = handed_over(operator, schedule_time=at, waits=Waits.CARRIER)
    freeze(monkeypatch, at + timedelta(hours=5))
    follow(group)
    assert statuses(group) == ["QUEUED"]
    freeze(monkeypatch, at + timedelta(hours=6))
    follow(group)
    assert statuses(group) == ["EXPIRED"]


def test_unconfirmed_calls_never_expire(operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would be called again with those not reached; whether they were reached nobody knows."""
    group = unconfirmed(operator, carrier)
    freeze(monkeypatch, NOON + timedelta(days=30))
    assert follow(group) is not None
    assert (statuses(group), batch(group).state) == (["UNCONFIRMED"], "unconfirmed")


# --- Contact groups that the carrier holds ------------------------------------------------------------------------


@pytest.fixture
def vip(operator: User, carrier: Carrier) -> CallGroup:
    """A call group to a contact group that the carrier holds, which it has taken."""
    carrier.answer = Accepted("G7")
    return handed_over(operator, 0, carrier_group="vip", custom="autumn")


def test_calls_are_learnt_from_reports(vip: CallGroup) -> None:
    sent = NOON + timedelta(seconds=4)
    # What the carrier gives back as `custom` was not made by us, even if it looks like an OBD ID.
    told(vip, Report(number(3), "QUEUED", carrier_id="c3", sent_at=sent, obd_id="1-1"), Report(number(1), "BUSY"))
    told(vip, Report(number(3), "INPROGRESS", carrier_id="c3"), Report(number(2), "COMPLETED", duration=4))
    assert [(each.n, each.number, each.status, each.custom) for each in vip.calls.order_by("n")] == [
        (1, number(3), "INPROGRESS", "autumn"),
        (2, number(1), "BUSY", "autumn"),
        (3, number(2), "COMPLETED", "autumn"),
    ]
    assert (call(vip).carrier_id, call(vip).handed_over_at, call(vip, 2).handed_over_at) == ("c3", sent, NOON)
    vip.refresh_from_db()
    assert (vip.total, vip.open, vip.held) == (3, 1, 0)


def test_reports_without_a_number_or_of_older_calls_add_none(vip: CallGroup) -> None:
    told(vip, Report("", "BUSY", obd_id="1-1"), Report(number(1), "BUSY", sent_at=NOON - timedelta(days=1)))
    assert vip.calls.count() == 0


def test_a_group_that_the_carrier_holds_is_asked_for_by_the_carriers_group(vip: CallGroup, carrier: Carrier) -> None:
    carrier.says = [Report(number(1), "BUSY")]
    assert follow(vip) is not None
    assert [(question.group, list(question.calls)) for question in carrier.questions] == [("G7", [])]
    assert statuses(vip) == ["BUSY"]


def test_it_is_asked_on_while_more_calls_may_become_known(vip: CallGroup, carrier: Carrier) -> None:
    carrier.says = [Report(number(1), "BUSY")]
    follow(vip)
    carrier.says = [Report(number(1), "BUSY"), Report(number(2), "QUEUED")]
    follow(vip)
    vip.refresh_from_db()
    assert (vip.total, vip.open) == (2, 1)
    assert not vip.ended_at
    carrier.says = [Report(number(1), "BUSY"), Report(number(2), "COMPLETED")]
    asked = 0
    while follow(vip):
        asked += 1
    assert progress.QUIET <= asked + 1 <= progress.QUIET + 1
    vip.refresh_from_db()
    assert vip.ended_at
    assert statuses(vip) == ["BUSY", "COMPLETED"]


def test_its_calls_expire_too(vip: CallGroup, carrier: Carrier, monkeypatch: pytest.MonkeyPatch) -> None:
    carrier.says = [Report(number(1), "INPROGRESS"), Report(number(2), "INPROGRESS")]
    follow(vip)
    carrier.says = [Report(number(1), "INPROGRESS")]
    freeze(monkeypatch, NOON + EXPIRES_AFTER)
    assert follow(vip) is not None
    assert statuses(vip) == ["INPROGRESS", "EXPIRED"]
    freeze(monkeypatch, NOON + progress.LISTED_EXPIRES)
    assert follow(vip) is None
    assert statuses(vip) == ["EXPIRED", "EXPIRED"]


def test_it_ends_if_the_carrier_never_lists_a_call(
    vip: CallGroup, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(progress.QUIET + 2):
        assert follow(vip) is not None
    freeze(monkeypatch, NOON + EXPIRES_AFTER)
    assert follow(vip) is None
    vip.refresh_from_db()
    assert (vip.total, vip.ended_at) == (0, NOON + EXPIRES_AFTER)


def test_an_unconfirmed_one_stays_for_a_person(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = unconfirmed(operator, carrier, 0, carrier_group="vip")
    freeze(monkeypatch, NOON + timedelta(days=1))
    assert follow(group) is None
    group.refresh_from_db()
    assert not group.ended_at
    steer.settle(batch(group).pk, operator, placed=True, carrier_group="G7")
    carrier.says = [Report(number(1), "BUSY", sent_at=NOON)]
    follow(group)
    assert statuses(group) == ["BUSY"]


def test_where_it_is_not_our_turn_everything_due_waits_together(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look tells it for all: a call group of many batches doesn't ask for a turn for each."""
    monkeypatch.setattr("calls.dialing.start.MAX_CALLS", 1)
    group = handed_over(operator, 3)
    later = NOON + timedelta(seconds=90)
    asked: list[Question] = []

    def not_now(question: Question) -> Sequence[Report]:
        asked.append(question)
        raise NotNow(later, "The carrier asked to wait.")

    carrier.says = not_now
    assert follow(group) == later
    assert len(asked) == 1
    assert {each.check_at for each in group.batches.all()} == {later}
    freeze(monkeypatch, NOON + EXPIRES_AFTER)
    follow(group)
    assert statuses(group) == ["EXPIRED"] * 3
