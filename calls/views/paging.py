"""Keyset pages: the same cost on the first page and on the last, without counting."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.db.models import Model, Q, QuerySet
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
    cursor = _read(request.GET.get("before") or request.GET.get("after") or "", len(fields))
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


def walk(rows: QuerySet[M], *fields: str, columns: Sequence[str], step: int = 2_000) -> Iterator[tuple[Any, ...]]:
    """The `columns` of all `rows` in the order of `fields` (see :func:`keyset`), a step at a time.

    Memory stays flat and no query or transaction lasts long, however many rows there are.
    """
    order, keys = list(fields), [field.lstrip("-") for field in fields]
    chosen = rows.order_by(*fields).values_list(*keys, *columns)
    cursor: list[Any] = []
    while True:
        found = list((chosen.filter(_beyond(order, cursor)) if cursor else chosen)[:step])
        for row in found:
            yield row[len(keys) :]
        if len(found) < step:
            return
        cursor = list(found[-1][: len(keys)])


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


def _read(cursor: str, length: int) -> list[Any] | None:
    try:
        values = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(values, list) or len(values) != length:
            return None
        return [_value(value) for value in values]
    except ValueError:
        return None


def _value(value: Any) -> Any:
    """Numbers as they are, ISO times as datetimes. Raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("not part of a cursor")
    if isinstance(value, int):
        if not 0 <= value < 2**63:
            raise ValueError("out of range")
        return value
    at = datetime.fromisoformat(value)
    if at.tzinfo is None:
        raise ValueError("no time zone")
    return at
