"""The audit log in plain words: who did what to which thing, when, from where, and what each field was and became.

:mod:`calls.audit` writes it. Everything is looked up for many entries at once, in a few queries.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from auditlog.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import ForeignKey, Model
from django.urls import reverse

from calls.audit import API_KEY
from calls.history_words import deed, field_label, is_said, kind_label, thing_word, value
from calls.models import (
    IVR,
    APIKey,
    CallGroup,
    CallingRule,
    Contact,
    ContactGroup,
    Sound,
    Suppression,
    SuppressionList,
    User,
)

PORTAL = "The portal"
"""Who does what nobody else did: a worker, or a command on its machine."""

AT_ONCE = 500
"""Entries of an export that are looked up at once."""

CHANGES_SHOWN, VALUE_SHOWN = 6, 120
"""Fields of an entry, and characters of a value, that a list of entries shows."""

PAGES: dict[type[Model], tuple[str, tuple[str, ...]]] = {
    ContactGroup: ("contact_group", ("pk",)),
    Contact: ("contact_edit", ("group_id", "pk")),
    SuppressionList: ("suppression_list", ("pk",)),
    Suppression: ("suppression_number", ("list_id", "pk")),
    CallGroup: ("call_group", ("pk",)),
    Sound: ("sound", ("number",)),
    IVR: ("ivr", ("number",)),
    User: ("user", ("pk",)),
    APIKey: ("api_key", ("pk",)),
}
"""The page of a thing: its URL's name, and the columns that are its arguments."""

EXPORT_COLUMNS = (
    "entry", "time", "person", "API key", "what was done", "kind", "ID", "thing", "from address",
    "field", "before", "after",
)  # fmt: skip


@dataclass(frozen=True)
class Change:
    """What a field was and became, in words; empty where there was nothing."""

    field: str
    before: str
    after: str


@dataclass(frozen=True)
class Entry:
    """One entry of the audit log. `at` is aware; links are empty where there is nothing (any more) to lead to."""

    id: int
    at: datetime
    person: str
    person_url: str
    key: str
    key_url: str
    did: str
    kind: str
    kind_name: str
    thing_word: str
    thing_id: str
    thing: str
    thing_url: str
    address: str
    changes: list[Change]

    @property
    def short(self) -> list[Change]:
        """The first changes, each value cut where it gets long."""
        return [
            Change(change.field, _cut(change.before), _cut(change.after)) for change in self.changes[:CHANGES_SHOWN]
        ]

    @property
    def more(self) -> str:
        """What `short` leaves out, in words; empty for nothing."""
        if (hidden := len(self.changes) - CHANGES_SHOWN) > 0:
            return f"and {hidden} more field{'s' if hidden > 1 else ''}"
        return "" if self.short == self.changes else "whole values"

    @property
    def is_session(self) -> bool:
        """Whether somebody signed in or out, which is done to nothing."""
        return self.did in ("signed in", "signed out")


def _cut(text: str) -> str:
    return text if len(text) <= VALUE_SHOWN else f"{text[: VALUE_SHOWN - 1]}…"


def read(rows: Sequence[LogEntry]) -> list[Entry]:
    """These rows (with their actors) in plain words."""
    found = _Found(rows)
    return [_entry(row, found) for row in rows]


def export_rows(rows: Iterable[LogEntry]) -> Iterator[tuple[Any, ...]]:
    """A row of `EXPORT_COLUMNS` for each field that an entry says something of; one for an entry that says nothing."""
    each = iter(rows)
    while some := list(islice(each, AT_ONCE)):
        for entry in read(some):
            start = (
                entry.id, entry.at, entry.person, entry.key, entry.did, entry.kind, entry.thing_id, entry.thing,
                entry.address,
            )  # fmt: skip
            for change in entry.changes or [Change("", "", "")]:
                yield (*start, change.field, change.before, change.after)


def _entry(row: LogEntry, found: "_Found") -> Entry:
    kind = _kind(row)
    model = kind.model_class()
    key = (row.additional_data or {}).get(API_KEY) or {}
    return Entry(
        id=row.pk,
        at=row.timestamp,
        person=_person(row),
        person_url=reverse("user", args=[row.actor_id]) if row.actor_id else "",
        key=str(key.get("name", "")),
        key_url=found.page(APIKey, str(key.get("id", ""))),
        did=deed(row.action, model, row.changes or {}),
        kind=kind_label(kind),
        kind_name=kind.model,
        thing_word=thing_word(kind),
        thing_id=row.object_pk,
        thing=row.object_repr,
        thing_url=found.page(model, row.object_pk),
        address=row.remote_addr or "",
        changes=list(_changes(row, model, found)),
    )


def _person(row: LogEntry) -> str:
    if row.actor is not None:
        return str(row.actor)
    # auditlog keeps the address of who did it; without one, nobody did.
    return PORTAL if row.actor_email is None else f"A deleted user ({row.actor_email or 'no e-mail address'})"


def _changes(row: LogEntry, model: type[Model] | None, found: "_Found") -> Iterator[Change]:
    """The fields that something is said of, as they come in the model, and then what is no field of it."""
    order = {field.name: place for place, field in enumerate(model._meta.get_fields())} if model else {}
    changes = row.changes or {}
    for name in sorted(changes, key=lambda name: (order.get(name, len(order)), name)):
        told = changes[name]
        if isinstance(told, dict):  # of a many-to-many field
            word = "added" if told.get("operation") == "add" else "removed"
            yield Change(field_label(model, name), "", f"{word} {', '.join(map(str, told.get('objects', [])))}")
            continue
        before, after = (found.name(model, name, text) or value(model, name, text) for text in told)
        if row.action == LogEntry.Action.CREATE:
            before = ""
        elif row.action == LogEntry.Action.DELETE:
            after = ""
        if (before or after) and is_said(name, row.action):
            yield Change(field_label(model, name), before, after)


def _model(row: LogEntry) -> type[Model] | None:
    """The model of the thing; None if the portal no longer has such things."""
    return _kind(row).model_class()


def _kind(row: LogEntry) -> ContentType:
    """Of what kind the thing is, without a query: kinds are remembered."""
    return ContentType.objects.get_for_id(row.content_type_id)


def _pk(text: Any) -> int | None:
    """A primary key as the log holds it; None for what is none."""
    text = str(text)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


class _Found:
    """The things that some entries are about and name, looked up once."""

    def __init__(self, rows: Sequence[LogEntry]) -> None:
        about: dict[type[Model], set[int]] = defaultdict(set)
        named: dict[type[Model], set[int]] = defaultdict(set)
        for row in rows:
            model = _model(row)
            about[model or User].add(_pk(row.object_pk) or 0)
            about[APIKey].add(_pk(((row.additional_data or {}).get(API_KEY) or {}).get("id")) or 0)
            for name, told in (row.changes or {}).items():
                if (other := _other(model, name)) and isinstance(told, list):
                    named[other] |= {pk for text in told if (pk := _pk(text))}
        self._pages = {model: _pages(model, ids) for model, ids in about.items()}
        self._names = {model: model._default_manager.in_bulk(ids) for model, ids in named.items()}

    def page(self, model: type[Model] | None, pk: str) -> str:
        """The address of the thing's page; empty if it has none, or is gone."""
        if model is CallingRule:  # all three have one page
            return reverse("calling_rules")
        return self._pages[model].get(_pk(pk) or 0, "") if model in self._pages else ""

    def name(self, model: type[Model] | None, field: str, text: Any) -> str:
        """What a foreign key led to; empty if `field` is none or there is no key."""
        other, pk = _other(model, field), _pk(text)
        if other is None or pk is None:
            return ""
        thing = self._names.get(other, {}).get(pk)
        return str(thing) if thing else f"{other._meta.verbose_name} {pk}, which is gone"


def _other(model: type[Model] | None, name: str) -> type[Model] | None:
    """The model that a foreign key leads to."""
    field = next((field for field in model._meta.fields if field.name == name), None) if model else None
    other = field.related_model if isinstance(field, ForeignKey) else None
    return other if isinstance(other, type) else None


def _pages(model: type[Model], ids: set[int]) -> dict[int, str]:
    """The addresses of the pages of these things that still exist."""
    if model not in PAGES:
        return {}
    name, columns = PAGES[model]
    rows = model._default_manager.filter(pk__in=ids).values_list("pk", *columns)
    return {pk: reverse(name, args=arguments) for pk, *arguments in rows}
