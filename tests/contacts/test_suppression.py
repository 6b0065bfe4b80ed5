from typing import Any

import pytest
from auditlog.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from calls.models import Suppression, User
from calls.views.paging import PAGE_SIZE
from tests.contacts.pages import body, text
from tests.factories import client_for, make_user, number

pytestmark = pytest.mark.django_db

LIST, ADD, ADDED = "/suppression/", "/suppression/add/", "/suppression/added/"


@pytest.fixture(autouse=True)
def region(settings: Any) -> None:
    settings.DEFAULT_REGION = "GB"


@pytest.fixture
def operator() -> User:
    return make_user("operator", "ravi")


@pytest.fixture
def client(operator: User) -> Client:
    return client_for(operator)


def test_strangers_are_asked_to_sign_in() -> None:
    assert Client().get(LIST)["Location"].startswith(reverse("login"))


def test_viewers_read_only() -> None:
    row = Suppression.objects.create(number=number(1), reason="Asked")
    client = client_for(make_user("viewer"))
    assert "Asked" in text(client.get(LIST))
    assert "Add numbers" not in text(client.get(LIST))
    for url in (ADD, ADDED, "/suppression/added.csv", reverse("suppression_remove", args=[row.pk])):
        assert client.get(url).status_code == 403
        assert client.post(url, {"pasted": number(2), "reason": "x"}).status_code == 403
    assert Suppression.objects.get() == row


def test_an_empty_list_says_what_to_do(client: Client) -> None:
    page = client.get(LIST)
    assert "No numbers yet" in text(page)
    assert f'href="{ADD}"' in page.content.decode()


def test_the_list_shows_why_whence_who_and_when(client: Client) -> None:
    assert client.get(ADD).status_code == 200
    response = client.post(ADD, {"pasted": "020 7946 0001", "reason": "Asked not to be called", "source": "A letter"})
    assert response["Location"] == LIST
    page = text(client.get(LIST))
    assert "1 number added." in page
    assert "+44 20 7946 0001 Asked not to be called A letter ravi" in page
    row = Suppression.objects.get()
    assert LogEntry.objects.get_for_object(row).get().changes["numbers"][1] == number(1)


def test_many_numbers_from_a_file(client: Client) -> None:
    file = SimpleUploadedFile("ncpr.csv", "\n".join(["phone", *(number(i) for i in range(30))]).encode())
    client.post(ADD, {"file": file, "reason": "Register"})
    assert Suppression.objects.filter(reason="Register").count() == 30


def test_what_became_of_each_line(client: Client) -> None:
    Suppression.objects.create(number=number(1), reason="Older")
    response = client.post(ADD, {"pasted": f"{number(1)}\n{number(2)}\n12", "reason": "Asked", "source": "Call"})
    assert response["Location"] == ADDED
    page = client.get(ADDED)
    assert "Numbers added 1 Already there 1 Repeated lines 0 Refused lines 1" in text(page)
    assert page.context["form"].initial == {"pasted": "12", "reason": "Asked", "source": "Call"}
    download = body(client.get("/suppression/added.csv", {"show": "already"}))
    assert f'{number(1)},,"pasted, line 1: is on the suppression list already"' in download


@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        ({"pasted": number(1)}, "reason", "This field is required."),
        ({"pasted": number(1), "reason": "x" * 201}, "reason", "at most 200 characters"),
        ({"pasted": number(1), "reason": "x", "source": "x" * 101}, "source", "at most 100 characters"),
        ({"pasted": number(1), "reason": "a\0b"}, "reason", "Null characters are not allowed."),
        ({"reason": "Asked"}, "pasted", "Type or paste numbers, or choose a file."),
        ({"pasted": "call me", "reason": "Asked"}, "pasted", "line 1 “call me” has letters, no digits"),
    ],
)
def test_bad_input_is_named_and_nothing_typed_is_lost(
    client: Client, fields: dict[str, str], field: str, problem: str
) -> None:
    response = client.post(ADD, fields)
    assert problem in " ".join(response.context["form"].errors[field])
    for name, typed in fields.items():
        assert response.context["form"][name].value() == typed
    assert not Suppression.objects.exists()


@pytest.mark.parametrize(
    ("query", "found"), [("0001", 1), ("4420", 3), ("020 7946 0002", 1), ("999", 0), ("abc", 0), ("", 3), ("\0", 3)]
)
def test_search(client: Client, query: str, found: int) -> None:
    for i in range(3):
        Suppression.objects.create(number=number(i), reason="Asked")
    page = client.get(LIST, {"q": query})
    assert len(page.context["page"].rows) == found
    assert ("Not on the suppression list" in text(page)) == (not found)


def test_numbers_come_in_pages_with_few_queries(client: Client, django_assert_max_num_queries: Any) -> None:
    Suppression.objects.bulk_create(
        Suppression(number=number(i), reason="Asked", added_by=make_user()) for i in range(PAGE_SIZE + 1)
    )
    with django_assert_max_num_queries(8):
        first = client.get(LIST).context["page"]
    assert len(first.rows) == PAGE_SIZE
    assert len(client.get(LIST, {"after": first.next}).context["page"].rows) == 1


def test_only_admins_take_numbers_off(client: Client) -> None:
    row = Suppression.objects.create(number=number(1), reason="Asked")
    url = reverse("suppression_remove", args=[row.pk])
    assert client.post(url).status_code == 403
    assert url not in client.get(LIST).content.decode()


def test_an_admin_is_asked_before_a_number_is_taken_off() -> None:
    admin = make_user("admin")
    client = client_for(admin)
    row = Suppression.objects.create(number=number(1), reason="Asked", source="A letter", added_by=admin)
    url = reverse("suppression_remove", args=[row.pk])
    assert url in client.get(LIST).content.decode()
    page = text(client.get(url))
    assert "Reason Asked Source A letter" in page
    assert "Take off the list" in page
    assert Suppression.objects.exists()
    response = client.post(url, follow=True)
    assert "+44 20 7946 0001 is off the suppression list and can be called again." in text(response)
    assert not Suppression.objects.exists()
    entry = LogEntry.objects.get(action=LogEntry.Action.DELETE, object_pk=str(row.pk))
    assert (entry.actor, entry.changes["reason"][0]) == (admin, "Asked")
    assert client.post(url).status_code == 404
