"""The page of what needs attention, and its number in the navigation."""

import re
from datetime import timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from calls.dialing import attention
from calls.dialing.situation import situations
from calls.forms.filters import in_state
from calls.models import (
    Batch,
    BatchState,
    Call,
    CallGroup,
    CarrierBreaker,
    CarrierState,
    GroupState,
    SuppressionList,
    User,
)
from tests.factories import client_for, make_user
from tests.watching.rows import group_of

pytestmark = pytest.mark.django_db

URL = "/attention/"
KEY_REFUSED = "The carrier refuses our key or account (401): Invalid API key"


@pytest.fixture
def asha() -> User:
    return make_user("operator", "asha")


@pytest.fixture
def client(asha: User) -> Client:
    return client_for(asha)


def html_of(client: Client, query: str = "") -> str:
    response = client.get(f"{URL}{query}")
    assert response.status_code == 200
    return response.content.decode()


def words(html: str) -> str:
    """What the page says, without markup."""
    main = re.sub(r"<nav.*?</nav>", " ", html, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", main).split())


def said(client: Client, query: str = "") -> str:
    return words(html_of(client, query))


def counted(client: Client) -> str:
    """The number beside the link in the navigation."""
    found = re.search(r'href="/attention/".*?</a>', client.get("/calls/").content.decode(), re.DOTALL)
    assert found
    return re.sub(r"<[^>]+>", "", found[0].partition(">")[2]).replace("Needs attention", "").strip()


def refused_group(owner: User, **columns: Any) -> CallGroup:
    return group_of(owner, {"HELD": 4}, state="paused", state_at=timezone.now(), state_reason=KEY_REFUSED, **columns)


# --- What waits -----------------------------------------------------------------------------------------------------


def test_nothing_waits(client: Client, asha: User) -> None:
    group_of(asha, {"HELD": 2, "COMPLETED": 2})
    group_of(asha, {"HELD": 2}, state="paused", state_by=asha)
    assert "Nothing needs attention" in said(client)
    assert counted(client) == ""


def test_an_unconfirmed_batch_with_all_that_is_known(client: Client, asha: User) -> None:
    group = group_of(asha, {"UNCONFIRMED": 2, "COMPLETED": 1}, campaign="Fees")
    batch = group.batches.get()
    html = html_of(client)
    text = words(html)
    assert f"Call group {group.pk} Fees" in text
    assert "2 calls: 1 to 2 of 3, 1.sound" in text
    assert "What came back: The carrier did not answer within 30 seconds." in text
    assert "and named none." in text
    assert "The request is not repeated: nothing says that the carrier would place it only once." in text
    assert "No callback is awaited" in text
    for end in ("placed", "not-placed"):
        assert f'href="/call-groups/{group.pk}/batches/{batch.pk}/{end}/?next={URL}"' in html
    assert "Nothing needs attention" not in text


def test_how_often_the_carrier_was_asked(client: Client, asha: User) -> None:
    batch = group_of(asha, {"UNCONFIRMED": 2}).batches
    batch.update(checked_at=None)
    assert "The carrier has not been asked about them yet." in said(client)
    batch.update(checks=12)
    assert "has tried 12 times to learn more; the carrier has told nothing about them." in said(client)


def test_a_request_that_is_repeated(client: Client, asha: User) -> None:
    group = group_of(asha, {"UNCONFIRMED": 1}, carrier="obd")
    group.batches.update(account="ours")
    CarrierState.objects.create(name="obd", idempotent_account="ours", idempotent_seconds=7200)
    assert "the very same request is made again until" in said(client)
    CallGroup.objects.filter(pk=group.pk).update(state=GroupState.CANCELLED)
    assert "The request is not repeated" in said(client)
    CallGroup.objects.filter(pk=group.pk).update(state=GroupState.RUNNING)
    CarrierState.objects.update(idempotent_account="of another key")
    assert "The request is not repeated" in said(client)
    CarrierState.objects.update(idempotent_account="ours", idempotent_seconds=300)
    assert "The request is not repeated" in said(client)


def test_a_callback_that_is_awaited(client: Client, asha: User, settings: Settings) -> None:
    settings.CARRIER_CALLBACKS = True
    group = group_of(asha, {"UNCONFIRMED": 1}, carrier="obd")
    assert "The carrier may still call back about it by itself." in said(client)
    CallGroup.objects.filter(pk=group.pk).update(carrier="sandbox")
    assert "No callback is awaited" in said(client)


def test_a_group_that_the_carrier_holds(client: Client, asha: User) -> None:
    group = group_of(asha, {}, carrier_group="vips", message="Hello there", play="")
    now = timezone.now()
    Batch.objects.create(call_group=group, first=1, last=0, due_at=now, state=BatchState.UNCONFIRMED, sent_at=now)
    text = said(client)
    assert "The carrier's group vips, “Hello there”" in text
    assert "What came back: nothing" in text


def test_a_call_group_that_the_portal_paused(client: Client, asha: User) -> None:
    group = refused_group(asha, campaign="Fees")
    text = said(client)
    assert f"Call group {group.pk} Fees Paused by the portal" in text
    assert "Invalid API key. 4 calls are held until an admin has mended that" in text


def never_allowed(owner: User, **columns: Any) -> CallGroup:
    """A call group with two batches, of which the calling rules never allow the second one."""
    group = group_of(owner, {"INPROGRESS": 1, "HELD": 201}, **columns)
    later = timezone.now() + timedelta(days=14)
    group.batches.filter(first=201).update(kept_by="never", due_at=later, place="GB Europe/London")
    return group


def test_calls_that_the_calling_rules_never_allow(client: Client, asha: User) -> None:
    group = never_allowed(asha, campaign="Fees")
    text = said(client)
    assert f"Call group {group.pk} Fees The calling rules allow no call in Europe/London within 14 days" in text
    assert (
        "those calls are held. Change the rules, override them for this call group, or cancel. No worker is running"
        in text
    )
    assert counted(client) == "1"
    (seen,) = situations([group], timezone.now())
    assert (seen.needs_attention, seen.expected_end) == (True, None)
    group.batches.filter(first=1).update(state="accepted")
    assert "within 14 days: 201 calls are held. Change the rules" in said(client)
    for page in ("/", "/call-groups/?state=attention"):
        assert f"/call-groups/{group.pk}/" in client.get(page).content.decode()
    for over in ({"state": "paused", "state_by": asha}, {"state": "running", "ended_at": timezone.now()}):
        CallGroup.objects.update(**over)
        assert "Nothing needs attention" in said(client)
        assert counted(client) == ""
        assert not CallGroup.objects.filter(in_state("attention", timezone.now())).exists()
        assert not situations([CallGroup.objects.get()], timezone.now())[0].needs_attention


def test_the_carrier_is_down(client: Client, settings: Settings) -> None:
    now = timezone.now()
    state = CarrierState.objects.create(name="sandbox", failure="The carrier refused the connection.", failed_at=now)
    CarrierBreaker.objects.create(carrier=state, kind="call", failures=9, opened_at=now)
    text = said(client)
    assert "The carrier is down: it has taken no calls since" in text
    assert "Held calls go out by themselves once it answers." in text
    assert "Nothing needs attention" not in text
    assert counted(client) == ""


def test_calls_that_expired_lately(client: Client, asha: User) -> None:
    group = group_of(asha, {"EXPIRED": 2})
    html = html_of(client)
    assert "Of 2 calls of the last days no final status ever came" in words(html)
    link = re.search(r'href="(/calls/\?status=EXPIRED[^"]+)"', html)
    assert link
    listed = client.get(link[1].replace("&amp;", "&")).content.decode()
    assert f"/call-groups/{group.pk}/calls/2/" in listed
    Call.objects.update(ended_at=timezone.now() - timedelta(days=5))
    assert "Expired lately" not in said(client)


def test_what_was_started_long_ago_can_expire_today(client: Client, asha: User) -> None:
    group = group_of(asha, {"EXPIRED": 1, "COMPLETED": 1}, handed_over_at=timezone.now() - timedelta(days=60))
    group.calls.update(ended_at=timezone.now())
    html = html_of(client)
    assert "Of 1 call" in words(html)
    link = re.search(r'href="(/calls/\?status=EXPIRED[^"]*)"', html)
    assert link
    assert f"/call-groups/{group.pk}/calls/1/" in client.get(link[1].replace("&amp;", "&")).text


def test_more_than_fit_on_a_page(client: Client, asha: User) -> None:
    group = group_of(asha, {"UNCONFIRMED": 200 * 29 + 1})
    html = html_of(client)
    assert html.count("It was placed") == 25
    older = re.search(r'rel="next" href="([^"]+)"', html)
    assert older
    html = html_of(client, older[1])
    assert html.count("It was placed") == 5
    assert group.batches.filter(state=BatchState.UNCONFIRMED).count() == 30
    for _ in range(12):
        refused_group(asha)
        never_allowed(asha)
    assert html_of(client).count("All call groups that need attention") == 2


# --- Who sees and settles what ----------------------------------------------------------------------------------------


def test_everybody_sees_what_they_may_see(asha: User) -> None:
    group_of(asha, {"UNCONFIRMED": 2, "EXPIRED": 1})
    refused_group(asha)
    stranger = client_for(make_user(sees_all_calls=False))
    assert "Nothing needs attention" in said(stranger)
    assert counted(stranger) == ""
    viewer = client_for(make_user("viewer"))
    html = html_of(viewer)
    assert "What came back" in html
    assert "1 call of the last days" in html
    assert counted(viewer) == "2"
    for word in ("It was placed", ">Resume", "/resume/"):
        assert word not in html
    nobody = make_user()
    nobody.groups.clear()
    assert client_for(nobody).get(URL).status_code == 403


def test_it_was_placed_and_back(client: Client, asha: User) -> None:
    group = group_of(asha, {"UNCONFIRMED": 2})
    batch = group.batches.get()
    address = f"/call-groups/{group.pk}/batches/{batch.pk}/placed/?next={URL}"
    assert f'href="{URL}">I don\'t know' in client.get(address).content.decode()
    response = client.post(address, {"carrier_group": "C-17"}, follow=True)
    assert response.redirect_chain == [(URL, 302)]
    text = words(response.content.decode())
    assert "these calls are followed from now on" in text
    assert "Nothing needs attention" in text
    batch.refresh_from_db()
    assert (batch.state, batch.carrier_group) == (BatchState.ACCEPTED, "C-17")
    assert "placed" in str(LogEntry.objects.get_for_object(group).latest("pk").changes)


def test_it_was_not_placed_and_back(client: Client, asha: User) -> None:
    batch = group_of(asha, {"UNCONFIRMED": 2}).batches.get()
    response = client.post(f"/call-groups/{batch.call_group_id}/batches/{batch.pk}/not-placed/?next={URL}")
    assert response["Location"] == URL
    batch.refresh_from_db()
    assert batch.state == BatchState.PENDING


def test_resume_and_back(client: Client, asha: User) -> None:
    group = refused_group(asha)
    form = re.search(r'action="(/call-groups/\d+/resume/\?next=[^"]+)"', html_of(client))
    assert form
    assert client.post(form[1])["Location"] == URL
    group.refresh_from_db()
    assert group.state == GroupState.RUNNING


@pytest.mark.parametrize(
    "page", ["https://example.com/", "//example.com/", "javascript:alert(1)", "\\\\example.com", ""]
)
def test_nobody_is_led_elsewhere(client: Client, asha: User, page: str) -> None:
    batch = group_of(asha, {"UNCONFIRMED": 2}).batches.get()
    own = f"/call-groups/{batch.call_group_id}/"
    address = f"{own}batches/{batch.pk}/placed/?next={page}"
    assert f'href="{own}">I don\'t know' in client.get(address).content.decode()
    assert client.post(address)["Location"] == own


def test_what_settled_a_batch_stays_on_the_page_of_the_call_group_and_of_the_call(client: Client, asha: User) -> None:
    group = group_of(asha, {"UNCONFIRMED": 2})
    own = f"/call-groups/{group.pk}/"
    assert "What settled unconfirmed calls" not in client.get(own).content.decode()
    client.post(f"{own}batches/{group.batches.get().pk}/placed/")
    text = words(client.get(own).content.decode())
    assert (
        "What settled unconfirmed calls Calls 1 to 2 Accepted Settled by asha: it was placed. "
        "What came back: The carrier did not answer within 30 seconds." in text
    )
    assert "Settled by asha: it was placed." in client.get(f"{own}calls/1/").content.decode()


# --- The number, and what it costs ------------------------------------------------------------------------------------


def test_the_number_in_the_navigation(client: Client, asha: User, monkeypatch: pytest.MonkeyPatch) -> None:
    group_of(asha, {"UNCONFIRMED": 201})
    refused_group(asha)
    assert counted(client) == "3"
    monkeypatch.setattr(attention, "COUNTED", 2)
    monkeypatch.setattr("calls.templatetags.portal.COUNTED", 2)
    assert counted(client) == "2+"
    assert attention.waiting(asha) == 3


def test_an_ended_call_group_waits_for_nobody(asha: User) -> None:
    refused_group(asha, ended_at=timezone.now())
    CallGroup.objects.update(ended_at=timezone.now())
    assert attention.waiting(asha) == 0


def test_as_many_queries_for_many_as_for_few(
    client: Client, asha: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client.get(URL)
    for number in (1, 8):
        for _ in range(number):
            group_of(asha, {"UNCONFIRMED": 201, "EXPIRED": 5})
            refused_group(asha)
            never_allowed(asha)
        with django_assert_max_num_queries(16):
            client.get(URL)


def test_a_refresh_that_would_show_the_same_has_no_body(client: Client, asha: User) -> None:
    group = refused_group(asha)
    address = re.search(r'hx-get="(/attention/\?v=\w+)"', html_of(client))
    assert address
    assert client.get(address[1], headers={"HX-Request": "true"}).status_code == 204
    CallGroup.objects.filter(pk=group.pk).update(state=GroupState.RUNNING)
    refreshed = client.get(address[1], headers={"HX-Request": "true"})
    assert "Nothing needs attention" in refreshed.content.decode()
    assert "<html" not in refreshed.content.decode()


# --- Suppression lists --------------------------------------------------------------------------------------------


def make_list(name: str, **columns: Any) -> SuppressionList:
    days = {each: columns.pop(each) for each in ("ends_on", "scrubbed_on") if columns.get(each) is not None}
    today = timezone.localdate()
    return SuppressionList.objects.create(
        name=name, **columns, **{each: today + timedelta(days=number) for each, number in days.items()}
    )


def test_suppression_lists_that_end_or_are_old() -> None:
    web = client_for(make_user("admin"))
    make_list("Ends soon", ends_on=7)
    make_list("Ended", ends_on=-2, category="register")
    make_list("Old register", category="register", scrubbed_on=-32)
    make_list("Register without a date", category="register", ends_on=90)
    make_list("Ends later", ends_on=8)
    make_list("Ended long ago", ends_on=-8, category="register")
    make_list("Fresh register", category="register", scrubbed_on=-31)
    make_list("Old letters", category="asked", scrubbed_on=-900)
    page = said(web)
    titles = re.findall(r'href="/suppression/[0-9]+/">([^<]+)<', html_of(web))
    assert titles == ["Ended", "Ends soon", "Register without a date", "Old register"]
    assert page.count("its numbers are called again") == 3
    assert "compared with its source 32 days ago" in page
    assert page.count("Nobody has said when it was last compared") == 1
    assert counted(web) == "4"


def test_suppression_lists_are_for_those_who_can_mend_them(client: Client) -> None:
    make_list("Ends soon", ends_on=1)
    assert "Ends soon" not in said(client)
    assert counted(client) == ""


def test_many_suppression_lists_cost_as_many_queries_as_few(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    web = client_for(make_user("admin"))
    html_of(web)
    with CaptureQueriesContext(connection) as few:
        html_of(web)
    for number in range(30):
        make_list(f"List {number}", ends_on=1)
    with django_assert_num_queries(len(few)):
        page = html_of(web)
    assert page.count("List ") == 20
