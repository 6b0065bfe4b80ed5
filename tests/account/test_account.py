"""Signing in and out, the lock after wrong passwords, one's own password."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from calls.models import User
from tests.factories import PASSWORD, client_for, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def asha() -> User:
    return make_user("operator", "asha")


def sign_in(client: Client, username: str = "asha", password: str = PASSWORD, **sent: str) -> tuple[int, str]:
    """The status and where it leads; `REMOTE_ADDR` may be given."""
    address = sent.pop("REMOTE_ADDR", "127.0.0.1")
    response = client.post("/login/", {"username": username, "password": password, **sent}, REMOTE_ADDR=address)
    return response.status_code, response.headers.get("Location", "")


def test_sign_in_and_out(client: Client, asha: User) -> None:
    assert client.get("/login/").status_code == 200
    assert sign_in(client) == (302, "/")
    assert client.get("/sounds/").status_code == 200
    assert client.post("/logout/").headers["Location"] == "/login/"
    assert client.get("/sounds/").status_code == 302


def test_a_link_signs_nobody_out(asha: User) -> None:
    client = client_for(asha)
    assert client.get("/logout/").status_code == 405
    assert client.get("/sounds/").status_code == 200


def test_signing_out_needs_the_token_of_the_page(asha: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(asha, backend="django.contrib.auth.backends.ModelBackend")
    assert client.post("/logout/").status_code == 403
    assert client.get("/sounds/").status_code == 200


def test_the_page_that_was_asked_for_comes_after_signing_in(client: Client, asha: User) -> None:
    asked = client.get("/sounds/?q=a").headers["Location"]
    assert asked == "/login/?next=/sounds/%3Fq%3Da"
    assert 'name="next" value="/sounds/?q=a"' in client.get(asked).text
    assert sign_in(client, next="/sounds/?q=a") == (302, "/sounds/?q=a")


@pytest.mark.parametrize(
    "target",
    ["https://elsewhere.example/", "//elsewhere.example", "javascript:alert(1)", "\\\\elsewhere.example", "http:///x"],
)
def test_no_other_site_comes_after_signing_in(client: Client, asha: User, target: str) -> None:
    assert sign_in(client, next=target) == (302, "/")


def test_who_is_signed_in_needs_no_form(asha: User) -> None:
    assert client_for(asha).get("/login/?next=/sounds/").headers["Location"] == "/sounds/"


@pytest.mark.parametrize("username", ["asha", "nobody", "asha\0", "ASHA", "", "x" * 500])
def test_wrong_ones_are_refused_in_the_same_words(client: Client, asha: User, username: str) -> None:
    response = client.post("/login/", {"username": username, "password": "wrong"})
    assert response.status_code == 200
    assert "_auth_user_id" not in client.session
    if username in {"asha", "nobody"}:
        assert "Please enter a correct username and password" in response.text


def test_five_wrong_passwords_lock_this_name_from_this_address(client: Client, asha: User) -> None:
    make_user("operator", "omar")
    for _ in range(4):
        assert sign_in(client, password="wrong")[0] == 200
    locked = client.post("/login/", {"username": "asha", "password": "wrong"})
    assert locked.status_code == 429
    assert "Too many wrong passwords" in locked.text
    assert "15 minutes" in locked.text
    assert sign_in(client)[0] == 429
    assert sign_in(Client(), REMOTE_ADDR="192.0.2.7") == (302, "/")
    assert sign_in(Client(), "omar") == (302, "/")


def test_the_lock_is_left_to_pass(client: Client, asha: User, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        sign_in(client, password="wrong")
    monkeypatch.setattr("axes.handlers.database.get_cool_off_threshold", lambda request=None: _in_a_minute())
    monkeypatch.setattr("axes.attempts.get_cool_off_threshold", lambda request=None: _in_a_minute(), raising=False)
    assert sign_in(client) == (302, "/")


def _in_a_minute() -> object:
    return timezone.now() + timedelta(minutes=1)


def test_a_right_password_forgets_the_wrong_ones(client: Client, asha: User) -> None:
    for _ in range(2):
        for _ in range(4):
            sign_in(client, password="wrong")
        assert sign_in(client) == (302, "/")
        client.post("/logout/")


def test_the_session_cookie_is_hidden_from_scripts(client: Client, asha: User) -> None:
    sign_in(client)
    cookie = client.cookies["obdportal_session"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"


# --- One's own password ------------------------------------------------------------------------------------------

NEW = "another good password"


def test_change_ones_password_and_stay_signed_in(asha: User) -> None:
    here, elsewhere = client_for(asha), client_for(asha)
    response = here.post(
        "/account/password/", {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}, follow=True
    )
    assert response.redirect_chain == [("/account/password/changed/", 302)]
    assert here.get("/sounds/").status_code == 200
    assert elsewhere.get("/sounds/").status_code == 302
    assert sign_in(Client(), password=NEW) == (302, "/")


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"old_password": "wrong"}, "old_password"),
        ({"new_password2": "something else"}, "new_password2"),
        ({"new_password1": "short", "new_password2": "short"}, "new_password2"),
        ({"new_password1": "", "new_password2": ""}, "new_password1"),
    ],
)
def test_a_bad_change_is_named_at_its_field(asha: User, changed: dict[str, str], field: str) -> None:
    typed = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW} | changed
    response = client_for(asha).post("/account/password/", typed)
    assert field in response.context["form"].errors
    assert User.objects.get(pk=asha.pk).check_password(PASSWORD)


@pytest.mark.parametrize("address", ["/account/password/", "/account/password/changed/"])
def test_nobody_signed_in_changes_nothing(client: Client, address: str) -> None:
    assert client.get(address).headers["Location"] == f"/login/?next={address}"
