"""The search over all calls, and one call with its timeline."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from calls.dialing.changes import event
from calls.models import IVR, Call, CallGroup, Suppression, User
from tests.factories import client_for, make_ivr, make_user, number
from tests.watching.rows import group_of

pytestmark = pytest.mark.django_db

URL = "/calls/"


@pytest.fixture
def asha() -> User:
    return make_user("operator", "asha")


@pytest.fixture
def client(asha: User) -> Client:
    return client_for(asha)


def found(client: Client, query: str = "") -> list[str]:
    """The OBD IDs that the page shows, in order."""
    response: Any = client.get(f"{URL}{query}")
    assert response.status_code == 200
    return [call.obd_id for call in response.context["page"].rows]


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


# --- The search -----------------------------------------------------------------------------------------------------


def test_anonymous_people_sign_in_first() -> None:
    assert Client().get(URL).status_code == 302


def test_nothing_yet(client: Client) -> None:
    assert "No calls yet" in client.get(URL).content.decode()
    assert "No call matches" in client.get(f"{URL}?digits=1").content.decode()


def test_newest_first(client: Client, asha: User) -> None:
    old = group_of(asha, {"COMPLETED": 2}, created_at=timezone.now() - timedelta(days=1), campaign="Reminder")
    new = group_of(asha, {"BUSY": 1})
    assert found(client) == [f"{new.pk}-1", f"{old.pk}-2", f"{old.pk}-1"]
    html = client.get(URL).content.decode()
    assert "+44 20 7946 0001" in html
    assert "Reminder" in html


def test_by_number(client: Client, asha: User) -> None:
    group = group_of(asha, {"COMPLETED": 3})
    for typed in ("0002", number(2), "%2B44 20 7946 0002", "020 7946 0002"):
        assert found(client, f"?digits={typed.replace('+', '%2B')}") == [f"{group.pk}-2"]


def test_by_several_statuses(client: Client, asha: User) -> None:
    group = group_of(asha, {"COMPLETED": 1, "BUSY": 1, "HELD": 1})
    assert found(client, "?status=BUSY") == [f"{group.pk}-2"]
    assert found(client, "?status=BUSY&status=HELD") == [f"{group.pk}-3", f"{group.pk}-2"]


def test_by_campaign(client: Client, asha: User) -> None:
    one, other = group_of(asha, {"BUSY": 2}, campaign="Diwali"), group_of(asha, {"BUSY": 1}, campaign="Holi")
    again = group_of(asha, {"BUSY": 1}, campaign="Diwali 2")
    assert found(client, "?campaign=diw") == [f"{again.pk}-1", f"{one.pk}-2", f"{one.pk}-1"]
    assert found(client, "?campaign=holi&digits=0001") == [f"{other.pk}-1"]


def test_by_local_day(client: Client, asha: User, settings: Settings) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"
    group_of(asha, {"BUSY": 1}, created_at=datetime(2026, 11, 21, 18, 29, tzinfo=UTC))
    on_the_day = group_of(asha, {"BUSY": 1}, created_at=datetime(2026, 11, 22, 18, 29, tzinfo=UTC))
    group_of(asha, {"BUSY": 1}, created_at=datetime(2026, 11, 22, 18, 30, tzinfo=UTC))
    assert found(client, "?since=2026-11-22&until=2026-11-22") == [f"{on_the_day.pk}-1"]


@pytest.mark.parametrize("filtered", ["", "campaign=Daily", "status=BUSY", "status=BUSY&status=COMPLETED"])
def test_pages_there_and_back(client: Client, asha: User, filtered: str) -> None:
    one, two = group_of(asha, {"BUSY": 40}, campaign="Daily"), group_of(asha, {"BUSY": 40}, campaign="Daily 2")
    newest_first = [f"{two.pk}-{n}" for n in range(40, 0, -1)] + [f"{one.pk}-{n}" for n in range(40, 0, -1)]
    first: Any = client.get(f"{URL}?{filtered}")
    assert found(client, f"?{filtered}") == newest_first[:50]
    older = first.context["page"].next
    assert found(client, f"?{filtered}&after={older}") == newest_first[50:]
    second: Any = client.get(f"{URL}?{filtered}&after={older}")
    assert found(client, f"?{filtered}&before={second.context['page'].previous}") == newest_first[:50]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?digits=abc", "“abc” has no digits"),
        ("?digits=1234567890123456", "16 digits are too many"),
        ("?status=FOO", "“FOO” is not a status."),
        ("?since=1/2/2026", "“1/2/2026” is not a date like 2026-03-14."),
        ("?until=tomorrow", "“tomorrow” is not a date like 2026-03-14."),
        ("?since=2026-11-22&until=2026-11-21", "2026-11-21 is before 2026-11-22, the first day."),
        ("?campaign=" + "x" * 101, "at most 100 characters"),
        ("?campaign=%00", "Null characters are not allowed"),
    ],
)
def test_a_wrong_search_is_named_and_kept(client: Client, asha: User, query: str, message: str) -> None:
    group_of(asha, {"BUSY": 1})
    html = client.get(f"{URL}{query}&campaign=Kept" if "campaign" not in query else f"{URL}{query}").content.decode()
    assert message in html
    assert found(client, query) == []
    if "campaign" not in query:
        assert 'value="Kept"' in html
    if "tomorrow" in query:
        # A date field would show nothing.
        assert re.search(r'type="text"[^>]* value="tomorrow"', html)


@pytest.mark.parametrize("query", ["?after=x", "?after=W10", "?after=WyJ4IiwgMV0", "?before=", "?digits=%ff", "?v=x"])
def test_odd_addresses_do_no_harm(client: Client, asha: User, query: str) -> None:
    group_of(asha, {"BUSY": 1})
    assert client.get(f"{URL}{query}").status_code == 200


def test_only_calls_that_one_may_see(asha: User) -> None:
    ravi = make_user(sees_all_calls=False)
    hers, his = group_of(asha, {"BUSY": 1}, campaign="Same"), group_of(ravi, {"BUSY": 1}, campaign="Same")
    for query in ("", "?campaign=Same", f"?digits={number(1)[1:]}"):
        assert found(client_for(ravi), query) == [f"{his.pk}-1"]
        assert set(found(client_for(make_user("viewer")), query)) == {f"{his.pk}-1", f"{hers.pk}-1"}


def test_refreshes_itself_while_a_shown_call_is_open(client: Client, asha: User) -> None:
    group_of(asha, {"BUSY": 2})
    assert "hx-trigger" not in client.get(URL).content.decode()
    group_of(asha, {"QUEUED": 1})
    assert 'hx-trigger="every 5s"' in client.get(URL).content.decode()
    assert "hx-trigger" not in client.get(f"{URL}?status=BUSY").content.decode()


def test_as_many_queries_for_many_calls_as_for_few(
    client: Client, asha: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client.get(URL)
    for calls in (10, 1_000):
        group_of(asha, {"INPROGRESS": calls}, campaign="Many")
        for query in ("", "?campaign=Many&status=INPROGRESS&digits=0001"):
            with django_assert_max_num_queries(10):
                client.get(f"{URL}{query}")


# --- One call -------------------------------------------------------------------------------------------------------


def test_who_may_look(asha: User) -> None:
    group = group_of(asha, {"BUSY": 1})
    url = f"/call-groups/{group.pk}/calls/1/"
    assert Client().get(url).status_code == 302
    for user in (make_user("viewer"), make_user("operator"), make_user("admin", sees_all_calls=False)):
        assert client_for(user).get(url).status_code == 200
    assert client_for(make_user(sees_all_calls=False)).get(url).status_code == 404
    assert client_for(asha).get(f"/call-groups/{group.pk}/calls/2/").status_code == 404
    assert client_for(asha).get(f"/call-groups/{group.pk}/calls/{2**70}/").status_code == 404


def test_timeline(client: Client, asha: User, settings: Settings) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"
    at = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
    group = group_of(asha, {"NOANSWER": 1}, handed_over_at=at)
    Call.objects.filter(call_group=group).update(
        word="NOANSWER-LEG1",
        timeline=[
            event(at + timedelta(seconds=1), "SENDING", "portal"),
            event(at + timedelta(seconds=2), "UNCONFIRMED", "portal", note="The connection broke."),
            event(at + timedelta(seconds=9), "QUEUED", "asha", note="Settled: it was placed."),
            event(at + timedelta(seconds=30), "INPROGRESS", "carrier", "TELEPORTING"),
            event(at + timedelta(seconds=40), "NOANSWER", "carrier", "NOANSWER-LEG1"),
        ],
    )
    html = client.get(f"/call-groups/{group.pk}/calls/1/").content.decode()
    said = words(html.split('class="timeline"')[1].split("</ol>")[0].partition(">")[2])
    assert said == (
        "Held 22 Nov 14:00:00 asha Started; the call is held by the portal. "
        "Sending 22 Nov 14:00:01 portal "
        "Unconfirmed 22 Nov 14:00:02 portal The connection broke. "
        "Queued 22 Nov 14:00:09 asha Settled: it was placed. "
        "In progress 22 Nov 14:00:30 carrier The carrier said TELEPORTING . "
        "No answer 22 Nov 14:00:40 carrier The carrier said NOANSWER-LEG1 ."
    )


def test_details(client: Client, asha: User) -> None:
    ivr = make_ivr(55, "Survey", keys={"1": "Confirms", "2": "Declines"})
    group = group_of(asha, {"COMPLETED": 1}, play=ivr.reference, campaign="Survey", retries=2)
    Call.objects.update(name="José", digits="17", custom="ref-1", carrier_id="C-9", retries=1)
    said = words(client.get(f"/call-groups/{group.pk}/calls/1/").content.decode())
    for text in ("+442079460001", "José", "Survey", "55.ivr", "Talked 0:30", "1 of 2", "1 Confirms 7", "ref-1", "C-9",
                 "calls 1 to 1 Accepted", "Somebody answered."):  # fmt: skip
        assert text in said


def test_meanings_only_of_ivrs_that_one_may_see(asha: User) -> None:
    ivr = make_ivr(55, "Survey", keys={"1": "Confirms"})
    group = group_of(asha, {"COMPLETED": 1}, play=ivr.reference)
    Call.objects.update(digits="1")
    html = client_for(make_user(uses_all_ivrs=False)).get(f"/call-groups/{group.pk}/calls/1/").content.decode()
    assert "Confirms" not in html
    assert "<kbd>1</kbd>" in html


def test_who_opted_out_or_is_dnd(client: Client, asha: User) -> None:
    make_ivr(4242, opt_out_key="9")
    group = group_of(asha, {"QUEUED": 4}, play="4242.ivr")
    for n, change in enumerate([{"digits": "19"}, {"status": "DND"}, {"digits": "1"}], 1):
        Call.objects.filter(call_group=group, n=n).update(**change)
    pages = [client.get(f"/call-groups/{group.pk}/calls/{n}/").text for n in (1, 2, 3, 4)]
    assert "This person opted out" in pages[0]
    assert "“Opted out by key press”" in pages[0]
    row = Suppression.objects.get(number=number(1))
    assert f'href="/suppression/{row.list_id}/{row.pk}/"' in pages[0]
    assert number(1) not in client.get(f"/suppression/{row.list_id}/{row.pk}/")["Location"]
    assert "The carrier reports this number as DND" in pages[1]
    assert "“DND at the carrier”" in pages[1]
    for page in pages[2:]:
        assert "on the suppression list" not in page
    IVR.objects.all().delete()
    CallGroup.objects.update(opt_out_keys="9")  # as it was at the start
    assert "This person opted out" in client.get(f"/call-groups/{group.pk}/calls/1/").text
    Suppression.objects.all().delete()  # taken off again
    assert "opted out" not in client.get(f"/call-groups/{group.pk}/calls/1/").text


def test_live_until_it_is_final(client: Client, asha: User) -> None:
    group = group_of(asha, {"INPROGRESS": 1, "BUSY": 1})
    html = client.get(f"/call-groups/{group.pk}/calls/1/").content.decode()
    assert 'hx-trigger="every 2s"' in html
    assert "Last confirmed by the carrier" in html
    assert "hx-trigger" not in client.get(f"/call-groups/{group.pk}/calls/2/").content.decode()


AT = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "asked", "told", "at"),
    [
        ("COMPLETED", 60, 40, "14:01:00"),
        ("COMPLETED", 20, 40, "14:00:40"),
        ("COMPLETED", None, 40, "14:00:40"),
        ("INPROGRESS", 20, None, "14:00:20"),
        ("INPROGRESS", None, None, ""),
        ("HELD", 20, None, ""),
    ],
)
def test_when_the_status_was_last_confirmed(
    asha: User, status: str, asked: int | None, told: int | None, at: str
) -> None:
    """By the carrier's last answer about the batch, or by what it last told of the call, whichever came later."""
    group = group_of(asha, {status: 1}, handed_over_at=AT)
    group.batches.update(checked_at=None if asked is None else AT + timedelta(seconds=asked))
    learnt = [event(AT, "SENDING", "portal")]
    learnt += [] if told is None else [event(AT + timedelta(seconds=told), status, "carrier", status)]
    Call.objects.filter(call_group=group).update(timeline=[*learnt, event(AT + timedelta(hours=9), status, "asha")])
    said = words(client_for(asha).get(f"/call-groups/{group.pk}/calls/1/").content.decode())
    if at:
        assert f"Last confirmed by the carrier 22 Nov 2026, {at} IST ." in said
        assert f"Last confirmed 22 Nov 2026, {at} IST" in said
    else:
        assert "Last confirmed by the carrier" not in said
        assert ("The carrier has confirmed nothing yet." in said) == (status != "HELD")
        assert said.rstrip().endswith("Last confirmed \N{EN DASH}")


def test_a_call_that_expired_says_so(client: Client, asha: User) -> None:
    group = group_of(asha, {"EXPIRED": 2})
    note = "No final status after 6 hours."
    learnt = [event(AT, "QUEUED", "carrier", "QUEUED"), event(AT, "EXPIRED", "portal", note=note)]
    Call.objects.filter(call_group=group, n=1).update(timeline=learnt)
    said = words(client.get(f"/call-groups/{group.pk}/calls/1/").content.decode())
    assert f"The carrier never said how this call ended {note} So the portal stopped asking" in said
    # It was the carrier who said that the other one expired.
    assert "never said" not in client.get(f"/call-groups/{group.pk}/calls/2/").content.decode()


def test_the_batch_is_the_one_that_holds_the_call(client: Client, asha: User) -> None:
    group = group_of(asha, {"COMPLETED": 201})
    said = words(client.get(f"/call-groups/{group.pk}/calls/201/").content.decode())
    assert "calls 201 to 201" in said


def test_a_call_of_a_group_that_the_carrier_holds(client: Client, asha: User) -> None:
    group = group_of(asha, {"QUEUED": 1}, carrier_group="vips")
    group.batches.update(last=0)
    said = words(client.get(f"/call-groups/{group.pk}/calls/1/").content.decode())
    assert "The carrier named this call of its group." in said
    assert "the carrier's group Accepted" in said
