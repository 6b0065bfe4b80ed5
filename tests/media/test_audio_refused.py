"""What can't become a sound is refused with a sentence for people, and never does anything else."""

import gzip
import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calls.media import decode
from calls.media.audio import MAX_BYTES, AudioRefused, prepare
from calls.media.convert import convert
from calls.media.kinds import M4A, Found

from .audio_files import alias, encode, hollow_m4a, index_first, plain_wav, silence, tone, video, wav

RULE = "A sound must be a WAV, MP3, M4A, OGG, AMR or FLAC file."


def refusal(data: bytes, ending: str = "") -> str:
    with pytest.raises(AudioRefused) as caught:
        convert(data, ending)
    return str(caught.value)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("word/document.xml", "x")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"%PDF-1.7\n" + bytes(500), "This is a PDF document."),
        (b"\x89PNG\r\n\x1a\n" + bytes(500), "This is a PNG image."),
        (b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(500), "This is a JPEG image."),
        (b"RIFF\x24\0\0\0WEBPVP8 " + bytes(500), "This is a WebP image."),
        (b"RIFF\x24\0\0\0AVI LIST" + bytes(500), "This is an AVI video."),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(500), "This is a HEIF or AVIF image."),
        (zipped(), "This is a ZIP archive or an office document."),
        (gzip.compress(b"x" * 500, mtime=0), "This is a GZIP archive."),
        (b"\x7fELF" + bytes(500), "This is a program."),
        (b"MThd\0\0\0\6" + bytes(500), "This is a MIDI file (notes, no recorded sound)."),
        (b"\x1a\x45\xdf\xa3" + bytes(500), "This is a Matroska or WebM file."),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(500), "This is a Windows Media file (WMA)."),
        (b"FORM\0\0\0\x20AIFF" + bytes(500), "This is an AIFF file."),
        ("Grüße aus Köln, ".encode() * 300, "This is text."),
        ("Hello".encode("utf-16"), "This is text."),
        (b"020 7946 0001,Asha\n" * 3, "This is text."),
        (b"  <html><body>404", "This is a web page."),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "This is a playlist."),
        (b"[playlist]\nFile1=http://example.com/a.mp3\n", "This is a playlist."),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "This is a playlist."),
        (b"<?xml version='1.0'?><MPD/>", "This is an XML document."),
        (b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n", "This is text."),
        (b"#!AMR_MC1.0\n" + bytes(500), "This is an AMR file with several channels."),
        (b"\0", "This isn't audio that can be recognised."),
        (bytes(5000), "This isn't audio that can be recognised."),
        (bytes(range(1, 256)) * 20, "This isn't audio that can be recognised."),
    ],
)
def test_what_is_not_audio_is_named(data: bytes, what: str) -> None:
    assert refusal(data) == f"{what} {RULE}"
    assert refusal(data, "dat") == f"{what} {RULE}"
    assert refusal(data, "mp3") == f"The name ends in .mp3, but the content isn't audio. {what} {RULE}"


def test_empty() -> None:
    assert refusal(b"") == f"This file is empty (0 bytes). {RULE}"


class TestSize:
    def test_too_big_says_how_big(self) -> None:
        assert refusal(bytes(MAX_BYTES * 2)) == "This file has 40.0 MiB; a sound file may have at most 20 MiB."

    def test_a_byte_too_many_never_reads_like_the_limit(self) -> None:
        assert refusal(bytes(MAX_BYTES + 1)) == "This file has 20.1 MiB; a sound file may have at most 20 MiB."

    def test_the_limit_itself_is_allowed(self) -> None:
        assert convert(plain_wav(bytes(MAX_BYTES - 44), rate=48000), "wav").seconds > 200

    def test_is_seen_before_anything_is_read(self, tmp_path: Path) -> None:
        class Huge(io.BytesIO):
            def seek(self, offset: int, whence: int = 0, /) -> int:
                return 10 * MAX_BYTES if whence == 2 else super().seek(offset, whence)

            def read(self, size: int | None = -1, /) -> bytes:
                raise AssertionError("read")

        with pytest.raises(AudioRefused, match=r"This file has 200\.0 MiB"):
            prepare(Huge(), "a.wav")
        sparse = tmp_path / "a.wav"
        with sparse.open("wb") as file:
            file.truncate(MAX_BYTES + 1)
        with pytest.raises(AudioRefused, match=r"This file has 20\.1 MiB"):
            prepare(sparse, "a.wav")


class TestLies:
    def test_a_wav_header_alone(self) -> None:
        assert "has the header of a WAV file but no sound" in refusal(plain_wav(b"", declared=16000))
        assert "has the header of a WAV file but no sound" in refusal(plain_wav(b"")[:36])
        assert "has the header of a WAV file but no sound" in refusal(b"RIFF\0\0\0\0WAVE")

    def test_a_wav_file_cut_short(self) -> None:
        whole = wav(tone(20))
        assert refusal(whole[: len(whole) // 4]) == (
            "This file says that it lasts 20 s, but it holds 5.0 s of sound: it is damaged or was cut short. "
            "Send the whole file."
        )

    def test_a_wav_file_that_misses_its_last_moment_is_read(self) -> None:
        whole = wav(tone(20))
        assert convert(whole[:-8000], "wav").seconds < 20

    def test_an_mp3_file_cut_short(self) -> None:
        whole = encode("mp3", "libmp3lame", tone(20))
        assert "says that it lasts 20 s, but it holds 5.0 s" in refusal(whole[: len(whole) // 4])

    def test_a_flac_file_cut_short(self) -> None:
        whole = encode("flac", "flac", tone(20))
        assert "says that it lasts 20 s, but it holds 4.6 s" in refusal(whole[: len(whole) // 4])

    def test_an_m4a_file_without_its_index(self) -> None:
        whole = encode("ipod", "aac", tone(20))
        assert "begins like M4A audio, but can't be read" in refusal(whole[: len(whole) // 2])

    def test_an_m4a_file_cut_short(self) -> None:
        whole = index_first(encode("ipod", "aac", tone(20)))
        assert convert(whole, "m4a").seconds == pytest.approx(20, abs=0.1)
        assert "says that it lasts 20 s, but it holds" in refusal(whole[: len(whole) // 2])

    def test_more_sound_than_declared(self) -> None:
        first, second = encode("mp3", "libmp3lame", tone(3)), encode("mp3", "libmp3lame", tone(30))
        assert "says that it lasts 3.0 s, but it holds 33 s" in refusal(first + second)

    @pytest.mark.parametrize("magic", [b"fLaC", b"OggS", b"#!AMR\n", b"\0\0\0\x20ftypM4A "])
    def test_the_right_first_bytes_and_nothing_behind(self, magic: bytes) -> None:
        assert RULE in refusal(magic)
        assert RULE in refusal(magic + b"\x7f" * 5000)
        assert RULE in refusal(magic + b"\xff" * 5000)

    def test_a_title_tag_and_then_a_picture(self) -> None:
        tag = b"ID3\x04\0\0\0\0\0\x0a" + bytes(10)
        assert "has the title tag of an MP3 file, but no MP3 sound" in refusal(tag + b"\x89PNG" + bytes(5000))
        assert "has the title tag of an MP3 file, but no MP3 sound" in refusal(tag[:8])

    def test_mostly_damaged(self) -> None:
        data = bytearray(encode("ipod", "aac", tone(10)))
        start = data.index(b"mdat") + 4
        noise = np.random.default_rng(1).integers(0, 256, data.index(b"moov") - start - 8, dtype=np.uint8)
        data[start : start + noise.size] = noise.tobytes()
        assert "begins like M4A audio, but can't be read: it is damaged" in refusal(bytes(data))


class TestBounds:
    @pytest.mark.parametrize("rate", [1, 3999, 192001, 2_000_000, 0xFFFFFFFF])
    def test_absurd_rates(self, rate: int) -> None:
        message = refusal(plain_wav(bytes(80000), rate=rate))
        assert (
            f"has {rate} samples per second; from 4000 to 192000 can be read" in message or "can't be read" in message
        )

    @pytest.mark.parametrize("channels", [7, 8, 64, 65535])
    def test_many_channels(self, channels: int) -> None:
        data = bytearray(plain_wav(bytes(channels * 2 * 50)))
        struct.pack_into("<HIIH", data, 22, channels, 8000, 16000 * channels & 0xFFFFFFFF, channels * 2 & 0xFFFF)
        message = refusal(bytes(data))
        assert f"has {channels} channels; up to 6 can be read" in message or "can't be read" in message

    def test_no_channel(self) -> None:
        data = bytearray(plain_wav(bytes(8000)))
        struct.pack_into("<H", data, 22, 0)
        assert RULE in refusal(bytes(data))

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
    def test_not_a_number(self, value: float) -> None:
        samples = tone(1, 8000)
        samples[4000] = value
        message = refusal(plain_wav(samples.astype("<f4").tobytes(), codec=3, bits=32))
        assert "has samples that aren't numbers" in message

    def test_longer_than_ten_minutes(self) -> None:
        assert refusal(wav(silence(601, 8000), 8000)) == "This file lasts 10 min 1 s; a sound may last at most 10 min."

    def test_an_hour_of_silence_in_a_small_file(self) -> None:
        small = encode("flac", "flac", silence(3600, 8000), 8000)
        assert len(small) < 1_000_000
        assert refusal(small) == "This file lasts 60 min; a sound may last at most 10 min."

    def test_days_in_tiny_frames(self) -> None:
        # A frame of this mode says "nothing to send" for 20 ms and takes one byte.
        assert (
            refusal(b"#!AMR-WB\n" + b"\x7c" * 1_000_000)
            == "This file lasts over 10 min; a sound may last at most 10 min."
        )

    def test_time_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        data = wav(tone())
        monkeypatch.setattr(decode, "WORK_SECONDS", -1.0)
        assert "takes longer than" in refusal(data)

    def test_an_index_larger_than_memory(self) -> None:
        with pytest.raises(AudioRefused):
            prepare(io.BytesIO(hollow_m4a(5_000_000)), "a.m4a")

    def test_a_title_tag_that_unpacks_to_much_is_never_unpacked(self) -> None:
        content = struct.pack(">I", 1 << 28) + zlib.compress(bytes(1 << 25), 9)
        frame = b"TXXX" + struct.pack(">I", len(content)) + b"\0\x80" + content
        size = bytes(len(frame) >> shift & 127 for shift in (21, 14, 7, 0))
        data = b"ID3\x03\0\0" + size + frame + encode("mp3", "libmp3lame", tone(1))
        assert prepare(io.BytesIO(data), "a.mp3").seconds == pytest.approx(1, abs=0.1)


class TestNothingElseIsOpened:
    @pytest.fixture
    def pointing(self, tmp_path: Path) -> bytes:
        other = tmp_path / "other.m4a"
        other.write_bytes(encode("ipod", "aac", tone(1)))
        return alias(other.read_bytes(), str(other))

    def test_sound_kept_in_another_file_is_refused(self, pointing: bytes) -> None:
        assert refusal(pointing) == f"This file holds no sound of its own, it refers to another file. {RULE}"
        by_address = encode("ipod", "aac", tone(1)).replace(b"url \0\0\0\1", b"url \0\0\0\0")
        assert "refers to another file" in refusal(by_address)

    def test_the_demuxer_does_not_follow_the_reference(self, pointing: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[str] = []

        def record(source: object, url: str, flags: int, options: dict[str, str]) -> io.BytesIO:
            asked.append(url)
            return io.BytesIO()

        monkeypatch.setattr(decode._Source, "open_other", record)
        assert not decode.decode(pointing, Found(M4A)).pieces
        assert asked == []

    def test_if_it_did_it_would_get_an_empty_file(self, pointing: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
        options = decode._container_options() | {"enable_drefs": "1", "use_absolute_path": "1"}
        monkeypatch.setattr(decode, "_container_options", lambda: options)
        with pytest.raises(AudioRefused, match="refers to other files, which are never opened"):
            decode.decode(pointing, Found(M4A))

    def test_a_playlist_given_to_an_audio_demuxer_opens_nothing(self) -> None:
        with pytest.raises(AudioRefused):
            decode.decode(b"#EXTM3U\nfile:///etc/passwd\n", Found(M4A))

    @pytest.mark.parametrize("tag", [b"drms", b"enca"])
    def test_protected_sound(self, tag: bytes) -> None:
        data = encode("ipod", "aac", tone(1)).replace(b"mp4a", tag, 1)
        assert "protected against copying (DRM)" in refusal(data)

    def test_a_video_without_sound(self) -> None:
        assert refusal(video(), "mp4") == f"This file is a video without sound. {RULE}"

    def test_a_codec_that_is_not_on_the_list(self) -> None:
        # AC-3 in an MP4 file is sound, but not of the sorts that a sound file has.
        message = refusal(encode("mp4", "ac3", [tone(1, 48000)] * 2, 48000))
        assert message == f"The sound in this M4A file is coded in a way that isn't read (ac3). {RULE}"


def test_the_decoders_print_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    for data in (b"fLaC" + b"\xff" * 5000, b"OggS" + bytes(5000), hollow_m4a(10), wav(tone(1))[:20000]):
        with pytest.raises(AudioRefused):
            convert(data, "")
    assert capfd.readouterr() == ("", "")


EXAMPLES = {
    "wav": wav([tone(0.5, 8000)] * 2, 8000),
    "float": wav(tone(0.5, 8000), 8000, "pcm_f32le"),
    "adpcm": wav(tone(0.5, 11025), 11025, "adpcm_ima_wav"),
    "mp3": encode("mp3", "libmp3lame", tone(0.5)),
    "m4a": encode("ipod", "aac", tone(0.5)),
    "alac": encode("ipod", "alac", tone(0.5)),
    "aac": encode("adts", "aac", tone(0.5)),
    "opus": encode("ogg", "libopus", tone(0.5, 48000), 48000),
    "vorbis": encode("ogg", "vorbis", [tone(0.5)] * 2, strict="experimental"),
    "flac": encode("flac", "flac", tone(0.5)),
    "amr": encode("amr", "libopencore_amrnb", tone(0.5, 8000), 8000),
    "3gp": encode("3gp", "libopencore_amrnb", tone(0.5, 8000), 8000),
}
MAGICS = [
    b"",
    b"RIFF\0\1\0\0WAVEfmt \x10\0\0\0",
    b"fLaC\0\0\0\x22",
    b"OggS\0\2",
    b"#!AMR\n",
    b"#!AMR-WB\n",
    b"ID3\4\0\0",
    b"\0\0\0\x10ftypM4A \0\0\0\0",
    b"\xff\xfb\x90\x64",
    b"\xff\xf1\x50\x80",
]

# Derandomised: a decoder's crash would take the test run with it, which shouldn't happen by luck.
fuzz = settings(
    max_examples=250, derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)


def converts_or_refuses(data: bytes) -> None:
    try:
        prepared = convert(data, "mp3")
    except AudioRefused:
        return
    assert prepared.wav.startswith(b"RIFF")
    assert 0 < prepared.seconds <= 600.01
    assert all(0 <= column <= 100 for column in prepared.peaks)


@fuzz
@given(st.sampled_from(MAGICS), st.binary(max_size=3000))
def test_any_bytes_convert_or_are_refused(magic: bytes, rest: bytes) -> None:
    converts_or_refuses(magic + rest)


@fuzz
@given(
    st.sampled_from(sorted(EXAMPLES)),
    st.lists(st.tuples(st.floats(0, 0.999), st.sampled_from(["set", "cut", "copy"]), st.binary(min_size=1, max_size=8)),
             min_size=1, max_size=8),
    st.booleans(),
)  # fmt: skip
def test_damaged_files_convert_or_are_refused(
    name: str, damages: list[tuple[float, str, bytes]], header_only: bool
) -> None:
    data = bytearray(EXAMPLES[name])
    for where, how, what in damages:
        place = int(where * (min(300, len(data)) if header_only else len(data)))
        if how == "set":
            data[place : place + len(what)] = what
        elif how == "cut":
            del data[place : place + what[0] + 1]
        else:
            data[place:place] = data[place : place + what[0] + 1]
    converts_or_refuses(bytes(data))
