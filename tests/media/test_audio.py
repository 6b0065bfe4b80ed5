"""What `prepare` hands over and how it runs the decoders; what is refused is in test_audio_refused.py."""

import hashlib
import io
import logging
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from calls.media import audio
from calls.media.audio import MAX_BYTES, AudioRefused, Prepared, prepare
from calls.media.convert import convert

from .audio_files import encode, plain_wav, silence, speech, tone, video, wav


def heard(prepared: Prepared) -> np.ndarray:
    """The samples of what was made, read by another reader than the one under test."""
    with wave.open(io.BytesIO(prepared.wav)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        assert file.getnframes() == (len(prepared.wav) - 44) // 2
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float64) / 32768


def strongest_hertz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(samples.size)))
    return float(spectrum.argmax()) * 8000 / samples.size


def warned(prepared: Prepared, words: str) -> bool:
    return any(words in sentence for sentence in prepared.warnings)


FORMATS = [
    # ending, container, codec, samples a second, channels, what is shown
    ("wav", "wav", "pcm_s16le", 44100, 2, "WAV, 44.1 kHz, stereo"),
    ("wav", "wav", "pcm_s16le", 16000, 1, "WAV, 16 kHz, mono"),
    ("wav", "wav", "pcm_s16le", 8000, 1, "WAV, 8 kHz, mono"),
    ("wav", "wav", "pcm_u8", 11025, 1, "WAV, 11.025 kHz, mono"),
    ("wav", "wav", "pcm_s24le", 48000, 2, "WAV, 48 kHz, stereo"),
    ("wav", "wav", "pcm_f32le", 96000, 1, "WAV, 96 kHz, mono"),
    ("wav", "wav", "pcm_f64le", 192000, 1, "WAV, 192 kHz, mono"),
    ("wav", "wav", "pcm_alaw", 8000, 1, "WAV (A-law), 8 kHz, mono"),
    ("wav", "wav", "pcm_mulaw", 8000, 1, "WAV (mu-law), 8 kHz, mono"),
    ("wav", "wav", "adpcm_ms", 22050, 1, "WAV (ADPCM), 22.05 kHz, mono"),
    ("mp3", "mp3", "libmp3lame", 44100, 2, "MP3, 44.1 kHz, stereo"),
    ("mp3", "mp3", "libmp3lame", 16000, 1, "MP3, 16 kHz, mono"),
    ("mp3", "mp3", "libmp3lame", 8000, 1, "MP3, 8 kHz, mono"),
    ("m4a", "ipod", "aac", 44100, 2, "M4A (AAC), 44.1 kHz, stereo"),
    ("m4a", "ipod", "aac", 16000, 1, "M4A (AAC), 16 kHz, mono"),
    ("m4a", "ipod", "alac", 44100, 2, "M4A (Apple Lossless), 44.1 kHz, stereo"),
    ("mov", "mov", "aac", 44100, 1, "M4A (AAC), 44.1 kHz, mono"),
    ("aac", "adts", "aac", 44100, 2, "AAC, 44.1 kHz, stereo"),
    ("3gp", "3gp", "libopencore_amrnb", 8000, 1, "M4A (AMR), 8 kHz, mono"),
    ("ogg", "ogg", "libopus", 48000, 2, "OGG (Opus), 48 kHz, stereo"),
    ("opus", "ogg", "libopus", 16000, 1, "OGG (Opus), 48 kHz, mono"),
    ("ogg", "ogg", "vorbis", 44100, 2, "OGG (Vorbis), 44.1 kHz, stereo"),
    ("oga", "ogg", "flac", 44100, 2, "OGG (FLAC), 44.1 kHz, stereo"),
    ("amr", "amr", "libopencore_amrnb", 8000, 1, "AMR, 8 kHz, mono"),
    ("flac", "flac", "flac", 44100, 2, "FLAC, 44.1 kHz, stereo"),
    ("flac", "flac", "flac", 8000, 1, "FLAC, 8 kHz, mono"),
    ("flac", "flac", "flac", 48000, 6, "FLAC, 48 kHz, 6 channels"),
]


def example(container: str, codec: str, rate: int, channels: int, seconds: float = 3.0) -> bytes:
    options = {"strict": "experimental"} if codec == "vorbis" else {}
    return encode(container, codec, [tone(seconds, rate)] * channels, rate, **options)


@pytest.mark.parametrize("given", FORMATS, ids=lambda given: given[-1])
def test_each_format_becomes_8_khz_mono(given: tuple[str, str, str, int, int, str]) -> None:
    ending, container, codec, rate, channels, shown = given
    seconds = 10.0
    prepared = convert(example(container, codec, rate, channels, seconds), ending)
    samples = heard(prepared)
    assert abs(samples.size / 8000 - seconds) < 0.02 * seconds
    assert prepared.seconds == samples.size / 8000
    assert abs(strongest_hertz(samples) - 1000) < 1
    # A sine of half of full scale has -9 dBFS; lossy encoders lose up to a decibel of it.
    middle = samples[8000:-8000]
    assert abs(20 * np.log10(np.sqrt(np.mean(middle**2))) + 9.03) < 1
    assert abs(prepared.rms_dbfs + 9.0) < 1
    assert -7 < prepared.peak_dbfs < -4.5
    assert prepared.source_format == shown
    assert prepared.warnings == []
    assert prepared.sha256 == hashlib.sha256(prepared.wav).hexdigest()
    assert len(prepared.peaks) == 400


def test_amr_wideband_is_read() -> None:
    # Mode 0 frames (header 0x04, 17 bytes) of zeros: no tone, but honest frames of 20 ms.
    prepared = convert(b"#!AMR-WB\n" + (b"\x04" + bytes(17)) * 100, "awb")
    assert prepared.source_format == "AMR (AMR wideband), 16 kHz, mono"
    assert abs(prepared.seconds - 2) < 0.04


def test_what_a_phone_plays_already_stays_the_same() -> None:
    given = np.random.default_rng(1).integers(-32768, 32767, 8000).astype("<i2")
    prepared = convert(plain_wav(given.tobytes()), "wav")
    assert prepared.wav[44:] == given.tobytes()


@pytest.mark.parametrize("hertz", [300, 1000, 3000, 3400])
def test_the_band_of_a_phone_line_passes_whole(hertz: int) -> None:
    middle = heard(convert(wav(tone(2, hertz=hertz)), "wav"))[4000:-4000]
    assert abs(20 * np.log10(np.sqrt(np.mean(middle**2))) + 9.03) < 0.1


@pytest.mark.parametrize("rate", [11025, 16000, 22050, 44100, 48000, 192000])
def test_what_lies_above_does_not_fold_back(rate: int) -> None:
    middle = heard(convert(wav(tone(2, rate, hertz=4300), rate), "wav"))[4000:-4000]
    assert np.abs(middle).max() < 0.001


def test_channels_are_mixed() -> None:
    prepared = convert(wav([tone(2, hertz=500), tone(2, hertz=1500)]), "wav")
    spectrum = np.abs(np.fft.rfft(heard(prepared)))
    assert set(np.argsort(spectrum)[-2:] / 2) == {500, 1500}
    assert prepared.warnings == []


def test_channels_that_cancel_each_other_out_leave_the_louder_one() -> None:
    prepared = convert(wav([tone(2, amplitude=0.4), -tone(2, amplitude=0.5)]), "wav")
    assert abs(prepared.peak_dbfs + 6) < 0.5
    assert warned(prepared, "Its 2 channels cancel each other out when mixed; only channel 2 is used.")


def test_one_channel_of_six_is_not_drowned() -> None:
    quiet = silence(2, 48000)
    prepared = convert(encode("flac", "flac", [quiet, quiet, tone(2, 48000), quiet, quiet, quiet], 48000), "flac")
    assert abs(prepared.peak_dbfs + 6) < 0.5


def test_speech_in_one_channel_of_two_stays() -> None:
    prepared = convert(wav([tone(2), silence(2)]), "wav")
    assert abs(prepared.peak_dbfs + 12) < 0.5
    assert prepared.warnings == []


def test_a_change_of_rate_in_the_middle_is_followed() -> None:
    glued = encode("adts", "aac", tone(3, 44100), 44100) + encode("adts", "aac", tone(3, 16000), 16000)
    prepared = convert(glued, "aac")
    samples = heard(prepared)
    assert abs(prepared.seconds - 6) < 0.2
    assert abs(strongest_hertz(samples[: samples.size // 2]) - 1000) < 2
    assert abs(strongest_hertz(samples[samples.size // 2 :]) - 1000) < 2


def test_a_title_tag_before_the_sound_is_skipped() -> None:
    tag = b"ID3\x04\0\0\0\0\x01\x00" + bytes(128)
    assert convert(tag + example("mp3", "libmp3lame", 44100, 2), "mp3").source_format == "MP3, 44.1 kHz, stereo"
    assert convert(tag + example("flac", "flac", 44100, 2), "flac").source_format == "FLAC, 44.1 kHz, stereo"


def test_a_recorder_that_left_the_length_open_is_read() -> None:
    data = np.round(tone(2, 8000) * 32767).astype("<i2").tobytes()
    for declared in (0, 0x7FFFFFFF, 0xFFFFFFFF):
        assert convert(plain_wav(data, declared=declared), "wav").seconds == 2


class TestWaveform:
    def test_follows_the_sound(self) -> None:
        parts = [silence(1, 8000), tone(1, 8000, amplitude=0.25), tone(1, 8000, amplitude=0.5), silence(1, 8000)]
        peaks = convert(wav(np.concatenate(parts), 8000), "wav").peaks
        assert len(peaks) == 400
        assert peaks[:99] == [0] * 99
        assert set(peaks[101:199]) <= {25, 26}
        assert set(peaks[201:299]) <= {50, 51}
        assert peaks[301:] == [0] * 99

    def test_reaches_100_at_full_scale_and_never_more(self) -> None:
        assert set(convert(wav(tone(1, 8000, amplitude=1.0), 8000), "wav").peaks) == {100}
        assert convert(plain_wav(b"\x00\x80" * 800), "wav").peaks == [100] * 400

    def test_a_very_short_sound_has_a_column_for_each_sample(self) -> None:
        assert convert(plain_wav(b"\x00\x40" * 5), "wav").peaks == [50] * 5


class TestLoudness:
    def test_pauses_do_not_count(self) -> None:
        whole = convert(wav(tone(2)), "wav")
        spread = convert(wav(np.concatenate([tone(1), silence(1.5), tone(1), silence(1.5)])), "wav")
        assert abs(whole.rms_dbfs - spread.rms_dbfs) < 0.5

    def test_full_scale_is_zero(self) -> None:
        prepared = convert(wav(tone(1, 8000, amplitude=1.0), 8000), "wav")
        assert prepared.peak_dbfs == 0
        assert prepared.rms_dbfs == -3.0

    def test_overshoot_is_turned_down_instead_of_wrapping_around(self) -> None:
        # A square at full scale: the low-pass filter overshoots by more than a decibel.
        samples = heard(convert(wav(np.sign(tone(1, hertz=440))), "wav"))
        assert np.abs(samples).max() <= 1
        assert np.abs(np.diff(samples)).max() < 1.5
        flat = np.abs(samples) > 0.999
        assert np.count_nonzero(flat[1:] & flat[:-1]) == 0

    def test_floats_beyond_full_scale_are_limited(self) -> None:
        samples = heard(convert(wav(tone(1, 16000, amplitude=1e6), 16000, "pcm_f32le"), "wav"))
        assert 0.9 < np.abs(samples).max() <= 1


class TestWarnings:
    def test_silence(self) -> None:
        prepared = convert(wav(silence(5)), "wav")
        assert prepared.warnings == ["It is silent: nothing would be heard."]
        assert (prepared.peak_dbfs, prepared.rms_dbfs) == (-96, -96)
        assert set(prepared.peaks) == {0}

    def test_the_hiss_of_a_line_is_silence_too(self) -> None:
        hiss = (np.random.default_rng(1).standard_normal(44100) * 0.001).astype(np.float32)
        assert convert(wav(hiss), "wav").warnings == ["It is silent: nothing would be heard."]

    @pytest.mark.parametrize(("seconds", "expected"), [(1.8, False), (2.2, True)])
    def test_silence_at_the_beginning(self, seconds: float, expected: bool) -> None:
        prepared = convert(wav(np.concatenate([silence(seconds), tone(2)])), "wav")
        assert warned(prepared, f"It begins with {seconds:.1f} s of silence") is expected
        assert not warned(prepared, "It ends with")

    @pytest.mark.parametrize(("seconds", "expected"), [(1.8, False), (2.2, True)])
    def test_silence_at_the_end(self, seconds: float, expected: bool) -> None:
        prepared = convert(wav(np.concatenate([tone(2), silence(seconds)])), "wav")
        assert warned(prepared, f"It ends with {seconds:.1f} s of silence") is expected
        assert not warned(prepared, "It begins with")

    @pytest.mark.parametrize(
        ("container", "codec", "rate"),
        [
            ("wav", "pcm_s16le", 44100),
            ("wav", "pcm_f32le", 44100),
            ("wav", "pcm_mulaw", 8000),
            ("wav", "pcm_u8", 44100),
            ("flac", "flac", 44100),
            ("mp3", "libmp3lame", 44100),
            ("ipod", "aac", 44100),
            ("ogg", "libopus", 48000),
        ],
    )
    def test_clipping_in_the_original(self, container: str, codec: str, rate: int) -> None:
        voice = speech(rate)
        loud = convert(encode(container, codec, np.clip(3 * voice, -1, 1), rate), container)
        assert warned(loud, "It is clipped: ")
        fine = convert(encode(container, codec, 0.95 * voice, rate), container)
        assert not warned(fine, "It is clipped: ")

    def test_clipping_is_told_even_if_the_conversion_hides_it(self) -> None:
        # Clipped overtones lie above the band of a phone line.
        clipped = np.clip(tone(2, hertz=5000, amplitude=3.0) + tone(2, hertz=500, amplitude=0.1), -1, 1)
        assert warned(convert(wav(clipped), "wav"), "It is clipped: ")

    @pytest.mark.parametrize(("amplitude", "expected"), [(0.01, True), (0.1, False)])
    def test_quiet(self, amplitude: float, expected: bool) -> None:
        assert warned(convert(wav(tone(2, amplitude=amplitude)), "wav"), "It is quiet (") is expected

    def test_long(self) -> None:
        assert warned(convert(wav(tone(61, 8000), 8000), "wav"), "It lasts 1 min 1 s; few people listen")
        assert convert(wav(tone(60, 8000), 8000), "wav").warnings == []

    def test_ten_minutes_are_the_most(self) -> None:
        prepared = convert(wav(tone(600, 8000), 8000), "wav")
        assert prepared.seconds == 600
        assert len(prepared.peaks) == 400

    def test_a_name_that_promises_another_format(self) -> None:
        prepared = convert(wav(tone()), "mp3")
        assert prepared.warnings == ["The name ends in .mp3, but this is a WAV file; it was read as such."]

    @pytest.mark.parametrize("ending", ["", "wav", "wave", "dat"])
    def test_a_name_that_promises_nothing_else(self, ending: str) -> None:
        assert convert(wav(tone()), ending).warnings == []

    def test_a_video_with_sound(self) -> None:
        prepared = convert(video(tone(1)), "mp4")
        assert prepared.warnings == ["It also holds a video; only its sound is used."]
        assert abs(strongest_hertz(heard(prepared)) - 1000) < 2

    def test_damaged_parts(self) -> None:
        data = bytearray(example("ipod", "aac", 44100, 1, 30))
        third, part = len(data) // 3, len(data) // 20
        data[third : third + part] = bytes(part)
        assert warned(convert(bytes(data), "flac"), "parts are damaged and were left out")


class TestPrepare:
    """The way that pages take: through a process of its own."""

    def test_gives_what_converting_gives(self) -> None:
        data = wav([tone(), tone()])
        assert prepare(io.BytesIO(data), "Greeting.MP3") == convert(data, "mp3")

    def test_a_path(self, tmp_path: Path) -> None:
        file = tmp_path / "greeting.wav"
        file.write_bytes(wav(tone()))
        assert prepare(file, file.name).seconds == 3

    def test_an_upload_that_was_read_before(self) -> None:
        upload = io.BytesIO(wav(tone()))
        upload.read()
        assert prepare(upload, "a.wav").seconds == 3

    def test_a_stream_that_gives_little_at_a_time_and_can_not_go_back(self) -> None:
        class Slow(io.BytesIO):
            def seekable(self) -> bool:
                return False

            def read(self, size: int | None = -1, /) -> bytes:
                return super().read(min(size or 0, 1000))

        assert prepare(Slow(wav(tone())), "a.wav").seconds == 3

    @pytest.mark.parametrize("name", ["", ".", "a", "a.", "a\0b.wav", "\ud800.wav", "../../x.wav", "-c.wav", "a.w v"])
    def test_any_name(self, name: str) -> None:
        assert prepare(io.BytesIO(wav(tone(0.5))), name).warnings == []

    def test_a_refusal_comes_through(self) -> None:
        with pytest.raises(AudioRefused, match="aren't numbers"):
            prepare(io.BytesIO(plain_wav(b"\0\0\xc0\x7f" * 800, codec=3, bits=32)), "a.wav")

    def test_a_crash_of_the_decoder_is_a_refusal_and_logged(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(sys, "executable", "/bin/false")
        with caplog.at_level(logging.ERROR), pytest.raises(AudioRefused, match="reading it broke off"):
            prepare(io.BytesIO(wav(tone(0.5))), "a.wav")
        assert "ended with 1" in caplog.text

    def test_a_decoder_that_hangs_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(audio, "TIMEOUT", 0.001)
        with pytest.raises(AudioRefused, match="takes too long"):
            prepare(io.BytesIO(wav(tone(0.5))), "a.wav")

    def test_the_process_gets_no_secrets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: dict[str, str] = {}

        def run(*args: object, env: dict[str, str], **kwargs: object) -> subprocess.CompletedProcess[bytes]:
            seen.update(env)
            return subprocess.CompletedProcess([], 0, b'{"refused": "no"}\n')

        monkeypatch.setenv("SECRET_KEY", "not for decoders")
        monkeypatch.setattr(subprocess, "run", run)
        with pytest.raises(AudioRefused, match="no"):
            prepare(io.BytesIO(wav(tone(0.5))), "a.wav")
        assert "SECRET_KEY" not in seen

    @pytest.mark.parametrize("kind", ["ten minutes", "20 MiB", "small and long"])
    def test_memory_stays_below_100_mib(self, kind: str) -> None:
        data = {
            "ten minutes": lambda: wav(tone(600, 16000), 16000),
            "20 MiB": lambda: plain_wav(bytes(MAX_BYTES - 44), rate=48000),
            "small and long": lambda: encode("flac", "flac", [silence(590, 16000)] * 2, 16000),
        }[kind]()
        program = (
            "import re, sys; from pathlib import Path; from calls.media import worker\n"
            "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1])\n"
            "before = peak(); worker.main(); sys.stdout.flush(); sys.stderr.write(str(peak() - before))"
        )
        done = subprocess.run([sys.executable, "-c", program, "wav"], input=data, capture_output=True, check=True)
        assert b'"seconds"' in done.stdout[:20]
        assert int(done.stderr) < 100 * 1024
