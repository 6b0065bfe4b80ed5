"""The scripts, in a real browser, on pages of their own: nothing of Django or the database is needed."""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import django_htmx
import pytest
from django.conf import settings
from django.template.loader import render_to_string
from playwright.sync_api import Browser, Page, expect, sync_playwright

SOURCES = {
    **{f"/{path.name}": path for path in Path(settings.BASE_DIR, "static/js").glob("*.js")},
    "/base.css": Path(settings.BASE_DIR, "static/css/base.css"),
    "/htmx.js": Path(django_htmx.__file__).parent / "static/django_htmx/htmx-2.min.js",
}
HEAD = """<!doctype html><html lang="en" data-zone="Asia/Kolkata"><title>Page</title>
<meta name="htmx-config" content='{"allowEval": false, "includeIndicatorStyles": false, "timeout": 400}'>
<link rel="stylesheet" href="/base.css"><script src="/theme.js"></script>
<script src="/htmx.js" defer></script><script src="/poll.js" defer></script>
<script src="/forms.js" defer></script><script src="/page.js" defer></script>"""
FRAGMENT = """<section id="part" {trigger}><p id="seen">Refresh {number}</p>
<details id="more"><summary>More</summary><a href="#there">There</a></details>
<button type="button" popovertarget="ask">Cancel</button>
<button type="button" class="twin">Row</button><button type="button" class="twin">Row</button>
<div id="ask" popover class="dialog"><div class="dialog-footer"><button>Keep</button><button>Do it</button></div></div>
<pre id="wide" tabindex="0">{long}</pre><p>{long}</p></section>"""


class Site(ThreadingHTTPServer):
    """A fragment that refreshes itself, and what the test wants it to answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.mode = "new"
        self.asked = 0
        self.posted: list[bytes] = []
        self.page = ""
        self.released = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def fragment(self) -> str:
        trigger = "" if self.mode == "final" else 'hx-get="/part" hx-trigger="every 100ms" hx-swap="outerHTML"'
        return FRAGMENT.format(trigger=trigger, number=self.asked, long="far " * 500)


class Answer(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        if self.path in SOURCES:
            kind = "text/css" if self.path.endswith(".css") else "text/javascript"
            self.send(200, SOURCES[self.path].read_bytes(), kind)
        elif self.path == "/part":
            self.server.asked += 1
            if self.server.mode == "slow":
                self.server.released.wait(10)
            status = {"failing": 500, "unchanged": 204}.get(self.server.mode, 200)
            self.send(status, self.server.fragment().encode() if status == 200 else b"")
        else:
            self.send(200, (HEAD + (self.server.page or self.server.fragment())).encode())

    def do_POST(self) -> None:
        self.server.posted.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send(200, (HEAD + "<h1>Done</h1>").encode())

    def send(self, status: int, body: bytes, kind: str = "text/html") -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Security-Policy", "default-src 'self'")
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(ConnectionError):  # the page was left meanwhile
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("OBD_CHROMIUM", "/usr/bin/chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    thread = threading.Thread(target=site.serve_forever, args=(0.05,))
    thread.start()
    yield site
    site.released.set()
    site.shutdown()
    site.server_close()
    thread.join()


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 800, "height": 200}, color_scheme="light")
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []


def more_refreshes(page: Page, number: int = 2) -> None:
    """Wait until the fragment was replaced `number` times."""
    start = int(page.inner_text("#seen").split()[1])
    page.wait_for_function(
        "start => +document.querySelector('#seen').textContent.split(' ')[1] >= start", arg=start + number
    )


class TestPolling:
    def test_keeps_what_is_open_the_focus_and_the_scroll_positions(self, page: Page, site: Site) -> None:
        page.goto(site.address)
        page.click("summary")
        page.focus("text=There")
        page.evaluate("() => { scrollTo(0, 120); document.querySelector('#wide').scrollLeft = 300; }")

        more_refreshes(page)

        assert page.evaluate("document.querySelector('#more').open")
        assert page.evaluate("document.activeElement.textContent") == "There"
        assert page.evaluate("[scrollY, document.querySelector('#wide').scrollLeft]") == [120, 300]

    @pytest.mark.parametrize("which", ["[popovertarget]", "summary", ".twin:nth-of-type(3)"])
    def test_keeps_the_focus_by_words(self, page: Page, site: Site, which: str) -> None:
        page.goto(site.address)
        page.focus(which)
        more_refreshes(page)
        assert page.evaluate("which => document.activeElement === document.querySelector(which)", which)

    def test_keeps_closed_what_was_closed(self, page: Page, site: Site) -> None:
        page.goto(site.address)
        for _ in range(2):
            page.click("summary")
        more_refreshes(page)
        assert not page.evaluate("document.querySelector('#more').open")

    def test_an_open_dialog_holds_the_refresh_back(self, page: Page, site: Site) -> None:
        page.goto(site.address)
        page.click("text=Cancel")
        seen, asked = page.inner_text("#seen"), site.asked
        expect(page.locator("text=Keep")).to_be_focused()

        page.wait_for_function(
            "() => performance.getEntriesByType('resource').filter(e => e.name.endsWith('/part')).length"
            f" >= {asked + 3}"
        )
        assert page.inner_text("#seen") == seen
        page.keyboard.press("Escape")
        more_refreshes(page)

    @pytest.mark.parametrize("how", ["mouse", "keyboard"])
    def test_what_is_being_pressed_holds_the_refresh_back(self, page: Page, site: Site, how: str) -> None:
        page.goto(site.address)
        if how == "mouse":
            page.hover("text=Cancel")
            page.mouse.down()
        else:
            page.focus("text=Cancel")
            page.keyboard.down("Space")
        seen, asked = page.inner_text("#seen"), site.asked
        page.wait_for_function(
            "() => performance.getEntriesByType('resource').filter(e => e.name.endsWith('/part')).length"
            f" >= {asked + 3}"
        )
        assert page.inner_text("#seen") == seen
        if how == "mouse":
            page.mouse.up()
        else:
            page.keyboard.up("Space")
        expect(page.locator("text=Keep")).to_be_focused()  # it was pressed
        page.keyboard.press("Escape")
        more_refreshes(page)

    @pytest.mark.parametrize("fault", ["failing", "slow", "away"])
    def test_says_since_when_nothing_was_updated_until_it_is_again(self, page: Page, site: Site, fault: str) -> None:
        page.goto(site.address)
        more_refreshes(page)
        site.mode = fault
        if fault == "away":
            page.route("**/part", lambda route: route.abort())

        expect(page.locator(".stale-mark")).to_have_text(  # once, however often it fails
            re.compile(r"^Not updated since \d\d:\d\d:\d\d$")
        )
        site.mode = "unchanged"
        site.released.set()
        page.unroute("**/part")
        expect(page.locator(".stale-mark")).to_have_count(0)
        expect(page.locator("#part")).not_to_have_class("is-stale")

    def test_a_hidden_tab_does_not_ask_and_asks_at_once_when_it_is_shown(self, page: Page, site: Site) -> None:
        page.goto(site.address)
        more_refreshes(page)
        page.evaluate("""() => {
            window.cancelled = 0;
            document.addEventListener("htmx:beforeRequest", (event) => cancelled += event.defaultPrevented);
            Object.defineProperty(document, "hidden", { value: true, configurable: true });
        }""")
        page.wait_for_function("() => cancelled >= 1")
        asked = site.asked
        page.wait_for_function("() => cancelled >= 5")
        assert site.asked == asked

        shown = page.evaluate("""() => {
            Object.defineProperty(document, "hidden", { value: false });
            let requests = 0;
            document.addEventListener("htmx:beforeSend", () => requests++);
            document.dispatchEvent(new Event("visibilitychange"));
            return requests;
        }""")
        assert shown == 1
        more_refreshes(page)

    def test_the_final_fragment_asks_no_more(self, page: Page, site: Site) -> None:
        page.goto(site.address)
        site.mode = "final"
        page.wait_for_selector("#part:not([hx-trigger])")
        asked = site.asked
        page.evaluate("new Promise((resolve) => setTimeout(resolve, 500))")
        assert site.asked == asked


class TestForms:
    FORM = '<form method="post" action="/done"><input name="campaign" value="Reminders">{}</form>'
    BUTTON = '<button name="step" value="confirm">Start</button>'

    def test_a_form_is_sent_once_with_the_button_that_was_pressed(self, page: Page, site: Site) -> None:
        site.page = self.FORM.format(self.BUTTON)
        page.goto(site.address)
        page.evaluate("""() => {
            const button = document.querySelector("button");
            button.click();
            button.click();
            button.form.requestSubmit();
        }""")
        page.wait_for_selector("text=Done")
        assert site.posted == [b"campaign=Reminders&step=confirm"]

    def test_both_formats_of_an_export_can_be_fetched(
        self, page: Page, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def download(answer: Answer) -> None:
            answer.server.posted.append(answer.rfile.read(int(answer.headers["Content-Length"])))
            answer.send(200, b"a", "application/octet-stream")  # which is no page

        monkeypatch.setattr(Answer, "do_POST", download)
        site.page = render_to_string("components/export_buttons.html", {"kind": "calls"})
        page.goto(site.address)
        for kind in ("csv", "xlsx"):
            with page.expect_download():
                page.click(f"button[value={kind}]")
        assert [body.rpartition(b"=")[2] for body in site.posted] == [b"csv", b"xlsx"]

    def test_the_button_says_that_it_is_busy_and_works_again_after_going_back(self, page: Page, site: Site) -> None:
        site.page = self.FORM.format(self.BUTTON)
        page.goto(site.address)
        page.evaluate("document.addEventListener('submit', (event) => setTimeout(() => event.preventDefault()))")
        page.route("**/done", lambda route: route.fulfill(status=204))
        page.click("text=Start")
        expect(page.locator("button")).to_be_disabled()
        expect(page.locator("button")).to_have_attribute("aria-busy", "true")

        page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
        expect(page.locator("button")).to_be_enabled()
        expect(page.locator("button")).not_to_have_attribute("aria-busy", "true")

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "0 numbers"),
            ("020 7946 0001", "1 number"),
            ("020 7946 0001, +44 20 7946 0002;02079460003|02079460004\n02079460005", "5 numbers"),
            ("02079460001 02079460002", "2 numbers"),
            ("Asha: 020 7946 0001\n(020) 7946-0002 Ravi", "2 numbers"),
            ("02079460001\n020 7946 0001", "2 numbers, 1 repeated"),
            ("Asha\nRavi", "0 numbers"),
        ],
    )
    def test_numbers_are_counted_while_typing(self, page: Page, site: Site, text: str, said: str) -> None:
        site.page = (
            '<label for="n">Numbers</label><textarea id="n"></textarea><output for="n" data-count="numbers"></output>'
        )
        page.goto(site.address)
        page.fill("#n", "020 7946 0999")
        page.fill("#n", text)
        expect(page.locator("output")).to_have_text(said)

    CHOICES = (
        '<form method="post" action="/done"><fieldset>'
        '<div data-filter hidden><input type="search"><output></output></div><div class="choices"><div>{}</div></div>'
        "</fieldset><button>Send</button></form>"
    )
    CHOICE = '<div><label><input type="checkbox" name="groups" value="{0}"> Pune {0}</label></div>'

    def test_a_long_list_of_choices_shows_what_fits_and_what_is_chosen(self, page: Page, site: Site) -> None:
        site.page = self.CHOICES.format("".join(map(self.CHOICE.format, range(1, 31))))
        page.goto(site.address)
        page.check("text='Pune 7'")
        page.fill("[type=search]", " puNE 2")
        shown = [f"Pune {n}" for n in (2, 7, *range(20, 30))]
        expect(page.locator(".choices label:visible")).to_have_text(shown)
        expect(page.locator("output")).to_have_text("12 of 30 shown")
        page.keyboard.press("Enter")  # a filter is no form
        page.check("text='Pune 29'")
        page.fill("[type=search]", "nothing")
        expect(page.locator(".choices label:visible")).to_have_text(["Pune 7", "Pune 29"])
        page.fill("[type=search]", "")
        expect(page.locator(".choices label:visible")).to_have_count(30)
        expect(page.locator("output")).to_have_text("")
        page.fill("[type=search]", "13")
        page.click("text=Send")
        page.wait_for_selector("text=Done")
        assert site.posted == [b"groups=7&groups=29"]

    def test_a_short_list_of_choices_needs_no_filter(self, page: Page, site: Site) -> None:
        site.page = self.CHOICES.format("".join(map(self.CHOICE.format, range(1, 13))))
        page.goto(site.address)
        expect(page.locator(".choices label:visible")).to_have_count(12)
        expect(page.locator("[type=search]")).to_be_hidden()

    def test_characters_are_counted_from_the_start(self, page: Page, site: Site) -> None:
        site.page = (
            '<textarea id="m" maxlength="1000">Hello</textarea><output for="m" data-count="characters"></output>'
        )
        page.goto(site.address)
        expect(page.locator("output")).to_have_text("5 of 1,000 characters")


class TestTheme:
    BUTTON = '<button type="button" data-theme-toggle>Theme</button>'

    def test_is_remembered(self, page: Page, site: Site) -> None:
        site.page = self.BUTTON
        page.goto(site.address)
        root = page.locator("html")
        expect(root).to_have_attribute("data-theme-shown", "light")
        assert root.get_attribute("data-theme") is None

        page.click("button")
        expect(root).to_have_attribute("data-theme", "dark")
        page.reload()
        expect(root).to_have_attribute("data-theme", "dark")
        page.click("button")
        expect(root).to_have_attribute("data-theme", "light")

    def test_follows_the_system_until_one_is_chosen(self, page: Page, site: Site) -> None:
        site.page = self.BUTTON
        page.emulate_media(color_scheme="dark")
        page.goto(site.address)
        expect(page.locator("html")).to_have_attribute("data-theme-shown", "dark")


@pytest.mark.parametrize("clipboard", ["open", "closed"])
def test_a_value_is_copied_whether_or_not_scripts_may_use_the_clipboard(page: Page, site: Site, clipboard: str) -> None:
    site.page = '<button type="button" data-copy="100042">Copy</button><input aria-label="Here">'
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(site.address)
    if clipboard == "closed":
        page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.click("button")
    expect(page.locator("[role=status]")).to_have_text("Copied")
    page.focus("input")
    page.keyboard.press("Control+v")
    expect(page.locator("input")).to_have_value("100042")
    expect(page.locator("[role=status]")).to_have_count(0)
