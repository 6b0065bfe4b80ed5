"""What the media code hands out: a prepared sound or a refusal, and the limits that both follow."""

from dataclasses import dataclass

MAX_BYTES = 20 * 1024 * 1024
MAX_SECONDS = 600
SENSIBLE_SECONDS = 60
PEAK_COLUMNS = 400
FLOOR_DBFS = -96.0
"""The level given for digital silence: 16 bits can't hold anything fainter."""

RULE = "A sound must be a WAV, MP3, M4A, OGG, AMR or FLAC file."


class AudioRefused(ValueError):
    """A file that can't become a sound. The text says what came and the rule, and is fit for a page."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A sound as the phone will play it, with what there is to say about it.

    ``wav`` is a complete WAV file (8 kHz, mono, 16-bit). Levels are in dBFS, where 0 is the loudest that 16 bits hold
    and ``FLOOR_DBFS`` is digital silence; ``rms_dbfs`` leaves pauses out, so that it says how loud the speech is.
    ``peaks`` has up to ``PEAK_COLUMNS`` columns from 0 to 100 (full scale). ``warnings`` are plain sentences.
    """

    wav: bytes
    seconds: float
    peak_dbfs: float
    rms_dbfs: float
    peaks: list[int]
    sha256: str
    source_format: str
    warnings: list[str]


def show_seconds(seconds: float) -> str:
    """A length for people: ``0.4 s``, ``12 s``, ``10 min``, ``62 min 5 s``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def check_size(size: int) -> None:
    """Raises AudioRefused for more bytes than a sound file may have."""
    if size > MAX_BYTES:
        came = max(size / 1024 / 1024, MAX_BYTES / 1024 / 1024 + 0.1)
        raise AudioRefused(f"This file has {came:.1f} MiB; a sound file may have at most {MAX_BYTES // 1024**2} MiB.")
