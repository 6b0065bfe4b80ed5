"""How the bytes of a text file are to be read: as UTF-8, as UTF-16, or as one of the older encodings.

Bytes that are not UTF-8 in a file that otherwise is are read as Windows-1252, since files put together from several
have both.
"""

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from charset_normalizer import from_bytes

SAMPLE_BYTES = 65_536
MIXED = "utf-8-sig"
"""The encoding of files that are UTF-8, perhaps with some other bytes."""

WESTERN = "cp1252"
ENCODINGS = {
    MIXED: "UTF-8",
    WESTERN: "Windows-1252 (Western Europe)",
    "utf-16": "UTF-16",
    "utf-16-le": "UTF-16, low byte first",
    "utf-16-be": "UTF-16, high byte first",
    "utf-32": "UTF-32",
    "iso8859-15": "ISO-8859-15 (Western Europe)",
    "mac-roman": "Macintosh (Western Europe)",
    "cp850": "DOS 850 (Western Europe)",
    "cp437": "DOS 437 (United States)",
    "cp1250": "Windows-1250 (Central Europe)",
    "iso8859-2": "ISO-8859-2 (Central Europe)",
    "cp1251": "Windows-1251 (Cyrillic)",
    "koi8-r": "KOI8-R (Cyrillic)",
    "cp1253": "Windows-1253 (Greek)",
    "cp1254": "Windows-1254 (Turkish)",
    "cp1255": "Windows-1255 (Hebrew)",
    "cp1256": "Windows-1256 (Arabic)",
    "cp1257": "Windows-1257 (Baltic)",
    "cp1258": "Windows-1258 (Vietnamese)",
    "cp874": "Windows-874 (Thai)",
    "gb18030": "GB18030, GBK (Chinese)",
    "big5": "Big5 (Chinese)",
    "cp932": "Shift-JIS (Japanese)",
    "euc-jp": "EUC-JP (Japanese)",
    "cp949": "EUC-KR (Korean)",
}
"""The encodings that a person can choose from, as Python calls them, and as people do."""

_MIXED_ERRORS = "calls.windows-1252"
_BLOCK = 1024 * 1024
_NOT_ASCII = re.compile(rb"[\x80-\xff]+")
_UTF_8 = re.compile(
    rb"(?<![\x80-\xff])(?:[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})+(?![\x80-\xff])"
)
# What Windows-1252 has for these bytes stands in no list of names.
_STRANGE = frozenset(b"\x81\x82\x83\x84\x86\x87\x88\x89\x8b\x8d\x8f\x90\x98\x9b\x9d")
# Those of other scripts; the first ones win where a few words could be several of them.
_OTHER_SCRIPTS = (
    *("cp1251", "koi8-r", "gb18030", "big5", "euc-jp", "cp932", "cp949"),
    *("cp1253", "cp1256", "cp1255", "cp874"),
)
_PLACES = {encoding.replace("-", "_"): place for place, encoding in enumerate(_OTHER_SCRIPTS)}
_LOOKED_AT = 4_096


def _as_windows_1252(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode(WESTERN, "replace"), error.end


codecs.register_error(_MIXED_ERRORS, _as_windows_1252)


def errors_of(encoding: str) -> str:
    """What is done about bytes that are no text in this encoding: the name of an error handler."""
    return _MIXED_ERRORS if encoding == MIXED else "replace"


def guess_encoding(file: BinaryIO) -> str:
    """The encoding of a file: one of ENCODINGS."""
    file.seek(0)
    sample = file.read(SAMPLE_BYTES)
    if sample.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if sample.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    # Text in UTF-16 without a mark: digits and commas have a zero byte each, always on the same side.
    even, odd = sample[:200:2].count(0), sample[1:200:2].count(0)
    if max(even, odd) > 10 > min(even, odd):
        return "utf-16-le" if odd > even else "utf-16-be"
    if _is_utf_8(iter([sample])):
        return MIXED
    if other := _of_another_script(sample):
        return other
    return MIXED if any(_UTF_8.search(block) for block in _lines_of(file)) else WESTERN


def has_other_bytes(path: Path) -> bool:
    """Whether a file that is taken for UTF-8 has bytes that are not."""
    with path.open("rb") as file:
        return not _is_utf_8(_lines_of(file))


def _is_utf_8(blocks: Iterator[bytes]) -> bool:
    """Whether all of it is UTF-8, but for what is cut off at the end."""
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    try:
        for block in blocks:
            decoder.decode(block)
    except UnicodeDecodeError:
        return False
    return True


def _lines_of(file: BinaryIO) -> Iterator[bytes]:
    """The file in blocks that end where a line ends, if lines are not very long."""
    file.seek(0)
    while block := file.read(_BLOCK):
        yield block + file.readline(_BLOCK)


def _of_another_script(sample: bytes) -> str:
    """The encoding of text that is neither UTF-8 nor Western; "" if it is.

    Western letters that are not ASCII stand alone between others; other scripts have whole words of them.
    """
    good = bad = foreign = 0
    for run in _NOT_ASCII.findall(sample):
        if _UTF_8.fullmatch(run):
            good += len(run)
        else:
            bad += len(run)
            foreign += len(run) if len(run) > 2 else sum(byte in _STRANGE for byte in run)
    if foreign <= good or foreign * 2 <= bad:
        return ""
    lines = b"\n".join(line for line in sample.splitlines() if not line.isascii())
    found = [
        (round(match.chaos, 2), -round(match.coherence, 1), _PLACES[match.encoding])
        for match in from_bytes(lines[:_LOOKED_AT], cp_isolation=list(_OTHER_SCRIPTS), threshold=0.5)
        if match.encoding in _PLACES
    ]
    return _OTHER_SCRIPTS[min(found)[2]] if found else ""
