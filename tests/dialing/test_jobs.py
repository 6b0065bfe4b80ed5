"""Jobs that wait come sooner if need be: the queue lets no job pass one with the same lock, whenever that is due."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from procrastinate.contrib.django.django_connector import DjangoConnector
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.manager import JobManager
from pytest_django import Settings

from calls.carriers.base import NoAnswer, Unconfirmed
from calls.dialing import handover, progress, steer
from calls.dialing.start import start
from calls.models import CallGroup, CarrierState, KeptBy, User
from tests.dialing.helpers import Carrier, batch, freeze, jobs, use
from tests.factories import make_call_group, make_request, make_user, number

pytestmark = pytest.mark.django_db


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """The moment that it is for the queue, which goes by the database's clock: as long as the test's transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        moment: datetime = cursor.fetchone()[0]
    freeze(monkeypatch, moment)
    return moment


@pytest.fixture
def carrier(now: datetime, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Carrier:
    settings.CARRIER_CONNECTIONS = 1
    told = Carrier()
    told.account = "an account"
    use(told, monkeypatch)
    monkeypatch.setattr("calls.dialing.start.MAX_CALLS", 1)
    return told


@pytest.fixture
def operator() -> User:
    return make_user()


def wait_for_hours(group: CallGroup, now: datetime) -> None:
    """Calling hours keep what is held of the call group until tomorrow, and its jobs wait for that."""
    tomorrow = now + timedelta(days=1)
    group.batches.filter(state="pending").update(due_at=tomorrow, kept_by=KeptBy.HOURS)
    assert ProcrastinateJob.objects.filter(status="todo").update(scheduled_at=tomorrow)
    assert coming() == []


def coming() -> list[str]:
    """The jobs that a worker would run now, as the queue itself gives them out."""
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id")
        worker = cursor.fetchone()[0]
    fetch = async_to_sync(JobManager(DjangoConnector()).fetch_job)
    found = []
    while job := fetch(queues=None, worker_id=worker):
        found.append(job.task_name.removeprefix("calls.tasks."))
    return sorted(found)


def override(group: CallGroup, user: User) -> None:
    steer.override(group.pk, user, "A flood is coming.")


def change_the_rules(group: CallGroup, user: User) -> None:
    steer.rules_changed(group.traffic)


def resume(group: CallGroup, user: User) -> None:
    steer.pause(group.pk, user)
    group.batches.update(due_at=group.created_at)
    steer.resume(group.pk, user)


@pytest.mark.parametrize("act", [override, change_the_rules, resume])
def test_what_waits_for_calling_hours_comes_when_somebody_lets_it_go(
    operator: User, carrier: Carrier, now: datetime, act: Callable[[CallGroup, User], None]
) -> None:
    group = make_call_group(operator, 1)
    wait_for_hours(group, now)
    act(group, operator)
    assert coming() == ["follow", "hand_over"]


def test_what_was_not_placed_is_handed_over_now_though_the_rest_waits(
    operator: User, carrier: Carrier, now: datetime
) -> None:
    group = make_call_group(operator, 2)
    carrier.answer = Unconfirmed("Timed out.")
    claimed = handover.claim(group.pk, 0)
    assert claimed
    handover.settle_unconfirmed(claimed[0], "Timed out.")
    wait_for_hours(group, now)
    steer.settle(batch(group).pk, operator, placed=False)
    assert coming() == ["follow", "hand_over"]


def test_calls_listed_in_a_group_that_waits_are_handed_over_now(
    operator: User, carrier: Carrier, now: datetime
) -> None:
    group = make_call_group(operator, 1, newgroup=False)
    wait_for_hours(group, now)
    assert start(make_request(operator, number(1), newgroup=False).pk) == group
    assert coming() == ["follow", "hand_over"]


def test_however_often_a_batch_is_asked_about_one_job_waits_to_repeat_it(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 1)
    ProcrastinateJob.objects.all().delete()
    CarrierState.objects.create(name="sandbox", idempotent_account=carrier.account, idempotent_seconds=86_400)
    claimed = handover.claim(group.pk, 0)
    assert claimed
    handover.settle_unconfirmed(claimed[0], "Timed out.")
    carrier.says = NoAnswer("Timed out.")
    for _ in range(3):
        progress.check(group, [batch(group)])
    assert len(jobs(group, "hand_over")) == 1
