"""Uploaded audio becomes what a phone plays: checked, converted to 8 kHz mono 16-bit WAV, measured.

The decoders run in a process of their own (``calls.media.worker``), with neither the settings nor the memory of this
one: whatever a file makes them do, the pages go on.
"""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

from calls.media.kinds import ending_of, recognise
from calls.media.prepared import MAX_BYTES, MAX_SECONDS, RULE, AudioRefused, Prepared, check_size

__all__ = ["MAX_BYTES", "MAX_SECONDS", "AudioRefused", "Prepared", "prepare"]

logger = logging.getLogger(__name__)

TIMEOUT = 90
"""Seconds after which a file is given up. The longest allowed one takes about three."""

_ROOT = Path(__file__).resolve().parents[2]


def prepare(source: BinaryIO | Path, name: str) -> Prepared:
    """Makes a sound from an audio file of at most ``MAX_BYTES`` and ``MAX_SECONDS``; ``name`` is the one it came with.

    Raises AudioRefused, fit for a page, for bytes that can't become a sound, whatever they are. A path that can't be
    opened raises OSError.
    """
    data = _read(source)
    ending = ending_of(name)
    # Most of what isn't audio is told here, without the cost of a process.
    recognise(data, ending)
    return _answer(_run(data, ending))


def _read(source: BinaryIO | Path) -> bytes:
    if isinstance(source, Path):
        check_size(source.stat().st_size)
        with source.open("rb") as file:
            return _read(file)
    if source.seekable():
        check_size(source.seek(0, os.SEEK_END))
        source.seek(0)
    # A raw stream may give less than asked for; one byte too many is enough to know.
    pieces, left = [], MAX_BYTES + 1
    while left and (piece := source.read(left)):
        pieces.append(piece)
        left -= len(piece)
    data = b"".join(pieces)
    check_size(len(data))
    return data


def _run(data: bytes, ending: str) -> bytes:
    """The worker's answer. Of the environment it gets only what lets it start: no setting and no secret."""
    command = [sys.executable, "-m", "calls.media.worker", ending]
    environment = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1"}
    environment |= {key: os.environ[key] for key in ("LD_LIBRARY_PATH", "PATH", "PYTHONPATH") if key in os.environ}
    try:
        done = subprocess.run(
            command, input=data, capture_output=True, timeout=TIMEOUT, cwd=_ROOT, env=environment, check=False
        )
    except subprocess.TimeoutExpired as error:
        logger.warning("Reading a sound file of %d bytes was given up after %d s", len(data), TIMEOUT)
        raise AudioRefused(f"This file takes too long to read. {RULE}") from error
    if done.returncode:
        logger.error(
            "Reading a sound file ended with %d: %s", done.returncode, done.stderr[-2000:].decode("utf-8", "replace")
        )
        raise AudioRefused(f"This file can't be read: reading it broke off. It is damaged. {RULE}")
    return done.stdout


def _answer(output: bytes) -> Prepared:
    line, _, wav = output.partition(b"\n")
    facts = json.loads(line)
    if "refused" in facts:
        raise AudioRefused(facts["refused"])
    return Prepared(wav=wav, **facts)
