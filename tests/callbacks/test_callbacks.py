"""Callbacks from the end of a call to the receiver: made once, filled in, signed, tried again, few at once."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection, transaction
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from calls import tasks
from calls.api import callbacks, outside
from calls.api.callbacks import Outcome, claim, deliver, gap, next_due, request, settle
from calls.api.signing import secret_of
from calls.carriers.base import Refused, Report
from calls.dialing import handover, steer
from calls.dialing.changes import PORTAL, Change, move, write
from calls.models import (
    APIKey,
    Batch,
    Call,
    Callback,
    CallbackState,
    CallGroup,
    Suppression,
    User,
)
from calls.obd.statuses import FINAL, Status
from tests.callbacks.receiver import Receiver, listening
from tests.dialing.helpers import Carrier, at_the_same_moment, call, freeze, statuses, use
from tests.factories import make_call_group, make_user, number

NOON = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)
URL = "https://receiver.example/done?id={obdid}"
PLACEHOLDERS = [
    "obdid", "mobile", "status", "campaign", "custom", "senttime", "answertime", "endtime", "duration", "retries",
    "digits", "meta",
]  # fmt: skip
OK, BAD = Outcome(200, "thanks"), Outcome(500, "no")

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(db: None) -> User:
    return make_user()


@pytest.fixture
def receiver(settings: Settings) -> Iterator[Receiver]:
    settings.CALLBACK_ALLOW = ["127.0.0.0/8"]
    with listening() as receiver:
        yield receiver


@pytest.fixture
def carrier(monkeypatch: pytest.MonkeyPatch) -> Carrier:
    told = Carrier()
    use(told, monkeypatch)
    return told


def ended(owner: User, calls: int | list[str] = 1, callback: str = URL, **options: Any) -> CallGroup:
    """A call group whose calls have ended."""
    group = make_call_group(owner, calls, callback=callback, **options)
    end(group)
    return group


def end(group: CallGroup, status: Status = Status.COMPLETED) -> None:
    Batch.objects.filter(call_group=group).update(state="accepted")
    with transaction.atomic():
        move(Call.objects.filter(call_group=group), status, PORTAL, ended_at=timezone.now())


def only() -> Callback:
    """The one callback that there is, as the database has it now."""
    return Callback.objects.select_related("call", "call_group__owner", "call_group__api_key").get()


def jobs() -> list[ProcrastinateJob]:
    return list(ProcrastinateJob.objects.filter(status="todo", task_name="calls.tasks.deliver_callbacks"))


def states() -> list[str]:
    return list(Callback.objects.order_by("id").values_list("state", flat=True))


# --- One for each call ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", sorted(FINAL))
def test_a_call_that_ends_gets_one_callback(operator: User, status: Status) -> None:
    group = make_call_group(operator, 3, callback=URL)
    assert states() == []
    move(group.calls.filter(n=2), status, PORTAL)
    made = only()
    assert (made.call.n, made.call_group_id, made.host) == (2, group.pk, "receiver.example")
    assert (made.state, made.attempts, made.tried_at, made.answer) == ("pending", 0, None, "")
    Call.objects.filter(pk=made.call_id).update(digits="1")
    Call.objects.filter(call_group=group).update(name="Asha")
    assert only().pk == made.pk


@pytest.mark.parametrize("status", sorted({*Status} - FINAL))
def test_a_call_that_goes_on_gets_none(operator: User, status: Status) -> None:
    group = make_call_group(operator, 1, callback=URL)
    Call.objects.filter(call_group=group).update(status=status)
    assert states() == []


def test_without_a_callback_url_there_is_none(operator: User) -> None:
    ended(operator, 3, callback="")
    assert states() == []


def test_many_calls_that_end_together(operator: User) -> None:
    plain, group = make_call_group(operator, 2), make_call_group(operator, 450, callback=URL)
    Call.objects.filter(call_group__in=[plain, group]).update(status="BUSY")
    assert Callback.objects.count() == 450
    assert set(Callback.objects.values_list("call_group", flat=True)) == {group.pk}


def test_reports_cancelling_suppressing_and_refusing_end_calls_too(operator: User, carrier: Carrier) -> None:
    reported = make_call_group(operator, 1, callback=URL)
    write([Change(call(reported), Status.NOANSWER)], "carrier")
    cancelled = make_call_group(operator, [number(7), number(8)], callback=URL, delay=600)
    steer.cancel(cancelled.pk, operator)
    suppressed = make_call_group(operator, [number(9)], callback=URL)
    Suppression.objects.create(number=number(9))
    handover.hand_over(suppressed.pk, 0)
    refused = make_call_group(operator, [number(10)], callback=URL)
    carrier.answer = Refused("No.")
    handover.hand_over(refused.pk, 0)
    made = Callback.objects.order_by("id").values_list("call__call_group", "call__status")
    assert list(made) == [
        (reported.pk, "NOANSWER"), (cancelled.pk, "CANCELLED"), (cancelled.pk, "CANCELLED"), (suppressed.pk, "DND"),
        (refused.pk, "REJECTED"),
    ]  # fmt: skip


def test_what_is_undone_leaves_no_callback(operator: User) -> None:
    group = make_call_group(operator, 1, callback=URL)
    with transaction.atomic():
        move(group.calls.all(), Status.BUSY, PORTAL)
        transaction.set_rollback(True)
    assert states() == []
    assert statuses(group) == ["HELD"]


def test_the_carrier_is_not_given_the_url(operator: User, carrier: Carrier) -> None:
    group = make_call_group(operator, 1, callback=URL)
    handover.hand_over(group.pk, 0)
    assert [order.callback for order in carrier.orders] == [""]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("HTTPS://Receiver.Example:8443/a?b=c", "receiver.example"),
        ("http://receiver.example.?x", "receiver.example"),
        ("http://receiver.example#x", "receiver.example"),
        ("http://[2001:DB8::1]:80/", "[2001:db8::1]"),
        ("http://192.0.2.1", "192.0.2.1"),
    ],
)
def test_the_host_of_a_callback(operator: User, url: str, host: str) -> None:
    ended(operator, callback=url)
    assert only().host == host


# --- What is requested ---------------------------------------------------------------------------------------------


def test_every_placeholder_is_filled_in_and_encoded(operator: User, receiver: Receiver, settings: Settings) -> None:
    url = f"{receiver.url}/a/{{campaign}}/b?" + "&".join(f"{name}={{{name}}}" for name in PLACEHOLDERS) + "#{meta}"
    meta = {"note": "naïve & {obdid} / ?", "list": [1, None]}
    group = make_call_group(operator, ["+918123456789"], callback=url, campaign="50% off/अब & more", meta=meta)
    custom = Call.objects.filter(call_group=group)
    custom.update(custom="order-4711", handed_over_at=NOON, answered_at=NOON + timedelta(seconds=8), duration=34,
                  ended_at=NOON + timedelta(seconds=42), retries=1, digits="1#*", status="COMPLETED")  # fmt: skip
    deliver()
    (target,) = receiver.targets
    assert target.startswith("/a/50%25%20off%2F%E0%A4%85%E0%A4%AC%20%26%20more/b?obdid=")
    given = {name: values[0] for name, values in parse_qs(urlsplit(target).query).items()}
    assert json.loads(given.pop("meta")) == meta
    assert given == {
        "obdid": f"{group.pk}-1",
        "mobile": "8123456789",
        "status": "COMPLETED",
        "campaign": "50% off/अब & more",
        "custom": "order-4711",
        "senttime": "2026-11-20 12:00:00",
        "answertime": "2026-11-20 12:00:08",
        "endtime": "2026-11-20 12:00:42",
        "duration": "34",
        "retries": "1",
        "digits": "1#*",
    }


def test_what_is_not_known_is_empty(operator: User, receiver: Receiver) -> None:
    url = f"{receiver.url}/?" + "&".join(f"{name}={{{name}}}" for name in PLACEHOLDERS)
    group = make_call_group(operator, [number(1)], callback=url)
    Call.objects.filter(call_group=group).update(status="CANCELLED")
    deliver()
    given = parse_qs(urlsplit(receiver.targets[0]).query, keep_blank_values=True)
    known = {name: value for name, (value,) in given.items() if value}
    assert known == {"obdid": f"{group.pk}-1", "mobile": number(1)[1:], "status": "CANCELLED", "retries": "0"}
    assert list(given) == PLACEHOLDERS


def verify(secret: str, target: str, headers: dict[str, str]) -> bool:
    """As docs/callbacks.md tells receivers to."""
    page = (Path(__file__).resolve().parents[2] / "docs/callbacks.md").read_text()
    program: dict[str, Any] = {}
    exec(page.split("```python\n")[1].split("```")[0], program)
    return bool(program["is_genuine"](secret, headers, target))


@pytest.mark.parametrize("by_program", [True, False])
def test_callbacks_are_signed_with_the_secret_of_who_started_the_calls(
    operator: User, receiver: Receiver, by_program: bool
) -> None:
    key, _ = APIKey.make(operator, "Shop")
    other, _ = APIKey.make(operator, "Other")
    group = make_call_group(operator, 1, callback=f"{receiver.url}/d%2fone/?a={{campaign}}&b=%7e", campaign="ä b")
    CallGroup.objects.filter(pk=group.pk).update(api_key=key if by_program else None)
    end(group)
    deliver()
    (target,), (headers,) = receiver.targets, receiver.received
    right, wrong = (key, operator) if by_program else (operator, key)
    assert verify(secret_of(right), target, headers)
    assert not verify(secret_of(wrong), target, headers)
    assert not verify(secret_of(other), target, headers)
    assert not verify(secret_of(right), f"{target}&more", headers)
    assert not verify(secret_of(right), target, headers | {"webhook-timestamp": "1700000000"})
    assert not verify(secret_of(right), target, headers | {"webhook-signature": "v1,é"})
    assert headers["webhook-id"] == f"call-{group.pk}-1"
    assert abs(int(headers["webhook-timestamp"]) - timezone.now().timestamp()) < 30


def test_a_secret_depends_on_who_it_is_of_and_on_the_secret_key(operator: User, settings: Settings) -> None:
    key, _ = APIKey.make(operator, "Shop")
    key.pk = operator.pk
    secrets = {secret_of(operator), secret_of(key), secret_of(make_user())}
    settings.SECRET_KEY = "another"
    secrets |= {secret_of(operator)}
    assert len(secrets) == 4
    for secret in secrets:
        assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32


def test_every_attempt_has_the_same_id_and_a_fresh_signature(
    operator: User, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(operator, callback=f"{receiver.url}/")
    receiver.status = 500
    deliver()
    Callback.objects.update(due_at=timezone.now())
    monkeypatch.setattr("calls.api.callbacks.time.time", lambda: 1_800_000_000.5)
    deliver()
    first, second = receiver.received
    assert first["webhook-id"] == second["webhook-id"]
    assert second["webhook-timestamp"] == "1800000000"
    assert first["webhook-signature"] != second["webhook-signature"]
    assert verify(secret_of(operator), "/", second)


# --- Answers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_success(operator: User, receiver: Receiver, status: int) -> None:
    ended(operator, callback=f"{receiver.url}/")
    receiver.status, receiver.body = status, b"" if status == 204 else b"thanks\0 "
    assert deliver() is None
    callback = only()
    assert (callback.state, callback.attempts, callback.http_status) == ("delivered", 1, status)
    assert callback.answer == ("" if status == 204 else "thanks")
    assert callback.delivered_at == callback.tried_at
    assert callback.first_failed_at is None
    deliver()
    assert len(receiver.targets) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404, 410, 429, 500, 503])
def test_every_other_answer_is_a_failure_and_tried_again(operator: User, receiver: Receiver, status: int) -> None:
    ended(operator, callback=f"{receiver.url}/")
    receiver.status, receiver.body = status, b"x" * 1_000
    receiver.headers = {"Location": f"{receiver.url}/elsewhere"}
    at = deliver()
    callback = only()
    assert (callback.state, callback.attempts, callback.http_status) == ("pending", 1, status)
    assert at == callback.due_at
    assert timedelta(seconds=8) < callback.due_at - timezone.now() < timedelta(seconds=13)
    assert callback.first_failed_at == callback.tried_at
    assert callback.answer.startswith("A redirect, which is not followed" if status < 400 else "x" * 300)
    assert receiver.targets == ["/"]
    receiver.status = 200
    Callback.objects.update(due_at=timezone.now())
    deliver()
    assert (only().state, only().attempts) == ("delivered", 2)


def test_an_address_inside_is_a_failure_that_says_so(operator: User) -> None:
    ended(operator, callback="http://169.254.169.254/latest/{obdid}")
    deliver()
    assert only().answer == (
        "Not requested: 169.254.169.254 is at 169.254.169.254, a metadata address. CALLBACK_ALLOW can open networks."
    )
    assert (only().state, only().http_status) == ("pending", None)


def test_the_time_limit_is_a_failure(operator: User, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "LIMIT", 0.2)
    receiver.hold = threading.Event()
    ended(operator, callback=f"{receiver.url}/")
    deliver()
    receiver.hold.set()
    assert (only().state, only().answer) == ("pending", "No answer within 0.2 seconds.")


def test_a_bug_is_a_failure(operator: User, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    ended(operator)

    def broken(*_: Any) -> None:
        raise KeyError

    monkeypatch.setattr(outside, "get", broken)
    deliver()
    assert only().answer == "The portal failed while this was requested."
    assert "requesting it broke" in caplog.text


# --- Gaps, and the end of 24 hours ---------------------------------------------------------------------------------


def test_gaps_grow_from_ten_seconds_to_an_hour_for_24_hours(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    ended(operator)
    begun = now = timezone.now() + timedelta(seconds=1)
    gaps = []
    while only().state == "pending":
        freeze(monkeypatch, now)
        claimed = claim("receiver.example")
        assert claimed
        settle(claimed, BAD)
        gaps.append((only().due_at - now).total_seconds())
        now = max(now, only().due_at)
    assert now == begun + timedelta(hours=24)
    gaps = gaps[:-1]
    assert 10 <= gaps[0] <= 12.5
    assert all(10 <= each <= 4_500 for each in gaps[:-1])
    assert all(later <= 3.5 * earlier for earlier, later in pairwise(gaps))
    assert 3_600 <= gaps[-2] <= 4_500
    assert 28 <= only().attempts <= 45
    callback = only()
    assert (callback.state, callback.http_status, callback.answer) == ("failed", 500, "no")
    assert claim("receiver.example") is None


def test_gaps_differ() -> None:
    gaps = {gap(timedelta(minutes=5)) for _ in range(20)}
    assert len(gaps) > 10
    assert all(300 <= each.total_seconds() <= 375 for each in gaps)


# --- Crashes -------------------------------------------------------------------------------------------------------


def test_a_worker_that_dies_between_claim_and_answer_loses_nothing(
    operator: User, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(operator, callback=f"{receiver.url}/")

    class Killed(BaseException):
        pass

    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(callbacks, "settle", killed)
        with pytest.raises(Killed):
            deliver()
    assert len(receiver.targets) == 1
    assert (only().state, only().attempts) == ("pending", 1)
    lease = only().due_at - timezone.now()
    assert timedelta(seconds=50) < lease <= callbacks.LEASE
    deliver()
    assert len(receiver.targets) == 1, "its lease is not over"
    assert next_due() == only().due_at
    freeze(monkeypatch, only().due_at)
    deliver()
    assert len(receiver.targets) == 2
    assert (only().state, only().attempts) == ("delivered", 2)


def test_a_late_failure_says_nothing_of_the_request_after_it(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    ended(operator)
    slow = claim("receiver.example")
    freeze(monkeypatch, timezone.now() + callbacks.LEASE)
    again = claim("receiver.example")
    assert slow
    assert again
    settle(slow, BAD)
    assert (only().attempts, only().tried_at) == (2, None)
    settle(slow, OK)
    assert only().state == "delivered", "the receiver has it"
    settle(again, BAD)
    assert only().state == "delivered"


@pytest.mark.django_db(transaction=True)
def test_a_claim_is_committed_before_the_request_is_made(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    ended(operator)
    seen = []

    def get(url: str, headers: Callable[[str], dict[str, str]]) -> outside.Answer:
        seen.append((only().attempts, only().due_at > timezone.now() + timedelta(seconds=50)))
        connection.close()
        return outside.Answer(200, "")

    monkeypatch.setattr(outside, "get", get)
    deliver()
    assert seen == [(1, True)]


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_claim_the_same_one(operator: User) -> None:
    ended(operator, 40)

    def claim_all() -> list[int]:
        claimed = []
        while callback := claim("receiver.example"):
            claimed.append(callback.pk)
        return claimed

    found = at_the_same_moment(claim_all, claim_all, claim_all)
    assert sorted(pk for each in found for pk in each) == list(
        Callback.objects.order_by("pk").values_list("pk", flat=True)
    )


# --- Few at once, fair between hosts -------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_at_most_four_at_once_at_one_host_over_all_workers(operator: User, receiver: Receiver) -> None:
    receiver.hold = threading.Event()
    ended(operator, 30, callback=f"{receiver.url}/{{obdid}}")

    def look() -> int:
        receiver.wait_for(4)
        # Whoever would make a fifth request has had the time to.
        receiver.closing.wait(4 * callbacks.LOOK_AGAIN)
        waiting = len(receiver.targets)
        assert receiver.hold
        receiver.hold.set()
        return waiting

    _, _, waiting = at_the_same_moment(deliver, deliver, look)
    assert waiting == 4
    while deliver():
        pass
    assert receiver.most_at_once == 4
    assert sorted(receiver.targets) == sorted(f"/{each.obd_id}" for each in Call.objects.all())
    assert set(states()) == {"delivered"}


@pytest.mark.django_db(transaction=True)
def test_a_slow_host_does_not_keep_back_others(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    ended(operator, 12, callback="https://a-slow.example/")
    ended(operator, 12, callback="https://fast.example/")
    fast, go_on = threading.Semaphore(0), threading.Event()

    def get(url: str, headers: Any) -> outside.Answer:
        if "slow" in url:
            go_on.wait(20)
        else:
            fast.release()
        return outside.Answer(200, "")

    def look() -> int:
        for _ in range(12):
            assert fast.acquire(timeout=20)
        delivered = Callback.objects.filter(state="delivered", host="a-slow.example").count()
        go_on.set()
        return delivered

    monkeypatch.setattr(outside, "get", get)
    _, slow = at_the_same_moment(deliver, look)
    assert slow == 0
    assert set(states()) == {"delivered"}


def test_hosts_take_turns(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    for host, calls in (("a", 9), ("b", 3), ("c", 1)):
        ended(operator, calls, callback=f"https://{host}.example/")
    monkeypatch.setattr(callbacks, "AT_ONCE", 1)
    order = []

    def get(url: str, headers: Any) -> outside.Answer:
        order.append(url[8])
        return outside.Answer(200, "")

    monkeypatch.setattr(outside, "get", get)
    deliver()
    assert "".join(order) == "abcabab" + "a" * 6


def test_more_hosts_than_are_looked_at_together(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(7):
        ended(operator, callback=f"https://host{i}.example/")
    Callback.objects.filter(host__in=["host0.example", "host1.example", "host2.example"]).update(
        due_at=timezone.now() + timedelta(hours=1)
    )
    monkeypatch.setattr(callbacks, "HOSTS", 2)
    monkeypatch.setattr(outside, "get", lambda url, headers: outside.Answer(200, ""))
    deliver()
    assert states() == ["pending"] * 3 + ["delivered"] * 4


@pytest.mark.django_db(transaction=True)
def test_no_more_jobs_deliver_than_may(operator: User, receiver: Receiver) -> None:
    receiver.hold = threading.Event()
    ended(operator, 2, callback=f"{receiver.url}/")

    def third() -> datetime | None:
        receiver.wait_for(2)
        at = deliver() if callbacks.JOBS == 1 else None
        assert receiver.hold
        receiver.hold.set()
        return at

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callbacks, "JOBS", 1)
        _, at = at_the_same_moment(deliver, third)
    assert at is None
    assert len(receiver.targets) == 2


def test_a_turn_ends_and_says_that_more_is_left(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    ended(operator, 2)
    monkeypatch.setattr(callbacks, "TURN_SECONDS", 0.0)
    at = deliver()
    assert at
    assert states() == ["pending", "pending"]


def test_nothing_stays_locked(operator: User, receiver: Receiver) -> None:
    ended(operator, 6, callback=f"{receiver.url}/")
    deliver()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
        assert cursor.fetchone() == (0,)


def test_looking_for_work_costs_the_same_however_much_waits(
    operator: User, django_assert_max_num_queries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(operator, 300)
    Callback.objects.update(due_at=timezone.now() + timedelta(hours=1))
    with django_assert_max_num_queries(6):
        deliver()


# --- The job -------------------------------------------------------------------------------------------------------


def test_the_job_is_deferred_once_the_end_of_a_call_is_committed(
    operator: User, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        ended(operator, 2, callback="")
    assert jobs() == []
    with django_capture_on_commit_callbacks(execute=True):
        group = ended(operator)
        assert jobs() == []
    (job,) = jobs()
    assert (job.queueing_lock, job.lock, job.scheduled_at) == ("callbacks", None, None)
    with django_capture_on_commit_callbacks(execute=True):
        write([Change(call(make_call_group(operator, 1, callback=URL, campaign="2")), Status.BUSY)], "carrier")
    assert len(jobs()) == 1, "one that waits is enough"
    assert group.callbacks.count() == 1


def test_the_sweep_starts_it_if_it_was_lost(operator: User) -> None:
    ended(operator)
    assert jobs() == []
    tasks.sweep(0)
    assert len(jobs()) == 1


def test_the_sweep_leaves_what_is_not_due(operator: User) -> None:
    ended(operator)
    Callback.objects.update(due_at=timezone.now() + timedelta(minutes=5))
    tasks.sweep(0)
    assert jobs() == []


def test_the_job_goes_on_when_the_next_try_is_due(operator: User, receiver: Receiver) -> None:
    receiver.status = 500
    ended(operator, callback=f"{receiver.url}/")
    tasks.deliver_callbacks()
    (job,) = jobs()
    assert job.queueing_lock == "callbacks-later", "it must not keep back new ones"
    assert job.scheduled_at
    assert timezone.now() < job.scheduled_at <= only().due_at


def test_the_job_goes_on_at_once_after_its_turn(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    ended(operator)
    monkeypatch.setattr(callbacks, "deliver", lambda: timezone.now() - timedelta(seconds=1))
    tasks.deliver_callbacks()
    (job,) = jobs()
    assert (job.queueing_lock, job.scheduled_at) == ("callbacks", None)


def test_the_job_ends_when_all_is_delivered(operator: User, receiver: Receiver) -> None:
    ended(operator, 5, callback=f"{receiver.url}/")
    tasks.deliver_callbacks()
    assert jobs() == []
    assert states() == [CallbackState.DELIVERED] * 5


def test_from_start_to_callback(operator: User, carrier: Carrier, receiver: Receiver) -> None:
    group = make_call_group(operator, 3, callback=f"{receiver.url}/{{obdid}}/{{status}}/{{digits}}")
    tasks.hand_over(group.pk, 0)
    carrier.says = [Report(number(0), "BUSY"), Report(number(1), "ANSWER", digits="2"), Report(number(2), "QUEUED")]
    Batch.objects.update(check_at=timezone.now())
    tasks.follow(group.pk)
    tasks.deliver_callbacks()
    assert sorted(receiver.targets) == [f"/{group.pk}-1/BUSY/", f"/{group.pk}-2/COMPLETED/2"]


def test_a_request_never_raises() -> None:
    delivery = callbacks.Delivery(Callback(host="x"), 0, "nonsense", "call-1-1", "whsec_AAAA")
    assert request(delivery).http_status is None
