"""IVRs: list, page, form, deletion."""

import pytest
from django.test import Client

from calls.forms.ivrs import field_of
from calls.models import IVR, PHONE_KEYS
from tests.factories import client_for, make_call_group, make_ivr, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> Client:
    return client_for(make_user("admin"))


def test_the_list_shows_what_the_profile_enables() -> None:
    mine = make_ivr(5, "Mine", keys={"1": "Confirms"})
    make_ivr(6, "Other")
    page = client_for(make_user("operator", uses_all_ivrs=False, ivrs=[mine])).get("/ivrs/").text
    assert "Mine" in page
    assert "Confirms" in page
    assert "/start/?play=5.ivr" in page
    assert "Other" not in page


@pytest.mark.parametrize("typed", ["77", "77.ivr", "ivr:77", "survey"])
def test_search_by_name_or_reference(admin: Client, typed: str) -> None:
    make_ivr(77, "Survey")
    make_ivr(78, "Other")
    page = admin.get("/ivrs/", {"q": typed}).text
    assert "Survey" in page
    assert "Other" not in page


def test_the_empty_list_says_what_to_do(admin: Client) -> None:
    assert "Note the reference" in admin.get("/ivrs/").text
    assert "An admin can add IVRs" in client_for(make_user("viewer")).get("/ivrs/").text


def test_the_page_lists_the_keys_as_a_phone_has_them(admin: Client) -> None:
    make_ivr(5, keys={"#": "Ends", "0": "Operator", "1": "Confirms"})
    page = admin.get("/ivrs/5/").text
    assert page.index("Confirms") < page.index("Operator") < page.index("Ends")
    assert "5.ivr" in page


def test_what_the_profile_does_not_enable_is_not_there() -> None:
    make_ivr(7)
    assert client_for(make_user("operator", uses_all_ivrs=False)).get("/ivrs/7/").status_code == 404


def test_add_with_every_key(admin: Client) -> None:
    typed = {field_of(key): f"Meaning of {key}" for key in PHONE_KEYS}
    response = admin.post("/ivrs/new/", {"name": "Survey", "number": "1234.ivr", **typed})
    assert response.headers["Location"] == "/ivrs/1234/"
    ivr = IVR.objects.get()
    assert ivr.keys == {key: f"Meaning of {key}" for key in PHONE_KEYS}
    assert ivr.created_by is not None


def test_without_a_number_the_next_one_is_given(admin: Client) -> None:
    make_ivr(40)
    admin.post("/ivrs/new/", {"name": "Next", "key_1": "  "})
    assert IVR.objects.get(number=41).keys == {}


@pytest.mark.parametrize("typed", ["0", "abc", "9007199254740993"])
def test_bad_references_are_named_at_their_field(admin: Client, typed: str) -> None:
    response = admin.post("/ivrs/new/", {"name": "Survey", "number": typed, "key_star": "Again"})
    assert response.status_code == 200
    assert list(response.context["form"].errors) == ["number"]
    assert "A reference is a whole number from 1 to" in response.text
    assert 'value="Again"' in response.text


def test_a_taken_number_is_refused(admin: Client) -> None:
    make_ivr(5, "Survey")
    response = admin.post("/ivrs/new/", {"name": "Other", "number": "5"})
    assert response.status_code == 200
    assert "5.ivr is taken, by “Survey”" in response.text


@pytest.mark.parametrize("meaning", ["x" * 101, "a\0b"])
def test_bad_meanings_are_named_at_their_key(admin: Client, meaning: str) -> None:
    response = admin.post("/ivrs/new/", {"name": "Survey", "key_hash": meaning, "key_1": "Confirms"})
    assert response.status_code == 200
    assert list(response.context["form"].errors) == ["key_hash"]
    assert 'value="Confirms"' in response.text
    assert not IVR.objects.exists()


def test_change_and_empty_keys(admin: Client) -> None:
    make_ivr(5, keys={"1": "Confirms", "2": "Declines"})
    assert 'value="Declines"' in admin.get("/ivrs/5/edit/").text
    admin.post("/ivrs/5/edit/", {"name": "New name", "key_1": "Agrees", "key_2": ""})
    ivr = IVR.objects.get()
    assert (ivr.number, ivr.name, ivr.keys) == (5, "New name", {"1": "Agrees"})


def test_the_opt_out_key(admin: Client) -> None:
    admin.post("/ivrs/new/", {"name": "Survey", "number": "5", "key_1": "Confirms", "opt_out_key": "9"})
    assert (IVR.objects.get().opt_out_key, IVR.objects.get().keys) == ("9", {"1": "Confirms"})
    page = admin.get("/ivrs/5/").text
    assert "Call me no more" in page
    assert "puts whoever presses it on the suppression list at once" in page
    assert "(opts out)" in admin.get("/ivrs/").text
    admin.post("/ivrs/5/edit/", {"name": "Survey", "key_9": "Stop", "opt_out_key": "9"})
    assert "Stop" in admin.get("/ivrs/5/").text
    assert '<option value="9" selected>' in admin.get("/ivrs/5/edit/").text
    admin.post("/ivrs/5/edit/", {"name": "Survey", "key_9": "Stop", "opt_out_key": ""})
    assert IVR.objects.get().opt_out_key == ""
    assert "opts out" not in admin.get("/ivrs/5/").text


@pytest.mark.parametrize("typed", ["99", "x", "9\0"])
def test_what_is_no_key_opts_nobody_out(admin: Client, typed: str) -> None:
    response = admin.post("/ivrs/new/", {"name": "Survey", "key_1": "Confirms", "opt_out_key": typed})
    assert response.status_code == 200
    assert list(response.context["form"].errors) == ["opt_out_key"]
    assert 'value="Confirms"' in response.text


def test_delete_asks_first(admin: Client) -> None:
    make_ivr(5)
    assert "Delete this IVR" in admin.get("/ivrs/5/delete/").text
    assert IVR.objects.exists()
    assert "was deleted" in admin.post("/ivrs/5/delete/", follow=True).text
    assert not IVR.objects.exists()


def test_delete_is_refused_while_held_calls_need_it(admin: Client) -> None:
    make_ivr(5)
    group = make_call_group(make_user(), play="5.ivr")
    response = admin.post("/ivrs/5/delete/")
    assert response.status_code == 409
    assert f"/call-groups/{group.pk}/" in response.text
    assert IVR.objects.exists()


@pytest.mark.parametrize("address", ["/ivrs/", "/ivrs/5/", "/ivrs/new/", "/ivrs/5/edit/", "/ivrs/5/delete/"])
def test_nobody_signed_in_nobody_sees(client: Client, address: str) -> None:
    assert client.get(address).headers["Location"] == f"/login/?next={address}"


@pytest.mark.parametrize("role", ["viewer", "operator"])
@pytest.mark.parametrize("address", ["/ivrs/new/", "/ivrs/5/edit/", "/ivrs/5/delete/"])
def test_only_admins_keep_ivrs(role: str, address: str) -> None:
    make_ivr(5)
    client = client_for(make_user(role))
    assert client.get(address).status_code == 403
    assert client.post(address, {"name": "Mine"}).status_code == 403
    assert IVR.objects.get().name == "Survey"
