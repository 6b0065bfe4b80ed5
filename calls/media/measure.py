"""Level, silence and waveform of a finished sound (8 kHz, mono, 16-bit)."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from calls.media.prepared import FLOOR_DBFS, PEAK_COLUMNS
from calls.media.wav import RATE

SILENCE_DBFS = -50.0
"""Fainter than this is silence on a phone line, whose own noise lies around it."""

_FULL_SCALE = 32768.0
_WINDOW = RATE // 20


@dataclass(frozen=True, slots=True)
class Measured:
    """Levels in dBFS and silences in seconds. ``rms_dbfs`` counts only the parts that aren't silent."""

    peak_dbfs: float
    rms_dbfs: float
    silent: bool
    silence_before: float
    silence_after: float
    peaks: list[int]


def dbfs(amplitude: float) -> float:
    """An amplitude (1.0 is full scale) in dBFS, never below ``FLOOR_DBFS``."""
    return max(FLOOR_DBFS, 20 * math.log10(amplitude)) if amplitude > 0 else FLOOR_DBFS


def measure(samples: NDArray[np.int16]) -> Measured:
    """Measures a sound of at least one sample."""
    windows = _window_powers(samples)
    heard = np.flatnonzero(windows > 10 ** (SILENCE_DBFS / 10))
    peaks = _columns(samples)
    peak = dbfs(max(int(samples.max()), -int(samples.min())) / _FULL_SCALE)
    if not heard.size:
        loudness = dbfs(math.sqrt(float(windows.mean())))
        return Measured(peak, loudness, True, samples.size / RATE, samples.size / RATE, peaks)
    loudness = dbfs(math.sqrt(float(windows[heard].mean())))
    before = int(heard[0]) * _WINDOW / RATE
    after = max(0.0, samples.size / RATE - (int(heard[-1]) + 1) * _WINDOW / RATE)
    return Measured(peak, loudness, False, before, after, peaks)


def _window_powers(samples: NDArray[np.int16]) -> NDArray[np.float64]:
    """Mean power of each twentieth of a second, full scale being 1."""
    # A minute at a time: as floats, a long sound would need much room at once.
    minute = 1200 * _WINDOW
    return np.concatenate([_powers(samples[start : start + minute]) for start in range(0, samples.size, minute)])


def _powers(samples: NDArray[np.int16]) -> NDArray[np.float64]:
    starts = np.arange(0, samples.size, _WINDOW)
    squares = np.square(samples.astype(np.float64) / _FULL_SCALE)
    return np.add.reduceat(squares, starts) / np.diff(np.append(starts, samples.size))


def _columns(samples: NDArray[np.int16]) -> list[int]:
    """The loudest sample of each column, 0 to 100; rounded up so that a faint sound still shows."""
    columns = min(PEAK_COLUMNS, samples.size)
    starts = np.arange(columns) * samples.size // columns
    highest, lowest = np.maximum.reduceat(samples, starts), np.minimum.reduceat(samples, starts)
    return [math.ceil(max(int(high), -int(low)) * 100 / _FULL_SCALE) for high, low in zip(highest, lowest, strict=True)]
