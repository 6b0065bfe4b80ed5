"""Pause, resume, cancel what is held, settle what is unconfirmed: in the browser."""

import re
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.test import Client

from calls.contacts.numbers import pretty
from calls.models import Batch, BatchState, CallGroup, GroupState, User
from tests.contacts.pages import text
from tests.factories import client_for, make_user, number
from tests.watching.rows import group_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def asha() -> User:
    return make_user("operator", "asha")


@pytest.fixture
def client(asha: User) -> Client:
    return client_for(asha)


@pytest.fixture
def group(asha: User) -> CallGroup:
    return group_of(asha, {"COMPLETED": 3, "INPROGRESS": 2, "HELD": 5})


def does(client: Client, group: CallGroup, end: str, data: dict[str, str] | None = None) -> str:
    """Post to that end of the group's address; the text of the page that one is led to."""
    response = client.post(f"/call-groups/{group.pk}/{end}", data, follow=True)
    assert response.redirect_chain == [(f"/call-groups/{group.pk}/", 302)]
    group.refresh_from_db()
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def number_of(n: int) -> str:
    """The number of the call at that place, as pages show it."""
    return pretty(number(n))


def tally(group: CallGroup) -> dict[str, int]:
    return dict(group.tallies.filter(calls__gt=0).values_list("status", "calls"))


def test_pause_and_resume(client: Client, group: CallGroup, asha: User) -> None:
    said = does(client, group, "pause/")
    assert (group.state, group.state_by) == (GroupState.PAUSED, asha)
    assert "Paused: nothing more is handed over until you resume." in said
    assert "5 calls are held; 2 are with the carrier and go on." in said
    said = does(client, group, "resume/")
    assert group.state == GroupState.RUNNING
    assert "Resumed: held calls go out again." in said


def test_pausing_twice_says_that_it_is_not_possible(client: Client, group: CallGroup) -> None:
    does(client, group, "pause/")
    assert "Only a running call group can be paused." in does(client, group, "pause/")
    does(client, group, "resume/")
    assert "Only a paused call group can be resumed." in does(client, group, "resume/")


def test_cancelling_says_first_what_will_happen(client: Client, group: CallGroup) -> None:
    html = client.get(f"/call-groups/{group.pk}/cancel/").content.decode()
    assert "5 held calls will be cancelled for good." in html
    assert "2 calls that the carrier has can't be taken back" in html
    group.refresh_from_db()
    assert group.state == GroupState.RUNNING


def test_cancel(client: Client, group: CallGroup) -> None:
    said = does(client, group, "cancel/")
    assert group.state == GroupState.CANCELLED
    assert tally(group) == {"COMPLETED": 3, "INPROGRESS": 2, "CANCELLED": 5}
    assert "5 held calls were cancelled; 2 still run." in said
    assert "there is nothing to cancel" in does(client, group, "cancel/")
    assert "has ended or is cancelled already" in client.get(f"/call-groups/{group.pk}/cancel/").content.decode()


@pytest.fixture
def batch(asha: User) -> Batch:
    """An unconfirmed one, of 2 calls."""
    return group_of(asha, {"UNCONFIRMED": 2}).batches.get()


def test_settling_says_first_what_is_known(client: Client, batch: Batch) -> None:
    for word in ("placed", "not-placed"):
        html = client.get(f"/call-groups/{batch.call_group_id}/batches/{batch.pk}/{word}/").content.decode()
        assert "The carrier did not answer within 30 seconds." in html
        assert "+44 20 7946 0001" in html
        assert "and named none." in html
    assert "these phones ring twice" in html
    batch.refresh_from_db()
    assert batch.state == BatchState.UNCONFIRMED


def test_it_was_placed(client: Client, batch: Batch) -> None:
    group = batch.call_group
    said = does(client, group, f"batches/{batch.pk}/placed/", {"carrier_group": "C-17"})
    batch.refresh_from_db()
    assert (batch.state, batch.carrier_group) == (BatchState.ACCEPTED, "C-17")
    assert tally(group) == {"QUEUED": 2}
    assert "these calls are followed from now on" in said


def test_the_carriers_group_may_be_left_out(client: Client, batch: Batch) -> None:
    does(client, batch.call_group, f"batches/{batch.pk}/placed/", {"carrier_group": ""})
    batch.refresh_from_db()
    assert (batch.state, batch.carrier_group) == (BatchState.ACCEPTED, "")


@pytest.mark.parametrize(
    ("typed", "message"), [("x" * 101, "at most 100 characters"), ("a\0b", "Null characters are not allowed")]
)
def test_a_wrong_carrier_group_settles_nothing(client: Client, batch: Batch, typed: str, message: str) -> None:
    url = f"/call-groups/{batch.call_group_id}/batches/{batch.pk}/placed/"
    response = client.post(url, {"carrier_group": typed})
    assert message in response.content.decode()
    batch.refresh_from_db()
    assert batch.state == BatchState.UNCONFIRMED


def test_it_was_not_placed(client: Client, batch: Batch) -> None:
    group = batch.call_group
    said = does(client, group, f"batches/{batch.pk}/not-placed/")
    batch.refresh_from_db()
    assert batch.state == BatchState.PENDING
    assert tally(group) == {"HELD": 2}
    assert "these calls are held again and handed over" in said


def test_settling_twice_says_that_it_is_settled(client: Client, batch: Batch) -> None:
    group = batch.call_group
    does(client, group, f"batches/{batch.pk}/placed/")
    assert "This batch is settled already." in does(client, group, f"batches/{batch.pk}/not-placed/")
    html = client.get(f"/call-groups/{group.pk}/batches/{batch.pk}/placed/").content.decode()
    assert "This is settled already." in html


def test_a_batch_of_another_group(client: Client, group: CallGroup, batch: Batch) -> None:
    assert client.post(f"/call-groups/{group.pk}/batches/{batch.pk}/placed/").status_code == 404


def ends(batch: Batch) -> list[str]:
    return ["pause/", "resume/", "cancel/", f"batches/{batch.pk}/placed/", f"batches/{batch.pk}/not-placed/"]


def test_only_calls_that_were_handed_over_are_in_question(client: Client, asha: User) -> None:
    """One was taken out right before, as it was on a suppression list."""
    group = group_of(asha, {"UNCONFIRMED": 4})
    batch = group.batches.get()
    group.calls.filter(n=1).update(status="DND", handed_over_at=None)
    total = group.total
    for address in (f"/call-groups/{group.pk}/", "/attention/", f"/call-groups/{group.pk}/batches/{batch.pk}/placed/"):
        page = text(client.get(address))
        assert f"2 to {total}" in page, address
        assert f"1 to {total}" not in page, address
    assert number_of(1) not in page
    assert number_of(2) in page
    does(client, group, f"batches/{batch.pk}/not-placed/")
    logged = LogEntry.objects.filter(changes__has_key="settled").get()
    assert logged.changes["settled"][1] == f"{total - 1} of calls 1 to {total}: not placed"


def test_a_group_that_the_carrier_holds_is_settled_by_its_name(client: Client, batch: Batch) -> None:
    group = batch.call_group
    group.calls.all().delete()
    Batch.objects.filter(pk=batch.pk).update(last=0)
    CallGroup.objects.filter(pk=group.pk).update(carrier_group="vips", ended_at=None)
    does(client, group, f"batches/{batch.pk}/not-placed/")
    logged = LogEntry.objects.filter(changes__has_key="settled").get()
    assert logged.changes["settled"][1] == "the carrier's group vips: not placed"


def test_who_may_steer(batch: Batch) -> None:
    group = batch.call_group
    before = tally(group)
    stranger, viewer = make_user(sees_all_calls=False), make_user("viewer")
    for end in ends(batch):
        url = f"/call-groups/{group.pk}/{end}"
        assert Client().post(url).status_code == 302
        assert client_for(viewer).post(url).status_code == 403
        assert client_for(stranger).post(url).status_code == 404
    group.refresh_from_db()
    assert group.state == GroupState.RUNNING
    assert tally(group) == before


def test_an_admin_may_steer_what_others_started(group: CallGroup) -> None:
    does(client_for(make_user("admin", sees_all_calls=False)), group, "pause/")
    assert group.state == GroupState.PAUSED


def test_only_by_post_and_with_the_token(asha: User, batch: Batch) -> None:
    careful = Client(enforce_csrf_checks=True)
    careful.force_login(asha, backend="django.contrib.auth.backends.ModelBackend")
    for end in ends(batch):
        assert careful.post(f"/call-groups/{batch.call_group_id}/{end}").status_code == 403
    for end in ("pause/", "resume/"):
        assert careful.get(f"/call-groups/{batch.call_group_id}/{end}").status_code == 405


def test_the_buttons_of_the_page_work_as_they_are(asha: User, group: CallGroup) -> None:
    careful: Any = Client(enforce_csrf_checks=True)
    careful.force_login(asha, backend="django.contrib.auth.backends.ModelBackend")
    html = careful.get(f"/call-groups/{group.pk}/").content.decode()
    form = re.search(r'action="([^"]+/pause/)">.*?name="csrfmiddlewaretoken" value="(\w+)"', html, re.DOTALL)
    assert form
    assert careful.post(form[1], {"csrfmiddlewaretoken": form[2]}).status_code == 302
    group.refresh_from_db()
    assert group.state == GroupState.PAUSED
