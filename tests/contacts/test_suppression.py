from datetime import timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from calls.forms.suppression import SuppressionListForm
from calls.models import ListRole, Suppression, SuppressionList
from calls.views.paging import PAGE_SIZE
from tests.contacts.pages import dead_links, text
from tests.factories import client_for, make_user, number

pytestmark = pytest.mark.django_db

LISTS, NEW = "/suppression/", "/suppression/new/"


@pytest.fixture(autouse=True)
def region(settings: Any) -> None:
    settings.DEFAULT_REGION = "GB"


@pytest.fixture
def client() -> Client:
    return client_for(make_user("operator", "ravi"))


@pytest.fixture
def boss() -> Client:
    return client_for(make_user("admin", "boss"))


@pytest.fixture
def register() -> SuppressionList:
    return SuppressionList.objects.create(name="Register", category="register")


@pytest.fixture
def own() -> SuppressionList:
    return SuppressionList.objects.get(role=ListRole.MANUAL)


def url_of(name: str, chosen: SuppressionList) -> str:
    return reverse(f"suppression_list{name}", args=[chosen.pk])


# --- All lists -------------------------------------------------------------------------------------------------------


def test_the_lists_say_where_they_come_from_how_old_they_are_and_how_long_they_apply(
    client: Client, register: SuppressionList
) -> None:
    today = timezone.localdate()
    Suppression.objects.create(list=register, number=number(1), reason="Asked")
    SuppressionList.objects.filter(pk=register.pk).update(
        source="The regulator", scrubbed_on=today - timedelta(days=42), ends_on=today - timedelta(days=2)
    )
    page = text(client.get(LISTS))
    assert "Register Register of preferences (DND, NCPR, DNC) The regulator" in page
    assert "42 days ago" in page
    assert page.count("ended") == 1
    assert "Do not call Asked not to be called" in page
    assert "Opted out by key press" in page
    assert "for good 0 0" in page
    SuppressionList.objects.filter(pk=register.pk).update(ends_on=today)
    assert "ended" not in text(client.get(LISTS))


@pytest.mark.parametrize(
    ("query", "found"), [("0001", 2), ("4420", 4), ("020 7946 0002", 1), ("999", 0), ("abc", 0), ("\0", 0)]
)
def test_numbers_are_searched_on_all_lists(
    client: Client, register: SuppressionList, own: SuppressionList, query: str, found: int
) -> None:
    for i in range(3):
        Suppression.objects.create(number=number(i), reason="Asked")
    Suppression.objects.create(list=register, number=number(1), reason="Registered")
    page = client.get(LISTS, {"q": query})
    if query == "\0":
        assert "Category" in text(page)
        return
    assert len(page.context["page"].rows) == found
    assert ("Not on any suppression list" in text(page)) == (not found)
    narrowed = client.get(url_of("", own), {"q": query})
    assert len(narrowed.context["page"].rows) == max(0, found - 1) or query == "020 7946 0002"
    assert url_of("", register) in page.content.decode() or found < 2


def test_numbers_come_in_pages_with_few_queries(
    client: Client, own: SuppressionList, django_assert_max_num_queries: Any
) -> None:
    Suppression.objects.bulk_create(
        Suppression(number=number(i), reason="Asked", added_by=make_user()) for i in range(PAGE_SIZE + 1)
    )
    with django_assert_max_num_queries(9):
        first = client.get(url_of("", own)).context["page"]
    assert len(first.rows) == PAGE_SIZE
    assert len(client.get(url_of("", own), {"after": first.next}).context["page"].rows) == 1
    searched = client.get(LISTS, {"q": "4420"}).context["page"]
    assert len(client.get(LISTS, {"q": "4420", "after": searched.next}).context["page"].rows) == 1


# --- Who may what ----------------------------------------------------------------------------------------------------


def test_viewers_read_only(own: SuppressionList) -> None:
    row = Suppression.objects.create(number=number(1), reason="Asked")
    client = client_for(make_user("viewer"))
    page = client.get(url_of("", own))
    assert "Asked" in text(page)
    assert "Add numbers" not in text(page)
    for url in (
        NEW, url_of("_edit", own), url_of("_delete", own), url_of("_import", own),
        reverse("suppression_remove", args=[own.pk, row.pk]),
    ):  # fmt: skip
        assert client.post(url, {"pasted": number(2), "reason": "x", "name": "x"}).status_code == 403
        assert f'href="{url}"' not in page.content.decode()
    assert Suppression.objects.get() == row


def test_operators_add_and_remove_nothing(client: Client, own: SuppressionList) -> None:
    row = Suppression.objects.create(number=number(1), reason="Asked")
    page = client.get(url_of("", own))
    assert url_of("_import", own) in page.content.decode()
    assert "Remove" not in text(page)
    for url in (NEW, url_of("_edit", own), reverse("suppression_remove", args=[own.pk, row.pk])):
        assert client.post(url).status_code == 403


# --- Making and changing lists ---------------------------------------------------------------------------------------


def test_an_admin_makes_a_list(boss: Client) -> None:
    today = timezone.localdate()
    typed = {"name": "NCPR", "category": "register", "source": "TRAI", "scrubbed_on": today.isoformat()}
    response = boss.post(NEW, typed | {"promotional_only": "on"}, follow=True)
    made = SuppressionList.objects.get(name="NCPR")
    assert (made.scrubbed_on, made.ends_on, made.promotional_only, str(made.created_by)) == (today, None, True, "boss")
    assert "Suppression list “NCPR” created." in text(response)
    assert "promotional calls; transactional and service calls are made" in text(response)
    entry = LogEntry.objects.get_for_object(made).get()
    assert {"name", "source"} <= entry.changes.keys()
    assert not {"size", "version"} & entry.changes.keys()


@pytest.mark.parametrize(
    ("typed", "field", "problem"),
    [
        ({"name": ""}, "name", "This field is required."),
        ({"name": "Register"}, "name", "“Register” is the name of a suppression list already."),
        ({"name": "x" * 101}, "name", "at most 100 characters"),
        ({"name": "a\0b"}, "name", "Null characters are not allowed."),
        ({"category": "nonsense"}, "category", "Select a valid choice."),
        ({"scrubbed_on": "yesterday"}, "scrubbed_on", "Enter a valid date."),
        ({"ends_on": "31/02/2026"}, "ends_on", "Enter a valid date."),
        ({"source": "x" * 201}, "source", "at most 200 characters"),
    ],
)
def test_bad_input_is_named_and_nothing_typed_is_lost(
    boss: Client, register: SuppressionList, typed: dict[str, str], field: str, problem: str
) -> None:
    other = SuppressionList.objects.create(name="Other")
    fields = {"name": "New", "category": "other", "source": "Where", "ends_on": "2030-01-31"} | typed
    for url in (NEW, url_of("_edit", other)):
        response = boss.post(url, fields)
        assert problem in " ".join(response.context["form"].errors[field])
        assert {name: response.context["form"][name].value() for name in fields} == fields
    other.refresh_from_db()
    assert (other.name, other.source) == ("Other", "")
    assert not SuppressionList.objects.filter(name="New").exists()


def test_a_name_taken_meanwhile_is_said(
    boss: Client, register: SuppressionList, own: SuppressionList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SuppressionListForm, "validate_unique", lambda _: None)
    for url in (NEW, url_of("_edit", own)):
        response = boss.post(url, {"name": "Register", "category": "other"})
        assert "is the name of a suppression list already." in response.context["form"].errors["name"][0]


def test_editing_keeps_what_others_change_meanwhile(boss: Client, register: SuppressionList) -> None:
    Suppression.objects.create(list=register, number=number(1), reason="Asked")
    boss.post(url_of("_edit", register), {"name": "Register 2026", "category": "legal", "ends_on": "2030-01-31"})
    register.refresh_from_db()
    assert (register.name, register.category, register.size, register.version) == ("Register 2026", "legal", 1, 1)
    assert str(register.ends_on) == "2030-01-31"


def test_the_portals_own_lists_apply_for_good(boss: Client, own: SuppressionList) -> None:
    boss.post(url_of("_edit", own), {"name": "Never call", "category": "asked", "ends_on": "2020-01-01"})
    own.refresh_from_db()
    assert (own.name, own.ends_on, own.role) == ("Never call", None, ListRole.MANUAL)


@pytest.mark.parametrize("role", [ListRole.OPT_OUT, ListRole.CARRIER])
def test_who_opted_out_or_is_dnd_gets_no_call_of_any_type(boss: Client, role: ListRole) -> None:
    listed = SuppressionList.objects.get(role=role)
    page = boss.get(url_of("_edit", listed))
    assert "promotional_only" not in page.content.decode()
    assert "gets no call of any type" in text(page)
    boss.post(url_of("_edit", listed), {"name": "Renamed", "category": "asked", "promotional_only": "on"})
    listed.refresh_from_db()
    assert (listed.name, listed.promotional_only) == ("Renamed", False)
    with pytest.raises(IntegrityError), transaction.atomic():
        SuppressionList.objects.filter(role=role).update(promotional_only=True)


def test_numbers_added_by_hand_may_be_called_with_other_calls(boss: Client, own: SuppressionList) -> None:
    boss.post(url_of("_edit", own), {"name": "Do not call", "category": "asked", "promotional_only": "on"})
    own.refresh_from_db()
    assert own.promotional_only


def test_deleting_a_list_says_that_its_numbers_can_be_called_again(boss: Client, register: SuppressionList) -> None:
    Suppression.objects.create(list=register, number=number(1), reason="Asked")
    url = url_of("_delete", register)
    page = boss.get(url)
    assert "its 1 number are deleted for good. These numbers can then be called again" in text(page)
    assert not dead_links(page)
    assert "Suppression list “Register” deleted." in text(boss.post(url, follow=True))
    assert not Suppression.objects.exists()
    entries = LogEntry.objects.filter(object_pk=str(register.pk), content_type__model="suppressionlist")
    assert "1 deleted with the list" in str([entry.changes for entry in entries])
    assert entries.filter(action=LogEntry.Action.DELETE).exists()
    assert boss.post(url).status_code == 404


@pytest.mark.parametrize("role", ListRole.values)
def test_a_list_that_the_portal_writes_to_is_not_deleted(boss: Client, role: str) -> None:
    chosen = SuppressionList.objects.get(role=role)
    url = url_of("_delete", chosen)
    assert url not in boss.get(url_of("", chosen)).content.decode()
    for response in (boss.get(url), boss.post(url)):
        assert "This list can't be deleted" in text(response)
    assert SuppressionList.objects.filter(role=role).exists()


# --- Taking numbers off ----------------------------------------------------------------------------------------------


def test_an_admin_is_asked_before_a_number_is_taken_off(
    boss: Client, register: SuppressionList, own: SuppressionList
) -> None:
    row = Suppression.objects.create(number=number(1), reason="Asked", source="A letter")
    other = Suppression.objects.create(list=register, number=number(1), reason="Registered")
    url = reverse("suppression_remove", args=[own.pk, row.pk])
    assert url in boss.get(url_of("", own)).content.decode()
    assert boss.get(reverse("suppression_remove", args=[register.pk, row.pk])).status_code == 404
    page = text(boss.get(url))
    assert "Reason Asked Source A letter" in page
    assert "It stays on “Register”." in page
    assert "is off “Do not call”. It is still on “Register”." in text(boss.post(url, follow=True))
    entry = LogEntry.objects.get(action=LogEntry.Action.DELETE, object_pk=str(row.pk))
    assert (str(entry.actor), entry.changes["reason"][0]) == ("boss", "Asked")
    assert boss.post(url).status_code == 404
    last = boss.post(reverse("suppression_remove", args=[register.pk, other.pk]), follow=True)
    assert "+44 20 7946 0001 is off “Register” and can be called again." in text(last)
