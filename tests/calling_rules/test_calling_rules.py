"""The page of the calling rules: what holds, changing it, and trying a number."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob
from procrastinate.manager import JobManager
from pytest_django import Settings

from calls import tasks
from calls.models import Call, CallingRule, ListRole, Suppression, SuppressionList
from tests.dialing.helpers import freeze
from tests.factories import client_for, make_call_group, make_user, number
from tests.watching.rows import group_of

pytestmark = pytest.mark.django_db

PAGE = "/calling-rules/"
NOON = datetime(2026, 11, 23, 6, 30, tzinfo=UTC)
"""A Monday: noon in India, 06:30 in London, 01:30 in New York."""


@pytest.fixture(autouse=True)
def rules(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CALLING_HOURS = "09:00-21:00"
    settings.TIME_ZONE = "Asia/Kolkata"
    settings.DEFAULT_REGION = "IN"
    freeze(monkeypatch, NOON)


@pytest.fixture
def web() -> Client:
    return client_for(make_user("admin"))


def typed(**changes: Any) -> dict[str, Any]:
    """The form as a browser sends it, with every weekday."""
    usual = {"hours": "", "weekdays": list("0123456"), "closed_days": "", "daily_cap": ""}
    return {name: value for name, value in (usual | changes).items() if value is not None}


def change(web: Client, **changes: Any) -> Any:
    return web.post(f"{PAGE}promotional/", typed(**changes))


def rule() -> CallingRule:
    return CallingRule.objects.get(pk="promotional")


def words(response: Any) -> str:
    return " ".join(response.content.decode().split())


# --- What holds ---------------------------------------------------------------------------------------------------


def test_everybody_sees_what_holds_and_admins_change_it(web: Client) -> None:
    for role in ("viewer", "operator"):
        page = client_for(make_user(role)).get(PAGE).text
        assert "Promotional calls" in page
        assert "Service calls" in page
        assert "promotional/" not in page
    assert "promotional/" in web.get(PAGE).text


def test_the_page_says_each_rule_in_words(web: Client) -> None:
    CallingRule.objects.filter(pk="promotional").update(
        hours="10:00-19:00", weekdays=[0, 5], holidays=True, closed_days=["2020-01-01", "2026-12-31"], daily_cap=2
    )
    page = words(web.get(PAGE))
    for said in ("10:00-19:00", "Mon, Sat", "no calls on public ones of their country", "31 Dec 2026",
                 "and 1 more, or past", "at most 2 to a number"):  # fmt: skip
        assert said in page, said
    assert "as in the setting CALLING_HOURS" in page  # of the two others
    assert "<dd>no limit</dd>" in page
    assert "1 Jan 2020" not in page


def test_whether_phones_may_ring_here_now(web: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    CallingRule.objects.filter(pk="service").update(hours="13:00-14:00")
    CallingRule.objects.filter(pk="transactional").update(weekdays=[])
    page = words(web.get(PAGE))
    assert "<dd>phones may ring</dd>" in page
    assert "23 Nov 2026, 13:00" in page
    assert "nobody may be called within two weeks" in page


# --- Changing it --------------------------------------------------------------------------------------------------


def test_change_everything(web: Client) -> None:
    days = "2026-12-31\n\n 2026-12-24 \n2026-12-31\n"
    answer = change(web, hours="9:30 \u2013 20:00", weekdays=["4", "0"], holidays="on", closed_days=days, daily_cap="3")
    assert answer.headers["Location"] == PAGE
    row = rule()
    assert (row.hours, row.weekdays, row.holidays, row.daily_cap) == ("09:30-20:00", [0, 4], True, 3)
    assert row.closed_days == ["2026-12-24", "2026-12-31"]
    page = words(web.get(f"{PAGE}promotional/"))
    assert 'value="09:30-20:00"' in page
    assert "2026-12-24 2026-12-31</textarea>" in page
    assert CallingRule.objects.get(pk="service").hours == ""


def test_what_the_hours_kept_is_looked_at_again_in_a_worker(web: Client) -> None:
    """The page does not wait for the call groups that are concerned."""
    group = make_call_group(make_user(), [number(0)])
    assert group.batches.get().kept_by == "hours"
    change(web, hours="00:00-24:00")
    assert group.batches.get().kept_by == "hours"
    job = ProcrastinateJob.objects.get(task_name="calls.tasks.rules_changed", status="todo")
    tasks.rules_changed(**job.args)
    kept = group.batches.get()
    assert (kept.kept_by, kept.due_at) == ("", NOON)


def test_a_rule_is_saved_with_its_job_or_not_at_all(web: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(JobManager, "defer_job", fails)
    with pytest.raises(RuntimeError):
        change(web, hours="00:00-24:00")
    assert rule().hours == ""


def test_empty_is_the_setting_and_no_limit(web: Client) -> None:
    change(web, hours="00:00-24:00", daily_cap="1")
    assert "those of the setting CALLING_HOURS, 09:00-21:00" in words(web.get(f"{PAGE}promotional/"))
    change(web)
    assert (rule().hours, rule().daily_cap, rule().closed_days) == ("", None, [])


def test_the_form_names_the_next_public_holidays(web: Client) -> None:
    page = words(web.get(f"{PAGE}promotional/"))
    assert "Guru Nanak" in page
    assert "25 Dec 2026" in page


def test_a_country_whose_holidays_are_not_known(web: Client, settings: Settings) -> None:
    settings.DEFAULT_REGION = "AC"
    assert "None are known for the country of this portal" in words(web.get(f"{PAGE}promotional/"))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("hours", "9-21", "“9-21” can&#x27;t be calling hours"),
        ("hours", "21:00-09:00", "the earlier time first"),
        ("hours", "09:00-09:00", "the earlier time first"),
        ("hours", "09:00-25:00", "can&#x27;t be calling hours"),
        ("hours", "24:00-24:00", "can&#x27;t be calling hours"),
        ("hours", "\u0966\u096f:00-21:00", "can&#x27;t be calling hours"),
        ("hours", "09:00-21:00\0", "Null characters"),
        ("hours", "9" * 1_000, "at most 40 characters"),
        ("weekdays", [], "Choose at least one day"),
        ("weekdays", ["7"], "7 is not one of the available choices"),
        ("weekdays", ["Monday"], "Monday is not one of the available choices"),
        ("closed_days", "2026-12-24\n\n24.12.2026", "Line 3: “24.12.2026” is no day. Write it like 2026-12-24."),
        ("closed_days", "2026-02-30", "Line 1: “2026-02-30” is no day"),
        ("closed_days", "20261224", "Line 1:"),
        ("closed_days", "2026-W52-4", "Line 1:"),
        ("closed_days", "x\n" * 9, "And 4 more lines that can"),
        ("closed_days", "x" * 500, f"“{'x' * 40}…”"),
        ("closed_days", "\n".join(f"{year}-01-01" for year in range(1500, 1901)), "401 days; at most 400."),
        ("closed_days", "x" * 20_001, "at most 20000 characters"),
        ("daily_cap", "0", "greater than or equal to 1"),
        ("daily_cap", "-1", "greater than or equal to 1"),
        ("daily_cap", "1001", "less than or equal to 1000"),
        ("daily_cap", "often", "whole number"),
        ("daily_cap", "9" * 300, ""),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_at_its_field_and_kept(web: Client, field: str, value: Any, said: str) -> None:
    answer = change(web, **{"hours": "10:00-20:00", field: value})
    assert answer.status_code == 200
    assert list(answer.context["form"].errors) == [field]
    assert said in words(answer)
    if field != "hours":
        assert 'value="10:00-20:00"' in words(answer)
    assert rule().hours == ""


@pytest.mark.parametrize("traffic", ["nonsense", "Promotional", "a%00b"])
def test_a_traffic_type_that_there_is_not(web: Client, traffic: str) -> None:
    assert web.get(f"{PAGE}{traffic}/").status_code == 404


# --- Trying a number ----------------------------------------------------------------------------------------------


def tried(web: Client, text: str) -> Any:
    return web.post(PAGE, {"number": text}, follow=True)


def verdicts(response: Any) -> dict[str, bool]:
    return {str(each.traffic): each.may_ring for each in response.context["tried"].verdicts}


def test_a_number_that_may_be_called(web: Client) -> None:
    answer = tried(web, "081234 56789")
    page = words(answer)
    for said in ("+91 81234 56789", "<dd>IN</dd>", "Mon 12:00 in Asia/Calcutta", "May ring", "They allow it now"):
        assert said in page, said
    assert all(verdicts(answer).values())


def test_a_number_where_it_is_too_early(web: Client) -> None:
    page = words(tried(web, number(1)))
    assert "Mon 06:30 in Europe/London" in page
    assert "May not ring" in page
    assert "23 Nov 2026, 14:30" in page  # 09:00 in London, on the portal's clock
    assert "09:00-21:00, in Europe/London" in page


def test_a_number_of_several_zones(web: Client) -> None:
    answer = tried(web, "+7 912 345 67 89")  # mobile phones of Russia have eleven
    assert len(answer.context["tried"].clocks) > 2
    assert "all must allow it" in words(answer)


def test_a_number_of_no_known_place(web: Client) -> None:
    answer = tried(web, "+870 773 111632")
    assert "not known from the number" in words(answer)
    assert "in Asia/Kolkata" in words(answer)


def test_a_number_on_lists(web: Client) -> None:
    ours = SuppressionList.objects.get(role=ListRole.MANUAL)
    register = SuppressionList.objects.create(name="Register", promotional_only=True)
    ended = SuppressionList.objects.create(name="Ended", ends_on=timezone.localdate() - timedelta(days=2))
    called = "+918123456789"
    for each in (register, ended):
        Suppression.objects.create(list=each, number=called, reason="x")
    answer = tried(web, called)
    assert verdicts(answer) == {"promotional": False, "transactional": True, "service": True}
    assert "Ended" not in words(answer)
    Suppression.objects.create(list=ours, number=called, reason="x")
    assert not any(verdicts(tried(web, called)).values())
    assert ours.name in words(tried(web, called))


def test_a_number_that_was_called_often_enough(web: Client) -> None:
    CallingRule.objects.filter(pk="promotional").update(daily_cap=2)
    called = "+918123456789"
    for hours in (1, 2, 20):  # the last one yesterday
        group = group_of(make_user(), {"COMPLETED": 1}, handed_over_at=NOON - timedelta(hours=hours))
        Call.objects.filter(call_group=group).update(number=called)
    answer = tried(web, called)
    assert verdicts(answer) == {"promotional": False, "transactional": True, "service": True}
    assert "2 times of 2" in words(answer)
    assert "Again from" in words(answer)
    assert "24 Nov 2026, 00:00" in words(answer)


def test_a_holiday(web: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    CallingRule.objects.filter(pk="service").update(holidays=True)
    freeze(monkeypatch, NOON + timedelta(days=1))
    answer = tried(web, "+918123456789")
    assert verdicts(answer) == {"promotional": True, "transactional": True, "service": False}
    assert "Today is Guru Nanak" in words(answer)


@pytest.mark.parametrize("text", ["", "   ", "abc", "12", "+44", "1" * 200, "a\0b", "<script>"])
def test_what_is_no_number_is_named(web: Client, text: str) -> None:
    answer = tried(web, text)
    assert answer.status_code == 200
    assert list(answer.context["form"].errors) == ["number"]
    assert answer.context["tried"] is None
    assert "<script>" not in answer.text.replace("<script src", "")
