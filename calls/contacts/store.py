"""Put entries into a contact group or on the suppression list, and say what became of each line.

No line is dropped without a word (DESIGN.md, rule 6): what isn't added is listed with its reason.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection, transaction

from calls.audit import note
from calls.contacts.entries import Entry
from calls.models import ContactGroup, ListRole, SuppressionList, User

ROWS_AT_ONCE = 5_000
"""Rows per INSERT."""

CONTACTS_SQL = """
    INSERT INTO calls_contact (group_id, number, name, extra, created_at)
    SELECT %(group)s, number, name, extra::jsonb, now()
    FROM unnest(%(numbers)s::text[], %(names)s::text[], %(extras)s::text[]) WITH ORDINALITY
        AS given (number, name, extra, place)
    ORDER BY place
    ON CONFLICT (group_id, number) DO NOTHING
    RETURNING number
"""
SUPPRESSIONS_SQL = """
    INSERT INTO calls_suppression (list_id, number, reason, source, added_by_id, added_at)
    SELECT %(list)s, number, %(reason)s, %(source)s, %(user)s, now() FROM unnest(%(numbers)s::text[]) AS given (number)
    ON CONFLICT (number, list_id) DO NOTHING
    RETURNING number
"""

REASON_COLUMN = "not added because"
"""Title of the column with the reason in downloaded lines; it is left out when they are added again."""

Sources = Mapping[str, Sequence[Entry]]
"""Where the entries come from ("pasted", the name of a file), each with its entries."""


@dataclass(frozen=True)
class Line:
    """One line that added nothing: where it stands, what came and why not."""

    source: str
    line: int
    text: str
    name: str
    reason: str
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """What became of all lines; the three lists keep the order in which the lines came."""

    added: int = 0
    refused: list[Line] = field(default_factory=list)
    already: list[Line] = field(default_factory=list)
    duplicates: list[Line] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every line was added."""
        return not (self.refused or self.already or self.duplicates)


def add_contacts(group: ContactGroup, sources: Sources) -> Result:
    """Add what `sources` holds to `group`, and write that in the audit log.

    Raises ContactGroup.DoesNotExist if the group was deleted meanwhile.
    """
    chosen, refused, duplicates = _sort_out(sources)
    with transaction.atomic():
        # One after the other: two that add the same numbers in another order would wait for each other for ever.
        group = ContactGroup.objects.select_for_update(no_key=True).get(pk=group.pk)
        added = _insert(CONTACTS_SQL, list(chosen.values()), {"group": group.pk})
        if added:
            note(group, contacts=f"{len(added)} added")
    already = _already(chosen, added, "is in this contact group already")
    return Result(len(added), refused, already, duplicates)


def add_suppressions(sources: Sources, reason: str, source: str, user: User) -> Result:
    """Put the numbers in `sources` on the suppression list, and write that in the audit log; names are left out."""
    chosen, refused, duplicates = _sort_out(sources)
    # In one order, so that two people who add the same numbers don't wait for each other for ever.
    rows = [chosen[number] for number in sorted(chosen)]
    with transaction.atomic():
        # Whoever changes a suppression list locks it first.
        chosen_list = SuppressionList.objects.select_for_update(no_key=True).get(role=ListRole.MANUAL)
        parameters = {"list": chosen_list.pk, "reason": reason, "source": source, "user": user.pk}
        added = _insert(SUPPRESSIONS_SQL, rows, parameters)
        if added:
            first = chosen_list.suppressions.get(number=min(added))
            note(first, numbers=_listed(sorted(added)), reason=reason, source=source)
    already = _already(chosen, added, "is on the suppression list already")
    return Result(len(added), refused, already, duplicates)


Chosen = dict[str, tuple[str, Entry]]
"""Of each number the source and the entry that came first."""


def _sort_out(sources: Sources) -> tuple[Chosen, list[Line], list[Line]]:
    """The numbers to add, the refused lines and the lines that repeat a number."""
    chosen: Chosen = {}
    refused, duplicates = [], []
    for source, entries in sources.items():
        for entry in entries:
            if entry.number is None:
                refused.append(_line(source, entry, entry.reason))
            elif first := chosen.get(entry.number):
                duplicates.append(_line(source, entry, _repeats(source, *first)))
            else:
                chosen[entry.number] = (source, entry)
    return chosen, refused, duplicates


def _line(source: str, entry: Entry, reason: str) -> Line:
    return Line(source, entry.line, entry.text, entry.name, reason, _extra(entry))


def _extra(entry: Entry) -> dict[str, str]:
    return {title: value for title, value in entry.extra.items() if title != REASON_COLUMN}


def _repeats(source: str, first_source: str, first: Entry) -> str:
    where = f"line {first.line}" if source == first_source else f"{first_source}, line {first.line}"
    return f"repeats {where}"


def _already(chosen: Chosen, added: set[str], reason: str) -> list[Line]:
    return [_line(source, entry, reason) for number, (source, entry) in chosen.items() if number not in added]


def _insert(query: str, rows: Sequence[tuple[str, Entry]], parameters: Mapping[str, Any]) -> set[str]:
    """Run `query` for all rows, some at a time; the numbers that it added."""
    added: set[str] = set()
    with connection.cursor() as cursor:
        for start in range(0, len(rows), ROWS_AT_ONCE):
            entries = [entry for _, entry in rows[start : start + ROWS_AT_ONCE]]
            columns: dict[str, Any] = {
                "numbers": [entry.number for entry in entries],
                "names": [entry.name for entry in entries],
                "extras": [json.dumps(_extra(entry)) for entry in entries],
            }
            cursor.execute(query, {**parameters, **columns})
            added.update(number for (number,) in cursor.fetchall())
    return added


def _listed(numbers: Sequence[str], most: int = 100) -> str:
    """The numbers for the audit log; of many the first, and how many there are."""
    if len(numbers) <= most:
        return ", ".join(numbers)
    return f"{', '.join(numbers[:most])} and {len(numbers) - most} more"
