"""Files that are no use: each ends with a message that says what to do, and nothing is changed."""

import errno
import io
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import psycopg
import pytest
from django.conf import settings
from django.db import connection

from calls.contacts import workbook
from calls.contacts.importing import (
    MAX_BYTES,
    ImportNotPossible,
    Layout,
    Role,
    UploadError,
    confirm,
    preview,
    receive,
    staging,
)
from calls.contacts.importing.layout import MAX_EXTRA
from calls.contacts.importing.problems import BUG
from calls.models import ContactGroup, Import, ListRole, SuppressionList, User
from calls.models.importing import Existing
from tests.contacts.importing.helpers import contacts, csv_bytes, imported, received
from tests.factories import make_group, make_user, number

pytestmark = pytest.mark.django_db

SHEET = "xl/worksheets/sheet1.xml"


@pytest.fixture
def admin() -> User:
    return make_user("admin")


@pytest.fixture
def group() -> ContactGroup:
    return make_group("Members", numbers=2)


def xlsx(rows: list[list[Any]], *, sheet: bytes = b"", more: dict[str, int] | None = None) -> bytes:
    """A workbook; with this XML for its sheet, and with so many zero bytes in more parts."""
    plain, out = io.BytesIO(), io.BytesIO()
    book = openpyxl.Workbook()
    assert book.active
    for row in rows:
        book.active.append(row)
    book.save(plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for part in source.namelist():
            target.writestr(part, sheet if sheet and part == SHEET else source.read(part))
        for name, size in (more or {}).items():
            target.writestr(name, bytes(size))
    return out.getvalue()


def cells_at(*places: str) -> bytes:
    rows = "".join(f'<row r="{place.strip("ABCDFX")}"><c r="{place}"><v>1</v></c></row>' for place in places)
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    return f'<worksheet {space}><dimension ref="A1:XFD1048576"/><sheetData>{rows}</sheetData></worksheet>'.encode()


LONG_ROW = cells_at("A1").replace(
    b'<c r="A1"><v>1</v></c>',
    b"".join(b'<c t="str" r="%c1"><v>%s</v></c>' % (letter, b"1" * 130_000) for letter in b"ABCDEFGHI"),
)
LONG_CELL = cells_at("A1").replace(b"<c ", b'<c t="str" ').replace(b"<v>1", b"<v>" + b"1" * 140_000)
LIST = [["Name", "Mobile"], ["Asha", number(1)]]
OLD = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1000)
ENCRYPTED = OLD + "EncryptedPackage".encode("utf-16-le") + bytes(500)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "The file is empty."),
        (b"\xef\xbb\xbf \r\n", "The file is empty, or its first 1,000 rows are."),
        (b"name,mobile\n", "The file has titles and nothing below them."),
        (xlsx([["Name", "Mobile"]]), "The file has titles and nothing below them."),
        (xlsx([]), "no visible sheet with anything in it"),
        (b"%PDF-1.7", "This is a PDF file. Save the contacts as CSV"),
        (b"\x1f\x8b\x08", "Unpack it"),
        (bytes(range(256)) * 8, "This is not a text file."),
        (b"name,mobile\nAsha,1\n" * 40 + b"Ra\0vi,2\n", "Line 81 has a zero byte"),
        (b"PK\x03\x04 a zip file", "can't be read"),
        (OLD, "can't be read"),
        (ENCRYPTED, "protected with a password. Save it without one"),
        (xlsx(LIST)[:-400], "can't be read"),
        (xlsx([[f"Title {i}" for i in range(5_000)]] * 2), "has 5,000 columns; at most 500 are read. Delete"),
        (
            b",".join(b"Title %d" % i for i in range(5_000)) + b"\n1\n",
            "has more than 500 columns; no more are read. Delete",
        ),
        (xlsx(LIST, sheet=cells_at("A1", "XFD1048576")), "or save the sheet as CSV"),
        (xlsx(LIST, sheet=LONG_CELL), "Row 1 has a cell of more than 131,072 characters"),
        (xlsx(LIST, sheet=LONG_ROW), "Row 1 has more than 1,048,576 characters. Shorten its cells"),
        (
            b'name,mobile\nAsha,1\n"Ravi,2\nOm,3\n',
            'Line 3 has a quote (") that is not closed, or text behind one. Mend',
        ),
        (b'name,mobile\n"Asha,1\n"Om",2\n', 'Line 2 has a quote (") that is not closed, or text behind one. Mend it'),
        (b'name,mobile\n"' + b"Asha,1\n" * 30_000, "Line 2 has a cell of more than 131,072 characters, or a quote"),
        (b"name,mobile\n" + b"1" * 10 * 1024**2, "Line 2 is longer than 1,048,576 characters"),
    ],
    ids=lambda value: value if isinstance(value, str) else "file",
)
def test_refused_at_once(admin: User, group: ContactGroup, data: bytes, problem: str) -> None:
    with pytest.raises(UploadError) as caught:
        received(admin, group, data)
    assert problem in str(caught.value)
    assert not Import.objects.exists()
    assert not list(Path(settings.MEDIA_ROOT, "imports").glob("*"))


def test_too_large(admin: User, group: ContactGroup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calls.contacts.importing.receiving.MAX_BYTES", 10)
    with pytest.raises(UploadError, match=r"at most 0 MiB are taken in\. Split it"):
        received(admin, group, b"1234567890,")
    assert MAX_BYTES == 300 * 1024**2


def test_zip_bombs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(xlsx(LIST, more={"xl/media/zeros": 20_000_000}))
    monkeypatch.setattr(workbook, "MAX_UNPACKED", 10_000_000)
    with pytest.raises(workbook.Refused, match="once it is unpacked; at most"):
        list(workbook._lines(path, 10))


def test_a_billion_declared_cells_cost_no_memory(admin: User, group: ContactGroup) -> None:
    # One far below: a thousand million cells in all, hardly any of them there.
    places = xlsx(LIST, sheet=cells_at("A1", "ABC1048576"))
    with pytest.raises(UploadError, match=r"columns; at most 500|needs too much memory"):
        received(admin, group, places)
    # Declared only: nothing is wrong with it.
    assert received(admin, group, xlsx(LIST, sheet=cells_at("A1", "B2"))).state == "uploaded"


def test_the_file_deleted_while_it_waits(admin: User, group: ContactGroup) -> None:
    import_ = received(admin, group, csv_bytes(LIST))
    Path(import_.file.path).unlink()
    confirm(import_, Layout.from_json(import_.layout), Existing.SKIP)
    assert (import_.state, import_.error) == ("failed", "The uploaded file is not there any more. Upload it again.")
    with pytest.raises(UploadError, match="Upload it again"):
        preview(import_, Layout.from_json(import_.layout))


def test_a_damaged_row_far_below(admin: User, group: ContactGroup) -> None:
    rows = csv_bytes([["Mobile"], *([number(i)] for i in range(1_000))])
    import_ = imported(admin, group, rows + b'"unclosed\nmore\n')
    assert import_.state == "failed"
    assert import_.error.startswith('Line 1,002 has a quote (") that is not closed')
    assert len(contacts(group)) == 2


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (psycopg.errors.DiskFull("no room"), "The disk of the database is full. Nothing was changed. Free some space"),
        (OSError(errno.ENOSPC, "no room"), "The disk of the portal is full. Nothing was changed. Free some space"),
    ],
)
def test_a_full_disk(
    admin: User, group: ContactGroup, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def full(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("calls.contacts.importing.working._end", full)
    import_ = imported(admin, group, csv_bytes([["Mobile"], [number(5)]]), Existing.REPLACE)
    assert import_.state == "failed"
    assert import_.error.startswith(message)
    assert len(contacts(group)) == 2


def test_a_group_deleted_while_the_file_comes(
    admin: User, group: ContactGroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def guess(*_: object, **__: object) -> tuple[Layout, int]:
        group.contacts.all().delete()
        group.delete()
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # as outside of a test's transaction
        return Layout("csv"), 0

    monkeypatch.setattr("calls.contacts.importing.receiving._guess_layout", guess)
    import_into = ContactGroup.objects.get()
    with pytest.raises(UploadError, match="was deleted meanwhile"):
        received(admin, import_into, csv_bytes(LIST))
    assert not list(Path(settings.MEDIA_ROOT, "imports").glob("*"))


def test_a_full_disk_when_the_file_comes(admin: User, group: ContactGroup, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr("django.core.files.storage.FileSystemStorage._save", full)
    with pytest.raises(UploadError, match="Free some space"):
        received(admin, group, csv_bytes(LIST))


def test_too_many_rows(admin: User, group: ContactGroup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "MAX_ROWS", 3)
    import_ = imported(admin, group, csv_bytes([["Mobile"], *([number(i)] for i in range(4))]))
    assert (import_.state, import_.error) == ("failed", "The file has more than 3 rows. Split it.")


def test_replacing_by_nothing(admin: User, group: ContactGroup) -> None:
    import_ = imported(admin, group, b"Mobile\n123\n", Existing.REPLACE)
    assert import_.state == "failed"
    assert "replacing would only remove what is there" in import_.error
    assert len(contacts(group)) == 2


def test_a_mistake_of_the_portal(admin: User, group: ContactGroup, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("calls.contacts.importing.working._end", broken)
    with pytest.raises(ZeroDivisionError):
        imported(admin, group, csv_bytes(LIST))
    assert Import.objects.get().error == BUG
    assert len(contacts(group)) == 2


def test_layouts_that_say_too_little_or_too_much(admin: User, group: ContactGroup) -> None:
    import_ = received(admin, group, csv_bytes([["Name", "Mobile"], ["Asha", "x"]]))
    for columns, message in (
        ((Role.NAME, Role.SKIP), "Say which column has the phone numbers"),
        ((Role.NUMBER, *[Role.EXTRA] * (MAX_EXTRA + 1)), f"at most {MAX_EXTRA}"),
    ):
        with pytest.raises(ImportNotPossible, match=message):
            confirm(import_, Layout("csv", header=1, columns=columns), Existing.SKIP)
    assert import_.state == "uploaded"


def test_targets_that_nothing_is_imported_into(admin: User) -> None:
    theirs = make_group("Theirs", carrier_group="7")
    with pytest.raises(ImportNotPossible, match="The carrier holds"):
        received(admin, theirs, csv_bytes(LIST))
    for role in (ListRole.OPT_OUT, ListRole.CARRIER):
        with pytest.raises(ImportNotPossible, match="The portal itself keeps"):
            receive(admin, SuppressionList.objects.get(role=role), pasted=number(1))


def test_names_of_files_that_no_database_takes(admin: User, group: ContactGroup) -> None:
    import_ = received(admin, group, csv_bytes(LIST), f"a\x00b\u202e{'c' * 300}.csv")
    assert import_.filename.isprintable()
    assert len(import_.filename) <= 200
