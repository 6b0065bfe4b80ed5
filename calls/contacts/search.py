"""Searching rows by what people remember: digits of a number, words of a name (DESIGN.md, "no contrib")."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from django.contrib.postgres.search import SearchQuery
from django.db.models import BooleanField, Func, Model, Q, QuerySet, TextField, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Reverse
from django.db.models.lookups import StartsWith

from calls.models import Contact, ContactGroup
from calls.models.contacts import contact_words

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


@dataclass(frozen=True)
class Search(Generic[M]):
    """What is searched for in a list: `wanted` is the condition.

    `straight` are the rows that meet it, without the order of the list: given only where PostgreSQL would not find them
    by the index of what is searched for, because the list has an index too.
    """

    wanted: Q
    straight: QuerySet[M, M] | None = None


def has_digits(text: str) -> Q:
    """The condition that `number` (E.164) begins or ends with the digits in `text`; an empty one if there are none."""
    starts, ends = starts_and_ends(digits_of(text))
    if not starts:
        return Q()
    return Q(number__startswith=starts) | Q(StartsWith(Reverse("number"), ends[::-1]))


def with_digits(rows: QuerySet[M, M], text: str) -> QuerySet[M, M]:
    """The rows whose `number` (E.164) begins or ends with the digits in `text`; all rows if there are none."""
    return rows.filter(has_digits(text))


def has_words(vector: Combinable, text: str) -> Q:
    """The condition that this text search vector (configuration `simple`) has words that begin with those of `text`."""
    # Each word is quoted for to_tsquery, in which a quote or a backslash is doubled.
    words = [word.replace("\\", "\\\\").replace("'", "''") for word in text.split()]
    query = SearchQuery(" & ".join(f"'{word}':*" for word in words), config="simple", search_type="raw")
    return _matches(vector, query)


def _matches(vector: Combinable, query: Combinable) -> Q:
    return Q(Func(vector, query, template="(%(expressions)s)", arg_joiner=" @@ ", output_field=BooleanField()))


def _in_group(group: ContactGroup) -> Q:
    """The condition that a contact is in `group`, as the index of words has it."""
    word = Func(Value(f"'={group.pk}'"), template="(%(expressions)s)::tsquery", output_field=TextField())
    return _matches(contact_words(), word)


def _about(query: str) -> Q:
    """The condition of :func:`find_contacts`; an empty one for an empty query."""
    if any(map(str.isalpha, query)):
        return has_words(contact_words(), query)
    return has_digits(query) if digits_of(query) or not query else Q(pk__in=[])


def find_contacts(rows: QuerySet[Contact], query: str) -> QuerySet[Contact]:
    """The contacts whose number begins or ends with the digits of `query`; if it has letters, whose name has words
    that begin with its words."""
    return rows.filter(_about(query))


def search_contacts(group: ContactGroup, query: str) -> Search[Contact] | None:
    """The same as a search in the contacts of `group`; None for an empty query."""
    if not (wanted := _about(query)):
        return None
    by_name = any(map(str.isalpha, query))
    contacts = Contact.objects.filter(_in_group(group) if by_name else Q(group=group))
    return Search(wanted, contacts.filter(wanted))


def search_digits(query: str) -> Search[M] | None:
    """A search by the first or last digits of `number`; None for an empty query. One without digits finds nothing."""
    return Search(has_digits(query) or Q(pk__in=[])) if query else None
