"""What is in each table that can be exported, and who may have it."""

import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from calls.models import Call, CallRequest, Contact, PlannedCall, Suppression, SuppressionList, User
from tests.exports.saved import NEW, export, rows_of, saved, sheets_of
from tests.factories import client_for, make_group, make_request, make_user, number
from tests.watching.rows import group_of

HEADINGS = [
    "OBD ID", "number", "name", "campaign", "status", "carrier's word", "sent", "answered", "ended", "duration (s)",
    "retries", "digits", "custom",
]  # fmt: skip


@pytest.fixture
def asha(db: None) -> User:
    return make_user("operator", "asha")


@pytest.fixture
def web(asha: User) -> Client:
    return client_for(asha)


# --- Calls ---------------------------------------------------------------------------------------------------------


def test_all_calls_of_a_group(web: Client, asha: User, settings: Settings) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"
    group = group_of(
        asha, {"COMPLETED": 1, "HELD": 1}, campaign="Reminder", handed_over_at=datetime(2026, 11, 23, 8, 30, tzinfo=UTC)
    )
    Call.objects.filter(call_group=group, n=1).update(name="=HYPERLINK(1)", digits="1", custom="ref-1", word="ANSWER")
    answer = export(web, "calls_of_group", group.pk)
    assert answer["Content-Disposition"] == f'attachment; filename="call-group-{group.pk}.csv"'
    assert rows_of(answer) == [
        HEADINGS,
        [
            f"{group.pk}-1", "+442079460001", "'=HYPERLINK(1)", "Reminder", "COMPLETED", "ANSWER",
            "2026-11-23 14:00:00+05:30", "", "2026-11-23 14:00:40+05:30", "30", "0", "1", "ref-1",
        ],
        [f"{group.pk}-2", "+442079460002", "", "Reminder", "HELD", "", "", "", "", "", "0", "", ""],
    ]  # fmt: skip


def test_the_filter_of_the_group_is_kept(web: Client, asha: User) -> None:
    group = group_of(asha, {"COMPLETED": 3, "BUSY": 3, "NOANSWER": 3})
    found = saved(web, "calls_of_group", group.pk, "status=BUSY&status=NOANSWER")
    assert [row[0].split("-")[1] for row in found] == list("456789")
    assert [row[1] for row in saved(web, "calls_of_group", group.pk, "status=BUSY&digits=0005")] == ["+442079460005"]


def test_the_search_over_all_calls(web: Client, asha: User) -> None:
    first = group_of(asha, {"COMPLETED": 2}, campaign="One", created_at=datetime(2026, 11, 20, tzinfo=UTC))
    second = group_of(asha, {"COMPLETED": 2}, campaign="Two", created_at=datetime(2026, 11, 21, tzinfo=UTC))
    newest_first = [f"{second.pk}-2", f"{second.pk}-1", f"{first.pk}-2", f"{first.pk}-1"]
    assert [row[0] for row in saved(web, "calls")] == newest_first
    assert [row[0] for row in saved(web, "calls", query="campaign=one&after=xyz")] == newest_first[2:]
    assert [row[0] for row in saved(web, "calls", query="since=2026-11-21")] == newest_first[:2]


@pytest.mark.parametrize("query", ["status=FOO", "since=yesterday", "digits=abc"])
def test_a_wrong_filter_exports_nothing(web: Client, query: str) -> None:
    answer = export(web, "calls", query=query)
    assert answer.status_code == 400
    assert "Not exported" in answer.content.decode()


def test_only_calls_that_one_may_see(asha: User) -> None:
    group = group_of(asha, {"COMPLETED": 2})
    ravi = client_for(make_user(sees_all_calls=False))
    assert export(ravi, "calls_of_group", group.pk).status_code == 404
    assert export(ravi, "dropped", group.pk, "outcome=invalid").status_code == 404
    assert saved(ravi, "calls") == []


def test_what_a_plan_left_out(web: Client, asha: User) -> None:
    request = make_request(asha, f"{number(1)}\n12")
    group = group_of(asha, {"HELD": 1})
    type(request).objects.filter(pk=request.pk).update(call_group=group)
    ((invalid, _, outcome, reason),) = saved(web, "dropped", group.pk, "outcome=invalid")
    assert (invalid, outcome) == ("12", "invalid")
    assert reason == PlannedCall.objects.get(request=request, outcome="invalid").reason
    assert export(web, "dropped", group.pk, "outcome=callable").status_code == 404


# --- Contacts and suppressed numbers -------------------------------------------------------------------------------


def test_what_many_plans_left_out(web: Client, asha: User) -> None:
    """A program has its requests of a day listed in one call group."""
    group = group_of(asha, {"COMPLETED": 1})
    blank: dict[str, Any] = {"owner": asha, "typed": {}, "options": {}, "state": "started", "call_group": group}
    requests = CallRequest.objects.bulk_create(CallRequest(**blank, suppressed=1) for _ in range(1_001))
    rows = [{"position": 1, "number": number(n), "outcome": "suppressed", "reason": "Asked"} for n in range(1_001)]
    PlannedCall.objects.bulk_create(
        PlannedCall(request=request, **row) for request, row in zip(requests, rows, strict=True)
    )
    assert "1,001" in web.get(f"/call-groups/{group.pk}/").text
    _, *saved_rows = rows_of(export(web, "dropped", of=group.pk, query="outcome=suppressed"))
    assert len(saved_rows) == 1_001


def test_contacts_with_their_extra_columns(web: Client) -> None:
    group = make_group("Friends", 0)
    Contact.objects.create(group=group, number=number(1), name="-Asha", extra={"2024": "1", "City": "Leeds"})
    Contact.objects.create(group=group, number=number(2), custom="r-2", extra={"=x": 'say "hi"\nand go'})
    assert rows_of(export(web, "contacts", group.pk)) == [
        ["number", "name", "custom reference", "2024", "'=x", "City"],
        [number(1), "'-Asha", "", "1", "", "Leeds"],
        [number(2), "", "r-2", "", 'say "hi"\nand go', ""],
    ]
    assert [row[0] for row in saved(web, "contacts", group.pk, "q=asha")] == [number(1)]
    assert [row[0] for row in saved(web, "contacts", group.pk, f"q={number(2)[-4:]}")] == [number(2)]


def test_more_extra_columns_than_a_table_may_have(web: Client) -> None:
    group = make_group("Friends", 0)
    many = {f"c{place:04}": str(place) for place in range(1_700)}
    Contact.objects.create(group=group, number=number(1), name="Asha", extra=many)
    Contact.objects.create(group=group, number=number(2), name="Ravi", extra={"c0001": "x"})
    headings, asha, ravi = rows_of(export(web, "contacts", group.pk))
    assert (len(headings), headings[-2:]) == (500, ["c0495", "other columns"])
    assert dict(zip(headings[3:-1], asha[3:-1], strict=True)) | json.loads(asha[-1]) == many
    assert ravi[4:6] + ravi[-1:] == ["x", "", ""]
    assert rows_of(export(web, "contacts", group.pk, "q=ravi"))[0][3:] == ["c0001"]


def test_contacts_that_one_may_not_see(asha: User) -> None:
    hidden = client_for(make_user(uses_all_contact_groups=False))
    assert export(hidden, "contacts", make_group(numbers=1).pk).status_code == 404


def test_numbers_of_a_suppression_list(web: Client, asha: User, settings: Settings) -> None:
    settings.TIME_ZONE = "UTC"
    listed = SuppressionList.objects.create(name="Register", scrubbed_on=date(2026, 11, 1))
    Suppression.objects.create(list=listed, number=number(1), reason="@home", source="Letter", added_by=asha)
    Suppression.objects.create(list=listed, number=number(2), reason="Asked")
    Suppression.objects.update(added_at=datetime(2026, 11, 23, 8, 30, tzinfo=UTC))
    assert rows_of(export(web, "numbers", listed.pk)) == [
        ["number", "reason", "source", "added by", "added"],
        [number(1), "'@home", "Letter", "asha", "2026-11-23 08:30:00+00:00"],
        [number(2), "Asked", "", "", "2026-11-23 08:30:00+00:00"],
    ]
    assert len(saved(web, "numbers", listed.pk, f"q={number(2)}")) == 1
    assert saved(web, "numbers", listed.pk, "q=abc") == []


# --- What is asked for ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"kind": "nonsense", "format": "csv"},
        {"kind": "calls", "format": "pdf"},
        {"kind": "contacts", "of": "99999999999999999999", "format": "csv"},
        {"kind": "contacts", "of": "-1", "format": "csv"},
        {"kind": "numbers", "of": "\0", "format": "csv"},
        {"kind": "calls", "query": "q" * 3_000, "format": "csv"},
    ],
)
def test_what_is_nowhere_is_not_found(web: Client, asked: dict[str, str]) -> None:
    assert web.post(NEW, asked).status_code == 404


@pytest.mark.parametrize("query", ["q=%00", "%00=x"])
def test_a_filter_with_what_no_text_has(web: Client, query: str) -> None:
    assert saved(web, "contacts", make_group("Friends", 1).pk, query) == [[number(0), "", ""]]


@pytest.mark.parametrize("kind", ["audit_log", "evidence"])
def test_what_the_role_does_not_allow(web: Client, kind: str) -> None:
    assert export(web, kind, query=f"number={number(1)}").status_code == 403


# --- Excel ---------------------------------------------------------------------------------------------------------


def workbook(answer: Any) -> list[list[list[Any]]]:
    assert answer["Content-Type"] == "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    return sheets_of(b"".join(answer))


def test_a_workbook_has_texts_as_they_are(web: Client) -> None:
    group = make_group("Friends", 0)
    nasty = {"a": "=1+1", "b": "  007", "c": "two\nlines\r", "d": "\x01\ufffe", "e": "x" * 40_000, "f": "_x0041_"}
    Contact.objects.create(group=group, number=number(1), name="https://example.org", extra=nasty)
    (sheet,) = workbook(export(web, "contacts", group.pk, kind_of_file="xlsx"))
    heading, row = sheet
    assert heading == ["number", "name", "custom reference", *"abcdef"]
    assert row[:6] == [number(1), "https://example.org", "", "=1+1", "  007", "two\nlines\r"]
    assert row[7] == "x" * 32_766 + "…"
    assert row[8] == "_x0041_"


def test_more_rows_than_a_sheet_has(web: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calls.exports.write.SHEET_ROWS", 3)
    group = make_group("Friends", 7)
    sheets = workbook(export(web, "contacts", group.pk, kind_of_file="xlsx"))
    assert [[row[0] for row in sheet] for sheet in sheets] == [
        ["number", *map(number, range(3))],
        ["number", *map(number, range(3, 6))],
        ["number", number(6)],
    ]


def test_a_workbook_of_what_python_makes(web: Client) -> None:
    boss = client_for(make_user("admin"))
    make_group("=Friends", 1)
    rows = saved(boss, "audit_log")
    (sheet,) = workbook(export(boss, "audit_log", kind_of_file="xlsx"))
    assert len(sheet) >= len(rows) > 1
    assert "'=Friends" in {cell for row in rows for cell in row}
    assert "=Friends" in {cell for row in sheet for cell in row}
