"""Tags and filters of the pages."""

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.template import Context, Template
from django.test import RequestFactory

from calls.obd import statuses
from calls.templatetags.looks import LOOKS
from calls.templatetags.portal import navigation

MOMENT = datetime(2026, 3, 14, 4, 45, 3, tzinfo=UTC)


def render(source: Any, **context: Any) -> Any:
    return Template("{% load portal %}" + source).render(Context(context))


@pytest.fixture(autouse=True)
def zone(settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"


class TestStatusBadge:
    def test_says_the_status_in_words_and_keeps_it_for_scripts(self) -> None:
        badge = render("{% status_badge status %}", status="NOANSWER")
        assert "No answer" in badge
        assert 'data-status="NOANSWER"' in badge
        assert "#no-answer" in badge

    def test_shows_unknown_words_as_they_came(self) -> None:
        badge = render("{% status_badge status %}", status="<MAX-USE>")
        assert "&lt;MAX-USE&gt;" in badge
        assert "badge-unknown" in badge

    def test_every_status_of_a_call_has_a_look_of_its_own(self) -> None:
        looks = [LOOKS[str(status)] for status in statuses.Status]
        assert len({look.word for look in looks}) == len(looks)
        assert len({look.icon for look in looks}) == len(looks)


class TestTimes:
    @pytest.mark.parametrize(
        ("style", "text"),
        [
            ("full", "14 Mar 2026, 10:15:03 IST"),
            ("minute", "14 Mar 2026, 10:15 IST"),
            ("short", "14 Mar 10:15:03"),
            ("clock", "10:15:03"),
        ],
    )
    def test_are_shown_in_the_portals_zone(self, style: Any, text: Any) -> None:
        shown = render("{% local_time moment style %}", moment=MOMENT, style=style)
        assert f">{text}</time>" in shown
        assert 'title="14 Mar 2026, 10:15:03 IST"' in shown
        assert 'datetime="2026-03-14T10:15:03+05:30"' in shown

    def test_short_leaves_out_today(self) -> None:
        shown = render("{% local_time moment 'short' %}", moment=datetime.now(UTC))
        assert len(shown.split(">")[1].split("<")[0]) == len("10:15:03")

    def test_a_zone_without_letters_is_given_as_its_offset(self, settings: Any) -> None:
        settings.TIME_ZONE = "America/Sao_Paulo"
        assert render("{% zone_name moment %}", moment=MOMENT) == "UTC-03"

    def test_a_date_is_that_of_the_portals_zone(self) -> None:
        late = datetime(2026, 3, 14, 20, 0, tzinfo=UTC)
        assert ">15 Mar 2026<" in render("{% local_date day %}", day=late)
        assert ">14 Mar 2026<" in render("{% local_date day %}", day=date(2026, 3, 14))


@pytest.mark.parametrize(
    ("source", "value", "text"),
    [
        ("{{ value|duration }}", 0, "0:00"),
        ("{{ value|duration }}", 34.4, "0:34"),
        ("{{ value|duration }}", 3750, "1:02:30"),
        ("{{ value|duration }}", timedelta(seconds=75), "1:15"),
        ("{{ value|about }}", 20, "less than a minute"),
        ("{{ value|about }}", 61, "about 1 minute"),
        ("{{ value|about }}", 300, "about 5 minutes"),
        ("{{ value|about }}", 12600, "about 3.5 hours"),
        ("{{ value|about }}", 259200, "about 3 days"),
        ("{{ value|count }}", 1234567, "1,234,567"),
        ("{{ value|percent:8 }}", 5, "62.5%"),
        ("{{ value|percent:4 }}", 4, "100%"),
        ("{{ value|percent:100000 }}", 1, "&lt;0.1%"),
        ("{{ value|percent:100000 }}", 99999, "&gt;99.9%"),
        ("{{ value|percent }}", 0.5, "50%"),
        ("{{ value|status_word }}", "DND", "Do not disturb"),
        ("{{ value|phone }}", "+442079460001", '<span class="phone">+44 20 7946 0001</span>'),
    ],
)
def test_values_are_shown_as_people_write_them(source: Any, value: Any, text: Any) -> None:
    assert render(source, value=value) == text


@pytest.mark.parametrize(
    "source",
    [
        "{% local_time value %}",
        "{% local_date value %}",
        "{{ value|phone }}",
        "{{ value|duration }}",
        "{{ value|about }}",
        "{{ value|count }}",
        "{{ value|percent:5 }}",
    ],
)
def test_what_is_missing_is_a_dash(source: Any) -> None:
    assert render(source, value=None) == "\N{EN DASH}"


def test_a_share_of_nothing_is_a_dash() -> None:
    assert render("{{ 0|percent:0 }}") == "\N{EN DASH}"


class TestDisposition:
    def test_says_the_figures_in_words(self) -> None:
        bar = render("{% disposition_bar tally %}", tally={"BUSY": 1, "COMPLETED": 3, "FAILED": 0})
        assert 'aria-label="Calls by status: Completed 3, Busy 1"' in bar
        assert bar.index("fill-completed") < bar.index("fill-busy")
        assert "fill-failed" not in bar

    def test_without_calls(self) -> None:
        assert "Calls by status: none" in render("{% disposition_bar tally %}", tally={})


def test_the_hour_chart_holds_its_figures_as_a_table() -> None:
    chart = render("{% hour_chart hours %}", hours=[{"hour": 9, "counts": {"COMPLETED": 1200, "BUSY": 3}}])
    assert '<th scope="row">09:00</th><td>1,200</td><td>3</td><td>1,203</td>' in chart


class TestNavigation:
    def current(self, path: Any, user: Any = None) -> Any:
        user = user or SimpleNamespace(is_authenticated=True, can_start_calls=True, has_perm=lambda _: True)
        sections = navigation(Context({"request": RequestFactory().get(path), "user": user}))
        return {link["name"]: link["current"] for section in sections for link in section["links"]}

    @pytest.fixture(autouse=True)
    def pages(self, monkeypatch: Any) -> Any:
        addresses = {
            "dashboard": "/",
            "calls": "/calls/",
            "start": "/calls/start/",
            "call_groups": "/call-groups/",
            "users": "/users/",
        }
        monkeypatch.setattr("calls.templatetags.portal._url_of", lambda name: addresses.get(name, ""))

    def test_marks_the_page_itself(self) -> None:
        assert self.current("/") == {"start": "", "dashboard": "page", "call_groups": "", "calls": "", "users": ""}

    def test_marks_the_nearest_page_above(self) -> None:
        assert self.current("/call-groups/100042/")["call_groups"] == "true"
        assert self.current("/calls/100042-1/")["calls"] == "true"
        assert self.current("/calls/start/check/") | {"start": ""} == dict.fromkeys(self.current("/"), "")

    def test_shows_only_what_a_user_may_follow(self) -> None:
        viewer = SimpleNamespace(is_authenticated=True, can_start_calls=False, has_perm=lambda _: False)
        assert set(self.current("/", viewer)) == {"dashboard", "call_groups", "calls"}

    def test_is_empty_for_strangers(self) -> None:
        assert self.current("/", SimpleNamespace(is_authenticated=False, has_perm=lambda _: False)) == {}
