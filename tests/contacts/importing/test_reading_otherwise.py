"""Any encoding and any separator: as guessed, or as the person says."""

import pytest

from calls.contacts.importing import ENCODINGS, Layout, Role, UploadError, preview, read_as, with_header
from calls.contacts.importing.encoding import MIXED, WESTERN
from calls.models import ContactGroup, User
from tests.contacts.importing.helpers import contacts, csv_bytes, imported, received
from tests.factories import make_group, make_user, number

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> User:
    return make_user("admin")


@pytest.fixture
def group() -> ContactGroup:
    return make_group("Members")


def named(group: ContactGroup) -> list[tuple[str, str]]:
    return [(which, name) for which, name, _, _ in contacts(group)]


@pytest.mark.parametrize(
    ("encoding", "title", "name"),
    [
        ("cp1251", "Имя", "Иван Петров"),
        ("koi8-r", "Имя", "Иван Петров"),
        ("gb18030", "姓名", "张三"),
        ("cp932", "名前", "タナカ タロウ"),
        ("cp949", "이름", "김철수"),
        ("cp1252", "Name", "José Núñez"),
    ],
)
def test_old_encodings_are_guessed_and_said(
    admin: User, group: ContactGroup, encoding: str, title: str, name: str
) -> None:
    data = csv_bytes([[title, "Mobile"], [name, number(1)], [name, number(2)]], encoding)
    import_ = received(admin, group, data)
    assert import_.layout["encoding"] == encoding
    (warning,) = preview(import_, Layout.from_json(import_.layout)).warnings
    assert warning.startswith(f"It is read as {ENCODINGS[encoding]}, since it is not in UTF-8. Look whether the names")
    layout = Layout.from_json(import_.layout)
    # The title may mean nothing to the portal.
    layout = Layout(**{**layout.as_json(), "titles": layout.titles, "columns": (Role.NAME, Role.NUMBER)})
    assert [row.name for row in preview(import_, layout).rows] == [name, name]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_each_encoding_that_can_be_chosen_is_read(admin: User, group: ContactGroup, encoding: str) -> None:
    import_ = received(admin, group, csv_bytes([["Name", "Mobile"], ["Asha", number(1)]], encoding))
    layout = read_as(import_, "csv", encoding, ",")
    assert [(row.numbers, row.name) for row in preview(import_, layout).rows] == [((number(1),), "Asha")]


@pytest.mark.parametrize("first", [10, 3_000])
def test_utf_8_among_much_else(admin: User, group: ContactGroup, first: int) -> None:
    western = csv_bytes([["Name", "Mobile"], *(["José", number(i)] for i in range(first))], WESTERN)
    import_ = imported(admin, group, western + csv_bytes([["आशा", number(5_000)]]))
    assert import_.layout["encoding"] == MIXED
    assert named(group)[first - 1 :] == [(number(first - 1), "José"), (number(5_000), "आशा")]


@pytest.mark.parametrize("delimiter", list(",;\t|~^:"))
def test_delimiters(admin: User, group: ContactGroup, delimiter: str) -> None:
    rows = [["Name", "Mobile", "City"], ["Asha", number(1), "Pune"], ["Ravi", number(2), "Goa"]]
    imported(admin, group, csv_bytes(rows, delimiter=delimiter))
    assert [(which, name, extra) for which, name, _, extra in contacts(group)] == [
        (number(1), "Asha", {"City": "Pune"}),
        (number(2), "Ravi", {"City": "Goa"}),
    ]


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("Rao, Asha;{0}\nRao, Ravi;{1}\n", ";"),
        ("Asha;{0};10:30\nRavi;{1};11:15\n", ";"),
        ("Asha,{0},10:30:00\nRavi,{1},11:15:00\nUma,12\n", ","),
        ("Asha;{0},{1}\nRavi;{2},{3}\n", ";"),
    ],
)
def test_the_delimiter_that_gives_numbers_wins(admin: User, group: ContactGroup, text: str, delimiter: str) -> None:
    import_ = received(admin, group, text.format(*map(number, range(4))).encode())
    assert (import_.layout["kind"], import_.layout["delimiter"]) == ("csv", delimiter)


def test_the_person_says_what_separates(admin: User, group: ContactGroup) -> None:
    import_ = received(admin, group, f"Name Mobile\nAsha {number(1)}\n".encode())
    layout = read_as(import_, "csv", MIXED, " ")
    assert (layout.header, layout.titles, layout.columns) == (1, ("Name", "Mobile"), (Role.NAME, Role.NUMBER))
    assert read_as(import_, "pasted", MIXED, ",").kind == "pasted"
    with pytest.raises(UploadError, match="not a text file"):
        read_as(received(admin, group, f"Name,{number(1)}".encode("utf-16")), "csv", MIXED, ",")


def test_titles_are_where_something_stands(admin: User, group: ContactGroup) -> None:
    import_ = received(admin, group, f"Mobile,Name\n\n{number(1)},Asha\n{number(2)},Ravi\n".encode())
    layout = Layout.from_json(import_.layout)
    with pytest.raises(UploadError, match="Row 2 is blank, or there is none"):
        with_header(import_, layout, 2)
    with pytest.raises(UploadError, match="Row 9 is blank, or there is none"):
        with_header(import_, layout, 9)
    assert with_header(import_, layout, 3).titles == (number(1), "Asha")
