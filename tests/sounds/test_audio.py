"""The audio of a sound: whole, in parts, and for those only who may use it."""

from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.test import Client

from calls.media.serve import OutOfRangeError, read_range
from calls.models import Sound
from tests.factories import client_for, make_sound, make_user

pytestmark = pytest.mark.django_db

CONTENT = bytes(range(256)) * 4
ETAG = '"' + "ab" * 32 + '"'


@pytest.fixture
def sound() -> Sound:
    sound = make_sound(123, sha256="ab" * 32)
    sound.file.save("audio.wav", ContentFile(CONTENT))
    return sound


@pytest.fixture
def listener(sound: Sound) -> Client:
    return client_for(make_user("viewer"))


def body(response: Any) -> bytes:
    return b"".join(response)


def test_all_of_it(listener: Client) -> None:
    response = listener.get("/sounds/123/audio.wav")
    assert body(response) == CONTENT
    assert response.status_code == 200
    expected = {
        "Content-Type": "audio/wav",
        "Content-Length": "1024",
        "Content-Disposition": 'inline; filename="123.wav"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-cache",
        "Accept-Ranges": "bytes",
        "ETag": ETAG,
    }
    assert {name: response.headers[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-", 0, 1023),
        ("bytes=0-0", 0, 0),
        ("bytes=1000-", 1000, 1023),
        ("bytes=10-9999", 10, 1023),
        ("bytes=-24", 1000, 1023),
    ],
)
def test_a_part_of_it(listener: Client, asked: str, start: int, end: int) -> None:
    response = listener.get("/sounds/123/audio.wav", headers={"Range": asked})
    assert response.status_code == 206
    assert response.headers["Content-Range"] == f"bytes {start}-{end}/1024"
    assert response.headers["Content-Length"] == str(end - start + 1)
    assert body(response) == CONTENT[start : end + 1]


@pytest.mark.parametrize("asked", ["bytes=1024-", "bytes=5000-6000", "bytes=-0"])
def test_a_part_that_is_not_there(listener: Client, asked: str) -> None:
    response = listener.get("/sounds/123/audio.wav", headers={"Range": asked})
    assert response.status_code == 416
    assert response.headers["Content-Range"] == "bytes */1024"


@pytest.mark.parametrize(
    "asked", ["", "bytes=", "bytes=-", "bytes=5-2", "bytes=0-1,5-6", "lines=1-2", "bytes=a-b", f"bytes={'9' * 40}-"]
)
def test_what_is_no_range_is_ignored(listener: Client, asked: str) -> None:
    response = listener.get("/sounds/123/audio.wav", headers={"Range": asked})
    assert response.status_code == 200
    assert body(response) == CONTENT


def test_a_part_of_another_version_is_not_mixed_in(listener: Client) -> None:
    headers = {"Range": "bytes=5-", "If-Range": '"other"'}
    assert body(listener.get("/sounds/123/audio.wav", headers=headers)) == CONTENT
    headers["If-Range"] = ETAG
    assert body(listener.get("/sounds/123/audio.wav", headers=headers)) == CONTENT[5:]


def test_what_the_browser_has_is_not_sent_again(listener: Client) -> None:
    assert listener.get("/sounds/123/audio.wav", headers={"If-None-Match": ETAG}).status_code == 304


def test_ranges_of_nothing() -> None:
    with pytest.raises(OutOfRangeError):
        read_range("bytes=0-", 0)


def test_never_to_those_who_may_not_use_it(sound: Sound, client: Client) -> None:
    address = "/sounds/123/audio.wav"
    assert client.get(address).status_code == 302
    user = make_user("operator", uses_all_sounds=False, sounds=[sound])
    browser = client_for(user)
    assert body(browser.get(address)) == CONTENT
    user.sounds.clear()
    for headers in ({}, {"Range": "bytes=0-"}, {"If-None-Match": ETAG}):
        assert browser.get(address, headers=headers).status_code == 404


def test_the_folder_itself_is_served_nowhere(sound: Sound) -> None:
    admin = client_for(make_user("admin"))
    for address in (f"/media/{sound.file.name}", f"/{sound.file.name}", f"/static/{sound.file.name}"):
        assert admin.get(address).status_code == 404


def test_a_lost_file_is_not_an_error_of_the_site(listener: Client, sound: Sound) -> None:
    sound.file.storage.delete(str(sound.file))
    assert listener.get("/sounds/123/audio.wav").status_code == 404
    assert listener.get("/sounds/123/").status_code == 200


def test_a_sound_without_a_file_has_no_audio(listener: Client) -> None:
    make_sound(5)
    assert listener.get("/sounds/5/audio.wav").status_code == 404
