"""The start form: each parameter with its limits; a wrong one is named at its field, with what came and the rule."""

import json
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from django.http import QueryDict
from django.utils import timezone
from pytest_django import Settings

from calls.dialing.plan import make_plan
from calls.dialing.request import Again, Options
from calls.forms.start import LISTED, StartForm
from calls.models import Call, CallRequest, ContactGroup, Sound, User, Waits
from calls.obd.statuses import Status
from tests.factories import client_for, make_call_group, make_group, make_ivr, make_sound, make_user, number
from tests.start.filled import Typed, check, filled

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)
"""12:00 in Asia/Kolkata."""


@pytest.fixture
def operator() -> User:
    return make_user()


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: NOON)


def said(form: StartForm) -> dict[str, str]:
    """All that is said at each field."""
    return {name: " ".join(str(error) for error in errors) for name, errors in form.errors.items()}


# --- What is right ------------------------------------------------------------------------------------------------


def test_the_least_that_is_needed(operator: User) -> None:
    sound = make_sound(123)
    form = check(operator, sound=sound.pk)
    assert said(form) == {}
    assert form.options == Options(play="123.sound")
    assert form.typed_numbers == 1


def test_every_parameter(operator: User) -> None:
    form = check(
        operator, heard="ivr", ivr=make_ivr(1234).pk, campaign=" Autumn ", retries="2",
        scheduletime="2026-11-20T18:05", delay="900", waits="carrier", newgroup=None, custom="order-4711",
        meta='{"a": [1, null]}', callback="https://example.com/done?id={obdid}&s={status}",
    )  # fmt: skip
    assert said(form) == {}
    assert form.options == Options(
        play="1234.ivr",
        campaign="Autumn",
        retries=2,
        schedule_time=datetime(2026, 11, 20, 12, 35, tzinfo=UTC),
        delay=900,
        waits=Waits.CARRIER,
        newgroup=False,
        custom="order-4711",
        meta={"a": [1, None]},
        callback="https://example.com/done?id={obdid}&s={status}",
    )
    assert Options.from_json(json.loads(json.dumps(form.options.as_json()))) == form.options


def test_a_message(operator: User) -> None:
    form = check(operator, heard="message", message="It\u2019s “ready” \u2013\r\ncome… ")
    assert form.options == Options(message='It\'s "ready" - come...')


def test_what_is_not_chosen_does_not_count(operator: User) -> None:
    """People change their mind; what they typed before stays in the form, and is neither checked nor used."""
    form = check(operator, message="नमस्ते", ivr="", groups=[make_group().pk])
    assert (form.options.message, form.options.contact_groups) == ("", ())
    assert form.options.play.endswith(".sound")
    form = check(operator, who="groups", groups=[make_group(numbers=1).pk], numbers="x")
    assert said(form) == {}


def test_contact_groups(operator: User) -> None:
    one, two = make_group("B", numbers=1), make_group("A", numbers=1)
    form = check(operator, who="groups", groups=[one.pk, two.pk], custom="for-all")
    assert set(form.options.contact_groups) == {one.pk, two.pk}
    assert (form.options.carrier_group, form.options.custom) == ("", "for-all")


def test_a_contact_group_that_the_carrier_holds(operator: User) -> None:
    group = make_group(carrier_group="vip")
    form = check(operator, who="groups", groups=[group.pk])
    assert (form.options.contact_groups, form.options.carrier_group) == ((group.pk,), "vip")


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        ({"retries": "0"}, "retries", 0),
        ({"retries": "2"}, "retries", 2),
        ({"retries": None}, "retries", 0),
        ({"delay": "0"}, "delay", 0),
        ({"delay": "900"}, "delay", 900),
        ({"delay": " 7 "}, "delay", 7),
        ({"campaign": "c" * 100}, "campaign", "c" * 100),
        ({"campaign": "दिवाली ✓"}, "campaign", "दिवाली ✓"),
        ({"custom": "A" * 64}, "custom", "A" * 64),
        ({"meta": "{}"}, "meta", {}),
        ({"meta": '{"a":"' + "x" * (8192 - 8) + '"}'}, "meta", {"a": "x" * (8192 - 8)}),
        ({"callback": "http://example.com"}, "callback", "http://example.com"),
        ({"callback": "https://example.com/" + "x" * 1980}, "callback", "https://example.com/" + "x" * 1980),
        ({"heard": "message", "message": "m" * 1_000}, "message", "m" * 1_000),
        ({"waits": None}, "waits", "portal"),
        ({"traffic": None}, "traffic", "promotional"),
        ({"traffic": "service"}, "traffic", "service"),
        ({"scheduletime": "2026-11-20 12:15:00"}, "schedule_time", NOON + timedelta(minutes=15)),
        ({"scheduletime": "20/11/2026 12:15 PM"}, "schedule_time", NOON + timedelta(minutes=15)),
        ({"scheduletime": f"{NOON.timestamp() + 1200:.0f}"}, "schedule_time", NOON + timedelta(minutes=20)),
        ({"scheduletime": "2027-01-20T12:00"}, "schedule_time", datetime(2027, 1, 20, 6, 30, tzinfo=UTC)),
    ],
)
def test_at_the_limit(operator: User, changes: Typed, name: str, value: object) -> None:
    form = check(operator, **changes)
    assert said(form) == {}
    assert getattr(form.options, name) == value


# --- What is wrong: at which field, what came, and the rule -------------------------------------------------------

WRONG: list[tuple[Typed, str, list[str]]] = [
    ({"retries": "3"}, "retries", ['"3"', "0, 1 or 2"]),
    ({"retries": "-1"}, "retries", ['"-1"', "0, 1 or 2"]),
    ({"retries": "many"}, "retries", ['"many"', "0, 1 or 2"]),
    ({"traffic": "spam"}, "traffic", ["spam"]),
    ({"delay": "901"}, "delay", ['"901"', "0 to 900"]),
    ({"delay": "-1"}, "delay", ['"-1"', "0 to 900"]),
    ({"delay": "1.5"}, "delay", ['"1.5"', "whole number"]),
    ({"delay": "1e2"}, "delay", ['"1e2"', "whole number"]),
    ({"delay": "9" * 400}, "delay", ["9999", "0 to 900"]),
    ({"delay": "\uff15"}, "delay", ["\uff15", "whole number"]),
    ({"campaign": "c" * 101}, "campaign", ["101 characters", "up to 100"]),
    ({"campaign": "two\nlines"}, "campaign", ["U+000A", "one line"]),
    ({"heard": "message", "message": "नमस्ते"}, "message", ["न", "U+0928", "English"]),
    ({"heard": "message", "message": "Hello \U0001f600"}, "message", ["U+1F600", "ASCII"]),
    ({"heard": "message", "message": "m" * 1_001}, "message", ["1,001 characters", "up to 1,000"]),
    ({"heard": "message", "message": ""}, "message", ["Type what is to be spoken."]),
    ({"heard": "message", "message": "  \n "}, "message", ["Type what is to be spoken."]),
    ({"meta": "[1, 2]"}, "meta", ["[1, 2]", "no object", "JSON object"]),
    ({"meta": '"text"'}, "meta", ["no object"]),
    ({"meta": "42"}, "meta", ["no object"]),
    ({"meta": "{'a': 1}"}, "meta", ["{'a': 1}", "not valid JSON"]),
    ({"meta": '{"a": 1'}, "meta", ["not valid JSON"]),
    ({"meta": '{"a": 1, "a": 2}'}, "meta", ["twice"]),
    ({"meta": '{"a": NaN}'}, "meta", ["NaN"]),
    ({"meta": '{"a": 1e999}'}, "meta", ["too large"]),
    ({"meta": '{"a": "\\u0000"}'}, "meta", ["U+0000"]),
    ({"meta": '{"a": "\\ud800"}'}, "meta", ["U+D800"]),
    ({"meta": '{"a":' * 500 + "1" + "}" * 500}, "meta", ["nested too deeply"]),
    ({"meta": '{"a":"' + "x" * 8_185 + '"}'}, "meta", ["8,193 bytes", "at most 8,192"]),
    ({"meta": '{"a":"' + "é" * 4_093 + '"}'}, "meta", ["8,194 bytes"]),
    ({"custom": "a b"}, "custom", ['"a b"', "letters, digits, - and _"]),
    ({"custom": "naïve"}, "custom", ["naïve"]),
    ({"custom": "A" * 65}, "custom", ["up to 64"]),
    ({"custom": "a,"}, "custom", ["empty reference"]),
    ({"custom": "a,b"}, "custom", ["2 references", "1 number:", "one for each"]),
    ({"numbers": f"{number(1)}\n{number(2)}", "custom": "a"}, "custom", ["is 1 reference for 2 numbers"]),
    ({"callback": "javascript:alert(1)"}, "callback", ["javascript:alert(1)", "http:// or https://"]),
    ({"callback": "data:text/html,x"}, "callback", ["http:// or https://"]),
    ({"callback": "//example.com/"}, "callback", ["http:// or https://"]),
    ({"callback": "example.com/done"}, "callback", ["http:// or https://"]),
    ({"callback": "https://"}, "callback", ["no host"]),
    ({"callback": "https:///done"}, "callback", ["no host"]),
    ({"callback": "https://?id={obdid}"}, "callback", ["no host"]),
    ({"callback": "https://{campaign}/"}, "callback", ["wrong host"]),
    ({"callback": "https://exa mple.com/"}, "callback", ["space"]),
    ({"callback": "https://example.com:99999/"}, "callback", ["not a URL"]),
    ({"callback": "https://me:secret@example.com/"}, "callback", ["user name"]),
    ({"callback": "https://example.com/{nope}"}, "callback", ["unknown placeholder {nope}", "{obdid}"]),
    ({"callback": "https://example.com/{obdid"}, "callback", ["brace"]),
    ({"callback": "https://example.com/\r\nX: y"}, "callback", ["U+000D"]),
    ({"callback": "https://example.com/" + "x" * 1_981}, "callback", ["2,001 characters", "up to 2,000"]),
    ({"scheduletime": "2026-11-20T11:59"}, "scheduletime", ["2026-11-20T11:59", "in the past", "15 minutes"]),
    ({"scheduletime": "2026-11-20T12:14"}, "scheduletime", ["only 14 minutes ahead", "15 minutes"]),
    ({"scheduletime": "2026-11-20 12:14:59"}, "scheduletime", ["only 14 minutes ahead"]),
    ({"scheduletime": "2027-02-20T12:00"}, "scheduletime", ["92 days ahead", "2 months"]),
    ({"scheduletime": "2027-01-20T12:01"}, "scheduletime", ["61 days ahead", "2 months"]),
    ({"scheduletime": "2026-11-31T12:00"}, "scheduletime", ["no time that exists"]),
    ({"scheduletime": "2026-11-20T25:00"}, "scheduletime", ["no time that exists"]),
    ({"scheduletime": "tomorrow"}, "scheduletime", ["tomorrow", "YYYY-MM-DD HH:MM:SS"]),
    ({"scheduletime": "1795156200000"}, "scheduletime", ["milliseconds"]),
    ({"scheduletime": "9" * 11}, "scheduletime", ["99999999999", "ahead"]),
    ({"numbers": ""}, "numbers", ["at least one"]),
    ({"numbers": " \n\t "}, "numbers", ["at least one"]),
    ({"numbers": None}, "numbers", ["at least one"]),
    ({"numbers": "12\n" * 10_001}, "numbers", ["10,001 numbers", "at most 10,000"]),
    ({"who": "groups"}, "groups", ["at least one"]),
    ({"who": "groups", "groups": ["999999"]}, "groups", ["999999"]),
    ({"who": "groups", "groups": ["abc"]}, "groups", ["abc"]),
    ({"who": "groups", "groups": ["9" * 30]}, "groups", ["999"]),
    ({"who": "groups", "groups": ["-1"]}, "groups", ["-1"]),
    ({"who": "everybody"}, "who", ["everybody"]),
    ({"who": None}, "who", ["required"]),
    ({"who": "again"}, "who", ["again"]),
    ({"who": "again", "again_group": "999999"}, "who", ["again"]),
    ({"heard": "song"}, "heard", ["song"]),
    ({"heard": None}, "heard", ["required"]),
    ({"sound": ""}, "sound", ["Choose the sound"]),
    ({"sound": "999999"}, "sound", ["The sound was deleted meanwhile"]),
    ({"sound": "abc"}, "sound", ["The sound was deleted meanwhile"]),
    ({"sound": "9" * 30}, "sound", ["The sound was deleted meanwhile"]),
    ({"heard": "ivr"}, "ivr", ["Choose the IVR"]),
    ({"heard": "ivr", "ivr": "999999"}, "ivr", ["The IVR was deleted meanwhile"]),
    ({"waits": "nobody"}, "waits", ["nobody"]),
    ({"again_group": "abc"}, "again_group", ["whole number"]),
]  # fmt: skip


def shortened(case: object) -> str | None:
    return (
        None if not isinstance(case, dict) else "-".join(f"{name}={str(value)[:20]!a}" for name, value in case.items())
    )


@pytest.mark.parametrize(("changes", "field", "words"), WRONG, ids=shortened)
def test_wrong(operator: User, changes: Typed, field: str, words: list[str]) -> None:
    form = check(operator, **changes)
    assert set(form.errors) == {field}, said(form)
    assert all(word in said(form)[field] for word in words), said(form)[field]
    assert len(said(form)[field]) < 700


@pytest.mark.parametrize(
    "name",
    [
        "numbers", "message", "campaign", "retries", "scheduletime", "delay", "custom", "meta", "callback",
        "again_statuses", "again_digits", "again_group", "who", "heard", "sound", "ivr", "waits", "groups",
    ],
)  # fmt: skip
def test_null_bytes(operator: User, name: str) -> None:
    who = "groups" if name == "groups" else "numbers"
    heard = name if name in ("ivr", "message") else "sound"
    form = check(operator, **{"who": who, "heard": heard, name: "a\x00b"})
    assert name in form.errors


def test_what_was_wrong_is_said_in_one_go(operator: User) -> None:
    form = check(operator, numbers="", retries="9", delay="x", callback="ftp://x", meta="{", custom="?", sound="")
    assert set(form.errors) == {"numbers", "retries", "delay", "callback", "meta", "custom", "sound"}


@pytest.mark.parametrize("text", ["1" * 1_000_001, "x" * 1_000_001, f"{number(1)}\n" * 20_000])
def test_huge_text_is_refused_unread(operator: User, text: str) -> None:
    form = check(operator, numbers=text)
    assert set(form.errors) == {"numbers"}
    assert "at most 10,000 numbers" in said(form)["numbers"]
    assert f"{len(text.strip()):,} characters" in said(form)["numbers"]


@pytest.mark.parametrize("digit", ["²", "\uff11", "٣", "-1", "1.0", "9" * 30])
def test_odd_digits_for_a_call_group(operator: User, digit: str) -> None:
    assert check(operator, again_group=digit).parent is None


# --- Times --------------------------------------------------------------------------------------------------------


def test_a_time_that_daylight_saving_skips(operator: User, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.TIME_ZONE = "Europe/London"
    monkeypatch.setattr(timezone, "now", lambda: datetime(2027, 3, 20, 12, tzinfo=UTC))
    form = check(operator, scheduletime="2027-03-28T01:30")
    assert "does not exist in Europe/London" in said(form)["scheduletime"]
    assert "2027-03-28T01:30" in said(form)["scheduletime"]
    for text, hour in [("2027-03-28T00:59", 0), ("2027-03-28T02:00", 1)]:
        at = check(operator, scheduletime=text).options.schedule_time
        assert at
        assert at.hour == hour


def test_a_time_that_comes_twice_is_the_first(
    operator: User, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.TIME_ZONE = "Europe/London"
    monkeypatch.setattr(timezone, "now", lambda: datetime(2026, 10, 20, 12, tzinfo=UTC))
    assert check(operator, scheduletime="2026-10-25T01:30").options.schedule_time == datetime(
        2026, 10, 25, 0, 30, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("waits", "minutes", "word"),
    [
        ("portal", 14, ""),
        ("portal", 44, ""),
        ("portal", 45, "has passed"),
        ("carrier", 29, ""),
        ("carrier", 31, "15 minutes ahead"),
        ("carrier", 45, "has passed"),
    ],
)
def test_a_time_that_came_near_while_the_preflight_was_read(
    operator: User, monkeypatch: pytest.MonkeyPatch, waits: str, minutes: int, word: str
) -> None:
    """What was in time when it was typed may wait in the portal; a carrier would refuse it."""
    typed = filled(scheduletime="2026-11-20T12:45", waits=waits)
    monkeypatch.setattr(timezone, "now", lambda: NOON + timedelta(minutes=minutes))
    form = StartForm(typed, user=operator, now=NOON)
    assert form.is_valid() is not bool(word)
    assert word in said(form).get("scheduletime", "")


# --- Numbers that can't be called are no error: the preflight lists them -------------------------------------------


@pytest.mark.parametrize(
    ("text", "called", "reason"),
    [
        ("8123456789", "+918123456789", ""),
        ("08123456789", "+918123456789", ""),
        ("+91 81234-56789", "+918123456789", ""),
        ("\uff18\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19", "+918123456789", ""),
        ("८१२३४५६७८९", "+918123456789", ""),
        ("+1 202 555 0123", "+12025550123", ""),
        ("0044 20 7946 0001", "+442079460001", ""),
        ("8123four5678", "", "has letters"),
        ("812", "", "too short: 3 digits"),
        ("8" * 20, "", "too long: 20 digits"),
        ("112", "", "emergency"),
        ("+999 1234567", "", "country code"),
        ("020 7946 0001 ext 5", "", "extension"),
        ("8.12346E+09", "", "rounded"),
    ],
)
def test_numbers(operator: User, text: str, called: str, reason: str) -> None:
    form = check(operator, numbers=text)
    assert said(form) == {}
    request = CallRequest.objects.create(owner=operator, typed=form.typed(), options=form.options.as_json())
    make_plan(request)
    (planned,) = request.planned.all()
    if called:
        assert (planned.number, planned.outcome) == (called, "callable")
    else:
        assert planned.outcome == "invalid"
        assert reason in planned.reason


# --- Calling again ------------------------------------------------------------------------------------------------


@pytest.fixture
def parent(operator: User) -> int:
    group = make_call_group(operator, 3)
    Call.objects.update(status=Status.BUSY)
    return group.pk


@pytest.mark.parametrize(
    ("statuses", "digits", "again"),
    [
        ("", "", ((), "")),
        ("BUSY", "", (("BUSY",), "")),
        ("BUSY,NOANSWER", "+44 20", (("BUSY", "NOANSWER"), "4420")),
        ("COMPLETED,BUSY,HELD", "", (("BUSY",), "")),
    ],
)
def test_again(operator: User, parent: int, statuses: str, digits: str, again: tuple[tuple[str, ...], str]) -> None:
    form = check(operator, who="again", again_group=parent, again_statuses=statuses, again_digits=digits, numbers="")
    assert said(form) == {}
    assert form.options.again == Again(parent, *again)


@pytest.mark.parametrize("statuses", ["COMPLETED", "DND", "CANCELLED", "UNCONFIRMED,QUEUED", "nonsense", "busy"])
def test_statuses_that_are_never_called_again_are_no_filter_for_all(operator: User, parent: int, statuses: str) -> None:
    """A filter for people who answered must not become one for everybody who did not."""
    form = check(operator, who="again", again_group=parent, again_statuses=statuses)
    assert set(form.errors) == {"who"}
    assert statuses.split(",", maxsplit=1)[0] in said(form)["who"]


def test_again_with_references(operator: User, parent: int) -> None:
    assert check(operator, who="again", again_group=parent, custom="one").options.custom == "one"
    assert "2 references" in said(check(operator, who="again", again_group=parent, custom="a,b"))["custom"]


def test_calls_that_somebody_may_not_see_can_not_be_made_again(parent: int) -> None:
    stranger = make_user(sees_all_calls=False)
    form = check(stranger, who="again", again_group=parent)
    assert form.parent is None
    assert set(form.errors) == {"who"}


# --- What a profile does not enable does not exist ----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["groups", "sound", "ivr"])
def test_what_is_hidden_answers_as_if_it_did_not_exist(kind: str) -> None:
    hidden: Any = {"groups": make_group, "sound": make_sound, "ivr": make_ivr}[kind](name="Hidden away")  # type: ignore[operator]
    user = make_user(uses_all_contact_groups=False, uses_all_sounds=False, uses_all_ivrs=False)

    def ask(pk: object) -> str:
        choice: Any = [pk] if kind == "groups" else pk
        changes = {"who": "groups"} if kind == "groups" else {"heard": kind}
        form = check(user, **changes | {kind: choice, "heard": "ivr" if kind == "ivr" else "sound"})
        return said(form)[kind].replace(str(pk), "N")

    there = ask(hidden.pk)
    assert "Hidden" not in there
    type(hidden).objects.all().delete()
    assert ask(hidden.pk) == there


def test_chosen_ones_can_be_used() -> None:
    sound, other = make_sound(), make_sound()
    group, ivr = make_group(numbers=1), make_ivr()
    user = make_user(
        uses_all_sounds=False, sounds=[sound], uses_all_contact_groups=False, contact_groups=[group],
        uses_all_ivrs=False, ivrs=[ivr],
    )  # fmt: skip
    assert said(check(user, sound=sound.pk, who="groups", groups=[group.pk])) == {}
    assert said(check(user, heard="ivr", ivr=ivr.pk)) == {}
    assert "sound" in check(user, sound=other.pk).errors


def test_one_hidden_group_among_others_is_refused() -> None:
    mine, hidden = make_group(numbers=1), make_group(numbers=1)
    user = make_user(uses_all_contact_groups=False, contact_groups=[mine])
    assert "groups" in check(user, who="groups", groups=[mine.pk, hidden.pk]).errors


def test_a_group_that_the_carrier_holds_is_called_alone(operator: User) -> None:
    ours, theirs = make_group(numbers=1), make_group("Their list", carrier_group="vip")
    form = check(operator, who="groups", groups=[ours.pk, theirs.pk])
    assert "Their list" in said(form)["groups"]
    assert "2 references" in said(check(operator, who="groups", groups=[ours.pk], custom="a,b"))["custom"]


# --- The page -----------------------------------------------------------------------------------------------------

UNUSUAL: Typed = {
    "who": "groups", "numbers": "Asha: 12 <b>\n& 13", "heard": "message", "message": "नमस्ते <i>",
    "campaign": "Autumn “& co”", "retries": "2", "scheduletime": "2020-01-01T10:00", "delay": "901", "waits": "carrier",
    "newgroup": None, "custom": "a b,c", "meta": '{"a": <1>', "callback": "javascript:x&y",
}  # fmt: skip


def shown_fields(page: str) -> dict[str, list[str]]:
    """What the fields of a page hold, as a browser would send it again."""
    found: dict[str, list[str]] = {}

    class Reader(HTMLParser):
        area = select = ""

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            has = dict(attrs)
            name = has.get("name") or ""
            if tag == "textarea":
                self.area, found[name] = name, [""]
            elif tag == "select":
                self.select = name
            elif tag == "option" and "selected" in has:
                found.setdefault(self.select, []).append(has.get("value") or "")
            elif tag == "input" and (has.get("type") not in ("radio", "checkbox") or "checked" in has):
                found.setdefault(name, []).append(has.get("value") or "")

        def handle_endtag(self, tag: str) -> None:
            if tag == "textarea":
                self.area = ""

        def handle_data(self, data: str) -> None:
            if self.area:
                found[self.area][0] += data

    Reader(convert_charrefs=True).feed(page)
    return {name: [value.removeprefix("\n") for value in values] for name, values in found.items()}


def test_everything_typed_is_still_there_after_an_error(operator: User) -> None:
    groups, sound, ivr = [make_group(numbers=1), make_group(numbers=1)], make_sound(), make_ivr()
    typed = filled(**UNUSUAL, groups=[group.pk for group in groups], sound=sound.pk, ivr=ivr.pk)
    page = client_for(operator).post("/start/", typed)
    assert page.status_code in (200, 422)
    assert not CallRequest.objects.exists()
    shown = shown_fields(page.content.decode())
    for name, value in typed.items():
        values = [str(each) for each in value] if isinstance(value, list) else [str(value)]
        assert sorted(shown.get(name, [""])) == sorted(values), name
    assert "newgroup" not in shown
    for field in ("message", "scheduletime", "delay", "custom", "meta", "callback"):
        assert page.context["form"].errors[field]
    assert "open" in page.content.decode().split('id="more-options"')[1][:6], "Folded away, errors would not be seen."


def test_null_bytes_survive_as_an_error_not_as_a_crash(operator: User) -> None:
    for name in ("numbers", "campaign", "meta", "message"):
        page = client_for(operator).post("/start/", filled(**{name: "a\x00b", "heard": "message"}))
        assert page.status_code in (200, 422)
        assert page.context["form"].errors[name]


def test_five_mebibytes_of_text(operator: User) -> None:
    typed = filled(numbers="8123456789,\n" * 400_000)
    page = client_for(operator).post("/start/", typed)
    assert page.status_code in (200, 422)
    assert "10,000" in str(page.context["form"].errors["numbers"])


def test_broken_encoding_is_no_crash(operator: User) -> None:
    body = b"who=numbers&numbers=%ff%fe&heard=message&message=%c3%28&campaign=%ed%a0%80&retries=0"
    page = client_for(operator).post("/start/", body, content_type="application/x-www-form-urlencoded")
    assert page.status_code in (200, 422)
    assert "message" in page.context["form"].errors


def test_what_was_typed_can_be_kept_and_checked_again(operator: User) -> None:
    group = make_group(numbers=2)
    form = check(
        operator, who="groups", groups=[group.pk], heard="message", message="Hello.", newgroup=None, retries="1",
        campaign="Autumn", meta='{"a": 1}',
    )  # fmt: skip
    kept = json.loads(json.dumps(form.typed()))
    again = StartForm(kept, user=operator)
    assert again.is_valid()
    assert again.options == form.options


def test_what_was_typed_keeps_nothing_else(operator: User) -> None:
    form = StartForm(QueryDict("csrfmiddlewaretoken=secret&who=numbers&evil=1"), user=operator)
    assert form.typed() == {"who": "numbers"}


def test_more_rows_than_are_listed_can_still_be_chosen(operator: User) -> None:
    Sound.objects.bulk_create(Sound(number=1_000 + n, name="x") for n in range(LISTED + 5))
    ContactGroup.objects.bulk_create(ContactGroup(name=f"G{n:04}") for n in range(LISTED + 5))
    sound, group = Sound.objects.order_by("number").last(), ContactGroup.objects.order_by("name").last()
    assert sound
    assert group
    form = check(operator, sound=sound.pk, who="groups", groups=[group.pk])
    assert said(form) == {}
    choices: Any = form.fields["sound"].widget
    assert len(list(choices.choices)) == LISTED + 2
    assert sound.pk in dict(choices.choices)
    for name in ("sound", "groups"):
        assert f"The first {LISTED} are listed here." in form.fields[name].help_text
    assert not form.fields["ivr"].help_text
