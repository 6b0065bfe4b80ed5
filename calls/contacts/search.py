"""Searching rows by what people remember of a number: its first or its last digits (DESIGN.md, "no contrib")."""

from typing import TypeVar, cast

from django.db.models import Model, Q, QuerySet
from django.db.models.functions import Reverse

M = TypeVar("M", bound=Model)


def digits_of(text: str) -> str:
    """The ASCII digits in what was typed into a search box."""
    return "".join(character for character in text if character in "0123456789")


def with_digits(rows: QuerySet[M, M], text: str) -> QuerySet[M, M]:
    """The rows whose `number` (E.164) begins or ends with the digits in `text`; all rows if there are none.

    A national number with its leading 0 finds the international one by its end.
    """
    digits = digits_of(text)
    if not digits:
        return rows
    ends = digits.lstrip("0") or digits
    found = rows.alias(backwards=Reverse("number")).filter(
        Q(number__startswith=f"+{digits}") | Q(backwards__startswith=ends[::-1])
    )
    return cast("QuerySet[M, M]", found)  # alias() loses the type of the rows
