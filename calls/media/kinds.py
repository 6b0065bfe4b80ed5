"""Tells what a file is by its first bytes, before any decoder sees it.

The name of a file decides nothing: it is only compared, so that a file that lies about itself is pointed out.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from calls.media.prepared import RULE, AudioRefused


@dataclass(frozen=True, slots=True)
class Kind:
    """A family of audio files: the one demuxer and the decoders that may read it, and the name endings it goes by."""

    label: str
    demuxer: str
    codecs: tuple[str, ...]
    endings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A recognised file. The audio begins at ``start``; ``declared`` is the length in seconds that its header gives."""

    kind: Kind
    start: int = 0
    declared: float | None = None


_PCM = ("pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_s16be", "pcm_s24be")
WAV = Kind("WAV", "wav", (*_PCM, "pcm_alaw", "pcm_mulaw", "adpcm_ms", "adpcm_ima_wav", "gsm_ms", "mp3float"),
           ("wav", "wave"))  # fmt: skip
MP3 = Kind("MP3", "mp3", ("mp3float",), ("mp3", "mpga"))
M4A = Kind("M4A", "mov", ("aac", "alac", "amrnb", "amrwb", "mp3float"),
           ("m4a", "mp4", "m4b", "m4r", "3gp", "3ga", "3gpp", "3g2", "mov", "aac"))  # fmt: skip
AAC = Kind("AAC", "aac", ("aac",), ("aac", "adts", "m4a"))
OGG = Kind("OGG", "ogg", ("vorbis", "opus", "flac"), ("ogg", "oga", "opus"))
AMR = Kind("AMR", "amr", ("amrnb", "amrwb"), ("amr", "awb", "3ga"))
FLAC = Kind("FLAC", "flac", ("flac",), ("flac",))
KINDS = (WAV, MP3, M4A, AAC, OGG, AMR, FLAC)

_ENDINGS = {ending for kind in KINDS for ending in kind.endings}

_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"BM", "a BMP image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"\x1f\x8b", "a GZIP archive"),
    (b"BZh", "a BZIP2 archive"),
    (b"\xfd7zXZ", "an XZ archive"),
    (b"7z\xbc\xaf", "a 7-Zip archive"),
    (b"Rar!", "a RAR archive"),
    (b"\xd0\xcf\x11\xe0", "an old office document"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a Windows program"),
    (b"#!AMR_MC", "an AMR file with several channels"),
    (b"#EXTM3U", "a playlist"),
    (b"[playlist]", "a playlist"),
    (b"ffconcat", "a playlist"),
    (b"<?xml", "an XML document"),
    (b"<!DOCTYPE", "a web page"),
    (b"<html", "a web page"),
    (b"MThd", "a MIDI file (notes, no recorded sound)"),
    (b"\x30\x26\xb2\x75", "a Windows Media file (WMA)"),
    (b"\x1a\x45\xdf\xa3", "a Matroska or WebM file"),
    (b"FORM", "an AIFF file"),
    (b"caff", "a Core Audio file (CAF)"),
    (b".snd", "a Sun audio file (AU)"),
    (b"FLV", "a Flash video"),
    (b"\0\0\1\xba", "an MPEG video"),
    (b"\0\0\1\xb3", "an MPEG video"),
)
_RIFF = {b"AVI ": "an AVI video", b"WEBP": "a WebP image", b"RMID": "a MIDI file (notes, no recorded sound)"}
_PICTURES = (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis")
_MOV_ATOMS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")


def ending_of(name: str) -> str:
    """The ending of a file name in small letters, without the dot; empty where there is none that is plain ASCII."""
    _, dot, ending = name.rpartition(".")
    ending = ending.strip().lower()
    return ending if dot and ending.isascii() and ending.isalnum() and len(ending) <= 8 else ""


def recognise(data: bytes, ending: str) -> Found:
    """What the bytes are. Raises AudioRefused, naming what came, unless it is audio of a kind that is read."""
    if not data:
        raise AudioRefused(f"This file is empty (0 bytes). {RULE}")
    found = _audio(data)
    if found is None:
        raise AudioRefused(f"{_claim(ending)}{_name_other(data)} {RULE}")
    if found.kind is M4A:
        _check_m4a(data)
    return found


def mismatch(kind: Kind, ending: str) -> str:
    """A sentence if the name promises another kind of audio than the file holds, else nothing."""
    if not ending or ending in kind.endings or ending not in _ENDINGS:
        return ""
    return f"The name ends in .{ending}, but this is {_article(kind.label)} file; it was read as such."


def _article(label: str) -> str:
    return f"an {label}" if label in {"MP3", "M4A", "AAC", "OGG", "AMR"} else f"a {label}"


def _claim(ending: str) -> str:
    return f"The name ends in .{ending}, but the content isn't audio. " if ending in _ENDINGS else ""


def _audio(data: bytes) -> Found | None:
    if data[:4] in (b"RIFF", b"RF64", b"RIFX") and data[8:12] == b"WAVE":
        return Found(WAV, declared=_wav_seconds(data))
    if data[4:8] in _MOV_ATOMS and data[8:12] not in _PICTURES:
        return Found(M4A)
    if data.startswith(b"OggS"):
        return Found(OGG)
    if data.startswith((b"#!AMR\n", b"#!AMR-WB\n")):
        return Found(AMR)
    start = _after_id3(data)
    if data[start : start + 4] == b"fLaC":
        return Found(FLAC, start)
    return _mpeg(data, start)


def _name_other(data: bytes) -> str:
    if data[:4] == b"RIFF" and data[8:12] in _RIFF:
        return f"This is {_RIFF[data[8:12]]}."
    if data[4:8] == b"ftyp":
        return "This is a HEIF or AVIF image."
    head = data[:64].lstrip(b"\xef\xbb\xbf \r\n\t")
    for magic, label in _OTHERS:
        if head.startswith(magic):
            return f"This is {label}."
    if data.startswith(b"ID3"):
        return "This has the title tag of an MP3 file, but no MP3 sound after it."
    return "This is text." if _is_text(data[:4096]) else "This isn't audio that can be recognised."


def _is_text(head: bytes) -> bool:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        # The last letter may have been cut in two by looking at the beginning only.
        if error.start < len(head) - 3:
            return False
        text = head[: error.start].decode()
    return all(letter.isprintable() or letter in "\r\n\t\f" for letter in text)


_UNCOMPRESSED = {1, 3, 6, 7, 0xFFFE}


def _wav_seconds(data: bytes) -> float | None:
    """The length that a WAV header declares; None where it leaves it open, as recorders that stream do.

    Raises AudioRefused where the chunk with the sound is missing or empty.
    """
    order = ">" if data.startswith(b"RIFX") else "<"
    position, rate = 12, 0
    while position + 8 <= len(data):
        chunk, size = data[position : position + 4], struct.unpack_from(f"{order}I", data, position + 4)[0]
        position += 8
        if chunk == b"fmt " and position + 16 <= len(data):
            codec, _, per_second, rate, block = struct.unpack_from(f"{order}HHIIH", data, position)
            # Uncompressed sound: some programs fill the rate of bytes in wrongly, which then plays all the same.
            if codec in _UNCOMPRESSED:
                rate = per_second * block
        if chunk == b"data":
            if position >= len(data):
                raise AudioRefused(f"This has the header of a WAV file but no sound after it. {RULE}")
            # Zero, or close to the 2 and 4 GiB limits: a recorder that couldn't go back to fill the size in.
            unknown = size == 0 or size >= 0x7FFF0000 or data.startswith(b"RF64")
            return None if unknown or not rate else size / rate
        position += size + size % 2
    raise AudioRefused(f"This has the header of a WAV file but no sound in it: it is damaged or cut short. {RULE}")


def _after_id3(data: bytes) -> int:
    """Where the audio begins after ID3v2 tags, each of which tells its own size in four 7-bit digits."""
    position = 0
    while data[position : position + 3] == b"ID3" and position + 10 <= len(data):
        digits = data[position + 6 : position + 10]
        size = digits[0] << 21 | digits[1] << 14 | digits[2] << 7 | digits[3]
        position += 10 + size + (10 if data[position + 5] & 0x10 else 0)
    return min(position, len(data))


@dataclass(frozen=True, slots=True)
class _Frame:
    """The header of an MP3 or AAC frame: all that must be equal in the next one, then the sizes."""

    family: tuple[int, ...]
    length: int
    rate: int
    samples: int
    mp3: bool


_MP3_RATES = (44100, 48000, 32000)
_MP3_KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MP3_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


def _frame(data: bytes, position: int) -> _Frame | None:
    """Reads an MPEG audio layer III or an AAC (ADTS) frame header; None if there is none here."""
    head = data[position : position + 6]
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    if layer == 0 and head[1] & 0xF0 == 0xF0:
        length, rate = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5, head[2] >> 2 & 15
        return _Frame((0, rate), length, rate, 1024, mp3=False) if length > 7 and rate < 13 else None
    bits, rate_code = head[2] >> 4, head[2] >> 2 & 3
    if layer != 1 or version == 1 or bits in (0, 15) or rate_code == 3:
        return None
    rate = _MP3_RATES[rate_code] >> {3: 0, 2: 1, 0: 2}[version]
    kbits = (_MP3_KBITS_1 if version == 3 else _MP3_KBITS_2)[bits]
    samples = 1152 if version == 3 else 576
    length = samples // 8 * kbits * 1000 // rate + (head[2] >> 1 & 1)
    return _Frame((1, version, rate), length, rate, samples, mp3=True)


def _candidates(data: bytes, start: int) -> Iterator[int]:
    """Places where a frame may begin. After a tag there is at times padding, so that the search goes further there."""
    limit = start + (65536 if start else 4096)
    position = data.find(b"\xff", start, limit)
    while position >= 0:
        yield position
        position = data.find(b"\xff", position + 1, limit)


def _mpeg(data: bytes, start: int) -> Found | None:
    """MP3 or AAC frames: two like ones in a row (or one that fills the rest), since two bytes alone prove nothing."""
    for position in _candidates(data, start):
        frame = _frame(data, position)
        if frame is None:
            continue
        end = position + frame.length
        following = _frame(data, end)
        if (following and following.family == frame.family) or (position == start and end >= len(data)):
            if not frame.mp3:
                return Found(AAC, position)
            return Found(MP3, position, _xing_seconds(data, position, frame))
    return None


def _xing_seconds(data: bytes, position: int, frame: _Frame) -> float | None:
    """The length that the first MP3 frame declares, where the encoder left such a note (Xing, Info)."""
    note = data[position : position + frame.length]
    for tag in (b"Xing", b"Info"):
        at = note.find(tag, 0, 64)
        if at >= 0 and len(note) >= at + 12 and note[at + 7] & 1:
            frames: int = struct.unpack_from(">I", note, at + 8)[0]
            return frames * frame.samples / frame.rate if frames else None
    return None


def _check_m4a(data: bytes) -> None:
    """Raises AudioRefused for protected sound and for sound kept in another file, which no decoder may go and fetch."""
    moov = _atom(data, b"moov")
    if any(tag in moov for tag in (b"drms", b"enca", b"aavd", b"aaxc")):
        raise AudioRefused(f"This sound is protected against copying (DRM) and can't be read. {RULE}")
    at = moov.find(b"dref")
    while at >= 0:
        # After the tag: version and flags, count, then the first entry: size, type, version, flags (bit 0: own file).
        entry = moov[at + 12 : at + 24]
        if len(entry) == 12 and entry[4:8] in (b"url ", b"urn ", b"alis", b"rsrc") and not entry[11] & 1:
            raise AudioRefused(f"This file holds no sound of its own, it refers to another file. {RULE}")
        at = moov.find(b"dref", at + 4)


def _atom(data: bytes, wanted: bytes) -> bytes:
    """The first top-level atom of that type, as far as it is there; empty if there is none."""
    position = 0
    while position + 8 <= len(data):
        size, kind = struct.unpack_from(">I", data, position)[0], data[position + 4 : position + 8]
        if size == 1 and position + 16 <= len(data):
            size = struct.unpack_from(">Q", data, position + 8)[0]
        elif size == 0:
            size = len(data) - position
        if kind == wanted:
            return data[position : position + size]
        if size < 8:
            break
        position += size
    return b""
