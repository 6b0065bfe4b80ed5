"""What spreadsheets do to phone numbers, and which of it is repaired."""

from datetime import date, datetime, time, timedelta

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from calls.contacts.numbers import normalise
from calls.contacts.repair import Cell, CellValue, read_cell
from tests.factories import number

INDIAN = "+918123456789"
ONE, TWO = "+442079460001", "+442079460002"
FULL_WIDTH = {ord(char): ord(char) + 0xFEE0 for char in "+0123456789"}


@pytest.mark.parametrize(
    ("value", "region"),
    [
        ("020 7946 0001", "GB"),
        ("(020) 7946-0001", "GB"),
        ("020/7946/0001", "GB"),
        ("+44 20 7946 0001", "IN"),
        ("00442079460001", "IN"),
        (" 02079460001\n", "GB"),
        ("02079460001,", "GB"),
        ("02079460001 / -", "GB"),
        ("_x000D_02079460001", "GB"),
        ('="02079460001"', "GB"),
        # Number cells keep neither the 0 nor the "+"; without them these still are numbers of the region.
        (2079460001.0, "GB"),
        (2079460001, "GB"),
        (442079460001.0, "GB"),
    ],
)
def test_well_written_numbers_need_no_repair(value: CellValue, region: str) -> None:
    assert read_cell(value, region) == Cell((ONE,))


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        ("8123456789.0", '".0" removed'),
        ("8123456789,00", '",00" removed'),
        ("+918123456789.0", '".0" removed'),
        ("9.18123456789E+11", "9.18123456789E+11 written out"),
        ("9,18123456789e11", "9,18123456789e11 written out"),
        ("918.123456789E+9", "918.123456789E+9 written out"),
        ("9.1812345678900E+11", "9.1812345678900E+11 written out"),
        ("8,123,456,789", "thousands separators removed"),
        ("8,12,34,56,789.00", "thousands separators removed"),
        ("'8123456789", "apostrophe removed"),
        ("\u20198123456789'", "apostrophe removed"),
        ('"8123456789"', "quotes removed"),
        ("81234\xa056789", "unusual spaces replaced"),
        ("8123456789\xa0", "unusual spaces replaced"),
        ("8123\u200b456789", "invisible characters removed"),
        ("\ufeff8123456789", "invisible characters removed"),
        ("8123456789".translate(FULL_WIDTH), "digits of another script replaced"),
        ("+918123456789".translate(FULL_WIDTH), "digits of another script replaced"),
        ("८१२३४५६७८९", "digits of another script replaced"),
        ("tel:+91-81234-56789", '"tel:" removed'),
        ("Tel. 8123456789", '"Tel." removed'),
        ("Mobile No.: 8123456789", '"Mobile No.:" removed'),
        ("'\u200b8123456789\xa0", "invisible characters removed, unusual spaces replaced, apostrophe removed"),
        ("\u200b8123456789.0", 'invisible characters removed, ".0" removed'),
    ],
)
def test_damage_that_is_certain_is_repaired_and_named(text: str, repaired: str) -> None:
    assert read_cell(text, "IN") == Cell((INDIAN,), repaired)


@pytest.mark.parametrize(
    ("value", "region", "expected", "repaired"),
    [
        # The 0 is part of Italian landlines and Ivorian numbers; Hungary dials 06.
        (236618300.0, "IT", "+390236618300", "lost 0 put back"),
        ("236618300", "IT", "+390236618300", "lost 0 put back"),
        ("2366 18300", "IT", "+390236618300", "lost 0 put back"),
        (701234567.0, "CI", "+2250701234567", "lost 0 put back"),
        ("612345678", "HU", "+3612345678", "lost 0 put back"),
        (442079460001.0, "IN", ONE, "lost + put back"),
        ("442079460001", "IN", ONE, "lost + put back"),
        ("442079460001", "US", ONE, "lost + put back"),
        ("442079460001", "RU", ONE, "lost + put back"),
        ("918123456789", "GB", INDIAN, "lost + put back"),
    ],
)
def test_a_lost_0_or_plus_is_put_back_where_one_number_comes_out(
    value: CellValue, region: str, expected: str, repaired: str
) -> None:
    assert read_cell(value, region) == Cell((expected,), repaired)


@pytest.mark.parametrize(
    ("text", "region", "reason"),
    [
        # A digit too many, not a number of Japan; one of London typed with a digit more, not one of Washington.
        ("81234567890", "IN", "not a number that exists in IN"),
        ("12025550123", "IN", "not a number that exists in IN"),
        ("12025550123", "GB", "too long: 11 digits"),
        # Russia dials 8 first: this could be 11 digits and one too many.
        ("849123456789", "RU", "wrong length: 12 digits"),
        # 91 with a wrong digit and one too many, a digit or the 9 of an outside line before a number of the region.
        ("928123456789", "IN", "not a number that exists in IN"),
        ("9918123456789", "IN", "not a number that exists in IN"),
        ("202079460001", "GB", "too long: 12 digits"),
        ("912025550123", "US", "too long: 12 digits"),
        # German numbers have almost any length.
        ("12025550123", "DE", "not a number that exists in DE"),
        ("861012345678", "KR", "861012345678 has lost a 0 or a +: it could be +821012345678 or +861012345678"),
    ],
)
def test_nothing_is_put_back_that_could_ring_somebody_else(text: str, region: str, reason: str) -> None:
    assert read_cell(text, region) == Cell((), reason=reason)


@pytest.mark.parametrize("region", ["IN", "GB", "US", "DE", "RU", "BR", "IT", "AU", "SG", "FR"])
def test_one_mistyped_digit_never_rings_abroad(region: str) -> None:
    example = phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE)
    assert example
    national = phonenumbers.national_significant_number(example)
    local = phonenumbers.normalize_digits_only(phonenumbers.format_number(example, PhoneNumberFormat.NATIONAL))
    code = f"+{example.country_code}"
    for written in {national, local, f"{code[1:]}{national}"}:
        for i in range(len(written) + 1):
            before, after = written[:i], written[i:]
            mistakes = [before + after[1:], *(before + d + rest for d in "0123456789" for rest in (after, after[1:]))]
            cells = [read_cell(mistake, region) for mistake in mistakes]
            assert all(number.startswith(code) for cell in cells for number in cell.numbers if cell.repaired)


def test_nothing_is_put_back_into_text_that_may_be_something_else() -> None:
    cell = read_cell("442079460001", "IN", put_back=False)
    assert cell == Cell((), reason="not a number that exists in IN")
    assert read_cell("8123456789.0", "IN", put_back=False).numbers == (INDIAN,)


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        ("020 7946 0001 / 020 7946 0002", "2 numbers in one cell"),
        ("02079460001/02079460002", "2 numbers in one cell"),
        ("020 7946 0001, 020 7946 0002", "2 numbers in one cell"),
        ("020 7946 0001; 020 7946 0002;", "2 numbers in one cell"),
        ("020 7946 0001 | 020 7946 0002", "2 numbers in one cell"),
        ("020 7946 0001 & 020 7946 0002", "2 numbers in one cell"),
        ("020 7946 0001 or 020 7946 0002", "2 numbers in one cell"),
        ("020 7946 0001 AND 020 7946 0002", "2 numbers in one cell"),
        ("020 7946 0001\n020 7946 0002", "2 numbers in one cell"),
        ("020 7946 0001_x000D_\n020 7946 0002", "2 numbers in one cell"),
        ("02079460001 02079460002", "2 numbers in one cell"),
        ("020 7946 0001 - 020 7946 0002", "2 numbers in one cell"),
        ("Tel: 020 7946 0001 / Mob: 020 7946 0002", '"Tel:" removed, 2 numbers in one cell, "Mob:" removed'),
        ("020 7946 0001 / 020 7946 0002 / 020 7946 0001", "2 numbers in one cell"),
    ],
)
def test_several_numbers_in_one_cell(text: str, repaired: str) -> None:
    assert read_cell(text, "GB") == Cell((ONE, TWO), repaired)


def test_the_same_number_twice_is_one() -> None:
    assert read_cell("020 7946 0001 / +44 20 7946 0001", "GB") == Cell((ONE,), "the same number more than once")


def test_a_slash_within_a_number_divides_nothing() -> None:
    assert read_cell("030/123456", "DE").numbers == ("+4930123456",)
    # The second part would be a number by itself, the first would not.
    assert read_cell("089/2345678", "DE").numbers == ("+49892345678",)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "empty"),
        ("abc", "has letters, no digits"),
        ("fax 020 7946 0001", "has letters"),
        ("020 7946 0001 / 2", '"2" beside a number: too short: 1 digit'),
        ("020 7946 0001 or ask", '"ask" beside a number: has letters, no digits'),
        (", ".join([ONE] * 21), "has 21 parts; at most 20 numbers can be in one cell"),
        ("1" * 1001, "too long: 1001 characters"),
        ("020 7946 0001 ext. 5", "has an extension, which can't be dialled"),
        ("020 7946 0001,,5", "has an extension, which can't be dialled"),
        ("tel:+44-20-7946-0001;ext=5", "has an extension, which can't be dialled"),
        ("4.42079E+11", "4.42079E+11 is a rounded figure: the spreadsheet has lost digits"),
        # The last digit isn't shown; it need not be 0.
        ("4.4207946000E+11", "4.4207946000E+11 is a rounded figure: the spreadsheet has lost digits"),
        ("########", "######## stands for a number that the spreadsheet's column was too narrow to show"),
        ("#N/A", "#N/A is an error of a formula in the spreadsheet"),
        (True, "TRUE is not a number to call"),
        (float("nan"), "nan is not a whole number"),
        (float("inf"), "inf is not a whole number"),
        (2079460001.5, "2079460001.5 is not a whole number"),
        (-7946.0, "-7946 is below 0: the spreadsheet has calculated with what was typed"),
        (4.42079460001e16, "4.42079460001e+16 has more than 15 digits: the spreadsheet has lost the others"),
        (10**400, "a number without end has more than 15 digits: the spreadsheet has lost the others"),
        (45292.0, "too short: 5 digits, the area code is missing"),
    ],
)
def test_refused_cells_say_what_came_and_why(value: CellValue, reason: str) -> None:
    assert read_cell(value, "GB") == Cell((), reason=reason)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("2024-01-02", "2024-01-02 is a date"),
        ("2024-01-02 00:00:00", "2024-01-02 00:00:00 is a date"),
        ("01/02/2024", "01/02/2024 is a date"),
        ("31.12.24", "31.12.24 is a date"),
        ("12/31/2024 5:30 PM", "12/31/2024 5:30 PM is a date"),
        ("12-Mar-24", "12-Mar-24 is a date"),
        ("12 March 2024", "12 March 2024 is a date"),
        ("Mar-45", "Mar-45 is a date"),
        (date(2024, 1, 2), "2024-01-02 is a date"),
        (datetime(2024, 1, 2, 3, 4), "2024-01-02 03:04:00 is a date"),  # noqa: DTZ001 - as a spreadsheet has it
        (time(20, 7), "20:07:00 is a time"),
        (timedelta(hours=20), "20:00:00 is a time"),
    ],
)
# Denmark has numbers that look like these dates.
@pytest.mark.parametrize("region", ["GB", "DK"])
def test_dates_are_no_numbers(value: CellValue, said: str, region: str) -> None:
    reason = f"{said}: the spreadsheet took the number for one, or it is another column"
    assert read_cell(value, region) == Cell((), reason=reason)


def test_a_danish_number_in_pairs_is_no_date() -> None:
    assert read_cell("20-24-01-02", "DK") == Cell(("+4520240102",))


@given(st.integers(0, 13_999), st.integers(0, 14))
def test_a_figure_gives_the_number_or_none_however_much_it_was_rounded(i: int, decimals: int) -> None:
    e164 = number(i)
    cell = read_cell(f"{int(e164[1:]):.{decimals}E}", "GB")
    assert cell.numbers == ((e164,) if decimals >= 11 else ())


@given(
    st.integers(0, 13_999).map(number),
    st.sampled_from([str, float, int, "{}.0", "'{}", "{}\xa0", "\u200b{}", '"{}"', "tel:{}", "{},", "{0} / {0}"]),
)
def test_every_damage_of_one_kind_is_undone(e164: str, damage: str | type) -> None:
    value = damage.format(e164) if isinstance(damage, str) else damage(e164[1:])
    assert read_cell(value, "GB").numbers == (e164,)


@given(
    st.text()
    | st.text(alphabet="0123456789+-() .,/;E'\"\xa0\u200b٣\nor")
    | st.integers()
    | st.floats()
    | st.integers(10**6, 10**15),
    st.sampled_from(["IN", "GB", "US", "IT", "DE", "XX"]),
    st.booleans(),
)
def test_any_cell_gives_numbers_or_a_reason(value: CellValue, region: str, put_back: bool) -> None:
    cell = read_cell(value, region, put_back=put_back)
    assert bool(cell.numbers) != bool(cell.reason)
    assert not (cell.reason and cell.repaired)
    assert len(cell.reason) < 300
    assert cell.reason.isprintable()
    assert cell.repaired.isprintable()
    assert len(set(cell.numbers)) == len(cell.numbers)
    assert all(normalise(each, region) == each for each in cell.numbers)
