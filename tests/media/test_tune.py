import io
import wave

import numpy as np

from calls.media.convert import convert
from calls.media.tune import SECONDS, demo_sound


def samples() -> np.ndarray:
    with wave.open(io.BytesIO(demo_sound())) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int32)


def test_lasts_some_seconds_and_peaks_at_minus_6_dbfs() -> None:
    heard = samples()
    assert heard.size == SECONDS * 8000
    assert 6 <= SECONDS <= 8
    assert abs(20 * np.log10(np.abs(heard).max() / 32768) + 6) < 0.05


def test_begins_and_ends_in_silence_without_a_click() -> None:
    heard = samples()
    assert heard[0] == heard[-1] == 0
    assert np.abs(heard[:80]).max() < 100
    assert np.abs(heard[-80:]).max() < 100


def test_is_the_same_each_time() -> None:
    assert demo_sound() == demo_sound()


def test_needs_no_conversion_and_no_warning() -> None:
    prepared = convert(demo_sound(), "wav")
    assert prepared.wav == demo_sound()
    assert prepared.warnings == []
    assert prepared.rms_dbfs > -24


def test_lies_where_a_phone_line_carries_it() -> None:
    heard = samples()
    power = np.abs(np.fft.rfft(heard)) ** 2
    hertz = np.fft.rfftfreq(heard.size, 1 / 8000)
    assert power[(hertz >= 300) & (hertz <= 3400)].sum() > 0.99 * power.sum()
