"""What spreadsheets do to phone numbers, and which of it is repaired."""

from datetime import date, datetime, time, timedelta

import phonenumbers
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat, PhoneNumberType

from calls.contacts.entries import read_pasted
from calls.contacts.numbers import find, normalise
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
        ("55800123456", "BR", "+55800123456", "lost + put back"),
    ],
)
def test_a_lost_0_or_the_plus_of_the_country_is_put_back_where_one_number_comes_out(
    value: CellValue, region: str, expected: str, repaired: str
) -> None:
    assert read_cell(value, region) == Cell((expected,), repaired)


@pytest.mark.parametrize("value", [364346681.0, 364346681, "364346681", "364346681.0"])
def test_an_italian_landline_without_its_0_may_be_a_mobile(value: CellValue) -> None:
    reason = "364346681 may have lost a 0: it could be +39364346681 or +390364346681"
    assert read_cell(value, "IT") == Cell((), reason=reason)
    assert read_cell("0364 346681", "IT").numbers == ("+390364346681",)
    assert read_cell("364 346681", "IT").numbers == ("+39364346681",)
    assert read_cell(3123456789.0, "IT").numbers == ("+393123456789",)


@pytest.mark.parametrize(
    ("value", "region", "reason"),
    [
        # Numbers without area code, of identity cards and of orders would ring somebody in Austria, Germany or Japan.
        ("43577464", "IN", "not a number that exists in IN"),
        (49596860.0, "IN", "not a number that exists in IN"),
        ("81234567890", "IN", "not a number that exists in IN"),
        ("12025550123", "IN", "not a number that exists in IN"),
        ("12025550123", "GB", "too long: 11 digits"),
        ("12025550123", "DE", "not a number that exists in DE"),
        (442079460001.0, "IN", "not a number that exists in IN"),
        ("442079460001", "US", "too long: 12 digits"),
        ("918123456789", "GB", "too long: 12 digits"),
        ("861012345678", "KR", "not a number that exists in KR"),
    ],
)
def test_the_plus_of_another_country_is_not_put_back(value: CellValue, region: str, reason: str) -> None:
    reason = f"{reason}; if it has lost its +, write it with the +"
    assert read_cell(value, region) == Cell((), reason=reason)


@pytest.mark.parametrize(
    ("text", "region", "reason"),
    [
        # With a "+" it would be one of Russia only because an 8 is taken off.
        ("789012345678", "IN", "not a number that exists in IN"),
        ("849123456789", "RU", "wrong length: 12 digits"),
        ("9918123456789", "IN", "not a number that exists in IN"),
        ("202079460001", "GB", "too long: 12 digits"),
        # With what is behind the number of the region.
        ("8610567890-91", "IN", "not a number that exists in IN"),
        ("8210123456-78", "IN", "not a number that exists in IN"),
        # Of Cologne, with a 0 behind the country code, or in Apen.
        ("49022144058", "DE", "49022144058 has lost a 0 or a +: it could be +4949022144058 or +4922144058"),
        ("61133000", "CG", "61133000 has lost a 0 or a +: it could be +242061133000 or +61133000"),
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


@given(st.integers(10**6, 10**15 - 1), st.sampled_from(["IN", "GB", "US", "DE", "RU", "IT", "SG", "CG"]))
def test_digits_never_ring_abroad_for_want_of_a_plus(digits: int, region: str) -> None:
    code = f"+{phonenumbers.country_code_for_region(region)}"
    # With the prefix for calls abroad (011 in the United States) nothing is lost.
    for cell in (read_cell(float(digits), region), read_cell(str(digits), region)):
        assert all(e164.startswith(code) or not cell.repaired for e164 in cell.numbers)


def lost_plus() -> list[tuple[str, str]]:
    """Numbers of all regions without their "+", each with the region, by the examples of phonenumbers."""
    return [
        (region, phonenumbers.format_number(example, PhoneNumberFormat.E164)[1:])
        for region in sorted(phonenumbers.SUPPORTED_REGIONS)
        for kind in (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE)
        if (example := phonenumbers.example_number_for_type(region, kind))
    ]


LOST_PLUS = lost_plus()


@given(st.sampled_from(LOST_PLUS), st.text(alphabet="0123456789", min_size=3, max_size=3))
def test_a_number_of_the_region_that_lost_its_plus_is_itself_or_refused(lost: tuple[str, str], end: str) -> None:
    region, digits = lost[0], lost[1][:-3] + end
    assume(find(f"+{digits}", region) == f"+{digits}")
    for value in (float(digits), int(digits), digits, f"{digits}.0", f"{digits[:-5]} {digits[-5:]}"):
        assert read_cell(value, region).numbers in ((), (f"+{digits}",))
        if isinstance(value, str):
            assert {entry.number for entry in read_pasted(value, region)} <= {None, f"+{digits}"}


@pytest.mark.parametrize("value", [4915123456789.0, 4915123456789, "4915123456789", "4915123456789.0"])
def test_digits_that_begin_with_the_code_of_a_country_with_numbers_of_any_length(value: CellValue) -> None:
    reason = "4915123456789 has lost a 0 or a +: it could be +494915123456789 or +4915123456789"
    assert read_cell(value, "DE") == Cell((), reason=reason)
    assert read_cell("+4915123456789", "DE").numbers == ("+4915123456789",)
    assert read_cell("04915123456789", "DE").numbers == ("+494915123456789",)


def test_nothing_is_put_back_into_text_that_may_be_something_else() -> None:
    cell = read_cell("236618300", "IT", put_back=False)
    assert cell == Cell((), reason="not a number that exists in IT")
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
    ("text", "region"),
    [
        ("9187539531/60", "IN"),
        ("9187539531-60", "IN"),
        ("9187539531 60", "IN"),
        ("9187539531 (60)", "IN"),
        ("9187539531\u201360", "IN"),
        ("9187539531/6/7", "IN"),
        ("91875 39531 / 23", "IN"),
        ("030 1234567/8", "DE"),
        ("030 1234567-8", "DE"),
        ("030 1234-56", "DE"),
        ("030 12345 030 12346", "DE"),
    ],
)
def test_what_goes_on_behind_a_number_is_another_number_or_the_rest_of_one(text: str, region: str) -> None:
    cell = read_cell(text, region)
    assert cell.numbers == ()
    assert cell.reason.endswith(" could be one number or two")
    assert [entry.number for entry in read_pasted(text, region)] == [None]


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("3. 030 23125001", "DE"),
        ("4) 0152 28817386", "DE"),
        ("04. 030 23125001", "DE"),
        ("030) 23125001", "DE"),
        ("26 0152 28817386", "DE"),
        ("7. 812345678", "IN"),
        ("81. 23456789", "IN"),
        ("1) 812345678", "IN"),
        # Numbers without area code, or with a digit missing, before or behind an age, a place or the end of the next.
        ("17 26543210", "IN"),
        ("75 26543210", "IN"),
        ("7 812345678", "IN"),
        ("26543210 45", "IN"),
        ("812345678 5", "IN"),
        ("26543210/11", "IN"),
        ("26543210 / 11", "IN"),
        ("26543210-11", "IN"),
        ("265432/33/34", "IN"),
    ],
)
def test_what_stands_before_a_number_may_be_no_part_of_it(text: str, region: str) -> None:
    assert read_cell(text, region) == Cell((), reason=f"{text} could be one number or two")


@pytest.mark.parametrize(
    ("text", "region", "number"),
    [
        ("812. 345. 6789", "IN", "+918123456789"),
        ("81. 23. 45. 67. 89", "IN", "+918123456789"),
        ("(81) 23456789", "IN", "+918123456789"),
        ("81.23456789", "IN", "+918123456789"),
        ("020) 7946 0001", "GB", "+442079460001"),
        ("020. 7946 0001", "GB", "+442079460001"),
        ("1. 202 555 0123", "US", "+12025550123"),
        ("1 2025550123", "US", "+12025550123"),
        ("22 23456789", "IN", "+912223456789"),
        ("755 2345678", "IN", "+917552345678"),
        ("812 3456789", "IN", "+918123456789"),
        ("91 2345678", "ES", "+34912345678"),
        ("1 23456789", "FR", "+33123456789"),
        ("91. 8123456789", "IN", "+918123456789"),
    ],
)
def test_what_stands_before_a_number_may_be_its_first_digits(text: str, region: str, number: str) -> None:
    assert read_cell(text, region).numbers == (number,)


def test_parts_of_which_each_is_a_number_may_be_one() -> None:
    reason = "030 12345/030 12346 could be one number or 2"
    assert read_cell("030 12345/030 12346", "DE") == Cell((), reason=reason)


@given(
    st.from_regex(r"(91)?[6-9][0-9]{9}|[6-9]1[0-9]{8}", fullmatch=True).map(lambda digits: digits[:10]),
    st.sampled_from(["/", " / ", "-", " - ", ".", " ", "  ", " (", "/ ", "\u2013", "\xa0"]),
    st.text(alphabet="0123456789", min_size=1, max_size=4),
)
def test_nobody_else_is_called_for_what_stands_behind_a_mobile(mobile: str, between: str, rest: str) -> None:
    assume(find(mobile, "IN"))
    text = f"{mobile}{between}{rest}"
    assert read_cell(text, "IN").numbers in ((), (f"+91{mobile}",))
    for pasted in (text, f"Asha {text}", f"{text}, Asha"):
        assert {entry.number for entry in read_pasted(pasted, "IN")} <= {None, f"+91{mobile}"}


@pytest.mark.parametrize("kind", [PhoneNumberFormat.NATIONAL, PhoneNumberFormat.INTERNATIONAL])
def test_groups_as_people_write_them_are_one_number(kind: int) -> None:
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for type_ in (PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE, PhoneNumberType.TOLL_FREE):
            example = phonenumbers.example_number_for_type(region, type_)
            if example:
                written = phonenumbers.format_number(example, kind)
                cell = read_cell(written, region)
                e164 = phonenumbers.format_number(example, PhoneNumberFormat.E164)
                # New Caledonia has numbers that look like dates.
                assert cell.numbers == (e164,) or "is a date" in cell.reason


@pytest.mark.parametrize(
    ("text", "region", "expected"),
    [
        ("91 81234 56789", "IN", INDIAN),
        ("+91 8123 4567 89", "IN", INDIAN),
        ("81234-567-89", "IN", INDIAN),
        ("(020) 7946 00 01", "GB", ONE),
        ("030 12 34 56 78", "DE", "+493012345678"),
        ("030 1234 567", "DE", "+49301234567"),
        ("(030) 123 45 67", "DE", "+49301234567"),
        ("+49 151 1234 5678", "DE", "+4915112345678"),
        ("08-123 456 78", "SE", "+46812345678"),
        ("0812-3456-789", "ID", "+628123456789"),
    ],
)
def test_other_groups_are_one_number_too(text: str, region: str, expected: str) -> None:
    assert read_cell(text, region).numbers == (expected,)


@pytest.mark.parametrize("value", [919876000000.0, 919876000000, "919876000000", "919876000000.0", "919,876,000,000"])
def test_a_number_that_ends_with_many_zeros_was_rounded(value: CellValue) -> None:
    reason = "919876000000 is a figure that the spreadsheet has probably rounded: it ends with 6 zeros"
    assert read_cell(value, "IN") == Cell((), reason=reason)


@pytest.mark.parametrize("text", ["9.19876000000E+11", "+9.19876000000E+11", "919876,000000E+6"])
def test_a_figure_that_ends_with_many_zeros_was_rounded(text: str) -> None:
    reason = "919876000000 is a figure that the spreadsheet has probably rounded: it ends with 6 zeros"
    assert read_cell(text, "IN") == Cell((), reason=reason)
    assert [entry.number for entry in read_pasted(text, "IN") if entry.number] == []


@pytest.mark.parametrize("text", ["+919876000000", "91 98760 00000", "9876000000", "00919876000000"])
def test_zeros_that_somebody_wrote_are_digits(text: str) -> None:
    assert read_cell(text, "IN").numbers == ("+919876000000",)
    assert [entry.number for entry in read_pasted(text, "IN")] == ["+919876000000"]


@pytest.mark.parametrize("text", ["98765432.10", "987654321.5", "98 765 432.10", "123456.00"])
def test_amounts_are_no_numbers(text: str) -> None:
    reason = f"{text} is an amount with decimals, or the spreadsheet has calculated with it"
    assert read_cell(text, "IN") == Cell((), reason=reason)
    assert [entry.number for entry in read_pasted(text, "IN")] == [None]


@pytest.mark.parametrize("text", ["81234.56789", "81.2345.6789", "81234.567.89", "8.1.2.3.4.5.6.7.8.9"])
def test_dots_between_groups_are_no_decimals(text: str) -> None:
    assert read_cell(text, "IN").numbers == (INDIAN,)


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
