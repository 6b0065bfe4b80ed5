"""What holds for every file and every group."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calls.contacts.importing import ImportNotPossible, UploadError, refused_lines, undo
from calls.models import Contact, ContactGroup, User
from calls.models.importing import Existing
from tests.contacts.importing.helpers import csv_bytes, imported, received
from tests.factories import make_group, make_user, number

pytestmark = pytest.mark.django_db

NUMBERS = st.integers(0, 9).map(number)
TEXTS = st.sampled_from(["", "Asha", "Ravi \\ Rao", 'Om "the"', "'=x", "आशा", "a\tb\nc"])
BAD = st.sampled_from(["", "12", "x", "9.1E+11"])
CELLS = st.one_of(NUMBERS, NUMBERS, st.tuples(NUMBERS, NUMBERS).map(" / ".join), BAD)
ROWS = st.lists(st.tuples(CELLS, TEXTS, TEXTS, TEXTS), min_size=1, max_size=12)
PRIOR = st.dictionaries(
    NUMBERS, st.tuples(TEXTS, TEXTS, st.dictionaries(st.sampled_from(["City", "Age"]), TEXTS)), max_size=6
)
TITLES = ["Mobile", "Name", "Reference", "City"]

few = settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def admin() -> User:
    return make_user("admin")


def rows_of(group: ContactGroup) -> list[Any]:
    return list(Contact.objects.filter(group=group).order_by("pk").values())


@few
@given(rows=ROWS, prior=PRIOR, existing=st.sampled_from(Existing))
def test_each_row_counts_once_and_undo_puts_all_back(
    admin: User,
    rows: list[tuple[str, ...]],
    prior: dict[str, tuple[str, str, dict[str, str]]],
    existing: Existing,
) -> None:
    group = make_group()
    Contact.objects.bulk_create(
        Contact(group=group, number=which, name=name, custom=custom, extra=extra)
        for which, (name, custom, extra) in prior.items()
    )
    before = rows_of(group)
    filled = [row for row in rows if any(cell.strip() for cell in row)]
    if not filled:
        return
    import_ = imported(admin, group, csv_bytes([TITLES, *rows]), existing)
    after = {row["number"]: row for row in rows_of(group)}
    given_numbers = {part for cell, *_ in rows for part in cell.split(" / ") if part.startswith("+")}
    counts = import_.counts
    if import_.state == "failed":
        # Replacing by nothing.
        assert existing == Existing.REPLACE
        assert not given_numbers
        assert rows_of(group) == before
        return
    assert counts["rows"] == len(filled) == counts["accepted"] + counts["refused"] + counts["duplicate"]
    assert sum(import_.reasons.values()) == counts["refused"] == import_.not_taken.filter(duplicate=False).count()
    assert import_.not_taken.filter(duplicate=True).count() == counts["duplicate"]
    assert len(given_numbers) == counts["added"] + counts["updated"] + counts["unchanged"]
    assert set(after) == given_numbers | (set() if existing == Existing.REPLACE else set(prior))
    assert counts["removed"] == len(prior) + counts["added"] - len(after)
    group.refresh_from_db()
    assert group.size == len(after)
    # The same file again changes nothing.
    again = imported(admin, group, csv_bytes([TITLES, *rows]), existing).counts
    assert [again[what] for what in ("added", "updated", "removed")] == [0, 0, 0]
    group.imports.exclude(pk=import_.pk).delete()
    undo(import_, admin)
    assert rows_of(group) == before
    group.refresh_from_db()
    assert group.size == len(before)


@few
@given(data=st.binary(max_size=200) | st.text(alphabet='0123456789+,;|\n\t\r"=nameobil').map(str.encode))
def test_any_bytes_are_imported_or_refused_with_a_reason(admin: User, data: bytes) -> None:
    group = make_group()
    try:
        received(admin, group, data)
        import_ = imported(admin, group, data)
    except (UploadError, ImportNotPossible) as error:
        assert str(error)  # noqa: PT017 - most files are no use, some are
    else:
        assert import_.state in ("done", "failed")
        assert bool(import_.error) == (import_.state == "failed")
        b"".join(refused_lines(import_)).decode()
