"""The background jobs: what they go on with, and how work that lost its job gets another."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.utils import timezone
from procrastinate.contrib.django.django_connector import DjangoConnector
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.manager import JobManager
from pytest_django import Settings

from calls import tasks
from calls.carriers.base import Report
from calls.dialing import handover, steer
from calls.dialing import jobs as deferring
from calls.dialing.jobs import follow_later, hand_over_later, plan_later, start_later
from calls.dialing.request import Options
from calls.models import Batch, CallGroup, CallingRule, CallRequest, RequestState, Suppression, User
from tests.dialing.helpers import Carrier, batch, freeze, jobs, statuses, use
from tests.factories import make_call_group, make_group, make_request, make_user, number

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)


@pytest.fixture
def operator() -> User:
    return make_user()


@pytest.fixture
def carrier(monkeypatch: pytest.MonkeyPatch) -> Carrier:
    told = Carrier()
    use(told, monkeypatch)
    return told


def lose_jobs() -> None:
    """All jobs fail, as in a crash."""
    ProcrastinateJob.objects.filter(status="todo").update(status="failed")


def waiting(request: CallRequest) -> list[str]:
    found = ProcrastinateJob.objects.filter(status="todo", args__request_id=str(request.pk))
    return list(found.values_list("task_name", flat=True))


def ago(seconds: float) -> datetime:
    return timezone.now() - timedelta(seconds=seconds)


# --- Going on -----------------------------------------------------------------------------------------------------


def test_a_lane_goes_on_when_its_next_batch_is_due(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 1, delay=600)
    lose_jobs()
    tasks.hand_over(group.pk, 2)
    (job,) = jobs(group)
    assert (job.args["lane"], job.lock, job.scheduled_at) == (2, f"hand-over-{group.pk}-2", batch(group).due_at)


def test_a_lane_that_has_nothing_left_ends(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 1)
    lose_jobs()
    tasks.hand_over(group.pk, 0)
    assert statuses(group) == ["QUEUED"]
    assert jobs(group) == []


def test_following_goes_on_until_all_is_final(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 1)
    tasks.hand_over(group.pk, 0)
    lose_jobs()
    tasks.follow(group.pk)
    (job,) = jobs(group, "follow")
    assert job.scheduled_at
    lose_jobs()
    carrier.says = [Report(number(0), "BUSY")]
    Batch.objects.update(check_at=ago(1))
    tasks.follow(group.pk)
    assert statuses(group) == ["BUSY"]
    assert jobs(group) == []


def test_only_one_job_waits_to_follow(operator: User) -> None:
    group = make_call_group(operator, 1)
    for _ in range(3):
        follow_later(group.pk, timezone.now())
    assert len(jobs(group, "follow")) == 1


# --- Large requests -----------------------------------------------------------------------------------------------


def test_planning_and_starting_in_a_worker(operator: User) -> None:
    request = make_request(operator, contact_groups=(make_group(numbers=3).pk,))
    request.planned.all().delete()
    CallRequest.objects.update(state=RequestState.PLANNING, callable=0)
    tasks.plan_request(str(request.pk))
    request.refresh_from_db()
    assert (request.state, request.callable) == (RequestState.PLANNED, 3)
    CallRequest.objects.update(state=RequestState.STARTING)
    tasks.start_request(str(request.pk))
    tasks.start_request(str(request.pk))
    request.refresh_from_db()
    assert request.error == ""
    group = CallGroup.objects.get()
    assert statuses(group) == ["HELD"] * 3


def test_a_request_that_was_dropped_is_neither_planned_nor_started(operator: User) -> None:
    request = make_request(operator, number(1))
    CallRequest.objects.update(state=RequestState.CANCELLED)
    tasks.plan_request(str(request.pk))
    tasks.start_request(str(request.pk))
    assert not CallGroup.objects.exists()
    assert request.planned.count() == 1
    request.refresh_from_db()
    assert (request.state, request.error) == (RequestState.CANCELLED, "")
    tasks.plan_request(str(uuid4()))


def test_nothing_left_to_start_is_said(operator: User) -> None:
    request = make_request(operator, number(1))
    CallRequest.objects.update(state=RequestState.STARTING)
    Suppression.objects.create(number=number(1), reason="No.")
    tasks.start_request(str(request.pk))
    request.refresh_from_db()
    assert (request.state, request.error) == (RequestState.FAILED, "None of these numbers may be called.")


# --- The sweep ----------------------------------------------------------------------------------------------------


def sending(user: User, lane: int = 3) -> CallGroup:
    group = make_call_group(user, 1)
    assert handover.claim(group.pk, lane)
    Batch.objects.filter(call_group=group).update(sent_at=ago(31))
    return group


def test_a_batch_left_sending_gets_its_lane_back(operator: User, carrier: Carrier) -> None:
    group = sending(operator, lane=3)
    lose_jobs()
    tasks.sweep(0)
    (job,) = jobs(group, "hand_over")
    assert job.args["lane"] == 3
    tasks.sweep(0)
    assert len(jobs(group, "hand_over")) == 1
    tasks.hand_over(group.pk, 3)
    assert statuses(group) == ["UNCONFIRMED"]


def test_a_batch_that_is_being_sent_is_left_alone(operator: User) -> None:
    group = sending(operator, lane=0)
    ProcrastinateJob.objects.filter(lock=f"hand-over-{group.pk}-0").update(status="doing")
    tasks.sweep(0)
    assert jobs(group, "hand_over") == []
    recent = sending(operator)
    lose_jobs()
    Batch.objects.filter(call_group=recent).update(sent_at=ago(5))
    tasks.sweep(0)
    assert jobs(recent, "hand_over") == []


@pytest.mark.parametrize(
    ("due", "act", "found"),
    [(31, None, True), (5, None, False), (-60, None, False), (31, steer.pause, False), (31, steer.cancel, False)],
    ids=["overdue", "due", "not due", "paused", "cancelled"],
)
def test_an_overdue_batch_gets_a_job(operator: User, due: float, act: object, found: bool) -> None:
    group = make_call_group(operator, 1)
    Batch.objects.update(due_at=ago(due))
    if act:
        act(group.pk, operator)  # type: ignore[operator]
    lose_jobs()
    tasks.sweep(0)
    assert bool(jobs(group, "hand_over")) is found


def test_a_due_lane_whose_job_is_behind_one_for_tomorrow_comes_now(operator: User) -> None:
    """The queue gives out no job before an earlier one with its lock; two can be deferred in the same moment."""
    group = make_call_group(operator, 1)
    lose_jobs()
    Batch.objects.update(due_at=ago(31))
    lane, manager = partial(deferring._lane, group.pk, 0), JobManager(DjangoConnector())
    for at in (ago(-86_400), ago(5)):
        manager.defer_job(lane(at))
    tasks.sweep(0)
    assert not [job for job in jobs(group, "hand_over") if not job.scheduled_at or job.scheduled_at > timezone.now()]


def rules_jobs() -> list[str]:
    found = ProcrastinateJob.objects.filter(task_name="calls.tasks.rules_changed", status="todo")
    return [job.args["traffic"] for job in found]


def another_rule(settings: Settings, carrier: Carrier) -> None:
    CallingRule.objects.update_or_create(traffic="promotional", defaults={"hours": "09:00-23:00"})


def another_setting(settings: Settings, carrier: Carrier) -> None:
    settings.CALLING_HOURS = "09:00-23:00"


def other_retries(settings: Settings, carrier: Carrier) -> None:
    carrier.retry_gap = 30.0


@pytest.mark.parametrize("change", [another_rule, another_setting, other_retries])
def test_what_is_kept_by_rules_that_have_changed_is_looked_at_again(
    operator: User,
    carrier: Carrier,
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    change: Callable[[Settings, Carrier], None],
) -> None:
    """As where the job for a changed rule ran while calls were being started, or after the portal was started anew."""
    settings.CALLING_HOURS = "09:00-21:00"
    freeze(monkeypatch, datetime(2026, 11, 20, 20, 57, tzinfo=UTC))  # in London too
    group = make_call_group(operator, 1, retries=1)
    assert batch(group).kept_by
    tasks.sweep(0)
    assert rules_jobs() == []
    change(settings, carrier)
    tasks.sweep(0)
    tasks.sweep(0)
    assert rules_jobs() == ["promotional"]
    ProcrastinateJob.objects.filter(task_name="calls.tasks.rules_changed").delete()
    tasks.rules_changed("promotional")
    handover.hand_over(group.pk, 0)
    assert statuses(group) == ["QUEUED"]


def test_what_goes_on_being_kept_is_looked_at_once(
    operator: User, carrier: Carrier, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.CALLING_HOURS = "09:00-21:00"
    freeze(monkeypatch, datetime(2026, 11, 20, 22, 0, tzinfo=UTC))
    vip = make_group(carrier_group="vip")
    groups = [
        make_call_group(operator, 1),
        make_call_group(operator, [], contact_groups=(vip.pk,), carrier_group="vip"),
    ]
    CallingRule.objects.update_or_create(traffic="promotional", defaults={"hours": "10:00-21:00"})
    tasks.sweep(0)
    ProcrastinateJob.objects.filter(task_name="calls.tasks.rules_changed").delete()
    tasks.rules_changed("promotional")
    for group in groups:
        handover.hand_over(group.pk, 0)
        assert batch(group).kept_by
    tasks.sweep(0)
    assert rules_jobs() == []


def test_an_overdue_question_is_asked(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 1)
    tasks.hand_over(group.pk, 0)
    lose_jobs()
    tasks.sweep(0)
    assert jobs(group) == []
    Batch.objects.update(check_at=ago(31))
    tasks.sweep(0)
    tasks.sweep(0)
    assert [job.task_name for job in jobs(group)] == ["calls.tasks.follow"]


def test_what_is_still_held_of_a_cancelled_group_is_cancelled(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steer, "CANCEL_STEP", 1)
    group = make_call_group(operator, 2)
    steer.cancel(group.pk, operator)
    lose_jobs()
    CallGroup.objects.update(state_at=ago(31))
    tasks.sweep(0)
    assert len(jobs(group, "cancel_held")) == 1
    tasks.cancel_held(group.pk)
    assert statuses(group) == ["CANCELLED", "CANCELLED"]
    lose_jobs()
    tasks.sweep(0)
    assert jobs(group) == []


@pytest.mark.parametrize(
    ("state", "task"),
    [(RequestState.PLANNING, "calls.tasks.plan_request"), (RequestState.STARTING, "calls.tasks.start_request")],
)
def test_a_request_whose_job_failed_gets_another(operator: User, state: RequestState, task: str) -> None:
    request = make_request(operator, number(1))
    CallRequest.objects.update(state=state, created_at=ago(31))
    tasks.sweep(0)
    tasks.sweep(0)
    assert waiting(request) == [task]


@pytest.mark.parametrize(
    ("state", "age"),
    [
        (RequestState.PLANNING, 5),
        (RequestState.PLANNED, 60),
        (RequestState.CANCELLED, 60),
        (RequestState.FAILED, 60),
        (RequestState.STARTED, 60),
        (RequestState.STARTING, 2 * 24 * 3600),
    ],
)
def test_other_requests_get_none(operator: User, state: RequestState, age: float) -> None:
    request = make_request(operator, number(1))
    CallRequest.objects.update(state=state, created_at=ago(age))
    tasks.sweep(0)
    assert waiting(request) == []


@pytest.mark.parametrize("defer", [plan_later, start_later])
def test_a_request_that_is_at_work_gets_none(operator: User, defer: object) -> None:
    request = make_request(operator, number(1))
    state = RequestState.PLANNING if defer is plan_later else RequestState.STARTING
    CallRequest.objects.update(state=state, created_at=ago(60))
    defer(request)  # type: ignore[operator]
    ProcrastinateJob.objects.filter(args__request_id=str(request.pk)).update(status="doing")
    tasks.sweep(0)
    assert waiting(request) == []


# --- Dead workers -------------------------------------------------------------------------------------------------


@pytest.fixture
def workers() -> Iterator[tuple[int, int]]:
    """A worker that is dead and one that lives; their jobs and they are forgotten afterwards."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '31 seconds'), (now())"
            " RETURNING id"
        )
        dead, alive = (pk for (pk,) in cursor.fetchall())
    yield dead, alive
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM procrastinate_jobs")
        cursor.execute("DELETE FROM procrastinate_workers WHERE id IN (%s, %s)", [dead, alive])


def revive() -> None:
    async_to_sync(tasks.revive.func)(0)


def doing(worker: int | None, **which: object) -> None:
    ProcrastinateJob.objects.filter(status="todo", **which).update(status="doing", worker_id=worker)


def status_of(task: str, group: CallGroup) -> list[str]:
    found = ProcrastinateJob.objects.filter(task_name=f"calls.tasks.{task}", args__call_group_id=group.pk)
    return list(found.order_by("id").values_list("status", flat=True))


def test_jobs_of_dead_workers_are_given_to_living_ones(operator: User, workers: tuple[int, int]) -> None:
    dead, alive = workers
    left, going_on, orphaned = (make_call_group(operator, 1) for _ in range(3))
    for group, worker in ((left, dead), (going_on, alive), (orphaned, None)):
        doing(worker, args__call_group_id=group.pk)
    revive()
    assert status_of("hand_over", left) == status_of("follow", left) == ["todo"]
    assert status_of("hand_over", going_on) == ["doing"]
    assert status_of("hand_over", orphaned) == ["todo"], "Its worker's record is gone."


@pytest.mark.django_db(transaction=True)
def test_a_job_that_has_a_successor_keeps_nobody_from_being_revived(workers: tuple[int, int]) -> None:
    """The sweep may have deferred the same work before: of the two jobs one must go, and the others still come."""
    user = make_user()
    dead, _ = workers
    first, second = make_call_group(user, 1), make_call_group(user, 1)
    for group in (first, second):
        doing(dead, args__call_group_id=group.pk)
        follow_later(group.pk, timezone.now())
    revive()
    for group in (first, second):
        assert status_of("follow", group) == ["failed", "todo"]
        assert status_of("hand_over", group) == ["todo"]


def test_a_revived_lane_makes_what_was_being_sent_unconfirmed(
    operator: User, carrier: Carrier, workers: tuple[int, int]
) -> None:
    group = make_call_group(operator, 1)
    assert handover.claim(group.pk, 0)
    doing(workers[0], args__call_group_id=group.pk)
    revive()
    (job,) = jobs(group, "hand_over")
    tasks.hand_over(**job.args)
    assert statuses(group) == ["UNCONFIRMED"]
    assert carrier.orders == []


# --- Tidying ------------------------------------------------------------------------------------------------------


def test_requests_that_were_never_started_are_forgotten(operator: User) -> None:
    started, old, recent = (make_request(operator, f"{number(i)}\n12") for i in range(3))
    make = Options(play="1.sound").as_json()
    started_group = make_call_group(operator, 1)
    CallRequest.objects.filter(pk=started.pk).update(call_group=started_group, state=RequestState.STARTED, options=make)
    CallRequest.objects.filter(pk__in=[started.pk, old.pk]).update(created_at=timezone.now() - timedelta(days=31))
    CallRequest.objects.filter(pk=recent.pk).update(created_at=timezone.now() - timedelta(days=29))
    tasks.tidy(0)
    assert set(CallRequest.objects.filter(pk__in=[started.pk, old.pk, recent.pk])) == {started, recent}
    assert not old.planned.exists()
    assert started.planned.exists(), "What a call group's plan dropped stays on record."


def test_requests_of_programs_that_called_nobody_stay_on_record(operator: User) -> None:
    refused = make_request(operator, "12")
    CallRequest.objects.update(state=RequestState.REFUSED, created_at=timezone.now() - timedelta(days=400))
    tasks.tidy(0)
    assert refused.planned.exists()


def test_old_jobs_are_forgotten(operator: User) -> None:
    old, recent = make_call_group(operator, 1), make_call_group(operator, 1)
    lose_jobs()
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE procrastinate_events SET at = now() - interval '25 hours' WHERE job_id IN"
            " (SELECT id FROM procrastinate_jobs WHERE args @> jsonb_build_object('call_group_id', %s::int))",
            [old.pk],
        )
    hand_over_later(old.pk, NOON)
    async_to_sync(tasks.forget_jobs.func)(0)
    assert status_of("hand_over", old) == ["todo"]
    assert status_of("hand_over", recent) == ["failed"]
