"""Sounds as they are heard in the browser, and people as they are let in."""

import re
from pathlib import Path

from playwright.sync_api import BrowserContext, expect

from tests.browser.desk import Desk
from tests.browser.portal import Portal
from tests.media.audio_files import speech, wav

LISTEN = """async () => {
    const player = document.getElementById("player");
    const once = (event) => new Promise((done) => player.addEventListener(event, done, { once: true }));
    player.muted = true;
    await player.play();
    await once("timeupdate");
    const heard = player.currentTime;
    const sought = once("seeked");
    player.currentTime = 3;
    await sought;
    const after = player.currentTime;
    player.pause();
    return { ready: player.readyState, seconds: player.duration, heard, after, error: player.error };
}"""


def test_an_uploaded_sound_is_played_and_sought(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "speech.wav").write_bytes(wav(speech()))
    desk.go("Sounds")
    desk.follow("Add a sound")
    desk.page.get_by_label("Name").fill("Appointment reminder")
    desk.page.get_by_label("Reference").fill("4711")
    desk.page.get_by_label("File").set_input_files(tmp_path / "speech.wav")
    desk.press("Add the sound")
    desk.expect_message("4711.sound “Appointment reminder” was saved.")
    heard = desk.page.evaluate(LISTEN)
    assert heard["error"] is None
    assert heard["ready"] >= 2
    assert 3.9 < heard["seconds"] < 4.1
    assert heard["after"] >= 3  # without ranges it would have stayed at the beginning
    assert desk.page.locator(".waveform-played").count() > 0
    desk.follow("Start calls with this")
    expect(desk.page.get_by_label("Sound", exact=True).locator("option:checked")).to_contain_text("4711.sound")


def test_a_refused_file_leaves_what_was_typed(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "notes.mp3").write_text("this is no sound")
    desk.page.goto("/sounds/new/")
    desk.page.get_by_label("Name").fill("My sound")
    desk.page.get_by_label("File").set_input_files(tmp_path / "notes.mp3")
    desk.press("Add the sound")
    expect(desk.page.get_by_role("alert")).to_contain_text("the content isn't audio")
    expect(desk.page.get_by_label("Name")).to_have_value("My sound")


def test_a_new_operator_is_let_in_limited_and_put_out(desk: Desk, context: BrowserContext, portal: Portal) -> None:
    desk.go("Users")
    desk.follow("Add a user")
    desk.page.get_by_label("Username").fill("asha")
    desk.page.get_by_role("group", name="Sounds").get_by_label("Chosen ones only").check()
    expect(desk.page.get_by_label("Typed password")).to_be_hidden()
    desk.press("Add the user")
    password = desk.page.locator("dd code").last.inner_text()
    desk.follow("To the user's profile")

    browser = context.browser
    assert browser is not None
    theirs = browser.new_context(base_url=portal.url)
    asha = Desk(theirs.new_page())
    asha.sign_in("asha", password)
    asha.go("Sounds")
    expect(asha.page.get_by_role("heading", name="No sounds for you yet")).to_be_visible()
    expect(asha.page.get_by_role("link", name="Users")).to_have_count(0)

    desk.follow("0 chosen")
    desk.page.get_by_label(re.compile("Demo: chime")).check()
    desk.press("Save")
    desk.expect_message("The sounds of asha were saved.")
    asha.page.reload()
    expect(asha.page.get_by_role("link", name="Demo: chime")).to_be_visible()

    desk.follow("Back to the profile")
    desk.press("Deactivate")
    desk.page.get_by_role("dialog").get_by_role("button", name="Deactivate").click()
    desk.expect_message("asha was deactivated and is signed out.")
    asha.page.reload()
    expect(asha.page).to_have_url(re.compile("/login/"))
    theirs.close()


def test_djangos_admin_works_under_the_content_security_policy(desk: Desk) -> None:
    desk.go("Users")
    desk.follow("Django's admin")
    expect(desk.page.get_by_role("heading", name="Rows as the database holds them")).to_be_visible()
    for table in ("Users", "Log entries", "Procrastinate jobs"):
        desk.page.goto("/django-admin/")
        desk.page.get_by_role("link", name=table, exact=True).click()
        desk.page.locator("#result_list tbody th a").first.click()
        expect(desk.page.locator("fieldset")).not_to_have_count(0)
