"""Starting a planned call request: once, with the calls and batches that the plan said, and with the jobs for them."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import Settings

from calls.dialing import handover, steer
from calls.dialing.request import Again
from calls.dialing.start import CannotStart, NotPlanned, start
from calls.models import Batch, Call, CallGroup, CallRequest, Outcome, RequestState, Suppression, User, Waits
from calls.obd.statuses import Status
from tests.dialing.helpers import at_the_same_moment, freeze, jobs, ranges
from tests.factories import make_call_group, make_group, make_request, make_user, number

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)
"""In the tests' time zone, Asia/Kolkata."""


@pytest.fixture
def operator() -> User:
    return make_user()


def numbers(group: CallGroup) -> list[str]:
    return list(group.calls.order_by("n").values_list("number", flat=True))


# --- Once ---------------------------------------------------------------------------------------------------------


def test_however_often_it_is_asked_it_starts_once(operator: User) -> None:
    request = make_request(operator, f"{number(1)}\n{number(2)}")
    group = start(request.pk)
    waiting = len(jobs(group))
    assert [start(request.pk), start(str(request.pk))] == [group, group]
    assert (CallGroup.objects.count(), Call.objects.count(), Batch.objects.count()) == (1, 2, 1)
    assert len(jobs(group)) == waiting
    request.refresh_from_db()
    assert (request.state, request.call_group) == (RequestState.STARTED, group)


@pytest.mark.django_db(transaction=True)
def test_two_confirms_at_the_same_moment_start_once() -> None:
    request = make_request(make_user(), f"{number(1)}\n{number(2)}")
    groups = at_the_same_moment(*[lambda: start(request.pk).pk] * 4)
    assert len(set(groups)) == 1
    assert CallGroup.objects.count() == 1
    assert sorted(Call.objects.values_list("number", flat=True)) == [number(1), number(2)]
    assert len(jobs(CallGroup.objects.get(), "hand_over")) == 1


@pytest.mark.parametrize("state", [RequestState.PLANNING, RequestState.CANCELLED, RequestState.FAILED])
def test_what_is_not_planned_to_its_end_is_not_started(operator: User, state: RequestState) -> None:
    request = make_request(operator, number(1))
    CallRequest.objects.filter(pk=request.pk).update(state=state)
    with pytest.raises(NotPlanned):
        start(request.pk)
    assert not CallGroup.objects.exists()


def test_a_started_request_whose_call_group_is_gone_is_not_started_again(operator: User) -> None:
    request = make_request(operator, number(1))
    start(request.pk)
    CallRequest.objects.filter(pk=request.pk).update(call_group=None)
    with pytest.raises(NotPlanned):
        start(request.pk)


# --- Who ----------------------------------------------------------------------------------------------------------


def test_calls_are_held_in_the_order_of_the_plan(operator: User) -> None:
    request = make_request(operator, f"Asha: {number(5)}\n12\n{number(5)}\n{number(3)}", custom="a,b,c,d")
    group = start(request.pk)
    calls = list(group.calls.order_by("n"))
    assert [(call.obd_id, call.number, call.name, call.custom) for call in calls] == [
        (f"{group.pk}-1", number(5), "Asha", "a"),
        (f"{group.pk}-2", number(3), "", "d"),
    ]
    assert {call.status for call in calls} == {Status.HELD}
    assert {call.handed_over_at for call in calls} == {None}
    group.refresh_from_db()
    assert (group.total, group.held, group.open, group.ended_at) == (2, 2, 2, None)


def test_what_was_dropped_stays_on_record(operator: User) -> None:
    request = make_request(operator, f"{number(1)}\n12\n{number(1)}")
    start(request.pk)
    left = request.planned.order_by("position").values_list("outcome", flat=True)
    assert list(left) == [Outcome.INVALID, Outcome.DUPLICATE]


def test_a_number_suppressed_since_the_plan_is_not_called(operator: User) -> None:
    request = make_request(operator, f"{number(1)}\n{number(2)}\n{number(3)}")
    Suppression.objects.create(number=number(2), reason="Just wrote to us.")
    group = start(request.pk)
    assert numbers(group) == [number(1), number(3)]
    assert ranges(group) == [(1, 2)]
    request.refresh_from_db()
    assert (request.callable, request.suppressed) == (2, 1)
    assert request.planned.get(outcome=Outcome.SUPPRESSED).reason.endswith("Do not call”: Just wrote to us.")


def test_nothing_is_left_to_call(operator: User) -> None:
    request = make_request(operator, f"{number(1)}\n12")
    Suppression.objects.create(number=number(1), reason="Just wrote to us.")
    with pytest.raises(CannotStart):
        start(request.pk)
    assert not CallGroup.objects.exists()
    request.refresh_from_db()
    # The preflight says the truth from now on.
    assert (request.state, request.callable, request.suppressed) == (RequestState.PLANNED, 0, 1)
    Suppression.objects.all().delete()
    with pytest.raises(CannotStart):
        start(request.pk)


@pytest.mark.parametrize("typed", ["", "12", "abc\n999"])
def test_a_plan_without_callable_numbers_is_not_started(operator: User, typed: str) -> None:
    with pytest.raises(CannotStart):
        start(make_request(operator, typed).pk)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, [(1, 1)]),
        (200, [(1, 200)]),
        (201, [(1, 200), (201, 201)]),
        (400, [(1, 200), (201, 400)]),
        (450, [(1, 200), (201, 400), (401, 450)]),
    ],
)
def test_batches_of_at_most_200(operator: User, count: int, expected: list[tuple[int, int]]) -> None:
    contacts = make_group(numbers=count)
    group = start(make_request(operator, contact_groups=(contacts.pk,)).pk)
    assert ranges(group) == expected
    assert numbers(group) == [number(i) for i in range(count)]
    assert list(group.contact_groups.all()) == [contacts]


def test_a_group_that_the_carrier_holds_is_one_request_without_calls(operator: User) -> None:
    contacts = make_group(carrier_group="vip")
    request = make_request(operator, contact_groups=(contacts.pk,), carrier_group="vip", custom="autumn")
    group = start(request.pk)
    group.refresh_from_db()
    assert ranges(group) == [(1, 0)]
    assert (group.carrier_group, group.custom, group.total, group.ended_at) == ("vip", "autumn", 0, None)
    assert len(jobs(group, "hand_over")) == 1


# --- How ----------------------------------------------------------------------------------------------------------


def test_the_call_group_has_every_option(operator: User, settings: Settings) -> None:
    at = timezone.now() + timedelta(hours=3)
    parent = make_call_group(operator, 1)
    Call.objects.filter(call_group=parent).update(status=Status.BUSY)
    options: dict[str, Any] = {
        "play": "7.ivr", "message": "", "retries": 2, "campaign": "Autumn", "newgroup": True, "schedule_time": at,
        "delay": 30, "waits": Waits.CARRIER, "meta": {"a": [1]}, "callback": "https://example.com/{obdid}",
    }  # fmt: skip
    request = make_request(operator, again=Again(parent.pk), **options)
    CallRequest.objects.filter(pk=request.pk).update(parent=parent)
    group = start(request.pk)
    group.refresh_from_db()
    assert {name: getattr(group, name) for name in options} == options
    assert (group.owner, group.parent, group.carrier) == (operator, parent, settings.CARRIER)


@pytest.mark.parametrize(
    ("schedule", "delay", "waits", "due"),
    [
        (None, 0, Waits.PORTAL, 0),
        (None, 90, Waits.PORTAL, 90),
        (3_600, 0, Waits.PORTAL, 3_600),
        (3_600, 90, Waits.PORTAL, 3_690),
        (3_600, 90, Waits.CARRIER, 0),
        (None, 90, Waits.CARRIER, 0),
    ],
)
def test_when_the_first_batch_is_due(  # noqa: PLR0917
    operator: User, monkeypatch: pytest.MonkeyPatch, schedule: int | None, delay: int, waits: Waits, due: int
) -> None:
    freeze(monkeypatch, NOON)
    at = NOON + timedelta(seconds=schedule) if schedule else None
    group = make_call_group(operator, 1, schedule_time=at, delay=delay, waits=waits)
    expected = NOON + timedelta(seconds=due)
    assert (group.due_at, group.batches.get().due_at) == (expected, expected)
    assert {job.scheduled_at for job in jobs(group)} == {expected}


def test_the_delay_counts_from_the_confirm(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    freeze(monkeypatch, NOON)
    request = make_request(operator, number(1), delay=60)
    freeze(monkeypatch, NOON + timedelta(minutes=10))
    assert start(request.pk).due_at == NOON + timedelta(minutes=11)


# --- Jobs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("batches", "lanes"), [(1, 1), (2, 2), (3, 3), (5, 3)])
def test_a_job_per_lane_and_one_that_follows(
    operator: User, settings: Settings, monkeypatch: pytest.MonkeyPatch, batches: int, lanes: int
) -> None:
    settings.CARRIER_CONNECTIONS = 3
    monkeypatch.setattr("calls.dialing.start.MAX_CALLS", 2)
    group = make_call_group(operator, batches * 2)
    handing_over = jobs(group, "hand_over")
    assert [job.args["lane"] for job in handing_over] == list(range(lanes))
    assert len({job.lock for job in handing_over}) == lanes
    (following,) = jobs(group, "follow")
    assert following.queueing_lock == following.lock == f"follow-{group.pk}"


def test_jobs_come_with_the_rows_or_not_at_all(operator: User) -> None:
    request = make_request(operator, number(1))
    with transaction.atomic():
        group = start(request.pk)
        assert jobs(group)
        transaction.set_rollback(True)
    assert not jobs(group)
    assert not CallGroup.objects.exists()
    request.refresh_from_db()
    assert request.state == RequestState.PLANNED
    assert start(request.pk).calls.count() == 1


# --- newgroup=0: similar requests are listed in one call group -----------------------------------------------------


def similar(user: User, *which: int, **options: object) -> CallGroup:
    """Start a request with `newgroup=0` to these numbers."""
    typed = "\n".join(number(i) for i in which)
    return start(make_request(user, typed, **({"newgroup": False, "campaign": "Autumn"} | options)).pk)


def test_similar_requests_of_a_day_share_a_call_group(operator: User) -> None:
    first = similar(operator, 1, 2)
    second = similar(operator, 3)
    assert first == second
    assert numbers(first) == [number(1), number(2), number(3)]
    assert list(first.calls.order_by("n").values_list("n", flat=True)) == [1, 2, 3]
    assert ranges(first) == [(1, 2), (3, 3)]
    first.refresh_from_db()
    assert (first.total, first.held) == (3, 3)


def test_numbering_continues_over_batches(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calls.dialing.start.MAX_CALLS", 2)
    group = similar(operator, 1, 2, 3)
    similar(operator, 4, 5, 6)
    assert ranges(group) == [(1, 2), (3, 3), (4, 5), (6, 6)]


def test_what_joins_is_handed_over_in_its_own_time(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    freeze(monkeypatch, NOON)
    group = similar(operator, 1, delay=60)
    later = NOON + timedelta(minutes=5)
    freeze(monkeypatch, later)
    similar(operator, 2, delay=60)
    assert list(group.batches.order_by("first").values_list("due_at", flat=True)) == [
        NOON + timedelta(seconds=60),
        later + timedelta(seconds=60),
    ]
    assert later + timedelta(seconds=60) in {job.scheduled_at for job in jobs(group, "hand_over")}


def test_a_finished_call_group_goes_on_when_calls_join(operator: User) -> None:
    group = similar(operator, 1)
    Batch.objects.update(state="accepted")
    Call.objects.update(status=Status.COMPLETED)
    group.refresh_from_db()
    assert group.ended_at
    assert similar(operator, 2) == group
    group.refresh_from_db()
    assert [group.ended_at, group.open] == [None, 1]


def test_contact_groups_join_too(operator: User) -> None:
    one, two = make_group(numbers=[number(1)]), make_group(numbers=[number(2)])
    group = similar(operator, contact_groups=(one.pk,))
    assert similar(operator, contact_groups=(two.pk,)) == group
    assert set(group.contact_groups.all()) == {one, two}


@pytest.mark.parametrize(
    "other",
    [
        {"campaign": "Winter"},
        {"play": "2.sound"},
        {"play": "", "message": "Hello."},
        {"retries": 1},
        {"delay": 5},
        {"meta": {"a": 1}},
        {"callback": "https://example.com/"},
        {"waits": Waits.CARRIER},
        {"schedule_time": NOON + timedelta(days=1)},
        {"newgroup": True},
    ],
    ids=lambda options: next(iter(options)),
)
def test_other_options_make_another_call_group(operator: User, other: dict[str, object]) -> None:
    assert similar(operator, 1) != similar(operator, 2, **other)


def test_custom_references_may_differ(operator: User) -> None:
    assert similar(operator, 1, custom="a") == similar(operator, 2, custom="b")


def test_order_of_keys_in_metadata_does_not_matter(operator: User) -> None:
    assert similar(operator, 1, meta={"a": 1, "b": 2}) == similar(operator, 2, meta={"b": 2, "a": 1})


def test_nobody_joins_the_call_group_of_somebody_else(operator: User) -> None:
    assert similar(operator, 1) != similar(make_user(), 2)


def test_a_number_that_is_in_the_call_group_makes_a_new_one(operator: User) -> None:
    first = similar(operator, 1, 2)
    second = similar(operator, 2, 3)
    assert first != second
    assert numbers(second) == [number(2), number(3)]
    # The next one joins the newest.
    assert similar(operator, 4) == second


def test_overlap_with_a_number_that_is_not_called_does_not_count(operator: User) -> None:
    first = similar(operator, 1, 2)
    Suppression.objects.create(number=number(2), reason="No.")
    assert similar(operator, 2, 3) == first


@pytest.mark.parametrize("act", [steer.pause, steer.cancel])
def test_paused_and_cancelled_call_groups_are_not_joined(operator: User, act: object) -> None:
    group = similar(operator, 1)
    act(group.pk, operator)  # type: ignore[operator]
    other = similar(operator, 2)
    assert other != group
    assert similar(operator, 3) == other


def test_a_resumed_call_group_is_joined_again(operator: User) -> None:
    group = similar(operator, 1)
    steer.pause(group.pk, operator)
    steer.resume(group.pk, operator)
    assert similar(operator, 2) == group


def test_the_day_is_that_of_the_portals_time_zone(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    before_midnight = datetime(2026, 11, 20, 18, 29, tzinfo=UTC)
    freeze(monkeypatch, before_midnight)
    first = similar(operator, 1)
    freeze(monkeypatch, before_midnight + timedelta(minutes=2))
    second = similar(operator, 2)
    freeze(monkeypatch, before_midnight + timedelta(hours=23))
    third = similar(operator, 3)
    assert first != second == third


def test_another_carrier_is_another_call_group(operator: User, settings: Settings) -> None:
    first = similar(operator, 1)
    settings.CARRIER = "obd"
    assert similar(operator, 2) != first


def test_calls_made_again_never_join(operator: User) -> None:
    parent = similar(operator, 1)
    Call.objects.update(status=Status.BUSY)
    again = start(make_request(operator, campaign="Autumn", newgroup=False, again=Again(parent.pk)).pk)
    assert again != parent
    assert similar(operator, 2) == parent


@pytest.mark.django_db(transaction=True)
def test_similar_requests_at_the_same_moment_share_a_call_group() -> None:
    user = make_user()
    requests = [make_request(user, number(i), newgroup=False) for i in range(3)]
    groups = at_the_same_moment(*[partial(start, request.pk) for request in requests])
    assert len(set(groups)) == 1
    group = CallGroup.objects.get()
    assert sorted(ranges(group)) == [(1, 1), (2, 2), (3, 3)]
    assert sorted(numbers(group)) == [number(0), number(1), number(2)]


@pytest.mark.django_db(transaction=True)
def test_similar_requests_to_the_same_number_never_wait_for_each_other_in_a_circle() -> None:
    """One finds no group and waits for the others; then there is one with that number."""
    user = make_user()
    first, second, third = (make_request(user, number(1), newgroup=False, campaign="Autumn") for _ in range(3))
    opened = start(first.pk)
    similarity = opened.similarity
    CallGroup.objects.update(similarity="not yet")
    with connection.cursor() as cursor, ThreadPoolExecutor(2) as pool:
        cursor.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [similarity])
        groups = [pool.submit(at_the_same_moment, partial(start, second.pk))]
        _until_waiting(1)
        CallGroup.objects.update(similarity=similarity)
        groups.append(pool.submit(at_the_same_moment, partial(start, third.pk)))
        _until_waiting(2)
        cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [similarity])
        found = {opened, *(group.result(60)[0] for group in groups)}
    assert len(found) == 3  # a number is in a call group once


def _until_waiting(number: int) -> None:
    """Wait until so many wait for an advisory lock."""
    for _ in range(600):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_locks JOIN pg_database AS d ON d.oid = database "
                "WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted"
            )
            if cursor.fetchone()[0] == number:
                return
        time.sleep(0.05)
    raise AssertionError(f"{number} should wait")


@pytest.mark.django_db(transaction=True)
def test_joining_while_a_batch_is_claimed_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    user = make_user()
    group = similar(user, 1, 2)
    request = make_request(user, number(3), newgroup=False, campaign="Autumn")
    acts: list[Callable[[], object]] = [partial(start, request.pk), partial(handover.claim, group.pk, 0)]
    at_the_same_moment(*acts)
    assert numbers(group) == [number(1), number(2), number(3)]
    group.refresh_from_db()
    assert (group.total, group.held) == (3, 1)


# --- Calls that are made again ------------------------------------------------------------------------------------


def again(user: User, parent: CallGroup) -> CallRequest:
    """A planned request for the calls of `parent` that reached nobody; whoever confirmed it saw no earlier one."""
    request = make_request(user, again=Again(parent.pk))
    CallRequest.objects.filter(pk=request.pk).update(parent=parent)
    return request


def not_reached(user: User) -> CallGroup:
    parent = make_call_group(user, 2)
    Call.objects.filter(call_group=parent).update(status=Status.BUSY)
    return parent


def test_calls_are_not_made_again_twice_unseen(operator: User) -> None:
    parent = not_reached(operator)
    first, second = again(operator, parent), again(operator, parent)
    child = start(first.pk)
    assert start(first.pk) == child
    with pytest.raises(CannotStart, match=f"made again meanwhile, as call group {child.pk}"):
        start(second.pk)
    CallRequest.objects.filter(pk=second.pk).update(made_again=child)
    assert start(second.pk).parent == parent
    with pytest.raises(CannotStart):
        start(again(operator, parent).pk)


@pytest.mark.django_db(transaction=True)
def test_calls_made_again_at_the_same_moment_are_made_once() -> None:
    user = make_user()
    parent = not_reached(user)
    requests = [again(user, parent) for _ in range(3)]

    def confirmed(request: CallRequest) -> bool:
        try:
            return bool(start(request.pk))
        except CannotStart:
            return False

    done = at_the_same_moment(*[partial(confirmed, request) for request in requests])
    assert sorted(done) == [False, False, True]
    assert CallGroup.objects.filter(parent=parent).count() == 1
