"""Decodes audio with PyAV, mixes it to one channel and brings it to 8 kHz, piece by piece.

No file name ever reaches libav: it is told which demuxer to use, reads bytes that are in memory, and can open nothing.
"""

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from calls.media.kinds import KINDS, Found
from calls.media.prepared import MAX_SECONDS, RULE, AudioRefused, show_seconds
from calls.media.wav import RATE

MAX_CHANNELS = 6
"""5.1 and below. From eight channels on, PyAV reads past the end of a planar frame's list of channels."""

MIN_RATE, MAX_RATE = 4000, 192_000
WORK_SECONDS = 40.0
"""Time that decoding may take. The longest allowed file needs a few seconds."""

_MAX_FRAME_SAMPLES = 1 << 18
_BATCH = 1 << 15

# Errors that libav's wrapper raises for bytes that make no sense; all else is a fault of ours and should be seen.
_BAD_BYTES = (av.error.FFmpegError, ValueError, OverflowError, MemoryError, AssertionError, RuntimeError)

# A filter steep enough that 3.4 kHz, the top of a phone line, passes whole and 4.2 kHz and more don't fold back.
_RESAMPLER = {"filter_size": "128", "cutoff": "0.95"}

# The loudest that a sample can be. Lossy codecs ripple around what was cut off, so that any sample beyond counts there;
# elsewhere it takes three in a row: a sound that just touches full scale now and then isn't clipped.
_CEILINGS = {"pcm_u8": 127 / 128, "pcm_mulaw": 32124 / 32768, "pcm_alaw": 32256 / 32768}
_CEILING = 32767 / 32768
_LOSSY = {"aac", "amrnb", "amrwb", "mp3float", "opus", "vorbis"}

_SAMPLE_SCALES = {"u8": 128.0, "s16": 32768.0, "s32": 2147483648.0, "flt": 1.0, "dbl": 1.0}

av.logging.set_level(None)


@dataclass(slots=True)
class Decoded:
    """The sound at 8 kHz (pieces of floats, full scale is 1) and what was seen of the original on the way.

    ``declared`` are lengths in seconds by the container; powers are means over all samples; ``clipped`` is the share of
    original samples at full scale as clipping leaves them; ``damaged`` of ``packets`` pieces could not be decoded.
    """

    pieces: list[NDArray[np.float32]]
    seconds: float
    rate: int
    channels: int
    codec: str
    declared: tuple[float, ...]
    mix_power: float
    channel_power: list[float]
    clipped: float
    packets: int
    damaged: int
    has_video: bool


class _Source:
    """The bytes, as a file that libav reads. It runs dry when time is up, since errors can't cross libav safely."""

    def __init__(self, data: bytes, start: int) -> None:
        self._file = io.BytesIO(data)
        self._start, self._end = start, len(data)
        self._deadline = time.monotonic() + WORK_SECONDS
        self._file.seek(start)
        self.opened_other = False

    @property
    def late(self) -> bool:
        return time.monotonic() > self._deadline

    def read(self, size: int) -> bytes:
        return b"" if self.late else self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        base = {0: self._start, 1: self._file.tell(), 2: self._end}[whence]
        return self._file.seek(max(self._start, base + offset)) - self._start

    def tell(self) -> int:
        return self._file.tell() - self._start

    def open_other(self, url: str, flags: int, options: dict[str, str]) -> io.BytesIO:
        """Stands in for whatever else a demuxer would like to open: a file with nothing in it."""
        self.opened_other = True
        return io.BytesIO()


@dataclass(slots=True)
class _Tally:
    """Sums over the original samples."""

    clipped: int = 0
    samples: int = 0
    mix_energy: float = 0.0
    energies: list[float] = field(default_factory=list)

    def add(self, channels: NDArray[np.float32], mix: NDArray[np.float32], codec: str) -> None:
        if codec in _LOSSY:
            full = np.abs(channels) >= 1
        else:
            top = np.abs(channels) >= _CEILINGS.get(codec, _CEILING)
            full = top[:, 2:] & top[:, 1:-1] & top[:, :-2]
        self.clipped += int(np.count_nonzero(full))
        self.samples += mix.size
        self.mix_energy += float(np.dot(mix, mix))
        energies = [float(np.dot(channel, channel)) for channel in channels]
        if len(energies) != len(self.energies):
            self.energies = [*self.energies, *[0.0] * len(energies)][: len(energies)]
        self.energies = [old + new for old, new in zip(self.energies, energies, strict=True)]


def decode(data: bytes, found: Found, channel: int | None = None) -> Decoded:
    """Decodes a recognised file; ``channel`` takes that one instead of the mix of all. Raises AudioRefused."""
    source = _Source(data, found.start)
    try:
        container = av.open(
            source,
            "r",
            format=found.kind.demuxer,
            container_options=_container_options(),
            metadata_errors="replace",
            timeout=WORK_SECONDS,
            io_open=source.open_other,
        )
    except _BAD_BYTES as error:
        raise (_slow() if source.late else _damaged(found)) from error
    with container:
        decoded = _Decoding(container, source, found, channel).run()
    if source.opened_other:
        raise AudioRefused(f"This file refers to other files, which are never opened. {RULE}")
    return decoded


def _container_options() -> dict[str, str]:
    """What libav may use: the listed demuxers and decoders, no protocol at all, no references out of the file."""
    return {
        "format_whitelist": ",".join([*(kind.demuxer for kind in KINDS if kind.demuxer != "mov"), _MOV]),
        "codec_whitelist": ",".join({codec for kind in KINDS for codec in kind.codecs}),
        "protocol_whitelist": "none",
        "enable_drefs": "0",
        "max_streams": "16",
    }


_MOV = "mov,mp4,m4a,3gp,3g2,mj2"


def _damaged(found: Found) -> AudioRefused:
    return AudioRefused(
        f"This begins like {found.kind.label} audio, but can't be read: it is damaged or cut short. {RULE}"
    )


def _slow() -> AudioRefused:
    return AudioRefused(f"This file takes longer than {WORK_SECONDS:.0f} seconds to read. {RULE}")


class _Decoding:
    """One pass over one file."""

    def __init__(self, container: InputContainer, source: _Source, found: Found, channel: int | None) -> None:
        self.container, self.source, self.found, self.channel = container, source, found, channel
        self.tally = _Tally()
        self.packets = self.damaged = 0
        self.seconds = 0.0
        self.rate = self.channels = 0
        self.stream = self._choose_stream()
        self.codec = self.stream.codec_context.name

    def run(self) -> Decoded:
        resampler = _Resampler()
        for frame in self._frames():
            self._check_frame(frame)
            resampler.add(self._mono(frame), frame.sample_rate)
        if self.source.late:
            raise _slow()
        if self.damaged * 2 > self.packets:
            raise _damaged(self.found)
        total = max(1, self.tally.samples)
        return Decoded(
            pieces=resampler.finish(),
            seconds=self.seconds,
            rate=self.rate,
            channels=self.channels,
            codec=self.codec,
            declared=self._declared(),
            mix_power=self.tally.mix_energy / total,
            channel_power=[energy / total for energy in self.tally.energies],
            clipped=self.tally.clipped / (total * max(1, self.channels)),
            packets=self.packets,
            damaged=self.damaged,
            has_video=self._has_video(),
        )

    def _choose_stream(self) -> AudioStream:
        kind = self.found.kind
        streams = self.container.streams.audio
        if not streams:
            what = "is a video without sound" if self.container.streams.video else "has no sound in it"
            raise AudioRefused(f"This file {what}. {RULE}")
        stream = streams[0]
        context = stream.codec_context
        # Without a decoder there is no context, and asking such a stream to decode has crashed before.
        name = getattr(context, "name", "unknown")
        if name not in kind.codecs:
            raise AudioRefused(
                f"The sound in this {kind.label} file is coded in a way that isn't read ({name}). {RULE}"
            )
        context.options = {"max_samples": str(_MAX_FRAME_SAMPLES)}
        context.thread_count = 1
        return stream

    def _has_video(self) -> bool:
        """Whether there are moving pictures; the cover of an album is a picture too, but stands still."""
        return any("attached_pic" not in str(stream.disposition) for stream in self.container.streams.video)

    def _declared(self) -> tuple[float, ...]:
        """Lengths by the header. Only for containers that state them; for others libav guesses from the bit rate."""
        if self.found.kind.demuxer not in {"mov", "flac"}:
            return ()
        lengths = []
        if self.stream.duration and self.stream.time_base:
            lengths.append(float(self.stream.duration * self.stream.time_base))
        if self.container.duration:
            lengths.append(self.container.duration / 1_000_000)
        return tuple(lengths)

    def _frames(self) -> Iterator[AudioFrame]:
        packets = self.container.demux(self.stream)
        while not self.source.late:
            try:
                packet = next(packets, None)
            except _BAD_BYTES:
                # The container itself is broken from here on; what was decoded so far may still do.
                self.packets, self.damaged = self.packets + 1, self.damaged + 1
                return
            if packet is None:
                return
            self.packets += packet.size > 0
            try:
                frames = self.stream.decode(packet)
            except av.error.EOFError:
                continue
            except _BAD_BYTES:
                self.damaged += 1
                if self.damaged > 20 + self.packets // 2:
                    raise _damaged(self.found) from None
                continue
            yield from frames

    def _check_frame(self, frame: AudioFrame) -> None:
        rate, channels = frame.sample_rate, frame.layout.nb_channels
        if not MIN_RATE <= rate <= MAX_RATE:
            raise AudioRefused(
                f"This file has {rate} samples per second; from {MIN_RATE} to {MAX_RATE} can be read. {RULE}"
            )
        if not 1 <= channels <= MAX_CHANNELS:
            raise AudioRefused(f"This file has {channels} channels; up to {MAX_CHANNELS} can be read. {RULE}")
        if not self.rate:
            self.rate, self.channels = rate, channels
        self.seconds += frame.samples / rate
        # Not to the last bit: the lengths of the pieces are rounded.
        if self.seconds > MAX_SECONDS + 0.01:
            longer = max([length for length in (self.found.declared, *self._declared()) if length], default=0.0)
            came = (
                f"lasts {show_seconds(longer)}" if longer > MAX_SECONDS else f"lasts over {show_seconds(MAX_SECONDS)}"
            )
            raise AudioRefused(f"This file {came}; a sound may last at most {show_seconds(MAX_SECONDS)}.")

    def _mono(self, frame: AudioFrame) -> NDArray[np.float32]:
        channels = _floats(frame)
        mix: NDArray[np.float32] = channels.mean(axis=0, dtype=np.float32)
        self.tally.add(channels, mix, self.codec)
        return mix if self.channel is None else channels[min(self.channel, len(channels) - 1)]


def _floats(frame: AudioFrame) -> NDArray[np.float32]:
    """One row per channel, full scale being 1. Beyond twice that (floats can hold anything) it is cut off."""
    packed = frame.format.name.removesuffix("p")
    if packed not in _SAMPLE_SCALES:
        raise AudioRefused(f"The samples of this file are of a sort that isn't read ({packed}). {RULE}")
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(-1, frame.layout.nb_channels).T
    floats = values.astype(np.float32)
    if not np.isfinite(floats).all():
        raise AudioRefused(f"This file has samples that aren't numbers (NaN or infinite): it is damaged. {RULE}")
    if packed == "u8":
        floats -= np.float32(128)
    floats /= np.float32(_SAMPLE_SCALES[packed])
    np.clip(floats, -2, 2, out=floats)
    return floats


class _Resampler:
    """Collects mono samples of any rate as 8 kHz ones."""

    def __init__(self) -> None:
        self._rate = 0
        self._waiting: list[NDArray[np.float32]] = []
        self._count = 0
        self._done: list[NDArray[np.float32]] = []
        self._resampler: av.AudioResampler | None = None

    def add(self, samples: NDArray[np.float32], rate: int) -> None:
        """Takes the next samples; a new rate, as in files that were glued together, begins a new piece."""
        if rate != self._rate:
            self._end_piece()
            self._rate = rate
        self._waiting.append(samples)
        self._count += samples.size
        # Small frames cost more in calls than in arithmetic.
        if self._count >= _BATCH:
            self._convert()

    def finish(self) -> list[NDArray[np.float32]]:
        """All of it, in order."""
        self._end_piece()
        return self._done

    def _end_piece(self) -> None:
        self._convert()
        if self._resampler is not None:
            self._keep(self._resampler.resample(None))
            self._resampler = None

    def _convert(self) -> None:
        if not self._count:
            return
        samples = np.concatenate(self._waiting)[None, :]
        self._waiting, self._count = [], 0
        if self._rate == RATE:
            self._done.append(samples[0])
            return
        if self._resampler is None:
            self._resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE, options=_RESAMPLER)
        frame = AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate = self._rate
        self._keep(self._resampler.resample(frame))

    def _keep(self, frames: list[AudioFrame]) -> None:
        self._done.extend(frame.to_ndarray()[0].astype(np.float32) for frame in frames)
