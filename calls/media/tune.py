"""The sound that the demo data plays: a short tune on bells, made here rather than taken from anywhere."""

import numpy as np
from numpy.typing import NDArray

from calls.media.wav import RATE, to_int16, wav_file

SECONDS = 7.0
PEAK_DBFS = -6.0

_BEAT = 0.46
_C5 = 523.25
"""Hertz. The notes lie where a phone line carries both them and their overtones (300 to 3400 Hz)."""

# When (in beats), which note (semitones above C5), how strong: a rising call, its answer, and a last chord.
_NOTES = (
    (0.0, 0, 0.9), (1.0, 4, 0.8), (2.0, 7, 0.9), (3.0, 12, 1.0),
    (4.5, 9, 0.8), (5.5, 7, 0.8), (6.5, 4, 0.8), (7.5, 2, 0.7),
    (9.0, 0, 0.5), (9.1, 4, 0.45), (9.2, 7, 0.45), (9.3, 12, 0.4),
)  # fmt: skip

# A bell: overtones (times the note), how strong they start and how fast they die away (1/s).
_OVERTONES = ((1.0, 1.0, 1.8), (2.0, 0.45, 3.2), (3.0, 0.16, 6.0))


def demo_sound() -> bytes:
    """A friendly tune of seven seconds as a WAV file (8 kHz, mono, 16-bit), its peak at -6 dBFS; always the same."""
    tune = np.zeros(round(SECONDS * RATE))
    for beat, semitones, strength in _NOTES:
        start = round((0.05 + beat * _BEAT) * RATE)
        tune[start:] += strength * _bell(_C5 * 2 ** (semitones / 12), tune.size - start)
    tune *= _fades(tune.size)
    tune *= 10 ** (PEAK_DBFS / 20) / np.abs(tune).max()
    return wav_file(to_int16(tune.astype(np.float32)))


def _bell(hertz: float, samples: int) -> NDArray[np.float64]:
    time = np.arange(samples) / RATE
    sound = np.zeros(samples)
    for times, strength, decay in _OVERTONES:
        sound += strength * np.exp(-decay * time) * np.sin(2 * np.pi * hertz * times * time)
    # Struck, but not with a click.
    return sound * np.minimum(1.0, time / 0.008)


def _fades(samples: int) -> NDArray[np.float64]:
    """Full in the middle; rises within a hundredth and falls within the last second, both to nothing."""
    time = np.arange(samples) / RATE
    left = (samples - 1) / RATE - time
    fall: NDArray[np.float64] = np.sin(np.pi / 2 * np.clip(left, 0, 1)) ** 2
    return fall * np.minimum(1.0, time / 0.01)
