"""What is exported can be imported again, and is the same."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calls.contacts.importing import Role
from calls.exports import work
from calls.models import Contact, ContactGroup, ExportFormat, Import, Suppression, SuppressionList, User
from tests.contacts.importing.helpers import contacts, csv_bytes, imported
from tests.factories import make_group, make_user, number

pytestmark = pytest.mark.django_db

TITLES = ["Number", "Name", "Custom reference", "City, state", "=x", 'say "hi"', "2024", "Größe\u2028"]
PLAIN = st.characters(codec="utf-8", exclude_categories=["Cc"])  # a file with others is taken for no text
TEXT = st.text(st.one_of(st.sampled_from("=+-@'\"\t\n\r,; \u00a0\uff1d01aé"), PLAIN), max_size=8)
CELLS = st.lists(TEXT, min_size=len(TITLES) - 1, max_size=len(TITLES) - 1)


@pytest.fixture
def boss() -> User:
    return make_user("admin")


def exported(user: User, kind: str, of: int, kind_of_file: str = "csv") -> bytes:
    with work.at_once(*work.asked_for(user, kind, of, "", ExportFormat(kind_of_file))) as file:
        return file.read()


def again(user: User, group: ContactGroup, kind_of_file: str) -> ContactGroup:
    """What its export gives when it is imported into an empty group, with the columns as guessed."""
    copy = make_group()
    data = exported(user, "contacts", group.pk, kind_of_file)
    assert imported(user, copy, data, filename=f"list.{kind_of_file}").layout["columns"][:3] == [
        Role.NUMBER,
        Role.NAME,
        Role.CUSTOM,
    ]
    return copy


@settings(max_examples=15)
@given(rows=st.lists(CELLS, min_size=1, max_size=6))
def test_a_group_is_the_same_after_export_and_import(rows: list[list[str]]) -> None:
    user = User.objects.filter(groups__name="admin").first() or make_user("admin")
    group = make_group()
    imported(user, group, csv_bytes([TITLES, *([number(i), *cells] for i, cells in enumerate(rows))]))
    found = contacts(group)
    assert len(found) == len(rows)
    assert contacts(again(user, group, "csv")) == found


@pytest.mark.parametrize("kind_of_file", ["csv", "xlsx"])
def test_either_kind_of_file_brings_a_group_back(boss: User, kind_of_file: str) -> None:
    group = make_group()
    extra: dict[str, Any] = {"City": "Leeds", "Order": "007", "Formula": "=1+1", "Sign": "-5", "Date": "2026-03-14"}
    Contact.objects.create(group=group, number=number(1), name='Asha "A" Rao, Dr', custom="0012", extra=extra)
    Contact.objects.create(group=group, number=number(2), custom="=HYPERLINK(1)", extra={"City": "1.50"})
    Contact.objects.create(group=group, number="+917410410123", name="अनिल", custom="+44 20")
    assert contacts(again(boss, group, kind_of_file)) == contacts(group)


def test_a_suppression_list_comes_back(boss: User) -> None:
    one, other = (SuppressionList.objects.create(name=name) for name in ("One", "Other"))
    Suppression.objects.create(list=one, number=number(1), reason="=Asked", source="Letter")
    Suppression.objects.create(list=one, number=number(2), reason="On the register, they say")
    done: Import = imported(boss, other, exported(boss, "numbers", one.pk))
    assert done.target == other
    of = {each: set(each.suppressions.values_list("number", "reason")) for each in (one, other)}
    assert of[one] == of[other]
