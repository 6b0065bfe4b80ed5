import csv
import io
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.urls import reverse

from calls.contacts.entries import MAX_BYTES
from calls.contacts.search import find_contacts
from calls.forms.entries import MAX_CHARACTERS, MAX_ROWS
from calls.models import Contact, ContactGroup, Suppression, User
from calls.views.outcome import KEPT, SHOWN
from calls.views.paging import PAGE_SIZE
from tests.contacts.pages import body, text
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


def add(
    client: Client, group: ContactGroup, pasted: str = "", file: bytes | None = None, name: str = "list.csv"
) -> Any:
    fields: dict[str, Any] = {"pasted": pasted}
    if file is not None:
        fields["file"] = SimpleUploadedFile(name, file)
    return client.post(reverse("contacts_add", args=[group.pk]), fields)


def problems(response: Any, field: str) -> str:
    """What a form that came back says at a field."""
    assert response.status_code == 200
    return " ".join(response.context["form"].errors[field])


# --- Access ----------------------------------------------------------------------------------------------------------

PAGES = ["contacts_add", "contacts_added", "contacts_added_csv", "contact_new", "contact_edit", "contact_delete"]


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


# --- Paste -----------------------------------------------------------------------------------------------------------


def test_pasted_contacts_are_added(client: Client, group: ContactGroup, operator: User) -> None:
    response = add(client, group, f"Asha: {number(1)}; {number(2)}\n{number(3)}, Ravi")
    assert response["Location"] == reverse("contact_group", args=[group.pk])
    assert set(group.contacts.values_list("number", "name")) == {
        (number(1), "Asha"), (number(2), ""), (number(3), "Ravi"),
    }  # fmt: skip
    assert "3 contacts added." in text(client.get(response["Location"]))
    assert LogEntry.objects.get_for_object(group).get(actor=operator).changes["contacts"][1] == "3 added"


def test_what_became_of_each_line_stays_for_a_reload(client: Client, group: ContactGroup) -> None:
    add(client, group, number(1))
    response = add(client, group, f"{number(1)}\n{number(2)}\n{number(2)}\n234\n<b>")
    assert response["Location"] == reverse("contacts_added", args=[group.pk])
    for _ in range(2):
        page = client.get(response["Location"])
        assert "Contacts added 1 Already there 1 Repeated lines 1 Refused lines 2" in text(page)
    assert "too short: 3 digits" in text(page)
    assert "<b>" not in page.content.decode()
    assert "repeats line 2" in text(client.get(response["Location"], {"show": "duplicates"}))
    assert "is in this contact group already" in text(client.get(response["Location"], {"show": "already"}))
    assert client.get(response["Location"], {"show": "nonsense"}).status_code == 200


def test_refused_lines_can_be_mended_in_place(client: Client, group: ContactGroup) -> None:
    response = add(client, group, f"{number(1)}\nAsha, 123")
    page = client.get(response["Location"])
    assert page.context["form"].initial["pasted"] == "Asha, 123"
    assert f'action="{reverse("contacts_add", args=[group.pk])}"' in page.content.decode()


def test_all_refused_lines_can_be_downloaded_and_added_again(client: Client, group: ContactGroup) -> None:
    rows = "".join(f"Person {i},{i},Pune\n" for i in range(SHOWN + 20))
    response = add(client, group, file=f"name,mobile,city\nAsha,{number(1)},Pune\n{rows}".encode())
    page = client.get(response["Location"])
    assert "And 20 more: the download has all of them." in text(page)
    assert page.content.decode().count("<code>") == SHOWN
    assert page.context["form"] is None
    download = client.get(reverse("contacts_added_csv", args=[group.pk]), {"show": "refused"})
    assert download["Content-Disposition"].startswith("attachment")
    refused = body(download)
    mended = list(csv.DictReader(io.StringIO(refused.removeprefix("\ufeff"))))
    assert len(mended) == SHOWN + 20
    assert mended[0]["not added because"].startswith("file “list.csv”, line 3: too short")
    again = refused.replace("\n7,", f"\n{number(7)},")
    add(client, group, file=again.encode())
    contact = group.contacts.get(number=number(7))
    assert (contact.name, contact.extra) == ("Person 7", {"city": "Pune"})


def test_a_download_runs_no_formula(client: Client, group: ContactGroup) -> None:
    response = add(client, group, file=f'number,name\n{number(1)},\n=1+1,=cmd|x\n"@SUM(1)",-2+3\n'.encode())
    assert response["Location"] == reverse("contacts_added", args=[group.pk])
    download = client.get(reverse("contacts_added_csv", args=[group.pk]), {"show": "refused"})
    for row in csv.reader(io.StringIO(body(download).removeprefix("\ufeff"))):
        assert not any(cell.startswith(("=", "@", "-")) for cell in row), row


def test_without_a_result_there_is_nothing_to_show(client: Client, group: ContactGroup) -> None:
    assert client.get(reverse("contacts_added", args=[group.pk])).status_code == 404
    add(client, group, f"{number(1)} 123")
    assert client.get(reverse("contacts_added_csv", args=[group.pk]), {"show": "x"}).status_code == 404


def test_a_result_is_its_makers_alone(client: Client, group: ContactGroup) -> None:
    response = add(client, group, f"{number(1)}\n123")
    assert client_for(make_user("admin")).get(response["Location"]).status_code == 404


def test_a_session_keeps_few_results(client: Client) -> None:
    groups = [make_group() for _ in range(KEPT + 1)]
    for each in groups:
        add(client, each, f"{number(1)}\n123")
    codes = [client.get(reverse("contacts_added", args=[each.pk])).status_code for each in groups]
    assert codes == [404] + [200] * KEPT


# --- Bad input -------------------------------------------------------------------------------------------------------


def test_nothing_given(client: Client, group: ContactGroup) -> None:
    assert problems(add(client, group, " \n"), "pasted") == "Type or paste numbers, or choose a file."


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("0207946OOO1", "has letters"),
        ("234", "too short: 3 digits"),
        ("12345678901234567890", "too long: 20 digits"),
        ("+999 2079460001", "has no country code that exists"),
        ("020\x007946 0001", "has a control character (U+0000)"),
    ],
)
def test_a_refused_line_says_why(client: Client, group: ContactGroup, typed: str, reason: str) -> None:
    response = add(client, group, f"{typed}\n{number(1)}")
    page = client.get(response["Location"])
    (line,) = page.context["lines"]
    assert (line.line, line.reason) == (1, reason)
    alone = add(client, group, typed)
    assert reason in problems(alone, "pasted")
    assert alone.context["form"]["pasted"].value() == typed


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("+1 202 555 0123", "+12025550123"),
        ("00 91 81234 56789", "+918123456789"),
        ("\uff10\uff12\uff10 7946 0001", "+442079460001"),
        ("020 7946 0001", "+442079460001"),
    ],
)
def test_other_countries_and_full_width_digits_are_understood(
    client: Client, group: ContactGroup, typed: str, stored: str
) -> None:
    add(client, group, typed)
    assert group.contacts.get().number == stored


def test_five_mebibytes_pasted_are_refused_and_not_lost(client: Client, group: ContactGroup) -> None:
    typed = "1" * (5 * 1024 * 1024)
    response = add(client, group, typed)
    assert problems(response, "pasted") == (
        f"The text has 5,242,880 characters; at most {MAX_CHARACTERS:,} are taken in at once. Split it."
    )
    assert response.context["form"]["pasted"].value() == typed


def test_too_many_lines_pasted(client: Client, group: ContactGroup) -> None:
    response = add(client, group, "1\n" * (MAX_ROWS + 1))
    assert "50,001 lines; at most 50,000" in problems(response, "pasted")


def test_too_many_numbers_on_few_lines(client: Client, group: ContactGroup) -> None:
    assert "50,001 numbers; at most 50,000" in problems(add(client, group, "1," * (MAX_ROWS + 1)), "pasted")


# --- CSV -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16", "utf-16-le"])
def test_encodings_are_recognised(client: Client, group: ContactGroup, encoding: str) -> None:
    data = f"Name;Telephone\nJosé Müller;{number(1)}\nZoë;{number(2)}\n".encode(encoding)
    assert add(client, group, file=data).status_code == 302
    assert set(group.contacts.values_list("name", flat=True)) == {"José Müller", "Zoë"}


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "The file is empty."),
        (b"\n \n", "“list.csv” can't be used. The file is empty."),
        (b"\x00\x01\x02\x03" * 100, "This is not a text file."),
        (b"number\n020\x007946 0001\n", "This is not a text file."),
        (b"PK\x03\x04" + b"\x00" * 100, "Excel workbook or a zip file"),
        (b"%PDF-1.7", "This is a PDF"),
        (b'number\n"0207', "quote"),
    ],
)
def test_files_that_cannot_be_used(client: Client, group: ContactGroup, data: bytes, problem: str) -> None:
    assert problem in problems(add(client, group, file=data), "file")


def test_a_huge_file_is_refused_before_it_is_read(client: Client, group: ContactGroup) -> None:
    problem = problems(add(client, group, file=b"1" * (MAX_BYTES + 1)), "file")
    assert problem.startswith("“list.csv” has ")
    assert f"at most {MAX_BYTES // 1024**2} MiB" in problem


@pytest.mark.parametrize("ending", [b"\n", b"\r", b"\r\n"])
def test_too_many_lines_in_a_file(client: Client, group: ContactGroup, ending: bytes) -> None:
    problem = problems(add(client, group, file=b"1" + ending + (b"12" + ending) * (MAX_ROWS + 1)), "file")
    assert "“list.csv” has 50,002 lines; at most 50,000 are taken in at once." in problem


def test_a_lost_file_is_asked_for_again(client: Client, group: ContactGroup) -> None:
    response = add(client, group, pasted="x" * (MAX_CHARACTERS + 1), file=number(1).encode())
    assert "Choose the file again" in text(response)
    assert not group.contacts.exists()


def test_text_and_file_together(client: Client, group: ContactGroup) -> None:
    response = add(client, group, pasted=f"{number(1)}\n12", file=f"{number(2)}\n{number(1)}\n".encode())
    assert group.contacts.count() == 2
    page = client.get(response["Location"])
    assert [line.source for line in page.context["lines"]] == ["pasted"]
    duplicates = client.get(response["Location"], {"show": "duplicates"}).context["lines"]
    assert [(line.source, line.reason) for line in duplicates] == [("file “list.csv”", "repeats pasted, line 1")]


def test_a_group_deleted_meanwhile(client: Client, group: ContactGroup, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any) -> None:
        raise ContactGroup.DoesNotExist

    monkeypatch.setattr("calls.views.contacts.add_contacts", gone)
    assert add(client, group, number(1)).status_code == 404


# --- One contact -----------------------------------------------------------------------------------------------------


def test_add_one_contact(client: Client, group: ContactGroup, operator: User) -> None:
    url = reverse("contact_new", args=[group.pk])
    assert client.get(url).status_code == 200
    response = client.post(url, {"number": "020 7946 0001", "name": "Asha"}, follow=True)
    assert "Contact Asha +442079460001 added." in text(response)
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
    Suppression.objects.create(number=number(1), reason="Asked")
    page = client.get(reverse("contact_group", args=[people.pk]))
    assert page.context["suppressed"] == {number(1)}
    assert text(page).count("suppressed") == 1


def test_start_calls_leads_to_the_form_with_this_group(client: Client, people: ContactGroup) -> None:
    page = client.get(reverse("contact_group", args=[people.pk])).content.decode()
    assert f'href="{reverse("start")}?group={people.pk}"' in page


def test_who_may_not_start_calls_sees_no_button(people: ContactGroup) -> None:
    client = client_for(make_user("operator", may_start_calls=False))
    assert "Start calls" not in text(client.get(reverse("contact_group", args=[people.pk])))


def test_an_empty_group_says_what_to_do(client: Client, group: ContactGroup) -> None:
    page = client.get(reverse("contact_group", args=[group.pk]))
    assert "No contacts yet" in text(page)
    assert reverse("contacts_add", args=[group.pk]) in page.content.decode()


def test_the_page_asks_the_database_the_same_for_many(client: Client, django_assert_max_num_queries: Any) -> None:
    group = make_group(numbers=PAGE_SIZE)
    with django_assert_max_num_queries(9):
        client.get(reverse("contact_group", args=[group.pk]))
