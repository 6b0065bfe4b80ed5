"""The list of call groups."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from calls.models import CallGroup, User, Waits
from tests.factories import client_for, make_user
from tests.watching.rows import group_of

pytestmark = pytest.mark.django_db

URL = "/call-groups/"


@pytest.fixture
def asha() -> User:
    return make_user("operator", "asha")


@pytest.fixture
def client(asha: User) -> Client:
    return client_for(asha)


def listed(client: Client, query: str = "") -> list[int]:
    """The GIDs that the page shows, in order."""
    response: Any = client.get(f"{URL}{query}")
    assert response.status_code == 200
    return [situation.group.pk for situation, _ in response.context["rows"]]


def test_anonymous_people_sign_in_first() -> None:
    assert Client().get(URL).status_code == 302


def test_an_empty_list_says_what_to_do_next(client: Client) -> None:
    assert "Start calls" in client.get(URL).content.decode()
    html = client_for(make_user("viewer")).get(URL).content.decode()
    assert "No call groups yet" in html
    assert "/start/" not in html


def test_newest_first_with_what_each_does(client: Client, asha: User) -> None:
    old, new = group_of(asha, {"COMPLETED": 3}), group_of(asha, {"INPROGRESS": 3}, campaign="Reminder")
    assert listed(client) == [new.pk, old.pk]
    html = client.get(URL).content.decode()
    assert "All calls are with the carrier; 3 still run." in html
    assert "Reminder" in html
    assert "3 of 3 reached" in html


def test_states(client: Client, asha: User) -> None:
    now = timezone.now()
    later = now + timedelta(hours=1)
    groups = {
        "running": group_of(asha, {"INPROGRESS": 1}),
        "scheduled": group_of(asha, {"HELD": 1}, due_at=later, schedule_time=later),
        "carrier": group_of(asha, {"QUEUED": 1}, schedule_time=later, waits=Waits.CARRIER),
        "delayed": group_of(
            asha, {"QUEUED": 1}, schedule_time=now - timedelta(minutes=5), delay=900, waits=Waits.CARRIER
        ),
        "begun": group_of(asha, {"QUEUED": 1}, schedule_time=now - timedelta(minutes=5), delay=60, waits=Waits.CARRIER),
        "paused": group_of(asha, {"HELD": 1}, state="paused", state_by=asha, state_at=now),
        "refused": group_of(asha, {"HELD": 1}, state="paused", state_reason="The carrier refuses our key."),
        "unconfirmed": group_of(asha, {"UNCONFIRMED": 1}),
        "finished": group_of(asha, {"COMPLETED": 1}),
        "stopping": group_of(asha, {"INPROGRESS": 1, "CANCELLED": 1}, state="cancelled", state_by=asha),
        "cancelled": group_of(asha, {"CANCELLED": 1}, state="cancelled", state_by=asha),
    }
    names = {group.pk: name for name, group in groups.items()}
    found = {
        state: {names[pk] for pk in listed(client, f"?state={state}")}
        for state in ("running", "scheduled", "paused", "attention", "finished", "cancelled")
    }
    assert found == {
        "running": {"running", "begun", "unconfirmed"},
        "scheduled": {"scheduled", "carrier", "delayed"},
        "paused": {"paused", "refused"},
        "attention": {"refused", "unconfirmed"},
        "finished": {"finished"},
        "cancelled": {"stopping", "cancelled"},
    }


def test_by_campaign(client: Client, asha: User) -> None:
    one = group_of(asha, {"COMPLETED": 1}, campaign="Diwali 2026")
    group_of(asha, {"COMPLETED": 1}, campaign="After Diwali")
    assert listed(client, "?campaign=diwali") == [one.pk]
    assert listed(client, "?campaign=50%25") == []
    assert "No call group matches" in client.get(f"{URL}?campaign=50%25").content.decode()


def test_by_who_started_it(client: Client, asha: User) -> None:
    ravi = make_user("operator", "ravi")
    group_of(asha, {"COMPLETED": 1})
    his = group_of(ravi, {"COMPLETED": 1})
    assert listed(client, f"?who={ravi.pk}") == [his.pk]


def test_by_local_day(client: Client, asha: User, settings: Settings) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"
    group_of(asha, {"COMPLETED": 1}, created_at=datetime(2026, 11, 21, 18, 29, tzinfo=UTC))
    on_the_day = group_of(asha, {"COMPLETED": 1}, created_at=datetime(2026, 11, 21, 18, 30, tzinfo=UTC))
    group_of(asha, {"COMPLETED": 1}, created_at=datetime(2026, 11, 22, 18, 30, tzinfo=UTC))
    assert listed(client, "?since=2026-11-22&until=2026-11-22") == [on_the_day.pk]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?state=lost", "“lost” is not a state of call groups."),
        ("?since=22.11.2026", "“22.11.2026” is not a date like 2026-03-14."),
        ("?since=2026-02-30", "“2026-02-30” is not a date like 2026-03-14."),
        ("?since=2026-11-22&until=2026-11-21", "2026-11-21 is before 2026-11-22, the first day."),
        ("?who=999999", "There is nobody with the ID “999999”."),
        ("?who=x", "There is nobody with the ID “x”."),
        ("?campaign=" + "x" * 101, "at most 100 characters"),
        ("?campaign=%00", "Null characters are not allowed"),
    ],
)
def test_a_wrong_filter_is_named_and_kept(client: Client, asha: User, query: str, message: str) -> None:
    group_of(asha, {"COMPLETED": 1})
    response = client.get(f"{URL}{query}")
    html = response.content.decode()
    assert response.status_code == 200
    assert message in html
    assert listed(client, query) == []
    if "22.11.2026" in query:
        assert 'value="22.11.2026"' in html


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_the_ends_of_the_calendar(client: Client, asha: User, day: str) -> None:
    group_of(asha, {"COMPLETED": 1})
    assert client.get(f"{URL}?since={day}&until={day}").status_code == 200


def test_only_groups_that_one_may_see(asha: User) -> None:
    group = group_of(asha, {"COMPLETED": 1})
    ravi = make_user(sees_all_calls=False)
    his = group_of(ravi, {"COMPLETED": 1})
    client = client_for(ravi)
    assert listed(client) == [his.pk]
    assert "Started by" not in client.get(URL).content.decode()
    # Who may not choose is not asked: the parameter changes nothing.
    assert listed(client, f"?who={asha.pk}") == [his.pk]
    assert listed(client_for(make_user("viewer"))) == [his.pk, group.pk]
    assert listed(client_for(make_user("admin", sees_all_calls=False))) == [his.pk, group.pk]


def test_pages(client: Client, asha: User) -> None:
    made = [group_of(asha, {"COMPLETED": 1}, campaign="Daily").pk for _ in range(27)]
    newest_first = made[::-1]
    first: Any = client.get(f"{URL}?campaign=Daily")
    assert listed(client, "?campaign=Daily") == newest_first[:25]
    cursor = first.context["page"].next
    assert f"campaign=Daily&amp;after={cursor}" in first.content.decode()
    assert listed(client, f"?campaign=Daily&after={cursor}") == newest_first[25:]
    assert listed(client, "?after=damaged") == newest_first[:25]


def test_refreshes_itself_while_one_is_unfinished(client: Client, asha: User) -> None:
    group = group_of(asha, {"INPROGRESS": 1})
    first: Any = client.get(URL)
    url = first.context["poll_url"].replace("__version__", "")
    assert 'hx-trigger="every 5s"' in first.content.decode()
    assert url
    CallGroup.objects.filter(pk=group.pk).update(ended_at=timezone.now())
    assert "hx-trigger" not in client.get(URL).content.decode()


def test_as_many_queries_for_many_as_for_few(
    client: Client, asha: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client.get(URL)
    for calls in (10, 1_000):
        group_of(asha, {"INPROGRESS": calls, "HELD": calls})
        with django_assert_max_num_queries(15):
            client.get(URL)
    for _ in range(30):
        group_of(asha, {"INPROGRESS": 1, "HELD": 1})
    with django_assert_max_num_queries(15):
        client.get(URL)
