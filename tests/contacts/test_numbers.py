"""What people type as phone numbers, and what becomes of it."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat

from calls.contacts.numbers import NumberError, dialable, find, normalise, pretty, split

INDIAN = "+918123456789"
BRITISH = "+442079460001"
FULL_WIDTH = {ord(char): ord(char) + 0xFEE0 for char in "+0123456789"}


@pytest.mark.parametrize(
    "text",
    [
        "8123456789",
        "08123456789",
        "918123456789",
        "+918123456789",
        "00918123456789",
        "+91 (0) 81234 56789",
        "  81234-56789 ",
        "81234.56789",
        "81234/56789",
        "(81234) 56789",
        "[81234] 56789",
        "81234\u201356789",
        "81234\u221256789",
        "81234\xa056789",
        "8123\u200b456\u2060789",
        "\ufeff8123456789",
        "\u202a+918123456789\u202c",
        "'8123456789",
        "\u20198123456789",
        "8123456789".translate(FULL_WIDTH),
        "+918123456789".translate(FULL_WIDTH),
        "८१२३४५६७८९",
        "8123456789.0",
        "tel:+91-81234-56789",
        "8123456789\r\n",
    ],
)
def test_every_way_to_write_an_indian_number(text: str) -> None:
    assert normalise(text, "IN") == INDIAN


@pytest.mark.parametrize(
    ("text", "region", "expected"),
    [
        ("020 7946 0001", "GB", BRITISH),
        ("442079460001", "GB", BRITISH),
        ("+44 20 7946 0001", "IN", BRITISH),
        ("0044 20 7946 0001", "IN", BRITISH),
        ("0044 20 7946 0001", "US", BRITISH),
        ("011 44 20 7946 0001", "US", BRITISH),
        ("(202) 555-0123", "US", "+12025550123"),
        ("12025550123", "US", "+12025550123"),
        ("7410410123", "IN", "+917410410123"),
        # A landline, and a number that looks as if it began with the country code.
        ("011 2345 6789", "IN", "+911123456789"),
        ("9181234567", "IN", "+919181234567"),
        # Small countries have numbers as short as short codes.
        ("22158", "SH", "+29022158"),
    ],
)
def test_numbers_of_other_countries(text: str, region: str, expected: str) -> None:
    assert normalise(text, region) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \u200b ", "empty"),
        ("123", "too short: 3 digits"),
        ("1", "too short: 1 digit"),
        ("00", "too short: 2 digits"),
        ("+44", "too short: 2 digits"),
        ("8" * 20, "too long: 20 digits"),
        ("8" * 5000, "too long: 5000 characters"),
        ("81234567890", "not a number that exists in IN"),
        ("+44 20 7946 00011", "too long: 13 digits"),
        ("1234567", "too short: 7 digits, the area code is missing"),
        ("0000000000", "wrong length: 10 digits"),
        ("112", "112 is an emergency number"),
        ("139", "139 is a short code, which can't be called from outside"),
        ("+999 123 456 789", "has no country code that exists"),
        ("Asha", "has letters, no digits"),
        ("आशा", "has letters, no digits"),
        ("81234S6789", "has letters"),
        ("-", "has no digits"),
        ("+", "has no digits"),
        ("++918123456789", 'has a "+" that is not at its start'),
        ("81234+56789", 'has a "+" that is not at its start'),
        ("81234*56789", 'has "*"'),
        ("²8123456789", 'has "²"'),
        ("81234\u2028456789", "has an invisible character (U+2028)"),
        ("81234\x0056789", "has a control character (U+0000)"),
        ("81234\t56789", "has a control character (U+0009)"),
        ("8123456789\ud800", "has a control character (U+D800)"),
        ("9.19876E+11", "9.19876E+11 is a rounded figure: the spreadsheet has lost digits"),
        ("9,19876e11", "9,19876e11 is a rounded figure: the spreadsheet has lost digits"),
        ("8123456789 ext. 5", "has an extension, which can't be dialled"),
        ("8123456789x5", "has an extension, which can't be dialled"),
        ("8123456789#5", "has an extension, which can't be dialled"),
        ("8123456789,,5", "has an extension, which can't be dialled"),
    ],
)
def test_refused_numbers_name_what_came(text: str, reason: str) -> None:
    with pytest.raises(NumberError) as caught:
        normalise(text, "IN")
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("text", "region", "reason"),
    [
        ("0091 81234 56789", "SG", "00918123456789 could be +918123456789 or +18123456789: write it with a +"),
        ("00918123456789", "ID", "00918123456789 could be +918123456789 or +18123456789: write it with a +"),
        ("00918123456789", "TH", "00918123456789 could be +918123456789 or +18123456789: write it with a +"),
        ("00918123456789", "KR", "00918123456789 could be +918123456789 or +18123456789: write it with a +"),
    ],
)
def test_a_carriers_prefix_for_calls_abroad_or_a_country_code(text: str, region: str, reason: str) -> None:
    assert find(text, region) == ""
    with pytest.raises(NumberError) as caught:
        normalise(text, region)
    assert str(caught.value) == reason
    assert normalise("0044 20 7946 0001", region) == BRITISH


def test_a_foreign_code_without_plus_is_read_only_where_carriers_write_it() -> None:
    with pytest.raises(NumberError):
        normalise("442079460001", "IN")
    assert normalise("442079460001", "IN", bare_international=True) == BRITISH
    assert normalise("8123456789", "IN", bare_international=True) == INDIAN


def test_dialable_is_national_at_home_and_international_elsewhere() -> None:
    assert dialable(INDIAN, "IN") == "8123456789"
    assert dialable(BRITISH, "IN") == "442079460001"
    assert dialable(BRITISH, "GB") == "2079460001"
    assert dialable("+390236618300", "IT") == "0236618300"


def test_dialable_keeps_the_plus_where_the_digits_would_ring_somebody_at_home() -> None:
    assert normalise("8123456789", "IN") == INDIAN
    assert dialable("+8123456789", "IN") == "+8123456789"


@pytest.mark.parametrize("home", ["IN", "GB", "US", "IT", "RU", "BR"])
def test_what_is_dialled_reads_back_as_the_same_number(home: str) -> None:
    examples = [
        phonenumbers.format_number(example, PhoneNumberFormat.E164)
        for region in phonenumbers.SUPPORTED_REGIONS
        for kind in (phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE)
        if (example := phonenumbers.example_number_for_type(region, kind))
    ]
    assert len(examples) > 300
    for number in examples:
        assert normalise(dialable(number, home), home, bare_international=True) == number


def test_pretty() -> None:
    assert pretty(INDIAN) == "+91 81234 56789"
    assert pretty("99XXXXXXXX") == "99XXXXXXXX"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("020 7946 0001", ["020 7946 0001"]),
        ("02079460001 02079460002", ["02079460001", "02079460002"]),
        ("020 7946 0001 020 7946 0002", ["020 7946 0001", "020 7946 0002"]),
        ("+442079460001+442079460002", ["+442079460001", "+442079460002"]),
        ("+44 20 7946 0001 02079460002", ["+44 20 7946 0001", "02079460002"]),
        # Where not all are numbers, each long word stands for itself; a torn number is not made into another one.
        ("02079460001 02079460002 123", ["02079460001", "02079460002", "123"]),
        ("12 020 7946 0001", ["12 020 7946 0001"]),
        ("020 7946", ["020 7946"]),
        ("Asha", ["Asha"]),
        ("", [""]),
    ],
)
def test_several_numbers_with_only_spaces_between(text: str, parts: list[str]) -> None:
    assert split(text, "GB") == parts


@given(st.text() | st.text(alphabet="0123456789+-() .xE,;#\u200b٣८'"), st.sampled_from(["IN", "GB", "US"]))
def test_any_text_becomes_a_number_or_a_reason(text: str, region: str) -> None:
    reason = number = ""
    try:
        number = normalise(text, region, bare_international=True)
    except NumberError as error:
        reason = str(error)
    assert bool(number) != bool(reason)
    assert len(reason) < 200
    assert reason.isprintable()
    if number:
        assert number.startswith("+")
        assert number[1:].isdecimal()
        assert number.isascii()
        assert normalise(number, region) == number
