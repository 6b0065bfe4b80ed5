"""The preflight: what would happen, and what somebody should know before it does."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_django import Settings

from calls.dialing import estimate
from calls.dialing.preflight import Preflight, preflight
from calls.dialing.request import Again
from calls.dialing.start import start
from calls.models import Call, CallRequest, User, Waits
from calls.obd.statuses import Status
from tests.factories import make_call_group, make_request, make_sound, make_user, number

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)
"""In Asia/Kolkata, within calling hours."""


@pytest.fixture
def operator() -> User:
    return make_user()


def look(user: User, now: datetime = NOON, numbers: int = 3, **options: Any) -> Preflight:
    """The preflight of a request to so many numbers, with something to hear about which nothing is to be said."""
    heard = {} if {"play", "message"} & set(options) else {"play": "1.ivr"}
    typed = "\n".join(number(i) for i in range(numbers))
    return preflight(make_request(user, typed, **heard | options), now)


def test_nothing_to_warn_of(operator: User) -> None:
    seen = look(operator)
    assert (seen.batches, seen.begins, seen.ends) == (1, NOON, NOON + estimate.takes(3, 0))
    assert seen.warnings == []


def test_requests_needed(operator: User) -> None:
    assert look(operator, numbers=450).batches == 3


@pytest.mark.parametrize("waits", Waits)
def test_begin_and_end(operator: User, waits: Waits) -> None:
    at = NOON + timedelta(hours=2)
    seen = look(operator, schedule_time=at, delay=60, retries=2, waits=waits)
    assert seen.begins == at + timedelta(seconds=60)
    assert seen.ends == seen.begins + estimate.takes(3, 2)


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ("2026-11-20 03:29", ["would ring at 08:59", "09:00-21:00", "Asia/Kolkata", "on 20 Nov at 09:00"]),
        ("2026-11-20 15:30", ["would ring at 21:00", "on 21 Nov at 09:00"]),
        ("2026-11-20 20:30", ["would ring at 02:00", "on 21 Nov at 09:00"]),
    ],
)
def test_outside_calling_hours(operator: User, now: str, said: list[str]) -> None:
    (warning,) = look(operator, datetime.fromisoformat(now).replace(tzinfo=UTC)).warnings
    assert warning.startswith("Outside calling hours")
    assert all(words in warning for words in said)


def test_a_schedule_counts_for_the_hours_not_the_confirm(operator: User) -> None:
    night = datetime(2026, 11, 20, 20, 30, tzinfo=UTC)
    assert look(operator, night, schedule_time=night + timedelta(hours=10)).warnings == []
    (warning,) = look(operator, schedule_time=night).warnings
    assert "Outside calling hours" in warning


def test_calls_that_would_run_past_the_hours(operator: User) -> None:
    (warning,) = look(operator, datetime(2026, 11, 20, 15, 29, 30, tzinfo=UTC)).warnings
    assert warning.startswith("Some calls would ring after calling hours")


def test_other_hours(operator: User, settings: Settings) -> None:
    settings.CALLING_HOURS = "00:00-24:00"
    assert look(operator, datetime(2026, 11, 20, 20, 30, tzinfo=UTC)).warnings == []


def test_a_group_that_the_carrier_holds(operator: User) -> None:
    seen = look(operator, numbers=0, carrier_group="vip")
    assert seen.batches == 1
    (warning,) = seen.warnings
    assert "“vip”" in warning
    assert "suppression lists" in warning
    assert "duplicates" in warning


@pytest.mark.parametrize(
    ("options", "warned"),
    [
        ({"delay": 5, "waits": Waits.CARRIER}, True),
        ({"schedule_time": NOON + timedelta(hours=1), "waits": Waits.CARRIER}, True),
        ({"waits": Waits.CARRIER}, False),
        ({"delay": 5}, False),
    ],
)
def test_the_carrier_waits(operator: User, options: dict[str, Any], warned: bool) -> None:
    assert any("can't be cancelled" in warning for warning in look(operator, **options).warnings) is warned


@pytest.mark.parametrize(("length", "seconds"), [(840, None), (867, 62), (1_000, 71)])
def test_a_long_message(operator: User, length: int, seconds: int | None) -> None:
    warnings = look(operator, play="", message="a" * length).warnings
    assert len(warnings) == bool(seconds)
    assert all(f"about {seconds} seconds" in warning for warning in warnings)


def test_a_sound_without_a_file(operator: User) -> None:
    sound = make_sound(77)
    (warning,) = look(operator, play=sound.reference).warnings
    assert "no file of 77.sound" in warning


def test_what_was_found_in_the_sound_is_said_again(operator: User) -> None:
    make_sound(77, file="sounds/77.wav", warnings=["It is silent.", "It is long."])
    assert look(operator, play="77.sound").warnings == ["77.sound: It is silent.", "77.sound: It is long."]


def test_a_callback_is_nothing_to_warn_of(operator: User) -> None:
    assert look(operator, callback="https://example.com/").warnings == []


@pytest.mark.parametrize(("statuses", "warned"), [((), True), (("EXPIRED", "BUSY"), True), (("BUSY",), False)])
def test_calls_without_a_result_may_have_reached_people(
    operator: User, statuses: tuple[str, ...], warned: bool
) -> None:
    parent = make_call_group(operator, 3)
    Call.objects.filter(n__lte=2).update(status=Status.EXPIRED)
    Call.objects.filter(n=3).update(status=Status.BUSY)
    warnings = look(operator, numbers=0, again=Again(parent.pk, statuses)).warnings
    assert [f"Of 2 calls of call group {parent.pk}" in warning for warning in warnings] == [True] * warned


def test_calls_that_were_made_again_before(operator: User) -> None:
    parent = make_call_group(operator, 2)
    Call.objects.update(status=Status.BUSY)

    def ask() -> CallRequest:
        request = make_request(operator, play="1.ivr", again=Again(parent.pk))
        request.parent = parent
        request.save()
        return request

    assert preflight(ask(), NOON).warnings == []
    child = start(ask().pk)
    (warning,) = preflight(ask(), NOON).warnings
    assert f"call group {parent.pk}" in warning
    assert f"call group {child.pk}" in warning
