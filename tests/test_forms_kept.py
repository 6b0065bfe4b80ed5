"""Forms: nothing is lost when two people change the same, when the session ends, or when a page is sent again."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from calls.models import IVR, APIKey, CallingRule, Contact, Sound, SuppressionList, User
from calls.views.account import NOTHING_SENT
from tests.contacts.pages import text
from tests.factories import client_for, make_group, make_ivr, make_sound, make_user, number

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss() -> User:
    return make_user("admin", "boss")


@pytest.fixture
def web(boss: User) -> Client:
    return client_for(boss)


def rule() -> str:
    return reverse("calling_rule", args=["promotional"])


def contact() -> str:
    group = make_group("Members", [number(1)])
    return reverse("contact_edit", args=[group.pk, group.contacts.get().pk])


def suppression_list() -> str:
    return reverse("suppression_list_edit", args=[SuppressionList.objects.create(name="Register").pk])


def ivr() -> str:
    return reverse("ivr_edit", args=[make_ivr(7, "Survey", opt_out_key="9").number])


def sound() -> str:
    return reverse("sound_edit", args=[make_sound(7, "Hello").number])


FORMS: dict[str, tuple[Callable[[], str], dict[str, Any], dict[str, Any], str, Callable[[], Any]]] = {
    "rule": (
        rule,
        {"hours": "10:00-19:00"},
        {"daily_cap": "3"},
        "Calling hours: “10:00-19:00”",
        lambda: CallingRule.objects.get(pk="promotional").hours,
    ),
    "contact": (contact, {"name": "Asha"}, {"custom": "7"}, "Name: “Asha”", lambda: Contact.objects.get().name),
    "suppression list": (
        suppression_list,
        {"source": "Scrubbed"},
        {"ends_on": "2099-12-31"},
        "“Scrubbed”",
        lambda: SuppressionList.objects.get(name="Register").source,
    ),
    "IVR": (ivr, {"opt_out_key": "8"}, {"key_1": "Yes"}, "Opt-out key: “8”", lambda: IVR.objects.get().opt_out_key),
    "sound": (sound, {"name": "Good day"}, {"name": "Welcome"}, "Name: “Good day”", lambda: Sound.objects.get().name),
}
"""The address, what the first one changes, what the second one changes, what that one is told, what is there."""


def filled_in(page: Any) -> dict[str, Any]:
    """What a browser would send of the form as it is shown."""
    form = page.context["form"]
    shown = {name: form[name].value() for name in form.fields if name != "file"}
    return {name: value for name, value in shown.items() if value not in (None, False)}


@pytest.mark.parametrize("name", FORMS)
def test_what_somebody_else_changed_is_not_undone_unseen(web: Client, name: str) -> None:
    make, first, second, told, there = FORMS[name]
    address = make()
    one, other = filled_in(web.get(address)), filled_in(web.get(address))
    assert 'name="seen"' in web.get(address).content.decode()
    assert web.post(address, one | first).status_code == 302
    value = there()
    refused: Any = web.post(address, other | second)
    assert refused.status_code == 200
    assert "This was changed while the form was open" in text(refused)
    assert told in text(refused)
    assert there() == value
    again = filled_in(refused)
    assert {name: again[name] for name in second} == second, "what was typed is still there"
    assert web.post(address, again).status_code == 302
    assert there() != value, "saved again, it is put over the other one"


@pytest.mark.parametrize("name", FORMS)
def test_one_person_saves_twice_in_a_row(web: Client, name: str) -> None:
    make, first, second, *_ = FORMS[name]
    address = make()
    for change in (first, second):
        assert web.post(address, filled_in(web.get(address)) | change).status_code == 302


def test_no_form_shows_what_only_the_database_knows(web: Client) -> None:
    """Forms of new rows."""
    group = make_group("Members", 1)
    pages = [reverse("contact_new", args=[group.pk]), *map(reverse, ("ivr_new", "sound_new", "suppression_list_new"))]
    for page in pages:
        assert "DatabaseDefault" not in web.get(page).content.decode()
    shown = filled_in(web.get(pages[0]))
    assert web.post(pages[0], shown | {"number": number(5), "name": "Asha"}).status_code == 302
    assert Contact.objects.get(number=number(5)).custom == ""


def test_a_form_that_is_sent_when_signed_out_says_that_nothing_was_sent(boss: User) -> None:
    browser = Client(headers={"Referer": "http://testserver/start/?group=1"})
    answer: Any = browser.post("/start/", {"numbers": number(1)})
    assert answer["Location"] == "/login/?next=/start/%3Fgroup%3D1"
    assert NOTHING_SENT in browser.get(answer["Location"]).content.decode()
    assert NOTHING_SENT not in browser.get("/login/").content.decode()
    for referer in ("", "https://example.com/start/", "//example.com", "http://testserver:99999999/"):
        elsewhere = Client(headers={"Referer": referer})
        assert elsewhere.post("/exports/new/")["Location"] == "/login/?next=/"
    assert Client().get("/start/")["Location"] == "/login/?next=/start/"


def test_a_key_is_made_once_however_often_its_form_is_sent(web: Client) -> None:
    page = web.get("/api-keys/new/")
    once = re.search(r'name="once" value="([^"]+)"', page.content.decode())
    assert once
    form = filled_in(page) | {"label": "Shop", "user": "boss"}
    wrong: Any = web.post("/api-keys/new/", form | {"label": "", "once": once[1]})
    assert f'name="once" value="{once[1]}"' in wrong.content.decode()
    assert web.post("/api-keys/new/", form | {"once": once[1]}).status_code == 200
    again: Any = web.post("/api-keys/new/", form | {"once": once[1]}, follow=True)
    assert "This key was created already" in text(again)
    assert APIKey.objects.count() == 1
    assert once[1] not in web.get("/api-keys/new/").content.decode()
