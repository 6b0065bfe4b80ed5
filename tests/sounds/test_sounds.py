"""Sounds: list, page, form, deletion."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from pytest_django import Settings

from calls.forms.sounds import SoundForm
from calls.media import references, store
from calls.media.audio import MAX_BYTES
from calls.media.prepared import Prepared
from calls.models import CallGroup, Sound
from calls.models.media import REFERENCE_MAX
from tests.factories import client_for, make_call_group, make_sound, make_user
from tests.media.audio_files import encode, tone, wav

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> Client:
    return client_for(make_user("admin"))


def upload(content: bytes, name: str = "greeting.wav") -> BytesIO:
    file = BytesIO(content)
    file.name = name
    return file


def stored(settings: Settings) -> list[Path]:
    """All files in the media folder."""
    return [path for path in Path(settings.MEDIA_ROOT).rglob("*") if path.is_file()]


def with_file(number: int = 123, content: bytes = b"RIFF-old", **columns: Any) -> Sound:
    sound = make_sound(number, seconds=2.0, peaks=[10, 90, 30], sha256="ab" * 32, **columns)
    sound.file.save("old.wav", ContentFile(content))
    return sound


# --- List --------------------------------------------------------------------------------------------------------


def test_the_list_shows_what_the_profile_enables() -> None:
    mine, other = make_sound(5, "Mine"), make_sound(6, "Other")
    user = make_user("operator", uses_all_sounds=False, sounds=[mine])
    page = client_for(user).get("/sounds/").text
    assert "Mine" in page
    assert other.name not in page
    assert "/start/?play=5.sound" in page


def test_viewers_are_not_offered_to_start_or_add(client: Client) -> None:
    make_sound(5)
    page = client_for(make_user("viewer")).get("/sounds/").text
    assert "?play=" not in page
    assert "/sounds/new/" not in page


@pytest.mark.parametrize("typed", ["77", "77.sound", "sound:77", "remind", "  REMINDER "])
def test_search_by_name_or_reference(admin: Client, typed: str) -> None:
    make_sound(77, "Reminder")
    make_sound(78, "Other")
    page = admin.get("/sounds/", {"q": typed}).text
    assert "Reminder" in page
    assert "Other" not in page


@pytest.mark.parametrize("typed", ["\0", "%", "9" * 19, "9" * 500, "77.ivr."])
def test_odd_searches_find_nothing_and_break_nothing(admin: Client, typed: str) -> None:
    make_sound(77, "Reminder")
    assert admin.get("/sounds/", {"q": typed}).status_code == 200


def test_the_list_has_pages(admin: Client) -> None:
    for number in range(1, 53):
        make_sound(number, f"Sound no {number:03}")
    first = admin.get("/sounds/")
    assert "Sound no 050" in first.text
    assert "Sound no 051" not in first.text
    second = admin.get("/sounds/", {"after": first.context["page"].next}).text
    assert "Sound no 051" in second
    assert "Sound no 050" not in second


def test_the_list_asks_no_more_of_the_database_for_more_sounds(
    admin: Client, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    for _ in range(20):
        make_sound()
    with django_assert_max_num_queries(12):
        admin.get("/sounds/")


def test_the_empty_list_says_what_to_do(admin: Client) -> None:
    assert "Upload a recording" in admin.get("/sounds/").text
    assert "An admin can add sounds" in client_for(make_user("viewer")).get("/sounds/").text


# --- Page --------------------------------------------------------------------------------------------------------


def test_the_page_shows_what_is_known(admin: Client) -> None:
    with_file(
        123, name="Greeting", peak_dbfs=-1.5, rms_dbfs=-20.25, source_format="MP3, 44.1 kHz", warnings=["Clipped."]
    )
    page = admin.get("/sounds/123/").text
    for text in (
        "Greeting",
        "123.sound",
        "0:02",
        "-1.5 dBFS",
        "MP3, 44.1 kHz",
        "Clipped.",
        "ab" * 32,
        "<audio",
        "<rect",
    ):
        assert text in page


def test_a_sound_without_a_file_has_no_player() -> None:
    make_sound(9)
    page = client_for(make_user("operator")).get("/sounds/9/").text
    assert "<audio" not in page
    assert "carrier holds" in page


@pytest.mark.parametrize("address", ["/sounds/{}/", "/sounds/{}/audio.wav"])
def test_what_the_profile_does_not_enable_is_not_there(address: str) -> None:
    with_file(7)
    client = client_for(make_user("operator", uses_all_sounds=False))
    assert client.get(address.format(7)).status_code == 404


def test_numbers_beyond_the_database_are_not_there(admin: Client) -> None:
    assert admin.get(f"/sounds/{10**30}/").status_code == 404


# --- Adding ------------------------------------------------------------------------------------------------------


def test_upload_a_file(admin: Client, settings: Settings) -> None:
    response = admin.post("/sounds/new/", {"name": "Tone", "number": "123", "file": upload(wav(tone(2)))}, follow=True)
    assert response.redirect_chain == [("/sounds/123/", 302)]
    assert "123.sound “Tone” was saved." in response.text
    sound = Sound.objects.get(number=123)
    assert sound.seconds == pytest.approx(2, abs=0.1)
    assert sound.created_by is not None
    assert len(sound.sha256) == 64
    (file,) = stored(settings)
    assert file.read_bytes().startswith(b"RIFF")
    assert file.stat().st_mode & 0o077 == 0


def test_other_formats_are_converted(admin: Client) -> None:
    mp3 = encode("mp3", "libmp3lame", tone(2))
    admin.post("/sounds/new/", {"name": "Tone", "number": "1", "file": upload(mp3, "tone.mp3")})
    sound = Sound.objects.get(number=1)
    assert "MP3" in sound.source_format
    with sound.file.open() as file:
        assert file.read(4) == b"RIFF"


def test_a_reference_alone(admin: Client, settings: Settings) -> None:
    admin.post("/sounds/new/", {"name": "At the carrier", "number": "77"})
    assert not Sound.objects.get(number=77).file
    assert not stored(settings)


def test_without_a_number_the_next_one_is_given(admin: Client) -> None:
    admin.post("/sounds/new/", {"name": "First"})
    make_sound(40)
    admin.post("/sounds/new/", {"name": "Next"})
    assert Sound.objects.get(name="First").number == 1
    assert Sound.objects.get(name="Next").number == 41


def test_when_the_highest_number_is_taken_a_gap_is_filled(admin: Client) -> None:
    for number in (1, 2, 4, REFERENCE_MAX):
        make_sound(number)
    admin.post("/sounds/new/", {"name": "Next"})
    assert Sound.objects.get(name="Next").number == 3


@pytest.mark.parametrize(
    ("typed", "number"), [("9.sound", 9), ("sound:9", 9), (" 009 ", 9), ("9007199254740992", 2**53)]
)
def test_references_as_people_write_them(admin: Client, typed: str, number: int) -> None:
    admin.post("/sounds/new/", {"name": "Sound", "number": typed})
    assert Sound.objects.get().number == number


@pytest.mark.parametrize("typed", ["0", "-1", "1.5", "abc", "1_000", "9007199254740993", "9" * 60, "12 34", "1\0"])
def test_bad_references_are_named_at_their_field(admin: Client, typed: str) -> None:
    response = admin.post("/sounds/new/", {"name": "My sound", "number": typed})
    assert response.status_code == 200
    errors = response.context["form"].errors
    assert list(errors) == ["number"]
    if "\0" not in typed:
        assert typed[:40] in errors["number"][0]
        assert "from 1 to 9,007,199,254,740,992" in errors["number"][0]
    assert "My sound" in response.text
    assert not Sound.objects.exists()


def test_full_width_digits_are_no_reference(admin: Client) -> None:
    assert admin.post("/sounds/new/", {"name": "Sound", "number": "１２"}).status_code == 200  # noqa: RUF001


def test_a_taken_number_is_refused_naming_who_has_it(admin: Client) -> None:
    make_sound(123, "Greeting")
    response = admin.post("/sounds/new/", {"name": "Other", "number": "123"})
    assert response.status_code == 200
    assert "123.sound is taken, by “Greeting”" in response.text


def test_a_number_taken_meanwhile_is_refused_and_leaves_no_file(settings: Settings) -> None:
    form = SoundForm({"name": "Mine", "number": "5"}, {"file": upload_field(wav(tone(1)))})
    assert form.is_valid(), form.errors
    make_sound(5, "Quicker")
    assert not form.store(make_user("admin"))
    assert "by “Quicker”" in form.errors["number"][0]
    assert not stored(settings)


def upload_field(content: bytes) -> Any:
    return SimpleUploadedFile("tone.wav", content)


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "a\0b"])
def test_bad_names_are_refused(admin: Client, name: str) -> None:
    response = admin.post("/sounds/new/", {"name": name, "number": "12"})
    assert response.status_code == 200
    assert list(response.context["form"].errors) == ["name"]
    assert 'value="12"' in response.text


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        (b"", "empty.wav", "empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "picture.wav", "content isn&#x27;t audio"),
        (b"hello, this is text", "notes.mp3", "This is text"),
        (bytes(range(256)) * 40, "noise.bin", "can be recognised"),
        (b"MZ" + bytes(500), "tune.exe", "Windows program"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "cut.wav", "damaged or cut short"),
        (b"\xff\xfeh\0i\0", "utf16.txt", "text"),
    ],
)
def test_what_is_no_audio_is_refused_at_the_field(
    admin: Client, settings: Settings, content: bytes, name: str, said: str
) -> None:
    response = admin.post("/sounds/new/", {"name": "My sound", "number": "44", "file": upload(content, name)})
    assert response.status_code == 200
    assert list(response.context["form"].errors) == ["file"]
    assert said in response.text
    assert "My sound" in response.text
    assert 'value="44"' in response.text
    assert not stored(settings)


def test_a_huge_file_is_refused_naming_its_size(admin: Client) -> None:
    response = admin.post("/sounds/new/", {"name": "Huge", "file": upload(bytes(MAX_BYTES + 1))})
    assert response.status_code == 200
    assert "20.1 MiB; a sound file may have at most 20 MiB" in response.text


def test_a_good_file_beside_another_error_must_be_chosen_again(admin: Client) -> None:
    response = admin.post("/sounds/new/", {"name": "", "file": upload(wav(tone(1)))})
    assert "choose it again" in response.text


def test_two_at_the_same_moment_get_different_numbers(transactional_db: None) -> None:
    def add(name: str) -> int:
        sound = Sound(name=name)
        try:
            references.add(sound)
        finally:
            connection.close()
        return sound.number

    with ThreadPoolExecutor(4) as threads:
        numbers = list(threads.map(add, "abcdefgh"))
    assert sorted(numbers) == list(range(1, 9))


# --- Changing ----------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_replacing_a_file_removes_the_old_one(settings: Settings) -> None:
    with_file(3)
    client = client_for(make_user("admin"))
    client.post("/sounds/3/edit/", {"name": "New name", "file": upload(wav(tone(2)))})
    sound = Sound.objects.get(number=3)
    assert sound.name == "New name"
    (file,) = stored(settings)
    assert file.name == Path(str(sound.file)).name
    assert file.name != "old.wav"


@pytest.mark.django_db(transaction=True)
def test_removing_a_file(settings: Settings) -> None:
    with_file(3)
    client_for(make_user("admin")).post("/sounds/3/edit/", {"name": "Bare", "remove_file": "on"})
    sound = Sound.objects.get(number=3)
    assert (sound.file.name or "", sound.seconds, sound.peaks, sound.sha256) == ("", None, [], "")
    assert not stored(settings)


def test_a_new_name_alone_keeps_the_file(admin: Client, settings: Settings) -> None:
    with_file(3)
    admin.post("/sounds/3/edit/", {"name": "New name"})
    sound = Sound.objects.get(number=3)
    assert (sound.name, sound.peaks) == ("New name", [10, 90, 30])
    assert len(stored(settings)) == 1


def test_replacing_and_removing_at_once_is_refused(admin: Client) -> None:
    with_file(3)
    response = admin.post("/sounds/3/edit/", {"name": "A", "remove_file": "on", "file": upload(wav(tone(1)))})
    assert response.status_code == 200
    assert list(response.context["form"].errors) == ["remove_file"]


def test_the_number_never_changes(admin: Client) -> None:
    make_sound(3)
    admin.post("/sounds/3/edit/", {"name": "A", "number": "4"})
    assert Sound.objects.get().number == 3


def test_a_change_of_the_name_does_not_undo_a_new_file_of_somebody_else(settings: Settings) -> None:
    stale = with_file(3)
    store.save(Sound.objects.get(number=3), prepared())
    store.save(Sound(pk=stale.pk, number=3, name="New name", file=stale.file.name))
    sound = Sound.objects.get(number=3)
    assert (sound.name, sound.sha256) == ("New name", "cd" * 32)


def prepared() -> Prepared:
    return Prepared(
        wav=b"RIFF-new",
        seconds=1.0,
        peak_dbfs=-1.0,
        rms_dbfs=-9.0,
        peaks=[1],
        sha256="cd" * 32,
        source_format="WAV",
        warnings=[],
    )


def test_a_sound_deleted_meanwhile_leaves_no_file(settings: Settings) -> None:
    sound = make_sound(3)
    Sound.objects.filter(pk=sound.pk).delete()
    with pytest.raises(Sound.DoesNotExist):
        store.save(sound, prepared())
    assert not stored(settings)


def test_a_failing_transaction_leaves_no_file(settings: Settings) -> None:
    with pytest.raises(Exception, match="too long"):
        store.save(Sound(number=3, name="x" * 101), prepared())
    assert not stored(settings)


# --- Deleting ----------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_delete_asks_first_and_removes_the_file(settings: Settings) -> None:
    with_file(3)
    client = client_for(make_user("admin"))
    assert "Delete this sound" in client.get("/sounds/3/delete/").text
    assert Sound.objects.exists()
    response = client.post("/sounds/3/delete/", follow=True)
    assert "was deleted" in response.text
    assert not Sound.objects.exists()
    assert not stored(settings)


def test_delete_is_refused_while_held_calls_need_it(admin: Client, settings: Settings) -> None:
    with_file(3)
    group = make_call_group(make_user(), play="3.sound")
    assert "Delete this sound" not in admin.get("/sounds/3/delete/").text
    response = admin.post("/sounds/3/delete/")
    assert response.status_code == 409
    assert f"/call-groups/{group.pk}/" in response.text
    assert "3 held" in response.text
    assert Sound.objects.exists()
    assert stored(settings)


def test_a_contact_group_at_the_carrier_that_still_waits_needs_it_too(admin: Client) -> None:
    make_sound(3)
    make_call_group(make_user(), play="3.sound", carrier_group="77")
    assert admin.post("/sounds/3/delete/").status_code == 409


def test_what_was_handed_over_needs_nothing_any_more(admin: Client) -> None:
    make_sound(3)
    group = make_call_group(make_user(), play="3.sound")
    group.calls.update(status="QUEUED")
    group.batches.update(state="accepted")
    assert admin.post("/sounds/3/delete/").status_code == 302
    assert CallGroup.objects.get().play == "3.sound"


def test_other_sounds_and_ivrs_of_that_number_do_not_count(admin: Client) -> None:
    make_sound(3)
    make_call_group(make_user(), play="3.ivr")
    make_call_group(make_user(), play="33.sound")
    assert admin.post("/sounds/3/delete/").status_code == 302


# --- Who may -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address", ["/sounds/", "/sounds/3/", "/sounds/3/audio.wav", "/sounds/new/", "/sounds/3/edit/"]
)
def test_nobody_signs_in_nobody_sees(client: Client, address: str) -> None:
    assert client.get(address).headers["Location"] == f"/login/?next={address}"


@pytest.mark.parametrize("role", ["viewer", "operator"])
@pytest.mark.parametrize("address", ["/sounds/new/", "/sounds/3/edit/", "/sounds/3/delete/"])
def test_only_admins_keep_sounds(role: str, address: str) -> None:
    make_sound(3)
    client = client_for(make_user(role))
    assert client.get(address).status_code == 403
    assert client.post(address, {"name": "Mine"}).status_code == 403
    assert Sound.objects.get().name == "Greeting"
