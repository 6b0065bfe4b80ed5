"""Pasted text: which contacts it holds, and what is refused why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.contacts.entries import Entry, read_pasted
from calls.contacts.names import NAME_LENGTH
from calls.contacts.repair import read_cell

ONE, TWO, THREE = "+442079460001", "+442079460002", "+442079460003"


def named(entries: list[Entry]) -> list[tuple[str | None, str]]:
    return [(entry.number, entry.name) for entry in entries]


@pytest.mark.parametrize(
    "text",
    [
        "020 7946 0001,020 7946 0002",
        "020 7946 0001, 020 7946 0002,",
        "020 7946 0001;020 7946 0002",
        "020 7946 0001\n020 7946 0002\n",
        "020 7946 0001\r\n\r\n020 7946 0002",
        "020 7946 0001\r020 7946 0002",
        "020 7946 0001\t020 7946 0002",
        "020 7946 0001|020 7946 0002",
        "02079460001 02079460002",
        "020 7946 0001 020 7946 0002",
        "+442079460001+442079460002",
        "'02079460001', '02079460002'",
        '"02079460001","02079460002"',
        "1. 020 7946 0001\n2) 020 7946 0002",
        "\ufeff02079460001\u202802079460002",
    ],
)
def test_numbers_in_any_separator(text: str) -> None:
    assert named(read_pasted(text, "GB")) == [(ONE, ""), (TWO, "")]


@pytest.mark.parametrize(
    ("line", "region", "right"),
    [
        ("3. 0152 28817386", "DE", "+4915228817386"),
        ("4) 0152 28817386", "DE", "+4915228817386"),
        ("1234. 0152 28817386", "DE", "+4915228817386"),
        ("3. +49 152 28817386", "DE", "+4915228817386"),
        ("1. 08-465 004 01", "SE", "+46846500401"),
        ("12) 020 7946 0001", "GB", ONE),
        ("020) 7946 0001", "GB", ONE),
        ("01. 8123456789", "IN", "+918123456789"),
        ("7. 812345678", "IN", None),  # a digit is missing
        ("81. 23456789", "IN", None),
        ("04. 030 23125001", "DE", None),  # or 0403023125001
        ("030. 23125 001", "DE", None),  # or 23125001
        ("1. 2. 030 23125001", "DE", None),
    ],
)
def test_the_place_in_a_numbered_list_is_no_digit(line: str, region: str, right: str | None) -> None:
    assert [entry.number for entry in read_pasted(line, region)] == [right]


@pytest.mark.parametrize(
    "line",
    [
        "Ms X Hauptstr. 26 0152 28817386",
        "Ms X Berlin 94186 0152 28817386",
        "Ms X Berlin 50895 030 23125001",
        "Ms X 26, 0152 28817386",
        "26 0152 28817386",
    ],
)
def test_other_digits_before_a_number_are_none_of_it(line: str) -> None:
    right = read_pasted(" ".join(line.split()[-2:]), "DE")[0].number
    assert right
    assert {entry.number for entry in read_pasted(line, "DE")} <= {right, None}


@pytest.mark.parametrize(
    ("line", "region", "right"),
    [
        ("0152 28817386/030 23125001", "DE", {"+4915228817386", "+493023125001"}),
        ("Ms X 0152-28817386/030 23125001", "DE", {"+4915228817386", "+493023125001"}),
        ("030, 23125001", "DE", {"+493023125001"}),
        ("[1] (01522) 8817386", "DE", {"+4915228817386"}),
        ("\u2022 (01522) 8817386", "DE", {"+4915228817386"}),
        ("10115 (030) 23125001", "DE", {"+493023125001"}),
        ("Ms X 26-0152 28817386", "DE", {"+4915228817386"}),
        ("0664 123 45 67 / 01 234 56 78", "AT", {"+436641234567", "+4312345678"}),
        ("06221 12 34 56 / 0152 28817386", "DE", {"+496221123456", "+4915228817386"}),
        # The country code is torn off, and what is left would be an Indian number.
        ("8123456789: +1 202-555-0123", "IN", {"+918123456789", "+12025550123"}),
        ("8123456789* +1 202-555-0123", "IN", {"+918123456789", "+12025550123"}),
        # A number of an order, a date or a postcode takes the country code of the number for its last digits.
        ("Asha 28011965 91 81234 56789", "IN", {"+918123456789"}),
        ("Asha 751111 \u0966\u0966 91 81234 56789", "IN", {"+918123456789"}),
        ("Asha 1974-02-10 (44) 2079460001", "GB", {"+442079460001"}),
    ],
)
def test_a_number_is_not_torn_into_two(line: str, region: str, right: set[str]) -> None:
    assert {entry.number for entry in read_pasted(line, region)} <= {None, *right}
    assert set(read_cell(line, region).numbers) <= right


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Asha: 020 7946 0001", "Asha"),
        ("020 7946 0001 Asha", "Asha"),
        ("Asha,02079460001", "Asha"),
        ("02079460001;Asha", "Asha"),
        ("Asha\t020 7946 0001", "Asha"),
        ("Asha - 020-7946-0001", "Asha"),
        ("Asha (020 7946 0001)", "Asha"),
        ("Asha <+442079460001>", "Asha"),
        ("Asha (Pune) +44 20 7946 0001", "Asha (Pune)"),
        ('"Rao, Asha", 02079460001', "Rao Asha"),
        ("Asha, 02079460001, Pune", "Asha Pune"),
        ("Flat 12, 02079460001", "Flat 12"),
        ("Order 100001, 02079460001", "Order 100001"),
        ("आशा राव 02079460001", "आशा राव"),
        ("O'Neill\x00 02079460001", "O'Neill"),
    ],
)
def test_names_before_and_behind_a_number(text: str, name: str) -> None:
    assert named(read_pasted(text, "GB")) == [(ONE, name)]


@pytest.mark.parametrize(
    "text",
    [
        "Asha,02079460001,Ravi,02079460002",
        "02079460001,Asha,02079460002,Ravi",
        "Asha 02079460001 Ravi 02079460002",
        "Asha 02079460001\n02079460002 Ravi",
    ],
)
def test_each_number_has_its_own_name(text: str) -> None:
    assert named(read_pasted(text, "GB")) == [(ONE, "Asha"), (TWO, "Ravi")]


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("12345", Entry(1, "12345", None, "", "too short: 5 digits")),
        ("Asha, 1234567", Entry(1, "1234567", None, "Asha", "too short: 7 digits, the area code is missing")),
        ("12A45", Entry(1, "12A45", None, "", "has letters")),
        ("Asha\t8123S45678", Entry(1, "8123S45678", None, "Asha", "has letters")),
        ("Asha Rao", Entry(1, "Asha Rao", None, "", "has letters, no digits")),
        ("...", Entry(1, "...", None, "", "has no digits")),
        ("8" * 20, Entry(1, "8" * 20, None, "", "too long: 20 digits")),
        (
            "9.19876E+11",
            Entry(1, "9.19876E+11", None, "", "9.19876E+11 is a rounded figure: the spreadsheet has lost digits"),
        ),
        (
            "8123456789 ext 5",
            Entry(1, "8123456789 ext 5", None, "", "has an extension, which can't be dialled"),
        ),
        ("81234\x0056789", Entry(1, r"81234\x0056789", None, "", "has a control character (U+0000)")),
    ],
)
def test_refused_lines_say_why(text: str, refused: Entry) -> None:
    assert read_pasted(text, "IN") == [refused]


def test_lines_are_counted_with_the_blank_ones() -> None:
    entries = read_pasted("\n02079460001\n\n  \nabc\n02079460002", "GB")
    assert [(entry.line, entry.number) for entry in entries] == [(2, ONE), (5, None), (6, TWO)]


def test_nothing_pasted() -> None:
    assert read_pasted(" \n\t\n", "GB") == []


def test_long_names_are_cut() -> None:
    (entry,) = read_pasted("a" * 1000 + ", 02079460001", "GB")
    assert entry.name == "a" * NAME_LENGTH


@pytest.mark.parametrize("piece", ["1", "1 ", "(", "(1", "+1", " x", "#1", "1a ", "012345678 "])
def test_hostile_lines_take_no_time(piece: str) -> None:
    # Quadratic matching would take minutes here.
    read_pasted(piece * 20_000 + "!", "GB")


@given(st.text() | st.text(alphabet="0123456789+()-,;|\n\tAsha x.\x00\u200b\ud800٣"))
def test_any_text_gives_an_entry_for_each_line_that_is_not_blank(text: str) -> None:
    entries = read_pasted(text, "GB")
    assert bool(entries) == bool(text.strip(" \t\ufeff\n\r\x0b\x0c\u2028\u2029"))
    for entry in entries:
        assert bool(entry.number) != bool(entry.reason)
        assert (entry.text + entry.name + entry.reason).encode()
        assert "\0" not in entry.text + entry.name
        assert len(entry.name) <= NAME_LENGTH


def test_pasted_text_is_repaired_but_nothing_is_put_back() -> None:
    assert [entry.repaired for entry in read_pasted("4.42079460001E+11\n020 7946 0001", "GB")] == [
        "4.42079460001E+11 written out",
        "",
    ]
    # What may be the number of an identity card rings nobody abroad.
    (entry,) = read_pasted("Asha, 918123456789", "GB")
    assert entry.number is None
