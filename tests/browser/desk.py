"""What people do in the browser, and what pages must never do there."""

import re
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Locator, Page, Request, Response, expect

from tests.browser.portal import PASSWORD

PATIENCE = 60_000
"""Milliseconds that a loaded machine may need to bring a call group to its end."""

expect.set_options(timeout=15_000)


class Watch:
    """Writes down errors in the console, blocked or failed requests, and requests to another host."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.complaints: list[str] = []
        self.host = urlsplit(url).netloc
        context.on("console", self._console)
        context.on("weberror", lambda error: self.complaints.append(f"error in a script: {error.error}"))
        context.on("request", self._request)
        context.on("requestfailed", self._failed)
        context.on("response", self._response)

    def forgive(self, beginning: str) -> None:
        """Forget complaints that begin so: the test brought them about. There must be some."""
        left = [each for each in self.complaints if not each.startswith(beginning)]
        assert len(left) < len(self.complaints)
        self.complaints = left

    def _console(self, message: ConsoleMessage) -> None:
        # That an answer was not 200 is judged by `_response`: pages may be answers to wrong input.
        if message.type in {"error", "warning"} and not message.text.startswith("Failed to load resource"):
            self.complaints.append(f"console: {message.text}")

    def _request(self, request: Request) -> None:
        if urlsplit(request.url).netloc != self.host and not request.url.startswith("blob:"):
            self.complaints.append(f"another host: {request.url}")

    def _failed(self, request: Request) -> None:
        # Leaving a page ends what it was still asking for.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"failed: {request.url} {request.failure}")

    def _response(self, response: Response) -> None:
        is_page = response.request.resource_type == "document"
        if response.status >= 500 or (response.status >= 400 and not is_page):
            self.complaints.append(f"answered {response.status}: {response.url}")


class Desk:
    """Somebody at work in one tab."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def sign_in(self, username: str = "admin", password: str = PASSWORD) -> None:
        """From the login page to where it leads."""
        if "/login/" not in self.page.url:
            self.page.goto("/login/")
        self.page.get_by_label("Username").fill(username)
        self.page.get_by_label("Password").fill(password)
        self.press("Sign in")
        self.page.wait_for_url(lambda url: "/login/" not in url)

    def press(self, name: str) -> None:
        """Press the button whose name begins so."""
        self.button(name).click()

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=re.compile(f"^{re.escape(name)}")).first

    def follow(self, name: str) -> None:
        """Follow the link whose name begins so."""
        self.page.get_by_role("main").get_by_role("link", name=re.compile(f"^{re.escape(name)}")).first.click()

    def go(self, section: str) -> None:
        """Go to a section by the navigation."""
        self.page.get_by_role("navigation", name="Main").get_by_role("link", name=section, exact=True).click()

    def expect_message(self, text: str) -> None:
        expect(self.page.locator(".messages")).to_contain_text(text)

    def fill_start(self, numbers: str = "", group: str = "", **more: str) -> None:
        """Fill in the form that starts calls: whom, with sound 1; more by the label of the field."""
        self.page.goto("/start/")
        if group:
            self.page.get_by_role("radio", name="Contact groups").check()
            self.page.get_by_role("checkbox", name=re.compile(f"^{re.escape(group)} ")).check()
        else:
            self.page.get_by_label("Phone numbers").fill(numbers)
        self.page.get_by_label("Sound", exact=True).select_option(label=more.pop("sound", "1.sound Demo: chime"))
        if more.keys() - {"Campaign", "Retries"}:
            self.page.get_by_text("More options").click()
        for label, text in more.items():
            self.page.get_by_label(label).fill(text)

    def check(self) -> None:
        """From the form to the preflight."""
        self.press("Check what would happen")
        expect(self.page.get_by_role("heading", level=1)).to_have_text("Preflight")

    def confirm(self) -> int:
        """From the preflight to the call group, whose ID this returns."""
        self.press("Start ")
        self.page.wait_for_url(re.compile(r"/call-groups/\d+/$"))
        return int(self.page.url.rstrip("/").rpartition("/")[2])
