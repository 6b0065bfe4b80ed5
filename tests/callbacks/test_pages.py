"""The list of callbacks, what other pages say of them, and sending failed ones again."""

from datetime import timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.urls import reverse
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob
from pytest_django import DjangoCaptureOnCommitCallbacks

from calls.api.signing import secret_of
from calls.models import Callback, CallGroup, User
from calls.views import call_groups
from calls.views.paging import PAGE_SIZE
from tests.factories import client_for, make_call_group, make_user

URL = "https://receiver.example/done?token=abc&id={obdid}"

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> User:
    return make_user()


def ended(owner: User, calls: int = 1, **columns: Any) -> CallGroup:
    """A call group whose calls have ended, with `columns` of their callbacks."""
    group = make_call_group(owner, calls, callback=URL)
    group.calls.update(status="COMPLETED")
    if columns:
        group.callbacks.update(**columns)
    return group


def failed(owner: User, calls: int = 1, **columns: Any) -> CallGroup:
    now = timezone.now()
    return ended(
        owner, calls, **{
            "state": "failed", "attempts": 31, "tried_at": now, "http_status": 503, "answer": "<b>No</b> room",
            "first_failed_at": now - timedelta(hours=24), "due_at": now,
        } | columns
    )  # fmt: skip


def page(user: User, query: str = "") -> str:
    response = client_for(user).get(f"{reverse('callbacks')}{query}")
    assert response.status_code == 200
    return response.content.decode()


def test_nothing_yet(operator: User) -> None:
    assert "No callbacks yet" in page(operator)


def test_each_callback_with_its_url_and_answer(operator: User) -> None:
    group = failed(operator)
    shown = page(operator)
    for text in (
        f"{group.pk}-1", f"https://receiver.example/done?token=abc&amp;id={group.pk}-1", "503", "31", "Failed",
        "&lt;b&gt;No&lt;/b&gt; room", "Send again",
    ):  # fmt: skip
        assert text in shown, text
    assert "hx-trigger" not in shown.split('id="rows"')[1].split(">")[0]


def test_it_refreshes_itself_while_one_is_pending(operator: User) -> None:
    group = ended(operator)
    client = client_for(operator)
    shown = client.get(reverse("callbacks")).content.decode()
    poll = shown.split('hx-get="')[1].split('"')[0].replace("&amp;", "&")
    assert client.get(poll, headers={"HX-Request": "true"}).status_code == 204
    group.callbacks.update(state="delivered", http_status=200)
    refreshed = client.get(poll, headers={"HX-Request": "true"})
    assert "Delivered" in refreshed.content.decode()
    assert b"hx-trigger" not in refreshed.content


def test_filters(operator: User) -> None:
    one, other = failed(operator, 2), ended(operator, state="delivered")
    pending = make_call_group(operator, 2, callback=URL)
    pending.calls.filter(n=2).update(status="BUSY")

    def listed(query: str) -> set[str]:
        rows = client_for(operator).get(f"{reverse('callbacks')}{query}").context["rows"]
        return {each.call.obd_id for each, _ in rows}

    everything = {f"{one.pk}-1", f"{one.pk}-2", f"{other.pk}-1", f"{pending.pk}-2"}
    assert listed("") == everything
    assert listed("?state=failed") == {f"{one.pk}-1", f"{one.pk}-2"}
    assert listed("?state=delivered") == {f"{other.pk}-1"}
    assert listed("?state=pending") == {f"{pending.pk}-2"}
    assert listed(f"?call={one.pk}") == {f"{one.pk}-1", f"{one.pk}-2"}
    assert listed(f"?call=+{one.pk}-2+") == {f"{one.pk}-2"}
    assert listed(f"?call={one.pk}&state=pending") == set()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("?call=abc", "“abc” is not an ID like 123456 or 123456-1."),
        ("?call=1-2-3", "is not an ID"),
        ("?call=-1", "is not an ID"),
        ("?call=1-", "is not an ID"),
        ("?call=%D9%A1", "is not an ID"),
        (f"?call={'9' * 40}", "is not an ID"),
        ("?state=nonsense", "“nonsense” is not a state of callbacks."),
    ],
)
def test_wrong_filters_are_named(operator: User, query: str, said: str) -> None:
    ended(operator)
    shown = page(operator, query)
    assert said in shown
    assert "Nothing is listed until the search is mended." in shown


@pytest.mark.parametrize("sees_all", [True, False])
def test_pages_of_the_list(sees_all: bool) -> None:
    operator = make_user(sees_all_calls=sees_all)
    ended(operator, PAGE_SIZE + 5)
    client = client_for(operator)
    first = client.get(reverse("callbacks"))
    second = client.get(reverse("callbacks"), {"after": first.context["page"].next})
    shown = [each.pk for response in (first, second) for each, _ in response.context["rows"]]
    assert shown == sorted(Callback.objects.values_list("pk", flat=True), reverse=True)


@pytest.mark.parametrize("sees_all", [True, False])
def test_the_list_takes_few_queries(sees_all: bool, django_assert_max_num_queries: Any) -> None:
    operator = make_user(sees_all_calls=sees_all)
    failed(operator, 20)
    client = client_for(operator)
    client.get("/")
    with django_assert_max_num_queries(10):
        client.get(reverse("callbacks"))


# --- Who sees what -------------------------------------------------------------------------------------------------


def test_the_callbacks_of_others_are_seen_with_their_calls(operator: User) -> None:
    hidden = make_user(sees_all_calls=False)
    own, others = failed(hidden), failed(operator)
    shown = page(hidden)
    assert f"{own.pk}-1" in shown
    assert f"{others.pk}-1" not in shown
    for query in (f"?call={others.pk}", f"?call={others.pk}-1"):
        assert "No callback matches" in page(hidden, query)
        assert "Send all of them again" not in page(hidden, query)
    assert f"{others.pk}-1" in page(make_user(sees_all_calls=True))
    client = client_for(hidden)
    assert client.post(reverse("callback_again", args=[others.callbacks.get().pk])).status_code == 404
    assert client.post(reverse("callbacks_again", args=[others.pk])).status_code == 404
    assert others.callbacks.get().state == "failed"


def test_a_viewer_looks_and_changes_nothing(operator: User) -> None:
    viewer = make_user("viewer")
    group = failed(operator)
    shown = page(viewer, f"?call={group.pk}")
    assert f"{group.pk}-1" in shown
    assert "again</button>" not in shown
    client = client_for(viewer)
    assert client.post(reverse("callback_again", args=[group.callbacks.get().pk])).status_code == 403
    assert client.post(reverse("callbacks_again", args=[group.pk])).status_code == 403


def test_ones_own_secret_is_shown_and_never_stored(operator: User) -> None:
    other = make_user()
    response = client_for(operator).get(reverse("callbacks"))
    assert secret_of(operator) in response.content.decode()
    assert secret_of(other) not in response.content.decode()
    assert "no-store" in response["Cache-Control"]


# --- Again ---------------------------------------------------------------------------------------------------------


def test_a_failed_one_is_sent_again(
    operator: User, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    group = failed(operator, 2)
    first, second = group.callbacks.order_by("pk")
    here = f"{reverse('callbacks')}?state=failed"
    with django_capture_on_commit_callbacks(execute=True):
        response = client_for(operator).post(reverse("callback_again", args=[first.pk]), {"next": here})
    assert response["Location"] == here
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, first.attempts, first.first_failed_at) == ("pending", 31, None)
    assert first.due_at <= timezone.now()
    assert second.state == "failed"
    assert ProcrastinateJob.objects.filter(queueing_lock="callbacks", status="todo").count() == 1
    assert LogEntry.objects.get_for_object(group).filter(actor=operator, changes__has_key="callbacks").count() == 1


def test_all_failed_ones_of_a_call_group_are_sent_again(operator: User) -> None:
    group, other = failed(operator, 3), failed(operator)
    group.callbacks.filter(call__n=2).update(state="delivered")
    client = client_for(operator)
    assert "2 callbacks of call group" in page(operator, f"?call={group.pk}")
    response = client.post(reverse("callbacks_again", args=[group.pk]), follow=True)
    assert "2 callbacks are sent again." in response.content.decode()
    assert list(group.callbacks.order_by("call__n").values_list("state", flat=True)) == [
        "pending", "delivered", "pending",
    ]  # fmt: skip
    assert other.callbacks.get().state == "failed"
    response = client.post(reverse("callbacks_again", args=[group.pk]), follow=True)
    assert f"No callback of call group {group.pk} has failed." in response.content.decode()


@pytest.mark.parametrize("state", ["pending", "delivered"])
def test_what_has_not_failed_is_not_sent_again(operator: User, state: str) -> None:
    group = ended(operator, state=state)
    callback = group.callbacks.get()
    response = client_for(operator).post(reverse("callback_again", args=[callback.pk]), follow=True)
    assert "has not failed" in response.content.decode()
    due_at, callback.state = callback.due_at, ""
    callback.refresh_from_db()
    assert (callback.state, callback.due_at) == (state, due_at)


@pytest.mark.parametrize(
    "elsewhere", ["https://example.com/", "//example.com/", "javascript:alert(1)", "/\\example.com"]
)
def test_the_way_back_leads_nowhere_else(operator: User, elsewhere: str) -> None:
    group = failed(operator)
    response = client_for(operator).post(
        reverse("callback_again", args=[group.callbacks.get().pk]), {"next": elsewhere}
    )
    assert response["Location"] == f"{reverse('callbacks')}?call={group.pk}"


# --- Other pages ---------------------------------------------------------------------------------------------------


def test_the_call_says_what_became_of_its_callback(operator: User) -> None:
    client = client_for(operator)
    open_one = make_call_group(operator, 1, callback=URL)
    assert "Requested when the call has ended." in client.get(f"/call-groups/{open_one.pk}/calls/1/").content.decode()
    group = failed(operator)
    shown = client.get(f"/call-groups/{group.pk}/calls/1/").content.decode()
    for text in ("after 31 attempts", "503", "&lt;b&gt;No&lt;/b&gt; room", f"?call={group.pk}-1"):
        assert text in shown, text
    assert "every 2s" not in shown
    group.callbacks.update(state="pending")
    assert "every 2s" in client.get(f"/call-groups/{group.pk}/calls/1/").content.decode()
    without = make_call_group(operator, 1)
    assert "callback-title" not in client.get(f"/call-groups/{without.pk}/calls/1/").content.decode()


def test_the_call_group_says_how_many_failed(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    group = failed(operator, 3)
    client = client_for(operator)

    def shown() -> str:
        return client.get(f"/call-groups/{group.pk}/").content.decode()

    assert f"?call={group.pk}&amp;state=failed" in shown()
    assert "3 failed" in shown()
    monkeypatch.setattr(call_groups, "CALLBACKS_COUNTED", 2)
    assert "more than 2 failed" in shown()
    group.callbacks.update(state="delivered")
    assert "failed</a>" not in shown()
    assert "Deliveries" in shown()
