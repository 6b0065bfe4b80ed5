"""The preflight: what would happen, and what somebody should know before it does."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_django import Settings

from calls.dialing import estimate
from calls.dialing.preflight import Preflight, preflight
from calls.dialing.request import Again
from calls.dialing.start import start
from calls.models import Call, CallingRule, CallRequest, User, Waits
from calls.obd.statuses import Status
from tests.dialing.helpers import Carrier
from tests.factories import client_for, make_call_group, make_request, make_sound, make_user, number

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


@pytest.fixture
def daytime(settings: Settings) -> None:
    settings.CALLING_HOURS = "09:00-21:00"


@pytest.mark.usefixtures("daytime")
@pytest.mark.parametrize(
    ("now", "why"),
    [("2026-11-20 08:59", "Outside"), ("2026-11-20 20:58", "Too close to the end of"), ("2026-11-20 21:00", "Outside")],
)
def test_outside_calling_hours_of_the_people_called(operator: User, now: str, why: str) -> None:
    until = "14:30 IST (09:00 in Europe/London)"
    seen = look(operator, datetime.fromisoformat(now).replace(tzinfo=UTC))
    (warning,) = seen.warnings
    rule = "People are called 09:00-21:00, by the clocks where they are."
    assert warning == f"{why} calling hours: all 3 calls wait until {until}. {rule}"
    assert not seen.at_once
    assert seen.begins
    assert seen.begins.hour == 9


@pytest.mark.usefixtures("daytime")
def test_each_place_has_its_window(operator: User) -> None:
    india = "+918123456789"
    typed = "\n".join([number(1), number(2), india, "+12025550123"])
    seen = preflight(make_request(operator, typed, play="1.ivr"), NOON)
    (warning,) = seen.warnings
    first, last = "14:30 IST (09:00 in Europe/London)", "19:30 IST (09:00 in America/New_York)"
    assert warning.startswith(f"Outside calling hours: 3 of 4 calls wait until {first}, the last ones until {last}.")
    assert (seen.begins, seen.at_once, seen.batches) == (NOON, True, 3)
    assert seen.ends
    assert seen.ends > datetime(2026, 11, 20, 14, 0, tzinfo=UTC)


@pytest.mark.usefixtures("daytime")
def test_a_schedule_counts_for_the_hours_not_the_confirm(operator: User) -> None:
    night = datetime(2026, 11, 20, 22, 30, tzinfo=UTC)
    assert look(operator, night, schedule_time=night + timedelta(hours=12)).warnings == []
    (warning,) = look(operator, schedule_time=night).warnings
    assert "Outside calling hours" in warning


@pytest.mark.usefixtures("daytime")
def test_calls_that_take_longer_than_the_hours(operator: User, settings: Settings) -> None:
    settings.CARRIER_RATE = 0.001
    (warning,) = look(operator, datetime(2026, 11, 20, 20, 45, tzinfo=UTC)).warnings
    assert warning == (
        "Calling hours (09:00-21:00) end before all calls can be made: the others are held until they begin again."
    )


@pytest.mark.usefixtures("daytime")
@pytest.mark.parametrize(("retries", "late"), [(0, 2), (1, 4)])
def test_calls_that_the_carrier_can_not_dial_before_closing(
    operator: User, monkeypatch: pytest.MonkeyPatch, retries: int, late: float
) -> None:
    """One a minute: three calls need as many minutes, and as many more for their retries; two are to spare."""
    carrier = Carrier()
    carrier.retry_gap, carrier.cps = 0.0, 1 / 60
    monkeypatch.setattr("calls.dialing.preflight.get_carrier", lambda name: carrier)
    closing = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)
    last = closing - timedelta(minutes=2 + 3 * (1 + retries), seconds=1)
    assert look(operator, last, retries=retries).warnings == []
    (warning,) = look(operator, last + timedelta(seconds=1), retries=retries).warnings
    assert "end before all calls can be made" in warning
    # Others are dialled first.
    make_call_group(operator, 2).calls.update(status=Status.QUEUED)
    (warning,) = look(operator, last, retries=retries).warnings
    assert "end before all calls can be made" in warning
    early = last - timedelta(minutes=2)
    seen = look(operator, early, retries=retries)
    assert seen.warnings == []
    assert seen.ends == early + timedelta(minutes=2) + estimate.takes(3, retries, carrier.cps)


def test_retries_that_do_not_fit(operator: User, settings: Settings) -> None:
    settings.CALLING_HOURS = "09:00-09:02"
    warnings = look(operator, retries=2).warnings
    assert any("too short for 3 attempts, which take up to 3 minutes" in warning for warning in warnings)
    assert not CallRequest.objects.get().callable


@pytest.mark.parametrize(("cap", "said"), [(1, "once a day: no retries are"), (2, "twice a day: 1 retry is"), (3, "")])
def test_retries_over_the_cap_are_not_made(operator: User, cap: int, said: str) -> None:
    CallingRule.objects.update_or_create(traffic="promotional", defaults={"daily_cap": cap})
    warnings = look(operator, retries=2).warnings
    assert [said in warning and "instead of 2" in warning for warning in warnings] == ([True] if said else [])


@pytest.mark.usefixtures("daytime")
def test_the_window_of_a_group_that_the_carrier_holds_is_the_portals(operator: User) -> None:
    late = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
    warning, _ = look(operator, late, numbers=0, carrier_group="vip").warnings
    assert warning.startswith("Outside calling hours: the carrier is not asked until 21 Nov 2026, 09:00 IST.")


def test_a_group_that_the_carrier_holds(operator: User) -> None:
    seen = look(operator, numbers=0, carrier_group="vip")
    assert seen.batches == 1
    (warning,) = seen.warnings
    assert "“vip”" in warning
    assert "suppression lists" in warning
    assert "duplicates" in warning
    assert "nor how often in a day. It keeps calling hours by its own clock, not by those where people are." in warning


def test_rules_that_never_let_the_carrier_call_its_group(operator: User) -> None:
    CallingRule.objects.update_or_create(traffic="promotional", defaults={"weekdays": []})
    seen = look(operator, numbers=0, carrier_group="vip")
    assert (seen.begins, seen.ends, seen.at_once) == (None, None, False)
    assert seen.warnings[0] == (
        "The calling rules allow no call in the portal's zone within 14 days: the carrier is not asked until they are "
        "changed."
    )


def test_rules_that_never_allow_what_was_planned(operator: User) -> None:
    request = make_request(operator, f"{number(1)}\n{number(2)}\n+12025550123", play="1.ivr")
    CallingRule.objects.update_or_create(traffic="promotional", defaults={"weekdays": []})
    (warning,) = preflight(request, NOON).warnings
    assert warning == (
        "The calling rules allow no call in Europe/London and 1 other place within 14 days: 3 calls are held until "
        "they are changed."
    )
    page = client_for(operator).get(f"/start/{request.pk}/").content.decode()
    assert "not before the calling rules are changed" in page


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


def test_what_calling_hours_keep_is_not_with_the_carrier(operator: User, settings: Settings) -> None:
    settings.CALLING_HOURS = "09:00-21:00"
    late: dict[str, Any] = {"schedule_time": datetime(2026, 11, 20, 22, 0, tzinfo=UTC), "waits": Waits.CARRIER}
    (warning,) = look(operator, **late).warnings
    assert warning.startswith("Outside calling hours: all 3 calls wait")
    request = make_request(operator, f"{number(1)}\n+12025550123", **late)
    assert (
        "The carrier waits for the start: the calls that it may make then are handed over at once and can't be "
        "cancelled then."
    ) in preflight(request, NOON).warnings


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


@pytest.mark.parametrize(
    ("statuses", "warned", "left_out"),
    [((), True, True), (("EXPIRED", "BUSY"), True, False), (("BUSY",), False, False)],
)
def test_calls_without_a_result_may_have_reached_people(
    operator: User, statuses: tuple[str, ...], warned: bool, left_out: bool
) -> None:
    parent = make_call_group(operator, 3)
    Call.objects.filter(n__lte=2).update(status=Status.EXPIRED)
    Call.objects.filter(n=3).update(status=Status.BUSY)
    warnings = look(operator, numbers=0, again=Again(parent.pk, statuses)).warnings
    assert [f"Of 2 calls of call group {parent.pk}" in warning for warning in warnings] == [True] * warned
    assert ["They are left out." in warning for warning in warnings] == [left_out] * warned


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
