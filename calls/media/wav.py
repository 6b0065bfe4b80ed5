"""The one sound format that the portal keeps: WAV, 8 kHz, mono, 16-bit, as telephones play it."""

import struct

import numpy as np
from numpy.typing import NDArray

RATE = 8000


def wav_file(samples: NDArray[np.int16]) -> bytes:
    """A complete WAV file of 8 kHz mono samples."""
    data = samples.astype("<i2").tobytes()
    size = len(data)
    # PCM, one channel, 8000 samples and 16000 bytes a second, 2 bytes and 16 bits a sample.
    header = struct.pack(
        "<4sI8sIHHIIHH4sI", b"RIFF", 36 + size, b"WAVEfmt ", 16, 1, 1, RATE, RATE * 2, 2, 16, b"data", size
    )
    return header + data


def to_int16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Samples between -1 and 1 as 16-bit ones, held at full scale beyond. What was 16-bit stays the same."""
    steps: NDArray[np.float32] = np.rint(samples * np.float32(32768))
    return np.clip(steps, -32768, 32767).astype(np.int16)
