"""Fragments that refresh themselves: sent when they changed, silent when not, still when final."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from calls.models import Call, CallGroup, User
from tests.factories import client_for, make_user
from tests.watching.rows import group_of

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true", "HX-Current-URL": "http://testserver/call-groups/"}


@pytest.fixture(autouse=True)
def nothing_moves_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The expected end is a guess that moves with the clock."""
    monkeypatch.setattr("calls.dialing.situation.expected_end", lambda group, now: None)


@pytest.fixture
def asha() -> User:
    return make_user("operator", "asha")


@pytest.fixture
def client(asha: User) -> Client:
    return client_for(asha)


@pytest.fixture
def group(asha: User) -> CallGroup:
    return group_of(asha, {"COMPLETED": 3, "INPROGRESS": 2, "HELD": 5})


def poll_urls(html: str) -> list[str]:
    return [url.replace("&amp;", "&") for url in re.findall(r'hx-get="([^"]+)"', html)]


def without_tokens(html: str) -> str:
    """Forms carry another token each time; the summary is in the middle of the page."""
    return re.sub(r'csrfmiddlewaretoken" value="\w+"', "", html)


PAGES: dict[str, Callable[[CallGroup], str]] = {
    "dashboard": lambda group: "/",
    "call groups": lambda group: "/call-groups/",
    "call group": lambda group: f"/call-groups/{group.pk}/",
    "filtered call group": lambda group: f"/call-groups/{group.pk}/?status=INPROGRESS&status=HELD&digits=%2B44",
    "call": lambda group: f"/call-groups/{group.pk}/calls/4/",
    "calls": lambda group: "/calls/",
}


@pytest.mark.parametrize("name", PAGES)
def test_unchanged_is_nothing_and_changed_is_the_fragment_alone(client: Client, group: CallGroup, name: str) -> None:
    page = client.get(PAGES[name](group))
    html = page.content.decode()
    assert "HX-Request" in page["Vary"]
    urls = poll_urls(html)
    assert len(urls) == (2 if "call group" in name and name != "call groups" else 1)
    for url in urls:
        same = client.get(url, headers=HTMX)
        assert (same.status_code, same.content) == (204, b"")
        assert "HX-Request" in same["Vary"]
    Call.objects.filter(call_group=group, status="INPROGRESS").update(status="QUEUED")
    for url in urls:
        news = client.get(url, headers=HTMX)
        assert news.status_code == 200
        fragment = news.content.decode()
        assert "<html" not in fragment
        assert poll_urls(fragment) != [url]  # its address has the new version
        assert client.get(poll_urls(fragment)[0], headers=HTMX).status_code == 204


@pytest.mark.parametrize("name", PAGES)
def test_the_same_partial_for_page_and_refresh(client: Client, group: CallGroup, name: str) -> None:
    html = without_tokens(client.get(PAGES[name](group)).content.decode())
    for url in poll_urls(html):
        fragment = client.get(re.sub("v=[0-9a-f]+", "v=old", url), headers=HTMX).content.decode().strip()
        assert without_tokens(fragment) in html


def test_the_table_stays_when_only_the_summary_changed(client: Client, group: CallGroup) -> None:
    html = client.get(f"/call-groups/{group.pk}/?status=COMPLETED").content.decode()
    summary, calls = poll_urls(html)
    Call.objects.filter(call_group=group, status="INPROGRESS").update(status="BUSY")
    assert client.get(summary, headers=HTMX).status_code == 200
    assert client.get(calls, headers=HTMX).status_code == 204


def test_the_refresh_of_the_table_keeps_filter_and_page(client: Client, asha: User) -> None:
    group = group_of(asha, {"BUSY": 5, "COMPLETED": 60, "HELD": 1})
    first = client.get(f"/call-groups/{group.pk}/?status=COMPLETED").content.decode()
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older
    second = client.get(f"/call-groups/{group.pk}/{older[1].replace('&amp;', '&')}").content.decode()
    url = poll_urls(second)[1]
    Call.objects.filter(call_group=group, n=60).update(name="Asha Rao")
    fragment = client.get(url, headers=HTMX).content.decode()
    assert re.findall(r"/calls/(\d+)/\"", fragment) == [str(n) for n in range(56, 66)]
    assert "Asha Rao" in fragment


def test_nothing_refreshes_once_it_is_final(client: Client, group: CallGroup) -> None:
    urls = poll_urls(client.get(f"/call-groups/{group.pk}/").content.decode())
    Call.objects.filter(call_group=group).exclude(status="COMPLETED").update(status="BUSY", ended_at=timezone.now())
    for url in urls:
        final = client.get(url, headers=HTMX).content.decode()
        assert final
        assert "hx-trigger" not in final
        assert "hx-get" not in final
    for page in (f"/call-groups/{group.pk}/", "/call-groups/", "/calls/", f"/call-groups/{group.pk}/calls/1/"):
        assert "hx-trigger" not in client.get(page).content.decode()


def test_a_group_that_merely_waits_is_asked_about_less_often(client: Client, asha: User) -> None:
    running, paused = group_of(asha, {"INPROGRESS": 1}), group_of(asha, {"HELD": 1}, state="paused", state_by=asha)
    assert (
        'hx-trigger="every 2s"' in client.get(f"/call-groups/{running.pk}/summary/?v=x", headers=HTMX).content.decode()
    )
    assert (
        'hx-trigger="every 5s"' in client.get(f"/call-groups/{paused.pk}/summary/?v=x", headers=HTMX).content.decode()
    )


def test_the_address_of_a_fragment_leads_to_its_page(client: Client, group: CallGroup) -> None:
    assert client.get(f"/call-groups/{group.pk}/summary/")["Location"] == f"/call-groups/{group.pk}/"
    moved = client.get(f"/call-groups/{group.pk}/calls/?status=BUSY")
    assert moved["Location"] == f"/call-groups/{group.pk}/?status=BUSY"


@pytest.mark.parametrize("name", PAGES)
def test_an_expired_session_goes_to_the_login_page(client: Client, group: CallGroup, name: str) -> None:
    urls = poll_urls(client.get(PAGES[name](group)).content.decode())
    client.logout()
    for url in urls:
        response: Any = client.get(
            url, headers=HTMX | {"HX-Current-URL": "http://testserver/call-groups/?state=running"}
        )
        assert response.status_code == 200
        assert response["HX-Redirect"] == "/login/?next=/call-groups/%3Fstate%3Drunning"
        assert response.content == b""
    assert client.get(PAGES[name](group)).status_code == 302


def test_who_lost_access_gets_nothing(group: CallGroup) -> None:
    ravi = make_user()
    client = client_for(ravi)
    urls = poll_urls(client.get(f"/call-groups/{group.pk}/").content.decode())
    ravi.sees_all_calls = False
    ravi.save()
    for url in urls:
        assert client.get(url, headers=HTMX).status_code == 404
