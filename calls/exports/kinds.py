"""What can be exported: for each kind who may, which rows, and how many they are."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from auditlog.models import LogEntry
from django.contrib.postgres.fields import ArrayField
from django.db.models import Expression, F, Func, Model, QuerySet, TextField, Value
from django.forms import Form
from django.http import QueryDict

from calls.contacts.importing.layout import MAX_EXTRA
from calls.contacts.importing.own import CONTACT_TITLES, SUPPRESSION_TITLES
from calls.contacts.search import digits_of, find_contacts, with_digits
from calls.exports import evidence
from calls.exports.cells import FIGURE, TEXT, TIME
from calls.forms.audit import AuditFilter
from calls.forms.evidence import EvidenceForm
from calls.forms.filters import CallsFilter, CallsOfGroupFilter
from calls.history import EXPORT_COLUMNS, export_rows
from calls.models import (
    SEE_EVERYTHING,
    Call,
    CallGroup,
    CallRequest,
    Contact,
    ContactGroup,
    Outcome,
    PlannedCall,
    Suppression,
    SuppressionList,
    User,
)
from calls.views.paging import walk_rows

M = TypeVar("M", bound=Model)

EXPORT_INLINE = 50_000
"""Up to so many rows are written while the person waits; more in a worker."""

SAMPLE = 500
"""Entries of the audit log that tell how many fields one has."""

PAGING = ("after", "before", "v")
"""Parameters of addresses that say which page of a list is shown."""

SEARCH_LENGTH = 100
TITLE_LENGTH = 200


class NothingThere(Exception):
    """There is no such table, or this user may not see it."""


class WrongFilter(Exception):
    """The filter can't be right: nothing is exported. `form` says what is wrong with it."""

    def __init__(self, form: Form) -> None:
        super().__init__("the filter is wrong")
        self.form = form


class Column(NamedTuple):
    """A column of a table that PostgreSQL writes: its heading, where it comes from, and how its cells are made."""

    heading: str
    source: str | Expression
    cell: str = TEXT


@dataclass(frozen=True)
class Selected:
    """Rows as PostgreSQL selects them, in their order."""

    columns: Sequence[Column]
    rows: "QuerySet[Any, Any]"


@dataclass(frozen=True)
class Made:
    """Rows made by Python, to be read once: values of any type."""

    headings: Sequence[str]
    rows: Iterable[Sequence[Any]]


@dataclass(frozen=True)
class Table:
    """A table to export. Nothing is read of it before `content`; `expected` is exact up to `EXPORT_INLINE`."""

    title: str
    filename: str
    expected: Callable[[], int]
    content: Callable[[], Selected | Made]
    of_everybody: bool = False
    """Whether it has what others did, because the user may see that."""


class Kind(NamedTuple):
    """A kind of tables: the permission it needs, and the table for a user, of a thing (its ID), as filtered.

    `table` raises NothingThere and WrongFilter.
    """

    permission: str
    table: Callable[[User, int, QueryDict], Table]


def about(rows: "QuerySet[Any, Any]") -> int:
    """How many rows there are: counted up to a little more than `EXPORT_INLINE`, beyond that as PostgreSQL guesses."""
    counted = rows.order_by()[: EXPORT_INLINE + 1].count()
    if counted <= EXPORT_INLINE:
        return counted
    plan = json.loads(rows.order_by().explain(format="json"))
    return max(counted, int(plan[0]["Plan"]["Plan Rows"]))


def _found(rows: "QuerySet[M, M]", of: int) -> M:
    found = rows.filter(pk=of).first()
    if found is None:
        raise NothingThere
    return found


def _title(what: str, query: QueryDict) -> str:
    """What it is, and how it is filtered, without what PostgreSQL can't keep."""
    filters = [(name, texts) for name, texts in query.lists() if name not in PAGING]
    asked = ", ".join(f"{name} {text}" for name, texts in filters for text in texts if text)
    return (f"{what}: {asked}" if asked else what).replace("\0", "")[:TITLE_LENGTH]


def _typed(query: QueryDict) -> str:
    """What was typed into a search box, without what PostgreSQL can't read."""
    return query.get("q", "").replace("\0", "").strip()[:SEARCH_LENGTH]


# --- Contacts and suppressed numbers -------------------------------------------------------------------------------

CONTACTS = tuple(map(Column, CONTACT_TITLES, ("number", "name", "custom")))


def _contacts(user: User, of: int, query: QueryDict) -> Table:
    group: ContactGroup = _found(ContactGroup.objects.visible_to(user).filter(carrier_group=""), of)
    typed = _typed(query)
    rows = find_contacts(Contact.objects.filter(group=group), typed)

    def content() -> Selected:
        return Selected([*CONTACTS, *_extra_columns(rows)], rows.order_by("id"))

    return Table(
        _title(f"Contacts of {group}", query),
        f"contact-group-{group.pk}",
        lambda: about(rows) if typed else group.size,
        content,
    )


def _extra_columns(rows: QuerySet[Contact]) -> list[Column]:
    """A column for each title of an extra column in these rows; the last has what there are too many of, as JSON.

    As many have one of their own as can be imported again.
    """
    keys = Func(F("extra"), function="jsonb_object_keys", output_field=TextField(), set_returning=True)
    found = rows.exclude(extra={}).annotate(title=keys).order_by("title").values_list("title", flat=True).distinct()
    titles = list(found[: MAX_EXTRA + 1])
    if len(titles) <= MAX_EXTRA:
        return [Column(title, _extra(title)) for title in titles]
    alone = titles[: MAX_EXTRA - 1]
    return [*(Column(title, _extra(title)) for title in alone), Column("other columns", _without(alone))]


def _extra(title: str) -> Expression:
    # Not Django's lookup, which takes titles such as 2024 for places in an array.
    return Func(F("extra"), Value(title), template="(%(expressions)s)", arg_joiner=" ->> ", output_field=TextField())


def _without(titles: list[str]) -> Expression:
    given = Value(titles, output_field=ArrayField(TextField()))
    left = "NULLIF(%(expressions)s, '{}')::text"
    return Func(F("extra"), given, template=left, arg_joiner=" - ", output_field=TextField())


SUPPRESSED = tuple(
    map(
        Column,
        SUPPRESSION_TITLES,
        ("number", "reason", "source", "added_by__username", "added_at"),
        (TEXT, TEXT, TEXT, TEXT, TIME),
    )
)


def _numbers(user: User, of: int, query: QueryDict) -> Table:
    listed: SuppressionList = _found(SuppressionList.objects.all(), of)
    typed = _typed(query)
    rows = Suppression.objects.filter(list=listed)
    rows = with_digits(rows, typed) if digits_of(typed) or not typed else rows.none()
    return Table(
        _title(f"Suppression list {listed}", query),
        f"suppression-list-{listed.pk}",
        lambda: about(rows) if typed else listed.size,
        lambda: Selected(SUPPRESSED, rows.order_by("id")),
    )


# --- Calls ---------------------------------------------------------------------------------------------------------


def _obd_id() -> Expression:
    joined = " || '-' || "
    return Func(F("call_group_id"), F("n"), template="(%(expressions)s)", arg_joiner=joined, output_field=TextField())


CALLS = (
    Column("OBD ID", _obd_id(), FIGURE),
    Column("number", "number"),
    Column("name", "name"),
    Column("campaign", "call_group__campaign"),
    Column("status", "status", FIGURE),
    Column("carrier's word", "word"),
    Column("sent", "handed_over_at", TIME),
    Column("answered", "answered_at", TIME),
    Column("ended", "ended_at", TIME),
    Column("duration (s)", "duration", FIGURE),
    Column("retries", "retries", FIGURE),
    Column("digits", "digits"),
    Column("custom", "custom"),
)


def _calls(user: User, of: int, query: QueryDict) -> Table:
    form = CallsFilter(query)
    if not form.is_valid():
        raise WrongFilter(form)
    rows = form.narrow_for(user)
    return Table(
        _title("Calls", query),
        "calls",
        lambda: about(rows),
        lambda: Selected(CALLS, rows.order_by(*form.order_for(user))),
        of_everybody=user.sees_all_calls or user.sees_everything,
    )


def _calls_of_group(user: User, of: int, query: QueryDict) -> Table:
    group = _found(CallGroup.objects.visible_to(user), of)
    form = CallsOfGroupFilter(query)
    if not form.is_valid():
        raise WrongFilter(form)
    rows = form.narrow(Call.objects.filter(call_group=group))
    return Table(
        _title(f"Calls of call group {group.pk}", query),
        f"call-group-{group.pk}",
        lambda: about(rows) if form.cleaned_data["digits"] else _tallied(group, form.statuses),
        lambda: Selected(CALLS, rows.order_by("n")),
    )


def _tallied(group: CallGroup, statuses: Sequence[str]) -> int:
    tallies = dict(group.tallies.values_list("status", "calls"))
    return sum(calls for status, calls in tallies.items() if status in (statuses or tallies))


DROPPED = (Column("number", "number"), Column("name", "name"), Column("outcome", "outcome"), Column("reason", "reason"))


def _dropped(user: User, of: int, query: QueryDict) -> Table:
    group, outcome = _found(CallGroup.objects.visible_to(user), of), query.get("outcome", "")
    if outcome not in Outcome.values or outcome == Outcome.CALLABLE:
        raise NothingThere
    rows = dropped_rows(group, outcome)
    return Table(
        f"Not called in call group {group.pk}: {outcome}",
        f"call-group-{group.pk}-{outcome}",
        lambda: about(rows),
        lambda: Selected(DROPPED, rows.order_by("position", "id")),
    )


def dropped_rows(group: CallGroup, outcome: str) -> QuerySet[PlannedCall]:
    """The numbers that the group's plans dropped for this reason."""
    return PlannedCall.objects.filter(request__in=CallRequest.objects.filter(call_group=group), outcome=outcome)


# --- Who changed what, and what was checked ------------------------------------------------------------------------


def _audit_log(user: User, of: int, query: QueryDict) -> Table:
    form = AuditFilter(query)
    if not form.is_valid():
        raise WrongFilter(form)
    entries: QuerySet[LogEntry] = LogEntry.objects.select_related("actor").defer("serialized_data", "changes_text")
    rows = form.narrow(entries)
    return Table(
        _title("Audit log", query),
        "audit-log",
        lambda: _about_fields(rows),
        lambda: Made(EXPORT_COLUMNS, export_rows(walk_rows(rows, "-timestamp", "-id"))),
    )


FIELDS = """
    jsonb_object_keys(CASE WHEN jsonb_typeof(%(expressions)s) = 'object' AND %(expressions)s <> '{}'
        THEN %(expressions)s ELSE '{"": 0}' END)
"""
"""A row for each field that an entry says something of; one for an entry that says nothing."""


def _about_fields(entries: QuerySet[LogEntry]) -> int:
    """How many fields these entries have: counted as in :func:`about`, beyond that by what the newest ones have."""
    field = Func(F("changes"), template=FIELDS, output_field=TextField(), set_returning=True)
    counted = entries.order_by().values(field=field)[: EXPORT_INLINE + 1].count()
    if counted <= EXPORT_INLINE:
        return counted
    newest = list(entries.order_by("-timestamp", "-id").values_list("changes", flat=True)[:SAMPLE])
    fields = sum(len(changes or "-") for changes in newest)
    return max(counted, about(entries) * fields // len(newest))


def _evidence(user: User, of: int, query: QueryDict) -> Table:
    form = EvidenceForm(query)
    if not form.is_valid():
        raise WrongFilter(form)
    number = form.cleaned_data["number"]
    return Table(
        _title(f"Evidence for {number}", query),
        f"evidence-{number.lstrip('+')}",
        lambda: about(form.calls()),
        lambda: Made(evidence.HEADINGS, evidence.rows(form.calls(), form.left_out(), form.suppressions())),
    )


KINDS = {
    "contacts": Kind("calls.view_contact", _contacts),
    "numbers": Kind("calls.view_suppression", _numbers),
    "calls": Kind("calls.view_call", _calls),
    "calls_of_group": Kind("calls.view_call", _calls_of_group),
    "dropped": Kind("calls.view_callgroup", _dropped),
    "audit_log": Kind(SEE_EVERYTHING, _audit_log),
    "evidence": Kind(SEE_EVERYTHING, _evidence),
}
"""What can be exported."""
