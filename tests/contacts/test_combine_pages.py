"""The pages that combine and split contact groups: forms, preview, confirmation, and large ones in a worker."""

from datetime import timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.db import OperationalError
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob
from psycopg.errors import DiskFull

from calls import tasks
from calls.contacts import changes
from calls.models import Contact, ContactGroup, GroupChange, User
from tests.contacts.pages import dead_links, text
from tests.factories import client_for, make_group, make_user, number

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> User:
    return make_user("admin")


@pytest.fixture
def client(admin: User) -> Client:
    return client_for(admin)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any group is large."""
    monkeypatch.setattr(changes, "INLINE_LIMIT", 0)


def form_of(group: ContactGroup, kind: str) -> str:
    return reverse("contact_group_combine_form", args=[group.pk, kind])


def asked(client: Client, group: ContactGroup, kind: str, **typed: Any) -> GroupChange:
    """Fill in the form, which must be right."""
    response = client.post(form_of(group, kind), typed)
    assert response.status_code == 302, text(response)
    change = GroupChange.objects.latest("created_at")
    assert response["Location"] == reverse("group_change", args=[change.pk])
    return change


def shown(client: Client, change: GroupChange) -> str:
    page = client.get(reverse("group_change", args=[change.pk]))
    assert page.status_code == 200
    assert not dead_links(page)
    return text(page)


def confirm(client: Client, change: GroupChange, expect: int = 302) -> Any:
    response = client.post(reverse("group_change_confirm", args=[change.pk]))
    assert response.status_code == expect
    change.refresh_from_db()
    return response


def numbers(group: ContactGroup) -> set[str]:
    return set(group.contacts.values_list("number", flat=True))


# --- What is offered -------------------------------------------------------------------------------------------------


def test_the_groups_page_leads_to_all_kinds(client: Client) -> None:
    group = make_group("Customers", 2)
    url = reverse("contact_group_combine", args=[group.pk])
    assert url in client.get(reverse("contact_group", args=[group.pk])).content.decode()
    page = client.get(url).content.decode()
    for kind in ("copy", "merge", "split", "difference", "intersection", "remove"):
        assert form_of(group, kind) in page
        assert client.get(form_of(group, kind)).status_code == 200


def test_who_makes_no_groups_is_offered_what_makes_none() -> None:
    group, other = make_group("Customers", 2), make_group("Others", 1)
    client = client_for(make_user("operator"))
    page = client.get(reverse("contact_group_combine", args=[group.pk])).content.decode()
    assert [kind for kind in ("copy", "merge", "split", "remove") if form_of(group, kind) in page] == [
        "merge",
        "remove",
    ]
    form = client.get(form_of(group, "merge"))
    assert "A new contact group" not in text(form)
    typed = {"groups": [other.pk], "first": group.pk, "into": "new", "name": "Mine"}
    refused = client.post(form_of(group, "merge"), typed)
    assert refused.status_code == 200
    assert not GroupChange.objects.exists()
    change = asked(client, group, "merge", **typed | {"into": "existing", "target": other.pk})
    confirm(client, change)
    assert numbers(other) == numbers(group)


def test_viewers_are_not_offered_any() -> None:
    group = make_group("Customers", 2)
    client = client_for(make_user("viewer"))
    assert "Combine" not in text(client.get(reverse("contact_group", args=[group.pk])))


def test_a_group_held_by_the_carrier_can_t_be_combined(client: Client) -> None:
    held, group = make_group("Vips", carrier_group="vips"), make_group("Customers", 2)
    assert "Combine" not in text(client.get(reverse("contact_group", args=[held.pk])))
    url = reverse("contact_group_combine", args=[held.pk])
    assert "The carrier holds “Vips”" in text(client.get(url))
    assert client.post(form_of(held, "copy"), {"name": "New"})["Location"] == url
    response = client.post(form_of(group, "remove"), {"groups": [held.pk]})
    assert "The carrier holds “Vips”: its contacts are not here" in text(response)
    merge = {"groups": [held.pk], "first": group.pk, "into": "existing", "target": held.pk}
    assert text(client.post(form_of(group, "merge"), merge)).count("The carrier holds “Vips”") >= 2
    assert not GroupChange.objects.exists()


# --- From the form to the result -------------------------------------------------------------------------------------


def test_a_merge_is_previewed_confirmed_and_told(client: Client, admin: User) -> None:
    a, b = make_group("Winter", [number(1), number(2)]), make_group("Summer", [number(2), number(3)])
    b.contacts.update(name="of summer")
    change = asked(client, a, "merge", groups=[b.pk], first=b.pk, into="new", name="All year")
    preview = shown(client, change)
    assert "What would happen" in preview
    assert "To be copied 3" in preview
    assert "Not copied 1 in several groups, copied once" in preview
    assert preview.index("Summer") < preview.rindex("Winter")
    assert not ContactGroup.objects.filter(name="All year").exists()
    confirm(client, change)
    done = shown(client, change)
    assert "3 contacts copied, 1 not." in done
    made = ContactGroup.objects.get(name="All year")
    assert (made.size, made.created_by) == (3, admin)
    assert made.contacts.get(number=number(2)).name == "of summer"
    assert LogEntry.objects.get_for_object(made).latest("pk").actor == admin


def test_pressed_twice_it_is_done_once(client: Client) -> None:
    change = asked(client, make_group("Customers", 2), "copy", name="Copy")
    confirm(client, change)
    confirm(client, change)
    assert ContactGroup.objects.count() == 2
    client.post(reverse("group_change_cancel", args=[change.pk]))
    assert "2 contacts copied." in shown(client, change)


def test_a_split_lists_its_parts(client: Client) -> None:
    change = asked(client, make_group("Customers", 5), "split", name="Wave", most="2")
    assert "New groups 3" in shown(client, change)
    confirm(client, change)
    page = shown(client, change)
    for part, size in (("Wave 1 of 3", "2 contacts"), ("Wave 2 of 3", "2 contacts"), ("Wave 3 of 3", "1 contact")):
        assert f"{part} : {size}" in page


def test_removing_says_that_it_is_for_good(client: Client) -> None:
    group, other = make_group("Customers", [number(1), number(2)]), make_group("Called", [number(2)])
    change = asked(client, group, "remove", groups=[other.pk])
    page = shown(client, change)
    assert "Remove 1 contact" in page
    assert "for good" in page
    confirm(client, change)
    assert "1 contact removed, 1 kept." in shown(client, change)
    assert numbers(group) == {number(1)}


@pytest.mark.parametrize("kind", ["difference", "intersection"])
def test_where_nothing_would_change_there_is_nothing_to_confirm(client: Client, kind: str) -> None:
    other = make_group("Other", [number(1)] if kind == "difference" else [number(2)])
    change = asked(client, make_group("Customers", [number(1)]), kind, groups=[other.pk], name="New")
    page = client.get(reverse("group_change", args=[change.pk]))
    assert "Nothing would change" in text(page)
    assert reverse("group_change_confirm", args=[change.pk]) not in page.content.decode()


def test_it_can_be_dropped_and_filled_in_again(client: Client) -> None:
    group, other = make_group("Customers", 2), make_group("Other", 1)
    change = asked(client, group, "merge", groups=[other.pk], first=other.pk, into="new", name="Both")
    client.post(reverse("group_change_cancel", args=[change.pk]))
    assert "Nothing was changed." in shown(client, change)
    confirm(client, change)
    assert ContactGroup.objects.count() == 2
    form = client.get(f"{form_of(group, 'merge')}?change={change.pk}").content.decode()
    assert 'value="Both"' in form
    assert f'<option value="{other.pk}" selected>' in form


def test_a_change_is_its_makers_alone(client: Client) -> None:
    group = make_group("Customers", 2)
    change = asked(client, group, "copy", name="Copy")
    other = client_for(make_user("admin"))
    for name in ("group_change", "group_change_confirm", "group_change_cancel"):
        url = reverse(name, args=[change.pk])
        response = other.get(url) if name == "group_change" else other.post(url)
        assert response.status_code == 404
    assert 'value="Copy"' not in other.get(f"{form_of(group, 'copy')}?change={change.pk}").content.decode()


# --- Bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["copy", "merge", "difference", "intersection"])
def test_a_name_that_is_taken_is_said_at_the_field_and_nothing_typed_is_lost(client: Client, kind: str) -> None:
    group, other = make_group("Customers", 2), make_group("Taken", 1)
    typed = {"name": "Taken", "groups": [other.pk], "first": other.pk, "into": "new"}
    page = client.post(form_of(group, kind), typed)
    assert f"“Taken” is the name of contact group {other.pk} already." in text(page)
    html = page.content.decode()
    assert 'value="Taken"' in html
    assert kind == "copy" or f'value="{other.pk}" id="id_groups_0" checked' in html.replace(
        'checked id="id_groups_0"', 'id="id_groups_0" checked'
    ).replace('aria-invalid="true" ', "")


@pytest.mark.parametrize(
    ("kind", "typed", "message"),
    [
        ("copy", {}, "Name of the new group : This field is required."),
        ("copy", {"name": "123"}, "is all digits"),
        ("copy", {"name": "a,b"}, "has a comma"),
        ("copy", {"name": "a\0b"}, "Null characters are not allowed."),
        ("copy", {"name": "N" * 101}, "at most 100 characters"),
        ("split", {"name": "Wave", "most": "0"}, "greater than or equal to 1"),
        ("split", {"name": "Wave", "most": "many"}, "Enter a whole number."),
        ("split", {"name": "Wave", "most": "9" * 30}, "less than or equal to"),
        ("split", {"name": "Wave", "most": "3"}, "The group has 3 contacts: all would be in one part."),
        ("split", {"name": "W" * 100, "most": "1"}, "Type a shorter name."),
        ("split", {"name": "Taken", "most": "2"}, "“Taken 2 of 2” is the name of contact group"),
        ("difference", {"name": "New"}, "That are not in : This field is required."),
        ("remove", {"groups": ["0"]}, "0 is not one of the available choices."),
        ("remove", {"groups": ["nonsense"]}, "is not a valid value"),
        ("remove", {"groups": ["9" * 40]}, "is not one of the available choices."),
        ("merge", {"groups": ["OTHER"], "first": "OTHER", "into": "new"}, "Type the name of the new contact group."),
        ("merge", {"groups": ["OTHER"], "first": "OTHER", "into": "existing"}, "Choose the contact group that"),
        ("merge", {"groups": ["OTHER"], "first": "THIRD", "into": "existing", "target": "OTHER"}, "is not among"),
        ("merge", {"groups": ["OTHER"], "first": "OTHER", "into": "nowhere"}, "nowhere is not one of the available"),
    ],
)
def test_what_can_t_be_done_is_said_at_the_field(
    client: Client, kind: str, typed: dict[str, Any], message: str
) -> None:
    group, taken = make_group("Customers", 3), make_group("Taken 2 of 2", 1)
    named = {"OTHER": str(taken.pk), "THIRD": str(make_group("Third").pk)}

    def fill(value: Any) -> Any:
        return [named.get(each, each) for each in value] if isinstance(value, list) else named.get(value, value)

    page = client.post(form_of(group, kind), {name: fill(value) for name, value in typed.items()})
    assert page.status_code == 200
    assert message in text(page)
    assert not GroupChange.objects.exists()


def test_groups_that_one_may_not_see_are_no_choice() -> None:
    mine, hidden = make_group("Mine", 2), make_group("Hidden", 2)
    client = client_for(make_user("operator", uses_all_contact_groups=False, contact_groups=[mine]))
    assert "Hidden" not in text(client.get(form_of(mine, "remove")))
    page = client.post(form_of(mine, "remove"), {"groups": [hidden.pk]})
    assert "is not one of the available choices" in text(page)
    assert client.get(form_of(hidden, "remove")).status_code == 404


def test_a_name_taken_since_the_preview_shows_the_form_again(client: Client) -> None:
    group = make_group("Customers", 2)
    change = asked(client, group, "copy", name="Copy")
    other = make_group("Copy")
    page = confirm(client, change, expect=200)
    assert f"“Copy” is the name of contact group {other.pk} already." in text(page)
    assert 'value="Copy"' in page.content.decode()
    assert f'action="{form_of(group, "copy")}"' in page.content.decode()
    other.delete()
    confirm(client, change)
    assert ContactGroup.objects.get(name="Copy").size == 2


def test_a_group_deleted_since_the_preview_is_said(client: Client) -> None:
    group, other = make_group("Customers", 2), make_group("Other", 2)
    change = asked(client, group, "remove", groups=[other.pk])
    gone = other.pk
    other.delete()
    response = client.post(reverse("group_change_confirm", args=[change.pk]), follow=True)
    assert f"Contact group {gone} was deleted meanwhile" in response.content.decode()
    group.delete()
    assert change.kind == "remove"
    shown(client, change)
    assert client.post(reverse("group_change_confirm", args=[change.pk])).status_code == 302


# --- Large ones ------------------------------------------------------------------------------------------------------


def job(change: GroupChange) -> ProcrastinateJob:
    """The job that waits for a worker, which now begins it."""
    found: ProcrastinateJob = ProcrastinateJob.objects.get(task_name="calls.tasks.change_groups", status="todo")
    assert found.lock == f"group-change-{change.pk}"
    ProcrastinateJob.objects.filter(pk=found.pk).update(status="succeeded")
    return found


def run(change: GroupChange) -> None:
    tasks.change_groups(**job(change).args)
    change.refresh_from_db()


def test_a_large_one_is_counted_and_done_in_a_worker(client: Client, admin: User, large: None) -> None:
    group = make_group("Customers", 3)
    change = asked(client, group, "copy", name="Copy")
    assert "Looking at 3 contacts." in shown(client, change)
    run(change)
    assert "To be copied 3" in shown(client, change)
    confirm(client, change)
    confirm(client, change)
    assert "Waits for a worker." in shown(client, change)
    assert ContactGroup.objects.count() == 1
    run(change)
    assert "3 contacts copied." in shown(client, change)
    made = ContactGroup.objects.get(name="Copy")
    entry = LogEntry.objects.get_for_object(made).latest("pk")
    assert (entry.actor, entry.remote_addr) == (admin, "127.0.0.1")


def test_while_it_is_done_the_page_says_since_when(client: Client, large: None) -> None:
    change = asked(client, make_group("Customers", 3), "copy", name="Copy")
    GroupChange.objects.filter(pk=change.pk).update(state="running", started_at=timezone.now())
    page = client.get(reverse("group_change", args=[change.pk]))
    assert "At work since" in text(page)
    assert "hx-trigger" in page.content.decode()
    assert reverse("group_change_cancel", args=[change.pk]) not in page.content.decode()
    client.post(reverse("group_change_cancel", args=[change.pk]))
    change.refresh_from_db()
    assert change.state == "running"
    assert "It was too late to cancel." in client.get(reverse("group_change", args=[change.pk])).content.decode()


@pytest.mark.parametrize("counted", [False, True])
def test_while_it_waits_it_can_be_cancelled(client: Client, large: None, counted: bool) -> None:
    change = asked(client, make_group("Customers", 3), "copy", name="Copy")
    if counted:
        run(change)
        confirm(client, change)
    client.post(reverse("group_change_cancel", args=[change.pk]))
    run(change)
    assert change.state == "cancelled"
    assert ContactGroup.objects.count() == 1
    assert "Nothing was changed." in shown(client, change)


def test_one_that_a_crash_interrupted_is_done_again(client: Client, large: None) -> None:
    change = asked(client, make_group("Customers", 3), "copy", name="Copy")
    run(change)
    confirm(client, change)
    job(change)
    long_ago = timezone.now() - timedelta(minutes=1)
    GroupChange.objects.filter(pk=change.pk).update(state="running", created_at=long_ago, started_at=long_ago)
    tasks.sweep(0)
    run(change)
    assert change.state == "done"
    assert Contact.objects.count() == 6
    entry = LogEntry.objects.get_for_object(ContactGroup.objects.get(name="Copy")).latest("pk")
    assert entry.remote_addr == "127.0.0.1"


def test_one_whose_group_has_grown_since_is_done_in_a_worker(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    group = make_group("Customers", 3)
    change = asked(client, group, "copy", name="Copy")
    monkeypatch.setattr(changes, "INLINE_LIMIT", 3)
    Contact.objects.create(group=group, number=number(3))
    confirm(client, change)
    assert (change.state, change.expected) == ("waiting", 4)
    run(change)
    assert change.state == "done"


@pytest.mark.parametrize("state", ["counting", "waiting"])
def test_one_that_lost_its_job_gets_another(client: Client, large: None, state: str) -> None:
    change = asked(client, make_group("Customers", 3), "copy", name="Copy")
    tasks.sweep(0)
    job(change)
    GroupChange.objects.filter(pk=change.pk).update(created_at=timezone.now() - timedelta(days=3), state=state)
    tasks.sweep(0)
    assert job(change).args["change_id"] == str(change.pk)


def test_what_goes_wrong_in_a_worker_is_said_and_can_be_mended(client: Client, large: None) -> None:
    group = make_group("Customers", 3)
    change = asked(client, group, "copy", name="Copy")
    run(change)
    confirm(client, change)
    make_group("Copy")
    run(change)
    page = client.get(reverse("group_change", args=[change.pk]))
    assert "Not done “Copy” is the name of contact group" in text(page)
    again = f"{form_of(group, 'copy')}?change={change.pk}"
    assert again in page.content.decode()
    assert "is the name of contact group" in text(client.get(again))


def test_a_full_disk_is_said(client: Client, large: None, monkeypatch: pytest.MonkeyPatch) -> None:
    change = asked(client, make_group("Customers", 3), "copy", name="Copy")

    def full(*_: Any) -> None:
        raise OperationalError from DiskFull()

    monkeypatch.setattr(changes, "counts", full)
    run(change)
    assert "The disk of the database is full. Nothing was changed." in shown(client, change)


def test_a_full_disk_is_said_of_a_small_one_too(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    change = asked(client, make_group("Customers", 3), "copy", name="Copy")

    def full(*_: Any) -> None:
        raise OperationalError from DiskFull()

    monkeypatch.setattr(changes, "carry_out", full)
    confirm(client, change)
    assert change.state == "counted"
    assert "The disk of the database is full. Nothing was changed." in shown(client, change)


def test_a_lost_connection_is_tried_again(client: Client, large: None, monkeypatch: pytest.MonkeyPatch) -> None:
    change = asked(client, make_group("Customers", 3), "copy", name="Copy")

    def broken(*_: Any) -> None:
        raise OperationalError

    monkeypatch.setattr(changes, "counts", broken)
    with pytest.raises(OperationalError):
        run(change)
    change.refresh_from_db()
    assert change.state == "counting"


def test_old_ones_are_forgotten(client: Client) -> None:
    change = asked(client, make_group("Customers", 3), "copy", name="Copy")
    GroupChange.objects.filter(pk=change.pk).update(created_at=timezone.now() - timedelta(days=31))
    recent = asked(client, make_group("Others", 3), "copy", name="Copy")
    tasks.tidy(0)
    assert list(GroupChange.objects.values_list("pk", flat=True)) == [recent.pk]
