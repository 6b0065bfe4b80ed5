"""Lists of people and calls: what is typed into their search boxes works, and is in no address (rule 8)."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from django.http import QueryDict
from django.test import Client

from calls.models import Call, CallGroup, ContactGroup, Export, Suppression, SuppressionList, User
from calls.views.asked import FORGOTTEN
from tests.factories import client_for, make_group, make_user, number
from tests.watching.rows import group_of

pytestmark = pytest.mark.django_db

TYPED = "020 7946 0002"
WANTED = number(2)
DIGITS = re.compile(r"7946.?0002")


class List(NamedTuple):
    """A list to search: its page, the field for what is personal, another field with a value; rows without a search."""

    page: Callable[[], str]
    field: str
    other: tuple[str, str] | None = None
    whole: int = 50


def _only(model: Any) -> int:
    return int(model.objects.get().pk)


LISTS = {
    "contacts": List(lambda: f"/contact-groups/{_only(ContactGroup)}/", "q"),
    "numbers of all lists": List(lambda: "/suppression/", "q", whole=4),  # lists
    "numbers of a list": List(lambda: f"/suppression/{_register()}/", "q"),
    "calls": List(lambda: "/calls/", "digits", ("campaign", "Spring")),
    "calls of a group": List(lambda: f"/call-groups/{_only(CallGroup)}/", "digits", ("status", "BUSY")),
    "audit log": List(lambda: "/audit-log/", "thing", ("kind", "suppression")),
}


def _register() -> int:
    return SuppressionList.objects.get(name="Register").pk


@pytest.fixture
def boss() -> User:
    return make_user("admin", "boss")


@pytest.fixture
def web(boss: User) -> Client:
    """The browser of an admin where there are sixty of everything."""
    make_group("Friends", [number(n) for n in range(1, 61)])
    register = SuppressionList.objects.create(name="Register")
    for n in range(1, 61):
        Suppression.objects.create(list=register, number=number(n))  # one by one, so that the audit log has them
    group_of(boss, {"BUSY": 60}, campaign="Spring")
    return client_for(boss)


def rows_of(page: Any) -> list[str]:
    """The numbers that a page lists."""
    found = page.context["page"].rows
    return [row.object_repr if hasattr(row, "object_repr") else row.number for row in found]


def search(web: Client, listed: List, typed: str, **others: str) -> tuple[str, Any]:
    """Type it into the search box; returns the address of what is shown then, and the page."""
    page = web.post(listed.page(), {listed.field: typed} | others, follow=True)
    return page.redirect_chain[-1][0], page


@pytest.mark.parametrize("name", LISTS)
def test_the_search_box_posts_with_a_token(boss: User, web: Client, name: str) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(boss)
    listed = LISTS[name]
    html = strict.get(listed.page()).content.decode()
    form = next(each for each in re.findall(r"<form.*?</form>", html, re.DOTALL) if f'name="{listed.field}"' in each)
    assert 'method="post"' in form
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
    assert token
    assert strict.post(listed.page(), {listed.field: TYPED}).status_code == 403
    answer = strict.post(listed.page(), {listed.field: TYPED, "csrfmiddlewaretoken": token[1]})
    assert answer.status_code == 302
    assert token[1] not in answer["Location"]


@pytest.mark.parametrize("name", LISTS)
def test_it_finds_and_no_address_has_it(web: Client, name: str) -> None:
    listed = LISTS[name]
    others = dict([listed.other]) if listed.other else {}
    # The audit log has whole numbers only.
    address, page = search(web, listed, WANTED if name == "audit log" else TYPED, **others)
    assert set(rows_of(page)) == {WANTED}
    html = page.content.decode()
    links = re.findall(r'(?:href|action|hx-get)="([^"]*)"', html)
    queries = re.findall(r'name="query" value="([^"]*)"', html)
    assert links
    for each in (address, *links, *queries):
        assert not DIGITS.search(each), each
    if listed.other:
        assert QueryDict(address.split("?")[1])[listed.other[0]] == listed.other[1]
    assert DIGITS.search(html.split(f'name="{listed.field}"')[1]), "what was typed is still there"
    assert rows_of(web.get(address)) == rows_of(page), "reloaded"


@pytest.mark.parametrize("name", LISTS)
def test_pages_of_a_search(web: Client, name: str) -> None:
    listed = LISTS[name]
    typed = {"contacts": "+4420", "audit log": ""}.get(name, "+4420")
    others = dict([listed.other]) if listed.other else {}
    address, page = search(web, listed, typed, **others)
    older = page.context["page"].next
    sign = "&" if "?" in address else "?"
    assert (len(rows_of(page)), len(rows_of(web.get(f"{address}{sign}after={older}")))) == (50, 10)


@pytest.mark.parametrize("name", LISTS)
def test_what_is_forgotten_shows_all_and_says_so(boss: User, web: Client, name: str) -> None:
    listed = LISTS[name]
    address, _ = search(web, listed, WANTED)
    page: Any = client_for(boss).get(address, follow=True)  # another session
    assert page.redirect_chain == [(listed.page(), 302)]
    assert FORGOTTEN in page.content.decode()
    assert len(page.context["page"].rows) == listed.whole


@pytest.mark.parametrize("name", LISTS)
def test_an_empty_search_has_a_plain_address(web: Client, name: str) -> None:
    address, page = search(web, LISTS[name], " ")
    assert address == LISTS[name].page()
    assert len(page.context["page"].rows) == LISTS[name].whole


@pytest.mark.parametrize("name", LISTS)
def test_an_address_that_somebody_wrote_still_works(web: Client, name: str) -> None:
    page = web.get(LISTS[name].page(), {LISTS[name].field: WANTED})
    assert set(rows_of(page)) == {WANTED}


@pytest.mark.parametrize("page", ["/evidence/", "/calling-rules/"])
def test_other_pages_say_what_is_forgotten_too(web: Client, page: str) -> None:
    assert FORGOTTEN in web.get(f"{page}?about=nothing").content.decode()
    assert FORGOTTEN not in web.get(page).content.decode()


def test_groups_are_searched_by_their_names_in_the_address(web: Client) -> None:
    assert [row.name for row in web.get("/contact-groups/?q=fri&about=nothing").context["page"].rows] == ["Friends"]


def test_a_wrong_search_is_still_there(web: Client) -> None:
    _, page = search(web, LISTS["calls"], "nobody", campaign="Spring", since="2026-13-01")
    html = page.content.decode()
    assert "“nobody” has no digits" in html
    assert 'value="nobody"' in html
    assert 'value="2026-13-01"' in html
    assert rows_of(page) == []


@pytest.mark.parametrize("typed", ["\0", "7" * 100_000, "'\"<script>", "%00", "\ud83d"])
def test_bad_input(web: Client, typed: str) -> None:
    for listed in LISTS.values():
        _, page = search(web, listed, typed.encode("utf-8", "replace").decode())
        assert page.status_code == 200
        assert "<script>" not in page.content.decode().split("</head>")[1].split("<script src")[0]


def test_the_same_search_again_is_kept_once(web: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("calls.views.asked.KEPT", 5)
    first, _ = search(web, LISTS["calls"], TYPED)
    for n in range(4):
        search(web, LISTS["calls"], str(n))
    assert search(web, LISTS["calls"], TYPED)[0] == first  # now the newest
    for n in range(4):
        search(web, LISTS["calls"], f"1{n}")
    assert set(rows_of(web.get(first))) == {WANTED}
    search(web, LISTS["calls"], "one more")
    assert web.get(first).status_code == 302


# --- What goes on from a search ------------------------------------------------------------------------------------


def test_a_fragment_refreshes_itself_with_its_search(web: Client) -> None:
    Call.objects.update(status="INPROGRESS")
    for name, path in (("calls", "/calls/"), ("calls of a group", f"/call-groups/{_only(CallGroup)}/calls/")):
        address, page = search(web, LISTS[name], TYPED)
        poll = next(each for each in re.findall(r'hx-get="([^"]*)"', page.content.decode()) if each.startswith(path))
        headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{address}"}
        fragment = web.get(poll.replace("&amp;", "&").replace("v=", "v=old"), headers=headers)
        assert set(re.findall(r"\+44 20 7946 00\d\d", fragment.content.decode())) == {"+44 20 7946 0002"}
        session = web.session
        session.flush()
        other = client_for(User.objects.get(username="boss"))
        forgotten = other.get(poll.replace("&amp;", "&"), headers=headers)
        assert forgotten["HX-Refresh"] == "true", "the whole page, which says why"
        web.force_login(User.objects.get(username="boss"))


EXPORTS = {
    "contacts": ("contacts", ContactGroup),
    "numbers of a list": ("numbers", SuppressionList),
    "calls": ("calls", None),
    "calls of a group": ("calls_of_group", CallGroup),
    "audit log": ("audit_log", None),
}


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_has_what_is_shown_or_nothing(boss: User, web: Client, name: str) -> None:
    kind, model = EXPORTS[name]
    _, page = search(web, LISTS[name], WANTED)
    query = re.search(r'name="query" value="([^"]*)"', page.content.decode())
    assert query
    assert "about=" in query[1]
    of = _register() if model is SuppressionList else _only(model) if model else ""
    asked = {"kind": kind, "of": of, "query": query[1].replace("&amp;", "&"), "format": "csv"}
    file: Any = web.post("/exports/new/", asked)
    text = b"".join(file.streaming_content).decode()
    assert WANTED in text
    assert number(3) not in text
    refused: Any = client_for(boss).post("/exports/new/", asked, follow=True)
    assert FORGOTTEN in refused.content.decode()
    assert not Export.objects.exists()


def test_calls_are_made_again_to_those_that_were_searched_for(boss: User, web: Client) -> None:
    group = CallGroup.objects.get()
    CallGroup.objects.update(message="Hello.", play="")
    _, page = search(web, LISTS["calls of a group"], TYPED, status="BUSY")
    links = re.findall(r'href="(/start/\?again=[^"]*)"', page.content.decode())
    (address,) = [link.replace("&amp;", "&") for link in links if "about=" in link]
    assert not DIGITS.search(address)
    form = web.get(address).content.decode()
    assert 'name="again_digits" value="02079460002"' in form
    forgotten: Any = client_for(boss).get(address, follow=True)
    assert forgotten.redirect_chain == [(f"/call-groups/{group.pk}/", 302)]
    assert FORGOTTEN in forgotten.content.decode()
    assert client_for(boss).get("/start/?about=nothing")["Location"] == "/start/"  # no call group to go back to
