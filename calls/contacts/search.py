"""Searching rows by what people remember: digits of a number, words of a name (DESIGN.md, "no contrib")."""

from typing import TypeVar, cast

from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db.models import Model, Q, QuerySet
from django.db.models.functions import Reverse

from calls.models import Contact

M = TypeVar("M", bound=Model)

NATIONAL_DIGITS = 7
"""So many digits may be a whole national number; fewer are the end of one, whose zeros count."""


def digits_of(text: str) -> str:
    """The ASCII digits in what was typed into a search box."""
    return "".join(character for character in text if character in "0123456789")


def starts_and_ends(digits: str) -> tuple[str, str]:
    """What numbers (E.164) begin and end with where these digits were typed; both empty for no digits.

    00 before a country code and the leading 0 of a national number are not in the number itself.
    """
    if not digits:
        return "", ""
    # Of zeros alone something must be left: an empty end would be every number's.
    starts = digits.removeprefix("00") or digits
    ends = (digits.lstrip("0") if len(digits) >= NATIONAL_DIGITS else "") or digits
    return f"+{starts}", ends


def with_digits(rows: QuerySet[M, M], text: str) -> QuerySet[M, M]:
    """The rows whose `number` (E.164) begins or ends with the digits in `text`; all rows if there are none."""
    starts, ends = starts_and_ends(digits_of(text))
    if not starts:
        return rows
    found = rows.alias(backwards=Reverse("number")).filter(
        Q(number__startswith=starts) | Q(backwards__startswith=ends[::-1])
    )
    return cast("QuerySet[M, M]", found)  # alias() loses the type of the rows


def find_contacts(rows: QuerySet[Contact], query: str) -> QuerySet[Contact]:
    """The contacts whose number begins or ends with the digits of `query`; if it has letters, whose name has words
    that begin with its words."""
    if not any(map(str.isalpha, query)):
        return with_digits(rows, query) if digits_of(query) or not query else rows.none()
    # Each word is quoted for to_tsquery, in which a quote or a backslash is doubled.
    words = [word.replace("\\", "\\\\").replace("'", "''") for word in query.split()]
    wanted = SearchQuery(" & ".join(f"'{word}':*" for word in words), config="simple", search_type="raw")
    # The same expression as that of the index.
    return rows.alias(words=SearchVector("name", config="simple")).filter(words=wanted)
