"""From a call request to the last status with `CARRIER=obd`, over HTTP, and a carrier that notes every request."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from calls.carriers import get_carrier
from calls.carriers.obd import ObdCarrier
from calls.dialing import handover, progress
from calls.models import Batch, BatchState, Call, CallGroup, CarrierState, GroupState, Suppression, Tally
from calls.obd.replies import Reply, Row, render
from tests.factories import make_call_group, make_user, number
from tests.obd_server import KEY, Break, ObdServer, Refuse, Say

pytestmark = pytest.mark.django_db

FORMATS = ["json", "xml", "text", "php"]
ENDS = {"0": "BUSY", "1": "NOANSWER_LEG1", "2": "Failed", "3": "CONGESTION", "4": "max-use"}
STATUSES = {"BUSY": "BUSY", "NOANSWER_LEG1": "NOANSWER", "Failed": "FAILED", "CONGESTION": "CONGESTION"}


@pytest.fixture
def server(settings: Settings) -> Iterator[ObdServer]:
    """A carrier that is the one of the settings."""
    with ObdServer() as server:
        server.ends = ends
        settings.CARRIER, settings.OBD_BASE_URL, settings.OBD_API_KEY = "obd", server.url, KEY
        settings.CARRIER_RATE, settings.CARRIER_CONNECTIONS = 1_000.0, 4
        get_carrier.cache_clear()
        yield server
        carrier = get_carrier("obd")
        assert isinstance(carrier, ObdCarrier)
        carrier.close()
        get_carrier.cache_clear()


def ends(mobile: str) -> str:
    """The carrier's final word for a number."""
    return ENDS.get(mobile[-1], "COMPLETED")


def status(mobile: str) -> str:
    """The status that the portal must show for it."""
    word = ends(mobile)
    return {"max-use": "REJECTED", "COMPLETED": "COMPLETED"}.get(word) or STATUSES[word]


def started(calls: int | list[str] = 450, **options: Any) -> CallGroup:
    return make_call_group(make_user(), calls, **options)


def hand_over(group: CallGroup) -> None:
    """Do the work of all lanes that is due."""
    for lane in range(4):
        handover.hand_over(group.pk, lane)


def follow(group: CallGroup) -> None:
    """Ask about everything that the carrier may have, now."""
    Batch.objects.filter(call_group=group, check_at__isnull=False).update(check_at=timezone.now())
    progress.follow(group.pk)
    group.refresh_from_db()


def batch_states(group: CallGroup) -> list[str]:
    return list(group.batches.order_by("first").values_list("state", flat=True))


def tallies(group: CallGroup) -> dict[str, int]:
    """The kept counts, which must equal a fresh count."""
    kept = {tally.status: tally.calls for tally in Tally.objects.filter(call_group=group, calls__gt=0)}
    assert kept == Counter(group.calls.values_list("status", flat=True))
    return kept


def assert_ended_as_the_carrier_said(group: CallGroup) -> None:
    for call in group.calls.all():
        assert call.status == status(call.number)
        assert call.word == ends(call.number)
        assert (call.duration == 5) is (call.status == "COMPLETED")
        assert call.ended_at is not None
    tallies(group)
    assert group.ended_at is not None
    assert group.open == 0


# --- Every number once, every parameter as specified -------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("with_ids", "with_group"), [(True, True), (True, False), (False, True)])
def test_450_numbers_from_start_to_end(server: ObdServer, form: str, with_ids: bool, with_group: bool) -> None:
    server.format, server.with_ids, server.with_group = form, with_ids, with_group
    group = started()
    hand_over(group)
    assert [len(request.numbers) for request in server.requests("voice.call")] == [200, 200, 50]
    assert Counter(server.called) == {number(i)[1:]: 1 for i in range(450)}
    assert tallies(group) == {"QUEUED": 450}
    assert batch_states(group) == [BatchState.ACCEPTED] * 3

    server.forward(3)
    follow(group)
    assert tallies(group) == {"INPROGRESS": 450}

    server.forward(7)
    follow(group)
    assert_ended_as_the_carrier_said(group)
    carrier_ids = set(group.calls.values_list("carrier_id", flat=True))
    assert carrier_ids == {f"{700_001 + i // 200}-{i % 200 + 1}" for i in range(450)}

    asked = {request.method for request in server.received} - {"voice.call"}
    assert asked == {"voice.groupstatus" if with_group else "voice.status"}
    questions = len(server.received)
    follow(group)
    hand_over(group)
    assert len(server.received) == questions, "nothing is left to be asked or sent"
    assert Counter(server.called) == {number(i)[1:]: 1 for i in range(450)}


@pytest.mark.parametrize("form", FORMATS)
def test_without_any_id_calls_are_queued_and_never_sent_again(server: ObdServer, form: str) -> None:
    server.format, server.with_ids, server.with_group = form, False, False
    group = started()
    hand_over(group)
    follow(group)
    hand_over(group)
    assert tallies(group) == {"QUEUED": 450}
    assert [request.method for request in server.received] == ["voice.call"] * 3
    assert CarrierState.objects.get(name="obd").failure == ""


def test_every_parameter_but_the_callback_arrives_as_specified(server: ObdServer, settings: Settings) -> None:
    settings.DEFAULT_REGION = "GB"
    tomorrow = (timezone.now() + timedelta(days=1)).replace(microsecond=0)
    group = started(
        450,
        play="1234.ivr",
        message="",
        retries=2,
        campaign="Spring & summer 100%",
        newgroup=True,
        schedule_time=tomorrow,
        delay=900,
        waits="carrier",
        meta={"order": 17, "note": "naïve"},
        callback="https://example.com/done?id={obdid}&was={status}",
    )
    hand_over(group)
    requests = server.received
    first = 1
    for request, size in zip(requests, (200, 200, 50), strict=True):
        ns = range(first, first + size)
        local = timezone.localtime(tomorrow + timedelta(seconds=900))
        assert request.parameters == {
            "method": "voice.call",
            "numbers": ",".join(number(n - 1).removeprefix("+44") for n in ns),
            "custom": ",".join(f"{group.pk}-{n}" for n in ns),
            "play": "1234.ivr",
            "retries": "2",
            "campaign": "Spring & summer 100%",
            "newgroup": "1",
            "scheduletime": f"{local:%Y-%m-%d %H:%M:%S}",
            "meta": request.parameters["meta"],
            "format": "json",
        }
        assert request.parameters["meta"] in {'{"order":17,"note":"naïve"}', '{"note":"naïve","order":17}'}
        assert request.headers["x-api-key"] == KEY
        assert (request.verb, request.path) == ("POST", "/api/v1/")
        first += size


def test_what_the_portal_waits_for_is_not_given_on(server: ObdServer) -> None:
    group = started(3, play="", message="Hello", delay=600, schedule_time=None)
    hand_over(group)
    assert server.received == [], "not due yet"
    Batch.objects.filter(call_group=group).update(due_at=timezone.now())
    hand_over(group)
    (request,) = server.received
    assert request.parameters["message"] == "Hello"
    assert not {"delay", "scheduletime", "play", "campaign", "meta", "callback", "group"} & request.parameters.keys()


def test_group_held_by_the_carrier(server: ObdServer) -> None:
    server.contact_groups["Members"] = [number(i)[1:] for i in range(5, 8)]
    group = started([], carrier_group="Members", retries=1, custom="2026-11")
    hand_over(group)
    (request,) = server.received
    assert request.parameters["group"] == "Members"
    assert request.parameters["custom"] == "2026-11"
    assert "numbers" not in request.parameters
    server.forward(10)
    follow(group)
    assert sorted(group.calls.values_list("number", flat=True)) == [number(i) for i in range(5, 8)]
    assert set(group.calls.values_list("custom", flat=True)) == {"2026-11"}
    assert tallies(group) == {"COMPLETED": 3}
    assert group.ended_at is not None


# --- Refusals and failures ---------------------------------------------------------------------------------------


def test_numbers_that_the_carrier_does_not_call(server: ObdServer) -> None:
    server.refused = {number(5)[1:]: "DND", number(6)[1:]: "INVALID", number(7)[1:]: "DUPLICATE"}
    Suppression.objects.create(number=number(9), reason="asked")
    group = started([number(i) for i in range(5, 9)])
    hand_over(group)
    found = dict(group.calls.values_list("number", "status"))
    assert found == {number(5): "DND", number(6): "REJECTED", number(7): "REJECTED", number(8): "QUEUED"}
    server.forward(10)
    follow(group)
    assert tallies(group) == {"DND": 1, "REJECTED": 2, "COMPLETED": 1}
    assert group.ended_at is not None


def test_refused_request_rejects_its_calls(server: ObdServer) -> None:
    server.faults += [None, Refuse(400, "play: no such sound")]
    group = started()
    hand_over(group)
    assert batch_states(group) == ["accepted", "rejected", "pending"]
    assert tallies(group) == {"QUEUED": 200, "REJECTED": 200, "HELD": 50}
    group.refresh_from_db()
    assert group.state == GroupState.PAUSED
    assert group.batches.get(first=201).answer == "The carrier refused the request (400): play: no such sound"


def test_refused_key_stops_the_call_group_with_one_sentence(server: ObdServer) -> None:
    server.key = "another"
    group = started()
    hand_over(group)
    group.refresh_from_db()
    assert (group.state, group.state_reason) == (
        GroupState.PAUSED,
        "The carrier refuses our key or account (401): Invalid API key",
    )
    assert len(server.received) == 1
    assert tallies(group) == {"HELD": 450}
    assert batch_states(group) == [BatchState.PENDING] * 3


@pytest.mark.parametrize("fault", [Refuse(429, "Slow down"), None], ids=["429", "refused connection"])
def test_what_was_certainly_not_taken_goes_again(server: ObdServer, settings: Settings, fault: Refuse | None) -> None:
    group = started(3)
    if fault:
        server.faults.append(fault)
    else:
        settings.OBD_BASE_URL = "http://127.0.0.1:1/"
        get_carrier.cache_clear()
    hand_over(group)
    assert tallies(group) == {"HELD": 3}
    (batch,) = group.batches.all()
    assert (batch.state, batch.attempts) == (BatchState.PENDING, 1)
    assert batch.due_at > timezone.now()
    assert CarrierState.objects.get(name="obd").failure == batch.answer

    settings.OBD_BASE_URL = server.url
    get_carrier.cache_clear()
    Batch.objects.filter(call_group=group).update(due_at=timezone.now())
    hand_over(group)
    assert tallies(group) == {"QUEUED": 3}
    taken = [request for request in server.received if not request.fault]
    assert len(taken) == 1
    assert CarrierState.objects.get(name="obd").failure == ""


@pytest.mark.parametrize(
    "fault",
    [Break.BEFORE_READING, Break.AFTER_READING, Break.HALFWAY, Refuse(500), Say(b"<html>", 502), Say(b"{answer}", 307)],
    ids=str,
)
def test_what_was_perhaps_taken_is_never_sent_again(server: ObdServer, fault: Break | Refuse | Say) -> None:
    server.with_group, server.with_ids = False, False
    server.faults.append(fault)
    group = started(3)
    for _ in range(3):
        hand_over(group)
        follow(group)
    assert batch_states(group) == [BatchState.UNCONFIRMED]
    assert tallies(group) == {"UNCONFIRMED": 3}
    assert len(server.requests("voice.call")) == (0 if fault is Break.BEFORE_READING else 1)
    assert group.ended_at is None


def test_a_batch_of_numbers_that_may_not_be_called_stops_nothing(
    server: ObdServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another portal answers 400 where all numbers of a request are on its lists."""
    monkeypatch.setattr("calls.dialing.start.MAX_CALLS", 1)
    group = started(3)
    rows = (Row("", number(0)[1:], "DND", custom=f"{group.pk}-1"),)
    body, content_type = render(Reply("400", "numbers: none can be called; on a suppression list", rows=rows), "json")
    server.faults.append(Say(body.encode(), 400, content_type))
    hand_over(group)
    assert tallies(group) == {"DND": 1, "QUEUED": 2}
    assert batch_states(group) == [BatchState.ACCEPTED] * 3
    group.refresh_from_db()
    assert group.state == GroupState.RUNNING
    (listed,) = Suppression.objects.all()
    assert (listed.number, listed.list.role, group.calls.get(n=1).rings) == (number(0), "carrier", 0)


def test_failure_is_remembered_until_the_carrier_answers(server: ObdServer) -> None:
    server.faults.append(Break.AFTER_READING)
    group = started(3, newgroup=True)
    hand_over(group)
    carrier = CarrierState.objects.get(name="obd")
    assert carrier.failure == "The connection broke before the carrier had answered."
    assert carrier.answered_at is None
    follow(group)  # only whether it keeps answers: nothing is known of these calls that could be asked about
    (batch,) = group.batches.all()
    assert batch.checked_at is None
    carrier.refresh_from_db()
    assert carrier.failure == ""
    assert carrier.answered_at


def test_unconfirmed_batch_is_settled_by_the_carriers_list(server: ObdServer) -> None:
    server.faults += [None, Break.AFTER_READING]
    group = started(newgroup=False)
    hand_over(group)
    assert batch_states(group) == ["accepted", "unconfirmed", "accepted"]
    follow(group)
    assert batch_states(group) == ["accepted"] * 3
    server.forward(10)
    follow(group)
    assert_ended_as_the_carrier_said(group)
    assert Counter(server.called) == {number(i)[1:]: 1 for i in range(450)}


# --- What the carrier lists besides ------------------------------------------------------------------------------


@pytest.mark.parametrize("echo_custom", [True, False])
def test_similar_call_groups_that_the_carrier_lists_together(server: ObdServer, echo_custom: bool) -> None:
    server.echo_custom = echo_custom
    user = make_user()
    first = make_call_group(user, [number(5)], newgroup=False)
    hand_over(first)
    second = make_call_group(user, [number(5)], newgroup=False)
    assert second.pk != first.pk, "a number is in a call group once"
    server.forward(10)
    hand_over(second)
    assert len(server.groups) == 1
    follow(first)
    follow(second)
    assert tallies(first) == {"COMPLETED": 1}
    assert tallies(second) == {"QUEUED": 1}
    server.forward(10)
    follow(second)
    assert tallies(second) == {"COMPLETED": 1}
    assert Call.objects.get(call_group=first).carrier_id == "700001-1"
    assert Call.objects.get(call_group=second).carrier_id == "700001-2"


@pytest.mark.parametrize(("mask", "echo_custom"), [(True, True), (True, False)])
def test_carrier_that_masks_numbers(server: ObdServer, mask: bool, echo_custom: bool) -> None:
    server.mask, server.echo_custom = mask, echo_custom
    server.with_group = echo_custom  # by group only our reference tells the calls
    if not echo_custom:
        server.mask = False
    group = started(20)
    hand_over(group)
    server.mask = mask
    server.forward(10)
    follow(group)
    assert_ended_as_the_carrier_said(group)


def test_carrier_whose_clock_is_in_another_zone(server: ObdServer, settings: Settings) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"
    server.zone = UTC  # type: ignore[assignment]
    group = started(20)
    hand_over(group)
    server.forward(10)
    follow(group)
    assert tallies(group).keys() == {"COMPLETED", "BUSY", "NOANSWER", "FAILED", "CONGESTION", "REJECTED"}
    assert group.ended_at is not None
    assert datetime.now(UTC) - group.ended_at < timedelta(minutes=1)
