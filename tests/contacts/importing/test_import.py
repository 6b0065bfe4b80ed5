"""From a file to contacts and suppressed numbers: added, updated, replaced, refused, and undone."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.conf import settings
from django.utils import timezone

from calls.contacts.importing import (
    ImportNotPossible,
    Layout,
    Role,
    UploadError,
    cancel,
    confirm,
    forget_old,
    preview,
    receive,
    refused_lines,
    undo,
    with_header,
)
from calls.models import Contact, ContactGroup, Import, ImportState, Suppression, SuppressionList, User
from calls.models.importing import Existing
from tests.contacts.importing.helpers import contacts, csv_bytes, imported, received
from tests.factories import make_group, make_user, number

pytestmark = pytest.mark.django_db

ONE, TWO, THREE = number(1), number(2), number(3)


@pytest.fixture
def admin() -> User:
    return make_user("admin")


@pytest.fixture
def group() -> ContactGroup:
    group = ContactGroup.objects.create(name="Members")
    Contact.objects.create(group=group, number=ONE, name="Asha", custom="A-1", extra={"City": "Pune", "Age": "31"})
    Contact.objects.create(group=group, number=TWO, name="Ravi")
    return group


@pytest.fixture
def chosen() -> SuppressionList:
    return SuppressionList.objects.create(name="Register")


BEFORE = [(ONE, "Asha", "A-1", {"City": "Pune", "Age": "31"}), (TWO, "Ravi", "", {})]
FILE = csv_bytes(
    [
        ["Mobile", "Name", "Reference", "City"],
        [THREE, "Uma", "U-3", "Goa"],
        [ONE, "Asha Rao", "", "Delhi"],
        [TWO, "Ravi"],
    ]
)


@pytest.mark.parametrize(
    ("existing", "after", "figures"),
    [
        (Existing.SKIP, [*BEFORE, (THREE, "Uma", "U-3", {"City": "Goa"})], (1, 0, 2, 0)),
        (
            Existing.UPDATE,
            [
                (ONE, "Asha Rao", "A-1", {"City": "Delhi", "Age": "31"}),
                BEFORE[1],
                (THREE, "Uma", "U-3", {"City": "Goa"}),
            ],
            (1, 1, 1, 0),
        ),
        (
            Existing.REPLACE,
            [(ONE, "Asha Rao", "", {"City": "Delhi"}), BEFORE[1], (THREE, "Uma", "U-3", {"City": "Goa"})],
            (1, 1, 1, 1),
        ),
    ],
)
def test_what_happens_to_those_that_are_there(
    admin: User, group: ContactGroup, existing: Existing, after: list[object], figures: tuple[int, ...]
) -> None:
    before = list(Contact.objects.order_by("pk").values())
    if existing == Existing.REPLACE:
        Contact.objects.create(group=group, number=number(9))
        before = list(Contact.objects.order_by("pk").values())
    import_ = imported(admin, group, FILE, existing)
    assert contacts(group) == after
    assert tuple(import_.counts[what] for what in ("added", "updated", "unchanged", "removed")) == figures
    assert [import_.counts[what] for what in ("rows", "accepted", "refused", "duplicate")] == [3, 3, 0, 0]
    group.refresh_from_db()
    assert group.size == 3
    undo(import_, admin)
    assert list(Contact.objects.order_by("pk").values()) == before
    assert import_.state == "undone"


def test_the_audit_log_says_who_imported_what(admin: User, group: ContactGroup) -> None:
    undo(imported(admin, group, FILE, Existing.UPDATE, "Customers.csv"), admin)
    undone, done = LogEntry.objects.get_for_object(group)[:2]
    assert done.changes == {"contacts": ["", "1 added, 1 updated by the import of Customers.csv"]}
    assert undone.changes["contacts"][1].startswith("Import of Customers.csv of 20")
    assert undone.changes["contacts"][1].endswith(" undone")


def test_refused_and_repeated_rows_come_back_and_import_once_they_are_mended(admin: User, group: ContactGroup) -> None:
    rows = [
        ["Name", "Mobile", "City"],
        ["Uma", "9.19876E+11", "=Goa"],
        ["Om", THREE, "a;b"],
        ["Omi", THREE, ""],
        ["", "x"],
    ]
    import_ = imported(admin, group, csv_bytes(rows, delimiter=";"))
    assert [import_.counts[what] for what in ("rows", "accepted", "refused", "duplicate")] == [4, 1, 2, 1]
    assert import_.reasons == {"is a rounded figure: the spreadsheet has lost digits": 1, "has letters, no digits": 1}
    repeated = b"".join(refused_lines(import_, duplicate=True)).decode("utf-8-sig")
    assert repeated == f"Name,Mobile,City,not added because\nOmi,{THREE},,repeats line 3\n"
    refused = b"".join(refused_lines(import_)).decode("utf-8-sig")
    assert refused.splitlines()[1:] == [
        "Uma,9.19876E+11,'=Goa,9.19876E+11 is a rounded figure: the spreadsheet has lost digits",
        ',x,,"has letters, no digits"',
    ]
    mended = refused.replace("9.19876E+11,", f"{number(4)},").replace(",x,", f",{number(5)},")
    again = imported(admin, group, mended.encode())
    assert (again.counts["added"], again.counts["refused"]) == (2, 0)
    assert contacts(group)[3:] == [(number(4), "Uma", "", {"City": "=Goa"}), (number(5), "", "", {})]


def test_a_row_with_several_numbers_is_one_row(admin: User, group: ContactGroup) -> None:
    rows = [["Mobile"], [f"{THREE} / {number(4)}"], [f"{number(4)} / {number(5)}"], [f"{THREE} / {number(5)}"]]
    import_ = imported(admin, group, csv_bytes(rows))
    assert [import_.counts[what] for what in ("rows", "accepted", "duplicate", "added")] == [3, 2, 1, 3]


def test_pasted_text(admin: User, group: ContactGroup) -> None:
    import_ = receive(admin, group, pasted=f"Uma {THREE}, {number(4)}\n\nOm: 12345\n{THREE}")
    layout = Layout.from_json(import_.layout)
    assert layout.kind == "pasted"
    assert [(row.line, row.numbers, row.reason) for row in preview(import_, layout).rows] == [
        (1, (THREE,), ""),
        (1, (number(4),), ""),
        (3, (), "has letters"),
        (4, (THREE,), ""),
    ]
    confirm(import_, layout, Existing.SKIP)
    assert [import_.counts[what] for what in ("rows", "accepted", "refused", "duplicate")] == [4, 2, 1, 1]
    assert contacts(group)[2:] == [(THREE, "Uma", "", {}), (number(4), "", "", {})]
    assert "Om: 12345,has letters" in b"".join(refused_lines(import_)).decode()


def test_pasted_lines_of_which_few_have_several_numbers(admin: User, group: ContactGroup) -> None:
    lines = [*(number(i) for i in range(20, 30)), f"{number(40)},{number(41)}", f"Asha: {number(42)}"]
    import_ = receive(admin, group, pasted="\n".join(lines))
    confirm(import_, Layout.from_json(import_.layout), Existing.SKIP)
    assert (import_.counts["added"], import_.counts["refused"]) == (13, 0)


def test_a_pasted_table(admin: User, group: ContactGroup) -> None:
    import_ = receive(admin, group, pasted=f"Name\tMobile\nUma\t{THREE}\nOm\t{number(4)}")
    confirm(import_, Layout.from_json(import_.layout), Existing.SKIP)
    assert contacts(group)[2:] == [(THREE, "Uma", "", {}), (number(4), "Om", "", {})]


def test_the_person_says_what_the_columns_are(admin: User, group: ContactGroup) -> None:
    import_ = received(admin, group, csv_bytes([["A", "B", "C"], ["Uma", "vip", THREE], ["Om", "", number(4)]]))
    guessed = with_header(import_, Layout.from_json(import_.layout), 0)
    assert (guessed.header, guessed.columns[2]) == (0, Role.NUMBER)
    layout = with_header(import_, guessed, 1)
    assert layout.titles == ("A", "B", "C")
    columns = (Role.NAME, Role.EXTRA, Role.NUMBER)
    layout = Layout("csv", layout.encoding, layout.delimiter, 1, layout.titles, columns)
    shown = preview(import_, layout)
    assert shown.titles == ("A", "B", "C")
    assert [(row.cells, row.name) for row in shown.rows] == [
        (("Uma", "vip", THREE), "Uma"),
        (("Om", "", number(4)), "Om"),
    ]
    confirm(import_, layout, Existing.SKIP)
    assert contacts(group)[2:] == [(THREE, "Uma", "", {"B": "vip"}), (number(4), "Om", "", {})]


def test_it_is_done_once(admin: User, group: ContactGroup) -> None:
    import_ = imported(admin, group, FILE)
    confirm(import_, Layout.from_json(import_.layout), Existing.REPLACE)
    assert len(contacts(group)) == 3
    assert not cancel(import_)
    undo(import_, admin)
    with pytest.raises(ImportNotPossible, match="not undone yet"):
        undo(import_, admin)


def test_a_dropped_import_does_nothing(admin: User, group: ContactGroup) -> None:
    import_ = received(admin, group, FILE)
    assert cancel(import_)
    confirm(import_, Layout.from_json(import_.layout), Existing.SKIP)
    assert contacts(group) == BEFORE


def test_the_last_import_is_undone_first(admin: User, group: ContactGroup) -> None:
    first = imported(admin, group, FILE, filename="first.csv")
    second = imported(admin, group, csv_bytes([["Mobile"], [number(7)]]), filename="second.csv")
    with pytest.raises(ImportNotPossible, match=r"Import of second\.csv was done later\. Undo that one first"):
        undo(first, admin)
    undo(second, admin)
    undo(first, admin)
    assert contacts(group) == BEFORE


def test_undo_after_changes_by_hand(admin: User, group: ContactGroup) -> None:
    import_ = imported(admin, group, csv_bytes([["Mobile", "Name"], [ONE, "X"], [THREE, "Uma"]]), Existing.REPLACE)
    Contact.objects.create(group=group, number=TWO, name="Added again")
    Contact.objects.filter(number=ONE).update(number=number(8))
    Contact.objects.create(group=group, number=number(6), name="New")
    undo(import_, admin)
    assert sorted(contacts(group)) == sorted([*BEFORE, (number(6), "New", "", {})])


def test_undo_does_not_bring_back_what_was_deleted_by_hand(admin: User, group: ContactGroup) -> None:
    rows = [["Mobile", "Name"], [ONE, "X"], [TWO, "Y"]]
    Contact.objects.create(group=group, number=THREE, name="Removed by the import")
    import_ = imported(admin, group, csv_bytes(rows), Existing.REPLACE)
    Contact.objects.filter(number=ONE).delete()
    # Its number is needed for the one that comes back; it is not deleted by that.
    Contact.objects.filter(number=TWO).update(number=THREE)
    undo(import_, admin)
    assert sorted(contacts(group)) == [BEFORE[1], (THREE, "Removed by the import", "", {})]


def test_what_is_too_old_is_neither_kept_nor_undone(admin: User, group: ContactGroup) -> None:
    import_ = imported(admin, group, FILE)
    old = timezone.now() - timedelta(days=31)
    Import.objects.update(created_at=old)
    forget_old()
    assert Import.objects.exists()  # it was imported not so long ago
    Import.objects.update(ended_at=old)
    with pytest.raises(ImportNotPossible, match="30 days, which are over"):
        undo(import_, admin)
    Import.objects.update(state=ImportState.UNDOING)
    forget_old()
    assert Import.objects.exists()  # a worker has it
    Import.objects.update(state=ImportState.DONE)
    path = Path(received(admin, group, FILE).file.path)
    os.utime(path, (old.timestamp(), old.timestamp()))
    forget_old()
    assert path.exists()  # somebody may confirm it yet
    Import.objects.filter(ended_at=None).update(created_at=old)
    forget_old()
    assert not Import.objects.exists()
    forget_old()
    assert not path.exists()
    assert len(contacts(group)) == 3


def test_a_file_is_kept_only_until_it_is_imported_or_dropped(
    admin: User, group: ContactGroup, django_capture_on_commit_callbacks: Any
) -> None:
    folder = Path(settings.MEDIA_ROOT, "imports")
    dropped = received(admin, group, FILE)
    assert list(folder.iterdir())
    with django_capture_on_commit_callbacks(execute=True):
        cancel(dropped)
        imported(admin, group, FILE)
        assert imported(admin, group, b"Mobile\n12\n", Existing.REPLACE).state == "failed"
    assert not list(folder.iterdir())
    with pytest.raises(UploadError, match="not there any more"):
        preview(Import.objects.get(pk=dropped.pk), Layout.from_json(dropped.layout))


def test_suppressed_contacts_are_counted(admin: User, group: ContactGroup, chosen: SuppressionList) -> None:
    ended = SuppressionList.objects.create(name="Ended", ends_on=timezone.localdate() - timedelta(days=2))
    for each, which in ((chosen, ONE), (SuppressionList.objects.get(role="manual"), ONE), (ended, THREE)):
        Suppression.objects.create(list=each, number=which, reason="asked")
    assert imported(admin, group, FILE).counts["suppressed"] == 1


def test_suppression_lists(admin: User, chosen: SuppressionList) -> None:
    Suppression.objects.create(list=chosen, number=ONE, reason="old", source="letter")
    Suppression.objects.create(list=chosen, number=TWO, reason="old")
    before = list(Suppression.objects.order_by("pk").values())
    rows = [["Mobile", "Name", "Reason"], [ONE, "Asha", "moved"], [TWO, "", ""], [THREE, "Uma", ""]]
    expected = {
        Existing.SKIP: [(ONE, "old"), (TWO, "old"), (THREE, "asked")],
        Existing.UPDATE: [(ONE, "moved"), (TWO, "old"), (THREE, "asked")],
        Existing.REPLACE: [(ONE, "moved"), (TWO, "asked"), (THREE, "asked")],
    }
    for existing, after in expected.items():
        file = csv_bytes(rows if existing == Existing.REPLACE else [*rows, ["x", "", ""]])
        import_ = received(admin, chosen, file, "register.csv", reason="asked")
        confirm(import_, Layout.from_json(import_.layout), existing)
        assert list(chosen.suppressions.order_by("pk").values_list("number", "reason")) == after
        new = Suppression.objects.get(number=THREE)
        assert (new.source, new.added_by) == ("register.csv", admin)
        assert import_.counts["added"] == 1
        undo(import_, admin)
        assert list(Suppression.objects.order_by("pk").values()) == before
    chosen.refresh_from_db()
    assert chosen.size == 2


def test_who_may_do_what(group: ContactGroup, chosen: SuppressionList) -> None:
    operator, viewer = make_user("operator"), make_user("viewer")
    stranger = make_user("operator", uses_all_contact_groups=False, contact_groups=[make_group("Own")])
    for user, target, existing, allowed in (
        (operator, group, Existing.REPLACE, True),
        (viewer, group, Existing.SKIP, False),
        (operator, chosen, Existing.SKIP, True),
        (operator, chosen, Existing.UPDATE, False),
        (operator, chosen, Existing.REPLACE, False),
        (stranger, group, Existing.SKIP, False),
    ):
        import_ = received(user, target, csv_bytes([["Mobile"], [THREE]]))
        if allowed:
            confirm(import_, Layout.from_json(import_.layout), existing)
            assert import_.state == "done"
        else:
            with pytest.raises(ImportNotPossible, match="You may not do this"):
                confirm(import_, Layout.from_json(import_.layout), existing)
            assert import_.state == "uploaded"


def test_pasted_rows_come_back_and_import_once_they_are_mended(admin: User, group: ContactGroup) -> None:
    import_ = receive(admin, group, pasted=f"Uma 1234567\nOm: 12345\n{THREE}\nRaj 0207946000, {number(4)}")
    confirm(import_, Layout.from_json(import_.layout), Existing.SKIP)
    refused = b"".join(refused_lines(import_)).decode()
    assert [line.partition(",")[0] for line in refused.splitlines()[1:]] == [
        "Uma 1234567", "Om: 12345", "Raj 0207946000",
    ]  # fmt: skip
    again = imported(admin, group, refused.encode())
    assert again.counts["refused"] == 3
    # What is refused twice comes in the same shape.
    assert b"".join(refused_lines(again)).decode() == refused
    for short, whole in (("1234567,", number(5)), ("12345,", number(6)), ("0207946000,", f'{number(7)} {number(8)}"')):
        refused = refused.replace(short, f"{whole},".replace('",', ","), 1)
    imported(admin, group, refused.encode())
    assert contacts(group)[4:] == [
        (number(5), "Uma", "", {}),
        (number(6), "Om", "", {}),
        (number(7), "Raj", "", {}),
        (number(8), "", "", {}),
    ]


@pytest.mark.parametrize(
    ("lines", "titles"),
    [
        ([f"Om,{THREE}", "Uma,x", f"Raj,{number(4)}"], "Name,Number"),
        ([f"{THREE},Goa,Om", "12,Pune,Uma"], "Number,Name,Column 3"),
        (["12", *(number(i) for i in range(10, 30))], "Number"),
    ],
)
def test_rows_without_titles_come_back_with_some(
    admin: User, group: ContactGroup, lines: list[str], titles: str
) -> None:
    import_ = imported(admin, group, "\n".join(lines).encode())
    refused = b"".join(refused_lines(import_)).decode("utf-8-sig")
    assert refused.splitlines()[0] == f"{titles},not added because"
    added = group.contacts.count()
    for damaged in ("12,", ",x,"):
        refused = refused.replace(damaged, damaged.replace("12", number(9)).replace("x", number(9)), 1)
    again = imported(admin, group, refused.encode())
    assert (again.counts["added"], again.counts["refused"], group.contacts.count()) == (1, 0, added + 1)


def test_a_suppression_list_is_not_replaced_while_a_row_is_damaged(admin: User, chosen: SuppressionList) -> None:
    for which in (ONE, TWO):
        Suppression.objects.create(list=chosen, number=which, reason="asked")
    file = csv_bytes([["Mobile"], [ONE], ["4.42079E+11"]])
    import_ = imported(admin, chosen, file, Existing.REPLACE)
    assert import_.state == "failed"
    assert import_.error.startswith("1 of 2 rows can't be read. If their numbers are on the list now, replacing would")
    assert import_.reasons == {"is a rounded figure: the spreadsheet has lost digits": 1}
    assert "4.42079E+11" in b"".join(refused_lines(import_)).decode()
    assert list(chosen.suppressions.order_by("pk").values_list("number", flat=True)) == [ONE, TWO]
    assert imported(admin, chosen, file, Existing.UPDATE).state == "done"
