"""Turns the bytes of an audio file into a prepared sound, in this process.

Pages call ``calls.media.audio.prepare``, which does so in a process of its own.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from calls.media import decode
from calls.media.kinds import Found, mismatch, recognise
from calls.media.measure import Measured, measure
from calls.media.prepared import RULE, SENSIBLE_SECONDS, AudioRefused, Prepared, check_size, show_seconds
from calls.media.wav import RATE, to_int16, wav_file

QUIET_DBFS = -32.0
LONG_SILENCE_SECONDS = 2.0
CLIPPED_SHARE = 0.0005
"""Share of samples at full scale from which clipping is heard as a rasp."""

COARSE_CLIPPED_SHARE = 0.02
"""The same for codecs with few steps, where the loudest step alone holds many samples of a sound that isn't clipped."""

_COARSE = {"pcm_alaw", "pcm_mulaw", "pcm_u8"}

_CANCELLED_SHARE = 0.05
"""If mixing leaves less than this share of the loudest channel's power, the mix isn't what the file sounds like."""


def convert(data: bytes, ending: str) -> Prepared:
    """Checks, converts and measures an audio file; ``ending`` is that of its name, to compare with what it holds.

    Raises AudioRefused for whatever can't become a sound.
    """
    check_size(len(data))
    found = recognise(data, ending)
    decoded = decode.decode(data, found)
    extra: list[str] = []
    if (channel := _lost_in_the_mix(decoded)) is not None:
        count = len(decoded.channel_power)
        extra.append(f"Its {count} channels cancel each other out when mixed; only channel {channel + 1} is used.")
        decoded = decode.decode(data, found, channel)
    _check_length(decoded, found)
    samples = _limited(decoded.pieces)
    measured = measure(samples)
    wav = wav_file(samples)
    return Prepared(
        wav=wav,
        seconds=samples.size / RATE,
        peak_dbfs=round(measured.peak_dbfs, 1),
        rms_dbfs=round(measured.rms_dbfs, 1),
        peaks=measured.peaks,
        sha256=hashlib.sha256(wav).hexdigest(),
        source_format=_describe(decoded, found),
        warnings=[*_source_warnings(decoded, found, ending), *extra, *_sound_warnings(measured, samples.size / RATE)],
    )


def _lost_in_the_mix(decoded: decode.Decoded) -> int | None:
    """The loudest channel, if hardly anything of it is left in the mix (one channel upside down, or one of six)."""
    powers = decoded.channel_power
    if len(powers) < 2 or max(powers) < 1e-7 or decoded.mix_power >= _CANCELLED_SHARE * max(powers):
        return None
    return powers.index(max(powers))


def _check_length(decoded: decode.Decoded, found: Found) -> None:
    if not any(piece.size for piece in decoded.pieces):
        raise AudioRefused(f"This {found.kind.label} file has no sound in it (0 seconds). {RULE}")
    lengths = [length for length in (found.declared, *decoded.declared) if length]
    real = decoded.seconds
    if lengths and all(abs(length - real) > max(0.5, 0.1 * length) for length in lengths):
        raise AudioRefused(
            f"This file says that it lasts {show_seconds(lengths[0])}, but it holds {show_seconds(real)} of sound: "
            f"it is damaged or was cut short. Send the whole file."
        )


def _limited(pieces: list[NDArray[np.float32]]) -> NDArray[np.int16]:
    """As 16 bits. The low-pass filter overshoots at steep edges: then all is turned down rather than cut off."""
    peak = max(float(np.abs(piece).max(initial=0)) for piece in pieces)
    gain = np.float32(1 / max(1.0, peak))
    samples = np.empty(sum(piece.size for piece in pieces), np.int16)
    position = 0
    # One by one, since ten minutes of floats need twice the room of what becomes of them.
    for piece in pieces:
        samples[position : position + piece.size] = to_int16(piece * gain)
        position += piece.size
    return samples


def _describe(decoded: decode.Decoded, found: Found) -> str:
    channels = {1: "mono", 2: "stereo"}.get(decoded.channels, f"{decoded.channels} channels")
    label = found.kind.label
    inside = _INSIDE.get(decoded.codec, "")
    if inside and inside != label:
        label = f"{label} ({inside})"
    return f"{label}, {decoded.rate / 1000:g} kHz, {channels}"


_INSIDE = {
    "aac": "AAC",
    "adpcm_ima_wav": "ADPCM",
    "adpcm_ms": "ADPCM",
    "alac": "Apple Lossless",
    "amrnb": "AMR",
    "amrwb": "AMR wideband",
    "flac": "FLAC",
    "gsm_ms": "GSM",
    "mp3float": "MP3",
    "opus": "Opus",
    "pcm_alaw": "A-law",
    "pcm_mulaw": "mu-law",
    "vorbis": "Vorbis",
}


def _source_warnings(decoded: decode.Decoded, found: Found, ending: str) -> Iterable[str]:
    """What there is to say about the file as it came."""
    if sentence := mismatch(found.kind, ending):
        yield sentence
    if decoded.damaged > max(1, decoded.packets // 100):
        yield f"{decoded.damaged} of its {decoded.packets} parts are damaged and were left out."
    if decoded.has_video:
        yield "It also holds a video; only its sound is used."
    if decoded.clipped > (COARSE_CLIPPED_SHARE if decoded.codec in _COARSE else CLIPPED_SHARE):
        share = decoded.clipped * 100
        yield f"It is clipped: {share:.1f} % of its samples are at full scale, which sounds harsh. Record it quieter."


def _sound_warnings(measured: Measured, seconds: float) -> Iterable[str]:
    """What there is to say about the sound as the phone plays it."""
    if seconds > SENSIBLE_SECONDS:
        yield f"It lasts {show_seconds(seconds)}; few people listen to more than {SENSIBLE_SECONDS} seconds."
    if measured.silent:
        yield "It is silent: nothing would be heard."
        return
    if measured.silence_before > LONG_SILENCE_SECONDS:
        yield f"It begins with {show_seconds(measured.silence_before)} of silence: people hang up before it speaks."
    if measured.silence_after > LONG_SILENCE_SECONDS:
        yield f"It ends with {show_seconds(measured.silence_after)} of silence, for which the line stays busy."
    if measured.rms_dbfs < QUIET_DBFS:
        yield f"It is quiet ({measured.rms_dbfs:.0f} dBFS); speech on a phone should be near -20 dBFS."
