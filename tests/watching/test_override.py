"""Overriding the calling rules of a call group, in the browser: who may, what it says first, what is on record."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from calls import tasks
from calls.carriers.base import NotTaken, Stopped
from calls.dialing import handover, steer
from calls.dialing.start import start
from calls.models import Batch, CallGroup, CallingRule, Suppression, User
from tests.dialing.helpers import Carrier, freeze, statuses, use
from tests.factories import client_for, make_call_group, make_request, make_user, number

pytestmark = pytest.mark.django_db

EVENING = datetime(2026, 11, 23, 21, 30, tzinfo=UTC)
"""A Monday, 21:30 in London; Tuesday, 03:00 where the portal is."""

INDIAN = "+918123456789"
WHY = "Water is poisoned in this street."


@pytest.fixture(autouse=True)
def carrier(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Carrier:
    settings.CALLING_HOURS = "09:00-21:00"
    settings.TIME_ZONE = "Asia/Kolkata"
    settings.DEFAULT_REGION = "IN"
    freeze(monkeypatch, EVENING)
    told = Carrier()
    use(told, monkeypatch)
    return told


@pytest.fixture
def boss() -> User:
    return make_user("admin", "boss")


@pytest.fixture
def web(boss: User) -> Client:
    return client_for(boss)


def waiting(numbers: list[str] | None = None, **options: Any) -> CallGroup:
    """A call group whose calls wait for the morning."""
    group = make_call_group(make_user(), numbers or [number(1), number(2), INDIAN], **options)
    assert group.batches.filter(kept_by="hours").exists()
    return group


def address(group: CallGroup) -> str:
    return f"/call-groups/{group.pk}/override/"


def words(response: Any) -> str:
    return " ".join(response.content.decode().split())


def override(web: Client, group: CallGroup, reason: str = WHY) -> Any:
    return web.post(address(group), {"reason": reason}, follow=True)


def test_it_says_first_what_would_happen(web: Client) -> None:
    CallingRule.objects.update(daily_cap=2)
    page = words(web.get(address(waiting())))
    for said in (
        "3 held calls that wait for calling hours are then handed over as soon as possible",
        "Numbers on suppression lists are still not called",
        "Mon 23 Nov, 21:30",
        "Europe/London",
        "Tue 24 Nov, 03:00",
        "24 Nov 2026, 14:30",  # 09:00 in London, by the portal's clock
        "24 Nov 2026, 09:00",
        "09:00-21:00, in Asia/Calcutta",
    ):
        assert said in page, said


def test_it_makes_the_calls_and_stays_on_record(web: Client, boss: User, carrier: Carrier) -> None:
    group = waiting()
    Suppression.objects.create(number=number(2), reason="Asked")
    handover.hand_over(group.pk, 0)
    assert carrier.orders == []
    page = words(override(web, group, f"  {WHY}\r\nSee   the map.  "))
    assert "The calling rules are overridden" in page
    assert "overridden by boss, <time" in page
    assert f"“{WHY} See the map.”" in page
    group.refresh_from_db()
    assert (group.override_by, group.override_at) == (boss, EVENING)
    handover.hand_over(group.pk, 0)
    assert sorted(carrier.numbers) == [number(1), INDIAN]
    assert sorted(statuses(group)) == ["DND", "QUEUED", "QUEUED"]
    checked: Any = group.batches.get(place="IN Asia/Calcutta").rules
    noted = checked[-1]["override"]
    assert (noted["reason"], noted["by"]) == (f"{WHY} See the map.", "boss")


def test_the_button_is_shown_where_calls_wait_for_hours_and_to_those_who_may(web: Client) -> None:
    group = waiting()
    page = f"/call-groups/{group.pk}/"
    assert address(group) in web.get(page).text
    assert address(group) not in client_for(make_user("operator")).get(page).text
    override(web, group)
    assert address(group) not in web.get(page).text
    CallingRule.objects.update(hours="00:00-24:00")
    assert "/override/" not in web.get(f"/call-groups/{make_call_group(make_user(), 1).pk}/").text


@pytest.mark.parametrize("role", ["operator", "viewer"])
def test_only_admins_may(role: str) -> None:
    group = waiting()
    client = client_for(make_user(role))
    assert client.get(address(group)).status_code == 403
    assert client.post(address(group), {"reason": WHY}).status_code == 403
    group.refresh_from_db()
    assert group.override_reason == ""


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("", "Say why: without a reason the calling rules hold."),
        ("  \n ", "Say why: without a reason the calling rules hold."),
        ("Because", "in at least 10 characters"),
        ("x" * 301, "at most 300 characters"),
        ("Urgent, really\0", "Null characters"),
        ("a" + " " * 60 + "b", "in at least 10 characters"),
    ],
)
def test_a_reason_is_asked_for(web: Client, reason: str, said: str) -> None:
    group = waiting()
    answer = web.post(address(group), {"reason": reason})
    assert answer.status_code == 200
    assert said in words(answer)
    group.refresh_from_db()
    assert group.override_reason == ""


def test_nothing_is_kept_any_more(web: Client, boss: User) -> None:
    group = waiting()
    steer.cancel(group.pk, boss)
    assert "there is nothing to override" in words(web.get(address(group)))
    assert "there is nothing to call" in words(override(web, group))
    group.refresh_from_db()
    assert group.override_reason == ""


def test_pausing_ends_it(web: Client, carrier: Carrier) -> None:
    group = waiting()
    assert "until it is paused" in words(web.get(address(group)))
    override(web, group)
    web.post(f"/call-groups/{group.pk}/pause/")
    web.post(f"/call-groups/{group.pk}/resume/")
    handover.hand_over(group.pk, 0)
    assert carrier.orders == []
    page = web.get(f"/call-groups/{group.pk}/").text
    assert "overridden by" not in page
    assert address(group) in page, "It can be overridden anew."
    deeds = [entry.did for entry in web.get("/audit-log/?did=overridden").context["entries"]]
    assert deeds == ["overrode the calling rules of"]


def test_the_portal_pausing_it_ends_it(web: Client, carrier: Carrier) -> None:
    group = waiting()
    override(web, group)
    carrier.answer = Stopped("The carrier refuses our key or account (401).")
    handover.hand_over(group.pk, 0)
    group.refresh_from_db()
    assert (group.state, group.override_reason, group.override_by) == ("paused", "", None)


def test_a_paused_call_group_is_resumed_first(web: Client) -> None:
    group = waiting()
    web.post(f"/call-groups/{group.pk}/pause/")
    assert address(group) not in web.get(f"/call-groups/{group.pk}/").text
    assert "The call group is paused. Resume it first" in words(web.get(address(group)))
    assert "Resume the call group first" in words(override(web, group))
    group.refresh_from_db()
    assert (group.state, group.override_reason) == ("paused", "")


@pytest.mark.parametrize("minutes", [-1, 0])
def test_it_lasts_for_some_hours(web: Client, carrier: Carrier, monkeypatch: pytest.MonkeyPatch, minutes: int) -> None:
    """The carrier is away at first."""
    group = waiting([number(1)])
    assert "for 8 hours at most" in words(web.get(address(group)))
    override(web, group)
    freeze(monkeypatch, EVENING + steer.OVERRIDE_LASTS + timedelta(minutes=minutes))
    handover.hand_over(group.pk, 0)
    group.refresh_from_db()
    assert (carrier.numbers, group.override_reason) == (([number(1)], WHY) if minutes else ([], ""))
    if not minutes:
        assert group.batches.get().kept_by == "hours"
        assert "overridden by" not in web.get(f"/call-groups/{group.pk}/").text


def test_it_lasts_from_the_time_that_was_asked_for(
    web: Client, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = waiting([number(1)], schedule_time=EVENING + timedelta(hours=10), retries=1)
    CallingRule.objects.update(hours="20:00-21:00")
    override(web, group)
    freeze(monkeypatch, EVENING + timedelta(hours=10, minutes=1))
    handover.hand_over(group.pk, 0)
    assert carrier.numbers == [number(1)]


def test_what_is_settled_days_later_obeys_the_rules(
    web: Client, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calls.dialing.start.MAX_CALLS", 1)
    freeze(monkeypatch, EVENING - timedelta(minutes=33))
    group = make_call_group(make_user(), [number(1), number(2)])
    claimed = handover.claim(group.pk, 0)
    assert claimed
    handover.settle_unconfirmed(claimed[0], "Timed out.")
    freeze(monkeypatch, EVENING)
    for lane in group.batches.values_list("lane", flat=True):
        handover.hand_over(group.pk, lane)
    override(web, group)
    for lane in group.batches.values_list("lane", flat=True):
        handover.hand_over(group.pk, lane)
    assert carrier.numbers == [number(2)]
    freeze(monkeypatch, EVENING + timedelta(days=3, hours=5))
    steer.settle(claimed[0].pk, group.owner, placed=False)
    handover.hand_over(group.pk, claimed[0].lane)
    assert carrier.numbers == [number(2)]
    assert group.batches.get(pk=claimed[0].pk).kept_by == "hours"


def test_what_was_taken_out_before_is_not_counted(
    web: Client, carrier: Carrier, monkeypatch: pytest.MonkeyPatch
) -> None:
    freeze(monkeypatch, EVENING - timedelta(minutes=50))
    group = make_call_group(make_user(), 3)
    Suppression.objects.create(number=number(0), reason="Asked")
    carrier.answer = NotTaken("Refused the connection.")
    handover.hand_over(group.pk, 0)
    freeze(monkeypatch, EVENING)
    handover.hand_over(group.pk, 0)
    assert statuses(group) == ["DND", "HELD", "HELD"]
    assert "2 held calls that wait for calling hours" in words(web.get(address(group)))


def test_there_is_nothing_to_override_where_no_hours_keep_calls(boss: User) -> None:
    CallingRule.objects.update(hours="00:00-24:00")
    group = make_call_group(make_user(), 1)
    with pytest.raises(steer.NotPossible, match="No call of this call group waits for calling hours"):
        steer.override(group.pk, boss, WHY)
    group.refresh_from_db()
    assert group.override_reason == ""


def test_a_schedule_still_counts(web: Client, carrier: Carrier) -> None:
    at = EVENING + timedelta(hours=2)
    group = waiting([number(1)], schedule_time=at)
    assert "Mon 23 Nov, 23:30" in words(web.get(address(group)))
    override(web, group)
    handover.hand_over(group.pk, 0)
    assert carrier.orders == []
    assert group.batches.get().due_at == at


def test_the_delay_of_each_request_still_counts(web: Client, carrier: Carrier, monkeypatch: pytest.MonkeyPatch) -> None:
    """One was listed in the call group of another, some minutes later."""
    group = waiting([number(1)], newgroup=False, delay=600)
    later = EVENING + timedelta(minutes=8)
    freeze(monkeypatch, later)
    assert start(make_request(group.owner, number(2), newgroup=False, delay=600).pk) == group
    now = EVENING + timedelta(minutes=9)
    freeze(monkeypatch, now)
    override(web, group)
    due = list(group.batches.order_by("first").values_list("due_at", flat=True))
    assert due == [EVENING + timedelta(minutes=10), later + timedelta(minutes=10)]
    group.refresh_from_db()
    assert group.due_at == due[0]


def test_calls_that_are_started_later_do_not_join_it(web: Client) -> None:
    group = waiting([number(1)], newgroup=False)
    override(web, group)
    later = make_call_group(group.owner, [number(2)], newgroup=False)
    assert later.pk != group.pk
    assert later.batches.get().kept_by == "hours"


def test_a_contact_group_held_by_the_carrier(web: Client) -> None:
    group = make_call_group(make_user(), [number(1)])
    group.calls.all().delete()
    Batch.objects.filter(call_group=group).update(last=0, place="")
    CallGroup.objects.filter(pk=group.pk).update(carrier_group="members", total=0, held=0, ended_at=None)
    page = words(web.get(address(group)))
    assert "The request, which waits for calling hours, is then handed over" in page
    assert "the carrier&#x27;s" in page or "the carrier's" in page
    assert "Not known" in page


def test_many_places_are_cut(web: Client) -> None:
    group = waiting([number(1)])
    batch = group.batches.get()
    for n in range(12):
        Batch.objects.create(
            call_group=group, first=1000 + n, last=1000 + n, due_at=batch.due_at, kept_by="hours",
            place=f"{'ABCDEFGHIJKL'[n]}X Europe/London",
        )  # fmt: skip
    page = words(web.get(address(group)))
    assert "and 3 more places" in page
    assert "13 held calls" in page


def test_a_changed_rule_lets_calls_go_that_it_allows_now(web: Client, carrier: Carrier) -> None:
    group = waiting()
    typed = {"hours": "09:00-23:00", "weekdays": list("0123456"), "closed_days": "", "daily_cap": ""}
    assert web.post("/calling-rules/promotional/", typed).status_code == 302
    tasks.rules_changed("promotional")
    handover.hand_over(group.pk, 0)
    assert sorted(carrier.numbers) == [number(1), number(2)]
    kept = group.batches.get(place__startswith="IN")
    assert (kept.kept_by, timezone.localtime(kept.due_at).hour) == ("hours", 9)
