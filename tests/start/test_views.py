"""Starting calls in the browser: who may, what the preflight says, and that a confirm starts what was seen, once."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob
from pytest_django import Settings

from calls import tasks
from calls.dialing import handover
from calls.models import (
    IVR,
    Call,
    CallGroup,
    CallRequest,
    Contact,
    ContactGroup,
    RequestState,
    Sound,
    Suppression,
    User,
)
from calls.obd.statuses import Status
from tests.factories import (
    client_for,
    make_call_group,
    make_group,
    make_ivr,
    make_request,
    make_sound,
    make_user,
    number,
)
from tests.start.filled import filled

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)
"""12:00 in Asia/Kolkata."""


@pytest.fixture
def operator() -> User:
    return make_user()


@pytest.fixture
def browser(operator: User) -> Client:
    return client_for(operator)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Makes it noon, or later."""

    def later(by: timedelta = timedelta(0)) -> None:
        monkeypatch.setattr(timezone, "now", lambda: NOON + by)

    later()
    return later


def text_of(response: Any) -> str:
    """What a page says, without its tags."""
    return " ".join(re.sub(r"<[^>]*>", " ", response.content.decode()).replace("&#x27;", "'").split())


def send(browser: Client, **changes: Any) -> CallRequest:
    """Fill the form in, which leads to the preflight; return the call request."""
    answer = browser.post("/start/", filled(**changes))
    assert answer.status_code == 302, answer.context["form"].errors
    request = CallRequest.objects.latest("created_at")
    assert answer.url == f"/start/{request.pk}/"  # type: ignore[attr-defined]
    return request


def state(request: CallRequest) -> str:
    return CallRequest.objects.get(pk=request.pk).state


def confirm(browser: Client, request: CallRequest, **fields: str) -> Any:
    return browser.post(f"/start/{request.pk}/confirm/", fields, follow=True)


def messages_of(response: Any) -> str:
    return " ".join(str(message) for message in response.context["messages"])


# --- Who may ------------------------------------------------------------------------------------------------------


def test_strangers_sign_in_first() -> None:
    assert Client().get("/start/").headers["Location"].startswith("/login/")


@pytest.mark.parametrize(
    ("role", "profile", "status"),
    [
        ("viewer", {}, 403),
        ("operator", {}, 200),
        ("operator", {"may_start_calls": False}, 403),
        ("admin", {}, 200),
        ("admin", {"may_start_calls": False}, 200),
    ],
)
def test_who_may_start_calls(role: str, profile: dict[str, Any], status: int) -> None:
    browser = client_for(make_user(role, **profile))
    assert browser.get("/start/").status_code == status
    answer = browser.post("/start/", filled())
    assert answer.status_code == (302 if status == 200 else 403)
    assert CallRequest.objects.exists() is (status == 200)


@pytest.mark.parametrize("path", ["", "callable/"])
@pytest.mark.parametrize("role", ["operator", "admin"])
def test_call_requests_are_their_makers_alone(operator: User, role: str, path: str) -> None:
    request = make_request(operator, number(1))
    other = client_for(make_user(role))
    assert other.get(f"/start/{request.pk}/{path}").status_code == 404
    assert client_for(operator).get(f"/start/{request.pk}/{path}").status_code == 200


@pytest.mark.parametrize("path", ["confirm", "cancel"])
def test_nobody_confirms_or_drops_what_others_asked_for(operator: User, path: str) -> None:
    request = make_request(operator, number(1))
    assert client_for(make_user("admin")).post(f"/start/{request.pk}/{path}/").status_code == 404
    assert state(request) == RequestState.PLANNED
    assert not CallGroup.objects.exists()


def test_what_others_typed_is_not_shown(operator: User, browser: Client) -> None:
    theirs = make_request(make_user(), number(1))
    assert browser.get(f"/start/?change={theirs.pk}").status_code == 404
    assert browser.get("/start/?change=nonsense").status_code == 404


@pytest.mark.parametrize("path", ["confirm/", "cancel/"])
def test_links_start_and_drop_nothing(operator: User, browser: Client, path: str) -> None:
    assert browser.get(f"/start/{make_request(operator, number(1)).pk}/{path}").status_code == 405


# --- What links fill in -------------------------------------------------------------------------------------------


def initial(browser: Client, query: str) -> dict[str, Any]:
    page = browser.get(f"/start/?{query}")
    assert page.status_code == 200
    found: dict[str, Any] = page.context["form"].initial
    return found


def test_a_link_names_what_is_called_and_heard(browser: Client) -> None:
    group, sound, ivr = make_group(numbers=1), make_sound(7), make_ivr(8)
    assert initial(browser, f"group={group.pk}&play=7.sound") == {
        "who": "groups", "groups": [group.pk], "heard": "sound", "sound": sound.pk,
    }  # fmt: skip
    assert initial(browser, "play=8.ivr") == {"heard": "ivr", "ivr": ivr.pk}


@pytest.mark.parametrize(
    "query", ["group=999", "group=abc", "group=²", "play=999.sound", "play=.sound", "play=7", "play=7.song", "again=",
              "group=" + "9" * 40]
)  # fmt: skip
def test_links_to_what_is_not_there_fill_in_nothing(browser: Client, query: str) -> None:
    make_sound(7)
    assert initial(browser, query) == {}


def test_links_to_what_a_profile_hides_fill_in_nothing() -> None:
    group, _, _ = make_group(numbers=1), make_sound(7), make_ivr(8)
    browser = client_for(make_user(uses_all_contact_groups=False, uses_all_sounds=False, uses_all_ivrs=False))
    assert initial(browser, f"group={group.pk}&play=7.sound") == initial(browser, "play=8.ivr") == {}
    assert "There is no contact group that you may use." in text_of(browser.get("/start/"))


def test_calls_are_made_again_with_what_they_were_made_with(operator: User, browser: Client) -> None:
    sound = make_sound(7)
    parent = make_call_group(operator, 2, play="7.sound", campaign="Autumn", retries=2)
    CallGroup.objects.filter(pk=parent.pk).update(traffic="service")
    page = browser.get(f"/start/?again={parent.pk}&status=BUSY,NOANSWER&digits=4420")
    assert page.context["form"].initial == {
        "who": "again", "again_group": parent.pk, "again_statuses": "BUSY,NOANSWER", "again_digits": "4420",
        "campaign": "Autumn", "traffic": "service", "retries": "2", "message": "", "heard": "sound", "sound": sound.pk,
    }  # fmt: skip
    assert f"Those not reached in call group {parent.pk}" in text_of(page)
    assert "narrowed to BUSY,NOANSWER" in text_of(page)


@pytest.mark.parametrize("query", ["again=999999", "again=999999&play=1.sound"])
def test_a_call_group_that_is_not_there_is_not_made_again(browser: Client, query: str) -> None:
    assert browser.get(f"/start/?{query}").status_code == 404


def test_calls_that_one_may_not_see_are_not_made_again(operator: User) -> None:
    parent = make_call_group(operator, 1)
    browser = client_for(make_user(sees_all_calls=False))
    assert browser.get(f"/start/?again={parent.pk}").status_code == 404


def test_not_reached_ones_are_called_again_as_a_new_group_that_names_its_parent(
    operator: User, browser: Client
) -> None:
    parent = make_call_group(operator, 3)
    for n, status in enumerate([Status.BUSY, Status.COMPLETED, Status.NOANSWER], 1):
        Call.objects.filter(call_group=parent, n=n).update(status=status)
    request = send(browser, who="again", again_group=parent.pk, again_statuses="BUSY", numbers="")
    assert request.parent == parent
    confirm(browser, request)
    child = CallGroup.objects.get(parent=parent)
    assert [call.number for call in child.calls.all()] == [number(0)]


# --- The preflight ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("clock")
def test_the_preflight_says_what_would_happen(browser: Client) -> None:
    Suppression.objects.create(number=number(3), reason="Asked us in March.")
    typed = f"Asha: {number(1)}\n{number(1)}\n12ab\n{number(3)}\n{number(2)}"
    request = send(
        browser, numbers=typed, heard="message", message="Hello & welcome.", campaign="Autumn", retries="1",
        traffic="service", scheduletime="2026-11-20T18:00", meta='{"a": 1}', callback="https://example.com/{obdid}",
        newgroup=None,
    )  # fmt: skip
    page = browser.get(f"/start/{request.pk}/")
    said = text_of(page)
    for words in ("Start 2 calls", "20 Nov 2026", "18:00", "Autumn", "Traffic type service", "“Hello &amp; welcome.”",
                  '{&quot;a&quot;: 1}',
                  "https://example.com/{obdid}", "today's with the same campaign"):  # fmt: skip
        assert words in said, words
    assert [(str(label), count) for label, count, _ in page.context["tiles"]] == [
        ("callable", 2), ("duplicate", 1), ("invalid", 1), ("suppressed", 1),
    ]  # fmt: skip
    assert "hx-get" not in page.content.decode(), "What is final does not ask again."


@pytest.mark.parametrize(
    ("outcome", "listed"),
    [
        ("callable", ["+44 20 7946 0001", "Asha", "+44 20 7946 0002"]),
        ("duplicate", ["+44 20 7946 0001", "once"]),
        ("invalid", ["12ab", "has letters"]),
        ("suppressed", ["+44 20 7946 0003", "Asked us in March."]),
    ],
)
def test_each_list_can_be_opened(browser: Client, outcome: str, listed: list[str]) -> None:
    Suppression.objects.create(number=number(3), reason="Asked us in March.")
    request = send(browser, numbers=f"Asha: {number(1)}\n{number(1)}\n12ab\n{number(3)}\n{number(2)}")
    assert f"/start/{request.pk}/{outcome}/" in browser.get(f"/start/{request.pk}/").content.decode()
    said = text_of(browser.get(f"/start/{request.pk}/{outcome}/"))
    assert all(words in said for words in listed), said


def test_lists_come_in_pages(browser: Client) -> None:
    request = send(browser, who="groups", groups=[make_group(numbers=120).pk])
    shown: list[str] = []
    url = f"/start/{request.pk}/callable/"
    for _ in range(3):
        page = browser.get(url)
        shown += [row.number for row in page.context["page"].rows]
        url = f"/start/{request.pk}/callable/?after={page.context['page'].next}"
    assert shown == [number(i) for i in range(120)]
    assert not page.context["page"].next


def test_lists_that_are_no_lists(browser: Client) -> None:
    request = send(browser)
    assert browser.get(f"/start/{request.pk}/everybody/").status_code == 404
    assert "No such numbers" in text_of(browser.get(f"/start/{request.pk}/invalid/"))


def test_a_number_that_is_markup_is_shown_as_it_was_typed(browser: Client) -> None:
    request = send(browser, numbers="<script>alert(1)</script>")
    page = browser.get(f"/start/{request.pk}/invalid/").content.decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_nobody_would_be_called(browser: Client) -> None:
    request = send(browser, numbers="12ab")
    page = browser.get(f"/start/{request.pk}/")
    assert "Nobody would be called" in text_of(page)
    assert f"/start/{request.pk}/confirm/" not in page.content.decode()
    assert messages_of(confirm(browser, request)) == "None of these numbers may be called."
    assert state(request) == RequestState.PLANNED


@pytest.mark.usefixtures("clock")
def test_warnings_are_shown(browser: Client, settings: Settings) -> None:
    settings.CALLING_HOURS = "13:00-14:00"
    request = send(browser)
    said = text_of(browser.get(f"/start/{request.pk}/"))
    assert "Outside calling hours: the call waits until" in said
    assert "The portal has no file of" in said


def test_a_group_that_the_carrier_holds(browser: Client) -> None:
    group = make_group("Their list", carrier_group="vip")
    request = send(browser, who="groups", groups=[group.pk])
    said = text_of(browser.get(f"/start/{request.pk}/"))
    assert "The carrier decides" in said
    assert "The carrier holds the contact group “vip”" in said
    assert "Start the carrier's group" in said
    confirm(browser, request)
    assert CallGroup.objects.get().carrier_group == "vip"


def test_calls_made_again_before_are_pointed_out(operator: User, browser: Client) -> None:
    parent = make_call_group(operator, 1)
    Call.objects.update(status=Status.BUSY)
    child = make_call_group(operator, 0, carrier_group="x")
    CallGroup.objects.filter(pk=child.pk).update(parent=parent)
    request = send(browser, who="again", again_group=parent.pk, numbers="")
    page = browser.get(f"/start/{request.pk}/")
    assert f"were made again before, as call group {child.pk}" in text_of(page)
    confirm(browser, request, made_again=str(child.pk))
    assert state(request) == RequestState.STARTED


def test_calls_made_again_by_a_colleague_just_now_are_not_made_again_unseen(operator: User, browser: Client) -> None:
    parent = make_call_group(operator, 1)
    Call.objects.update(status=Status.BUSY)
    request = send(browser, who="again", again_group=parent.pk, numbers="")
    page = browser.get(f"/start/{request.pk}/")
    assert "made again before" not in text_of(page)
    colleague = client_for(make_user())
    confirm(colleague, send(colleague, who="again", again_group=parent.pk, numbers=""))
    child = CallGroup.objects.get(parent=parent)

    answer = confirm(browser, request)
    assert "Nothing was started" in messages_of(answer)
    assert f"as call group {child.pk}" in text_of(answer)
    assert CallGroup.objects.filter(parent=parent).count() == 1
    # Who has seen it may decide.
    assert f'name="made_again" value="{child.pk}"' in answer.content.decode()
    confirm(browser, request, made_again=str(child.pk))
    assert CallGroup.objects.filter(parent=parent).count() == 2


@pytest.mark.usefixtures("in_a_worker")
def test_calls_that_a_worker_is_about_to_make_again_are_not_made_twice(operator: User, browser: Client) -> None:
    parent = make_call_group(operator, 4)
    Call.objects.update(status=Status.BUSY)
    colleague = client_for(make_user())
    ours, theirs = (send(each, who="again", again_group=parent.pk, numbers="") for each in (browser, colleague))
    for request in (ours, theirs):
        tasks.plan_request(str(request.pk))
    confirm(browser, ours)
    answer = confirm(colleague, theirs)
    assert "Somebody is making these calls again just now. Nothing was started" in messages_of(answer)
    assert (state(ours), state(theirs)) == (RequestState.STARTING, RequestState.PLANNED)

    # Both pressed in the same moment.
    CallRequest.objects.filter(pk=theirs.pk).update(state=RequestState.STARTING)
    for request in (ours, theirs):
        tasks.start_request(str(request.pk))
    (child,) = CallGroup.objects.filter(parent=parent)
    theirs.refresh_from_db()
    assert theirs.state == RequestState.FAILED
    assert f"made again meanwhile, as call group {child.pk}" in theirs.error


# --- Confirm ------------------------------------------------------------------------------------------------------


def test_a_confirm_starts_what_was_shown(operator: User, browser: Client) -> None:
    request = send(browser, numbers=f"{number(1)}\n{number(2)}\n12")
    answer = confirm(browser, request)
    group = CallGroup.objects.get()
    assert answer.redirect_chain[-1][0] == f"/call-groups/{group.pk}/"
    assert messages_of(answer) == f"Started as call group {group.pk}."
    assert [call.number for call in group.calls.order_by("n")] == [number(1), number(2)]
    assert group.owner == operator


def test_pressing_twice_and_going_back_start_nothing_twice(browser: Client) -> None:
    request = send(browser)
    confirm(browser, request)
    group = CallGroup.objects.get()
    again = confirm(browser, request)
    assert "Nothing was started twice" in messages_of(again)
    assert again.redirect_chain[-1][0] == f"/call-groups/{group.pk}/"
    assert browser.get(f"/start/{request.pk}/", follow=True).redirect_chain[-1][0] == f"/call-groups/{group.pk}/"
    assert (CallGroup.objects.count(), Call.objects.count()) == (1, 1)


def test_an_old_preflight_is_checked_once_more(browser: Client) -> None:
    request = send(browser)
    CallRequest.objects.update(created_at=timezone.now() - timedelta(minutes=61))
    answer = confirm(browser, request)
    assert "Check once more" in messages_of(answer)
    assert answer.redirect_chain[-1][0] == f"/start/?change={request.pk}"
    assert not CallGroup.objects.exists()


def test_what_was_started_can_not_be_dropped(browser: Client) -> None:
    request = send(browser)
    confirm(browser, request)
    answer = browser.post(f"/start/{request.pk}/cancel/", follow=True)
    assert answer.redirect_chain[-1][0] == f"/call-groups/{CallGroup.objects.get().pk}/"
    assert state(request) == RequestState.STARTED


def test_what_was_dropped_can_not_be_started(browser: Client) -> None:
    request = send(browser, campaign="Autumn")
    answer = browser.post(f"/start/{request.pk}/cancel/", follow=True)
    assert "Nothing was started." in messages_of(answer)
    assert answer.context["form"]["campaign"].value() == "Autumn"
    answer = confirm(browser, request)
    assert "Nothing was called" in text_of(answer)
    assert not CallGroup.objects.exists()
    assert state(request) == RequestState.CANCELLED


def test_a_number_suppressed_after_the_preflight_is_not_called(browser: Client) -> None:
    request = send(browser, numbers=f"{number(1)}\n{number(2)}")
    Suppression.objects.create(number=number(2), reason="Just wrote to us.")
    confirm(browser, request)
    assert [call.number for call in Call.objects.all()] == [number(1)]


def test_nobody_is_left_after_the_preflight(browser: Client) -> None:
    request = send(browser)
    Suppression.objects.create(number=number(1), reason="Just wrote to us.")
    answer = confirm(browser, request)
    assert "None of these numbers may be called." in messages_of(answer)
    assert "Nobody would be called" in text_of(answer)


# --- What changed between form and confirm -------------------------------------------------------------------------


def assert_not_started(answer: Any, field: str, campaign: str = "Autumn") -> None:
    """The form is shown again with all that was typed, saying what is wrong with it now."""
    assert answer.status_code < 500
    assert not CallGroup.objects.exists()
    assert "Nothing was started" in messages_of(answer)
    form = answer.context["form"]
    assert set(form.errors) == {field}
    assert form["campaign"].value() == campaign
    assert number(1) in form["numbers"].value()


def test_a_sound_deleted_meanwhile(browser: Client) -> None:
    sound = make_sound()
    request = send(browser, sound=sound.pk, campaign="Autumn")
    sound.delete()
    assert browser.get(f"/start/{request.pk}/").status_code == 200
    assert_not_started(confirm(browser, request), "sound")


def test_an_ivr_deleted_meanwhile(browser: Client) -> None:
    request = send(browser, heard="ivr", ivr=make_ivr().pk, campaign="Autumn")
    IVR.objects.all().delete()
    assert_not_started(confirm(browser, request), "ivr")


def test_a_contact_group_deleted_meanwhile(browser: Client) -> None:
    request = send(browser, who="groups", groups=[make_group(numbers=1).pk], campaign="Autumn")
    ContactGroup.objects.all().delete()
    assert_not_started(confirm(browser, request), "groups")


@pytest.mark.parametrize(
    ("profile", "field"),
    [({"uses_all_sounds": False}, "sound"), ({"uses_all_contact_groups": False}, "groups")],
)
def test_something_hidden_meanwhile(operator: User, browser: Client, profile: dict[str, Any], field: str) -> None:
    request = send(browser, who="groups", groups=[make_group(numbers=1).pk], campaign="Autumn")
    User.objects.filter(pk=operator.pk).update(**profile)
    assert_not_started(confirm(browser, request), field)


def test_the_permission_lost_meanwhile(operator: User, browser: Client) -> None:
    request = send(browser)
    User.objects.filter(pk=operator.pk).update(may_start_calls=False)
    page = browser.get(f"/start/{request.pk}/")
    assert "does not let you start calls any more" in text_of(page)
    assert f"/start/{request.pk}/confirm/" not in page.content.decode()
    assert confirm(browser, request).status_code == 403
    assert not CallGroup.objects.exists()
    # Given back, what was typed is still there.
    User.objects.filter(pk=operator.pk).update(may_start_calls=True)
    confirm(browser, request)
    assert CallGroup.objects.count() == 1


def test_the_role_lost_meanwhile(operator: User, browser: Client) -> None:
    request = send(browser)
    operator.groups.clear()
    assert confirm(browser, request).status_code == 403
    assert not CallGroup.objects.exists()


def test_somebody_deactivated_meanwhile(operator: User, browser: Client) -> None:
    request = send(browser)
    User.objects.filter(pk=operator.pk).update(is_active=False)
    assert confirm(browser, request).redirect_chain[-1][0].startswith("/login/")
    assert not CallGroup.objects.exists()


def test_a_schedule_that_passed_meanwhile(browser: Client, clock: Callable[[timedelta], None]) -> None:
    request = send(browser, scheduletime="2026-11-20T12:15", campaign="Autumn")
    CallRequest.objects.update(created_at=NOON)
    clock(timedelta(minutes=14))
    assert browser.get(f"/start/{request.pk}/").status_code == 200
    clock(timedelta(minutes=16))
    answer = confirm(browser, request)
    assert_not_started(answer, "scheduletime")
    assert "has passed" in text_of(answer)


def test_a_schedule_that_is_still_ahead_is_kept(browser: Client, clock: Callable[[timedelta], None]) -> None:
    """It was 15 minutes ahead when it was typed; reading the preflight took one."""
    request = send(browser, scheduletime="2026-11-20T12:15")
    CallRequest.objects.update(created_at=NOON)
    clock(timedelta(minutes=1))
    confirm(browser, request)
    group = CallGroup.objects.get()
    assert group.due_at == NOON + timedelta(minutes=15)
    assert handover.claim(group.pk, 0) is None


# --- Change -------------------------------------------------------------------------------------------------------


def test_change_keeps_all_that_was_typed(browser: Client) -> None:
    sound, groups = make_sound(), [make_group(numbers=1).pk, make_group(numbers=1).pk]
    typed = filled(
        sound=sound.pk, who="groups", groups=groups, numbers="", campaign="Autumn & co", retries="2", newgroup=None,
        delay="7", custom="ref", meta='{"a": 1}', callback="https://example.com/", message="Not chosen.",
    )  # fmt: skip
    browser.post("/start/", typed)
    request = CallRequest.objects.get()
    page = browser.get(f"/start/{request.pk}/").content.decode()
    assert f"/start/?change={request.pk}" in page
    form = browser.get(f"/start/?change={request.pk}").context["form"]
    for name, value in typed.items():
        shown = form[name].value()
        assert (sorted(map(str, shown)) if isinstance(shown, list) else str(shown or "")) == (
            sorted(map(str, value)) if isinstance(value, list) else str(value)
        ), name
    assert form["newgroup"].value() is False
    assert form.is_valid()


def test_changing_makes_another_request(browser: Client) -> None:
    first = send(browser, campaign="Autumn")
    second = send(browser, campaign="Winter")
    confirm(browser, second)
    assert [group.campaign for group in CallGroup.objects.all()] == ["Winter"]
    assert state(first) == RequestState.PLANNED


# --- In a worker --------------------------------------------------------------------------------------------------


@pytest.fixture
def in_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is large."""
    monkeypatch.setattr("calls.views.start.INLINE_LIMIT", 1)


def waiting(request: CallRequest) -> list[str]:
    """The jobs that wait for the request."""
    jobs = ProcrastinateJob.objects.filter(status="todo", args__request_id=str(request.pk))
    return [job.task_name for job in jobs]


def refresh(browser: Client, page: Any) -> Any:
    """What htmx gets when it asks for the page's fragment again."""
    found = re.search(r'hx-get="([^"]+)"', page.content.decode())
    assert found, "The fragment does not ask again."
    return browser.get(found[1].replace("&amp;", "&"), headers={"HX-Request": "true"})


@pytest.mark.usefixtures("in_a_worker")
def test_a_large_group_is_planned_in_a_worker_with_progress(browser: Client) -> None:
    request = send(browser, who="groups", groups=[make_group(numbers=4).pk])
    assert (request.state, request.expected, request.planned.count()) == (RequestState.PLANNING, 4, 0)
    assert waiting(request) == ["calls.tasks.plan_request"]
    page = browser.get(f"/start/{request.pk}/")
    assert "Looking at 0 of 4 numbers." in text_of(page)
    assert '<progress max="4" value="0"' in page.content.decode()
    assert "Start 4 calls" not in text_of(page)

    assert refresh(browser, page).status_code == 204, "Nothing changed."
    CallRequest.objects.update(seen=3)
    changed = refresh(browser, page)
    assert "Looking at 3 of 4 numbers." in text_of(changed)
    assert "<html" not in changed.content.decode()
    assert refresh(browser, changed).status_code == 204

    tasks.plan_request(str(request.pk))
    done = refresh(browser, changed)
    assert "Start 4 calls" in text_of(done)
    assert "hx-get" not in done.content.decode(), "What is final does not ask again."


@pytest.mark.usefixtures("in_a_worker")
def test_planning_can_not_be_confirmed_yet(browser: Client) -> None:
    request = send(browser, who="groups", groups=[make_group(numbers=4).pk])
    confirm(browser, request)
    assert state(request) == RequestState.PLANNING
    assert not CallGroup.objects.exists()


@pytest.mark.usefixtures("in_a_worker")
def test_planning_can_be_cancelled(browser: Client) -> None:
    group = make_group(numbers=4)
    request = send(browser, who="groups", groups=[group.pk])
    page = browser.get(f"/start/{request.pk}/")
    answer = browser.post(f"/start/{request.pk}/cancel/", follow=True)
    assert answer.context["form"]["groups"].value() == [str(group.pk)]
    tasks.plan_request(str(request.pk))
    assert state(request) == RequestState.CANCELLED
    assert "Nothing was called." in text_of(refresh(browser, page))


@pytest.mark.usefixtures("in_a_worker")
def test_a_large_group_is_started_in_a_worker(browser: Client) -> None:
    request = send(browser, who="groups", groups=[make_group(numbers=4).pk])
    tasks.plan_request(str(request.pk))
    ProcrastinateJob.objects.filter(status="todo").update(status="succeeded")
    page = confirm(browser, request)
    assert state(request) == RequestState.STARTING
    assert "Starting 4 calls." in text_of(page)
    assert not CallGroup.objects.exists()
    assert waiting(request) == ["calls.tasks.start_request"]

    # Pressing again, or dropping it, does nothing while it starts.
    assert "Nothing was started twice" in messages_of(confirm(browser, request))
    browser.post(f"/start/{request.pk}/cancel/")
    assert state(request) == RequestState.STARTING
    assert waiting(request) == ["calls.tasks.start_request"]
    assert refresh(browser, page).status_code in (200, 204)

    tasks.start_request(str(request.pk))
    group = CallGroup.objects.get()
    done = refresh(browser, page)
    assert done.headers["HX-Redirect"] == f"/call-groups/{group.pk}/"
    assert group.calls.count() == 4


@pytest.mark.usefixtures("in_a_worker")
def test_a_start_that_fails_in_a_worker_is_said(browser: Client) -> None:
    request = send(browser, who="groups", groups=[make_group(numbers=4).pk], campaign="Autumn")
    tasks.plan_request(str(request.pk))
    page = confirm(browser, request)
    Suppression.objects.bulk_create(
        Suppression(number=contact.number, reason="No.") for contact in Contact.objects.all()
    )
    tasks.start_request(str(request.pk))
    done = refresh(browser, page)
    assert "None of these numbers may be called." in text_of(done)
    assert f"/start/?change={request.pk}" in done.content.decode()
    assert browser.get(f"/start/?change={request.pk}").context["form"]["campaign"].value() == "Autumn"


@pytest.mark.usefixtures("in_a_worker")
def test_a_sound_deleted_before_the_worker_starts(browser: Client) -> None:
    request = send(browser, who="groups", groups=[make_group(numbers=4).pk])
    tasks.plan_request(str(request.pk))
    page = confirm(browser, request)
    Sound.objects.all().delete()
    tasks.start_request(str(request.pk))
    assert not CallGroup.objects.exists()
    assert "was deleted" in text_of(refresh(browser, page))


def test_typed_numbers_beyond_the_limit_are_planned_in_a_worker_too(
    browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calls.views.start.INLINE_LIMIT", 2)
    request = send(browser, numbers="\n".join(number(i) for i in range(3)))
    assert (request.state, request.expected) == (RequestState.PLANNING, 3)
    tasks.plan_request(str(request.pk))
    request.refresh_from_db()
    assert (request.state, request.callable) == (RequestState.PLANNED, 3)


def test_an_expired_session_leads_to_the_login_page(operator: User) -> None:
    request = make_request(operator, number(1))
    answer = Client().get(f"/start/{request.pk}/?v=1", headers={"HX-Request": "true"})
    assert answer.headers["HX-Redirect"].startswith("/login/")
