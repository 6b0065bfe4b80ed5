"""Every page as people see it: narrow and wide, light and dark, by keyboard, and without scripts.

Each is judged twice: wide in the light theme and narrow in the dark one. With OBD_SCREENSHOTS set to a folder, all
four looks are, and a picture of each is kept there.
"""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import WIDE
from tests.browser.desk import PATIENCE, Desk, Watch
from tests.browser.portal import PASSWORD, Portal
from tests.factories import PASSWORD as OTHERS_PASSWORD

Looks = list[tuple[int, Literal["light", "dark"]]]

SCREENSHOTS = os.environ.get("OBD_SCREENSHOTS", "")
# Themes differ in colours only, and widths in layout: two of the four looks show every rule at work.
TWO_LOOKS: Looks = [(1440, "light"), (360, "dark")]
FOUR_LOOKS: Looks = [*TWO_LOOKS, (1440, "dark"), (360, "light")]

PLAIN = {
    "dashboard": "/",
    "call groups": "/call-groups/",
    "call groups, none in this state": "/call-groups/?state=cancelled&campaign=nothing",
    "calls": "/calls/",
    "calls, filtered": "/calls/?status=BUSY&campaign=Winter+reminders",
    "calls, wrong filter": "/calls/?digits=abc&since=yesterday",
    "needs attention": "/attention/",
    "carrier": "/carrier/",
    "callbacks": "/callbacks/",
    "callbacks, filtered": "/callbacks/?state=delivered&call=1",
    "callbacks, wrong filter": "/callbacks/?state=nonsense&call=abc",
    "start": "/start/",
    "contact groups": "/contact-groups/",
    "contact group, new": "/contact-groups/new/",
    "suppression": "/suppression/",
    "suppression, found": "/suppression/?q=0800",
    "suppression list, new": "/suppression/new/",
    "calling rules": "/calling-rules/",
    "calling rule": "/calling-rules/promotional/",
    "sounds": "/sounds/",
    "sound": "/sounds/1/",
    "sound, new": "/sounds/new/",
    "sound, edit": "/sounds/1/edit/",
    "sound, delete": "/sounds/1/delete/",
    "ivrs": "/ivrs/",
    "ivr": "/ivrs/1234/",
    "ivr, new": "/ivrs/new/",
    "ivr, edit": "/ivrs/1/edit/",
    "ivr, delete": "/ivrs/1/delete/",
    "audit log": "/audit-log/",
    "audit log, filtered": "/audit-log/?who=admin&did=changed",
    "audit log, nothing found": "/audit-log/?thing=nothing+such",
    "audit log, wrong filter": "/audit-log/?who=nobody+such&did=eaten&since=yesterday&thing=%23abc",
    "evidence": "/evidence/",
    "exports": "/exports/",
    "users": "/users/",
    "user, new": "/users/new/",
    "password": "/account/password/",
    "password, changed": "/account/password/changed/",
    "API": "/api/",
    "API keys": "/api-keys/",
    "API key, new": "/api-keys/new/",
    "not found": "/nowhere/",
}
SEEDED = (
    "call group, running", "call group, finished", "call group, scheduled", "call group, paused",
    "call group, refused", "call group, unconfirmed", "call group, cancelled", "call group, filtered",
    "call group, nothing found", "call group, wrong filter", "call group, kept", "not called",
    "cancel", "override", "it was placed",
    "it was not placed", "call, completed", "call, running", "call, held", "call, opted out",
    "call, unconfirmed", "call, expired",
    "calls again", "callbacks of a call group",
    "preflight", "preflight of nobody", "preflight, planning", "preflight, starting", "preflight, cancelled",
    "preflight, failed", "preflight list, callable", "preflight list, duplicate", "preflight list, invalid",
    "preflight list, suppressed", "contact group", "contact group, empty", "contact group, held by the carrier",
    "combine", "combine, held by the carrier", "combine, copy", "combine, merge", "combine, split", "combine, remove",
    "group change, counting", "group change, merge", "group change, remove", "group change, nothing",
    "group change, waiting", "group change, running", "group change, done", "group change, failed",
    "group change, cancelled", "contact group, nothing found", "contact group, edit", "contact group, delete",
    "contacts, add", "contact, new", "contact, edit", "contact, delete", "imports",
    "import, preview", "import, preview of suppressed numbers",
    "import, reading", "import, done", "import, failed",
    "import, undo", "suppression list",
    "suppression list, of the portal", "suppression list, edit", "suppression list, delete",
    "suppression, add", "suppression, remove",
    "sound without a file", "user", "user, password", "user, sounds", "API key", "API key, revoke", "audit log, entry",
)  # fmt: skip
EMPTY = {
    "dashboard, of a newcomer": "/",
    "call groups, none": "/call-groups/",
    "calls, none": "/calls/",
    "callbacks, none": "/callbacks/",
    "exports, none": "/exports/",
    "needs attention, nothing": "/attention/",
    "contact groups, none": "/contact-groups/",
    "sounds, none": "/sounds/",
    "ivrs, none": "/ivrs/",
    "API keys, none": "/api-keys/",
    "start, with nothing enabled": "/start/",
    "forbidden": "/users/",
}
FAULTS = """async () => {
    const { violations } = await axe.run(document, { resultTypes: ["violations"] });
    const found = violations.flatMap(({ id, help, nodes }) =>
        nodes.map((node) => `${id} (${help}): ${node.target.join(" ")} ${node.html.slice(0, 200)}`));
    const root = document.documentElement;
    if (root.scrollWidth > root.clientWidth) {
        const sticksOut = (each) =>
            each.getBoundingClientRect().right > root.clientWidth + 1 && !each.closest(".table-wrap");
        const wide = [...document.querySelectorAll("body *")].filter(sticksOut).slice(0, 3);
        found.push(`wider than the window: ${root.scrollWidth} ${wide.map((each) => each.outerHTML.slice(0, 200))}`);
    }
    const dead = document.querySelectorAll('[href=""], [action=""]');
    found.push(...[...dead].map((each) => `leads nowhere: ${each.outerHTML}`));
    if (document.querySelectorAll("h1").length !== 1) found.push("not one heading of the first level");
    return found;
}"""


def look(page: Page, name: str) -> None:
    """Look at the page that is shown, in both widths and both themes."""
    assert page.title().endswith("OBD Portal")
    faults = {}
    for width, theme in FOUR_LOOKS if SCREENSHOTS else TWO_LOOKS:
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        page.evaluate("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        if SCREENSHOTS:
            page.screenshot(path=Path(SCREENSHOTS, f"{name.replace(', ', '--')}-{width}-{theme}.png"), full_page=True)
        faults[f"{width} {theme}"] = page.evaluate(FAULTS)
    assert {key: found for key, found in faults.items() if found} == {}


class Windows:
    """One window for each person, kept from page to page, in which axe is there already."""

    def __init__(self, browser: Browser, url: str) -> None:
        self.browser, self.url = browser, url
        self.open: dict[str, tuple[Page, Watch]] = {}

    def of(self, username: str) -> Page:
        """The window of this user (without a name: of who is not signed in), as wide as at first."""
        if username not in self.open:
            context = self.browser.new_context(base_url=self.url, viewport=WIDE)
            context.add_init_script(AXE_SCRIPT)
            page = context.new_page()
            self.open[username] = page, Watch(context, self.url)
            if username:
                Desk(page).sign_in(username, PASSWORD if username == "admin" else OTHERS_PASSWORD)
        page, _ = self.open[username]
        page.set_viewport_size(WIDE)
        return page

    def complaints(self) -> list[str]:
        """What no page may do and one has done since the last call."""
        found = [complaint for _, watch in self.open.values() for complaint in watch.complaints]
        for _, watch in self.open.values():
            watch.complaints.clear()
        return found


@pytest.fixture(scope="module")
def all_windows(browser: Browser, sandbox: Portal) -> Iterator[Windows]:
    windows = Windows(browser, sandbox.url)
    yield windows
    for page, _ in windows.open.values():
        page.context.close()


@pytest.fixture
def windows(all_windows: Windows) -> Iterator[Windows]:
    yield all_windows
    assert all_windows.complaints() == []


@pytest.fixture
def admin(windows: Windows) -> Page:
    return windows.of("admin")


@pytest.fixture
def stranger(windows: Windows) -> Page:
    return windows.of("")


class TestLooks:
    @pytest.mark.parametrize("name", PLAIN)
    def test_of_a_page(self, admin: Page, pages: dict[str, str], name: str) -> None:
        admin.goto(PLAIN[name])
        look(admin, name)

    @pytest.mark.parametrize("name", SEEDED)
    def test_of_a_page_about_something(self, admin: Page, pages: dict[str, str], name: str) -> None:
        assert {*pages} == {*SEEDED}
        admin.goto(pages[name])
        look(admin, name)

    @pytest.mark.parametrize("number", ["+442079460001", "+442079460999", "abc"])
    @pytest.mark.parametrize(("name", "button"), [("evidence", "Show"), ("calling rules", "What holds for it?")])
    def test_of_a_page_about_a_number(
        self, admin: Page, pages: dict[str, str], name: str, button: str, number: str
    ) -> None:
        admin.goto(PLAIN[name])
        admin.locator("#id_number").fill(number)
        Desk(admin).press(button)
        admin.wait_for_load_state()
        assert number.lstrip("+") not in admin.url
        look(admin, f"{name}, {number}")

    @pytest.mark.parametrize("name", EMPTY)
    def test_for_who_sees_nothing(self, windows: Windows, pages: dict[str, str], name: str) -> None:
        page = windows.of("nobody")
        page.goto(EMPTY[name])
        look(page, name)

    @pytest.mark.parametrize("name", ["call group, running", "contact group", "contact groups", "sounds"])
    def test_for_a_viewer(self, windows: Windows, pages: dict[str, str], name: str) -> None:
        page = windows.of("viewer")
        page.goto({**pages, **PLAIN}[name])
        look(page, f"{name}, of a viewer")

    def test_of_signing_in_and_being_refused(self, stranger: Page) -> None:
        page = stranger
        page.goto("/login/")
        look(page, "login")
        desk = Desk(page)
        for _ in range(5):
            page.get_by_label("Username").fill("nobody at all")
            page.get_by_label("Password").fill("wrong")
            desk.press("Sign in")
            page.wait_for_load_state()
            if not page.get_by_text("Too many wrong passwords").count():
                look(page, "login, refused")
        expect(page.get_by_role("heading", level=1)).to_have_text("Too many wrong passwords")
        look(page, "login, locked")

    def test_of_a_form_whose_token_is_old(self, stranger: Page) -> None:
        page = stranger
        page.goto("/login/")
        page.evaluate("document.querySelector('[name=csrfmiddlewaretoken]').value = 'old'")
        page.get_by_label("Username").fill("admin")
        page.get_by_label("Password").fill("whatever")
        Desk(page).press("Sign in")
        page.wait_for_load_state()
        look(page, "form expired")

    @pytest.mark.parametrize(
        "name",
        [
            "start",
            "contact group, new",
            "combine, merge",
            "suppression, add",
            "sound, new",
            "ivr, new",
            "override",
            "user, new",
            "password",
            "user",
        ],
    )
    def test_of_a_form_with_errors(self, admin: Page, pages: dict[str, str], name: str) -> None:
        admin.goto({**pages, **PLAIN}[name])
        admin.evaluate("document.querySelectorAll('main input[type=text]').forEach((each) => each.value = '')")
        admin.evaluate("document.querySelectorAll('main input[type=password]').forEach((each) => each.value = 'wrong')")
        admin.locator("main form button[type=submit]").first.click()
        admin.wait_for_load_state()
        expect(admin.locator("[aria-invalid=true], .field-errors, [role=alert]").first).to_be_attached()
        look(admin, f"{name}, with errors")

    def test_of_a_new_password(self, admin: Page, pages: dict[str, str]) -> None:
        admin.goto(pages["user, password"])
        Desk(admin).press("Set the password")
        expect(admin.locator("code").first).to_be_visible()
        look(admin, "user, password shown")

    def test_of_the_menu_on_a_phone(self, admin: Page) -> None:
        admin.set_viewport_size({"width": 360, "height": 740})
        admin.goto("/")
        admin.get_by_role("button", name="Menu", exact=True).click()
        expect(admin.get_by_role("link", name="Suppression")).to_be_visible()
        assert admin.evaluate(FAULTS) == []
        if SCREENSHOTS:
            admin.screenshot(path=Path(SCREENSHOTS, "menu-360-light.png"))
        admin.keyboard.press("Escape")
        expect(admin.get_by_role("link", name="Suppression")).to_be_hidden()


class TestKeyboard:
    FOCUSED = """() => {
        const element = document.activeElement, style = getComputedStyle(element);
        const box = element.getBoundingClientRect();
        const label = element.labels?.[0] ?? element;
        // Radio buttons and boxes that are drawn by their card show the focus there, parts of a date field themselves.
        const shown = !element.matches(":focus") || [element, ...(element.labels ?? [])].some((each) => {
            const { outlineStyle, boxShadow } = getComputedStyle(each);
            return outlineStyle !== "none" || boxShadow !== "none";
        });
        return {
            name: (element.getAttribute("aria-label") ?? label.textContent).trim().replace(/\\s+/g, " "),
            visible: box.bottom > 0 && box.top < innerHeight && style.visibility === "visible",
            shown,
        };
    }"""

    def tab_to(self, page: Page, name: str) -> list[str]:
        """Press Tab until the focus is on what is called so; return what it was on."""
        passed = []
        for _ in range(40):
            page.keyboard.press("Tab")
            focused = page.evaluate(self.FOCUSED)
            assert focused["visible"], focused
            assert focused["shown"], focused
            passed.append(focused["name"])
            if focused["name"].startswith(name):
                return passed
        raise AssertionError(passed)

    def test_calls_are_started_without_a_mouse(self, admin: Page) -> None:
        keys = admin.keyboard
        admin.goto("/start/")
        assert self.tab_to(admin, "Skip to the content") == ["Skip to the content"]
        keys.press("Enter")
        self.tab_to(admin, "Numbers that I type or paste")
        self.tab_to(admin, "Phone numbers")
        keys.type("020 7946 0520")
        self.tab_to(admin, "A sound")
        assert self.tab_to(admin, "Sound") == ["Sound"]
        keys.type("1.sound")
        assert self.tab_to(admin, "Campaign") == ["Campaign optional"]
        keys.type("By keyboard")
        self.tab_to(admin, "More options")
        keys.press("Enter")
        self.tab_to(admin, "Delay")
        keys.type("900")
        self.tab_to(admin, "Check what would happen")
        keys.press("Enter")
        expect(admin.get_by_role("heading", level=1)).to_have_text("Preflight")
        self.tab_to(admin, "Start 1 call")
        keys.press("Enter")
        admin.wait_for_url(re.compile(r"/call-groups/\d+/$"))
        self.tab_to(admin, "Pause")
        keys.press("Enter")
        expect(admin.locator("#summary h1")).to_contain_text("Paused")
        self.tab_to(admin, "Cancel what is held")
        keys.press("Enter")
        expect(admin.get_by_role("heading", level=1)).to_have_text("Cancel what is held?")
        self.tab_to(admin, "Cancel 1 held call")
        keys.press("Enter")
        expect(admin.locator("#summary h1")).to_contain_text("Cancelled")


class TestWithoutScripts:
    @pytest.fixture
    def desk(self, browser: Browser, sandbox: Portal) -> Iterator[Desk]:
        context = browser.new_context(base_url=sandbox.url, viewport=WIDE, java_script_enabled=False)
        watch = Watch(context, sandbox.url)
        desk = Desk(context.new_page())
        desk.sign_in()
        yield desk
        context.close()
        assert watch.complaints == []

    def test_calls_are_started_read_and_steered(self, desk: Desk) -> None:
        page = desk.page
        desk.fill_start(group="Demo: sandbox numbers", Campaign="No scripts")
        desk.check()
        # Numbers that answered DND to other tests are suppressed, so how many calls there are depends on these.
        button = page.get_by_role("button", name=re.compile(r"^Start \d+ calls$"))
        calls = int(button.inner_text().split()[1])
        group = desk.confirm()
        deadline = time.monotonic() + PATIENCE / 1000
        while not page.get_by_role("heading", level=1).get_by_text("Finished").count():
            assert time.monotonic() < deadline
            page.wait_for_timeout(500)
            page.reload()
        expect(page.locator("#summary .sentence")).to_contain_text(f"of {calls} calls were reached")
        expect(page.locator("#calls-rows tbody tr")).to_have_count(50)
        desk.follow("Next")
        expect(page.locator("#calls-rows tbody tr")).to_have_count(calls - 50)
        page.get_by_role("navigation", name="Which calls").get_by_role("link", name="Not reached").click()
        assert f"/call-groups/{group}/" in page.url
        assert page.locator("#calls-rows tbody tr").count() > 0

        desk.fill_start("020 7946 0530", Delay="900")
        desk.check()
        desk.confirm()
        desk.press("Pause")
        desk.press("Resume")
        desk.follow("Cancel what is held")
        desk.press("Cancel 1 held call")
        expect(page.get_by_role("heading", level=1)).to_contain_text("Cancelled")

    def test_the_audit_log_is_searched(self, desk: Desk) -> None:
        page = desk.page
        desk.go("Audit log")
        page.get_by_label("Who", exact=True).fill("admin")
        page.get_by_label("What was done").select_option("Signed in or out")
        page.get_by_label("Who", exact=True).press("Enter")
        expect(page.locator(".audit-entries > li").first).to_contain_text("admin signed in")
        expect(page.get_by_role("button", name="Export these as CSV")).to_be_visible()
        page.get_by_role("link", name="Details of entry").first.click()
        expect(page.locator(".facts")).to_contain_text("127.0.0.1")
        page.locator(".facts a").click()
        expect(page.get_by_label("Kind of thing")).to_have_value("user")

        page.get_by_label("Who", exact=True).fill("nobody such")
        desk.press("Search")
        expect(page.locator("#id_who_error")).to_contain_text("There is no user “nobody such”")
        expect(page.get_by_label("Who", exact=True)).to_have_value("nobody such")

    def test_the_connection_is_checked(self, desk: Desk) -> None:
        page = desk.page
        desk.go("Carrier")
        checked_at = page.locator("#check time")
        before = checked_at.get_attribute("datetime") if checked_at.count() else ""
        page.wait_for_timeout(1_000)  # times are shown in whole seconds
        desk.press("Check the connection")
        desk.expect_message("The connection is checked in the background")
        deadline = time.monotonic() + PATIENCE / 1000
        while not checked_at.count() or checked_at.get_attribute("datetime") == before:
            assert time.monotonic() < deadline
            page.wait_for_timeout(500)
            page.reload()
        expect(page.locator("#check")).to_contain_text("The sandbox answers. No phone rings.")
