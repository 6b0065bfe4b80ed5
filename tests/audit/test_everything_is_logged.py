"""Every change that a person or a key makes is in the audit log: who, from where, before and after (DESIGN.md, rule 9).

A URL that takes POST and is in none of the tables below fails the test.
"""

from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
from axes.models import AccessAttempt
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from calls import tasks
from calls.models import (
    APIKey,
    CallGroup,
    CallRequest,
    Combining,
    ContactGroup,
    GroupChange,
    Import,
    Suppression,
    SuppressionList,
    User,
)
from tests.api.asking import ENDPOINT, Program
from tests.audit.rows import ADDRESS, browser_of, entries, forget, said
from tests.contacts.importing.helpers import csv_bytes, imported
from tests.factories import (
    PASSWORD,
    make_call_group,
    make_group,
    make_ivr,
    make_request,
    make_sound,
    make_user,
    number,
)
from tests.start.filled import filled
from tests.test_access import TABLE
from tests.watching.rows import group_of

pytestmark = pytest.mark.django_db

UNLOGGED = {
    "start": "fills in a form: nothing is called yet",
    "preflight_cancel": "drops what was filled in",
    "contact_group_combine_form": "fills in a form: nothing is combined yet",
    "group_change_cancel": "drops what was filled in",
    "export_cancel": "drops what was asked for",
    "contact_group_import": "uploads: nothing is imported yet",
    "suppression_list_import": "uploads: nothing is imported yet",
    "import": "reads the first rows again",
    "import_cancel": "drops what was uploaded",
    "calling_rules": "tries a number; changes nothing",
    "evidence": "looks up what was checked",
    "carrier_check": "asks the carrier; changes nothing",
    "api": "tested below, by method",
    **dict.fromkeys(
        ("calls", "call_group", "contact_group", "suppression", "suppression_list", "audit_log"),
        "searches; changes nothing",
    ),
}


@pytest.fixture
def boss() -> User:
    return make_user("admin", "boss")


@pytest.fixture
def web(boss: User) -> Client:
    return browser_of(boss)


def logged() -> list[str]:
    """What the log says, after checking that somebody did it at ADDRESS."""
    found = entries()
    assert {entry.address for entry in found} <= {ADDRESS}
    return [said(entry) for entry in found]


# --- Contact groups and contacts -----------------------------------------------------------------------------------


def contact_group_new(web: Client, boss: User) -> Iterator[str]:
    web.post("/contact-groups/new/", {"name": "Friends", "pasted": number(1)})
    yield "boss created contact group Friends | name:  -> Friends; created by:  -> boss"


def contact_group_edit(web: Client, boss: User) -> Iterator[str]:
    group = made(lambda: make_group("Friends"))
    web.post(f"/contact-groups/{group.pk}/edit/", {"name": "Customers"})
    yield "boss changed contact group Customers | name: Friends -> Customers"


def contact_group_delete(web: Client, boss: User) -> Iterator[str]:
    group = made(lambda: make_group("Friends", 2))
    web.post(f"/contact-groups/{group.pk}/delete/")
    yield "boss changed contact group Friends | contacts:  -> 2 deleted with the group"
    yield "boss deleted contact group Friends | name: Friends -> ; created at: "


def _confirmed(web: Client, url: str, existing: str = "skip", **typed: str) -> Import:
    """An import that is done."""
    web.post(url, typed)
    asked = Import.objects.latest("created_at")
    form = web.get(f"/imports/{asked.pk}/").context["form"]
    web.post(f"/imports/{asked.pk}/confirm/", {each.name: each.value() or "" for each in form} | {"existing": existing})
    return asked


def import_confirm(web: Client, boss: User) -> Iterator[str]:
    group = made(lambda: make_group("Friends", [number(1)]))
    _confirmed(web, f"/contact-groups/{group.pk}/import/", "replace", pasted=f"{number(2)} {number(3)}")
    yield "boss changed contact group Friends | contacts:  -> 2 added, 1 removed by the import of pasted text"


def import_undo(web: Client, boss: User) -> Iterator[str]:
    register = made(lambda: SuppressionList.objects.create(name="Register"))
    asked = _confirmed(web, f"/suppression/{register.pk}/import/", pasted=number(2), reason="Asked")
    yield "boss changed suppression list Register | numbers:  -> 1 added by the import of pasted text"
    web.post(f"/imports/{asked.pk}/undo/")
    at = f"{timezone.localtime(asked.created_at):%Y-%m-%d %H:%M}"
    yield f"boss changed suppression list Register | numbers:  -> Import of pasted text of {at} undone"


def contact_new(web: Client, boss: User) -> Iterator[str]:
    group = made(lambda: make_group("Friends"))
    web.post(f"/contact-groups/{group.pk}/contacts/new/", {"number": number(1), "name": "Asha"})
    yield f"boss added contact Asha {number(1)} | group:  -> Friends; number:  -> {number(1)}; name:  -> Asha"


def contact_edit(web: Client, boss: User) -> Iterator[str]:
    group = made(lambda: make_group("Friends", 1))
    web.post(f"/contact-groups/{group.pk}/contacts/{group.contacts.get().pk}/", {"number": number(0), "name": "Asha"})
    yield f"boss changed contact Asha {number(0)} | name:  -> Asha"


def contact_delete(web: Client, boss: User) -> Iterator[str]:
    group = made(lambda: make_group("Friends", 1))
    web.post(f"/contact-groups/{group.pk}/contacts/{group.contacts.get().pk}/delete/")
    yield f"boss deleted contact {number(0)} | group: Friends -> ; number: {number(0)} -> ; created at: "


def group_change_confirm(web: Client, boss: User) -> Iterator[str]:
    group = made(lambda: make_group("Friends", 2))
    answer = web.post(f"/contact-groups/{group.pk}/combine/copy/", {"source": group.pk, "name": "More friends"})
    assert answer.status_code == 302, answer.context["form"].errors
    change = GroupChange.objects.get(kind=Combining.COPY)
    web.post(f"/contact-groups/changes/{change.pk}/confirm/")
    yield "boss created contact group More friends | name:  -> More friends; created by:  -> boss"
    yield f"boss changed contact group More friends | contacts:  -> 2 copied from “Friends” ({group.pk})"


def export_new(web: Client, boss: User) -> Iterator[str]:
    group = made(lambda: make_group("Friends", 2))
    b"".join(web.post("/exports/new/", {"kind": "contacts", "of": group.pk, "format": "csv"}))
    yield "boss exported the table Contacts of Friends | exported:  -> 2 rows as CSV"


# --- Suppression lists ---------------------------------------------------------------------------------------------


def suppression_list_new(web: Client, boss: User) -> Iterator[str]:
    web.post("/suppression/new/", {"name": "Register", "category": "register", "scrubbed_on": "2026-11-01"})
    yield (
        "boss created suppression list Register | name:  -> Register; "
        "category:  -> Register of preferences (DND, NCPR, DNC); scrub date:  -> 2026-11-01; "
        "only for promotional calls:  -> no; created by:  -> boss"
    )


def suppression_list_edit(web: Client, boss: User) -> Iterator[str]:
    register = made(lambda: SuppressionList.objects.create(name="Register"))
    typed = {"name": "Register", "category": "other", "ends_on": "2030-01-31", "promotional_only": "on"}
    web.post(f"/suppression/{register.pk}/edit/", typed)
    yield (
        "boss changed suppression list Register | applies until:  -> 2030-01-31; only for promotional calls: no -> yes"
    )


def suppression_list_delete(web: Client, boss: User) -> Iterator[str]:
    register = made(lambda: SuppressionList.objects.create(name="Register"))
    made(lambda: Suppression.objects.create(list=register, number=number(1), reason="Asked"))
    web.post(f"/suppression/{register.pk}/delete/")
    yield "boss changed suppression list Register | numbers:  -> 1 deleted with the list"
    yield (
        "boss deleted suppression list Register | name: Register -> ; category: Other -> ; "
        "only for promotional calls: no -> ; created at: "
    )


def suppression_remove(web: Client, boss: User) -> Iterator[str]:
    row = made(lambda: Suppression.objects.create(number=number(1), reason="Asked", source="Letter", added_by=boss))
    web.post(f"/suppression/{row.list_id}/{row.pk}/remove/")
    yield (
        f"boss removed suppressed number {number(1)} | list: Do not call -> ; number: {number(1)} -> ; "
        "reason: Asked -> ; source: Letter -> ; added by: boss -> ; added at: "
    )


# --- Calling rules -------------------------------------------------------------------------------------------------


def calling_rule(web: Client, boss: User) -> Iterator[str]:
    typed = {"hours": "10:00-20:00", "weekdays": ["0", "1"], "holidays": "on", "closed_days": "2026-12-24"}
    web.post("/calling-rules/service/", typed | {"daily_cap": "3"})
    days = "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday -> Monday, Tuesday"
    yield (
        f"boss changed calling rule Service calls | hours:  -> 10:00-20:00; days with calls: {days}; "
        "not on public holidays: no -> yes; further days without calls:  -> 2026-12-24; calls a day:  -> 3"
    )


# --- Sounds and IVRs -----------------------------------------------------------------------------------------------


def sound_new(web: Client, boss: User) -> Iterator[str]:
    web.post("/sounds/new/", {"name": "Hello", "number": "7"})
    yield "boss created sound 7.sound Hello | reference:  -> 7; name:  -> Hello; created by:  -> boss"


def sound_edit(web: Client, boss: User) -> Iterator[str]:
    made(lambda: make_sound(7, "Hello"))
    web.post("/sounds/7/edit/", {"name": "Welcome", "number": "7"})
    yield "boss changed sound 7.sound Welcome | name: Hello -> Welcome"


def sound_delete(web: Client, boss: User) -> Iterator[str]:
    made(lambda: make_sound(7, "Hello"))
    web.post("/sounds/7/delete/")
    yield "boss deleted sound 7.sound Hello | reference: 7 -> ; name: Hello -> ; created at: "


def ivr_new(web: Client, boss: User) -> Iterator[str]:
    web.post("/ivrs/new/", {"name": "Survey", "number": "9", "key_1": "Yes"})
    yield "boss created IVR 9.ivr Survey | reference:  -> 9; name:  -> Survey; created by:  -> boss; keys:  -> 1: Yes"


def ivr_edit(web: Client, boss: User) -> Iterator[str]:
    made(lambda: make_ivr(9, "Survey", keys={"1": "Yes"}))
    web.post("/ivrs/9/edit/", {"name": "Survey", "number": "9", "key_1": "Yes", "key_2": "No"})
    yield "boss changed IVR 9.ivr Survey | keys: 1: Yes -> 1: Yes, 2: No"


def ivr_delete(web: Client, boss: User) -> Iterator[str]:
    made(lambda: make_ivr(9, "Survey"))
    web.post("/ivrs/9/delete/")
    yield "boss deleted IVR 9.ivr Survey | reference: 9 -> ; name: Survey -> ; created at: "


PROFILE = {"uses_all_contact_groups": "True", "uses_all_sounds": "True", "uses_all_ivrs": "False"}


# --- Users and keys ------------------------------------------------------------------------------------------------


def user_new(web: Client, boss: User) -> Iterator[str]:
    web.post("/users/new/", {"username": "zed", "role": "viewer", "password_by": "generated", **PROFILE})
    yield (
        "boss created user zed | superuser:  -> no; username:  -> zed; may open Django's admin:  -> no; "
        "may sign in:  -> yes; may start calls:  -> no; sees calls that others started:  -> no; "
        "all contact groups:  -> yes; all sounds:  -> yes; all IVRs:  -> no"
    )
    yield "boss changed user zed | role:  -> added viewer"


def user(web: Client, boss: User) -> Iterator[str]:
    person = made(lambda: make_user("viewer", "zed"))
    web.post(f"/users/{person.pk}/", {"username": "zed", "role": "operator", "first_name": "Zoë", **PROFILE})
    yield (
        "boss changed user zed | first name:  -> Zoë; may start calls: yes -> no; "
        "sees calls that others started: yes -> no; all IVRs: yes -> no"
    )
    yield "boss changed user zed | role:  -> removed viewer"
    yield "boss changed user zed | role:  -> added operator"


def user_activate(web: Client, boss: User) -> Iterator[str]:
    person = made(lambda: make_user("viewer", "zed"))
    web.post(f"/users/{person.pk}/active/", {"active": "0"})
    yield "boss deactivated user zed | may sign in: yes -> no"


def user_password(web: Client, boss: User) -> Iterator[str]:
    person = made(lambda: make_user("viewer", "zed"))
    web.post(f"/users/{person.pk}/password/", {"password_by": "generated"})
    yield "boss set the password of user zed | password:  -> a new one was set"


def user_choices(web: Client, boss: User) -> Iterator[str]:
    person, sound, other = made(lambda: (make_user("viewer", "zed"), make_sound(7, "Hello"), make_sound(8, "Other")))
    for _ in range(2):  # the second time nothing changes
        web.post(f"/users/{person.pk}/sounds/", {"shown": [sound.pk, other.pk], "chosen": sound.pk})
    web.post(f"/users/{person.pk}/sounds/", {"shown": sound.pk})
    yield "boss changed user zed | chosen sounds:  -> added 7.sound Hello"
    yield "boss changed user zed | chosen sounds:  -> removed 7.sound Hello"


def password_change(web: Client, boss: User) -> Iterator[str]:
    new = "another good horse"
    web.post("/account/password/", {"old_password": PASSWORD, "new_password1": new, "new_password2": new})
    yield "boss set the password of user boss | password:  -> a new one was set"


def login(web: Client, boss: User) -> Iterator[str]:
    Client(REMOTE_ADDR=ADDRESS).post("/login/", {"username": "boss", "password": PASSWORD})
    yield "boss signed in user boss | "


def logout(web: Client, boss: User) -> Iterator[str]:
    web.post("/logout/")
    yield "boss signed out user boss | "


def api_key_new(web: Client, boss: User) -> Iterator[str]:
    web.post("/api-keys/new/", {"label": "shop", "user": "boss", "traffic": "service", "rate": "60"})
    row = APIKey.objects.get()
    yield (
        f"boss created API key {row} | user:  -> boss; label:  -> shop; begins with:  -> {row.prefix}; "
        "requests a minute:  -> 60; traffic type:  -> Service"
    )


def api_key_revoke(web: Client, boss: User) -> Iterator[str]:
    row, _ = made(lambda: APIKey.make(boss, "shop"))
    web.post(f"/api-keys/{row.pk}/revoke/")
    row.refresh_from_db()
    local = timezone.localtime(row.revoked_at)
    yield f"boss revoked API key {row} | revoked at:  -> {local.day} {local:%b %Y, %H:%M:%S} IST"


# --- Call groups ---------------------------------------------------------------------------------------------------


def preflight_confirm(web: Client, boss: User) -> Iterator[str]:
    typed = filled(campaign="Spring", heard="message", message="Hello")
    web.post("/start/", typed)
    forget()
    web.post(f"/start/{CallRequest.objects.get().pk}/confirm/", {"made_again": ""})
    group = CallGroup.objects.get()
    begins = f"boss started call group {group} | owner:  -> boss; carrier:  -> sandbox; "
    yield f"{begins}traffic type:  -> Promotional; campaign:  -> Spring; "


def call_group_pause(web: Client, boss: User) -> Iterator[str]:
    group = made(lambda: make_call_group(boss, campaign="Spring"))
    web.post(f"/call-groups/{group.pk}/pause/")
    yield f"boss paused call group {group.pk} Spring | state: Running -> Paused; decided by:  -> boss; decided at:  -> "


def call_group_resume(web: Client, boss: User) -> Iterator[str]:
    group = made(lambda: group_of(boss, {"HELD": 1}, state="paused"))
    web.post(f"/call-groups/{group.pk}/resume/")
    yield f"boss resumed call group {group} | state: Paused -> Running; decided by:  -> boss; decided at:  -> "


def call_group_cancel(web: Client, boss: User) -> Iterator[str]:
    group = made(lambda: make_call_group(boss))
    web.post(f"/call-groups/{group.pk}/cancel/")
    yield f"boss cancelled call group {group} | state: Running -> Cancelled; decided by:  -> boss; decided at:  -> "


def call_group_override(web: Client, boss: User) -> Iterator[str]:
    group = made(lambda: make_call_group(boss, campaign="Spring"))
    group.batches.update(kept_by="hours")
    web.post(f"/call-groups/{group.pk}/override/", {"reason": "A dam may break."})
    yield (
        f"boss overrode the calling rules of call group {group.pk} Spring | "
        "reason for the override:  -> A dam may break.; overridden by:  -> boss; overridden at:  -> "
    )


def call_group_placed(web: Client, boss: User) -> Iterator[str]:
    group = made(lambda: group_of(boss, {"UNCONFIRMED": 2}))
    web.post(f"/call-groups/{group.pk}/batches/{group.batches.get().pk}/placed/")
    yield f"boss settled unconfirmed calls of call group {group} | settled:  -> calls 1 to 2: placed"


def call_group_not_placed(web: Client, boss: User) -> Iterator[str]:
    group = made(lambda: group_of(boss, {"UNCONFIRMED": 2}))
    web.post(f"/call-groups/{group.pk}/batches/{group.batches.get().pk}/not-placed/")
    yield f"boss settled unconfirmed calls of call group {group} | settled:  -> calls 1 to 2: not placed"


def _failed_callback(boss: User) -> CallGroup:
    group = make_call_group(boss, 1, callback="https://receiver.example/{obdid}")
    group.calls.update(status="COMPLETED")
    group.callbacks.update(state="failed")
    return group


def callback_again(web: Client, boss: User) -> Iterator[str]:
    group = made(lambda: _failed_callback(boss))
    web.post(f"/callbacks/{group.callbacks.get().pk}/again/")
    yield (f"boss sent callbacks again of call group {group} | callbacks:  -> sent again of call {group.pk}-1: 1")


def callbacks_again(web: Client, boss: User) -> Iterator[str]:
    group = made(lambda: _failed_callback(boss))
    web.post(f"/call-groups/{group.pk}/callbacks/again/")
    which = "of all calls for which they failed"
    yield f"boss sent callbacks again of call group {group} | callbacks:  -> sent again {which}: 1"


Deed = Callable[[Client, User], Iterator[str]]

DEEDS: dict[str, Deed] = {
    deed.__name__: deed
    for deed in (
        contact_group_new, contact_group_edit, contact_group_delete, import_confirm, import_undo, contact_new,
        contact_edit, contact_delete, group_change_confirm, export_new, suppression_list_new, suppression_list_edit,
        suppression_list_delete, suppression_remove, sound_new, sound_edit,
        sound_delete, ivr_new, ivr_edit, ivr_delete, user_new, user, user_activate, user_password, user_choices,
        password_change, login, logout, calling_rule, api_key_new, api_key_revoke, preflight_confirm, call_group_pause,
        call_group_resume, call_group_cancel, call_group_override, call_group_placed, call_group_not_placed,
        callback_again, callbacks_again,
    )
}  # fmt: skip
"""By the name of its URL: does it, and says which lines the log then has (each from its beginning)."""


def made(make: Callable[[], Any]) -> Any:
    """Rows that were there before: the log says nothing of them."""
    rows = make()
    forget()
    return rows


@pytest.mark.parametrize("name", DEEDS)
def test_what_a_person_does_is_in_the_log(web: Client, boss: User, name: str) -> None:
    forget()
    wanted = list(DEEDS[name](web, boss))
    found = logged()
    assert len(found) == len(wanted), found
    for line, begins in zip(found, wanted, strict=True):
        # Whole lines, but where one ends with the time, or with all options of a call group.
        right = line.startswith(begins) if begins.endswith((" at:  -> ", " at: ", "; ")) else line == begins
        assert right, f"{line!r} is not {begins!r}"


def test_every_url_that_changes_something_is_tried() -> None:
    takes_post = {name for name in TABLE if any(post.split()[-1] != "405" for *_, post in TABLE[name])}
    assert takes_post - UNLOGGED.keys() == DEEDS.keys()


def test_no_password_and_no_hash_is_in_the_log(web: Client, boss: User) -> None:
    forget()
    new = "another good horse"
    web.post("/account/password/", {"old_password": PASSWORD, "new_password1": new, "new_password2": new})
    typed = {"password_by": "typed", "password1": new, "password2": new}
    web.post("/users/new/", {"username": "zed", "role": "viewer", **typed, **PROFILE})
    web.post("/api-keys/new/", {"label": "shop", "user": "boss", "traffic": "service", "rate": "60"})
    zed, key = User.objects.get(username="zed"), APIKey.objects.get()
    boss.refresh_from_db()
    everything = "\n".join(logged())
    assert "created user zed" in everything
    for secret in (new, PASSWORD, zed.password, boss.password, key.digest):
        assert secret not in everything


def test_a_password_set_on_the_machine_is_logged_as_nobodys(boss: User, monkeypatch: pytest.MonkeyPatch) -> None:
    forget()
    monkeypatch.setattr("getpass.getpass", lambda prompt: "another good horse")
    call_command("changepassword", "boss", stdout=StringIO())
    boss.refresh_from_db()
    assert boss.check_password("another good horse")
    assert [said(entry) for entry in entries()] == [
        "The portal set the password of user boss | password:  -> a new one was set"
    ]


@pytest.mark.parametrize("which", ["refused", "repeated"])
def test_downloads_of_rows_that_were_not_imported_are_logged(web: Client, boss: User, which: str) -> None:
    group = make_group("Friends")
    asked = imported(boss, group, csv_bytes([["Number"], [number(1)], [number(1)], ["12"]]), filename="list.csv")
    forget()
    page = f"/imports/{asked.pk}/{which}.csv"
    web.head(page)
    assert logged() == []
    web.get(page)
    (line,) = logged()
    assert line == (
        "boss downloaded rows not imported into contact group Friends | "
        f"downloaded:  -> {which} rows of the import of list.csv"
    )


class TestAKey:
    """What a program does is logged as done with its key, by the person whose key it is."""

    @pytest.fixture
    def program(self) -> Program:
        program = made(lambda: Program(make_user("operator", "asha")))
        program.client.defaults["REMOTE_ADDR"] = ADDRESS
        return program  # type: ignore[no-any-return]

    def test_starts_calls(self, program: Program) -> None:
        gid = program.call(campaign="Orders").reply.group_id
        (line,) = logged()
        assert line.startswith(f"asha ({program.row}) started call group {gid} Orders | owner:  -> asha; ")
        assert f"API key:  -> {program.row}" in line

    def test_starts_calls_to_contact_groups(self, program: Program) -> None:
        make_group("Friends", 2)
        forget()
        gid = program.call(group="Friends").reply.group_id
        started, linked = logged()
        assert started.startswith(f"asha ({program.row}) started call group {gid} | ")
        assert linked == f"asha ({program.row}) changed call group {gid} | contact groups:  -> added Friends"

    def test_adds_calls_to_a_similar_call_group(self, program: Program) -> None:
        gid = program.call(numbers=number(1), newgroup=0).reply.group_id
        forget()
        assert program.call(numbers=f"{number(2)},{number(3)}", newgroup=0).reply.group_id == gid
        assert logged() == [f"asha ({program.row}) changed call group {gid} | calls:  -> 2 added"]

    def test_is_not_named_where_it_changes_nothing(self, program: Program) -> None:
        assert program.call(numbers="12").http == 400
        program.client.get(ENDPOINT, {"method": "voice.status", "api_key": program.key, "id": "1-1"})
        assert logged() == []

    def test_is_not_named_for_what_its_user_does_next(self, program: Program) -> None:
        program.call()
        web = browser_of(program.user)
        group = made(lambda: make_group("Friends"))
        web.post(f"/contact-groups/{group.pk}/contacts/new/", {"number": number(1)})
        (entry,) = entries()
        assert (entry.person, entry.key, entry.key_url) == ("asha", "", "")


def test_a_large_start_is_logged_as_made_by_who_confirmed_it_and_where(
    web: Client, boss: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("calls.views.start.INLINE_LIMIT", 1)
    request = CallRequest.objects.get(pk=make_request(boss, f"{number(1)} {number(2)}", play="", message="Hi").pk)
    CallRequest.objects.filter(pk=request.pk).update(
        typed=filled(numbers=f"{number(1)} {number(2)}", heard="message", message="Hi")
    )
    forget()
    web.post(f"/start/{request.pk}/confirm/", {"made_again": ""})
    assert logged() == []
    job = waiting_start()
    tasks.start_request(**job)
    (line,) = logged()
    assert line.startswith("boss started call group ")
    assert entries()[0].address == ADDRESS


def waiting_start() -> dict[str, str]:
    """What the job that starts a call request is given."""
    job = ProcrastinateJob.objects.get(task_name="calls.tasks.start_request")
    return dict(job.args)


def test_what_a_worker_does_by_itself_is_the_portals() -> None:
    make_group("Friends")
    entry = entries()[-1]
    assert (entry.person, entry.person_url, entry.address) == ("The portal", "", "")


def test_ending_a_lock_by_hand_is_logged(web: Client) -> None:
    boss = User.objects.get(username="boss")
    boss.is_staff = True
    boss.save()
    attempt = AccessAttempt.objects.create(
        username="zed", ip_address="192.0.2.9", failures_since_start=5, get_data="", post_data=""
    )
    forget()
    web.post(f"/django-admin/axes/accessattempt/{attempt.pk}/delete/", {"post": "yes"})
    assert not AccessAttempt.objects.exists()
    (line,) = logged()
    assert line.startswith("boss ended lock after wrong passwords ")
    assert line.endswith("| lock:  -> ended by hand")


def test_users_who_are_gone_keep_their_entries() -> None:
    zed = make_user("admin", "zed", email="zed@example.com")
    forget()
    browser_of(zed).post("/contact-groups/new/", {"name": "Friends"})
    ContactGroup.objects.update(created_by=None)
    zed.delete()
    person = [entry.person for entry in entries() if entry.did == "created"]
    assert person == ["A deleted user (zed@example.com)"]
