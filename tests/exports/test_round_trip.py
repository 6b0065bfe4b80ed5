"""What is exported can be imported again, and is the same."""

import re
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from calls.contacts.importing import Layout, Role, refused_lines, with_header
from calls.contacts.importing.cells import CUSTOM_LENGTH, EXTRA_LENGTH, clean
from calls.contacts.importing.layout import MAX_EXTRA, REASON_COLUMN
from calls.contacts.names import as_name
from calls.exports import work
from calls.models import Contact, ContactGroup, ExportFormat, Import, Suppression, SuppressionList, User
from tests.contacts.importing.helpers import contacts, csv_bytes, imported, received
from tests.factories import make_group, make_user, number

pytestmark = pytest.mark.django_db

TITLES = ["Number", "Name", "Custom reference", "City, state", "=x", 'say "hi"', "2024", "Größe\u2028"]
PLAIN = st.characters(codec="utf-8", exclude_categories=["Cc"])  # a file with others is taken for no text
TEXT = st.text(st.one_of(st.sampled_from("=+-@'\"\t\n\r,; \u00a0\uff1d01aé"), PLAIN), max_size=8)
CELLS = st.lists(TEXT, min_size=len(TITLES) - 1, max_size=len(TITLES) - 1)

HOSTILE = [
    "number", "Number", "name", "name 2", "Name", "custom reference", "Phone", "Mobile", "tel", "Full name", "id",
    "ref", "2026-11-23", "Paid 1,234,567", "+442079460009", "Column 4", "other columns", "reason", "a;b;c;d;e", "'=x",
    '="007"', "A" * 200,
]  # fmt: skip
STORED = st.one_of(TEXT, st.sampled_from([*HOSTILE, "'=1", "''=1", "'-5", "=1", "-5", "+44 20 7946 0777", number(777)]))
EXTRA = st.dictionaries(
    st.one_of(st.sampled_from(HOSTILE), TEXT).map(lambda text: clean(text, EXTRA_LENGTH)).filter(bool),
    STORED.map(lambda text: clean(text, EXTRA_LENGTH)).filter(bool),
    max_size=6,
)
CONTACTS = st.tuples(STORED.map(as_name), STORED.map(lambda text: clean(text, CUSTOM_LENGTH)), EXTRA)


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


@settings(max_examples=20)
@given(rows=st.lists(CONTACTS, min_size=1, max_size=6), kind_of_file=st.sampled_from(ExportFormat))
def test_whatever_its_columns_are_called(
    rows: list[tuple[str, str, dict[str, str]]], kind_of_file: ExportFormat
) -> None:
    user = User.objects.filter(groups__name="admin").first() or make_user("admin")
    group = make_group()
    for i, (name, custom, extra) in enumerate(rows):
        assume(kind_of_file == ExportFormat.CSV or not re.search("[\ufffe\uffff]", f"{name}{custom}{extra}"))
        assume(REASON_COLUMN not in extra)
        Contact.objects.create(group=group, number=number(i), name=name, custom=custom, extra=extra)
    assert contacts(again(user, group, kind_of_file)) == contacts(group)


@pytest.mark.parametrize("kind_of_file", ["csv", "xlsx"])
@pytest.mark.parametrize("title", HOSTILE)
def test_no_title_of_an_extra_column_is_taken_for_another(boss: User, title: str, kind_of_file: str) -> None:
    group = make_group()
    for i in range(3):
        Contact.objects.create(
            group=group, number=number(i), name="Asha", custom="r", extra={title: number(500 + i), "x": "=1"}
        )
    assert contacts(again(boss, group, kind_of_file)) == contacts(group)


def test_no_other_number_of_an_exported_contact_is_suppressed(boss: User) -> None:
    group, listed = make_group(), SuppressionList.objects.create(name="Register")
    Contact.objects.create(group=group, number=number(1), name="Asha", extra={"Mobile": number(501)})
    imported(boss, listed, exported(boss, "contacts", group.pk))
    assert list(listed.suppressions.values_list("number", "reason")) == [(number(1), "")]


def test_titles_that_are_pointed_at_are_read_in_the_same_way(boss: User) -> None:
    group = make_group()
    Contact.objects.create(group=group, number=number(1), extra={"Mobile": number(501)})
    import_ = received(boss, make_group(), exported(boss, "contacts", group.pk))
    layout = Layout.from_json(import_.layout)
    assert with_header(import_, layout, 1) == layout


def test_a_list_of_somebody_elses_with_such_titles_is_guessed(boss: User) -> None:
    group = make_group()
    imported(boss, group, csv_bytes([["number", "name", "custom reference", "Mobile"], ["1", "Asha", "", number(1)]]))
    assert contacts(group) == [(number(1), "Asha", "", {"number": "1"})]


def test_refused_rows_of_an_export_come_back_without_their_reason(boss: User) -> None:
    group = make_group()
    rows = [["number", "name", "custom reference", "Mobile"], [number(1), "Asha", "", "1"], ["12", "Ravi", "r", "=2"]]
    refused = b"".join(refused_lines(imported(boss, group, csv_bytes(rows))))
    imported(boss, group, refused.replace(b"\n12,", f"\n{number(2)},".encode()))
    assert contacts(group) == [(number(1), "Asha", "", {"Mobile": "1"}), (number(2), "Ravi", "r", {"Mobile": "=2"})]


@pytest.mark.parametrize("kind_of_file", ["csv", "xlsx"])
def test_all_columns_that_an_export_has_are_imported(boss: User, kind_of_file: str) -> None:
    group = make_group()
    Contact.objects.create(group=group, number=number(1), extra={f"c{i:03}": "v" for i in range(MAX_EXTRA)})
    assert contacts(again(boss, group, kind_of_file)) == contacts(group)
