"""What an inspector asks for: on the page of a call, on the page of a number, and as a file."""

import hashlib
import re
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client
from django.utils import timezone

from calls.carriers.base import Accepted, NotTaken
from calls.dialing.handover import hand_over
from calls.dialing.rules import digest_of
from calls.dialing.start import start
from calls.models import (
    APIKey,
    Batch,
    Call,
    CallGroup,
    CallingRule,
    Outcome,
    PlannedCall,
    Suppression,
    SuppressionList,
    User,
)
from tests.api.asking import Program
from tests.audit.rows import text_of
from tests.dialing.helpers import Carrier, freeze, use
from tests.exports.saved import export, rows_of
from tests.factories import client_for, make_call_group, make_request, make_sound, make_user, number
from tests.watching.rows import group_of

CALLED = number(1)
PAGE = "/evidence/"
QUERY = f"number={CALLED.replace('+', '%2B')}"
SHA256 = hashlib.sha256(b"audio").hexdigest()
RULES: dict[str, Any] = {
    "at": "2026-11-23T08:32:05+00:00",
    "traffic": "promotional",
    "place": "GB Europe/London",
    "local": {"Europe/London": "2026-11-23 08:32 +00:00"},
    "hours": "08:00-20:00",
    "weekdays": [0, 1, 2, 3, 4],
    "holidays": True,
    "holiday": "",
    "closed_days": ["2026-11-24"],
    "closed": [],
    "cap": 2,
    "lists": [{"id": 1, "name": "Register", "version": 12, "scrubbed_on": "2026-11-01"}],
    "override": None,
    "played": {"reference": "1.sound", "sha256": SHA256},
}


@pytest.fixture
def boss(db: None) -> User:
    return make_user("admin", "boss")


@pytest.fixture
def web(boss: User) -> Client:
    return client_for(boss)


@pytest.fixture
def group(boss: User) -> CallGroup:
    """A call group with a completed call to CALLED, about which everything was written down."""
    make_sound(1, sha256=SHA256)
    key, _ = APIKey.make(boss, "Shop")
    group = group_of(boss, {"COMPLETED": 1}, api_key=key, campaign="Winter")
    Batch.objects.filter(call_group=group).update(rules=[RULES])
    return group


def left_out(boss: User) -> CallGroup:
    """A call group that left CALLED out, which is on a suppression list."""
    listed = SuppressionList.objects.create(name="Register")
    Suppression.objects.create(list=listed, number=CALLED, reason="Asked")
    return start(make_request(boss, f"{CALLED}\n{number(2)}").pk)


def told(web: Client) -> list[dict[str, str]]:
    """The rows of the file."""
    headings, *rows = rows_of(export(web, "evidence", query=QUERY))
    return [dict(zip(headings, row, strict=True)) for row in rows]


def call_page(web: Client, group: CallGroup) -> str:
    return text_of(web.get(f"/call-groups/{group.pk}/calls/1/"))


def written(group: CallGroup, *entries: dict[str, Any]) -> None:
    """Each entry is RULES with these changes."""
    Batch.objects.filter(call_group=group).update(rules=[RULES | entry for entry in entries])


def test_what_never_got_to_the_carrier_is_no_hand_over(
    web: Client, boss: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    carrier = Carrier()
    use(carrier, monkeypatch)
    at = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
    freeze(monkeypatch, at)
    group = make_call_group(boss, [CALLED])
    carrier.answer = NotTaken("Refused the connection.")
    for hours in range(3):
        if hours == 2:
            carrier.answer = Accepted()
        freeze(monkeypatch, at + timedelta(hours=hours))
        hand_over(group.pk, 0)
    assert len(carrier.orders) == 3
    assert told(web)[0]["hand-overs"] == "1"
    assert call_page(web, group).count("An earlier check") == 2


# --- The page of a call --------------------------------------------------------------------------------------------


def test_what_was_checked_is_on_the_page_of_the_call(web: Client, group: CallGroup) -> None:
    shown = call_page(web, group)
    for fact in (
        "Started by boss with API key A",
        "2026-11-23 08:32 +00:00 (Europe/London)",
        "Promotional",
        "08:00-20:00, Mon to Fri",
        "not called on them; it was none",
        "Further days without calls not called on 24 Nov 2026; it was another day",
        "at most 2 a day",
        "Register, version 12, scrubbed on 1 Nov 2026",
        f"1.sound SHA-256 {SHA256} Still the same today.",
    ):
        assert fact in shown
    assert "Overridden" not in shown


def test_other_rules_in_words(web: Client, group: CallGroup) -> None:
    written(
        group,
        {"holidays": False, "cap": None, "weekdays": list(range(7)), "lists": [], "closed_days": []},
        {
            "holiday": "Diwali",
            "closed_days": ["2026-11-23", "2026-11-24"],
            "closed": ["2026-11-23"],
            "lists": [{"id": 1, "name": "Do not call", "version": 1, "scrubbed_on": None}],
            "override": {"reason": "Flood warning", "by": "boss", "at": "2026-11-23T08:00:00+00:00"},
        },
    )
    shown = call_page(web, group)
    first, second = shown.split("An earlier check")[1].split("Overridden")
    assert "08:00-20:00, every day" in first
    assert "called on them too" in first
    assert "there were none within 14 days of it" in first
    assert "not called on 23 Nov 2026, 24 Nov 2026; that day was 23 Nov 2026" in shown
    assert "no limit" in first
    assert "there were none" in first
    assert "that day was Diwali" in shown
    assert "Do not call, version 1, never scrubbed" in shown
    assert "Flood warning (boss, 23 Nov 2026, 13:30:00 IST" in second


def test_lists_and_cap_of_a_group_that_the_carrier_holds(web: Client, group: CallGroup) -> None:
    written(group, {"numbers_known": False, "cap": None, "lists": []})
    shown = call_page(web, group)
    assert "Calls a day not checked: the carrier holds the numbers" in shown
    assert "Suppression lists not checked: the carrier holds the numbers" in shown


@pytest.mark.parametrize(
    ("played", "said"),
    [
        ({"reference": "1.sound", "sha256": "0" * 64}, "It was replaced or deleted since."),
        ({"reference": "9.sound", "sha256": SHA256}, "It was replaced or deleted since."),
        ({"reference": "1234.ivr", "sha256": ""}, "it alone knows what it played"),
        ({"reference": "", "sha256": hashlib.sha256("Grüße".encode()).hexdigest()}, "“Grüße” SHA-256"),
    ],
)
def test_what_was_played(web: Client, group: CallGroup, played: dict[str, str], said: str) -> None:
    CallGroup.objects.filter(pk=group.pk).update(message="Grüße")
    written(group, {"played": played})
    shown = call_page(web, group)
    assert said in shown
    assert ("Still the same today." in shown) == (played["reference"] == "")


def test_a_call_of_which_nothing_was_written_down(web: Client, group: CallGroup) -> None:
    Batch.objects.update(rules=None)
    assert "Nothing was written down for this call." in call_page(web, group)
    Batch.objects.update(rules=[{"at": "2026-11-23T08:32:05+00:00"}])
    assert "not known" in call_page(web, group)


def test_what_a_real_hand_over_writes_down_is_understood(web: Client, boss: User) -> None:
    group = make_call_group(boss, 1, play="", message="Hello.", delay=120, waits="carrier")
    hand_over(group.pk, 0)
    record = web.get(f"/call-groups/{group.pk}/calls/1/").context["record"]
    (checked,) = record.checks
    assert (record.why, checked.traffic, checked.weekdays, checked.cap) == ("", "Promotional", "every day", "no limit")
    assert checked.place.startswith("GB ")
    assert any(zone.endswith("(Europe/London)") for zone in checked.local)
    assert (checked.rings_at - checked.at).total_seconds() == 120
    assert (checked.reference, checked.sha256, checked.still) == ("", digest_of("Hello."), True)
    assert {text.partition(",")[0] for text in checked.lists} == set(
        SuppressionList.objects.values_list("name", flat=True)
    )


@pytest.mark.parametrize(
    ("columns", "kept_by", "why"),
    [
        ({}, "", "Held: its turn has not come."),
        ({}, "hours", "Held: it waits for calling hours."),
        ({}, "never", "Held: the calling rules allow no call there at all."),
        (
            {"state": "paused", "state_reason": "The carrier refuses our key."},
            "",
            "Held: the call group is paused. The",
        ),
        ({"state": "cancelled"}, "", "Held: it is about to be cancelled."),
    ],
)
def test_why_a_held_call_was_not_handed_over(
    web: Client, boss: User, columns: dict[str, str], kept_by: str, why: str
) -> None:
    group = group_of(boss, {"HELD": 1})
    CallGroup.objects.filter(pk=group.pk).update(**columns)
    Batch.objects.update(kept_by=kept_by)
    assert f"Not handed over {why}" in call_page(web, group)


def test_why_a_call_was_never_made(web: Client, boss: User) -> None:
    group = group_of(boss, {"DND": 1})
    timeline = [[1.0, "DND", "portal", "", "On the suppression list Register."]]
    Call.objects.update(handed_over_at=None, timeline=timeline)
    assert "Not handed over On the suppression list Register." in call_page(web, group)


# --- The page of a number ------------------------------------------------------------------------------------------


@pytest.fixture
def everything(boss: User, group: CallGroup) -> CallGroup:
    """The call, a group that left the number out, and a list that it is on."""
    request = make_request(boss, number(5))
    type(request).objects.filter(pk=request.pk).update(call_group=group)
    PlannedCall.objects.create(
        request=request, position=9, number=CALLED, outcome=Outcome.CAPPED, reason="Was called twice that day."
    )
    listed = SuppressionList.objects.create(name="Register", scrubbed_on=date(2026, 11, 1))
    Suppression.objects.create(list=listed, number=CALLED, reason="Asked", source="letter", added_by=boss)
    return group


def asked(web: Client, **typed: Any) -> Any:
    """The page that the form leads to."""
    return web.post(PAGE, {"number": CALLED} | typed, follow=True)


@pytest.mark.parametrize("typed", [CALLED, "0044 20 7946-0001", "+44 (20) 7946 0001"])
def test_the_evidence_for_a_number(web: Client, everything: CallGroup, typed: str) -> None:
    shown = text_of(asked(web, number=typed))
    assert f"{everything.pk}-1 Completed" in shown
    assert "Started by boss with API key A" in shown
    assert "08:00-20:00" in shown
    assert f"Call group {everything.pk} by boss: Was called twice that day." in shown
    assert "Register : Asked (letter)" in shown


@pytest.mark.parametrize("others", [[], [number(7)]])
def test_a_program_that_asked_for_it_in_vain(web: Client, boss: User, others: list[str]) -> None:
    Suppression.objects.create(number=CALLED, reason="Asked")
    program = Program(boss)
    answer = program.call(numbers=",".join([CALLED, *others]), campaign="Winter")
    group = answer.reply.group_id
    who = f"Call group {group}" if others else "A request that called nobody"
    shown = text_of(asked(web))
    assert f"{who} by boss with API key {program.row}: On the suppression list “Do not call”: Asked" in shown
    headings, left_out, _listed = rows_of(export(web, "evidence", query=QUERY))
    row = dict(zip(headings, left_out, strict=True))
    assert (row["record"], row["campaign"], row["started by"]) == ("left out: suppressed", "Winter", "boss")
    assert row["OBD ID or call group"] == (group or "none: nobody was called")
    assert row["with API key"] == str(program.row)
    assert row["why not called"] == "On the suppression list “Do not call”: Asked"


def test_a_plan_that_was_never_started_is_no_evidence(web: Client, boss: User) -> None:
    Suppression.objects.create(number=CALLED, reason="Asked")
    make_request(boss, CALLED)
    assert "Left out" not in text_of(asked(web))


def test_a_number_that_nobody_called(web: Client) -> None:
    shown = text_of(asked(web))
    assert "No call to this number" in shown
    assert "It is on none." in shown
    assert "it does not name the numbers that went" in shown


def test_only_the_days_that_are_asked_for(web: Client, everything: CallGroup) -> None:
    tomorrow = timezone.localdate() + timedelta(days=1)
    assert "No call to this number" in text_of(asked(web, since=tomorrow))
    assert f"{everything.pk}-1" in text_of(asked(web, until=tomorrow))


@pytest.mark.parametrize(
    ("period", "found"),
    [
        ("since=2026-09-01&until=2026-09-01", True),  # when it was started
        ("since=2026-10-18&until=2026-10-18", True),  # when it was sent to a carrier that waits
        ("since=2026-10-20&until=2026-10-20", True),  # when it rang
        ("since=2026-10-21", True),  # when it ended
        ("until=2026-08-31", False),
        ("since=2026-10-19&until=2026-10-19", False),
        ("since=2026-10-22", False),
    ],
)
def test_a_call_is_found_by_each_day_on_which_something_was_done_to_it(
    web: Client, group: CallGroup, settings: Any, period: str, found: bool
) -> None:
    settings.TIME_ZONE = "UTC"
    columns = ("created_at", "handed_over_at", "answered_at", "ended_at")
    days = ((9, 1), (10, 18), (10, 20), (10, 21))
    times = {column: datetime(2026, *day, 6, tzinfo=UTC) for column, day in zip(columns, days, strict=True)}
    Call.objects.update(**times)
    assert len(asked(web, **QueryDict(period).dict()).context["records"]) == found


def test_a_call_that_was_never_sent_is_found_by_when_it_was_started(web: Client, group: CallGroup) -> None:
    Call.objects.update(handed_over_at=None, answered_at=None, ended_at=None)
    today = timezone.localdate()
    assert len(asked(web, since=today, until=today).context["records"]) == 1


@pytest.mark.parametrize("query", ["number=", "number=abc", "number=%00", f"number={'1' * 200}", "number=12&since=x"])
def test_what_is_no_number_is_said(web: Client, query: str) -> None:
    answer = web.post(PAGE, QueryDict(query).dict())
    assert answer.status_code == 200
    assert answer.context["form"].errors
    assert export(web, "evidence", query=query).status_code == 400


def test_many_calls_need_few_queries(
    web: Client, boss: User, group: CallGroup, django_assert_max_num_queries: Any
) -> None:
    for _ in range(5):
        group_of(boss, {"COMPLETED": 1})
    page = asked(web).redirect_chain[-1][0]
    with django_assert_max_num_queries(16):
        assert len(web.get(page).context["records"]) == 6


def test_no_number_is_in_an_address(web: Client, boss: User, everything: CallGroup) -> None:
    for _ in range(25):
        group_of(boss, {"COMPLETED": 1})
    page = asked(web)
    address = page.redirect_chain[-1][0]
    links = re.findall(r'(?:href|action)="([^"]*)"', page.content.decode())
    assert links
    for link in [address, *links]:
        assert CALLED.lstrip("+")[-9:] not in link, link
    assert f'value="{QUERY}"' in page.content.decode()  # what the buttons export
    older = web.get(f"{address}&after={page.context['page'].next}")
    assert len(older.context["records"]) == 6
    assert len(web.get(address).context["records"]) == 20  # again, as when it is reloaded
    assert "records" not in client_for(boss).get(address).context  # another session


def test_what_was_done_to_the_number_on_lists_is_listed(web: Client, everything: CallGroup) -> None:
    row = Suppression.objects.get(number=CALLED)
    web.post(f"/suppression/{row.list_id}/{row.pk}/remove/")
    shown = text_of(asked(web))
    assert "boss removed it: entry" in shown
    assert "It is on none." in shown


def test_what_the_plan_checked_is_told_of_a_number_that_was_left_out(web: Client, boss: User) -> None:
    left_out(boss)
    shown = text_of(asked(web)).split("Left out")[1]
    assert "On the suppression list “Register”: Asked" in shown
    assert "(Europe/London)" in shown
    assert "Register, version 1, never scrubbed" in shown
    assert "played" not in shown.lower()


def test_a_number_that_calling_hours_never_allow_is_told(web: Client, boss: User, group: CallGroup) -> None:
    CallingRule.objects.update_or_create(traffic="promotional", defaults={"weekdays": []})
    request = make_request(boss, f"{CALLED}\n12")
    type(request).objects.filter(pk=request.pk).update(call_group=group)
    shown = text_of(asked(web)).split("Left out")[1]
    assert "No calling hours within 14 days fit it" in shown
    assert "on no day" in shown


# --- As a file -----------------------------------------------------------------------------------------------------


def test_the_evidence_as_a_file(web: Client, everything: CallGroup, settings: Any) -> None:
    settings.TIME_ZONE = "UTC"
    Call.objects.update(created_at=datetime(2026, 11, 23, 8, 30, tzinfo=UTC))
    written(everything, {"override": {"reason": "Flood", "by": "boss", "at": "2026-11-23T08:00:00+00:00"}})
    headings, *rows = rows_of(export(web, "evidence", query=QUERY))
    call, left_out, listed = (dict(zip(headings, row, strict=True)) for row in rows)
    assert (
        call
        | {
            "record": "call",
            "OBD ID or call group": f"{everything.pk}-1",
            "number": CALLED,
            "created": "2026-11-23 08:30:00+00:00",
            "campaign": "Winter",
            "started by": "boss",
            "status": "COMPLETED",
            "why not called": "",
            "hand-overs": "1",
            "checked": "2026-11-23 08:32:05+00:00",
            "traffic type": "Promotional",
            "local time there": "2026-11-23 08:32 +00:00 (Europe/London)",
            "hours": "08:00-20:00",
            "further days without calls": "not called on 24 Nov 2026; it was another day",
            "calls a day": "at most 2 a day",
            "suppression lists": "Register, version 12, scrubbed on 1 Nov 2026",
            "override": "Flood (boss, 2026-11-23 08:00:00+00:00)",
            "heard": "1.sound",
            "SHA-256 of what was played": SHA256,
            "is it the same today": "yes",
        }
        == call
    )
    assert (left_out["record"], left_out["why not called"]) == (
        "left out: called often enough",
        "Was called twice that day.",
    )
    assert (listed["record"], listed["started by"], listed["why not called"]) == (
        "suppressed: Register",
        "boss",
        "Asked letter",
    )


def test_nothing_was_heard_of_a_call_that_was_never_handed_over(web: Client, boss: User) -> None:
    group = make_call_group(boss, 3, play="", message="Hello.")
    Suppression.objects.create(list=SuppressionList.objects.get(role="manual"), number=CALLED, reason="Asked")
    hand_over(group.pk, 0)
    row, _ = told(web)
    assert (row["record"], row["status"], row["sent"]) == ("call", "DND", "")
    assert "On the suppression list" in row["why not called"]
    assert row["checked"]
    heard = ("hand-overs", "heard", "SHA-256 of what was played", "is it the same today")
    assert [row[name] for name in heard] == [""] * 4
    n = Call.objects.get(number=CALLED).n
    shown = text_of(web.get(f"/call-groups/{group.pk}/calls/{n}/"))
    assert "To be played" in shown
    assert "Played" not in shown


def test_each_check_of_a_call_has_a_row(web: Client, group: CallGroup) -> None:
    written(group, {"at": "2026-11-23T08:30:00+00:00", "hours": "07:00-20:00"}, {})
    last, earlier = told(web)
    assert (last["record"], last["hours"], last["heard"]) == ("call", "08:00-20:00", "1.sound")
    assert (earlier["record"], earlier["hours"], earlier["heard"]) == ("earlier check", "07:00-20:00", "")
    assert last["OBD ID or call group"] == earlier["OBD ID or call group"]
    assert last["hand-overs"] == "2"


def test_what_was_checked_of_a_number_that_was_left_out(web: Client, boss: User) -> None:
    left_out(boss)
    row, _ = told(web)
    assert row["record"] == "left out: suppressed"
    assert row["place"] == "GB Europe/London"
    assert row["local time there"].endswith("(Europe/London)")
    assert "Register, version 1, never scrubbed" in row["suppression lists"]
    assert (row["hand-overs"], row["heard"], row["SHA-256 of what was played"]) == ("", "", "")


def test_what_was_suppressed_after_the_plan_has_both_checks(web: Client, boss: User) -> None:
    request = make_request(boss, f"{CALLED}\n{number(2)}")
    listed = SuppressionList.objects.create(name="Register")
    Suppression.objects.create(list=listed, number=CALLED, reason="Asked")
    start(request.pk)
    last, earlier, _ = told(web)
    assert (last["record"], earlier["record"]) == ("left out: suppressed", "earlier check")
    assert "Register" in last["suppression lists"]
    assert "Register" not in earlier["suppression lists"]
    assert last["checked"] >= earlier["checked"]
