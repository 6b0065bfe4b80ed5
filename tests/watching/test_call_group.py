"""The page of one call group."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from calls.models import CallGroup, CallRequest, CarrierState, ContactGroup, Outcome, PlannedCall, RequestState, User
from tests.exports.saved import export, rows_of
from tests.factories import client_for, make_group, make_ivr, make_sound, make_user
from tests.watching.rows import carrier_fails, group_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def asha() -> User:
    return make_user("operator", "asha")


@pytest.fixture
def client(asha: User) -> Client:
    return client_for(asha)


def html_of(client: Client, group: CallGroup, query: str = "") -> str:
    response = client.get(f"/call-groups/{group.pk}/{query}")
    assert response.status_code == 200
    return response.content.decode()


def calls_shown(html: str) -> list[int]:
    """The positions of the calls in the table."""
    return [int(n) for n in re.findall(r'/call-groups/\d+/calls/(\d+)/"', html)]


def words(html: str) -> str:
    """What the page says, without markup."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


# --- Access ---------------------------------------------------------------------------------------------------------


def test_who_may_look(asha: User) -> None:
    group = group_of(asha, {"HELD": 2})
    url = f"/call-groups/{group.pk}/"
    assert Client().get(url).status_code == 302
    for user in (make_user("viewer"), make_user("operator"), make_user("admin", sees_all_calls=False)):
        assert client_for(user).get(url).status_code == 200
    assert client_for(make_user(sees_all_calls=False)).get(url).status_code == 404
    nobody = make_user()
    nobody.groups.clear()
    assert client_for(nobody).get(url).status_code == 403


@pytest.mark.parametrize("pk", [1, 2**63, 10**30])
def test_there_is_no_such_group(client: Client, pk: int) -> None:
    assert client.get(f"/call-groups/{pk}/").status_code == 404


def test_a_viewer_can_neither_steer_nor_call_again(asha: User) -> None:
    group = group_of(asha, {"HELD": 2, "BUSY": 1, "UNCONFIRMED": 1})
    html = html_of(client_for(make_user("viewer")), group)
    for word in ("/pause/", "/cancel/", "/placed/", "/start/"):
        assert word not in html


def test_who_may_not_start_calls_is_not_offered_it(asha: User) -> None:
    group = group_of(asha, {"BUSY": 1})
    assert "/start/" not in html_of(client_for(make_user(may_start_calls=False)), group)


# --- What it says ---------------------------------------------------------------------------------------------------


def test_figures(client: Client, asha: User) -> None:
    group = group_of(asha, {"COMPLETED": 6, "BUSY": 4, "INPROGRESS": 5, "HELD": 10}, campaign="Reminder")
    said = words(html_of(client, group))
    assert "Done 10 of 25 calls" in said
    assert "Held 10 can be paused or cancelled" in said
    assert "Handed over 15" in said
    assert "ASR 60%" in said
    assert "ACD 0:30" in said
    assert "Completed 6 24%" in said
    assert "started by asha" in said
    assert "Expected to end about" in said


def test_how_stale_the_news_is(client: Client, asha: User) -> None:
    group = group_of(asha, {"INPROGRESS": 1})
    CarrierState.objects.create(name="sandbox", answered_at=timezone.now())
    assert "The carrier last answered" in words(html_of(client, group))
    carrier_fails()
    assert "The carrier refused the connection." in words(html_of(client, group))
    group = group_of(asha, {"HELD": 1}, state="paused", state_by=asha)
    assert "The carrier last answered" not in words(html_of(client, group))


def test_all_options(client: Client, asha: User) -> None:
    sound, later = make_sound(77, "Chime"), timezone.now() + timedelta(hours=1)
    called = make_group("Parents", 1)
    group = group_of(
        asha, {"HELD": 2}, campaign="Fees", play=sound.reference, message="Hello there", retries=2, newgroup=False,
        schedule_time=later, due_at=later, delay=30, meta={"ticket": "अ42"}, callback="https://example.com/?id={obdid}",
    )  # fmt: skip
    group.contact_groups.add(called)
    said = words(html_of(client, group))
    for text in (
        "Chime 77.sound",
        "“Hello there”",
        "Parents",
        "Fees",
        "Retries 2",
        "Delay 30 s",
        "The portal: calls stay held",
        "{&quot;ticket&quot;: &quot;अ42&quot;}",
        "https://example.com/?id={obdid}",
        "similar requests of the day",
    ):
        assert text in said
    assert f'href="/sounds/{sound.number}/"' in html_of(client, group)


def test_what_one_may_not_see_is_named_but_not_linked(asha: User) -> None:
    ivr, called = make_ivr(88, "Survey"), make_group("Parents", 1)
    group = group_of(asha, {"HELD": 2}, play=ivr.reference)
    group.contact_groups.add(called)
    ravi = make_user(uses_all_ivrs=False, uses_all_contact_groups=False)
    html = html_of(client_for(ravi), group)
    assert "88.ivr" in html
    assert "Parents" in html
    assert "/ivrs/88/" not in html
    assert f"/contact-groups/{called.pk}/" not in html
    html = html_of(client_for(asha), group)
    assert "/ivrs/88/" in html
    assert f"/contact-groups/{called.pk}/" in html


def test_contact_group_deleted_since(client: Client, asha: User) -> None:
    group = group_of(asha, {"COMPLETED": 1})
    group.contact_groups.add(make_group("Parents", 1))
    ContactGroup.objects.all().delete()
    assert html_of(client, group)


def test_lineage(client: Client, asha: User) -> None:
    parent = group_of(asha, {"BUSY": 3})
    child = group_of(asha, {"COMPLETED": 3}, parent=parent)
    assert f"/call-groups/{child.pk}/" in html_of(client, parent)
    assert f"/call-groups/{parent.pk}/" in html_of(client, child)


def test_lineage_that_one_may_not_see(asha: User) -> None:
    ravi = make_user(sees_all_calls=False)
    parent = group_of(asha, {"BUSY": 3})
    child = group_of(ravi, {"COMPLETED": 3}, parent=parent)
    assert f"/call-groups/{parent.pk}/" not in html_of(client_for(ravi), child)


def test_refused_batches_say_why(client: Client, asha: User) -> None:
    group = group_of(asha, {"REJECTED": 3})
    group.batches.update(state="rejected", answer="There is no sound 9.sound.")
    said = words(html_of(client, group))
    assert "The carrier refused calls 1 to 3" in said
    assert "There is no sound 9.sound." in said


def test_unconfirmed_batches_say_what_is_known(client: Client, asha: User) -> None:
    group = group_of(asha, {"UNCONFIRMED": 201})
    html = html_of(client, group)
    said = words(html)
    assert "Calls 1 to 200" in said
    assert "Call 201 " in said
    assert "The carrier did not answer within 30 seconds." in said
    for batch in group.batches.all():
        assert f"/call-groups/{group.pk}/batches/{batch.pk}/placed/" in html
        assert f"/call-groups/{group.pk}/batches/{batch.pk}/not-placed/" in html


def test_a_group_of_the_carriers_own(client: Client, asha: User) -> None:
    group = group_of(asha, {}, carrier_group="vips")
    said = words(html_of(client, group))
    assert "the carrier's group vips" in said
    assert "The carrier picks the numbers" in said


@pytest.mark.parametrize(
    ("statuses", "columns", "buttons"),
    [
        ({"HELD": 2, "QUEUED": 2}, {}, {"pause", "cancel"}),
        ({"HELD": 2}, {"state": "paused"}, {"resume", "cancel"}),
        ({"QUEUED": 2}, {}, set()),
        ({"QUEUED": 2}, {"state": "paused"}, {"resume"}),
        ({"CANCELLED": 2, "QUEUED": 1}, {"state": "cancelled"}, set()),
        ({"COMPLETED": 2}, {}, set()),
    ],
)
def test_only_what_is_possible_is_offered(
    client: Client, asha: User, statuses: dict[str, int], columns: dict[str, Any], buttons: set[str]
) -> None:
    html = html_of(client, group_of(asha, statuses, **columns))
    assert set(re.findall(r"/(pause|resume|cancel)/\"", html)) == buttons


@pytest.mark.parametrize(
    ("state", "buttons"),
    [("pending", {"pause", "cancel"}), ("unconfirmed", {"pause", "cancel"}), ("accepted", set())],
)
def test_the_request_for_a_group_of_the_carriers_own_is_held_until_it_is_made(
    client: Client, asha: User, state: str, buttons: set[str]
) -> None:
    group = group_of(asha, {}, carrier_group="vips", schedule_time=timezone.now() + timedelta(hours=1), waits="carrier")
    group.batches.create(first=1, last=0, due_at=group.due_at, sent_at=group.due_at, state=state)
    html = html_of(client, group)
    assert set(re.findall(r"/(pause|resume|cancel)/\"", html)) == buttons
    assert ("it was asked to call its group" in words(html)) == (state == "accepted")


# --- Its calls ------------------------------------------------------------------------------------------------------


def test_filter_by_status(client: Client, asha: User) -> None:
    group = group_of(asha, {"COMPLETED": 2, "BUSY": 2, "HELD": 1})
    assert calls_shown(html_of(client, group)) == [1, 2, 3, 4, 5]
    assert calls_shown(html_of(client, group, "?status=BUSY")) == [3, 4]
    html = html_of(client, group, "?status=BUSY&status=HELD")
    assert calls_shown(html) == [3, 4, 5]
    assert "Busy, Held" in words(html)


def test_search_a_number(client: Client, asha: User) -> None:
    group = group_of(asha, {"COMPLETED": 12})
    assert calls_shown(html_of(client, group, "?digits=0012")) == [12]
    assert calls_shown(html_of(client, group, "?digits=020 7946 0003")) == [3]
    assert calls_shown(html_of(client, group, "?digits=%2B44 20 7946")) == list(range(1, 13))
    assert "No call matches" in html_of(client, group, "?digits=0099")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?status=LOST", "“LOST” is not a status."),
        ("?digits=abc", "“abc” has no digits"),
        ("?digits=1234567890123456", "16 digits are too many"),
        ("?digits=" + "1" * 41, "at most 40 characters"),
        ("?digits=%00", "Null characters are not allowed"),
        ("?digits=%3Cscript%3E", "“&lt;script&gt;” has no digits"),
    ],
)
def test_a_wrong_filter_is_named_and_kept(client: Client, asha: User, query: str, message: str) -> None:
    html = html_of(client, group_of(asha, {"COMPLETED": 1}), query)
    assert message in html
    assert calls_shown(html) == []
    if "abc" in query:
        assert 'value="abc"' in html


def test_pages_keep_the_filter(client: Client, asha: User) -> None:
    group = group_of(asha, {"BUSY": 1, "COMPLETED": 60})
    response: Any = client.get(f"/call-groups/{group.pk}/?status=COMPLETED")
    html = response.content.decode()
    assert calls_shown(html) == list(range(2, 52))
    older = re.search(r'rel="next" href="([^"]+)"', html)
    assert older
    html = html_of(client, group, older[1].replace("&amp;", "&"))
    assert calls_shown(html) == list(range(52, 62))
    newer = re.search(r'rel="prev" href="([^"]+)"', html)
    assert newer
    assert calls_shown(html_of(client, group, newer[1].replace("&amp;", "&"))) == list(range(2, 52))


def test_export_and_calling_again_carry_the_filter(client: Client, asha: User) -> None:
    group = group_of(asha, {"BUSY": 3, "NOANSWER": 3, "COMPLETED": 3})
    html = html_of(client, group, "?status=BUSY&status=COMPLETED&digits=020 7946 0002")
    assert f'name="of" value="{group.pk}"' in html
    assert 'name="query" value="status=BUSY&amp;status=COMPLETED&amp;digits=020+7946+0002"' in html
    # Of what is shown only those not reached are called again.
    assert f"/start/?again={group.pk}&amp;status=BUSY&amp;digits=02079460002" in html


def test_reached_people_are_not_called_again(client: Client, asha: User) -> None:
    group = group_of(asha, {"COMPLETED": 3, "HELD": 1})
    assert "/start/?again" not in html_of(client, group, "?status=COMPLETED")


# --- What was not called --------------------------------------------------------------------------------------------


@pytest.fixture
def with_dropped(asha: User) -> CallGroup:
    group = group_of(asha, {"COMPLETED": 2})
    request = CallRequest.objects.create(
        owner=asha,
        typed={},
        options={},
        state=RequestState.STARTED,
        call_group=group,
        callable=2,
        invalid=60,
        suppressed=1,
    )
    rows = [
        PlannedCall(request=request, position=i, number=f"=bad{i}", outcome=Outcome.INVALID, reason="has letters")
        for i in range(60)
    ]
    rows.append(
        PlannedCall(
            request=request, position=99, number="+442079460999", outcome=Outcome.SUPPRESSED, reason="Asked by letter."
        )
    )
    PlannedCall.objects.bulk_create(rows)
    return group


def test_what_was_not_called(client: Client, with_dropped: CallGroup) -> None:
    said = words(html_of(client, with_dropped))
    assert "Not a number, or never allowed by the calling rules 60" in said
    assert "On a suppression list 1" in said
    assert "Listed more than once" not in said


def test_each_with_its_reason_in_pages(with_dropped: CallGroup) -> None:
    client = client_for(make_user("viewer"))  # not only for who started it
    url = f"/call-groups/{with_dropped.pk}/dropped/"
    assert "Asked by letter." in client.get(f"{url}suppressed/").content.decode()
    html = client.get(f"{url}invalid/").content.decode()
    assert html.count("has letters") == 50
    older = re.search(r'rel="next" href="([^"]+)"', html)
    assert older
    assert client.get(f"{url}invalid/{older[1]}").content.decode().count("has letters") == 10
    assert "Nothing was left out" in client.get(f"{url}duplicate/").content.decode()
    for word in ("callable", "nonsense"):
        assert client.get(f"{url}{word}/").status_code == 404
        assert export(client, "dropped", with_dropped.pk, f"outcome={word}").status_code == 404


def test_as_a_file(client: Client, with_dropped: CallGroup) -> None:
    headings, *rows = rows_of(export(client, "dropped", with_dropped.pk, "outcome=invalid"))
    assert headings == ["number", "name", "outcome", "reason"]
    assert rows[0] == ["'=bad0", "", "invalid", "has letters"]
    assert len(rows) == 60


def test_not_by_who_may_not_see_the_group(with_dropped: CallGroup) -> None:
    client = client_for(make_user(sees_all_calls=False))
    assert client.get(f"/call-groups/{with_dropped.pk}/dropped/invalid/").status_code == 404
    assert export(client, "dropped", with_dropped.pk, "outcome=invalid").status_code == 404


# --- Cost -----------------------------------------------------------------------------------------------------------


def test_as_many_queries_for_many_calls_as_for_few(
    client: Client, asha: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client.get("/call-groups/")
    for calls in (10, 1_000):
        group = group_of(asha, {"INPROGRESS": calls, "HELD": calls, "UNCONFIRMED": calls, "REJECTED": calls})
        with django_assert_max_num_queries(20):
            html_of(client, group)
        with django_assert_max_num_queries(13):
            client.get(f"/call-groups/{group.pk}/summary/?v=x", headers={"HX-Request": "true"})
        with django_assert_max_num_queries(8):
            client.get(f"/call-groups/{group.pk}/calls/?v=x", headers={"HX-Request": "true"})
