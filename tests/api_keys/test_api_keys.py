"""API keys in the portal: list, a new one that is shown once, one key, revoking."""

import logging
import re
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from auditlog.models import LogEntry
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from calls.models import APIKey, User
from calls.models.keys import digest_of
from tests.factories import client_for, make_user

pytestmark = pytest.mark.django_db

NEW = {"label": "Shop", "expires": "", "networks": "", "traffic": "promotional", "rate": "600"}
KEY = re.compile(r"\bA[0-9a-f]{40}\b")


@pytest.fixture
def operator() -> User:
    return make_user("operator", "olga")


@pytest.fixture
def boss() -> User:
    return make_user("admin", "boss")


def make_key(user: User, label: str = "Shop", **columns: Any) -> APIKey:
    return APIKey.make(user, label, **columns)[0]


def create(client: Client, **fields: str) -> Any:
    return client.post("/api-keys/new/", NEW | fields)


def errors(answer: Any) -> dict[str, list[str]]:
    return {name: list(found) for name, found in answer.context["form"].errors.items()}


# --- List --------------------------------------------------------------------------------------------------------


def test_people_see_their_own_keys_and_admins_all_with_their_user(operator: User, boss: User) -> None:
    make_key(operator, "Of Olga")
    make_key(boss, "Of the boss")
    own = client_for(operator).get("/api-keys/").content.decode()
    assert "Of Olga" in own
    assert "Of the boss" not in own
    everything = client_for(boss).get("/api-keys/").content.decode()
    assert "Of Olga" in everything
    assert "Of the boss" in everything
    assert re.search(r'data-label="User">\s*olga', everything)


def test_the_list_tells_state_and_last_use_but_no_hash(operator: User) -> None:
    past = timezone.now() - timedelta(days=1)
    rows = [
        make_key(operator, "Good", last_used_at=past, last_used_from="203.0.113.7"),
        make_key(operator, "Old", expires_at=past),
        make_key(operator, "Ended", revoked_at=past, expires_at=past),
    ]
    page = client_for(operator).get("/api-keys/").content.decode()
    assert re.findall(r'data-status="(\w+)"', page) == ["revoked", "expired", "works"]
    assert "203.0.113.7" in page
    assert page.count("/revoke/") == 2
    assert not any(row.digest in page for row in rows)


def test_the_key_of_who_is_deactivated_does_not_work(operator: User, boss: User) -> None:
    row = make_key(operator)
    User.objects.filter(pk=operator.pk).update(is_active=False)
    row = APIKey.objects.get(pk=row.pk)
    assert (row.state, row.works) == ("stopped", False)
    assert 'data-status="stopped"' in client_for(boss).get("/api-keys/").content.decode()


def test_the_list_takes_the_same_queries_for_many_keys(boss: User, django_assert_max_num_queries: Any) -> None:
    for i in range(60):
        make_key(make_user("operator"), f"Key {i}")
    client = client_for(boss)
    with django_assert_max_num_queries(10):
        page = client.get("/api-keys/")
    assert len(page.context["page"].rows) == 50
    assert "Key 9<" in client.get(f"/api-keys/?after={page.context['page'].next}").content.decode()


def test_who_has_none_is_told_what_to_do() -> None:
    assert "Create a key" in client_for(make_user("operator")).get("/api-keys/").content.decode()
    viewers = client_for(make_user("viewer")).get("/api-keys/").content.decode()
    assert "Create a key" not in viewers
    assert "An admin can create one" in viewers


# --- A new one ---------------------------------------------------------------------------------------------------


def test_a_new_key_is_shown_once_and_kept_nowhere(operator: User, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client = client_for(operator)
    answer = create(client)
    page = answer.content.decode()
    (key,) = set(KEY.findall(page))
    row = APIKey.objects.get()
    assert (row.user, row.label, row.digest) == (operator, "Shop", digest_of(key))
    assert f'data-copy="{key}"' in page
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    kept = [caplog.text, *answer.headers.values(), *(str(each.get_decoded()) for each in Session.objects.all())]
    kept += [str(LogEntry.objects.values_list()), str(APIKey.objects.values_list())]
    kept += [client.get(url).content.decode() for url in ("/api-keys/", f"/api-keys/{row.pk}/")]
    assert not any(key in text for text in kept)


def test_the_key_works(operator: User) -> None:
    (key,) = set(KEY.findall(create(client_for(operator)).content.decode()))
    answer = Client().post(
        "/api/v1/", {"method": "voice.status", "id": "1-1", "format": "json"}, headers={"x-api-key": key}
    )
    assert answer.status_code == 404  # no such call


def test_what_is_asked_for_is_kept(operator: User) -> None:
    networks = " 203.0.113.7\n2001:DB8::/32, 10.0.0.0/8;10.0.0.0/8 ::ffff:10.0.0.0/104 ::ffff:198.51.100.7"
    day = timezone.localdate() + timedelta(days=3)
    answer = create(client_for(operator), expires=f"{day}", networks=networks, traffic="service", rate="5")
    assert answer.status_code == 200
    row = APIKey.objects.get()
    assert row.networks == ["203.0.113.7/32", "2001:db8::/32", "10.0.0.0/8", "198.51.100.7/32"]
    assert (row.traffic, row.rate, row.last_day) == ("service", 5, day)
    assert "<dt>Traffic type</dt><dd>service</dd>" in client_for(operator).get(f"/api-keys/{row.pk}/").text


def test_it_expires_at_the_end_of_its_last_day_where_the_portal_is(operator: User, settings: Settings) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"
    create(client_for(operator), expires="2030-12-31")
    zone = ZoneInfo("Asia/Kolkata")
    assert APIKey.objects.get().expires_at == datetime(2031, 1, 1, tzinfo=zone)


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("label", "", "This field is required."),
        ("label", "x" * 101, "at most 100"),
        ("label", "a\x07b", "control characters"),
        ("label", "a\0b", "Null characters"),
        ("expires", "2020-01-01", "2020-01-01 is in the past."),
        ("expires", "tomorrow", "This is not a date."),
        ("expires", "9999-12-31", "Leave this empty"),
        ("networks", "203.0.113.300", "“203.0.113.300” is neither an address"),
        ("networks", "example.com", "“example.com” is neither an address"),
        ("networks", "10.0.0.5/8", "The whole network is 10.0.0.0/8."),
        ("networks", "fe80::1%eth0", "“fe80::1%eth0” is"),
        ("networks", "10.0.0.0/33", "“10.0.0.0/33” is neither"),
        ("networks", "\n".join(f"10.0.0.{i}" for i in range(101)), "101 addresses and networks; at most 100."),
        ("networks", "1" * 10_001, "at most 10000 characters"),
        ("networks", "10.0.0.1\0", "Null characters"),
        ("traffic", "", "required"),
        ("traffic", "spam", "not one of the available choices"),
        ("rate", "0", "greater than or equal to 1"),
        ("rate", "1000001", "less than or equal to 1000000"),
        ("rate", "many", "whole number"),
    ],
)  # fmt: skip
def test_wrong_input_is_explained_at_its_field(operator: User, field: str, typed: str, said: str) -> None:
    answer = create(client_for(operator), **{field: typed})
    assert [*errors(answer)] == [field]
    assert said in errors(answer)[field][0]
    assert not APIKey.objects.exists()


def test_an_admin_makes_keys_for_others(operator: User, boss: User) -> None:
    answer = create(client_for(boss), user="olga")
    assert answer.status_code == 200
    assert APIKey.objects.get().user == operator
    entry = LogEntry.objects.get_for_object(APIKey.objects.get()).get()
    assert entry.actor == boss


@pytest.mark.parametrize(("name", "said"), [("nobody", "no user “nobody”"), ("gone", "deactivated"), ("", "required")])
def test_an_admin_is_told_if_the_user_is_not_there(boss: User, name: str, said: str) -> None:
    make_user("operator", "gone", is_active=False)
    assert said in errors(create(client_for(boss), user=name))["user"][0]


def test_others_make_keys_for_themselves_only(operator: User, boss: User) -> None:
    client = client_for(operator)
    assert 'name="user"' not in client.get("/api-keys/new/").content.decode()
    create(client, user="boss")
    assert APIKey.objects.get().user == operator


# --- One key and its end -----------------------------------------------------------------------------------------


def test_the_page_of_a_key_shows_its_signing_secret_to_those_who_may_see_it(operator: User, boss: User) -> None:
    row = make_key(operator)
    address = reverse("api_key", args=[row.pk])
    answer = client_for(operator).get(address)
    (secret,) = set(re.findall(r"whsec_[\w+/]{43}=", answer.content.decode()))
    assert "no-store" in answer["Cache-Control"]
    assert secret in client_for(boss).get(address).content.decode()
    assert client_for(make_user("operator")).get(address).status_code == 404
    other = client_for(boss).get(reverse("api_key", args=[make_key(operator).pk])).content.decode()
    assert secret not in other


def test_revoking_asks_first(operator: User) -> None:
    row = make_key(operator)
    client = client_for(operator)
    address = reverse("api_key_revoke", args=[row.pk])
    assert "Revoke this key?" in client.get(address).content.decode()
    row.refresh_from_db()
    assert row.works
    assert client.post(address)["Location"] == "/api-keys/"
    row.refresh_from_db()
    assert (row.state, row.works) == ("revoked", False)


def test_revoking_twice_keeps_the_first_time(operator: User) -> None:
    then = timezone.now() - timedelta(days=2)
    row = make_key(operator, revoked_at=then)
    for method in ("get", "post"):
        answer = getattr(client_for(operator), method)(reverse("api_key_revoke", args=[row.pk]))
        assert answer.status_code == 302
    row.refresh_from_db()
    assert row.revoked_at == then


def test_keys_of_others_can_be_revoked_by_admins_only(operator: User, boss: User) -> None:
    row = make_key(operator)
    address = reverse("api_key_revoke", args=[row.pk])
    assert client_for(make_user("operator")).post(address).status_code == 404
    assert client_for(boss).post(address).status_code == 302
    row.refresh_from_db()
    assert not row.works
    (revoked,) = LogEntry.objects.get_for_object(row).filter(action=LogEntry.Action.UPDATE)
    assert revoked.actor == boss
    assert [*revoked.changes_dict] == ["revoked_at"]


def test_a_viewer_may_revoke_the_key_that_acts_as_them_but_makes_none() -> None:
    viewer = make_user("viewer")
    row = make_key(viewer)
    client = client_for(viewer)
    assert client.get("/api-keys/new/").status_code == 403
    assert create(client).status_code == 403
    assert client.post(reverse("api_key_revoke", args=[row.pk])).status_code == 302
    row.refresh_from_db()
    assert not row.works


def test_the_audit_log_has_no_hash(operator: User) -> None:
    row = make_key(operator)
    (entry,) = LogEntry.objects.get_for_object(row)
    assert "label" in entry.changes_dict
    assert entry.changes_dict.keys().isdisjoint({"digest", "next_at", "last_used_at", "last_used_from"})
    assert row.digest not in str(entry.changes)
