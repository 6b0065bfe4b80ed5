"""Lists as people's programs write them, and as spreadsheets damage them: each imports to the last row."""

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, time
from typing import Any

import openpyxl
import pytest
import xlsxwriter

from calls.contacts.importing import Layout, Role, confirm, preview, receive, refused_lines
from calls.models import ContactGroup, User
from calls.models.importing import Existing
from tests.contacts.importing.helpers import contacts, csv_bytes, imported, received
from tests.factories import make_group, make_user, number

pytestmark = pytest.mark.django_db

ONE, TWO, THREE = number(1), number(2), number(3)


@pytest.fixture
def admin() -> User:
    return make_user("admin")


@pytest.fixture
def group() -> ContactGroup:
    return make_group("Members")


LIST = [["Name", "Mobile"], ["Asha", "020 7946 0001"], ["Ravi", "020 7946 0002"]]
BOTH = [(ONE, "Asha"), (TWO, "Ravi")]


def workbook(rows: list[list[Any]], change: Callable[[Any, Any], None] | None = None) -> bytes:
    """A workbook as openpyxl writes it; `change` is given it and its sheet."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet
    for row in rows:
        sheet.append(row)
    if change:
        change(book, sheet)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def named(group: ContactGroup) -> list[tuple[str, str]]:
    return [(number, name) for number, name, _, _ in contacts(group)]


@pytest.mark.parametrize(
    "text",
    [
        "Asha,02079460001\nRavi,02079460002\n",
        "name,mobile\nAsha,02079460001\nRavi,02079460002\n",
        "Mobile No.;Customer Name\r\n02079460001;Asha\r\n02079460002;Ravi\r\n",
        "Order number\tPhone\tName\n1234567\t020 7946 0001\tAsha\n1234568\t020 7946 0002\tRavi\n",
        '"Name"|"PhoneNumber"\n"Asha"|"020 7946 0001"\n"Ravi"|"020 7946 0002"\n',
        'sep=;\nName;Tel\nAsha;="02079460001"\nRavi;\'02079460002\n',
        "Contact,Phone 1\nAsha,02079460001\nRavi,02079460002",
        "नाम,मोबाइल\nAsha,02079460001\nRavi,02079460002",
        "02079460001 Asha\n02079460002 Ravi",
        "name,mobile\n\n,\nAsha,02079460001\n \nRavi,02079460002\n\n\x1a",
        "Name,Mobile\rAsha,02079460001\rRavi,02079460002\r",
        "Customers of 2026\n\nDepartment:,Sales\nName,Mobile\nAsha,02079460001\nRavi,02079460002\n",
    ],
)
def test_layouts_of_text_files(admin: User, group: ContactGroup, text: str) -> None:
    imported(admin, group, text.encode())
    assert named(group) == BOTH


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings(admin: User, group: ContactGroup, encoding: str) -> None:
    imported(admin, group, csv_bytes([["Name", "Mobile"], ["José आशा", ONE], ["Ravi", TWO]], encoding))
    assert named(group) == [(ONE, "José आशा"), (TWO, "Ravi")]


def test_old_and_mixed_encodings(admin: User, group: ContactGroup) -> None:
    imported(admin, group, csv_bytes([["José", ONE], ["Zoë", TWO]], "cp1252"))
    assert named(group) == [(ONE, "José"), (TWO, "Zoë")]
    mixed = csv_bytes([["आशा", number(3)]]) + csv_bytes([["José", number(4)]], "cp1252")
    import_ = received(admin, group, mixed)
    (warning,) = preview(import_, Layout.from_json(import_.layout)).warnings
    assert "not in UTF-8" in warning
    imported(admin, group, mixed)
    assert named(group)[2:] == [(number(3), "आशा"), (number(4), "José")]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (2079460001.0, [ONE]),
        (442079460001, [ONE]),
        ("4.42079460001E+11", [ONE]),
        ("02079460001.0", [ONE]),
        ("'02079460001", [ONE]),
        ("\xa0020\xa07946\xa00001", [ONE]),
        ("02079460001".translate({ord(digit): ord(digit) + 0xFEE0 for digit in "0123456789"}), [ONE]),
        ("02079460001 / 02079460002", [ONE, TWO]),
        ("9.19876E+11", []),
        ("02079460001 / 12345", []),
        (datetime(2026, 1, 2), []),  # noqa: DTZ001 - as a sheet has it
        (date(2026, 1, 2), []),
        (time(10, 30), []),
        (True, []),
        ("", []),
        (1.5, []),
    ],
)
def test_cells_of_workbooks(admin: User, group: ContactGroup, cell: Any, expected: list[str]) -> None:
    import_ = imported(admin, group, workbook([["Name", "Mobile"], ["Asha", cell], ["Uma", THREE]]))
    assert named(group) == [*((number, "Asha") for number in expected), (THREE, "Uma")]
    assert import_.counts["refused"] == (0 if expected else 1)


def test_titles_above_and_merged_headers(admin: User, group: ContactGroup) -> None:
    def merge(_: Any, sheet: Any) -> None:
        sheet.merge_cells("A1:D1")
        sheet.merge_cells("B3:C3")

    rows: list[list[Any]] = [
        ["Contact list of the shop, number 17"],
        [],
        [None, "Contact", None, "Address"],
        [None, "Name", "Mobile", "City"],
        [1, "Asha", "020 7946 0001", "Pune"],
        [],
        [2, "Ravi", "020 7946 0002", None],
    ]
    import_ = imported(admin, group, workbook(rows, merge))
    assert contacts(group) == [(ONE, "Asha", "", {"City": "Pune"}), (TWO, "Ravi", "", {})]
    assert import_.counts["rows"] == 2


def test_formulas_dates_and_figures(admin: User, group: ContactGroup) -> None:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out) as book:
        sheet = book.add_worksheet()
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        sheet.write_row(0, 0, ["Mobile", "Reference", "Joined", "Amount", "Error"])
        sheet.write_formula(1, 0, '="0207946"&"0001"', None, "02079460001")
        sheet.write(1, 1, 4711)
        sheet.write_datetime(1, 2, datetime(2026, 1, 2), day)  # noqa: DTZ001 - as a sheet has it
        sheet.write(1, 3, 12.5)
        sheet.write_formula(1, 4, "=1/0", None, "#DIV/0!")
        sheet.write_formula(2, 0, "=A1", None, "#REF!")
    import_ = imported(admin, group, out.getvalue())
    ((number, _, custom, extra),) = contacts(group)
    assert (number, custom) == (ONE, "4711")
    assert extra["Joined"] == "2026-01-02"
    assert extra["Amount"] == "12.5"
    assert import_.counts["refused"] <= 1


def test_only_the_first_visible_sheet_with_rows(admin: User, group: ContactGroup) -> None:
    def add(book: Any, sheet: Any) -> None:
        sheet.title = "Empty"
        for title, state, rows in (
            ("Hidden", "hidden", [["9"]]),
            ("Right", "visible", LIST),
            ("More", "visible", LIST),
        ):
            other = book.create_sheet(title)
            other.sheet_state = state
            for row in rows:
                other.append(row)

    data = workbook([], add)
    import_ = received(admin, group, data)
    (warning,) = preview(import_, Layout.from_json(import_.layout)).warnings
    assert "“Right”" in warning
    assert "“More”" in warning
    imported(admin, group, data)
    assert named(group) == BOTH


@pytest.mark.parametrize("filename", ["list.csv", "list.txt", "list", "list.xlsx.pdf"])
def test_the_content_says_what_kind_of_file_it_is(admin: User, group: ContactGroup, filename: str) -> None:
    imported(admin, group, workbook(LIST), filename=filename)
    assert named(group) == BOTH


def test_text_named_as_a_workbook(admin: User, group: ContactGroup) -> None:
    imported(admin, group, csv_bytes(LIST), filename="list.xlsx")
    assert named(group) == BOTH


def test_several_columns_of_numbers_and_names(admin: User, group: ContactGroup) -> None:
    import_ = received(admin, group, f"{ONE},{TWO}\n,{THREE}\n{number(4)},bad\n".encode())
    guessed = Layout.from_json(import_.layout)
    # One of them may have the numbers of orders: the person says.
    assert guessed.columns == (Role.SKIP, Role.SKIP)
    assert "No column looks like one of phone numbers. Say which one it is." in preview(import_, guessed).warnings
    confirm(import_, replace(guessed, columns=(Role.NUMBER, Role.NUMBER)), Existing.SKIP)
    assert [number for number, _ in named(group)] == [ONE, TWO, THREE]
    imported(admin, group, csv_bytes([["Last Name", "First Name", "Mobile"], ["Rao", "Asha", number(5)]]))
    assert named(group)[3:] == [(number(5), "Asha Rao")]


def test_several_numbers_beside_a_name_in_pasted_rows(admin: User, group: ContactGroup) -> None:
    asked = receive(admin, group, pasted=f"Asha\t{ONE}\t2079461001\nRavi\t{TWO}\t2079461002\n")
    guessed = Layout.from_json(asked.layout)
    assert (guessed.kind, guessed.columns) == ("csv", (Role.NAME, Role.SKIP, Role.SKIP))
    # Where there is nothing else, or each has its name, all are meant.
    for text in (f"{ONE}, {TWO}\n{THREE}, {number(4)}", f"Asha, {ONE}, Ravi, {TWO}\nUma, {THREE}, Om, {number(4)}"):
        everything = receive(admin, group, pasted=text)
        confirm(everything, Layout.from_json(everything.layout), Existing.REPLACE)
        assert [which for which, _ in named(group)] == [ONE, TWO, THREE, number(4)]


@pytest.mark.parametrize("titles", ["Column 1,Column 2", ","])
def test_refused_rows_of_a_list_without_titles_come_back(admin: User, group: ContactGroup, titles: str) -> None:
    imported(admin, group, f"{titles},not added because\nAsha,{ONE},too short\nRavi,{TWO},12 has letters\n".encode())
    assert contacts(group) == [(ONE, "Asha", "", {}), (TWO, "Ravi", "", {})]


@pytest.mark.parametrize("title", ["Reference", "Customer ID", "client_id", "MemberId", "Account ID", "ID"])
def test_what_the_other_program_calls_a_contact_is_its_reference(admin: User, group: ContactGroup, title: str) -> None:
    imported(admin, group, csv_bytes([[title, "Mobile"], ["A-1", ONE]]))
    assert group.contacts.get().custom == "A-1"


def test_a_large_damaged_list_to_the_last_row(admin: User, group: ContactGroup) -> None:
    shapes: list[Callable[[str], tuple[Any, bool | None]]] = [
        lambda e164: (e164, True),
        lambda e164: (float(e164), True),
        lambda e164: (f"'{e164}", True),
        lambda e164: (f"0{e164[3:5]} {e164[5:9]} {e164[9:]}", True),
        lambda e164: (f"{float(e164):.5E}", False),
        lambda e164: (e164[:-3], False),
        lambda e164: (number(0), None),  # repeats the first row
    ]
    rows, good = [["Name", "Mobile", "City"]], []
    expected: dict[bool | None, int] = {True: 0, False: 0, None: 0}
    for i in range(2_100):
        cell, outcome = shapes[i % len(shapes)](number(i))
        rows.append([f"Person {i}", cell, "Pune"])
        expected[outcome] += 1
        if outcome:
            good.append((number(i), f"Person {i}", "", {"City": "Pune"}))
    import_ = imported(admin, group, workbook(rows))
    assert contacts(group) == good
    assert [import_.counts[what] for what in ("rows", "accepted", "refused", "duplicate", "added")] == [
        2_100,
        expected[True],
        expected[False],
        expected[None],
        expected[True],
    ]
    assert sum(import_.reasons.values()) == expected[False]
    lines = b"".join(refused_lines(import_)).decode("utf-8-sig").splitlines()
    assert len(lines) == 1 + expected[False]
    assert lines[0] == "Name,Mobile,City,not added because"


def test_reasons_of_the_same_kind_are_counted_together(admin: User, group: ContactGroup) -> None:
    cells = ["98765432.10", "98765432.11", "442079000000", "442078000000", "9178753953/6"]
    import_ = imported(admin, group, csv_bytes([["Mobile"], *([cell] for cell in cells), [ONE]]))
    assert sorted(import_.reasons.values()) == [1, 2, 2]
