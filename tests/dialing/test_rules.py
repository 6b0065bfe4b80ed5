"""The rules at each hand-over: hours, lists, the cap on rings; what is written down of them; overriding them."""

import hashlib
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from calls.carriers.base import Accepted, NotTaken, Refused, Report, Unconfirmed
from calls.dialing import handover, progress, rules, start, steer
from calls.dialing.checked import NOT_CHECKED, records
from calls.dialing.explain import explain
from calls.dialing.hours import HORIZON
from calls.dialing.kept import kept_places
from calls.dialing.situation import situations
from calls.models import (
    Batch,
    BatchState,
    Call,
    CallGroup,
    CallingRule,
    CarrierState,
    KeptBy,
    Outcome,
    Sound,
    Suppression,
    SuppressionList,
    User,
    Waits,
)
from calls.models.contacts import day_not_over
from tests.dialing.helpers import Carrier, at_the_same_moment, batch, call, freeze, jobs, ranges, statuses, use
from tests.factories import make_call_group, make_group, make_request, make_user, number

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
"""In London, where the numbers are, a Friday."""

EVENING = datetime(2026, 11, 20, 20, 57, 59, tzinfo=UTC)
"""The last moment before closing, less the margin."""

MORNING = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
AMERICAN = "+12025550123"


@pytest.fixture
def operator() -> User:
    return make_user()


@pytest.fixture
def carrier(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Carrier:
    settings.CALLING_HOURS = "09:00-21:00"
    freeze(monkeypatch, NOON)
    told = Carrier()
    use(told, monkeypatch)
    return told


def cap(calls: int | None) -> None:
    CallingRule.objects.update_or_create(traffic="promotional", defaults={"daily_cap": calls})


def kept(group: CallGroup) -> list[tuple[str, datetime, str]]:
    return list(group.batches.order_by("first").values_list("place", "due_at", "kept_by"))


# --- Hours --------------------------------------------------------------------------------------------------------


def test_each_place_has_batches_of_its_own(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, [number(0), AMERICAN, number(1)])
    assert list(group.calls.order_by("n").values_list("number", flat=True)) == [number(0), number(1), AMERICAN]
    assert ranges(group) == [(1, 2), (3, 3)]
    opens = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
    assert kept(group) == [("GB Europe/London", NOON, ""), ("US America/New_York", opens, KeptBy.HOURS)]
    assert handover.hand_over(group.pk, 0) == opens
    assert statuses(group) == ["QUEUED", "QUEUED", "HELD"]


def test_calls_started_at_night_are_due_in_the_morning(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    freeze(monkeypatch, EVENING + timedelta(hours=1))
    group = make_call_group(operator, 1)
    assert (kept(group), group.due_at) == ([("GB Europe/London", MORNING, KeptBy.HOURS)], MORNING)
    assert {job.scheduled_at for job in jobs(group, "hand_over")} == {MORNING}
    assert handover.claim(group.pk, 0) is None
    freeze(monkeypatch, MORNING)
    handover.hand_over(group.pk, 0)
    assert statuses(group) == ["QUEUED"]
    assert batch(group).kept_by == ""


@pytest.mark.parametrize(("retries", "late"), [(0, 0), (2, 120)])
def test_what_is_not_out_by_closing_waits_for_the_morning(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch, retries: int, late: int
) -> None:
    """The last retry counts too: the carrier makes it by itself, a minute after the one before."""
    monkeypatch.setattr("calls.dialing.start.MAX_CALLS", 1)
    group = make_call_group(operator, 3, retries=retries)
    freeze(monkeypatch, EVENING - timedelta(seconds=late))
    assert handover.claim(group.pk, 0)
    freeze(monkeypatch, EVENING - timedelta(seconds=late - 1))
    assert handover.claim(group.pk, 0) is None
    # All of them, so that they don't come up one by one.
    assert kept(group)[1:] == [("GB Europe/London", MORNING, KeptBy.CLOSING)] * 2
    assert statuses(group) == ["SENDING", "HELD", "HELD"]


@pytest.mark.parametrize("retries", [0, 2])
def test_what_the_carrier_can_not_dial_before_closing_waits_for_the_morning(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch, retries: int
) -> None:
    """It dials one a second, and has calls of another call group: each may take all of its attempts."""
    monkeypatch.setattr("calls.dialing.start.MAX_CALLS", 5)
    carrier.cps, attempts = 1.0, 1 + retries
    other = make_call_group(operator, 5, retries=retries)
    handover.hand_over(other.pk, 0)
    group = make_call_group(operator, 10, retries=retries)
    queued = timedelta(seconds=10 * attempts + retries * carrier.retry_gap)
    freeze(monkeypatch, EVENING - queued)
    handover.hand_over(group.pk, 0)
    assert statuses(group) == ["QUEUED"] * 5 + ["HELD"] * 5
    assert kept(group)[1] == ("GB Europe/London", MORNING, KeptBy.CLOSING)
    # What is over is in nobody's way any more.
    progress.record(other.pk, [Report(number(i), "COMPLETED") for i in range(5)], "carrier", NOON)
    steer.rules_changed("promotional")
    handover.hand_over(group.pk, 0)
    assert statuses(group) == ["QUEUED"] * 10


def test_a_call_that_joins_one_that_waits_is_not_scheduled(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = datetime(2026, 11, 20, 22, 0, tzinfo=UTC)
    freeze(monkeypatch, night)
    group = make_call_group(operator, [number(1)], newgroup=False)
    assert group.due_at > night
    assert make_call_group(operator, [AMERICAN], newgroup=False) == group
    (seen,) = situations([CallGroup.objects.get()], night)
    assert seen.state == "running"
    assert "Scheduled" not in str(explain(seen))


def test_call_groups_for_the_same_time_are_dialled_one_after_the_other(operator: User, carrier: Carrier) -> None:
    carrier.cps = 1 / 60
    at = datetime(2026, 11, 20, 20, 30, tzinfo=UTC)
    for first in (0, 100, 200):
        numbers = [number(first + n) for n in range(20)]
        group = make_call_group(operator, numbers, schedule_time=at, waits=Waits.CARRIER)
        handover.hand_over(group.pk, 0)
    assert len(carrier.numbers) == 20  # dialled by 20:50; 20 more would be by 21:10
    tomorrow = at + timedelta(days=1)
    group = make_call_group(operator, [number(n) for n in range(300, 320)], schedule_time=tomorrow, waits="carrier")
    handover.hand_over(group.pk, 0)
    assert len(carrier.numbers) == 40


@pytest.mark.parametrize(("minutes", "counts"), [(None, True), (20, True), (9, False)])
def test_what_waits_at_the_carrier_past_midnight_counts_on_the_next_day(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch, minutes: int | None, counts: bool
) -> None:
    """It is answered so many minutes later, or not known to be over."""
    rule = {"daily_cap": 1, "hours": "00:00-24:00"}
    CallingRule.objects.update_or_create(traffic="promotional", defaults=rule)
    carrier.cps = 1 / 600
    late = datetime(2026, 11, 20, 23, 50, tzinfo=UTC)
    freeze(monkeypatch, late)
    group = make_call_group(operator, 1)
    handover.hand_over(group.pk, 0)
    if minutes:
        progress.record(group.pk, [Report(number(0), "COMPLETED")], "carrier", since=group.created_at)
        Call.objects.update(answered_at=late + timedelta(minutes=minutes), ended_at=late + timedelta(minutes=30))
    freeze(monkeypatch, NOON + timedelta(days=1))
    assert make_request(operator, number(0)).capped == counts
    carrier.cps = 0
    assert make_request(operator, number(0)).capped == 0, "What is dialled at once rang yesterday."


def test_calls_that_the_carrier_makes_later_do_not_count_as_its_queue(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And where these are for later, only their own call group's are known to be there then."""
    monkeypatch.setattr("calls.dialing.start.MAX_CALLS", 5)
    carrier.cps = 1.0
    at = EVENING - timedelta(seconds=12)
    later = make_call_group(operator, 15, schedule_time=at, waits=Waits.CARRIER)
    handover.hand_over(later.pk, 0)
    assert statuses(later) == ["QUEUED"] * 10 + ["HELD"] * 5
    now = at - timedelta(minutes=20)
    freeze(monkeypatch, now)
    group = make_call_group(operator, 5)
    handover.hand_over(group.pk, 0)
    assert statuses(group) == ["QUEUED"] * 5
    checks = rules.rules_of(group, now, carrier, 5)
    assert checks.queue == timedelta(seconds=10)
    freeze(monkeypatch, at)
    assert rules.rules_of(group, at, carrier, 5).queue == timedelta(seconds=20)


@pytest.mark.parametrize("waits", Waits)
def test_a_schedule_outside_the_hours_is_kept_by_the_portal(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch, waits: Waits
) -> None:
    at = NOON + timedelta(hours=10)
    group = make_call_group(operator, 1, schedule_time=at, waits=waits)
    assert kept(group) == [("GB Europe/London", MORNING, KeptBy.HOURS)]
    freeze(monkeypatch, MORNING)
    handover.hand_over(group.pk, 0)
    assert carrier.orders[0].schedule_time is None


@pytest.mark.parametrize("scheduled", [False, True])
def test_the_delay_that_the_carrier_waits_for_counts(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch, scheduled: bool
) -> None:
    """The last moment for it is so much earlier."""
    last = EVENING - timedelta(minutes=10)
    for late, at_once in ((0, True), (1, False)):
        at = last + timedelta(seconds=late)
        freeze(monkeypatch, NOON)
        group = make_call_group(operator, 1, delay=600, waits=Waits.CARRIER, schedule_time=at if scheduled else None)
        freeze(monkeypatch, NOON if scheduled else at)
        group.batches.update(due_at=NOON)
        assert bool(handover.claim(group.pk, 0)) == at_once


def test_hours_that_change_count_at_once(operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch) -> None:
    freeze(monkeypatch, EVENING + timedelta(seconds=1))
    group = make_call_group(operator, 1)
    CallingRule.objects.update_or_create(traffic="promotional", defaults={"hours": "09:00-22:00"})
    steer.rules_changed("service")
    assert handover.claim(group.pk, 0) is None
    steer.rules_changed("promotional")
    assert handover.claim(group.pk, 0)


def test_a_group_that_the_carrier_holds_keeps_the_portals_hours(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    freeze(monkeypatch, NOON + timedelta(hours=4))  # 21:30 in Asia/Kolkata
    group = make_call_group(operator, [], contact_groups=(make_group(carrier_group="vip").pk,), carrier_group="vip")
    opens = datetime(2026, 11, 21, 3, 30, tzinfo=UTC)
    assert kept(group) == [("", opens, KeptBy.HOURS)]
    batch(group)
    Batch.objects.update(due_at=NOON)
    assert handover.claim(group.pk, 0) is None
    assert kept(group) == [("", opens, KeptBy.HOURS)]


@pytest.mark.parametrize(("after", "why"), [(1, "Too close to the end of"), (600, "Outside")])
def test_the_sentence_says_until_when_and_why(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch, after: int, why: str
) -> None:
    now = EVENING + timedelta(seconds=after)
    freeze(monkeypatch, now)
    group = make_call_group(operator, 2)
    (seen,) = situations([group], now)
    assert seen.expected_end
    assert seen.expected_end > MORNING
    assert explain(seen).text == f"{why} calling hours: 2 held calls go out from 14:30 IST (09:00 in Europe/London)."


@pytest.mark.parametrize("holds", ["the portal", "the carrier"])
def test_where_nobody_can_be_called_somebody_has_to_act(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch, holds: str
) -> None:
    contacts = make_group(carrier_group="vip")
    ours = holds == "the portal"
    columns = {} if ours else {"contact_groups": (contacts.pk,), "carrier_group": "vip"}
    early = make_call_group(operator, 2 if ours else [], **columns)
    planned = make_request(operator, "" if columns else number(0), **columns)
    CallingRule.objects.update_or_create(traffic="promotional", defaults={"weekdays": []})
    handover.hand_over(early.pk, 0)
    late = start.start(planned.pk)
    again = NOON + HORIZON
    for group in (early, late):
        place = "GB Europe/London" if ours else ""
        assert kept(group) == [(place, again, KeptBy.NEVER)]
        (seen,) = situations([group], NOON)
        assert (seen.needs_attention, seen.expected_end) == (True, None)
        sentence = explain(seen)
        assert sentence.tone == "attention"
        assert sentence.text.startswith("The calling rules allow no call in ")
        assert sentence.text.endswith(" Change the rules, override them for this call group, or cancel.")
        assert [there.opens_at for there in kept_places(group, NOON)] == [None]
    assert explain(situations([early], NOON)[0]).text.count("2 calls are held") == ours
    CallingRule.objects.update(weekdays=[*range(7)])
    steer.rules_changed("promotional")
    handover.hand_over(early.pk, 0)
    assert batch(early).state == BatchState.ACCEPTED


# --- Lists --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "traffic", "called"),
    [
        ({}, "service", False),
        ({"promotional_only": True}, "promotional", False),
        ({"promotional_only": True}, "service", True),
        ({"ends_on": "2026-11-20"}, "service", False),
        ({"ends_on": "2026-11-19"}, "service", True),
    ],
)
def test_lists_that_apply(
    operator: User, carrier: Carrier, columns: dict[str, Any], traffic: str, called: bool
) -> None:
    listed = SuppressionList.objects.create(name="Register", **columns)
    group = make_call_group(operator, 1, traffic=traffic)
    Suppression.objects.create(list=listed, number=number(0), reason="Asked in a letter.")
    planned = make_request(operator, number(0), traffic=traffic, contact_groups=(make_group(numbers=1).pk,))
    handover.hand_over(group.pk, 0)
    assert statuses(group) == (["QUEUED"] if called else ["DND"])
    assert planned.callable == called
    if not called:
        why = "On the suppression list “Register”: Asked in a letter."
        assert call(group).timeline[-1][4] == planned.planned.get().reason == why


@pytest.mark.parametrize(("ends_on", "called"), [("2026-11-20", True), ("2026-11-21", False)])
def test_lists_apply_by_the_day_of_the_ring(operator: User, carrier: Carrier, ends_on: str, called: bool) -> None:
    """The carrier has the call the day before."""
    options: dict[str, Any] = {"schedule_time": NOON + timedelta(days=1), "waits": Waits.CARRIER}
    group = make_call_group(operator, 1, **options)
    listed = SuppressionList.objects.create(name="Register", ends_on=ends_on)
    Suppression.objects.create(list=listed, number=number(0), reason="Asked in a letter.")
    handover.hand_over(group.pk, 0)
    assert statuses(group) == (["QUEUED"] if called else ["DND"])
    assert make_request(operator, number(0), **options).callable == called


@pytest.mark.parametrize(
    ("at", "called"),
    [
        (datetime(2026, 11, 20, 19, 0, tzinfo=UTC), False),  # 14:00 there, and the next day in Asia/Kolkata
        (datetime(2026, 11, 21, 11, 59, tzinfo=UTC), False),
        (datetime(2026, 11, 21, 14, 0, tzinfo=UTC), True),
    ],
)
@pytest.mark.usefixtures("carrier")
def test_the_last_day_of_a_list_is_over_when_it_is_over_everywhere(
    operator: User, monkeypatch: pytest.MonkeyPatch, at: datetime, called: bool
) -> None:
    CallingRule.objects.update_or_create(traffic="promotional", defaults={"hours": "00:00-24:00"})
    freeze(monkeypatch, at)
    listed = SuppressionList.objects.create(name="Register", ends_on=date(2026, 11, 20))
    assert listed.ended == called
    group = make_call_group(operator, ["+12025550123"])
    Suppression.objects.create(list=listed, number="+12025550123", reason="Asked in a letter.")
    handover.hand_over(group.pk, 0)
    assert statuses(group) == (["QUEUED"] if called else ["DND"])


@given(
    st.integers(0, 2_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    st.sampled_from(sorted(available_timezones())),
)
def test_no_clock_is_behind_the_day_that_is_not_over(at: datetime, zone: str) -> None:
    assert day_not_over(at) <= at.astimezone(ZoneInfo(zone)).date()


def test_a_number_on_two_lists_is_one_number(operator: User, carrier: Carrier) -> None:
    for name in ("A", "B"):
        listed = SuppressionList.objects.create(name=name)
        Suppression.objects.create(list=listed, number=number(0), reason="No.")
    contacts = make_group(numbers=2)
    request = make_request(operator, contact_groups=(contacts.pk,))
    assert (request.seen, request.callable, request.suppressed) == (2, 1, 1)
    assert request.planned.get(outcome=Outcome.SUPPRESSED).reason.startswith("On the suppression list “A”")


def test_the_version_that_is_written_down_is_the_one_that_was_looked_at(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import ends after the rules are read and before the numbers are looked up."""
    listed = SuppressionList.objects.create(name="Register")
    group = make_call_group(operator, 2)
    put_off = rules.put_off

    def meanwhile(*given: Any) -> bool:
        Suppression.objects.create(list=listed, number=number(0), reason="Asked in a letter.")
        return put_off(*given)

    monkeypatch.setattr(rules, "put_off", meanwhile)
    handover.hand_over(group.pk, 0)
    listed.refresh_from_db()
    assert statuses(group) == ["DND", "QUEUED"]
    versions = {each["name"]: each["version"] for each in rules.last_check(batch(group))["lists"]}
    assert versions["Register"] == listed.version


# --- The cap ------------------------------------------------------------------------------------------------------


def test_rings_count_over_all_call_groups(operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch) -> None:
    cap(2)
    groups = [make_call_group(operator, 1) for _ in range(3)]
    for group in groups:
        handover.hand_over(group.pk, 0)
    assert [*map(statuses, groups)] == [["QUEUED"], ["QUEUED"], ["CANCELLED"]]
    why = (
        "It rings up to twice that day already; promotional calls may make it ring twice a day. Call it on another day."
    )
    assert call(groups[2]).timeline[-1][4] == why
    groups[2].refresh_from_db()
    assert groups[2].ended_at
    request = make_request(operator, number(0), contact_groups=(make_group(numbers=2).pk,))
    assert (request.callable, request.capped) == (1, 1)
    assert request.planned.get(outcome=Outcome.CAPPED).reason == why
    typed = make_request(operator, f"{number(0)}\n{number(1)}")
    assert (typed.callable, typed.capped, typed.places) == (1, 1, {"GB Europe/London": 1})
    freeze(monkeypatch, MORNING)
    assert make_request(operator, number(0)).callable == 1


@pytest.mark.parametrize(
    ("word", "retries", "used"),
    [
        ("QUEUED", 0, 3),
        ("INPROGRESS", 1, 3),
        ("COMPLETED", 0, 1),
        ("COMPLETED", None, 3),
        ("NOANSWER", 1, 2),
        ("NOANSWER", 0, 3),  # as carriers say that don't count retries
    ],
)
def test_what_counts_as_a_ring(operator: User, carrier: Carrier, word: str, retries: int | None, used: int) -> None:
    group = make_call_group(operator, 1, retries=2)
    handover.hand_over(group.pk, 0)
    progress.record(group.pk, [Report(number(0), word, retries=retries)], "carrier", NOON)
    _count(used)


def test_a_carrier_that_makes_more_retries_than_it_was_given(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 1)
    handover.hand_over(group.pk, 0)
    progress.record(group.pk, [Report(number(0), "INPROGRESS", retries=2)], "carrier", NOON)
    progress.record(group.pk, [Report(number(0), "COMPLETED")], "carrier", NOON)
    _count(3)


@pytest.mark.parametrize(
    ("answer", "used"),
    [
        (Unconfirmed("Timed out."), 3),
        (NotTaken("Connection refused."), 0),
        (Refused("No."), 0),
        (lambda order: Accepted(refused={order.calls[0].obd_id: "INVALID"}), 0),
    ],
)
def test_what_was_not_placed_never_rang(operator: User, carrier: Carrier, answer: Any, used: int) -> None:
    group = make_call_group(operator, 1, retries=2)
    carrier.answer = answer
    handover.hand_over(group.pk, 0)
    _count(used)
    if call(group).status == "UNCONFIRMED":
        steer.settle(batch(group).pk, operator, placed=False)
        _count(0)


def test_what_was_cancelled_while_it_was_not_taken_never_rang(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 1)
    claimed = handover.claim(group.pk, 0)
    assert claimed
    steer.cancel(group.pk, operator)
    handover.release(claimed[0], "Connection refused.")
    assert (call(group).status, call(group).rings) == ("CANCELLED", 0)


def test_what_turns_out_to_be_placed_may_ring(operator: User, carrier: Carrier) -> None:
    """The carrier calls back about what it seemed not to have taken."""
    group = make_call_group(operator, 1, retries=2)
    carrier.answer = NotTaken("Connection refused.")
    handover.hand_over(group.pk, 0)
    progress.called_back(batch(group).pk, Report("", "QUEUED", obd_id=call(group).obd_id))
    _count(3)


def test_retries_that_the_cap_took_away_do_not_count(operator: User, carrier: Carrier) -> None:
    cap(2)
    group = make_call_group(operator, 1, retries=2)
    handover.hand_over(group.pk, 0)
    assert call(group).rings == 2


def test_calls_of_a_group_that_the_carrier_holds_count(operator: User, carrier: Carrier) -> None:
    contacts = make_group(carrier_group="vip")
    group = make_call_group(operator, [], contact_groups=(contacts.pk,), carrier_group="vip", retries=2)
    handover.hand_over(group.pk, 0)
    progress.record(group.pk, [Report(number(0), "QUEUED")], "carrier", NOON)
    _count(3)


@pytest.mark.parametrize(("minutes", "used"), [(2, 3), (2.02, 0)])
def test_a_ring_counts_on_each_day_on_which_it_may_be(
    operator: User, carrier: Carrier, minutes: float, used: int
) -> None:
    """The last of two retries, a minute apart, rings at midnight or before."""
    group = make_call_group(operator, 1, retries=2)
    handover.hand_over(group.pk, 0)
    Call.objects.update(handed_over_at=NOON - timedelta(hours=12, minutes=minutes))
    _count(used)


def _count(used: int) -> None:
    """The number rings so often today, and may do so once more only where the cap is higher."""
    for calls, free in ((used + 1, True), (used, False)):
        cap(calls)
        assert make_request(make_user(), number(0)).callable == free


def test_what_the_carrier_waits_with_counts_on_the_day_that_it_rings(operator: User, carrier: Carrier) -> None:
    cap(1)
    tomorrow = NOON + timedelta(days=1)
    later = make_call_group(operator, 1, schedule_time=tomorrow, waits=Waits.CARRIER)
    handover.hand_over(later.pk, 0)
    assert make_request(operator, number(0), schedule_time=tomorrow + timedelta(hours=1)).capped == 1
    assert make_request(operator, number(0)).callable == 1


def test_a_delay_over_midnight_counts_on_the_next_day(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.CALLING_HOURS = "00:00-24:00"
    cap(1)
    freeze(monkeypatch, NOON.replace(hour=23, minute=55))
    handover.hand_over(make_call_group(operator, 1, delay=600, waits=Waits.CARRIER).pk, 0)
    assert make_request(operator, number(0)).callable == 1
    freeze(monkeypatch, NOON + timedelta(days=1))
    assert make_request(operator, number(0)).capped == 1


def test_retries_after_midnight_count_on_the_next_day(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.CALLING_HOURS = "00:00-24:00"
    cap(3)
    tomorrow = make_call_group(operator, 1, schedule_time=NOON + timedelta(days=1), waits=Waits.CARRIER)
    handover.hand_over(tomorrow.pk, 0)
    freeze(monkeypatch, NOON.replace(hour=23, minute=50))
    assert make_request(operator, number(0), retries=2).callable == 1
    freeze(monkeypatch, NOON.replace(hour=23, minute=59))
    assert make_request(operator, number(0), retries=2).capped == 1


@pytest.mark.parametrize(("calls", "given"), [(None, 2), (3, 2), (2, 1), (1, 0)])
def test_retries_are_fewer_where_the_cap_is_smaller(
    operator: User, carrier: Carrier, calls: int | None, given: int
) -> None:
    cap(calls)
    group = make_call_group(operator, 1, retries=2)
    handover.hand_over(group.pk, 0)
    assert carrier.orders[0].retries == given
    progress.follow(group.pk)
    Batch.objects.update(check_at=NOON)
    progress.follow(group.pk)
    assert {question.retries for question in carrier.questions} == {given}


@pytest.mark.django_db(transaction=True)
def test_two_call_groups_at_the_same_moment_never_pass_the_cap_together() -> None:
    cap(1)
    groups = [make_call_group(make_user(), 1) for _ in range(4)]
    claimed = at_the_same_moment(*[lambda pk=group.pk: handover.claim(pk, 0) for group in groups])
    assert sum(each is not None for each in claimed) == 1


# --- What goes out again ------------------------------------------------------------------------------------------


def test_what_was_not_taken_goes_out_again_within_the_hours(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    freeze(monkeypatch, EVENING)
    group = make_call_group(operator, 1)
    carrier.answer = NotTaken("Connection refused.")
    handover.hand_over(group.pk, 0)
    freeze(monkeypatch, EVENING + timedelta(minutes=1))
    assert handover.hand_over(group.pk, 0) == MORNING
    assert len(carrier.orders) == 1


@pytest.mark.parametrize("keeps_away", ["hours", "list", "another day", "cap", "other calls", "nothing"])
def test_an_unconfirmed_request_is_repeated_only_where_its_calls_may_be_made(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch, keeps_away: str
) -> None:
    carrier.account = "ours"
    CarrierState.objects.create(name="sandbox", idempotent_account="ours", idempotent_seconds=86_400)
    cap(3)
    group = make_call_group(operator, 1, retries=1)
    carrier.answer = Unconfirmed("Timed out.")
    handover.hand_over(group.pk, 0)
    carrier.answer = Accepted()
    again = NOON + timedelta(hours=1)
    if keeps_away == "hours":
        again = EVENING
    elif keeps_away == "list":
        Suppression.objects.create(number=number(0), reason="No.")
    elif keeps_away == "another day":
        again = MORNING
    elif keeps_away == "cap":
        cap(1)
    elif keeps_away == "other calls":
        handover.hand_over(make_call_group(operator, 1, traffic="service", retries=1).pk, 0)
    freeze(monkeypatch, again)
    handover.hand_over(group.pk, 0)
    repeated = [order for order in carrier.orders if order.key == str(batch(group).order_key)]
    assert len(repeated) == (2 if keeps_away == "nothing" else 1)
    assert statuses(group) == ["QUEUED" if keeps_away == "nothing" else "UNCONFIRMED"]
    if keeps_away == "nothing":
        assert carrier.orders[0] == carrier.orders[1]
        assert len(batch(group).rules or []) == 2


# --- Overriding ---------------------------------------------------------------------------------------------------


def test_overriding_makes_all_calls_but_those_to_suppressed_numbers(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    cap(1)
    night = EVENING + timedelta(hours=1)
    freeze(monkeypatch, night)
    group = make_call_group(operator, 2, retries=1)
    Suppression.objects.create(number=number(1), reason="No.")
    steer.override(group.pk, operator, "  A flood is coming.  ")
    (job,) = jobs(group, "hand_over")
    assert job.scheduled_at == night
    handover.hand_over(group.pk, 0)
    assert statuses(group) == ["QUEUED", "DND"]
    assert carrier.orders[0].retries == 1
    (entry,) = batch(group).rules or []
    assert entry["override"] == {"reason": "A flood is coming.", "by": operator.username, "at": night.isoformat()}
    group.refresh_from_db()
    assert (group.override_by, group.override_at, group.due_at) == (operator, night, night)


def test_overriding_does_not_ring_before_the_time_asked_for(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = NOON + timedelta(hours=10)
    group = make_call_group(operator, 1, schedule_time=at)
    steer.override(group.pk, operator, "A flood is coming.")
    assert handover.hand_over(group.pk, 0) == at
    freeze(monkeypatch, at)
    handover.hand_over(group.pk, 0)
    assert statuses(group) == ["QUEUED"]


def test_what_can_not_be_overridden(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 1)
    with pytest.raises(steer.NotPossible, match="why"):
        steer.override(group.pk, operator, "  ")
    handover.hand_over(group.pk, 0)
    with pytest.raises(steer.NotPossible, match="nothing to override"):
        steer.override(group.pk, operator, "A flood.")
    cancelled = make_call_group(operator, [number(3)])
    steer.cancel(cancelled.pk, operator)
    with pytest.raises(steer.NotPossible, match="ended"):
        steer.override(cancelled.pk, operator, "A flood.")


# --- Evidence -----------------------------------------------------------------------------------------------------


def test_what_was_checked_is_written_down(operator: User, carrier: Carrier) -> None:
    cap(4)
    listed = SuppressionList.objects.create(name="Register", scrubbed_on="2026-11-01", promotional_only=True)
    Suppression.objects.create(list=listed, number=number(5), reason="No.")
    group = make_call_group(operator, 1)
    Sound.objects.update(sha256="ab" * 32)
    carrier.answer = NotTaken("Connection refused.")
    handover.hand_over(group.pk, 0)
    Batch.objects.update(due_at=NOON)
    carrier.answer = Accepted()
    handover.hand_over(group.pk, 0)
    first, second = batch(group).rules or []
    lists = second.pop("lists")
    assert second == {
        "at": NOON.isoformat(),
        "rings_at": NOON.isoformat(),
        "traffic": "promotional",
        "place": "GB Europe/London",
        "local": {"Europe/London": "2026-11-20 12:00 +00:00"},
        "hours": "09:00-21:00",
        "weekdays": [0, 1, 2, 3, 4, 5, 6],
        "holidays": False,
        "holiday": "",
        "closed_days": [],
        "closed": [],
        "numbers_known": True,
        "cap": 4,
        "retries": 0,
        "override": None,
        "played": {"reference": "1.sound", "sha256": "ab" * 32},
    }
    assert {"id": listed.pk, "name": "Register", "version": 1, "scrubbed_on": "2026-11-01"} in lists
    assert len(lists) == SuppressionList.objects.count()
    assert first["at"] == second["at"]


@pytest.mark.parametrize(
    ("at", "closed", "said"),
    [
        (NOON, [], "not called on 6 Nov 2026, 21 Nov 2026, 4 Dec 2026; it was none of them"),
        # The day before in Los Angeles, but not in New York: one of the clocks is enough.
        (NOON + timedelta(hours=17, minutes=30), ["2026-11-21"], "4 Dec 2026; that day was 21 Nov 2026"),
    ],
)
def test_further_closed_days_are_written_down(
    operator: User, monkeypatch: pytest.MonkeyPatch, at: datetime, closed: list[str], said: str
) -> None:
    days = ["2026-11-05", "2026-11-06", "2026-11-21", "2026-12-04", "2026-12-06"]
    use(Carrier(), monkeypatch)
    freeze(monkeypatch, at)
    group = make_call_group(operator, ["+18005550123"])  # anywhere in North America
    CallingRule.objects.update_or_create(traffic="promotional", defaults={"closed_days": days, "hours": "00:00-24:00"})
    if closed:
        CallGroup.objects.update(override_reason="A flood.", override_at=at)
    handover.hand_over(group.pk, 0)
    (entry,) = batch(group).rules or []
    assert (entry["closed_days"], entry["closed"]) == (["2026-11-06", "2026-11-21", "2026-12-04"], closed)
    (record,) = records([call(group)])
    assert record.last
    assert record.last.closed_days.endswith(said)


def test_where_the_carrier_holds_the_numbers_lists_and_cap_are_not_checked(operator: User, carrier: Carrier) -> None:
    cap(4)
    contacts = make_group(carrier_group="vip")
    group = make_call_group(operator, [], contact_groups=(contacts.pk,), carrier_group="vip")
    handover.hand_over(group.pk, 0)
    (entry,) = batch(group).rules or []
    assert (entry["numbers_known"], entry["lists"], entry["cap"]) == (False, [], None)
    progress.record(group.pk, [Report(number(0), "QUEUED")], "carrier", NOON)
    (record,) = records([call(group)])
    (checked,) = record.checks
    assert (checked.cap, checked.lists) == (NOT_CHECKED, [NOT_CHECKED])


def test_a_message_is_known_by_its_text(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 1, play="", message="Good evening, नमस्ते")
    handover.hand_over(group.pk, 0)
    (entry,) = batch(group).rules or []
    assert entry["played"] == {
        "reference": "",
        "sha256": hashlib.sha256("Good evening, नमस्ते".encode()).hexdigest(),
    }
    assert batch(group).state == BatchState.ACCEPTED
