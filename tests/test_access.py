"""Every URL, for everybody: who gets what. A URL that is not in the table fails the test."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import quote

import pytest
from auditlog.models import LogEntry
from django.contrib import admin
from django.core.files.base import ContentFile
from django.db import transaction
from django.http import HttpResponseBase
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from calls.access import give_role
from calls.contacts.combine import Combination
from calls.contacts.importing import receive
from calls.demo import create as create_demo
from calls.dialing.plan import make_plan
from calls.dialing.request import Options
from calls.dialing.start import start
from calls.exports.work import asked_for
from calls.forms.start import StartForm
from calls.models import (
    IVR,
    APIKey,
    Batch,
    Call,
    Callback,
    CallGroup,
    CallRequest,
    Combining,
    Contact,
    ContactGroup,
    Export,
    ExportFormat,
    ExportState,
    GroupChange,
    ListRole,
    Sound,
    Suppression,
    SuppressionList,
    User,
)
from calls.models.dialing import BatchState
from tests.factories import client_for, make_user

HIDES_ALL: dict[str, Any] = {
    "uses_all_contact_groups": False,
    "uses_all_sounds": False,
    "uses_all_ivrs": False,
    "sees_all_calls": False,
}
PEOPLE = ("viewer", "operator", "hidden", "mute", "admin")
"""Columns of the table: a viewer; an operator whose profile enables all; one whose profile enables nothing and hides
the calls of others; one that may not start calls; an admin."""

EVERYBODY, NOBODY, NOT_SO = "200 200 200 200 200", "404 404 404 404 404", "405 405 405 405 405"
ROW = "200 200 404 200 200"
SEARCHED = "302 302 302 302 302"
"""To the list as it is searched; who may not see that is told there."""
ADMIN_SEES, ADMIN_DOES, ADMIN_ERRS = "403 403 403 403 200", "403 403 403 403 302", "403 403 403 403 200"
EDITOR_SEES, EDITOR_DOES = "403 200 404 200 200", "403 302 404 302 302"
IMPORTER, OTHERS_IMPORT = "404 200 404 200 200", "404 404 404 404 200"

TABLE: dict[str, list[tuple[str, str, str]]] = {
    # name: arguments, GET, POST without any field
    "dashboard": [("", EVERYBODY, NOT_SO)],
    "call_groups": [("", EVERYBODY, NOT_SO)],
    "call_group": [("group", ROW, SEARCHED)],
    "call_group_summary": [("group", "302 302 302 302 302", NOT_SO), ("group ?v=0", ROW, NOT_SO)],
    "call_group_calls": [("group", "302 302 302 302 302", NOT_SO), ("group ?v=0", ROW, NOT_SO)],
    "call": [("group 1", ROW, NOT_SO), ("group 99", NOBODY, NOT_SO)],
    "call_group_pause": [("group", "403 405 405 405 405", EDITOR_DOES)],
    "call_group_resume": [("group", "403 405 405 405 405", EDITOR_DOES)],
    "call_group_cancel": [("group", EDITOR_SEES, EDITOR_DOES)],
    "call_group_override": [("group", ADMIN_SEES, ADMIN_ERRS)],
    "call_group_placed": [("group batch", EDITOR_SEES, EDITOR_DOES)],
    "call_group_not_placed": [("group batch", EDITOR_SEES, EDITOR_DOES)],
    "call_group_dropped": [("group invalid", ROW, NOT_SO), ("group callable", NOBODY, NOT_SO)],
    "callbacks": [("", EVERYBODY, NOT_SO)],
    "callback_again": [("callback", "403 405 405 405 405", EDITOR_DOES)],
    "callbacks_again": [("group", "403 405 405 405 405", EDITOR_DOES)],
    "attention": [("", EVERYBODY, NOT_SO)],
    "carrier": [("", ADMIN_SEES, "403 403 403 403 405")],
    "carrier_check": [("", "403 403 403 403 405", ADMIN_DOES)],
    "carrier_callback": [("token", NOBODY, NOT_SO)],  # a forged token
    "calls": [("", EVERYBODY, SEARCHED)],
    "start": [("", "403 200 200 403 200", "403 200 200 403 200")],
    "preflight": [("own", EVERYBODY, NOT_SO), ("admins", "404 404 404 404 200", NOT_SO)],
    "preflight_confirm": [("own", NOT_SO, "403 302 302 403 302"), ("admins", NOT_SO, "404 404 404 404 302")],
    "preflight_cancel": [
        ("own", NOT_SO, "302 302 302 302 302"),
        ("admins", NOT_SO, "404 404 404 404 302"),
    ],
    "preflight_numbers": [
        ("own callable", EVERYBODY, NOT_SO),
        ("admins callable", "404 404 404 404 200", NOT_SO),
        ("own nonsense", NOBODY, NOT_SO),
    ],
    "contact_groups": [("", EVERYBODY, NOT_SO)],
    "contact_group_new": [("", ADMIN_SEES, ADMIN_SEES)],
    "contact_group": [("contacts", ROW, SEARCHED)],
    "contact_group_edit": [("contacts", ADMIN_SEES, ADMIN_SEES)],
    "contact_group_combine": [("contacts", EDITOR_SEES, "403 405 405 405 405")],
    "contact_group_combine_form": [
        ("contacts merge", EDITOR_SEES, EDITOR_SEES),
        ("contacts remove", EDITOR_SEES, EDITOR_SEES),
        ("contacts copy", "403 404 404 404 200", "403 404 404 404 200"),
        ("contacts nonsense", "403 404 404 404 404", "403 404 404 404 404"),
    ],
    "group_change": [
        ("own-change", "403 200 200 200 200", "403 405 405 405 405"),
        ("change", "403 404 404 404 200", "403 405 405 405 405"),
    ],
    "group_change_confirm": [
        ("own-change", "403 405 405 405 405", "403 302 302 302 302"),
        ("change", "403 405 405 405 405", "403 404 404 404 302"),
    ],
    "group_change_cancel": [
        ("own-change", "403 405 405 405 405", "403 302 302 302 302"),
        ("change", "403 405 405 405 405", "403 404 404 404 302"),
    ],
    "contact_group_delete": [("contacts", ADMIN_SEES, ADMIN_DOES)],
    "contact_group_import": [("contacts", EDITOR_SEES, EDITOR_SEES)],
    "contact_group_imports": [("contacts", EDITOR_SEES, NOT_SO)],
    "import": [("own-import", IMPORTER, IMPORTER), ("import", OTHERS_IMPORT, OTHERS_IMPORT)],
    "import_confirm": [("own-import", NOT_SO, IMPORTER), ("import", NOT_SO, OTHERS_IMPORT)],
    "import_cancel": [("own-import", NOT_SO, "404 302 404 302 302"), ("import", NOT_SO, "404 404 404 404 302")],
    "import_undo": [("own-import", "404 302 404 302 302", IMPORTER), ("import", "404 404 404 404 302", OTHERS_IMPORT)],
    "import_refused": [("own-import", IMPORTER, NOT_SO), ("import", OTHERS_IMPORT, NOT_SO)],
    "import_repeated": [("own-import", IMPORTER, NOT_SO), ("import", OTHERS_IMPORT, NOT_SO)],
    "contact_new": [("contacts", EDITOR_SEES, EDITOR_SEES)],
    "contact_edit": [("contacts contact", EDITOR_SEES, EDITOR_SEES)],
    "contact_delete": [("contacts contact", EDITOR_SEES, EDITOR_DOES)],
    "suppression": [("", EVERYBODY, SEARCHED)],
    "suppression_list": [("list", EVERYBODY, SEARCHED)],
    "suppression_list_new": [("", ADMIN_SEES, ADMIN_ERRS)],
    "suppression_list_edit": [("list", ADMIN_SEES, ADMIN_ERRS)],
    "suppression_list_delete": [("list", ADMIN_SEES, ADMIN_DOES), ("portals-list", ADMIN_SEES, ADMIN_ERRS)],
    "suppression_list_import": [
        ("list", "403 200 200 200 200", "403 200 200 200 200"),
        ("portals-list", "403 404 404 404 404", "403 404 404 404 404"),
    ],
    "suppression_list_imports": [("list", "403 200 200 200 200", NOT_SO)],
    "suppression_number": [("list suppressed", "302 302 302 302 302", NOT_SO)],
    "suppression_remove": [("list suppressed", ADMIN_SEES, ADMIN_DOES)],
    "calling_rules": [("", EVERYBODY, EVERYBODY)],
    "calling_rule": [
        ("promotional", ADMIN_SEES, ADMIN_ERRS),
        ("nonsense", "403 403 403 403 404", "403 403 403 403 404"),
    ],
    "sounds": [("", EVERYBODY, NOT_SO)],
    "sound_new": [("", ADMIN_SEES, ADMIN_ERRS)],
    "sound": [("sound", ROW, NOT_SO)],
    "sound_audio": [("sound", ROW, NOT_SO)],
    "sound_edit": [("sound", ADMIN_SEES, ADMIN_ERRS)],
    "sound_delete": [("sound", ADMIN_SEES, "403 403 403 403 409")],  # held calls would play it
    "ivrs": [("", EVERYBODY, NOT_SO)],
    "ivr_new": [("", ADMIN_SEES, ADMIN_ERRS)],
    "ivr": [("ivr", ROW, NOT_SO)],
    "ivr_edit": [("ivr", ADMIN_SEES, ADMIN_ERRS)],
    "ivr_delete": [("ivr", ADMIN_SEES, ADMIN_DOES)],
    "users": [("", ADMIN_SEES, NOT_SO)],
    "user_new": [("", ADMIN_SEES, ADMIN_ERRS)],
    "user": [("user", ADMIN_SEES, ADMIN_ERRS)],
    "user_activate": [("user", NOT_SO, ADMIN_DOES)],
    "user_password": [("user", ADMIN_SEES, ADMIN_ERRS)],
    "user_choices": [
        ("user sounds", ADMIN_SEES, ADMIN_DOES),
        ("user nonsense", "403 403 403 403 404", "403 403 403 403 404"),
    ],
    "login": [("", "302 302 302 302 302", "302 302 302 302 302")],
    "logout": [("", NOT_SO, "302 302 302 302 302")],
    "password_change": [("", EVERYBODY, EVERYBODY)],
    "password_change_done": [("", EVERYBODY, NOT_SO)],
    "healthz": [("", "503 503 503 503 503", NOT_SO)],  # no worker lives here
    "api": [("", "400 400 400 400 400", "400 400 400 400 400")],  # no method; a session is no key
    "openapi": [("", EVERYBODY, NOT_SO)],
    "api_docs": [("", EVERYBODY, NOT_SO)],
    "api_keys": [("", EVERYBODY, NOT_SO)],
    "audit_log": [("", ADMIN_SEES, ADMIN_DOES)],
    "evidence": [("", ADMIN_SEES, ADMIN_ERRS)],
    "exports": [("", EVERYBODY, NOT_SO)],
    "export_new": [("", NOT_SO, NOBODY)],  # of nothing
    "export_cancel": [
        ("own-export", NOT_SO, "302 302 302 302 302"),
        ("export", NOT_SO, NOBODY),
    ],
    "export_download": [("own-export", EVERYBODY, NOT_SO), ("export", NOBODY, NOT_SO)],
    "audit_entry": [("entry", ADMIN_SEES, "403 403 403 403 405")],
    "api_key_new": [("", "403 200 200 200 200", "403 200 200 200 200")],
    "api_key": [("key", "404 404 404 404 200", NOT_SO), ("own-key", EVERYBODY, NOT_SO)],
    "api_key_revoke": [
        ("key", "404 404 404 404 200", "404 404 404 404 302"),
        ("own-key", EVERYBODY, "302 302 302 302 302"),
    ],
}
OPEN = {
    "login": (200, 200),
    "healthz": (503, 405),
    "api": (400, 400),
    "openapi": (200, 405),
    "carrier_callback": (404, 405),
}
"""What needs no sign-in, and what it answers to anybody: to GET and to POST."""
OTHER_NAMES = {"django-admin/login/", "api/v1", "api/v1/index.php"}
"""Addresses without a name; the last two are the API's too."""


def patterns(resolver: URLResolver, namespace: str = "") -> Iterator[str]:
    """The names of all URLs, with their namespace."""
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLPattern):
            yield f"{namespace}{pattern.name or pattern.pattern}"
        else:
            yield from patterns(pattern, f"{pattern.namespace}:" if pattern.namespace else namespace)


NAMES = [name for name in patterns(get_resolver()) if not name.startswith("admin:")]


@dataclass
class World:
    """A row of each kind."""

    words: dict[str, Any]
    people: dict[str, User]

    def addresses(self, name: str, person: str) -> Iterator[tuple[str, str, str]]:
        """Address, and what each method answers to this person."""
        column = PEOPLE.index(person)
        for arguments, get, post in TABLE[name]:
            words, _, query = arguments.partition(" ?")
            named = [re.sub("^own", f"{person}'s", word) for word in words.split()]
            values = [self.words.get(word, word) for word in named]
            address = reverse(name, args=values) + (f"?{query}" if query else "")
            yield address, get.split()[column], post.split()[column]


def planned(owner: User) -> CallRequest:
    """A call request of this user's that could be confirmed."""
    typed = {"who": "numbers", "numbers": "+442079460990", "heard": "message", "message": "Hello", "retries": "0"}
    form = StartForm(typed, user=owner)
    assert form.is_valid(), form.errors
    request = CallRequest.objects.create(owner=owner, typed=typed, options=form.options.as_json())
    make_plan(request)
    return request


def combined(owner: User, group: ContactGroup) -> GroupChange:
    """A group change of this user's that could be confirmed."""
    what = Combination(Combining.REMOVE, (group.pk,), target=group.pk)
    counts = {"listed": 1, "removed": 1, "kept": 0}
    return GroupChange.objects.create(
        owner=owner, kind=what.kind, group=group, parameters=what.as_json(), typed={}, state="counted", counts=counts
    )


def exported(owner: User) -> Export:
    """An export of this user's that can be fetched."""
    export, _ = asked_for(owner, "calls", 0, "", ExportFormat.CSV)
    export.state, export.size = ExportState.DONE, len(b"calls")
    export.file.save(f"{export.pk}.csv", ContentFile(b"calls"), save=False)
    export.save()
    return export


def started(owner: User) -> CallGroup:
    """A call group with three held calls and an invalid number."""
    typed = {"numbers": "+442079460001 +442079460002, +442079460003, 12"}
    options = Options(play="1.sound", delay=900, callback="https://receiver.example/{obdid}").as_json()
    request = CallRequest.objects.create(owner=owner, typed=typed, options=options)
    make_plan(request)
    return start(request.pk)


@pytest.fixture
def world(db: None) -> World:
    create_demo()
    people = {
        "viewer": make_user("viewer"),
        "operator": make_user("operator"),
        "hidden": make_user("operator", **HIDES_ALL),
        "mute": make_user("operator", may_start_calls=False),
        "admin": make_user("admin"),
    }
    give_role(people["admin"], "admin")
    group = started(people["admin"])
    batch = Batch.objects.get(call_group=group)
    Batch.objects.filter(pk=batch.pk).update(state=BatchState.UNCONFIRMED)
    Call.objects.filter(call_group=group, n=3).update(status="BUSY")
    contacts = ContactGroup.objects.create(name="Customers")
    suppressions = SuppressionList.objects.create(name="Register")
    words = {
        "group": group.pk,
        "batch": batch.pk,
        "callback": Callback.objects.get().pk,
        "contacts": contacts.pk,
        "contact": Contact.objects.create(group=contacts, number="+442079460001").pk,
        "list": suppressions.pk,
        "portals-list": SuppressionList.objects.get(role=ListRole.OPT_OUT).pk,
        "suppressed": Suppression.objects.create(list=suppressions, number="+442079460002", reason="Asked").pk,
        "import": receive(people["admin"], contacts, pasted="+442079460001").pk,
        **{f"{name}'s-import": receive(user, contacts, pasted="+442079460001").pk for name, user in people.items()},
        "sound": Sound.objects.get().number,
        "ivr": IVR.objects.get().number,
        "user": make_user("viewer").pk,
        "entry": LogEntry.objects.latest("pk").pk,
        "admins": planned(people["admin"]).pk,
        "key": APIKey.make(make_user("operator"), "Of another user")[0].pk,
        **{f"{name}'s-key": APIKey.make(user, name)[0].pk for name, user in people.items()},
        "export": exported(make_user("operator")).pk,
        **{f"{name}'s-export": exported(user).pk for name, user in people.items()},
        "change": combined(people["admin"], contacts).pk,
        **{f"{name}'s-change": combined(user, contacts).pk for name, user in people.items()},
        **{f"{name}'s": planned(user).pk for name, user in people.items()},
    }
    return World(words, people)


def ask(client: Client, method: str, address: str, **headers: str) -> HttpResponseBase:
    """Make the request, and undo what it changed."""
    client.raise_request_exception = False
    cookies = SimpleCookie(client.cookies)
    with transaction.atomic():
        response: Any = client.get(address, headers=headers) if method == "GET" else client.post(address)
        if response.streaming:
            b"".join(response.streaming_content)
        transaction.set_rollback(True)
    client.cookies = cookies
    return response  # type: ignore[no-any-return]


def refresh(address: str) -> dict[str, str]:
    return {"HX-Request": "true"} if "?v=" in address else {}


def test_every_url_is_in_the_table() -> None:
    assert {*NAMES} - OTHER_NAMES == {*TABLE}


@pytest.mark.parametrize("person", PEOPLE)
def test_everybody_gets_what_the_role_and_the_profile_allow(world: World, person: str) -> None:
    wrong = []
    client = client_for(world.people[person])
    for name in TABLE:
        for address, get, post in world.addresses(name, person):
            for method, wanted in (("GET", get), ("POST", post)):
                answer = ask(client, method, address, **refresh(address))
                if str(answer.status_code) != wanted:
                    wrong.append(f"{method} {name} {address}: {answer.status_code}, not {wanted}")
    assert wrong == []


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_who_is_not_signed_in_is_sent_to_the_login_page(world: World, method: str) -> None:
    wrong = []
    for name in TABLE:
        for address, _, _ in world.addresses(name, "operator"):
            answer = ask(Client(), method, address)
            if name in OPEN:
                right = answer.status_code == OPEN[name][method == "POST"]
            else:
                # After a form that was not taken, to the page that it came from; here nothing tells which one.
                back = quote(address, safe="/") if method == "GET" else "/"
                right = answer.status_code == 302 and answer["Location"] == f"/login/?next={back}"
            if not right:
                wrong.append(f"{name} {address}: {answer.status_code} {answer.headers}")
    assert wrong == []


def test_a_refresh_of_who_is_not_signed_in_any_more_sends_the_page_to_the_login_page(world: World) -> None:
    wrong = []
    for name in TABLE.keys() - OPEN.keys():
        for address, _, _ in world.addresses(name, "operator"):
            answer = ask(
                Client(), "GET", address, **{"HX-Request": "true", "HX-Current-URL": "http://testserver/calls/"}
            )
            if answer.headers.get("HX-Redirect") != "/login/?next=/calls/":
                wrong.append(f"{name} {address}: {answer.status_code} {answer.headers}")
    assert wrong == []


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_who_is_deactivated_is_signed_out(world: World, role: str) -> None:
    client = client_for(world.people[role])
    assert client.get("/").status_code == 200
    User.objects.filter(pk=world.people[role].pk).update(is_active=False)
    assert client.get("/").status_code == 302


HOSTILE = [
    "?before=%00&v=%00&q=%00%ff&digits=%00&status=%00&campaign=%00&who=%00&show=%00&group=%00&change=%00&only=%00",
    "?after=WzFd&q=%27%22%5C%25_%26%7C!()&digits=" + "9" * 400 + "&status=COMPLETED&since=0000-00-00&until=9999-12-31",
    "?before=WzkyMjMzNzIwMzY4NTQ3NzU4MDddCg&state=nonsense&who=-1&again=99&status=x&play=%00.sound&next=//example.com",
    "?after=W251bGxd&group=" + "9" * 40 + "&again=" + "9" * 18 + "&play=" + "9" * 40 + ".ivr&status=UNCONFIRMED",
    "?since=9999-12-31&until=0001-01-01&q=" + "%F0%9F%93%9E" * 200 + "&state=attention&campaign=%EF%BC%91",
]


def test_no_query_brings_a_page_down(world: World) -> None:
    client = client_for(world.people["admin"])
    failed = []
    for name in TABLE.keys() - {"healthz"}:
        address, get, _ = next(world.addresses(name, "admin"))
        for query in HOSTILE if get == "200" else []:
            answer = ask(client, "GET", f"{address}{query}")
            if answer.status_code >= 500:
                failed.append(f"{address}{query}: {answer.status_code}")
    assert failed == []


def test_no_id_brings_a_page_down(world: World) -> None:
    client = client_for(world.people["admin"])
    failed = []
    for name, cases in TABLE.items():
        words = cases[0][0].partition(" ?")[0].split()
        if not words or words[0] in {"own", "admins", "own-change", "own-import", "own-export"}:
            continue
        for huge in (0, 2**31, 2**63, 10**40):
            for place in range(len(words)):
                values = [huge if i == place and word in world.words else world.words.get(word, word)
                          for i, word in enumerate(words)]  # fmt: skip
                address = reverse(name, args=values)
                for method in ("GET", "POST"):
                    answer = ask(client, method, address)
                    if answer.status_code >= 500:
                        failed.append(f"{method} {address}: {answer.status_code}")
    assert failed == []


class TestDjangoAdmin:
    def addresses(self) -> Iterator[str]:
        yield reverse("admin:index")
        for model in admin.site._registry:
            base = f"admin:{model._meta.app_label}_{model._meta.model_name}"
            yield reverse(f"{base}_changelist")
            yield reverse(f"{base}_add")
            rows = [model._default_manager.first()]
            for row in filter(None, rows):
                for page in ("change", "delete", "history"):
                    yield reverse(f"{base}_{page}", args=[quote(str(row.pk), safe="")])

    @pytest.mark.parametrize("person", PEOPLE[:-1])
    def test_is_closed_to_everybody_else(self, world: World, person: str) -> None:
        client = client_for(world.people[person])
        for address in self.addresses():
            for method in ("GET", "POST"):
                answer = ask(client, method, address)
                assert answer.status_code == 302, address
                assert answer["Location"].startswith("/django-admin/login/"), address
        assert ask(client, "GET", "/django-admin/login/?next=/django-admin/").status_code == 403

    def test_is_closed_to_who_is_not_signed_in(self, world: World) -> None:
        for address in self.addresses():
            answer = ask(Client(), "GET", address)
            assert answer.status_code == 302, address
            assert answer["Location"].startswith(("/django-admin/login/", "/login/")), address
        assert ask(Client(), "GET", "/django-admin/login/")["Location"].startswith("/login/")

    def test_works_for_admins_and_changes_nothing_that_the_pages_guard(self, world: World) -> None:
        client = client_for(world.people["admin"])
        for address in self.addresses():
            answer = ask(client, "GET", address)
            changes = address.endswith(("/add/", "/delete/"))
            assert answer.status_code == (403 if changes else 200), address
            if not changes and address.count("/") > 4:
                assert ask(client, "POST", address).status_code in {200, 302, 403}, address
