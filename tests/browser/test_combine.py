"""Contact groups combined in the browser: with scripts and without, at once and in a worker."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import WIDE
from tests.browser.desk import PATIENCE, Desk, Watch
from tests.browser.portal import Portal

MAKE = """
import json, sys, django
django.setup()
from django.db import connection
from calls.models import ContactGroup
name, size = sys.argv[1], int(sys.argv[2])
group = ContactGroup.objects.create(name=name)
with connection.cursor() as cursor:
    cursor.execute(
        "INSERT INTO calls_contact (group_id, number, name, extra, created_at) "
        "SELECT %s, '+999' || (1000000 + n), '', '{}', now() FROM generate_series(1, %s) AS n", [group.pk, size]
    )
print(json.dumps(group.pk))
"""
"""Makes a contact group of numbers in a country code that no country has."""


def make(portal: Portal, name: str, size: int) -> int:
    pk: int = portal.run("-c", MAKE, name, str(size))
    return pk


@pytest.fixture
def plain(browser: Browser, portal: Portal) -> Iterator[Desk]:
    """An admin whose browser runs no scripts."""
    context = browser.new_context(base_url=portal.url, viewport=WIDE, java_script_enabled=False)
    watch = Watch(context, portal.url)
    desk = Desk(context.new_page())
    desk.sign_in()
    yield desk
    context.close()
    assert watch.complaints == []


def stat(page: Page, label: str) -> str:
    return page.locator(".stat", has=page.get_by_text(label, exact=True)).locator(".stat-value").inner_text()


def merge(desk: Desk, first: int, other: str, name: str) -> None:
    """From the page of a contact group to the preview of its merge with another."""
    desk.page.goto(f"/contact-groups/{first}/")
    desk.follow("Combine or split")
    desk.follow("Merge with others")
    desk.page.get_by_role("checkbox", name=re.compile(f"^{re.escape(other)} ")).check()
    desk.page.get_by_label("Name of the new group").fill(name)
    desk.press("Check what would happen")


@pytest.mark.parametrize("scripts", [True, False])
def test_two_groups_are_merged(request: pytest.FixtureRequest, portal: Portal, scripts: bool) -> None:
    desk: Desk = request.getfixturevalue("desk" if scripts else "plain")
    said = "with" if scripts else "without"
    winter, summer = make(portal, f"Winter {said} scripts", 5), make(portal, f"Summer {said} scripts", 8)

    merge(desk, winter, f"Summer {said} scripts", f"Winter {said} scripts")
    expect(desk.page.get_by_role("alert")).to_contain_text(f"is the name of contact group {winter} already.")
    expect(desk.page.get_by_role("checkbox", name=re.compile(f"^Summer {said} scripts"))).to_be_checked()
    desk.page.get_by_label("Name of the new group").fill(f"Both {said} scripts")
    desk.press("Check what would happen")

    expect(desk.page.get_by_role("heading", name="What would happen")).to_be_visible()
    assert (stat(desk.page, "Looked at"), stat(desk.page, "To be copied"), stat(desk.page, "Not copied")) == (
        "13",
        "8",
        "5",
    )
    desk.press("Merge")
    expect(desk.page.locator("#change .callout")).to_contain_text("8 contacts copied, 5 not.")
    desk.follow(f"Both {said} scripts")
    expect(desk.page.get_by_role("heading", level=1)).to_have_text(f"Both {said} scripts")
    expect(desk.page.locator("tbody tr")).to_have_count(8)
    assert summer > winter


def test_only_the_field_of_the_chosen_target_is_shown(desk: Desk, portal: Portal) -> None:
    group = make(portal, "Where to", 1)
    desk.page.goto(f"/contact-groups/{group}/combine/merge/")
    name, target = desk.page.get_by_label("Name of the new group"), desk.page.locator("#id_target")
    expect(name).to_be_visible()
    expect(target).to_be_hidden()
    desk.page.get_by_role("radio", name="A contact group that there is").check()
    expect(name).to_be_hidden()
    expect(target).to_be_visible()


def test_a_large_group_is_copied_by_a_worker_while_the_page_is_reloaded(desk: Desk, portal: Portal) -> None:
    group = make(portal, "Large", 60_000)
    desk.page.goto(f"/contact-groups/{group}/combine/copy/")
    desk.page.get_by_label("Name of the new group").fill("Large copy")
    with desk.page.expect_navigation():
        desk.press("Check what would happen")
    desk.page.reload()
    expect(desk.page.get_by_role("heading", name="What would happen")).to_be_visible(timeout=PATIENCE)
    assert stat(desk.page, "To be copied") == "60,000"
    with desk.page.expect_navigation():
        desk.press("Copy")
    desk.page.reload()
    expect(desk.page.locator("#change .callout")).to_contain_text("60,000 contacts copied.", timeout=PATIENCE)
