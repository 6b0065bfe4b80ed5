"""The main job on the sandbox: from signing in to calling again those who were not reached."""

import csv
import io
import math
import re
import struct
import wave
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.desk import PATIENCE, Desk, Watch
from tests.factories import number

# The last digit decides how a sandbox call ends: 6 no answer, 7 busy, 9 failed; 8 is reached on a retry only.
REACHED = [f"+4420794603{i:02}" for i in (0, 1, 2, 3, 4, 5, 10, 11)]
NOT_REACHED = [f"+4420794603{i:02}" for i in (6, 7, 8, 9, 16)]
PASTED = "\n".join(
    [
        "Asha: 020 7946 0300",
        "020 7946 0301; 020 7946 0302 | +44 20 7946 0303",
        "02079460304,02079460305,02079460310\t02079460311",
        "0044 20 7946 0306",
        *(number for number in NOT_REACHED[1:]),
        "020 7946 0301",  # again
        "12",  # no phone number
    ]
)
LENGTH = """() => new Promise((known) => {
    const player = document.querySelector("audio");
    if (player.readyState) known(player.duration);
    player.addEventListener("loadedmetadata", () => known(player.duration));
})"""
LATER = ", ".join(f"020 7946 04{i:02}" for i in range(40))


def tone(path: Path) -> Path:
    """A WAV file: two seconds of a tone."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(b"".join(struct.pack("<h", int(9_000 * math.sin(i / 6))) for i in range(32_000)))
    return path


def downloaded(page: Page, button: str) -> list[dict[str, str]]:
    """The rows of the CSV file behind a button."""
    with page.expect_download() as download:
        page.get_by_role("button", name=button).first.click()
    text = Path(download.value.path()).read_text(encoding="utf-8-sig")
    return list(csv.DictReader(io.StringIO(text)))


def numbers_of(rows: list[dict[str, str]]) -> list[str]:
    column = next(name for name in rows[0] if name.lower() in {"number", "mobile"})
    return [row[column] for row in rows]


def watch_without_touching(page: Page) -> list[str]:
    """Wait until the page says that the call group has ended; return each sentence that it showed on the way."""
    page.evaluate("""() => {
        window.untouched = true;  // a page that is loaded anew has forgotten it
        const sentence = () => document.querySelector("#summary .sentence").textContent.trim();
        window.sentences = [sentence()];
        new MutationObserver(() => {
            if (sentences.at(-1) !== sentence()) sentences.push(sentence());
        }).observe(document.querySelector("#main"), { childList: true, subtree: true });
    }""")
    expect(page.locator("#summary h1")).to_contain_text("Finished", timeout=PATIENCE)
    assert page.evaluate("window.untouched")
    expect(page.locator("#summary")).not_to_have_attribute("hx-trigger", re.compile("every"))
    return list(page.evaluate("sentences"))


class TestMainJob:
    def test_from_signing_in_to_calling_again(self, page: Page, tmp_path: Path) -> None:
        desk = Desk(page)
        page.goto("/")
        desk.sign_in()
        expect(page.get_by_role("heading", level=1)).to_be_visible()

        contacts = self.make_contact_group(desk)
        self.make_sound(desk, tmp_path)
        parent = self.call(desk, contacts)
        child = self.call_again(desk, parent)
        page.get_by_role("link", name=f"call group {parent}").first.click()
        expect(page.get_by_role("main")).to_contain_text(f"Again in call group {child}")
        self.call_again_as_filtered(desk, parent)

        # Found among all calls.
        page.goto("/calls/?digits=0307")
        expect(page.locator("tbody tr")).to_have_count(3)

    def make_contact_group(self, desk: Desk) -> str:
        """By pasting; what can't be called is named. Returns the address of its page."""
        page = desk.page
        desk.go("Contact groups")
        desk.follow("New contact group")
        page.get_by_label("Name").fill("Customers")
        page.get_by_label("Paste numbers").fill(PASTED)
        desk.press("Create contact group")
        desk.expect_message("Contact group “Customers” created.")
        expect(page.locator(".preview")).to_contain_text("too short")
        desk.press("Import")
        expect(page.locator("#import .stats")).to_contain_text(re.compile(r"Added\s*13\s"))
        desk.follow("Back to the contact group")
        expect(page.get_by_role("main")).to_contain_text("13 contacts")
        return page.url

    def make_sound(self, desk: Desk, folder: Path) -> None:
        """From a file, which the page then plays."""
        page = desk.page
        desk.go("Sounds")
        desk.follow("Add a sound")
        page.get_by_label("Name").fill("Greeting")
        page.get_by_label("Reference").fill("77")
        page.get_by_label("File").set_input_files(tone(folder / "greeting.wav"))
        desk.press("Add the sound")
        desk.expect_message("77.sound")
        assert page.evaluate(LENGTH) == pytest.approx(2, abs=0.05)

    def call(self, desk: Desk, contacts: str) -> int:
        """Preflight, confirm, watch to the end, look at the calls."""
        page = desk.page
        page.goto(contacts)
        desk.follow("Start calls to this group")
        expect(page.get_by_role("checkbox", name="Customers (13)")).to_be_checked()
        page.get_by_label("Sound", exact=True).select_option(label="77.sound Greeting")
        page.get_by_label("Campaign").fill("Reminders")
        desk.check()
        expect(page.locator(".stats")).to_contain_text(re.compile(r"Callable\s*13"))
        expect(desk.button("Start ")).to_have_text("Start 13 calls")
        group = desk.confirm()
        desk.expect_message(f"Started as call group {group}")

        sentences = watch_without_touching(page)
        assert len(sentences) > 1
        assert "8 of 13 calls were reached" in sentences[-1]
        expect(page.locator("#calls-rows tbody tr")).to_have_count(13)
        assert sorted(numbers_of(downloaded(page, "Export all as CSV"))) == sorted(REACHED + NOT_REACHED)

        page.locator("#calls-rows").get_by_role("link", name="1", exact=True).click()
        expect(page.locator(".timeline-item").last).to_contain_text("Completed")
        page.go_back()
        return group

    def call_again(self, desk: Desk, parent: int) -> int:
        """Those not reached, and nobody else."""
        page = desk.page
        page.get_by_role("link", name="Call again those not reached").click()
        expect(page.get_by_label(f"Those not reached in call group {parent}")).to_be_checked()
        expect(page.get_by_label("Campaign")).to_have_value("Reminders")
        page.get_by_label("Retries").select_option("1")
        desk.check()
        child = desk.confirm()
        assert child != parent
        expect(page.get_by_role("main")).to_contain_text(f"These are calls of call group {parent} made again")
        assert "1 of 5 calls were reached" in watch_without_touching(page)[-1]
        assert sorted(numbers_of(downloaded(page, "Export all as CSV"))) == sorted(NOT_REACHED)
        return child

    def call_again_as_filtered(self, desk: Desk, parent: int) -> None:
        """Only the number that was busy."""
        page = desk.page
        page.goto(f"/call-groups/{parent}/?status=BUSY")
        assert numbers_of(downloaded(page, "Export these as CSV")) == ["+442079460307"]
        page.get_by_role("link", name="Call these again").click()
        desk.check()
        desk.confirm()
        watch_without_touching(page)
        assert numbers_of(downloaded(page, "Export all as CSV")) == ["+442079460307"]


class TestConfirming:
    def test_twice_and_after_going_back_and_in_another_tab_starts_once(
        self, desk: Desk, context: BrowserContext
    ) -> None:
        page = desk.page
        desk.fill_start("020 7946 0500", Campaign="Once only")
        desk.check()
        preflight = page.url
        other = context.new_page()
        other.goto(preflight)

        page.evaluate("""() => {
            const button = document.querySelector("form[action$='/confirm/'] button");
            button.click();
            button.click();
        }""")
        page.wait_for_url(re.compile(r"/call-groups/\d+/$"))
        started = page.url
        other.get_by_role("button", name="Start 1 call").click()
        other.wait_for_url(started)
        expect(other.locator(".messages")).to_contain_text("Nothing was started twice")

        page.go_back()
        page.wait_for_load_state()
        if page.url == preflight and desk.button("Start 1 call").count():  # the page as it was left
            desk.press("Start 1 call")
        page.wait_for_url(started)
        page.goto("/call-groups/?campaign=Once+only")
        expect(page.locator("#groups tbody tr")).to_have_count(1)

    def test_what_was_typed_survives_errors_and_changes_of_mind(self, desk: Desk) -> None:
        page = desk.page
        desk.fill_start("020 7946 0500, 020 7946 0501", Campaign="Twice thought")
        page.get_by_text("More options").click()
        page.get_by_label("Callback URL").fill("javascript:alert(1)")
        desk.press("Check what would happen")
        expect(page.get_by_label("Callback URL")).to_be_visible()
        expect(page.get_by_label("Callback URL")).to_have_attribute("aria-invalid", "true")
        expect(page.get_by_role("main")).to_contain_text("javascript:alert(1)")
        expect(page.get_by_label("Phone numbers")).to_have_value("020 7946 0500, 020 7946 0501")

        page.get_by_label("Callback URL").fill("")
        desk.check()
        desk.follow("Change")
        expect(page.get_by_label("Campaign")).to_have_value("Twice thought")
        desk.check()
        desk.press("Don't start")
        expect(page.get_by_label("Phone numbers")).to_have_value("020 7946 0500, 020 7946 0501")


def test_a_large_group_is_planned_and_started_in_a_worker(desk: Desk, tmp_path: Path) -> None:
    page = desk.page
    file = tmp_path / "many.csv"
    file.write_text("name,phone\n" + "".join(f"Person {i},{number(i)}\n" for i in range(2_100)))
    page.goto("/contact-groups/new/")
    page.get_by_label("Name").fill("Many")
    page.get_by_label("Or choose a file").set_input_files(file)
    desk.press("Create contact group")
    desk.press("Import")
    expect(page.locator("#import .stats")).to_contain_text(re.compile(r"Added\s*2,100\s"))
    desk.follow("Back to the contact group")
    desk.follow("Start calls to this group")
    page.get_by_label("Sound", exact=True).select_option(label="1.sound Demo: chime")
    desk.check()
    expect(desk.button("Start 2,100 calls")).to_be_visible(timeout=PATIENCE)  # the page found out by itself
    expect(page.locator(".facts")).to_contain_text("11, of at most 200 numbers each")
    desk.confirm()
    expect(page.locator("#summary")).to_contain_text("of 2,100 calls")
    expect(page.locator("#summary .stats")).to_contain_text(re.compile(r"Handed over\s*2,100"), timeout=PATIENCE)


class TestSteering:
    def test_a_paused_group_waits_and_a_resumed_one_goes_on(self, desk: Desk) -> None:
        page = desk.page
        desk.fill_start("020 7946 0510", Delay="2")
        desk.check()
        desk.confirm()
        desk.press("Pause")
        desk.expect_message("Paused")
        expect(page.locator("#summary h1")).to_contain_text("Paused")
        started = page.locator("time, #summary .page-subtitle").first.inner_text()
        page.wait_for_timeout(4_000)  # longer than the delay: nothing may have gone out
        page.reload()
        expect(page.locator("#summary .sentence")).to_contain_text("1 call is held")
        assert started

        desk.press("Resume")
        desk.expect_message("Resumed")
        assert "1 of 1 call was reached" in watch_without_touching(page)[-1]

    def test_cancelling_says_what_it_will_do_and_ends_what_is_held(self, desk: Desk) -> None:
        page = desk.page
        desk.fill_start(LATER, Delay="900")
        desk.check()
        desk.confirm()
        desk.follow("Cancel what is held")
        expect(page.get_by_role("heading", level=1)).to_have_text("Cancel what is held?")
        expect(page.get_by_role("main")).to_contain_text("40 held calls will be cancelled for good")
        desk.follow("Keep them")
        expect(page.locator("#summary h1")).to_contain_text("Scheduled")

        desk.follow("Cancel what is held")
        desk.press("Cancel 40 held calls")
        desk.expect_message("Cancelled")
        expect(page.locator("#summary h1")).to_contain_text("Cancelled")
        expect(page.locator("#summary .sentence")).to_contain_text("40 held calls were cancelled", timeout=PATIENCE)
        expect(page.locator("#calls-rows [data-status=CANCELLED]").first).to_be_visible()


class TestRefreshing:
    """Of a call group that waits, whose page asks every few seconds."""

    @pytest.fixture
    def waiting(self, desk: Desk) -> Desk:
        desk.fill_start(LATER, Delay="900", Campaign="Waits")
        desk.check()
        desk.confirm()
        return desk

    def test_keeps_the_place_while_another_tab_pauses(self, waiting: Desk, context: BrowserContext) -> None:
        page = waiting.page
        page.set_viewport_size({"width": 800, "height": 600})
        page.locator("#calls-rows").get_by_role("link", name="20", exact=True).focus()
        page.evaluate("""() => {
            document.querySelector("#calls-table").scrollTo({ left: 40, behavior: "instant" });
            scrollTo({ top: 900, behavior: "instant" });
        }""")
        place = "[scrollY, document.querySelector('#calls-table').scrollLeft, document.activeElement.textContent]"
        before = page.evaluate(place)
        assert before[0] > 0

        other = context.new_page()
        other.goto(page.url)
        other.get_by_role("button", name="Pause").click()
        other.get_by_role("button", name="Resume").wait_for()
        other.close()
        expect(page.locator("#summary h1")).to_contain_text("Paused")
        assert page.evaluate(place) == before

    def test_a_refresh_that_fails_is_shown_as_stale(self, waiting: Desk, watch: Watch) -> None:
        page = waiting.page
        page.route("**/summary/**", lambda route: route.abort())
        expect(page.locator("#summary > .stale-mark")).to_have_text(re.compile(r"^Not updated since \d\d:\d\d:\d\d$"))
        page.unroute("**/summary/**")
        expect(page.locator(".stale-mark")).to_have_count(0)
        watch.forgive("failed: ")
        watch.forgive("console: htmx:")  # it says so too

    def test_a_session_that_ended_leads_to_the_login_page_and_back(
        self, waiting: Desk, context: BrowserContext
    ) -> None:
        page = waiting.page
        group = urlsplit(page.url).path
        context.clear_cookies(name="obdportal_session")
        page.wait_for_url("**/login/**")
        assert parse_qs(urlsplit(page.url).query)["next"] == [group]
        waiting.sign_in()
        assert urlsplit(page.url).path == group
