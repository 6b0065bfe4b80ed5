"""Keyset pages: the same cost on the first page and on the last, without counting."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.db.models import (
    BooleanField,
    Case,
    CharField,
    DateTimeField,
    F,
    Func,
    IntegerField,
    Model,
    Q,
    QuerySet,
    Value,
    When,
)
from django.db.models.expressions import OrderBy
from django.http import HttpRequest

from calls.contacts.search import Search

PAGE_SIZE = 50

WALKED = (500, 5_000)
"""Rows that a search looks through in the order of the list, before it goes straight to what it looks for: so many at
first, and more only if some of those were what it looks for."""

M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class Page(Generic[M]):
    """Rows in order, and the cursors of the pages around; an empty cursor: there is no such page."""

    rows: list[M]
    previous: str
    next: str


def keyset(
    rows: QuerySet[M], request: HttpRequest, *fields: str, size: int = PAGE_SIZE, search: Search[M] | None = None
) -> Page[M]:
    """One page of `rows` in the order of `fields` (`"-created_at", "-id"`: all falling or none; together unique).

    With a search, of those that it is for.
    The query parameters `after` and `before` hold cursors made here; one that is damaged means the first page.
    """
    back = "before" in request.GET
    cursor = _read(request.GET.get("before") or request.GET.get("after") or "", rows.model, fields)
    order = [_reverse(field) if back and cursor else field for field in fields]
    beyond = _beyond(order, cursor) if cursor else Q()
    found = _first(rows, beyond, order, size + 1, search)
    more, found = len(found) > size, found[:size]
    if back and cursor:
        found.reverse()
        return Page(found, _write(found[0], fields) if more else "", _write(found[-1], fields) if found else "")
    first = _write(found[0], fields) if found and cursor else ""
    return Page(found, first, _write(found[-1], fields) if more else "")


def _first(rows: QuerySet[M], beyond: Q, order: list[str], size: int, search: Search[M] | None) -> list[M]:
    """The first `size` of the rows `beyond`, in that order.

    What many rows are is soon met in the order of the list. Who looks that way for what few are, or none, looks through
    all of them; but those few are soon found by an index of their own, and sorted. PostgreSQL can't tell which is
    better: it knows little of words, and nothing of where in the list they are.
    """
    listed, back = rows.filter(beyond).order_by(*order), [_reverse(field) for field in order]
    if search is None:
        return list(listed[:size])
    columns = [field.lstrip("-") for field in order]
    # A CASE is no condition that an index could meet: these few rows are walked, whatever PostgreSQL would prefer.
    walked = Case(When(search.wanted, then=Value(True)), default=Value(False), output_field=BooleanField())
    first = listed.values_list(*columns).first()
    for most in WALKED:
        last = listed.values_list(*columns)[most : most + 1].first()
        # From one to the other: else PostgreSQL might begin among newer rows of another list.
        near = listed.filter(_beyond(order, first, "="), _beyond(back, last)) if first and last else listed
        found = list(near.filter(walked)[:size])
        if last is None or len(found) == size:
            return found
        if not found:
            break
    straight = rows.filter(search.wanted) if search.straight is None else search.straight
    return list(straight.filter(beyond).order_by(*map(without_index, order))[:size])


def without_index(field: str) -> OrderBy:
    """The order of this field, in which no index has the rows."""
    value = Func(F(field.lstrip("-")), function="GREATEST")
    return value.desc() if field.startswith("-") else value.asc()


def walk_rows(rows: QuerySet[M], *fields: str, step: int = 500) -> Iterator[M]:
    """All `rows` in the order of `fields`, whole, a step at a time: as :func:`walk`."""
    order = list(fields)
    ordered, cursor = rows.order_by(*fields), None
    while True:
        found = list((ordered.filter(_beyond(order, cursor)) if cursor else ordered)[:step])
        yield from found
        if len(found) < step:
            return
        cursor = [getattr(found[-1], field.lstrip("-")) for field in fields]


def _reverse(field: str) -> str:
    return field[1:] if field.startswith("-") else f"-{field}"


def _beyond(order: Sequence[str], cursor: Sequence[Any], equal: str = "") -> Q:
    """Rows that come after the cursor's row; with "=", that row too.

    All columns are compared at once, so that PostgreSQL begins right there in the index, not at the first of the rows
    with the same value in the first column: the calls of a call group were all made at the same time.
    """
    columns = Func(
        *(F(field.lstrip("-")) for field in order), template="(%(expressions)s)", output_field=BooleanField()
    )
    values = Func(*map(Value, cursor), template="(%(expressions)s)", output_field=BooleanField())
    sign = f" {'<' if order[0].startswith('-') else '>'}{equal} "
    return Q(Func(columns, values, template="(%(expressions)s)", arg_joiner=sign, output_field=BooleanField()))


def before(pk: int) -> str:
    """The cursor after which, in the order `-id`, the row with this ID is the first."""
    return _encode([pk + 1])


def _write(row: Model, fields: tuple[str, ...]) -> str:
    values = [getattr(row, field.lstrip("-")) for field in fields]
    return _encode([value.isoformat() if isinstance(value, datetime) else value for value in values])


def _encode(plain: list[Any]) -> str:
    return urlsafe_b64encode(json.dumps(plain).encode()).decode().rstrip("=")


def _read(cursor: str, model: type[Model], fields: Sequence[str]) -> list[Any] | None:
    try:
        values = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(values, list) or len(values) != len(fields):
            return None
        columns = [model._meta.get_field(field.lstrip("-")) for field in fields]
        return [_value(column, value) for column, value in zip(columns, values, strict=True)]
    except (ValueError, RecursionError):
        return None


def _value(column: Any, value: Any) -> Any:
    """The value as `column` holds it. Raises ValueError for what can't be one: people may write cursors themselves."""
    column = getattr(column, "target_field", column)  # of a foreign key
    if isinstance(column, DateTimeField) and isinstance(value, str):
        at = datetime.fromisoformat(value)
        if at.tzinfo is None:
            raise ValueError("no time zone")
        return at
    if isinstance(column, CharField) and isinstance(value, str) and "\0" not in value:
        value.encode()  # lone surrogates raise UnicodeEncodeError, a ValueError
        return value
    if isinstance(column, IntegerField) and type(value) is int and 0 <= value < 2**63:
        return value
    raise ValueError("not a value of this column")
