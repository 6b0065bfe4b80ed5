"""Users: list, form, passwords, what they may use, deactivation."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.test import Client
from django.urls import reverse

from calls.access import NoAdminLeftError, give_role, set_active
from calls.models import User
from tests.factories import PASSWORD, client_for, make_group, make_ivr, make_sound, make_user

pytestmark = pytest.mark.django_db

PROFILE = {
    "may_start_calls": "on",
    "sees_all_calls": "on",
    "uses_all_contact_groups": "True",
    "uses_all_sounds": "True",
    "uses_all_ivrs": "True",
}
NEW = PROFILE | {"username": "asha", "role": "operator", "password_by": "generated"}
TYPED = NEW | {"password_by": "typed", "password1": "a long enough one", "password2": "a long enough one"}


@pytest.fixture
def boss() -> User:
    return make_user("admin", "boss")


@pytest.fixture
def admin(boss: User) -> Client:
    return client_for(boss)


def signs_in(username: str, password: str) -> bool:
    return Client().post("/login/", {"username": username, "password": password}).status_code == 302


# --- List --------------------------------------------------------------------------------------------------------


def test_the_list_says_what_each_may_do(admin: Client) -> None:
    make_user("viewer", "vera", sees_all_calls=False)
    make_user("operator", "omar", uses_all_sounds=False, sounds=[make_sound(), make_sound()], may_start_calls=False)
    make_user("operator", "olga", uses_all_ivrs=False, uses_all_contact_groups=False, contact_groups=[make_group()])
    profiles = {user.username: words for user, words in admin.get("/users/").context["rows"]}
    assert profiles == {
        "boss": ["sees and does everything"],
        "vera": ["all contact groups", "all sounds", "all IVRs", "own calls only"],
        "omar": ["starts no calls", "all contact groups", "2 sounds", "all IVRs", "all calls"],
        "olga": ["starts calls", "1 contact group", "all sounds", "no IVRs", "all calls"],
    }


@pytest.mark.parametrize("typed", ["asha", "ASHA@", "rao", " Asha "])
def test_search(admin: Client, typed: str) -> None:
    make_user("viewer", "asha", last_name="Rao", email="asha@example.com")
    make_user("viewer", "other")
    found = [user.username for user, _ in admin.get("/users/", {"q": typed}).context["rows"]]
    assert found == ["asha"]


def test_the_list_has_pages_by_name(admin: Client) -> None:
    for number in range(60):
        make_user("viewer", f"user{number:02}")
    first = admin.get("/users/")
    second = admin.get("/users/", {"after": first.context["page"].next})
    names = [user.username for page in (first, second) for user, _ in page.context["rows"]]
    assert names == sorted(names)
    assert len(names) == 61


@pytest.mark.parametrize("cursor", ["WzFd", "WyJcdTAwMDAiXQ", "WyJcdWQ4MDAiXQ", "W1tbW1tbW10", "é", "WzFd" * 50])
def test_a_damaged_cursor_means_the_first_page(admin: Client, cursor: str) -> None:
    assert "boss" in admin.get("/users/", {"after": cursor}).text


def test_the_list_asks_no_more_of_the_database_for_more_users(
    admin: Client, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    for _ in range(20):
        make_user("operator")
    with django_assert_max_num_queries(12):
        admin.get("/users/")


# --- Creating ----------------------------------------------------------------------------------------------------


def test_create_with_a_generated_password_that_is_shown_once(admin: Client) -> None:
    response = admin.post("/users/new/", NEW)
    assert "no-store" in response.headers["Cache-Control"]
    password = response.context["password"]
    assert len(password) == 16
    assert password in response.text
    asha = User.objects.get(username="asha")
    assert password not in admin.get(reverse("user", args=[asha.pk])).text
    assert signs_in("asha", password)
    assert asha.role == "operator"


def test_create_with_a_typed_password(admin: Client) -> None:
    response = admin.post("/users/new/", TYPED | {"role": "viewer", "first_name": "Asha", "email": "asha@example.com"})
    asha = User.objects.get(username="asha")
    assert response.headers["Location"] == reverse("user", args=[asha.pk])
    assert signs_in("asha", "a long enough one")
    assert (asha.role, asha.first_name, asha.email) == ("viewer", "Asha", "asha@example.com")
    assert not asha.is_staff


def test_an_admin_may_open_djangos_admin_and_others_may_not(admin: Client) -> None:
    admin.post("/users/new/", TYPED | {"role": "admin"})
    asha = User.objects.get(username="asha")
    assert asha.is_staff
    assert not asha.is_superuser
    assert asha.sees_everything
    assert [group.name for group in asha.groups.all()] == ["admin"]


@pytest.mark.parametrize(
    ("changed", "field", "said"),
    [
        ({"username": ""}, "username", "required"),
        ({"username": "two words"}, "username", "valid username"),
        ({"username": "x" * 151}, "username", "150"),
        ({"username": "a\0b"}, "username", "Null"),
        ({"username": "boss"}, "username", "there is the user “boss”"),
        ({"username": "BOSS"}, "username", "“BOSS” is taken: there is the user “boss”"),
        ({"email": "nowhere"}, "email", "valid email"),
        ({"role": "king"}, "role", "king"),
        ({"role": ""}, "role", "required"),
        ({"uses_all_sounds": "perhaps"}, "uses_all_sounds", "perhaps"),
        ({"password_by": "guess"}, "password_by", "guess"),
        ({"password1": ""}, "password1", "Type a password"),
        ({"password2": "another long one"}, "password2", "differ"),
        ({"password1": "short1", "password2": "short1"}, "password1", "at least 10 characters"),
        ({"password1": "password123", "password2": "password123"}, "password1", "too common"),
        ({"username": "asha.sharma", "password1": "asha.sharma1", "password2": "asha.sharma1"}, "password1", "similar"),
        ({"password_by": "generated"}, "password_by", "was typed too"),
    ],
)
def test_bad_input_is_named_at_its_field(admin: Client, changed: dict[str, str], field: str, said: str) -> None:
    response = admin.post("/users/new/", TYPED | {"last_name": "Sharma"} | changed)
    assert response.status_code == 200
    form = response.context["form"]
    assert list(form.errors) == [field]
    assert said in " ".join(form.errors[field])
    assert 'value="Sharma"' in response.text
    assert "a long enough one" not in response.text
    assert User.objects.count() == 1


# --- Changing ----------------------------------------------------------------------------------------------------


def test_change_the_profile(admin: Client) -> None:
    asha = make_user("operator", "asha")
    changed = {"username": "asha", "role": "viewer", "uses_all_contact_groups": "False"}
    changed |= {"uses_all_sounds": "False", "uses_all_ivrs": "True", "last_name": "Rao"}
    response = admin.post(reverse("user", args=[asha.pk]), changed)
    assert response.status_code == 302
    asha = User.objects.get(pk=asha.pk)
    assert (asha.role, asha.last_name) == ("viewer", "Rao")
    flags = [asha.may_start_calls, asha.sees_all_calls]
    flags += [asha.uses_all_contact_groups, asha.uses_all_sounds, asha.uses_all_ivrs]
    assert flags == [False, False, False, False, True]
    assert asha.check_password(PASSWORD)


def test_a_new_role_takes_effect_with_the_next_click(admin: Client) -> None:
    asha = make_user("operator", "asha")
    browser = client_for(asha)
    address = reverse("user", args=[asha.pk])
    assert browser.get("/users/").status_code == 403
    admin.post(address, PROFILE | {"username": "asha", "role": "admin"})
    assert browser.get("/users/").status_code == 200
    assert browser.get("/django-admin/").status_code == 200
    admin.post(address, PROFILE | {"username": "asha", "role": "viewer"})
    assert browser.get("/users/").status_code == 403
    assert not User.objects.get(pk=asha.pk).can_start_calls


def test_demoting_a_superuser_takes_everything(admin: Client) -> None:
    first = User.objects.create_superuser("first", password=PASSWORD)
    admin.post(reverse("user", args=[first.pk]), PROFILE | {"username": "first", "role": "viewer"})
    first = User.objects.get(pk=first.pk)
    assert (first.role, first.is_superuser, first.is_staff, first.sees_everything) == ("viewer", False, False, False)


def test_a_first_admin_keeps_being_superuser(admin: Client) -> None:
    first = User.objects.create_superuser("first", password=PASSWORD)
    page = admin.get(reverse("user", args=[first.pk]))
    assert page.context["form"]["role"].value() == "admin"
    admin.post(reverse("user", args=[first.pk]), PROFILE | {"username": "first", "role": "admin"})
    assert User.objects.get(pk=first.pk).is_superuser


def test_nobody_takes_the_role_from_themselves(admin: Client, boss: User) -> None:
    make_user("admin")
    response = admin.post(reverse("user", args=[boss.pk]), PROFILE | {"username": "boss", "role": "viewer"})
    assert response.status_code == 200
    assert "You can&#x27;t take the role admin from yourself" in response.text
    assert User.objects.get(pk=boss.pk).role == "admin"


def test_an_unknown_user_is_not_there(admin: Client) -> None:
    for address in ("/users/999999/", "/users/999999/password/", "/users/999999/sounds/", f"/users/{10**30}/"):
        assert admin.get(address).status_code == 404
    assert admin.post("/users/999999/active/", {"active": "0"}).status_code == 404


# --- Deactivating ------------------------------------------------------------------------------------------------


def test_a_deactivated_user_is_signed_out_at_once(admin: Client) -> None:
    asha = make_user("operator", "asha")
    browser = client_for(asha)
    assert browser.get("/sounds/").status_code == 200
    response = admin.post(reverse("user_activate", args=[asha.pk]), {"active": "0"}, follow=True)
    assert "was deactivated" in response.text
    assert browser.get("/sounds/").headers["Location"] == "/login/?next=/sounds/"
    assert not signs_in("asha", PASSWORD)
    admin.post(reverse("user_activate", args=[asha.pk]), {"active": "1"})
    assert signs_in("asha", PASSWORD)


def test_nobody_deactivates_themselves(admin: Client, boss: User) -> None:
    make_user("admin")
    response = admin.post(reverse("user_activate", args=[boss.pk]), {"active": "0"}, follow=True)
    assert "You can&#x27;t deactivate yourself" in response.text
    assert User.objects.get(pk=boss.pk).is_active


def test_the_last_admin_stays(boss: User) -> None:
    make_user("admin", is_active=False)
    with pytest.raises(NoAdminLeftError):
        set_active(boss, active=False)
    with pytest.raises(NoAdminLeftError):
        give_role(User.objects.get(pk=boss.pk), "operator")
    boss = User.objects.get(pk=boss.pk)
    assert (boss.is_active, boss.role) == (True, "admin")


def test_the_last_admin_stays_when_asked_on_the_page(
    admin: Client, boss: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_user("admin", "other")
    # What happens if, between the page's checks and the change, the others stop being admins.
    monkeypatch.setattr("calls.access.admins", User.objects.none)
    response = admin.post(reverse("user_activate", args=[other.pk]), {"active": "0"}, follow=True)
    assert "This is the last admin" in response.text
    response = admin.post(reverse("user", args=[other.pk]), PROFILE | {"username": "other", "role": "viewer"})
    assert response.status_code == 200
    assert "This is the last admin" in response.text
    other = User.objects.get(pk=other.pk)
    assert (other.is_active, other.role) == (True, "admin")


def test_users_are_never_deleted(admin: Client) -> None:
    asha = make_user("viewer")
    for address in (f"/users/{asha.pk}/delete/", f"/django-admin/calls/user/{asha.pk}/delete/"):
        assert admin.post(address, {"post": "yes"}).status_code in {302, 403, 404}
    assert User.objects.filter(pk=asha.pk).exists()


# --- Passwords ---------------------------------------------------------------------------------------------------


def test_a_new_password_ends_sessions_and_the_lock(admin: Client) -> None:
    asha = make_user("operator", "asha")
    browser = client_for(asha)
    for _ in range(5):
        assert not signs_in("asha", "wrong")
    assert not signs_in("asha", PASSWORD)
    response = admin.post(reverse("user_password", args=[asha.pk]), {"password_by": "generated"})
    assert browser.get("/sounds/").status_code == 302
    assert signs_in("asha", response.context["password"])


def test_a_typed_new_password(admin: Client) -> None:
    asha = make_user("operator", "asha")
    typed = {"password_by": "typed", "password1": "an even longer one", "password2": "an even longer one"}
    response = admin.post(reverse("user_password", args=[asha.pk]), typed)
    assert response.headers["Location"] == reverse("user", args=[asha.pk])
    assert signs_in("asha", "an even longer one")


def test_a_bad_new_password_changes_nothing(admin: Client) -> None:
    asha = make_user("operator", "asha")
    typed = {"password_by": "typed", "password1": "short", "password2": "short"}
    response = admin.post(reverse("user_password", args=[asha.pk]), typed)
    assert response.status_code == 200
    assert "at least 10 characters" in response.text
    assert signs_in("asha", PASSWORD)


def test_ones_own_password_is_changed_with_the_old_one(admin: Client, boss: User) -> None:
    response = admin.post(reverse("user_password", args=[boss.pk]), {"password_by": "generated"})
    assert response.headers["Location"] == "/account/password/"
    assert User.objects.get(pk=boss.pk).check_password(PASSWORD)


def test_passwords_are_in_no_log(admin: Client) -> None:
    response = admin.post("/users/new/", NEW)
    asha = User.objects.get(username="asha")
    admin.post(reverse("user_password", args=[asha.pk]), {"password_by": "generated"})
    logged = [str(entry.changes) for entry in LogEntry.objects.get_for_object(asha)]
    assert any("a new one was set" in changes for changes in logged)
    assert not re.search("md5|pbkdf2|" + response.context["password"], " ".join(logged))


# --- What a profile enables --------------------------------------------------------------------------------------


def test_choose_and_unchoose(admin: Client) -> None:
    kept, dropped, added, unseen = (make_sound(number) for number in (1, 2, 3, 4))
    asha = make_user("operator", "asha", uses_all_sounds=False, sounds=[kept, dropped, unseen])
    page = admin.get(reverse("user_choices", args=[asha.pk, "sounds"])).text
    assert page.count("checked") == 3
    shown = {"shown": [kept.pk, dropped.pk, added.pk], "chosen": [kept.pk, added.pk]}
    admin.post(reverse("user_choices", args=[asha.pk, "sounds"]), shown)
    assert set(asha.sounds.all()) == {kept, added, unseen}
    assert client_for(asha).get("/sounds/2/").status_code == 404
    assert client_for(asha).get("/sounds/3/").status_code == 200


@pytest.mark.parametrize("slug", ["contact-groups", "sounds", "ivrs"])
def test_each_kind_is_searched_and_chosen(admin: Client, slug: str) -> None:
    makers: dict[str, Callable[..., Any]] = {"contact-groups": make_group, "sounds": make_sound, "ivrs": make_ivr}
    make = makers[slug]
    row, other = make(name="Reminders"), make(name="Survey")
    asha = make_user("operator", "asha")
    address = reverse("user_choices", args=[asha.pk, slug])
    page = admin.get(address, {"q": "remind"})
    assert [found for found, _ in page.context["rows"]] == [row]
    response = admin.post(f"{address}?q=remind", {"shown": [row.pk], "chosen": [row.pk]})
    assert response.headers["Location"] == f"{address}?q=remind"
    only = admin.get(address, {"only": "chosen"})
    assert [found for found, _ in only.context["rows"]] == [row]
    assert other not in getattr(asha, slug.replace("-", "_")).all()


def test_thousands_of_groups_come_in_pages(admin: Client) -> None:
    for number in range(120):
        make_group(f"Group {number:03}")
    asha = make_user("operator", "asha")
    address = reverse("user_choices", args=[asha.pk, "contact-groups"])
    first = admin.get(address)
    second = admin.get(address, {"after": first.context["page"].next})
    assert [len(page.context["rows"]) for page in (first, second)] == [50, 50]
    assert second.context["rows"][0][0].name == "Group 050"


@pytest.mark.parametrize("ids", [["x"], ["-1"], ["9" * 30], ["99999999"], ["１"]])  # noqa: RUF001
def test_odd_choices_change_nothing(admin: Client, ids: list[str]) -> None:
    asha = make_user("operator", "asha", sounds=[make_sound()])
    response = admin.post(reverse("user_choices", args=[asha.pk, "sounds"]), {"shown": ids, "chosen": ids})
    assert response.status_code == 302
    assert asha.sounds.count() == 1


def test_there_are_no_other_kinds(admin: Client, boss: User) -> None:
    assert admin.get(f"/users/{boss.pk}/groups/").status_code == 404


# --- Who may, and what is kept of it -----------------------------------------------------------------------------

ADDRESSES = ["/users/", "/users/new/", "/users/{}/", "/users/{}/password/", "/users/{}/sounds/"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_nobody_signed_in_nobody_sees(client: Client, boss: User, address: str) -> None:
    address = address.format(boss.pk)
    assert client.get(address).headers["Location"] == f"/login/?next={address}"


@pytest.mark.parametrize("role", ["viewer", "operator"])
@pytest.mark.parametrize("address", [*ADDRESSES, "/users/{}/active/"])
def test_only_admins_manage_users(boss: User, role: str, address: str) -> None:
    client = client_for(make_user(role))
    sent = NEW | {"active": "0"}
    assert client.post(address.format(boss.pk), sent).status_code in {403, 405}
    assert client.get(address.format(boss.pk)).status_code in {403, 405}
    boss = User.objects.get(pk=boss.pk)
    assert boss.is_active
    assert boss.check_password(PASSWORD)
    assert not User.objects.filter(username="asha").exists()


def test_the_audit_log_has_who_changed_what(admin: Client, boss: User) -> None:
    asha = make_user("operator", "asha")
    admin.post(reverse("user", args=[asha.pk]), PROFILE | {"username": "asha", "role": "viewer", "last_name": "Rao"})
    entries = LogEntry.objects.get_for_object(asha).filter(actor=boss)
    changes = " ".join(str(entry.changes) for entry in entries)
    assert "Rao" in changes
    assert "viewer" in changes
    assert entries[0].remote_addr == "127.0.0.1"
