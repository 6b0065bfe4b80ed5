from threading import Thread

import pytest
from auditlog.models import LogEntry
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from calls.contacts.entries import Entry, read_csv, read_pasted
from calls.contacts.store import ROWS_AT_ONCE, add_contacts, add_suppressions
from calls.models import Contact, ContactGroup, Suppression
from tests.factories import make_group, make_user, number

pytestmark = pytest.mark.django_db

FIRST, SECOND, THIRD = number(1), number(2), number(3)


def pasted(text: str) -> dict[str, list[Entry]]:
    return {"pasted": read_pasted(text, "GB")}


def entries(count: int) -> dict[str, list[Entry]]:
    return {"pasted": [Entry(i + 1, number(i), number(i), "", "") for i in range(count)]}


def test_each_line_is_added_or_listed_with_its_reason() -> None:
    group = make_group(numbers=[FIRST])
    result = add_contacts(group, pasted(f"Asha, {SECOND}\n{FIRST}\n{SECOND}\nabc\n{THIRD}"))
    assert result.added == 2
    assert [(line.line, line.reason) for line in result.already] == [(2, "is in this contact group already")]
    assert [(line.line, line.reason) for line in result.duplicates] == [(3, "repeats line 1")]
    assert [(line.line, line.text, line.reason) for line in result.refused] == [(4, "abc", "has letters, no digits")]
    assert not result.complete
    group.refresh_from_db()
    assert group.size == 3
    assert group.contacts.get(number=SECOND).name == "Asha"


def test_contacts_keep_the_order_of_the_lines() -> None:
    group = make_group()
    listed = [number(i) for i in (5, 1, 4, 2)]
    assert add_contacts(group, pasted("\n".join(listed))).complete
    assert list(group.contacts.order_by("id").values_list("number", flat=True)) == listed


def test_a_number_repeated_in_the_file_says_where_it_came_first() -> None:
    sources = pasted(FIRST) | {"file “a.csv”": read_pasted(f"{SECOND}\n{FIRST}", "GB")}
    result = add_contacts(make_group(), sources)
    assert [(line.source, line.reason) for line in result.duplicates] == [("file “a.csv”", "repeats pasted, line 1")]


def test_other_columns_are_kept_with_the_contact() -> None:
    group = make_group()
    data = f"number,name,city,not added because\n{FIRST},Asha,Pune,whatever it was\n".encode()
    add_contacts(group, {"file": read_csv(data, "GB")})
    assert group.contacts.get().extra == {"city": "Pune"}


def test_the_audit_log_says_how_many_were_added() -> None:
    group = make_group()
    add_contacts(group, pasted(f"{FIRST} {SECOND}"))
    entry = LogEntry.objects.get_for_object(group).get(action=LogEntry.Action.UPDATE)
    assert entry.changes["contacts"][1] == "2 added"


def test_nothing_is_added_to_a_deleted_group() -> None:
    group = make_group()
    ContactGroup.objects.filter(pk=group.pk).delete()
    with pytest.raises(ContactGroup.DoesNotExist):
        add_contacts(group, pasted(FIRST))


def test_many_rows_take_few_statements() -> None:
    group = make_group()
    with CaptureQueriesContext(connection) as queries:
        assert add_contacts(group, entries(2 * ROWS_AT_ONCE)).added == 2 * ROWS_AT_ONCE
    assert len([query for query in queries if "INSERT INTO calls_contact " in query["sql"]]) == 2
    assert len(queries) < 12


@pytest.mark.django_db(transaction=True)
def test_two_at_once_add_each_number_once() -> None:
    group = make_group()
    listed = [number(i) for i in range(2_000)]
    added: list[int] = []

    def add(numbers: list[str]) -> None:
        try:
            added.append(add_contacts(group, pasted("\n".join(numbers))).added)
        finally:
            connections.close_all()

    threads = [Thread(target=add, args=(each,)) for each in (listed, listed[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(added) == [0, 2_000]
    group.refresh_from_db()
    assert group.size == Contact.objects.filter(group=group).count() == 2_000


def test_suppressed_numbers_carry_reason_source_and_who() -> None:
    user = make_user()
    Suppression.objects.create(number=FIRST, reason="Older", source="")
    result = add_suppressions(pasted(f"{FIRST}\n{SECOND}\n{SECOND}\n123"), "Asked not to be called", "Letter", user)
    assert result.added == 1
    assert [line.reason for line in result.already] == ["is on the suppression list already"]
    assert len(result.duplicates) == len(result.refused) == 1
    row = Suppression.objects.get(number=SECOND)
    assert (row.reason, row.source, row.added_by) == ("Asked not to be called", "Letter", user)
    assert row.added_at is not None
    assert Suppression.objects.get(number=FIRST).reason == "Older"


def test_the_audit_log_names_suppressed_numbers() -> None:
    add_suppressions(pasted(f"{SECOND} {FIRST}"), "Asked", "", make_user())
    entry = LogEntry.objects.get_for_object(Suppression.objects.get(number=FIRST)).get()
    assert entry.changes["numbers"][1] == f"{FIRST}, {SECOND}"
    assert entry.changes["reason"][1] == "Asked"


def test_the_audit_log_stays_short_for_many_suppressed_numbers() -> None:
    add_suppressions(entries(150), "Register", "", make_user())
    entry = LogEntry.objects.get_for_object(Suppression.objects.get(number=number(0))).get()
    assert entry.changes["numbers"][1].endswith("and 50 more")
