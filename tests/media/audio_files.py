"""Makes audio files for tests with PyAV's encoders: nothing recorded is kept in the repository."""

import io
import struct
from collections.abc import Sequence

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.stream import VideoStream
from numpy.typing import NDArray

Samples = NDArray[np.float32]

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


def tone(seconds: float = 3.0, rate: int = 44100, hertz: float = 1000.0, amplitude: float = 0.5) -> Samples:
    time = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def silence(seconds: float, rate: int = 44100) -> Samples:
    return np.zeros(round(seconds * rate), np.float32)


def speech(rate: int = 44100) -> Samples:
    """Four seconds that come and go like syllables, with overtones like those of a voice; just at full scale."""
    time = np.arange(4 * rate) / rate
    voice = np.zeros(time.size)
    for overtone in range(1, 25):
        voice += np.sin(2 * np.pi * 150 * overtone * time + overtone**2) / overtone
    voice *= (0.5 + 0.5 * np.sin(2 * np.pi * 3 * time)) ** 3
    loudest = np.abs(voice).max()
    return np.asarray(voice / loudest, np.float32)


def encode(
    container: str, codec: str, channels: Samples | Sequence[Samples], rate: int = 44100, **options: str
) -> bytes:
    """A file in memory; ``channels`` is one array (mono) or one for each channel."""
    rows = np.stack([channels] if isinstance(channels, np.ndarray) else list(channels))
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout=LAYOUTS[len(rows)], options=options)
        assert isinstance(stream, AudioStream)
        for start in range(0, rows.shape[1], rate):
            piece = np.ascontiguousarray(rows[:, start : start + rate])
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=LAYOUTS[len(rows)])
            frame.sample_rate, frame.pts = rate, start
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return buffer.getvalue()


def wav(channels: Samples | Sequence[Samples], rate: int = 44100, codec: str = "pcm_s16le") -> bytes:
    return encode("wav", codec, channels, rate)


def plain_wav(data: bytes, rate: int = 8000, codec: int = 1, bits: int = 16, declared: int | None = None) -> bytes:
    """A mono WAV file written by hand, to lie with."""
    size, block = len(data) if declared is None else declared, bits // 8
    head = struct.pack("<HHIIHH4sI", codec, 1, rate, rate * block & 0xFFFFFFFF, block, bits, b"data", size)
    return b"RIFF" + struct.pack("<I", (36 + size) & 0xFFFFFFFF) + b"WAVEfmt " + struct.pack("<I", 16) + head + data


def video(sound: Samples | None = None) -> bytes:
    """An MP4 video of one second, silent unless sound (44.1 kHz) is given."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        pictures = output.add_stream("mpeg4", rate=10)
        assert isinstance(pictures, VideoStream)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 64, "yuv420p"
        speech = output.add_stream("aac", rate=44100, layout="mono") if sound is not None else None
        for _ in range(10):
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            output.mux(pictures.encode(frame))
        output.mux(pictures.encode(None))
        if sound is not None:
            assert isinstance(speech, AudioStream)
            heard = av.AudioFrame.from_ndarray(sound[None, :], format="fltp", layout="mono")
            heard.sample_rate = 44100
            output.mux(speech.encode(heard))
            output.mux(speech.encode(None))
    return buffer.getvalue()


def index_first(m4a: bytes) -> bytes:
    """The same file with its index (moov) before the sound, as files for the web have it."""
    at = m4a.index(b"moov") - 4
    before = m4a.index(b"mdat") - 4
    index = bytearray(m4a[at:])
    table = index.index(b"stco") + 8
    (count,) = struct.unpack_from(">I", index, table)
    for entry in range(table + 4, table + 4 + 4 * count, 4):
        struct.pack_into(">I", index, entry, struct.unpack_from(">I", index, entry)[0] + len(index))
    return m4a[:before] + bytes(index) + m4a[before:at]


def alias(m4a: bytes, path: str) -> bytes:
    """The same file, but its track says that the sound is in another file, as QuickTime's references do."""
    name = path.encode()
    record = bytes(10) + b"\1x" + bytes(26) + bytes(12) + b"\1x" + bytes(62) + bytes(16) + struct.pack(">HH", 1, 1)
    record += bytes(16) + struct.pack(">HH", 2, len(name)) + name + bytes(len(name) % 2) + b"\xff\xff\0\0"
    old, new = box(b"url ", b"\0\0\0\1"), box(b"alis", bytes(4) + record)
    assert m4a.count(old) == 1
    changed = bytearray(m4a.replace(old, new))
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        at = changed.rindex(kind) - 4
        struct.pack_into(">I", changed, at, struct.unpack_from(">I", changed, at)[0] + len(new) - len(old))
    return bytes(changed)


def box(kind: bytes, content: bytes) -> bytes:
    """An atom of an MP4 file."""
    return struct.pack(">I", 8 + len(content)) + kind + content


def hollow_m4a(samples: int) -> bytes:
    """A tiny M4A file whose index claims that many pieces of one byte each, so that the index outgrows all memory."""
    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    mvhd = struct.pack(">IIIIIIH", 0, 0, 0, 1000, 60000, 0x10000, 0x100) + bytes(10) + matrix + bytes(24) + b"\0\0\0\2"
    tkhd = struct.pack(">IIIIII", 7, 0, 0, 1, 0, 60000) + bytes(16) + matrix + bytes(8)
    mdhd = struct.pack(">IIIIIHH", 0, 0, 0, 44100, 2646000, 0x55C4, 0)
    hdlr = struct.pack(">II4s", 0, 0, b"soun") + bytes(12) + b"x\0"
    entry = bytes(6) + struct.pack(">H", 1) + bytes(8) + struct.pack(">HHHHI", 2, 16, 0, 0, 44100 << 16)
    table = b"".join(
        (
            box(b"stsd", struct.pack(">II", 0, 1) + box(b"mp4a", entry)),
            box(b"stts", struct.pack(">IIII", 0, 1, samples, 1024)),
            box(b"stsc", struct.pack(">IIIII", 0, 1, 1, samples, 1)),
            box(b"stsz", struct.pack(">III", 0, 1, samples)),
            box(b"stco", struct.pack(">III", 0, 1, 48)),
        )
    )
    place = box(b"dinf", box(b"dref", struct.pack(">II", 0, 1) + box(b"url ", b"\0\0\0\1")))
    media = box(b"minf", box(b"smhd", bytes(8)) + place + box(b"stbl", table))
    track = box(b"tkhd", tkhd) + box(b"mdia", box(b"mdhd", mdhd) + box(b"hdlr", hdlr) + media)
    moov = box(b"moov", box(b"mvhd", mvhd) + box(b"trak", track))
    return box(b"ftyp", b"M4A \0\0\0\0M4A ") + box(b"mdat", b"\x21" * 4000) + moov
