"""The page of the audit log: plain words, filters, pages, one entry, the export."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

import pytest
from auditlog.models import LogEntry
from django.db import connection
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from calls import audit
from calls.forms.audit import AuditFilter
from calls.models import APIKey, Contact, ContactGroup, Suppression, User
from calls.views.paging import PAGE_SIZE
from tests.audit.rows import ADDRESS, browser_of, forget, text_of
from tests.exports.saved import export, rows_of
from tests.factories import make_call_group, make_group, make_ivr, make_sound, make_user, number
from tests.watching.rows import group_of

pytestmark = pytest.mark.django_db

PAGE = "/audit-log/"


@pytest.fixture
def boss() -> User:
    return make_user("admin", "boss")


@pytest.fixture
def web(boss: User) -> Client:
    client = browser_of(boss)
    forget()
    return client


def texts(client: Client, query: str = "") -> list[str]:
    """The entries that the page shows, as `who did thing`."""
    answer = client.get(f"{PAGE}?{query}")
    assert answer.status_code == 200
    return [f"{entry.person} {entry.did} {entry.thing}" for entry in answer.context["entries"]]


def at(*when: int) -> Callable[[], None]:
    """Let all that was logged so far have been at this time, in UTC."""
    return lambda: LogEntry.objects.update(timestamp=datetime(*when, tzinfo=UTC))  # type: ignore[misc,arg-type]


def rename(client: Client, group: ContactGroup, name: str) -> None:
    client.post(f"/contact-groups/{group.pk}/edit/", {"name": name})


# --- What is shown -------------------------------------------------------------------------------------------------


def test_an_entry_says_who_did_what_to_which_thing_when_and_from_where(web: Client, boss: User) -> None:
    group = make_group("Friends")
    forget()
    rename(web, group, "Customers")
    at(2026, 3, 14, 4, 45, 3)()
    answer = web.get(PAGE)
    said = text_of(answer)
    assert "boss changed contact group Customers" in said
    assert f"14 Mar 2026, 10:15:03 IST , from {ADDRESS}" in said
    assert "Name was Friends became Customers" in said
    assert "Days and times are those of Asia/Kolkata." in said
    html = answer.content.decode()
    assert f'href="/contact-groups/{group.pk}/"' in html
    assert f'href="/users/{boss.pk}/"' in html


def test_each_kind_of_thing_leads_to_its_page_while_it_exists(web: Client, boss: User) -> None:
    group, sound, ivr = make_group("Friends", 1), make_sound(7), make_ivr(9)
    contact = Contact.objects.get()
    contact.save()
    audit.note(contact, name="seen")
    blocked = Suppression.objects.create(number=number(5), reason="Asked")
    key, _ = APIKey.make(boss, "shop")
    calls = group_of(boss, {"HELD": 1})
    urls = {entry.thing_url for entry in web.get(PAGE).context["entries"]}
    assert urls == {
        f"/contact-groups/{group.pk}/", f"/contact-groups/{group.pk}/contacts/{contact.pk}/",
        "/sounds/7/", "/ivrs/9/", f"/suppression/{blocked.list_id}/{blocked.pk}/", f"/api-keys/{key.pk}/",
        f"/call-groups/{calls.pk}/",
    }  # fmt: skip
    for url in urls:
        assert web.get(url, follow=True).status_code == 200, url
    for row in (contact, blocked, key, sound, ivr):
        row.delete()
    group.delete()
    found = web.get(PAGE).context["entries"]
    assert {entry.thing_url for entry in found} == {"", f"/call-groups/{calls.pk}/"}


def test_who_is_named_in_a_field_is_said_by_name(web: Client) -> None:
    zed = make_user("operator", "zed")
    group = make_call_group(zed)
    found = web.get(f"{PAGE}?kind=callgroup&thing=%23{group.pk}").context["entries"]
    assert {(change.field, change.after) for entry in found for change in entry.changes} >= {("owner", "zed")}


def test_who_is_named_in_a_field_and_gone_is_said_by_id(web: Client) -> None:
    zed = make_user("operator", "zed")
    APIKey.make(zed, "shop")
    pk = zed.pk
    zed.delete()
    (entry,) = web.get(f"{PAGE}?kind=apikey&did=created").context["entries"]
    assert ("user", f"user {pk}, which is gone") in {(change.field, change.after) for change in entry.changes}


def test_long_values_are_shortened_and_whole_on_the_entrys_own_page(web: Client) -> None:
    long = "Yes, and a long meaning of this key " * 2
    ivr = make_ivr(9, keys={str(i): f"{long}{i}" for i in range(10)})
    (entry,) = web.get(PAGE).context["entries"]
    assert all(len(change.after) <= 120 for change in entry.short)
    assert "Whole values" in text_of(web.get(PAGE))
    whole = text_of(web.get(f"{PAGE}{entry.id}/"))
    assert f"9: {' '.join(long.split())} 9" in whole
    assert ivr.name in whole


def test_many_fields_are_on_the_entrys_own_page(web: Client, boss: User) -> None:
    make_call_group(boss)
    (entry,) = web.get(f"{PAGE}?kind=callgroup").context["entries"]
    assert len(entry.short) == 6
    hidden = len(entry.changes) - 6
    assert f"And {hidden} more fields" in text_of(web.get(PAGE))
    whole = text_of(web.get(f"{PAGE}{entry.id}/"))
    assert all(change.field[1:] in whole for change in entry.changes)


def test_markup_in_names_is_only_text(web: Client) -> None:
    make_group("<script>alert(1)</script>")
    for address in (PAGE, f"{PAGE}{LogEntry.objects.latest('pk').pk}/"):
        assert "<script>alert(1)" not in web.get(address).content.decode()


def test_a_hash_that_an_old_version_logged_is_not_shown(web: Client, boss: User) -> None:
    audit.note(boss, password="pbkdf2_sha256$1000000$salt$digest", digest="0123456789abcdef")
    everything = web.get(PAGE).content.decode() + b"".join(export(web, "audit_log")).decode()
    assert "(not shown)" in everything
    assert "pbkdf2" not in everything
    assert "0123456789abcdef" not in everything


def test_entries_of_things_that_the_portal_no_longer_has_are_shown(web: Client, boss: User) -> None:
    audit.note(boss, first_name="x")
    LogEntry.objects.update(changes=None, object_pk="not a number", additional_data={"api_key": {}})
    assert texts(web) == ["boss changed boss"] or texts(web) == ["The portal changed boss"]
    LogEntry.objects.update(changes={"nonsense": ["a", "b"], "groups": {"type": "m2m"}, "owner": ["x", "9" * 40]})
    assert "Nonsense" in text_of(web.get(PAGE))


def test_an_empty_log_says_what_will_be_there(web: Client) -> None:
    assert "Nothing was changed yet" in text_of(web.get(PAGE))


def test_an_entry_that_is_not_there(web: Client) -> None:
    assert web.get(f"{PAGE}4711/").status_code == 404


# --- Filters -------------------------------------------------------------------------------------------------------


@pytest.fixture
def busy(web: Client, boss: User) -> dict[str, Any]:
    """Some entries of two people, a key and the portal."""
    anna = make_user("admin", "anna")
    group, other = make_group("Friends of the house"), make_group("Customers")
    row, key = APIKey.make(anna, "shop")
    forget()
    rename(web, group, "Friends")
    rename(browser_of(anna), other, "Clients")
    program = Client(REMOTE_ADDR=ADDRESS)
    program.post(
        "/api/v1/", {"method": "voice.call", "numbers": number(1), "message": "Hello"}, headers={"x-api-key": key}
    )
    Suppression.objects.create(number=number(2), reason="Asked")
    return {"group": group, "other": other, "key": row, "anna": anna}


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("who=boss", ["boss changed Friends"]),
        ("who=BOSS", ["boss changed Friends"]),
        ("who=the+portal", [f"The portal added {number(2)}"]),
        ("did=changed", ["anna changed Clients", "boss changed Friends"]),
        ("did=deleted", []),
        ("kind=contactgroup&who=anna", ["anna changed Clients"]),
        ("kind=suppression", [f"The portal added {number(2)}"]),
        ("thing=clie", ["anna changed Clients"]),
        ("thing=020+7946+0002", []),  # a number of another region than the portal's
        (f"thing=%2B{number(2)[1:]}", [f"The portal added {number(2)}"]),
        ("thing=nothing+such", []),
        ("thing=%27%3A%2A+%26+%5C", []),
    ],
)
def test_filters(web: Client, busy: dict[str, Any], query: str, wanted: list[str]) -> None:
    assert texts(web, query) == wanted


def test_what_a_key_did(web: Client, busy: dict[str, Any]) -> None:
    (entry,) = web.get(f"{PAGE}?who={busy['key'].prefix}").context["entries"]
    assert (entry.person, entry.key, entry.did) == ("anna", str(busy["key"]), "started")
    assert entry.key_url == f"/api-keys/{busy['key'].pk}/"
    assert len(texts(web, "who=anna")) == 2


def test_by_id(web: Client, busy: dict[str, Any]) -> None:
    pk = busy["group"].pk
    assert texts(web, f"thing=%23{pk}&kind=contactgroup") == ["boss changed Friends"]
    assert texts(web, f"thing={pk}&kind=contactgroup") == ["boss changed Friends"]


@pytest.mark.parametrize(
    ("deed", "did"),
    [
        ("steered", "paused"),
        ("settled", "settled unconfirmed calls of"),
        ("password", "set the password of"),
        ("session", "signed out"),
        ("callbacks", "sent callbacks again of"),
    ],
)
def test_deeds_with_names_of_their_own(web: Client, boss: User, deed: str, did: str) -> None:
    group = group_of(boss, {"HELD": 1})
    forget()
    web.post(f"/call-groups/{group.pk}/pause/")
    audit.note(group, settled="calls 1 to 2: placed")
    audit.note(group, callbacks="sent again of call 1-1: 1")
    audit.note(boss, password=audit.NEW_PASSWORD)
    audit.note_session(boss, "signed out")
    assert [entry.did for entry in web.get(f"{PAGE}?did={deed}").context["entries"]] == [did]
    assert web.get(f"{PAGE}?did=changed").context["entries"] == []


def test_days_are_those_of_the_portals_zone_and_both_belong_to_the_period(web: Client) -> None:
    for hour, minute in ((18, 29), (18, 30)):  # 23:59 of the 14th and midnight of the 15th in Kolkata
        group = make_group(f"At {hour} {minute}")
        LogEntry.objects.filter(object_pk=str(group.pk)).update(
            timestamp=datetime(2026, 3, 14, hour, minute, tzinfo=UTC)
        )
    assert texts(web, "since=2026-03-15") == ["The portal created At 18 30"]
    assert texts(web, "until=2026-03-14") == ["The portal created At 18 29"]
    assert len(texts(web, "since=2026-03-14&until=2026-03-15")) == 2


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ("who=nobody", "who", "There is no user “nobody”"),
        ("did=eaten", "did", "“eaten” is nothing that the log tells apart."),
        ("kind=cake", "kind", "“cake” is no kind of things that the log has."),
        ("thing=%23abc", "thing", "“#abc” is no ID: type # and digits"),
        ("thing=%23", "thing", "“#” is no ID"),
        ("thing=%23" + "9" * 30, "thing", "is no ID"),
        ("thing=%00", "thing", "Null characters"),
        ("since=yesterday", "since", "“yesterday” is not a date like 2026-03-14."),
        ("since=2026-03-15&until=2026-03-14", "until", "2026-03-14 is before 2026-03-15, the first day."),
    ],
)
def test_bad_input_is_named_at_its_field_and_kept(
    web: Client, busy: dict[str, Any], query: str, field: str, message: str
) -> None:
    answer = web.get(f"{PAGE}?{query}")
    form = answer.context["form"]
    assert message in form.errors[field][0]
    assert [*form.errors] == [field]
    assert answer.context["entries"] == []
    assert form[field].value() == dict(pair.split("=") for pair in answer.request["QUERY_STRING"].split("&"))[
        field
    ].replace("%23", "#").replace("%00", "\0")
    assert "Nothing is listed until the search is mended." in text_of(answer)
    refused = export(web, "audit_log", query=query)
    assert refused.status_code == 400
    assert message.split("“", maxsplit=1)[0] in text_of(refused)


# --- Pages ---------------------------------------------------------------------------------------------------------


def many(boss: User, entries: int) -> None:
    group, _ = ContactGroup.objects.get_or_create(name="Friends")
    forget()
    for i in range(entries):
        audit.note(group, contacts=f"{i} added")
    LogEntry.objects.update(actor=boss)


def test_pages_keep_the_filter_and_none_is_missed(web: Client, boss: User) -> None:
    many(boss, 2 * PAGE_SIZE + 3)
    LogEntry.objects.update(timestamp=datetime(2026, 3, 14, tzinfo=UTC))  # all at the same moment
    seen, query = [], "who=boss"
    while True:
        page = web.get(f"{PAGE}?{query}").context["page"]
        seen += [row.pk for row in page.rows]
        if not page.next:
            break
        query = f"who=boss&after={page.next}"
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == 2 * PAGE_SIZE + 3


def test_a_page_asks_the_same_of_the_database_for_one_entry_as_for_many(
    web: Client, boss: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    many(boss, 1)
    web.get(PAGE)
    with django_assert_max_num_queries(12) as few:
        web.get(PAGE)
    many(boss, PAGE_SIZE)
    with django_assert_max_num_queries(len(few.captured_queries)) as more:
        web.get(PAGE)
    assert "COUNT(" not in " ".join(query["sql"] for query in more.captured_queries)


@pytest.mark.parametrize("query", ["", "who=boss", "kind=contactgroup", "thing=friends", "did=settled", "thing=%2312"])
def test_no_filter_reads_the_whole_log(web: Client, boss: User, query: str) -> None:
    form = AuditFilter(QueryDict(query))
    rows = form.narrow(LogEntry.objects.all()).order_by("-timestamp", "-id")[: PAGE_SIZE + 1]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
    plan = rows.explain()
    assert "Seq Scan on auditlog_logentry" not in plan


@pytest.mark.parametrize("did", ["steered", "overridden", "settled", "callbacks", "password", "exported"])
def test_deeds_that_are_rare_have_an_index(web: Client, did: str) -> None:
    form = AuditFilter(QueryDict(f"did={did}"))
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = form.narrow(LogEntry.objects.all()).order_by("-timestamp", "-id")[: PAGE_SIZE + 1].explain()
    assert "audit_deeds" in plan


def test_a_thing_that_is_not_there_is_not_looked_for_in_all_entries(web: Client, boss: User) -> None:
    many(boss, 300)
    with patch("calls.views.paging.WALKED", (100, 200)), CaptureQueriesContext(connection) as asked:
        assert web.get(PAGE, {"thing": "nobody"}).context["entries"] == []
    near, straight = (query["sql"] for query in asked.captured_queries if "@@" in query["sql"])
    assert "CASE" in near
    assert 'ORDER BY GREATEST("auditlog_logentry"."timestamp") DESC' in straight


# --- Export --------------------------------------------------------------------------------------------------------


def exported(client: Client, query: str = "") -> list[dict[str, str]]:
    headings, *rows = rows_of(export(client, "audit_log", query=query))
    return [dict(zip(headings, row, strict=True)) for row in rows]


def test_the_export_has_a_row_for_each_field(web: Client, boss: User) -> None:
    group = make_group("Friends", carrier_group="vip")
    forget()
    web.post(f"/contact-groups/{group.pk}/edit/", {"name": "=1+1", "carrier_group": "gold"})
    at(2026, 3, 14, 4, 45, 3)()
    name, carrier = exported(web)
    assert name == {
        "entry": name["entry"], "time": "2026-03-14 10:15:03+05:30", "person": "boss", "API key": "",
        "what was done": "changed", "kind": "Contact group", "ID": str(group.pk), "thing": "'=1+1",
        "from address": ADDRESS, "field": "name", "before": "Friends", "after": "'=1+1",
    }  # fmt: skip
    assert (carrier["before"], carrier["after"]) == ("vip", "gold")


def test_the_export_is_filtered_as_the_page(web: Client, busy: dict[str, Any]) -> None:
    assert {row["person"] for row in exported(web, "who=anna")} == {"anna"}
    assert {row["API key"] for row in exported(web, f"who={busy['key'].prefix}")} == {str(busy["key"])}
    assert exported(web, "who=anna&did=deleted") == []


def test_the_export_goes_through_all_of_them(web: Client, boss: User, monkeypatch: pytest.MonkeyPatch) -> None:
    many(boss, 25)
    monkeypatch.setattr("calls.history.AT_ONCE", 7)
    monkeypatch.setattr("calls.views.paging.walk_rows.__kwdefaults__", {"step": 10}, raising=False)
    assert [row["after"] for row in exported(web)] == [f"{i} added" for i in reversed(range(25))]


def test_the_page_offers_the_export_of_what_it_shows(web: Client, busy: dict[str, Any]) -> None:
    assert 'name="query" value="who=anna"' in web.get(f"{PAGE}?who=anna&after=nonsense").content.decode()


# --- Links from the things ----------------------------------------------------------------------------------------


def test_admins_get_to_the_history_of_each_thing(web: Client, boss: User) -> None:
    group, sound, ivr, calls = make_group("Friends"), make_sound(7), make_ivr(9), make_call_group(boss)
    key, _ = APIKey.make(boss, "shop")
    pages = {
        f"/contact-groups/{group.pk}/": f"kind=contactgroup&amp;thing=%23{group.pk}",
        "/sounds/7/": f"kind=sound&amp;thing=%23{sound.pk}",
        "/ivrs/9/": f"kind=ivr&amp;thing=%23{ivr.pk}",
        f"/call-groups/{calls.pk}/": f"kind=callgroup&amp;thing=%23{calls.pk}",
        f"/users/{boss.pk}/": f"kind=user&amp;thing=%23{boss.pk}",
        f"/api-keys/{key.pk}/": f"kind=apikey&amp;thing=%23{key.pk}",
    }
    audit.note(boss, first_name="x")
    for page, query in pages.items():
        assert f'href="{PAGE}?{query}"' in web.get(page).content.decode(), page
        assert texts(web, query.replace("&amp;", "&")) != []


def test_others_are_not_offered_it() -> None:
    group = make_group("Friends")
    web = browser_of(make_user("operator"))
    assert PAGE not in web.get(f"/contact-groups/{group.pk}/").content.decode()
