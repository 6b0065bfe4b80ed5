from typing import Any

import pytest
from auditlog.models import LogEntry
from django.test import Client
from django.urls import reverse

from calls.dialing.steer import cancel
from calls.forms.contacts import GroupForm
from calls.models import Contact, ContactGroup, Import, User
from calls.views.paging import PAGE_SIZE
from tests.contacts.pages import text
from tests.factories import client_for, make_call_group, make_group, make_user, number

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def region(settings: Any) -> None:
    settings.DEFAULT_REGION = "GB"


@pytest.fixture
def admin() -> User:
    return make_user("admin")


@pytest.fixture
def client(admin: User) -> Client:
    return client_for(admin)


# --- Access ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["contact_groups", "contact_group_new"])
def test_strangers_are_asked_to_sign_in(name: str) -> None:
    response = Client().get(reverse(name))
    assert response.status_code == 302
    assert response["Location"].startswith(reverse("login"))


@pytest.mark.parametrize("name", ["contact_group_edit", "contact_group_delete", "contact_group_new"])
@pytest.mark.parametrize("role", ["operator", "viewer"])
def test_only_admins_change_groups(name: str, role: str) -> None:
    group = make_group()
    url = reverse(name, args=[] if name == "contact_group_new" else [group.pk])
    client = client_for(make_user(role))
    assert client.get(url).status_code == 403
    assert client.post(url, {"name": "Other"}).status_code == 403
    assert list(ContactGroup.objects.values_list("name", flat=True)) == [group.name]


def test_viewers_read_without_buttons() -> None:
    group = make_group("Members", numbers=2)
    client = client_for(make_user("viewer"))
    page = client.get(reverse("contact_group", args=[group.pk]))
    assert page.status_code == 200
    for name in ("contact_group_import", "contact_new", "contact_group_edit", "contact_group_delete"):
        assert f'href="{reverse(name, args=[group.pk])}"' not in page.content.decode()
    assert "Start calls" not in text(page)


def test_a_profile_shows_its_groups_and_hides_others() -> None:
    mine, other = make_group("Mine"), make_group("Other")
    client = client_for(make_user("operator", uses_all_contact_groups=False, contact_groups=[mine]))
    listed = text(client.get(reverse("contact_groups")))
    assert "Mine" in listed
    assert "Other" not in listed
    assert client.get(reverse("contact_group", args=[mine.pk])).status_code == 200
    assert client.get(reverse("contact_group", args=[other.pk])).status_code == 404


# --- List ------------------------------------------------------------------------------------------------------------


def test_without_groups_the_page_says_what_to_do(client: Client) -> None:
    page = client.get(reverse("contact_groups"))
    assert "No contact groups yet" in text(page)
    assert reverse("contact_group_new") in page.content.decode()


@pytest.mark.parametrize(
    ("query", "found"),
    [("memb", ["Members"]), ("{pk}", ["Members"]), ("nobody", []), ("%00", []), ("9" * 30, []), ("%", []), ("²", [])],
)
def test_groups_are_found_by_name_or_id(client: Client, query: str, found: list[str]) -> None:
    group = make_group("Members")
    make_group("Staff")
    page = client.get(reverse("contact_groups"), {"q": query.format(pk=group.pk)})
    assert [each.name for each in page.context["page"].rows] == found


def test_a_nul_in_a_search_is_left_out(client: Client) -> None:
    make_group("Members")
    assert len(client.get("/contact-groups/?q=mem%00b").context["page"].rows) == 1


def test_groups_come_in_pages(client: Client) -> None:
    groups = [make_group() for _ in range(PAGE_SIZE + 1)]
    first = client.get(reverse("contact_groups")).context["page"]
    assert [row.pk for row in first.rows] == [group.pk for group in reversed(groups[1:])]
    second = client.get(reverse("contact_groups"), {"after": first.next}).context["page"]
    assert [row.pk for row in second.rows] == [groups[0].pk]


def test_the_list_asks_the_database_the_same_for_many(client: Client, django_assert_max_num_queries: Any) -> None:
    for _ in range(20):
        make_group(created_by=make_user())
    with django_assert_max_num_queries(8):
        client.get(reverse("contact_groups"))


def test_a_group_held_by_the_carrier_says_so(client: Client) -> None:
    group = make_group("Theirs", carrier_group="55")
    assert "held by the carrier" in text(client.get(reverse("contact_groups")))
    page = text(client.get(reverse("contact_group", args=[group.pk])))
    assert "Group held by the carrier 55" in page
    assert "Paste or upload" not in page


# --- Create ----------------------------------------------------------------------------------------------------------


def create(client: Client, **fields: Any) -> Any:
    return client.post(reverse("contact_group_new"), fields)


def test_create_with_pasted_contacts(client: Client, admin: User) -> None:
    response = create(client, name="Members", pasted=f"Asha: {number(1)}\n{number(2)} Ravi\n12")
    group, asked = ContactGroup.objects.get(), Import.objects.get()
    assert response["Location"] == reverse("import", args=[asked.pk])
    assert (group.name, group.size, group.created_by) == ("Members", 0, admin)
    preview = client.get(response["Location"])
    assert "Contact group “Members” created." in text(preview)
    client.post(reverse("import_confirm", args=[asked.pk]), {"separator": "text", "existing": "skip"})
    assert set(group.contacts.values_list("name", flat=True)) == {"Asha", "Ravi"}
    assert {entry.actor for entry in LogEntry.objects.get_for_object(group)} == {admin}


def test_create_without_contacts(client: Client) -> None:
    create(client, name="Later")
    assert ContactGroup.objects.get().size == 0


def test_create_one_held_by_the_carrier(client: Client) -> None:
    create(client, name="Theirs", carrier_group="G-55")
    assert ContactGroup.objects.get().held_by_carrier


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "This field is required."),
        ("Taken", "“Taken” is the name of contact group"),
        ("123", "“123” is all digits: it would be read as a group ID."),
        ("१२३", "is all digits"),
        ("a,b", "“a,b” has a comma: commas separate groups."),
        ("x" * 101, "at most 100 characters (it has 101)"),
        ("a\0b", "Null characters are not allowed."),
    ],
)
def test_a_wrong_name_is_named_and_nothing_typed_is_lost(client: Client, name: str, problem: str) -> None:
    make_group("Taken")
    response = create(client, name=name, pasted=f"Asha {number(1)}", carrier_group="")
    assert response.status_code == 200
    assert problem in " ".join(response.context["form"].errors["name"])
    assert f"Asha {number(1)}" in response.content.decode()
    assert ContactGroup.objects.count() == 1


def test_contacts_and_a_carriers_group_exclude_each_other(client: Client) -> None:
    response = create(client, name="Both", pasted=number(1), carrier_group="55")
    assert "has no contacts here" in response.context["form"].errors["carrier_group"][0]
    assert not ContactGroup.objects.exists()


def test_a_name_taken_meanwhile_is_said(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    make_group("Taken")
    monkeypatch.setattr(GroupForm, "validate_unique", lambda _: None)
    response = create(client, name="Taken", pasted=number(1))
    assert "is the name of contact group" in response.context["form"].errors["name"][0]
    assert not Import.objects.exists()


# --- Edit and delete -------------------------------------------------------------------------------------------------


def test_rename(client: Client, admin: User) -> None:
    group = make_group("Old")
    client.post(reverse("contact_group_edit", args=[group.pk]), {"name": "New"})
    group.refresh_from_db()
    assert group.name == "New"
    assert LogEntry.objects.get_for_object(group).first().changes["name"] == ["Old", "New"]


def test_rename_to_a_taken_name_says_whose_it_is(client: Client) -> None:
    taken, group = make_group("Taken"), make_group("Old")
    response = client.post(reverse("contact_group_edit", args=[group.pk]), {"name": "Taken"})
    assert f"“Taken” is the name of contact group {taken.pk} already." in text(response)
    assert ">Old<" in response.content.decode()


def test_a_group_with_contacts_is_not_made_a_carriers(client: Client) -> None:
    group = make_group("Ours", numbers=1)
    client.post(reverse("contact_group_edit", args=[group.pk]), {"name": "Ours", "carrier_group": "55"})
    group.refresh_from_db()
    assert not group.held_by_carrier


def test_a_carriers_group_keeps_a_reference(client: Client) -> None:
    group = make_group("Theirs", carrier_group="55")
    url = reverse("contact_group_edit", args=[group.pk])
    assert "carrier_group" in client.post(url, {"name": "Theirs", "carrier_group": ""}).context["form"].errors
    client.post(url, {"name": "Theirs", "carrier_group": "56"})
    group.refresh_from_db()
    assert group.carrier_group == "56"


def test_delete_asks_first_and_takes_the_contacts_along(client: Client, admin: User) -> None:
    group = make_group("Old", numbers=3)
    url = reverse("contact_group_delete", args=[group.pk])
    assert "its 3 contacts are deleted for good" in text(client.get(url))
    assert ContactGroup.objects.exists()
    response = client.post(url, follow=True)
    assert "Contact group “Old” deleted." in text(response)
    assert not ContactGroup.objects.exists()
    assert not Contact.objects.exists()
    entries = LogEntry.objects.filter(object_pk=str(group.pk), actor=admin, content_type__model="contactgroup")
    assert entries.filter(action=LogEntry.Action.DELETE).count() == 1
    assert "3 deleted with the group" in str([entry.changes for entry in entries])


def test_delete_is_refused_while_held_calls_need_the_group(client: Client, admin: User) -> None:
    group = make_group("Busy", numbers=3)
    call_group = make_call_group(admin, contact_groups=(group.pk,), campaign="Spring")
    url = reverse("contact_group_delete", args=[group.pk])
    for response in (client.get(url), client.post(url)):
        assert f"Call group {call_group.pk} , Spring: 3 calls held" in text(response)
    assert ContactGroup.objects.filter(pk=group.pk).exists()
    cancel(call_group.pk, admin)
    client.post(url)
    assert not ContactGroup.objects.filter(pk=group.pk).exists()
