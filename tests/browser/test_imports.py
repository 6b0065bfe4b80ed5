"""A file with 100,000 rows through the real portal: upload, preview, import, cancel, import again, undo."""

import re
from pathlib import Path

import pytest
from phonenumbers import is_valid_number, parse
from playwright.sync_api import Page, expect

from tests.browser.desk import PATIENCE, Desk
from tests.browser.portal import Portal
from tests.browser.test_combine import make
from tests.factories import number

ROWS = 100_000


def drama() -> list[str]:
    """All numbers set apart for drama: Ofcom's, and 555-0100 to 555-0199 of each area code of North America."""
    areas = [area for area in range(200, 1000) if is_valid_number(parse(f"+1{area}5550100"))]
    return [number(i) for i in range(14_000)] + [f"+1{area}555{i:04}" for area in areas for i in range(100, 200)]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A CSV file, and how many different numbers it has; its last row is refused."""
    path, numbers = tmp_path_factory.mktemp("imports") / "customers.csv", drama()
    rows = (f"'{numbers[i % len(numbers)]},Customer {i},Town {i % 50}\n" for i in range(ROWS - 1))
    path.write_text("Mobile,Customer name,City\n" + "".join(rows) + "12,Refused,\n")
    return path, len(numbers)


def stat(page: Page, label: str) -> str:
    return page.locator(".stat", has=page.get_by_text(label, exact=True)).locator(".stat-value").inner_text()


def choose(desk: Desk, group: int, path: Path) -> None:
    """From the page of a contact group to the preview of a file."""
    desk.page.goto(f"/contact-groups/{group}/")
    desk.follow("Paste or upload")
    desk.page.get_by_label("Or choose a file").set_input_files(path)
    desk.press("Show how it is read")
    expect(desk.page.get_by_role("heading", level=1)).to_have_text("Is it read right?")


def begin(desk: Desk) -> None:
    with desk.page.expect_navigation():
        desk.press("Import")


def test_a_large_file(desk: Desk, portal: Portal, large: tuple[Path, int]) -> None:
    page, group = desk.page, make(portal, "Import of a large file", 1)
    path, numbers = large
    choose(desk, group, path)
    expect(page.get_by_label("Customer name")).to_have_value("name")
    expect(page.locator(".preview tbody:first-of-type tr")).to_have_count(20)
    expect(page.locator(".preview tbody tr").first).to_contain_text("+44 20 7946 0000")

    # Cancelled while it is at work, nothing is changed.
    begin(desk)
    page.reload()
    expect(page.locator("#import progress")).to_be_visible()
    desk.press("Cancel")
    expect(page.locator("#import")).to_contain_text("Nothing was changed.")

    desk.follow("Import something else")
    choose(desk, group, path)
    page.get_by_label("City").select_option("Leave out")
    desk.press("Read the rows again")
    expect(page.get_by_label("City")).to_have_value("skip")
    begin(desk)
    address = page.url
    page.reload()
    expect(page.locator("#import .callout")).to_contain_text("Done, but some rows were refused", timeout=PATIENCE)
    assert page.url == address
    said = [stat(page, label) for label in ("Rows", "Added", "Repeated", "Refused")]
    assert said == [f"{ROWS:,}", f"{numbers:,}", f"{ROWS - 1 - numbers:,}", "1"]
    with page.expect_download() as download:
        desk.follow("Download refused rows")
    assert "12,Refused,,too short: 2 digits" in Path(download.value.path()).read_text()

    desk.follow("Undo this import")
    expect(page.locator("main")).to_contain_text(f"{numbers:,} contacts that it added are removed")
    with page.expect_navigation():
        desk.press("Undo the import")
    expect(page.locator("#import .callout")).to_contain_text("What was there before is there again", timeout=PATIENCE)
    page.goto(f"/contact-groups/{group}/")
    expect(page.locator(".page-subtitle")).to_contain_text("1 contact,")
    expect(page.get_by_role("region", name="Imports").locator("tbody tr")).to_have_count(2)


def test_an_upload_shows_how_far_it_is_can_be_stopped_and_keeps_what_was_chosen(
    desk: Desk, portal: Portal, large: tuple[Path, int], tmp_path: Path
) -> None:
    page, group = desk.page, make(portal, "Stopped upload", 1)
    page.goto(f"/contact-groups/{group}/import/")
    network = page.context.new_cdp_session(page)
    network.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 200_000}
    network.send("Network.emulateNetworkConditions", slow)
    page.get_by_label("Or choose a file").set_input_files(large[0])
    desk.press("Show how it is read")
    expect(page.get_by_role("progressbar", name="Upload")).to_be_visible()
    expect(page.locator("[data-said]")).to_have_text(re.compile(r"MiB of .* MiB"))
    desk.press("Stop the upload")
    expect(page.locator("[data-problem]")).to_have_text("The upload was stopped. Nothing was imported.")

    # What is wrong is said on the page, which keeps the file that was chosen.
    network.send("Network.emulateNetworkConditions", slow | {"uploadThroughput": -1})
    picture = tmp_path / "picture.csv"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(1000))
    page.get_by_label("Or choose a file").set_input_files(picture)
    desk.press("Show how it is read")
    expect(page.get_by_role("alert").first).to_be_visible()
    assert page.get_by_label("Or choose a file").evaluate("field => field.files[0].name") == "picture.csv"
    expect(desk.button("Show how it is read")).to_be_enabled()
    page.get_by_label("Paste numbers").evaluate("field => { field.value = '1'.repeat(21 * 2 ** 20); }")
    desk.press("Show how it is read")
    expect(page.locator("[data-problem]")).to_contain_text("Save it as a file, and choose that.")
