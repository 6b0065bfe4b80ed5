"""Pasted text and CSV files: which contacts they hold, and what is refused why."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calls.contacts.entries import MAX_BYTES, NAME_LENGTH, Entry, UploadError, read_csv, read_pasted

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
    read_pasted(piece * 50_000 + "!", "GB")


@given(st.text() | st.text(alphabet="0123456789+()-,;|\n\tAsha x.\x00\u200b\ud800٣"))
def test_any_text_gives_an_entry_for_each_line_that_is_not_blank(text: str) -> None:
    entries = read_pasted(text, "GB")
    assert bool(entries) == bool(text.strip(" \t\ufeff\n\r\x0b\x0c\u2028\u2029"))
    for entry in entries:
        assert bool(entry.number) != bool(entry.reason)
        assert (entry.text + entry.name + entry.reason).encode()
        assert "\0" not in entry.text + entry.name
        assert len(entry.name) <= NAME_LENGTH


# CSV files


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
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_layouts_and_encodings_are_guessed(text: str, encoding: str) -> None:
    assert named(read_csv(text.encode(encoding), "GB")) == [(ONE, "Asha"), (TWO, "Ravi")]


def test_names_in_old_encodings() -> None:
    assert named(read_csv("José,02079460001\n".encode("cp1252"), "GB")) == [(ONE, "José")]


def test_one_broken_byte_does_not_spoil_the_other_names() -> None:
    data = "आशा,02079460001\n".encode() + b"Ravi\xff,02079460002\n"
    assert named(read_csv(data, "GB")) == [(ONE, "आशा"), (TWO, "Ravi\ufffd")]


def test_first_and_last_name_are_put_together() -> None:
    text = "Last Name,First Name,Mobile\nRao,Asha,02079460001\n"
    assert named(read_csv(text.encode(), "GB")) == [(ONE, "Asha Rao")]


def test_other_columns_are_extra() -> None:
    text = "Name,Mobile,City,Empty,\nAsha,02079460001,Pune,,untitled\n"
    (entry,) = read_csv(text.encode(), "GB")
    assert entry.extra == {"City": "Pune"}


def test_of_several_titled_columns_the_one_with_numbers_counts() -> None:
    text = "Contact number,Phone\nA-17,02079460001\nA-18,02079460002\n"
    assert [entry.number for entry in read_csv(text.encode(), "GB")] == [ONE, TWO]


def test_a_list_in_rows_needs_no_header() -> None:
    text = "02079460001,02079460002\n02079460003\n"
    assert [entry.number for entry in read_csv(text.encode(), "GB")] == [ONE, TWO, THREE]


def test_a_cell_with_two_numbers() -> None:
    text = "Name,Phone\nAsha,02079460001 02079460002\n"
    assert named(read_csv(text.encode(), "GB")) == [(ONE, "Asha"), (TWO, "Asha")]


@pytest.mark.parametrize(
    ("cell", "expected", "repaired"),
    [
        ("02079460001 / 02079460002", [ONE, TWO], "2 numbers in one cell"),
        ("'02079460001", [ONE], "apostrophe removed"),
        ("2079460001.0", [ONE], '".0" removed'),
        ("4.42079460001E+11", [ONE], "4.42079460001E+11 written out"),
        ("918123456789", ["+918123456789"], "lost + put back"),
        ("02079460001", [ONE], ""),
    ],
)
def test_what_a_spreadsheet_damaged_is_repaired_and_named(cell: str, expected: list[str], repaired: str) -> None:
    entries = read_csv(f'Name,Phone\nAsha,"{cell}"\n'.encode(), "GB")
    assert [(entry.number, entry.name, entry.repaired) for entry in entries] == [
        (number, "Asha", repaired) for number in expected
    ]


def test_of_a_list_in_a_cell_the_good_numbers_are_taken() -> None:
    (good, bad) = read_csv(b"Name,Phone\nAsha,02079460001 12345678\n", "GB")
    assert (good.number, bad.number, bad.reason) == (ONE, None, "too short: 8 digits, the area code is missing")


def test_dates_in_the_column_of_numbers_are_refused() -> None:
    (entry,) = read_csv(b"Name,Phone\nAsha,2024-01-02\n", "DK")
    assert entry.number is None
    assert entry.reason.startswith("2024-01-02 is a date")


def test_pasted_text_is_repaired_but_nothing_is_put_back() -> None:
    assert [entry.repaired for entry in read_pasted("4.42079460001E+11\n020 7946 0001", "GB")] == [
        "4.42079460001E+11 written out",
        "",
    ]
    # What may be the number of an identity card rings nobody abroad.
    (entry,) = read_pasted("Asha, 918123456789", "GB")
    assert entry.number is None


def test_refused_rows_keep_line_text_and_reason() -> None:
    text = 'name,mobile\n"Asha\nRao",81234567890\nRavi,12345\nUma,\n,abc\nTara\n'
    entries = read_csv(text.encode(), "IN")
    assert [(entry.line, entry.text, entry.name, entry.reason) for entry in entries] == [
        (2, "81234567890", "Asha Rao", "not a number that exists in IN"),
        (4, "12345", "Ravi", "too short: 5 digits"),
        (5, "Uma", "Uma", "no number in its column"),
        (6, "abc", "", "has letters, no digits"),
        (7, "Tara", "Tara", "no number in its column"),
    ]


def test_a_bad_first_row_is_no_header() -> None:
    entries = read_csv(b"Asha,abc\nRavi,02079460001\n", "GB")
    assert [(entry.line, entry.name, entry.number) for entry in entries] == [(1, "Asha", None), (2, "Ravi", ONE)]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "The file is empty."),
        (b"\xef\xbb\xbf \r\n", "The file is empty."),
        (b"name,mobile\n", "The file has a header and nothing below it."),
        (b"1\n" * (MAX_BYTES // 2 + 1), "The file is larger than 5 MiB. Split it."),
        (b"PK\x03\x04xl/workbook.xml", "This is an Excel workbook or a zip file. Save it as CSV and upload that."),
        (b"\xd0\xcf\x11\xe0", "This is an old Excel workbook. Save it as CSV and upload that."),
        (b"%PDF-1.7", "This is a PDF, not a CSV file."),
        (bytes(range(256)) * 8, "This is not a text file. Save the contacts as CSV and upload that."),
        (b"RIFF\x00\x00", "This is not a text file. Save the contacts as CSV and upload that."),
        (b'name,mobile\nAsha,1\n"Ravi,2\n', 'Line 3 has a quote (") that is not closed, or text behind one.'),
        (b'name,mobile\n"Asha"x,1\n', 'Line 2 has a quote (") that is not closed, or text behind one.'),
        (b"name,mobile\n" + b"1" * 200_000, "Line 2 has a cell of more than 131,072 characters."),
    ],
)
def test_files_that_are_no_use(data: bytes, problem: str) -> None:
    with pytest.raises(UploadError) as caught:
        read_csv(data, "GB")
    assert str(caught.value) == problem


@given(st.binary() | st.text(alphabet='0123456789+,;|\n\t\r"=nameobil').map(str.encode))
def test_any_bytes_give_entries_or_a_problem(data: bytes) -> None:
    try:
        entries = read_csv(data, "GB")
    except UploadError as error:
        entries = []
        assert str(error)  # noqa: PT017 - most files are no use, some are
    for entry in entries:
        assert bool(entry.number) != bool(entry.reason)
        assert "\0" not in entry.text + entry.name + "".join(entry.extra.values())


@given(st.lists(st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\0")), st.integers(0, 999))))
def test_every_row_written_by_a_csv_program_is_read(rows: list[tuple[str, int]]) -> None:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["name", "mobile"])
    writer.writerows((name, f"0207946{n:04}") for name, n in rows)
    if rows:
        try:
            entries = read_csv(out.getvalue().encode(), "GB")
        except UploadError as error:
            assert "not a text file" in str(error)  # noqa: PT017 - names of control characters only
        else:
            assert [entry.number for entry in entries] == [f"+44207946{n:04}" for _, n in rows]
