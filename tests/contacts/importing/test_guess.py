"""Which column has the numbers: that of an ID or of an order rings at strangers."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.contacts.importing.guess import guess_columns, guess_header
from calls.contacts.importing.layout import Role
from calls.contacts.repair import CellValue
from tests.factories import number

ROWS = 60
NUMBER, NAME, CUSTOM, EXTRA, SKIP = Role.NUMBER, Role.NAME, Role.CUSTOM, Role.EXTRA, Role.SKIP


def order(i: int) -> str:
    """The number of an order that could be one of London."""
    return f"207946{1000 + i}"


def columns(
    titles: Sequence[str], *cells: Sequence[CellValue], suppression: bool = False, region: str = "GB"
) -> tuple[Role, ...]:
    """What is guessed of a list with these titles, if any, and these columns."""
    rows: list[tuple[int, Sequence[CellValue]]] = list(enumerate(zip(*cells, strict=True), start=2))
    if titles:
        rows.insert(0, (1, titles))
    header = guess_header(rows, region)
    assert header == (1 if titles else 0)
    return guess_columns(rows[1:] if titles else rows, titles, region, suppression=suppression)


NUMBERS = [number(i) for i in range(ROWS)]
BLANK = ["", *NUMBERS[1:]]
DAMAGED: list[CellValue] = ["4.42079E+11"] * ROWS
ORDERS = [order(i) for i in range(ROWS)]
NAMES = [f"Person {chr(65 + i % 26)}" for i in range(ROWS)]


@pytest.mark.parametrize(
    "other",
    [
        *("Account Number", "Order Number", "Order No.", "Contact ID", "Invoice Number", "Aadhaar Number", "Number"),
        *("S.No", "Customer Number", "GST no", "accountnumber", "Phone ID", "Contact", "Emergency contact", "Anything"),
        *("Alternate Mobile", "Father's phone", "Fax", "Mobile Operator", "No."),
    ],
)
@pytest.mark.parametrize("title", ["Mobile", "Phone", "WhatsApp No.", "MOBILE_NO", "Contact number", "Telefon"])
def test_the_surest_title_has_the_numbers_however_damaged(title: str, other: str) -> None:
    for cells in (NUMBERS, BLANK, DAMAGED):
        assert columns([other, title], ORDERS, cells)[1] is NUMBER
        assert columns([title, other], cells, ORDERS)[0] is NUMBER
        assert columns([other, title], ORDERS, cells).count(NUMBER) == 1


@pytest.mark.parametrize(
    "title",
    [
        *("Telefon", "Teléfono", "Telefone", "Numero", "Número", "Handy", "Handynummer", "Kontakt", "No.", "Rufnummer"),
        *("Mobilnummer", "Contact no", "Mob.", "MOBILE_NO", "mobileNo", "PHONE1", "Phn", "Tel.", "Cell #", "Téléphone"),
        *("Portable", "Celular", "Móvil", "whatsapp", "WhatsApp", "contactnumber", "customermobile", "मोबाइल", "फ़ोन"),
        *("Account Phone", "Order phone"),
    ],
)
def test_titles_of_numbers(title: str) -> None:
    assert columns(["Name", "Order", title], NAMES, ORDERS, NUMBERS) == (NAME, EXTRA, NUMBER)


def test_within_a_group_of_titles_more_numbers_count() -> None:
    assert columns(["Phone", "Mobile"], ["", *ORDERS[1:]], NUMBERS)[1] is NUMBER
    assert columns(["Phone 1", "Phone 2"], NUMBERS, ORDERS) == (NUMBER, EXTRA)
    assert columns(["Mobile", "Contact"], [""] * ROWS, NUMBERS)[1] is NUMBER
    assert columns(["Alternate Mobile", "Number"], ORDERS, NUMBERS)[1] is NUMBER
    assert columns(["No.", "Kunde", "Xyz"], [str(i) for i in range(ROWS)], NAMES, NUMBERS)[2] is NUMBER


def test_none_of_several_columns_of_numbers_without_a_title_that_tells() -> None:
    assert columns([], NAMES, NUMBERS, ORDERS) == (NAME, SKIP, SKIP)
    assert columns([], NAMES, NUMBERS) == (NAME, NUMBER)
    assert columns([], NAMES, DAMAGED, [*DAMAGED[1:], ONE_NUMBER]) == (NAME, SKIP, NUMBER)
    assert columns(["Name", "Foo", "Bar"], NAMES, NUMBERS, ORDERS) == (NAME, EXTRA, EXTRA)
    assert columns(["Name", "Foo", "Bar"], NAMES, NUMBERS, NAMES) == (NAME, NUMBER, EXTRA)
    assert columns(["Name", "Order", "Bar"], NAMES, ORDERS, NUMBERS) == (NAME, EXTRA, NUMBER)
    assert columns(["Name", "Order ID"], NAMES, ORDERS) == (NAME, EXTRA)
    # Digits that are a number only with something put back are as likely something else.
    assert columns(["Name", "Foo"], NAMES, [f"8610123456{i:02}" for i in range(ROWS)]) == (NAME, EXTRA)


def test_numbers_that_have_lost_their_plus_are_no_reason_to_take_those_of_orders() -> None:
    # For German numbers nobody can tell them from others: each is refused, while digits of any length are a number.
    lost: list[CellValue] = [f"4915228817{300 + i}" for i in range(ROWS)]
    orders: list[CellValue] = [f"{4809616565 + i}" for i in range(ROWS)]
    for title, other in [("Contact", "Case number"), ("Number", "Foo"), ("Contact", "Bar")]:
        assert columns([title, other], lost, orders, region="DE")[0] is NUMBER
        assert columns([other, title], orders, lost, region="DE")[1] is NUMBER
    assert columns(["Foo", "Bar"], lost, orders, region="DE") == (EXTRA, EXTRA)
    assert columns([], lost, orders, region="DE") == (SKIP, SKIP)
    assert NUMBER not in columns(["Foo", "Case number"], lost, orders, region="DE")
    assert NUMBER not in columns(["Foo", "Job no."], NAMES, ORDERS)
    assert columns(["Foo", "Bar"], lost, NUMBERS) == (EXTRA, EXTRA)


@pytest.mark.parametrize("title", ["HP", "Primary", "Called", "Anything"])
def test_numbers_of_somebody_else_are_not_taken_where_there_may_be_those_of_the_contacts(title: str) -> None:
    for other in ("Agent Mobile", "Father's phone", "Manager phone"):
        assert NUMBER not in columns([title, other], NUMBERS, ORDERS)
        assert columns(["Name", other], NAMES, NUMBERS) == (NAME, NUMBER)


ONE_NUMBER = number(99)


@pytest.mark.parametrize(
    "first",
    [
        ("Asha", ONE_NUMBER),
        ("Asha", ""),
        ("Asha", "none"),
        ("Asha", "9.1E+11"),
        ("Asha", "O2079460001"),
        ("Person B", "no"),
        ("", "ask"),
        (1.0, "x"),
    ],
)
def test_a_first_row_that_may_be_one_of_the_list_has_no_titles(first: tuple[CellValue, CellValue]) -> None:
    rows = [(1, first), *enumerate(zip(NAMES, [*NUMBERS[1:], "no"], strict=True), start=2)]
    assert guess_header(rows, "GB") == 0


def test_a_name_above_numbers_is_no_title() -> None:
    assert guess_header([(1, ["Front desk"]), (2, [number(1)]), (3, [number(2)])], "GB") == 0


REASON = "not added because"


@pytest.mark.parametrize("titles", [["Column 1", "Column 2", REASON], ["", "", REASON], [REASON, "", "Column 9"]])
def test_refused_rows_of_a_list_without_titles_are_guessed_by_content(titles: list[str]) -> None:
    reasons = [f"{order(0)} has letters"] * ROWS
    cells = iter([NAMES, NUMBERS])
    roles = iter([NAME, NUMBER])
    expected = tuple(SKIP if title == REASON else next(roles) for title in titles)
    assert columns(titles, *(reasons if title == REASON else next(cells) for title in titles)) == expected


def test_reasons_of_refused_rows_are_left_out_beside_titles() -> None:
    assert columns(["Name", "Mobile", REASON], NAMES, DAMAGED, ["has letters"] * ROWS) == (NAME, NUMBER, SKIP)
    found = columns(["Reason", "Mobile", REASON], NAMES, NUMBERS, NAMES, suppression=True)
    assert found == (Role.REASON, NUMBER, SKIP)
    assert columns(["Reference", "Mobile"], ORDERS, NUMBERS) == (CUSTOM, NUMBER)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["", "Name", "Foo", "Order No", "Contact", "Number", "Alternate Mobile", "ID"]),
            st.sampled_from([NAMES, NUMBERS, BLANK, ORDERS, DAMAGED, [""] * ROWS]),
        ),
        max_size=4,
    ),
    st.integers(0, 4),
    st.booleans(),
)
def test_one_column_at_most_and_the_one_named_mobile(
    others: list[tuple[str, list[CellValue]]], place: int, suppression: bool
) -> None:
    assert columns_of(others, suppression).count(NUMBER) <= 1
    others.insert(place, ("Mobile", [*BLANK]))
    found = columns_of(others, suppression)
    assert found.count(NUMBER) == 1
    assert [title for title, _ in others][found.index(NUMBER)] == "Mobile"


def columns_of(titled: list[tuple[str, list[CellValue]]], suppression: bool) -> tuple[Role, ...]:
    rows = list(enumerate(zip(*(cells for _, cells in titled), strict=True), start=2))
    return guess_columns(rows, [title for title, _ in titled], "GB", suppression=suppression)
