"""What is in the cells of exports: the same whether Python or PostgreSQL makes them."""

import csv
import io
from datetime import UTC, datetime

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from calls.exports.cells import FORMULA, TEXT, TIME, cell, lines

FORMULAS = [
    "=1+1",
    "+1+cmd|' /C calc'!A0",
    "-2",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "\nx",
    "  =1+1",
    "\u00a0\u2003=1",
    "\x1c-1",
    "\uff1d1",
    "+44 20",
    "+",
    "+44=1",
    "+44\n",
    "+\u0967\u0968",
    "'=1",
    "''+44",
]
HARMLESS = [
    "+442079460001",
    "Asha",
    "1-2",
    "a=b",
    "अनिल",
    "",
    "100001-7",
    "O'Neill, José",
    " x",
    'say "hi"',
    "\\N",
    "''",
]


SPECIAL = " \t\n\r\v\x85\u3000=+-@\uff0b01a'"


def by_database(text: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {TEXT.format('c')} FROM (SELECT %s::text) AS rows (c)", [FORMULA, text])
        return cursor.fetchone()[0] or ""


@pytest.mark.django_db
@pytest.mark.parametrize("text", FORMULAS)
def test_what_a_spreadsheet_might_run_is_made_text(text: str) -> None:
    assert cell(text) == by_database(text) == f"'{text}"


@pytest.mark.django_db
@pytest.mark.parametrize("text", HARMLESS)
def test_everything_else_stays_as_it_is(text: str) -> None:
    assert cell(text) == by_database(text) == text


@pytest.mark.django_db
@settings(max_examples=60)
@given(st.text(st.one_of(st.sampled_from(SPECIAL), st.characters(exclude_characters="\0", codec="utf-8")), max_size=6))
def test_python_and_postgresql_read_the_pattern_alike(text: str) -> None:
    assert cell(text) == by_database(text)


def test_nothing_is_an_empty_cell() -> None:
    assert cell(None) == ""
    assert cell(0) == "0"


@pytest.mark.django_db
@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/St_Johns", "UTC"])
def test_times_are_local_with_their_offset(settings: Settings, zone: str) -> None:
    settings.TIME_ZONE = zone
    at = datetime(2026, 11, 23, 8, 32, 5, 999_999, tzinfo=UTC)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL TIME ZONE %s", [zone])
        cursor.execute(f"SELECT {TIME.format('c')} FROM (SELECT %s) AS rows (c)", [at])
        (made,) = cursor.fetchone()
        cursor.execute("SET LOCAL TIME ZONE 'UTC'")
    expected = {
        "Asia/Kolkata": "2026-11-23 14:02:05+05:30",
        "America/St_Johns": "2026-11-23 05:02:05-03:30",
        "UTC": "2026-11-23 08:32:05+00:00",
    }
    assert cell(at) == made == expected[zone]


def test_lines_and_quotes_survive() -> None:
    text = b"".join(lines(["a", "=b"], [['say "hi", or', "two\nlines"]])).decode()
    assert list(csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""))) == [
        ["a", "'=b"],
        ['say "hi", or', "two\nlines"],
    ]
