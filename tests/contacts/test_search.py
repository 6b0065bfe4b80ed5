"""Searching by the first or last digits of a number and by the words of a name."""

from itertools import chain
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from calls.contacts.search import Search, find_contacts, search_contacts, with_digits
from calls.models import Contact
from calls.views.contacts import NEWEST_FIRST, contacts_of
from calls.views.paging import keyset
from tests.factories import make_group, number

NUMBERS = ["+442079460001", "+442079460047", "+441134960047", "+12025550100"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("", NUMBERS),
        ("no digits", NUMBERS),
        ("+44 20", NUMBERS[:2]),
        ("0044 20", NUMBERS[:2]),
        ("020 7946 0047", NUMBERS[1:2]),
        ("0047", NUMBERS[1:3]),
        ("60047", NUMBERS[1:3]),
        ("0", NUMBERS[3:]),
        ("0001", NUMBERS[:1]),
        ("1", [NUMBERS[0], NUMBERS[3]]),
        ("99", []),
        ("00", NUMBERS[3:]),
        ("0000000", []),
    ],
)
def test_digits_find_numbers_by_their_start_or_end(typed: str, found: list[str]) -> None:
    group = make_group(numbers=NUMBERS)
    assert (
        list(with_digits(Contact.objects.filter(group=group), typed).order_by("pk").values_list("number", flat=True))
        == found
    )


# --- In lists of any size --------------------------------------------------------------------------------------------

WORDS = ["asha", "ashok", "rao", "zzz"]


def pages_of(
    rows: QuerySet[Contact], search: Search[Contact] | None, size: int
) -> tuple[list[list[int]], list[list[int]]]:
    """The IDs on each page, from the first to the last and back."""
    shown: list[list[int]] = []
    back: list[list[int]] = []
    cursor, way = "", "after"
    while True:
        request = RequestFactory().get("/", {way: cursor} if cursor else {})
        page = keyset(rows, request, *NEWEST_FIRST, size=size, search=search)
        (shown if way == "after" else back).append([row.pk for row in page.rows])
        cursor = page.next if way == "after" else page.previous
        if not cursor and way == "after" and page.previous:
            way, cursor = "before", page.previous
        if not cursor:
            return shown, back


@pytest.mark.django_db
@given(
    names=st.lists(st.lists(st.sampled_from(WORDS[:3]), max_size=2).map(" ".join), max_size=25),
    query=st.sampled_from(["asha", "ash", "ash rao", "rao", "zzz", "", "+44", "1", "777", "-"]),
    walked=st.tuples(st.integers(1, 4), st.integers(1, 8)),
    size=st.integers(1, 6),
)
def test_a_search_finds_the_same_however_it_is_made(
    names: list[str], query: str, walked: tuple[int, int], size: int
) -> None:
    group, other = make_group(), make_group()
    for owner in (group, other):
        Contact.objects.bulk_create(Contact(group=owner, number=number(i), name=name) for i, name in enumerate(names))
    rows = contacts_of(group)
    wanted = list(find_contacts(rows, query).order_by("-id").values_list("pk", flat=True))
    with patch("calls.views.paging.WALKED", walked):
        shown, back = pages_of(rows, search_contacts(group, query), size)
    assert list(chain(*shown)) == wanted
    assert all(len(page) == size for page in shown[:-1])
    assert list(chain(*reversed(back))) == list(chain(*shown[:-1]))


@pytest.mark.django_db
@pytest.mark.parametrize("query", ["Nobody", "Elder", "Person Elder", "555555555", "+9990000000001"])
def test_what_few_contacts_are_is_not_looked_for_in_all(query: str) -> None:
    group, other = make_group(), make_group()
    with connection.cursor() as cursor:
        for each in (group, other):
            cursor.execute(
                "INSERT INTO calls_contact (group_id, number, name, extra, created_at)"
                " SELECT %s, '+9990' || lpad(i::text, 9, '0'),"
                " CASE WHEN i <= 20 THEN 'Elder ' ELSE '' END || 'Person ' || i,"
                " '{}', now()"
                " FROM generate_series(1, 20000) AS i",
                [each.pk],
            )
        cursor.execute("ANALYZE calls_contact")
    with CaptureQueriesContext(connection) as asked, patch("calls.views.paging.WALKED", (20, 100)):
        keyset(contacts_of(group), RequestFactory().get("/"), *NEWEST_FIRST, search=search_contacts(group, query))
    with connection.cursor() as cursor:
        for query_made in asked.captured_queries:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {query_made['sql']}")
            plan = cursor.fetchone()[0][0]["Plan"]
            assert looked_at(plan) < 1_000


def looked_at(plan: dict[str, Any]) -> float:
    """Rows that a plan looked at, in any of its steps."""
    here: float = (
        plan["Actual Rows"] + plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
    )
    return max([here, *(looked_at(part) for part in plan.get("Plans", []))])
