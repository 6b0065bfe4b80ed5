"""Rows whose cells are not where they should be: no other column is taken for the number, and no row is lost."""

import csv
import io
from dataclasses import replace

import openpyxl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from calls.contacts.importing import Layout, Role, UploadError, confirm, preview, refused_lines
from calls.contacts.importing.reading import BESIDE, BEYOND, CUSTOM_TOO_LONG
from calls.contacts.importing.sheets import NOT_CALCULATED
from calls.contacts.importing.text import NOT_CLOSED, TAKES_IN_ROWS
from calls.models import ContactGroup, Import, User
from calls.models.importing import Existing
from tests.contacts.importing.helpers import contacts, csv_bytes, imported, received
from tests.factories import make_group, make_user, number

pytestmark = pytest.mark.django_db

few = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def admin() -> User:
    return make_user("admin")


@pytest.fixture
def group() -> ContactGroup:
    return make_group("Members")


def numbers(group: ContactGroup) -> list[str]:
    return [which for which, _, _, _ in contacts(group)]


# The order is a number that can be called, too: another one's.
ORDERS = [f"Person {i},{number(50 + i)},{number(i)}" for i in range(30)]
SHIFTED = f"Rao, Uma,{number(98)},{number(99)}"


@pytest.mark.parametrize("place", [0, 29])
@pytest.mark.parametrize("titles", ["Name,Order,Mobile", "Name,Order,Mobile,,"])
def test_an_unquoted_separator_makes_no_call_to_another_column(
    admin: User, group: ContactGroup, place: int, titles: str
) -> None:
    lines = [titles, *ORDERS[:place], SHIFTED, *ORDERS[place:]]
    import_ = imported(admin, group, "\n".join(lines).encode())
    assert numbers(group) == [number(i) for i in range(30)]
    assert import_.reasons == {BEYOND: 1}
    # As it is, it is refused again; once the separator is gone, it is imported.
    refused = b"".join(refused_lines(import_)).decode()
    assert imported(admin, group, refused.encode()).counts["refused"] == 1
    imported(admin, group, refused.replace("Rao, Uma", "Uma Rao").encode())
    assert contacts(group)[30:] == [(number(99), "Uma Rao", "", {"Order": number(98)})]


def test_a_shifted_row_of_a_workbook(admin: User, group: ContactGroup) -> None:
    book = openpyxl.Workbook()
    assert book.active
    for row in (["Name", "Order", "Mobile"], ["Rao", "Uma", number(98), number(99)], ["Om", "", number(1)]):
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    import_ = imported(admin, group, out.getvalue())
    assert (numbers(group), import_.reasons) == ([number(1)], {BESIDE: 1})


@pytest.mark.parametrize("place", [5, 150])
def test_without_titles_what_few_rows_have_is_no_column(admin: User, group: ContactGroup, place: int) -> None:
    lines = [f"Person {i},{number(i)}" for i in range(200)]
    lines.insert(place, f"Rao,{number(300)},{number(301)}")
    import_ = imported(admin, group, "\n".join(lines).encode())
    assert numbers(group) == [number(i) for i in range(200)]
    assert import_.reasons == {BEYOND: 1}
    assert number(301) in b"".join(refused_lines(import_)).decode()


def test_without_titles_a_column_may_be_empty_in_many_rows(admin: User, group: ContactGroup) -> None:
    lines = [f"P,{number(2 * i)}" + f",{number(2 * i + 1)}" * (i % 3 == 0) for i in range(9)]
    import_ = received(admin, group, "\n".join(lines).encode())
    layout = Layout.from_json(import_.layout)
    assert layout.columns == (Role.NAME, Role.SKIP, Role.SKIP)  # two that look like numbers: a person has to say
    confirm(import_, replace(layout, columns=(Role.NAME, Role.NUMBER, Role.NUMBER)), Existing.SKIP)
    assert import_.counts["added"] == 12


def test_a_cell_far_beside_the_list(admin: User, group: ContactGroup) -> None:
    lines = ["Mobile", *map(number, range(150)), f"{number(200)}{',' * 700}x", f"{number(201)}{',' * 700}"]
    import_ = imported(admin, group, "\n".join(lines).encode())
    assert (numbers(group)[150:], import_.reasons) == ([number(201)], {BEYOND: 1})


@pytest.mark.parametrize(
    ("row", "name", "reason"),
    [
        (f'"Raju" Rao,{number(1)}', "Raju Rao", ""),
        (f'Raju "RR" Rao,{number(1)}', 'Raju "RR" Rao', ""),
        (f'"Raju ""RR"" Rao",{number(1)}', 'Raju "RR" Rao', ""),
        (f'"Raju\nRao",{number(1)}', "Raju Rao", ""),
        (f'Raju,{number(1)},"12, Mill Road\nPune, India"', "Raju", ""),
        (f'"Raju" "Rao,{number(1)}', "", NOT_CLOSED),
        (f'"6" wide, 7" long",{number(1)}', "", NOT_CLOSED),
        (f'"Raju,{number(1)}\nOm",{number(3)}', "", TAKES_IN_ROWS),
        (f'"Raju,{number(1)}\nUma,{number(3)}\nOm",{number(4)}', "", TAKES_IN_ROWS),
    ],
)
def test_quotes_that_are_not_as_they_should_be(
    admin: User, group: ContactGroup, row: str, name: str, reason: str
) -> None:
    import_ = imported(admin, group, f"Name,Mobile,Address\n{row}\nZoe,{number(2)}\n".encode())
    read = [(number(1), name)] if name else []
    assert [each[:2] for each in contacts(group)] == [*read, (number(2), "Zoe")]
    assert import_.reasons == ({reason: 1} if reason else {})
    assert import_.counts["rows"] == 2


def test_a_quote_that_is_not_closed_in_the_last_line(admin: User, group: ContactGroup) -> None:
    import_ = imported(admin, group, f'Name,Mobile\nZoe,{number(2)}\n"Om,{number(1)}\n'.encode())
    assert (numbers(group), import_.reasons) == ([number(2)], {NOT_CLOSED: 1})
    (row,) = import_.not_taken.all()
    assert (row.line, row.cells) == (3, [f'"Om,{number(1)}'])


CELLS = st.text(alphabet='ab", ', max_size=8)


@pytest.mark.parametrize("ending", ["", '" "'])
def test_a_damaged_row_that_nobody_mended_calls_no_number_of_another_column(
    admin: User, group: ContactGroup, ending: str
) -> None:
    damaged = f'{number(2)},"{number(52)}{ending}'
    lines = ["Mobile,Order", *(f"{number(i)},{number(60 + i)}" for i in range(10, 20)), damaged]
    first = imported(admin, group, "\n".join(lines).encode())
    assert first.counts["refused"] == 1
    again = imported(admin, group, b"".join(refused_lines(first)))
    assert again.counts["refused"] == 1
    assert numbers(group) == [number(i) for i in range(10, 20)]
    mended = saved(again)
    mended[1] = [number(2), number(52), *[""] * (len(mended[1]) - 3), mended[1][-1]]
    assert imported(admin, group, csv_bytes(mended)).counts["added"] == 1
    assert numbers(group)[-1] == number(2)


def saved(import_: Import) -> list[list[str]]:
    """The file of refused rows as a spreadsheet shows it."""
    return list(csv.reader(io.StringIO(b"".join(refused_lines(import_)).decode("utf-8-sig"))))


def test_a_shifted_row_that_was_mended_in_a_spreadsheet(admin: User, group: ContactGroup) -> None:
    """What stood beyond the columns stands under the reason, and the reason beside it."""
    data = f"Name,Mobile\nAsha,{number(1)}\nRao, Uma,{number(2)}\n"
    rows = saved(imported(admin, group, data.encode()))
    assert imported(admin, group, csv_bytes(rows)).counts["refused"] == 1
    rows[1][:3] = ["Uma Rao", number(2), ""]
    assert imported(admin, group, csv_bytes(rows)).counts["added"] == 1


def test_free_text_in_a_cell_that_was_empty(admin: User, group: ContactGroup) -> None:
    asked = received(admin, group, f"ID;Contact\n7;Asha {number(1)}\n8;\n".encode())
    layout = replace(Layout.from_json(asked.layout), columns=(Role.SKIP, Role.TEXT))
    confirm(asked, layout, Existing.SKIP)
    rows = saved(asked)
    rows[1][0] = f"Uma {number(2)}"
    assert imported(admin, group, csv_bytes(rows)).counts["added"] == 1


@few
@example(names=['"a', "b", 'c"'])
@example(names=['"a', 'b" x'])
@example(names=["a, b", '"a" b'])
@example(names=['"', ',"'])
@given(names=st.lists(CELLS, min_size=1, max_size=6))
def test_no_row_is_lost_or_read_for_another_one_however_badly_it_is_quoted(admin: User, names: list[str]) -> None:
    group = make_group()
    lines = [f"{name},{number(50 + i)},{number(i)}" for i, name in enumerate(names)]
    try:
        import_ = imported(admin, group, "\n".join(["Name,Order,Mobile", *lines]).encode())
    except UploadError:
        return
    if import_.state == "failed":
        assert '(")' in import_.error
        return
    counts = import_.counts
    assert counts["rows"] == counts["accepted"] + counts["refused"] + counts["duplicate"]
    given_numbers = numbers(group)
    assert set(given_numbers) <= {number(i) for i in range(len(names))}
    refused = " ".join(cell for row in import_.not_taken.all() for cell in row.cells)
    assert all(number(i) in given_numbers or number(i) in refused for i in range(len(names)))


def test_what_is_too_long_is_refused_or_said(admin: User, group: ContactGroup) -> None:
    rows = [
        ["Mobile", "Reference", "Note", "Name"],
        [number(1), "x" * 65, "", ""],
        [number(2), "x" * 64, "n" * 201, "N" * 101],
        [number(3), "", "n" * 200, f'"{"N" * 100}"'],
        [number(4), "", "n" * 200, f"N{' ' * 200}N"],
        ["12", "x" * 65, "", ""],
    ]
    import_ = imported(admin, group, csv_bytes(rows))
    assert numbers(group) == [number(i) for i in (2, 3, 4)]
    assert import_.reasons == {CUSTOM_TOO_LONG: 1, "too short: 2 digits": 1}
    assert import_.repairs == {"name cut to 100 characters": 1, "extra column cut to 200 characters": 1}
    pasted = received(admin, group, f"{'N' * 150} {number(5)}\n".encode(), "list.txt")
    (row,) = preview(pasted, Layout.from_json(pasted.layout)).rows
    assert (row.numbers, row.repaired) == ((number(5),), "name cut to 100 characters")


def test_what_was_repaired_is_counted(admin: User, group: ContactGroup) -> None:
    rows = [["Mobile"], ["'02079460001"], ["02079460002"], ["4.42079460003E+11"], ["4.42079460004E+11"]]
    rows.append(["02079460005 / 02079460006 / 02079460007"])
    import_ = imported(admin, group, csv_bytes(rows))
    assert import_.counts["added"] == 7
    assert import_.repairs["written out"] == 2
    assert import_.repairs["numbers in one cell"] == 1
    assert sum(import_.repairs.values()) <= 6


def test_the_preview_tells_of_rows_further_down(admin: User, group: ContactGroup) -> None:
    rows = [["Mobile"], *([number(i)] for i in range(100)), *(["12"] for _ in range(30)), ["02079460001.0"]]
    shown = preview(import_ := received(admin, group, csv_bytes(rows)), Layout.from_json(import_.layout))
    assert (len(shown.rows), shown.looked_at, shown.refused, shown.repaired) == (20, 131, 30, 1)
    assert [row.line for row in shown.further] == [*range(102, 112), 132]


def formulas(*rows: tuple[str, str]) -> bytes:
    """A workbook as programs write it: its formulas have no values."""
    book = openpyxl.Workbook()
    assert book.active
    for row in rows:
        book.active.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_formulas_that_were_never_calculated(admin: User, group: ContactGroup) -> None:
    data = formulas(
        ("Name", "Mobile"), ('="A"&"b"', '="02079"&"460002"'), ("Zoe", number(1)), ('="C"', number(3)), ("", "=B3")
    )
    import_ = received(admin, group, data)
    (warning,) = preview(import_, Layout.from_json(import_.layout)).warnings
    assert warning.startswith("The sheet has 4 formulas that were never calculated")
    import_ = imported(admin, group, data)
    assert (numbers(group), import_.reasons) == ([number(1), number(3)], {NOT_CALCULATED: 2})
    assert list(import_.not_taken.values_list("line", flat=True)) == [2, 5]
