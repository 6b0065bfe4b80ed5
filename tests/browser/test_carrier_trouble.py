"""Trouble with the carrier as people meet it: what the pages say, and settling it from there.

The carrier is on the loopback and can be switched off: then its port refuses connections.
"""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import WIDE
from tests.browser.desk import PATIENCE, Desk
from tests.browser.portal import Portal, running_portal
from tests.browser.test_pages import look
from tests.factories import number
from tests.obd_server import KEY, Break, ObdServer

LONG = 2 * PATIENCE
"""Milliseconds until calls have gone out and ended, after the gaps between tries."""


@pytest.fixture(scope="module")
def port() -> int:
    """Where the carrier is, when it is."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def troubled(port: int) -> Iterator[Portal]:
    """A portal whose breaker needs no second round of failures: five batches go out at once."""
    with running_portal(
        CARRIER="obd",
        OBD_BASE_URL=f"http://127.0.0.1:{port}/api/v1/",
        OBD_API_KEY=KEY,
        CARRIER_CONNECTIONS="5",
        CARRIER_RATE="50",
    ) as portal:
        yield portal


@pytest.fixture
def portal(troubled: Portal) -> Portal:
    return troubled


@pytest.fixture
def page(context: BrowserContext) -> Page:
    context.add_init_script(AXE_SCRIPT)
    return context.new_page()


@contextmanager
def carrier_on(port: int) -> Iterator[ObdServer]:
    """The carrier while it is switched on. Its calls are short."""
    with ObdServer(port=port) as server:
        server.rings, server.talks = 0.3, 0.5
        yield server


def judge(page: Page, name: str) -> None:
    """Look at the page in both widths and themes, and go on as before."""
    look(page, name)
    page.set_viewport_size(WIDE)
    page.emulate_media(color_scheme="light", reduced_motion="no-preference")


def start(desk: Desk, first: int, calls: int, campaign: str) -> int:
    """Start so many calls to numbers of their own; the call group's ID."""
    desk.page.goto("/start/")
    desk.page.get_by_label("Phone numbers").fill("\n".join(number(first + i) for i in range(calls)))
    desk.page.get_by_role("radio", name="A spoken message").check()
    desk.page.get_by_role("textbox", name="Message").fill("Your parcel comes today.")
    desk.page.get_by_label("Campaign").fill(campaign)
    desk.check()
    return desk.confirm()


def expect_sentence(page: Page, *texts: str) -> None:
    for text in texts:
        expect(page.locator("#summary .sentence")).to_contain_text(text, timeout=PATIENCE)


def expect_on_dashboard(page: Page, group: int, *texts: str) -> None:
    """The dashboard names the call group with these words, and leads to what waits."""
    page.goto("/")
    panel = page.locator(".panel-attention")
    for text in (f"Call group {group}", *texts):
        expect(panel).to_contain_text(text)
    panel.get_by_role("link", name="Settle what waits").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Needs attention")


def waiting(page: Page) -> str:
    """The number beside the link in the navigation."""
    return page.locator('.nav a[href="/attention/"]').inner_text().replace("Needs attention", "").strip()


def expect_reached(page: Page, group: int, calls: int) -> None:
    page.goto(f"/call-groups/{group}/")
    were = "calls were" if calls > 1 else "call was"
    expect(page.locator("#summary .sentence")).to_contain_text(f"{calls:,} of {calls:,} {were} reached", timeout=LONG)


def national(first: int, calls: int) -> list[str]:
    return [number(first + i).removeprefix("+44") for i in range(calls)]


def test_a_refused_key_is_mended_and_the_call_group_resumed(desk: Desk, port: int) -> None:
    page = desk.page
    with carrier_on(port) as carrier:
        carrier.key = "a key that the portal does not have"
        group = start(desk, 0, 3, "Refused key")
        refused = "The carrier refuses our key or account (401): Invalid API key."
        mend = (
            "3 calls are held until an admin has mended that, in the settings or at the carrier, and somebody presses"
        )
        expect_sentence(page, "Paused by the portal", refused, mend)
        judge(page, "trouble, refused key, call group")
        expect_on_dashboard(page, group, "Paused by the portal", refused)
        expect(page.get_by_role("main")).to_contain_text(mend)
        assert waiting(page) == "1"
        judge(page, "trouble, refused key, attention")

        # Too early: it is refused again and says so.
        desk.press("Resume")
        desk.expect_message("Resumed")
        expect(page.locator("#waiting")).to_contain_text(refused, timeout=PATIENCE)
        assert carrier.called == []

        carrier.key = KEY
        desk.press("Resume")
        desk.expect_message("Resumed")
        expect(page.locator("#waiting")).to_contain_text("Nothing needs attention")
        expect_reached(page, group, 3)
        assert sorted(carrier.called) == national(0, 3)


def test_a_carrier_that_is_down_comes_back_and_calls_go_on_by_themselves(desk: Desk, port: int) -> None:
    page = desk.page
    group = start(desk, 100, 900, "Carrier down")
    down = "The carrier is down: it has taken no calls since"
    expect_sentence(page, down, "The carrier refused the connection.", "One request is tried", "once it answers.")
    judge(page, "trouble, carrier down, call group")
    page.goto("/")
    expect(page.locator(".health")).to_contain_text("Is down")
    expect(page.get_by_role("main")).to_contain_text("Held calls go out by themselves once it answers.")
    judge(page, "trouble, carrier down, dashboard")
    page.goto("/attention/")
    expect(page.locator("#waiting")).to_contain_text(down)
    judge(page, "trouble, carrier down, attention")
    desk.go("Carrier")
    expect(page.locator("#connection")).to_contain_text("in a row failed; one is tried")
    desk.press("Check the connection")
    desk.expect_message("The connection is checked in the background")
    expect(page.locator("#check")).to_contain_text("The carrier refused the connection.")
    page.reload()
    expect(page.locator("#check")).to_contain_text("The carrier refused the connection.")
    expect(page.get_by_role("main")).not_to_contain_text(KEY)
    judge(page, "trouble, carrier down, carrier")

    with carrier_on(port) as carrier:
        desk.press("Check the connection")
        expect(page.locator("#check")).to_contain_text("The carrier answers and takes our key.", timeout=PATIENCE)
        expect(page.locator("#connection")).not_to_contain_text("one is tried", timeout=LONG)
        expect_reached(page, group, 900)
        assert sorted(carrier.called) == sorted(national(100, 900))
    page.goto("/")
    expect(page.locator(".health")).to_contain_text("Answers")


def test_unconfirmed_batches_are_settled_both_ways(desk: Desk, port: int) -> None:
    page = desk.page
    unclear = "The connection broke before the carrier had answered."
    with carrier_on(port) as carrier:
        groups = []
        for first, fault in ((2_000, Break.AFTER_READING), (2_100, Break.BEFORE_READING)):
            carrier.always = fault
            groups.append(start(desk, first, 2, f"Unconfirmed {first}"))
            expect_sentence(page, "Waiting for you: 2 calls are unconfirmed.", "you say what happened.")
            carrier.always = None
        placed, not_placed = groups
        expect(page.get_by_role("main")).to_contain_text("Did the carrier take these?")
        expect(page.get_by_role("main")).to_contain_text(f"What came back: {unclear}")
        judge(page, "trouble, unconfirmed, call group")
        assert carrier.called == national(2_000, 2)
        expect_on_dashboard(page, placed, "2 calls are unconfirmed.")
        assert waiting(page) == "2"
        for text in (f"Call group {placed}", f"Call group {not_placed}", "2 calls: 1 to 2 of 2", unclear):
            expect(page.locator("#waiting")).to_contain_text(text)
        judge(page, "trouble, unconfirmed, attention")

        item = page.locator(".batches > li", has_text=f"Call group {placed}")
        item.get_by_role("link", name=re.compile("^It was placed")).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Did the carrier place these 2 calls?")
        expect(page.get_by_role("main")).to_contain_text(unclear)
        judge(page, "trouble, unconfirmed, it was placed")
        page.get_by_label("The carrier's group ID").fill(str(max(carrier.groups)))
        desk.press("Yes, it was placed")
        desk.expect_message("these calls are followed from now on")

        item = page.locator(".batches > li", has_text=f"Call group {not_placed}")
        item.get_by_role("link", name=re.compile("^It was not placed")).click()
        expect(page.get_by_role("main")).to_contain_text("these phones ring twice")
        desk.press("It was not placed: call them")
        desk.expect_message("these calls are held again and handed over")
        expect(page.locator("#waiting")).to_contain_text("Nothing needs attention")
        assert waiting(page) == ""

        for group, words in ((placed, "it was placed."), (not_placed, "it was not placed.")):
            expect_reached(page, group, 2)
            page.get_by_text("What settled unconfirmed calls").click()
            expect(page.locator("#settled")).to_contain_text(f"Settled by admin: {words}")
            judge(page, f"trouble, settled, {words}")
            page.goto(f"/call-groups/{group}/calls/1/")
            expect(page.get_by_role("main")).to_contain_text("Last confirmed by the carrier")
            expect(page.get_by_role("main")).to_contain_text(f"Settled by admin: {words}")
        assert sorted(carrier.called) == sorted([*national(2_000, 2), *national(2_100, 2)])
