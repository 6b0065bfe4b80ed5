"""Keyset pages: the same cost on the first page and on the last, without counting."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.db.models import CharField, DateTimeField, IntegerField, Model, Q, QuerySet
from django.http import HttpRequest

PAGE_SIZE = 50

M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class Page(Generic[M]):
    """Rows in order, and the cursors of the pages around; an empty cursor: there is no such page."""

    rows: list[M]
    previous: str
    next: str


def keyset(rows: QuerySet[M], request: HttpRequest, *fields: str, size: int = PAGE_SIZE) -> Page[M]:
    """One page of `rows` in the order of `fields` (`"-created_at", "-id"`), which together must be unique.

    The query parameters `after` and `before` hold cursors made here; one that is damaged means the first page.
    """
    back = "before" in request.GET
    cursor = _read(request.GET.get("before") or request.GET.get("after") or "", rows.model, fields)
    order = [_reverse(field) if back and cursor else field for field in fields]
    if cursor:
        rows = rows.filter(_beyond(order, cursor))
    found = list(rows.order_by(*order)[: size + 1])
    more, found = len(found) > size, found[:size]
    if back and cursor:
        found.reverse()
        return Page(found, _write(found[0], fields) if more else "", _write(found[-1], fields) if found else "")
    first = _write(found[0], fields) if found and cursor else ""
    return Page(found, first, _write(found[-1], fields) if more else "")


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


def _beyond(order: list[str], cursor: list[Any]) -> Q:
    """Rows that come after the cursor's row: `a > x OR (a = x AND b > y)`."""
    condition = Q()
    for depth, field in enumerate(order):
        step = Q(**{name.lstrip("-"): cursor[i] for i, name in enumerate(order[:depth])})
        comparison = "lt" if field.startswith("-") else "gt"
        condition |= step & Q(**{f"{field.lstrip('-')}__{comparison}": cursor[depth]})
    leading = order[0].lstrip("-")
    bound = "lte" if order[0].startswith("-") else "gte"
    # Implied by the rest; it lets PostgreSQL begin at the right place of the index.
    return Q(**{f"{leading}__{bound}": cursor[0]}) & condition


def _write(row: Model, fields: tuple[str, ...]) -> str:
    values = [getattr(row, field.lstrip("-")) for field in fields]
    plain = [value.isoformat() if isinstance(value, datetime) else value for value in values]
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
