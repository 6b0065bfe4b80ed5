from datetime import timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from calls.contacts.search import find_contacts
from calls.models import Contact, ContactGroup, Suppression, SuppressionList, User
from calls.views.paging import PAGE_SIZE
from tests.contacts.pages import text
from tests.factories import client_for, make_group, make_user, number

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def region(settings: Any) -> None:
    settings.DEFAULT_REGION = "GB"


@pytest.fixture
def group() -> ContactGroup:
    return make_group("Members")


@pytest.fixture
def operator() -> User:
    return make_user("operator")


@pytest.fixture
def client(operator: User) -> Client:
    return client_for(operator)


def problems(response: Any, field: str) -> str:
    """What a form that came back says at a field."""
    assert response.status_code == 200
    return " ".join(response.context["form"].errors[field])


# --- Access ----------------------------------------------------------------------------------------------------------

PAGES = ["contact_group_import", "contact_new", "contact_edit", "contact_delete"]


def url_of(name: str, contact: Contact) -> str:
    args = [contact.group_id, contact.pk] if name in {"contact_edit", "contact_delete"} else [contact.group_id]
    return reverse(name, args=args)


@pytest.mark.parametrize("name", PAGES)
def test_viewers_change_no_contacts(name: str) -> None:
    contact = Contact.objects.get(group=make_group(numbers=1))
    client = client_for(make_user("viewer"))
    assert client.get(url_of(name, contact)).status_code == 403
    assert client.post(url_of(name, contact), {"number": number(9), "pasted": number(9)}).status_code == 403
    assert Contact.objects.get() == contact


@pytest.mark.parametrize("name", PAGES)
def test_a_group_that_the_profile_leaves_out_is_not_there(name: str) -> None:
    contact = Contact.objects.get(group=make_group(numbers=1))
    client = client_for(make_user("operator", uses_all_contact_groups=False))
    assert client.get(url_of(name, contact)).status_code == 404


@pytest.mark.parametrize("name", PAGES)
def test_a_group_held_by_the_carrier_has_no_contacts(client: Client, name: str) -> None:
    contact = Contact.objects.get(group=make_group(numbers=1))
    ContactGroup.objects.update(carrier_group="55")
    assert client.get(url_of(name, contact)).status_code == 404


@pytest.mark.parametrize("name", ["contact_edit", "contact_delete"])
def test_a_contact_is_only_found_in_its_own_group(client: Client, group: ContactGroup, name: str) -> None:
    other = Contact.objects.get(group=make_group(numbers=1))
    assert client.post(reverse(name, args=[group.pk, other.pk]), {"number": number(5)}).status_code == 404


# --- One contact -----------------------------------------------------------------------------------------------------


def test_add_one_contact(client: Client, group: ContactGroup, operator: User) -> None:
    url = reverse("contact_new", args=[group.pk])
    assert client.get(url).status_code == 200
    response = client.post(url, {"number": "020 7946 0001", "name": "Asha", "custom": "A-1"}, follow=True)
    assert "Contact Asha +442079460001 added." in text(response)
    assert "Asha A-1" in text(response)
    contact = group.contacts.get()
    assert LogEntry.objects.get_for_object(contact).get().actor == operator
    group.refresh_from_db()
    assert group.size == 1


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ("", "This field is required."),
        ("12a", "“12a”: has letters."),
        ("234", "“234”: too short: 3 digits."),
        ("1" * 20, "too long: 20 digits"),
        ("1" * 5000, "too long: 5000 characters"),
        ("020\x007946 0001", "control character"),
    ],
)
def test_a_wrong_number_is_named(client: Client, group: ContactGroup, typed: str, problem: str) -> None:
    response = client.post(reverse("contact_new", args=[group.pk]), {"number": typed, "name": "Asha"})
    assert problem in problems(response, "number")
    assert 'value="Asha"' in response.content.decode()


def test_a_number_is_in_a_group_once(client: Client, group: ContactGroup) -> None:
    Contact.objects.create(group=group, number=number(1), name="Ravi")
    response = client.post(reverse("contact_new", args=[group.pk]), {"number": number(1)})
    assert problems(response, "number") == f"{number(1)} is in this contact group already as “Ravi”."


def test_edit_a_contact(client: Client, group: ContactGroup) -> None:
    contact = Contact.objects.create(group=group, number=number(1), name="Ravi", extra={"city": "Pune"})
    taken = Contact.objects.create(group=group, number=number(2))
    url = reverse("contact_edit", args=[group.pk, contact.pk])
    assert "city Pune" in text(client.get(url))
    assert "already" in problems(client.post(url, {"number": taken.number, "name": "R"}), "number")
    client.post(url, {"number": number(3), "name": "R."})
    contact.refresh_from_db()
    assert (contact.number, contact.name, contact.extra) == (number(3), "R.", {"city": "Pune"})


def test_delete_a_contact_asks_first(client: Client, group: ContactGroup) -> None:
    contact = Contact.objects.create(group=group, number=number(1), name="Ravi")
    url = reverse("contact_delete", args=[group.pk, contact.pk])
    assert "Delete this contact?" in text(client.get(url))
    assert Contact.objects.exists()
    assert "Contact Ravi +442079460001 deleted." in text(client.post(url, follow=True))
    assert not Contact.objects.exists()


# --- The page of a group ---------------------------------------------------------------------------------------------


@pytest.fixture
def people(group: ContactGroup) -> ContactGroup:
    for i, name in enumerate(["Asha Rao", "Ravi O'Neil", "Zoë \\ Müller", "Anna-Maria", ""]):
        Contact.objects.create(group=group, number=number(i), name=name)
    Contact.objects.create(group=make_group(), number=number(0), name="Asha Elsewhere")
    return group


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", 5),
        ("ash", 1),
        ("RAO asha", 1),
        ("rao x", 0),
        ("o'n", 1),
        ("mül", 1),
        ("anna-m", 1),
        ("maria", 1),
        ("sha", 0),
        ("zoë \\", 1),
        ("a' | 'r", 1),
        ("asha':* | 'ravi", 0),
        ("a & !b", 0),
        ("4420 7946", 5),
        ("020 7946 0003", 1),
        ("0002", 1),
        ("'", 0),
        ("\\", 0),
        ("!", 0),
        ("x" * 5000, 0),
    ],
)
def test_search(client: Client, people: ContactGroup, query: str, found: int) -> None:
    page = client.get(reverse("contact_group", args=[people.pk]), {"q": query})
    assert page.status_code == 200
    assert len(page.context["page"].rows) == found
    if not found:
        assert "No contact found" in text(page)


def test_the_search_for_names_uses_the_index(people: ContactGroup) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off")
        plan = find_contacts(Contact.objects.all(), "ash").explain()
    assert "contact_words" in plan


def test_contacts_come_in_pages(client: Client) -> None:
    group = make_group(numbers=PAGE_SIZE + 1)
    url = reverse("contact_group", args=[group.pk])
    first = client.get(url).context["page"]
    assert len(first.rows) == PAGE_SIZE
    assert [row.number for row in client.get(url, {"after": first.next}).context["page"].rows] == [number(0)]


def test_suppressed_contacts_are_marked(client: Client, people: ContactGroup) -> None:
    register = SuppressionList.objects.create(name="Register", promotional_only=True)
    ended = SuppressionList.objects.create(name="Last year's", ends_on=timezone.localdate() - timedelta(days=2))
    Suppression.objects.create(number=number(1), reason="Asked")
    Suppression.objects.create(list=register, number=number(1), reason="Registered")
    Suppression.objects.create(list=ended, number=number(2), reason="Asked")
    page = text(client.get(reverse("contact_group", args=[people.pk])))
    assert "+44 20 7946 0001 suppressed on Do not call, Register" in page
    assert page.count("suppressed") == 1


def test_start_calls_leads_to_the_form_with_this_group(client: Client, people: ContactGroup) -> None:
    page = client.get(reverse("contact_group", args=[people.pk])).content.decode()
    assert f'href="{reverse("start")}?group={people.pk}"' in page


def test_who_may_not_start_calls_sees_no_button(people: ContactGroup) -> None:
    client = client_for(make_user("operator", may_start_calls=False))
    assert "Start calls" not in text(client.get(reverse("contact_group", args=[people.pk])))


def test_an_empty_group_says_what_to_do(client: Client, group: ContactGroup) -> None:
    page = client.get(reverse("contact_group", args=[group.pk]))
    assert "No contacts yet" in text(page)
    assert reverse("contact_group_import", args=[group.pk]) in page.content.decode()


def test_the_page_asks_the_database_the_same_for_many(client: Client, django_assert_max_num_queries: Any) -> None:
    group = make_group(numbers=PAGE_SIZE)
    with django_assert_max_num_queries(9):
        client.get(reverse("contact_group", args=[group.pk]))
