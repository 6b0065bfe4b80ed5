"""The portals and the browser of these tests.

All of it lives for this package only: while playwright runs, Django's own database calls in this process are refused.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, sync_playwright

from tests.browser.desk import Desk, Watch
from tests.browser.portal import Portal, running_portal
from tests.obd_server import ObdServer

WIDE: ViewportSize = {"width": 1440, "height": 900}


@pytest.fixture(scope="package")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-quic",
                "--disable-sync",
                "--no-first-run",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def sandbox() -> Iterator[Portal]:
    """The portal as a newcomer finds it, on a sandbox in a hurry."""
    with running_portal() as portal:
        yield portal


@pytest.fixture(scope="package")
def pages(sandbox: Portal) -> dict[str, str]:
    """The addresses of pages with something on them, by name; `seed` made it."""
    addresses: dict[str, str] = sandbox.run("-m", "tests.browser.seed")
    return addresses


@pytest.fixture(scope="package")
def carrier() -> Iterator[ObdServer]:
    """The other side of the `obd` portal. Its calls are short."""
    with ObdServer() as server:
        server.rings, server.talks = 0.5, 1.0
        yield server


@pytest.fixture(scope="package")
def obd(carrier: ObdServer) -> Iterator[Portal]:
    """A portal that hands its calls to `carrier`, and whose callbacks may reach the loopback."""
    with running_portal(
        CARRIER="obd", OBD_BASE_URL=carrier.url, OBD_API_KEY=carrier.key, CALLBACK_ALLOW="127.0.0.0/8"
    ) as portal:
        yield portal


@pytest.fixture
def portal(sandbox: Portal) -> Portal:
    """The portal that a test works with; modules for another carrier replace this."""
    return sandbox


@pytest.fixture
def watched(browser: Browser, portal: Portal) -> Iterator[tuple[BrowserContext, Watch]]:
    """A browser without cookies, and what writes down everything that no page may do in it."""
    context = browser.new_context(base_url=portal.url, viewport=WIDE, color_scheme="light", accept_downloads=True)
    watch = Watch(context, portal.url)
    yield context, watch
    context.close()
    assert watch.complaints == []


@pytest.fixture
def context(watched: tuple[BrowserContext, Watch]) -> BrowserContext:
    return watched[0]


@pytest.fixture
def watch(watched: tuple[BrowserContext, Watch]) -> Watch:
    return watched[1]


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture
def desk(page: Page) -> Desk:
    """An admin at work, signed in."""
    desk = Desk(page)
    desk.sign_in()
    return desk
