"""While an import holds its target, pages that would change that say so after a moment, and nothing typed is lost."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from calls.contacts import busy
from calls.contacts.combine import Combination
from calls.models import Combining, Contact, ContactGroup, GroupChange, Import, Suppression, SuppressionList, User
from calls.views import contacts
from tests.contacts.pages import text
from tests.factories import client_for, make_group, make_user, number

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def group() -> ContactGroup:
    return make_group("Members", 1)


@pytest.fixture
def own() -> SuppressionList:
    return SuppressionList.objects.create(name="Register")


@pytest.fixture
def _import_runs(group: ContactGroup, own: SuppressionList, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another session has locked the group and the list, as an import does."""
    monkeypatch.setattr(busy, "PATIENCE", "20ms")
    other = connection.copy()
    other.set_autocommit(False)
    with other.cursor() as cursor:
        cursor.execute("SELECT FROM calls_contactgroup WHERE id = %s FOR NO KEY UPDATE", [group.pk])
        cursor.execute("SELECT FROM calls_suppressionlist WHERE id = %s FOR NO KEY UPDATE", [own.pk])
    yield
    other.rollback()
    other.close()


@pytest.fixture
def client() -> Client:
    return client_for(make_user("admin", "boss"))


@pytest.mark.usefixtures("_import_runs")
def test_pages_do_not_wait_for_an_import(client: Client, group: ContactGroup, own: SuppressionList) -> None:
    contact = group.contacts.get()
    typed = {"number": number(7), "name": "Typed by hand", "custom": ""}
    edited = {"name": "Typed by hand", "category": "other"}
    for url, fields in {
        reverse("contact_new", args=[group.pk]): typed,
        reverse("contact_edit", args=[group.pk, contact.pk]): typed,
        reverse("contact_delete", args=[group.pk, contact.pk]): {},
        reverse("contact_group_edit", args=[group.pk]): {"name": "Typed by hand"},
        reverse("contact_group_delete", args=[group.pk]): {},
        reverse("suppression_list_edit", args=[own.pk]): edited,
        reverse("suppression_list_delete", args=[own.pk]): {},
    }.items():
        assert client.get(url).status_code == 200
        response = client.post(url, fields)
        assert response.status_code == 200, url
        assert "is running, or another change of many rows. Nothing was saved" in text(response), url
        assert not fields or 'value="Typed by hand"' in response.content.decode(), url
    group.refresh_from_db()
    assert (group.name, group.contacts.get()) == ("Members", contact)


@pytest.mark.usefixtures("_import_runs")
def test_combining_waits_no_longer(client: Client, group: ContactGroup) -> None:
    what = Combination(Combining.REMOVE, (make_group("Others", 1).pk,), target=group.pk)
    change = GroupChange.objects.create(
        owner=group.created_by or make_user("admin"), kind=what.kind, group=group, parameters=what.as_json(), typed={},
        state="counted", counts={"listed": 1, "removed": 1, "kept": 0},
    )  # fmt: skip
    boss = client_for(change.owner)
    response = boss.post(reverse("group_change_confirm", args=[change.pk]), follow=True)
    assert "An import into “Members” is running" in text(response)
    change.refresh_from_db()
    assert (change.state, group.contacts.count()) == ("counted", 1)


def test_a_number_is_not_taken_off_while_its_list_is_changed(
    client: Client, own: SuppressionList, request: pytest.FixtureRequest
) -> None:
    row = Suppression.objects.create(list=own, number=number(1), reason="Asked")
    request.getfixturevalue("_import_runs")
    response = client.post(reverse("suppression_remove", args=[own.pk, row.pk]))
    assert "An import into “Register” is running" in text(response)
    assert Suppression.objects.exists()


@pytest.mark.parametrize("name", ["contact_group_edit", "contact_edit"])
def test_what_an_import_did_meanwhile_is_kept(
    client: Client, group: ContactGroup, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """An import ends between the form's rows being read and the lock."""
    contact, lock = group.contacts.get(), contacts._lock

    def after_an_import(pk: int) -> None:
        Contact.objects.filter(pk=contact.pk).update(extra={"City": "Pune"})
        Contact.objects.create(group=group, number=number(2))
        lock(pk)

    monkeypatch.setattr(contacts, "_lock", after_an_import)
    url = reverse(name, args=[group.pk] if name == "contact_group_edit" else [group.pk, contact.pk])
    assert client.post(url, {"name": "Renamed", "number": number(0)}).status_code == 302
    group.refresh_from_db()
    contact.refresh_from_db()
    assert "Renamed" in (group.name, contact.name)
    assert (group.size, contact.extra) == (2, {"City": "Pune"})


def test_a_deleted_group_leaves_no_files(client: Client, group: ContactGroup) -> None:
    client.post(reverse("contact_group_import", args=[group.pk]), {"pasted": number(1)})
    path = Path(group.imports.get().file.path)
    assert path.exists()
    client.post(reverse("contact_group_delete", args=[group.pk]))
    assert not path.exists()
    assert not Import.objects.exists()


@pytest.mark.usefixtures("_import_runs")
@pytest.mark.parametrize("kind", [Combining.SPLIT, Combining.REMOVE])
def test_a_group_change_names_the_group_that_is_busy(client: Client, group: ContactGroup, kind: Combining) -> None:
    other, user = make_group("Others", 2), User.objects.get(username="boss")
    what = {
        Combining.SPLIT: Combination(kind, (group.pk,), name="Part", most=1),
        Combining.REMOVE: Combination(kind, (group.pk,), target=other.pk),
    }[kind]
    change = GroupChange.objects.create(
        owner=user, kind=kind, group=other, parameters=what.as_json(), typed={}, state="counted"
    )
    page = client.post(reverse("group_change_confirm", args=[change.pk]), follow=True)
    assert "An import into “Members” is running" in text(page)
    change.refresh_from_db()
    assert change.state == "counted"
