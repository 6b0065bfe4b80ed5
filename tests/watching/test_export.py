"""Calls as CSV files."""

import csv
import io
import tracemalloc
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.http import StreamingHttpResponse
from pytest_django import DjangoAssertNumQueries, Settings

from calls.dialing.export import CALL_COLUMNS, cell, lines
from calls.models import Call, User
from tests.factories import client_for, make_user
from tests.watching.rows import group_of

HEADINGS = ["OBD ID", *list(CALL_COLUMNS.values())[1:]]


def read(response: Any) -> list[list[str]]:
    """The rows of a CSV answer, without its headings."""
    assert isinstance(response, StreamingHttpResponse)
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    text = b"".join(response).decode()
    assert text.startswith("\ufeff")
    rows = list(csv.reader(io.StringIO(text[1:], newline="")))
    assert rows[0] == HEADINGS
    return rows[1:]


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1+cmd|' /C calc'!A0",
        "-2",
        "@SUM(A1)",
        "\tx",
        "\rx",
        "\nx",
        "  =1+1",
        "\uff1d1",
        "+44 20",
        "+",
        "+44=1",
    ],
)
def test_what_a_spreadsheet_might_run_is_made_text(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["+442079460001", "Asha", "1-2", "a=b", "अनिल", "", "100001-7", "O'Neill, José"])
def test_everything_else_stays_as_it_is(text: str) -> None:
    assert cell(text) == text


def test_nothing_is_an_empty_cell() -> None:
    assert cell(None) == ""
    assert cell(0) == "0"


def test_times_are_local_with_their_offset(settings: Settings) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"
    assert cell(datetime(2026, 11, 23, 8, 32, 5, 999, tzinfo=UTC)) == "2026-11-23 14:02:05+05:30"


def test_lines_and_quotes_survive() -> None:
    text = b"".join(lines(["a", "b"], [['say "hi", or', "two\nlines"]])).decode()
    assert list(csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""))) == [
        ["a", "b"],
        ['say "hi", or', "two\nlines"],
    ]


@pytest.fixture
def asha(db: None) -> User:
    return make_user("operator", "asha")


def test_all_calls_of_a_group(asha: User, settings: Settings) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"
    group = group_of(
        asha, {"COMPLETED": 1, "HELD": 1}, campaign="Reminder", handed_over_at=datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
    )
    Call.objects.filter(call_group=group, n=1).update(name="=HYPERLINK(1)", digits="1", custom="ref-1", word="ANSWER")
    response = client_for(asha).get(f"/call-groups/{group.pk}/calls.csv")
    assert f'filename="call-group-{group.pk}.csv"' in response["Content-Disposition"]
    assert read(response) == [
        [
            f"{group.pk}-1", "+442079460001", "'=HYPERLINK(1)", "Reminder", "COMPLETED", "ANSWER",
            "2026-11-23 14:00:00+05:30", "", "2026-11-23 14:00:40+05:30", "30", "0", "1", "ref-1",
        ],
        [f"{group.pk}-2", "+442079460002", "", "Reminder", "HELD", "", "", "", "", "", "0", "", ""],
    ]  # fmt: skip


def test_the_filter_of_the_group_is_kept(asha: User) -> None:
    group = group_of(asha, {"COMPLETED": 3, "BUSY": 3, "NOANSWER": 3})
    url = f"/call-groups/{group.pk}/calls.csv"
    client = client_for(asha)
    assert [row[0].split("-")[1] for row in read(client.get(f"{url}?status=BUSY&status=NOANSWER"))] == list("456789")
    assert [row[1] for row in read(client.get(f"{url}?status=BUSY&digits=0005"))] == ["+442079460005"]


def test_the_search_over_all_calls(asha: User) -> None:
    first = group_of(asha, {"COMPLETED": 2}, campaign="One", created_at=datetime(2026, 11, 20, tzinfo=UTC))
    second = group_of(asha, {"COMPLETED": 2}, campaign="Two", created_at=datetime(2026, 11, 21, tzinfo=UTC))
    client = client_for(asha)
    newest_first = [f"{second.pk}-2", f"{second.pk}-1", f"{first.pk}-2", f"{first.pk}-1"]
    assert [row[0] for row in read(client.get("/calls/export.csv"))] == newest_first
    assert [row[0] for row in read(client.get("/calls/export.csv?campaign=one"))] == newest_first[2:]
    assert [row[0] for row in read(client.get("/calls/export.csv?since=2026-11-21"))] == newest_first[:2]


@pytest.mark.parametrize("url", ["/calls/export.csv?status=FOO", "/calls/export.csv?since=yesterday"])
def test_a_wrong_filter_exports_nothing(asha: User, url: str) -> None:
    response = client_for(asha).get(url)
    assert response.status_code == 400
    assert "is not a" in response.content.decode()


def test_a_wrong_filter_of_a_group_exports_nothing(asha: User) -> None:
    group = group_of(asha, {"COMPLETED": 1})
    response = client_for(asha).get(f"/call-groups/{group.pk}/calls.csv?digits=abc")
    assert response.status_code == 400
    assert "has no digits" in response.content.decode()


def test_only_calls_that_one_may_see(asha: User) -> None:
    ravi = make_user(sees_all_calls=False)
    group = group_of(asha, {"COMPLETED": 2})
    client = client_for(ravi)
    assert client.get(f"/call-groups/{group.pk}/calls.csv").status_code == 404
    assert read(client.get("/calls/export.csv")) == []


def test_many_calls_need_little_memory_and_few_queries(
    asha: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    group = group_of(asha, {"COMPLETED": 12_000}, handed_over_at=datetime.now(UTC) - timedelta(hours=1))
    client = client_for(asha)
    tracemalloc.start()
    try:
        with django_assert_max_num_queries(12):
            response: Any = client.get(f"/call-groups/{group.pk}/calls.csv")
            size = sum(len(piece) for piece in response)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert size > 1_000_000
    assert peak < 8 << 20  # the steps and the pieces, not the file
