"""However large a file, its rows and its cells are, an import keeps little of it in memory, and can be cancelled."""

import io
import json
import subprocess
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from calls.contacts import workbook
from calls.contacts.importing import Layout, Role, UploadError, preview, refused_lines, sheets, staging, working
from calls.contacts.importing.progress import Cancelled, Unnoted
from calls.contacts.importing.reading import unique_titles
from calls.contacts.importing.source import Rows, opened_source
from calls.contacts.importing.text import text_rows
from calls.models import ContactGroup, ImportState, User
from tests.contacts.importing.helpers import contacts, csv_bytes, imported, received
from tests.contacts.importing.test_bad_input import xlsx
from tests.factories import make_group, make_user, number

ONE_COLUMN = Layout("csv", header=1, titles=("Mobile",), columns=(Role.NUMBER,))


@pytest.fixture
def admin() -> User:
    return make_user("admin")


@pytest.fixture
def group() -> ContactGroup:
    return make_group("Members")


@pytest.fixture
def rows_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lines of all rows that are read of a text file."""
    read: list[int] = []

    def noting(*arguments: Any) -> Rows:
        for line, cells in text_rows(*arguments):
            read.append(line)
            yield line, cells

    monkeypatch.setattr("calls.contacts.importing.source.text_rows", noting)
    return read


@pytest.mark.django_db
def test_a_preview_does_not_read_on_through_blank_rows(admin: User, group: ContactGroup, rows_read: list[int]) -> None:
    import_ = received(admin, group, b"Mobile\n" + number(1).encode() + b"\n" * 5_000 + number(2).encode())
    shown = preview(import_, Layout.from_json(import_.layout))
    assert [row.numbers for row in shown.rows] == [(number(1),)]
    assert shown.titles == ("Mobile",)
    assert max(rows_read) == 1_000
    with pytest.raises(UploadError, match="its first 1,000 rows are"):
        received(admin, group, b"\n" * 2_000 + number(1).encode())


@pytest.mark.django_db
def test_cancelling_works_over_blank_rows(admin: User, group: ContactGroup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "ROWS_AT_ONCE", 10)
    import_ = received(admin, group, b"Mobile\n" + number(1).encode() + b"\n" * 500)
    import_.state = ImportState.RUNNING
    seen: list[int] = []

    class Impatient(Unnoted):
        def at(self, done: int, rows: int | None = None) -> None:
            seen.append(rows or 0)
            if len(seen) == 3:
                raise Cancelled

    with pytest.raises(Cancelled):
        working.carry_out(import_, Impatient())
    assert seen == [1, 1, 1]


def rows_of(path: Path, data: bytes, layout: Layout = ONE_COLUMN) -> Iterator[tuple[int, Any]]:
    path.write_bytes(data)
    with opened_source(path, layout) as source:
        yield from source.rows


def test_a_row_does_not_go_on_for_ever(tmp_path: Path) -> None:
    # Line breaks in quotes: each line and each cell is short.
    row = b'1,"a\n",' * 150_000
    with pytest.raises(UploadError, match=r"The row that begins in line 3 is longer than 1,048,576 characters"):
        list(rows_of(tmp_path / "long", b"Mobile\n1\n" + row + b"\n"))
    # Rows that are long together are no problem.
    assert len(list(rows_of(tmp_path / "many", (b'1,"' + b"a\n" * 500 + b'"\n') * 1_500))) == 1_500


def test_of_a_row_with_very_many_cells_few_are_kept(tmp_path: Path) -> None:
    ((_, cells),) = rows_of(tmp_path / "wide", b"1," * 200_000)
    assert len(cells) == 501


@pytest.mark.parametrize("first", [b'sep="\n', b"sep=\r\n", b'sep="\r\n'])
@pytest.mark.django_db
def test_a_first_line_that_names_no_separator(admin: User, group: ContactGroup, first: bytes) -> None:
    import_ = imported(admin, group, first + csv_bytes([["Mobile", "Name"], [number(1), "Asha"]]))
    assert (import_.state, len(contacts(group))) == ("done", 1)


@pytest.mark.django_db
def test_the_database_is_given_long_rows_in_small_pieces(
    admin: User, group: ContactGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "TEXT_AT_ONCE", 1_000)
    pieces: list[int] = []
    divided = staging._pieces

    def noting(lines: Any) -> Iterator[str]:
        for piece in divided(lines):
            pieces.append(len(piece))
            yield piece

    monkeypatch.setattr(staging, "_pieces", noting)
    import_ = imported(admin, group, csv_bytes([["Mobile", "City"], *([number(i), "x" * 150] for i in range(50))]))
    assert import_.counts["added"] == 50
    assert len(pieces) > 5
    assert max(pieces) < 1_300


@pytest.mark.django_db
def test_little_is_kept_of_a_row_that_is_not_taken(admin: User, group: ContactGroup) -> None:
    titles = ["Mobile", *(f"Note {i}" for i in range(100))]
    import_ = imported(admin, group, csv_bytes([titles, [number(1)], ["12", *["x" * 1_500] * 100]]))
    (row,) = import_.not_taken.values_list("cells", flat=True)
    assert [len(cell) for cell in row[:3]] == [2, 1_000, 1_000]
    assert sum(map(len, row)) == 10_000
    assert len(b"".join(islice(refused_lines(import_), 3))) < 15_000


def test_titles_of_thousands_of_equal_columns() -> None:
    titles = unique_titles(["City", "City 2", "", *["City"] * 20_000, ""], 20_004)
    assert len(set(titles)) == 20_004
    assert titles[:5] == ("City", "City 2", "Column 3", "City 3", "City 4")


def test_rows_of_a_workbook_come_in_small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "_TEXT_AT_ONCE", 100)
    monkeypatch.setattr(workbook, "_ROWS_AT_ONCE", 5)
    long, short = [f'"{"x" * 60}"'] * 3, ["1"] * 6
    assert [piece.count(",") + 1 for piece in workbook._batches([*long, *short])] == [2, 5, 2]


def book(*sheets: list[list[str]]) -> bytes:
    """A workbook with these sheets."""
    made, data = openpyxl.Workbook(), io.BytesIO()
    made.remove(made.worksheets[0])
    for rows in sheets:
        sheet = made.create_sheet()
        for row in rows:
            sheet.append(row)
    made.save(data)
    return data.getvalue()


@pytest.mark.parametrize(
    ("sheets", "rows", "told"),
    [
        ([["number", "1", "2"], ["number", "3", "4"], ["number", "5"]], "1 2 3 4 5", (8, 0)),
        ([["number", "1", "2"], ["number", "3"], ["number", "4"]], "1 2 3", (5, 1)),  # the second one has room
        ([["number", "1"], ["number", "2"]], "1", (2, 1)),  # another list: perhaps of people not to call
        ([["number", "1", "2"], ["not to call", "3"]], "1 2", (3, 1)),
        ([["number", "1", "2"], []], "1 2", (3, 1)),
    ],
)
def test_a_list_that_fills_a_sheet_goes_on_in_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sheets: list[list[str]], rows: str, told: tuple[int, int]
) -> None:
    monkeypatch.setattr(workbook, "SHEET_ROWS", 3)
    path = tmp_path / "book.xlsx"
    path.write_bytes(book(*([[text] for text in sheet] for sheet in sheets)))
    facts, *pieces = map(json.loads, workbook._lines(path, 100))
    read = [(number, cells[0]) for piece in pieces for number, cells in piece]
    # The titles of a further sheet count as a line, too.
    assert read == [(1, "number"), *zip((2, 3, 5, 6, 8), rows.split(), strict=False)]
    assert (facts["rows"], len(facts["others"])) == told


def test_what_reads_a_workbook_is_not_listened_to_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "LONGEST_LINE", 1_000)
    with subprocess.Popen(["/usr/bin/sleep", "60"]) as process:
        with pytest.raises(UploadError, match="it is damaged"):
            sheets._next(process, io.BytesIO(b"[" * 5_000))
        process.kill()


def test_few_workbooks_are_looked_at_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sheets, "WAIT_SECONDS", 0.01)
    path = tmp_path / "list"
    path.write_bytes(xlsx([["Mobile"], ["1"]]))
    with sheets.opened_sheet(path, 1), sheets.opened_sheet(path, 1):
        with pytest.raises(UploadError, match="is reading other workbooks just now"), sheets.opened_sheet(path, 1):
            pass
        with sheets.opened_sheet(path) as sheet:  # a worker's
            assert len(list(sheet.rows)) == 2
    with sheets.opened_sheet(path, 1) as sheet:
        assert len(list(sheet.rows)) == 1
