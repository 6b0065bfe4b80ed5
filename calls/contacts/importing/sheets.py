"""Workbooks as rows of cells: what the process of :mod:`calls.contacts.workbook` reads of them, as it comes."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import IO, Any

from calls.contacts.importing.problems import UploadError
from calls.contacts.importing.text import Damaged
from calls.contacts.repair import CellValue
from calls.contacts.workbook import DAMAGED, LONGEST_LINE, TOO_LARGE

logger = logging.getLogger(__name__)

NOT_CALCULATED = "a formula that was never calculated: open the file in a spreadsheet program and save it"
TOO_SLOW = "Reading the workbook takes too long. Save the sheet with the contacts as CSV, and upload that."
BUSY = (
    "The portal is reading other workbooks just now. Try again in a minute, or save the sheet as CSV and upload that."
)
WAIT_SECONDS = 60.0

_ROOT = Path(__file__).resolve().parents[3]
_EVERYTHING = 2**31
# Each may need much memory, and many people may look at previews at once; workers have few imports at a time.
_previews = threading.BoundedSemaphore(2)
_OUT_OF_MEMORY = {-signal.SIGABRT, -signal.SIGKILL, -signal.SIGSEGV}


@dataclass(frozen=True)
class Sheet:
    """The sheet that is read: its name, the names of those that are not, and its rows with their numbers.

    `uncalculated` is how many formulas without a value it has.
    """

    name: str
    others: list[str]
    height: int
    uncalculated: int
    rows: Iterator[tuple[int, Sequence[CellValue]]]


@contextmanager
def opened_sheet(path: Path, most: int = _EVERYTHING) -> Iterator[Sheet]:
    """The first visible sheet of a workbook that has anything in it, up to so many rows.

    Raises UploadError, also while the rows are read.
    """
    with _turn(most), _reader(path, most) as sheet:
        yield sheet


@contextmanager
def _turn(most: int) -> Iterator[None]:
    """While it is this one's turn; whole sheets have it at once. Raises UploadError."""
    if most == _EVERYTHING:
        yield
        return
    if not _previews.acquire(timeout=WAIT_SECONDS):
        raise UploadError(BUSY)
    try:
        yield
    finally:
        _previews.release()


@contextmanager
def _reader(path: Path, most: int) -> Iterator[Sheet]:
    # Of the environment it gets only what lets it start: no setting and no secret.
    environment = {key: os.environ[key] for key in ("LD_LIBRARY_PATH", "PATH", "PYTHONPATH") if key in os.environ}
    process = subprocess.Popen(
        [sys.executable, "-m", "calls.contacts.workbook", str(path), str(most)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=_ROOT,
        env=environment | {"PYTHONUTF8": "1"},
    )
    assert process.stdout  # noqa: S101 - for mypy
    try:
        facts = _next(process, process.stdout)
        if facts is None:
            raise UploadError(DAMAGED)
        rows = _rows(process, process.stdout)
        yield Sheet(facts["sheet"], facts["others"], facts["rows"], facts["uncalculated"], rows)
    finally:
        process.stdout.close()
        process.kill()
        process.wait()


def _rows(process: "subprocess.Popen[bytes]", out: IO[bytes]) -> Iterator[tuple[int, Sequence[CellValue]]]:
    while (some := _next(process, out)) is not None:
        for number, cells in some:
            if cells is None:
                yield number, Damaged("formula", NOT_CALCULATED)
                continue
            # Most rows have neither dates nor times.
            yield number, [_moment(cell) if type(cell) is dict else cell for cell in cells]


def _next(process: "subprocess.Popen[bytes]", out: IO[bytes]) -> Any:
    """What the process says next; None if it has said everything."""
    line = out.readline(LONGEST_LINE)
    if len(line) == LONGEST_LINE:
        raise UploadError(DAMAGED)
    if not line.endswith(b"\n"):
        if ended := process.wait():
            raise UploadError(_why(ended))
        return None
    said = json.loads(line)
    if isinstance(said, dict) and "refused" in said:
        raise UploadError(said["refused"])
    return said


def _why(ended: int) -> str:
    logger.warning("Reading a workbook ended with %d", ended)
    if ended == -signal.SIGXCPU:
        return TOO_SLOW
    return TOO_LARGE if ended in _OUT_OF_MEMORY else DAMAGED


def _moment(value: dict[str, str]) -> CellValue:
    if "date" in value:
        said = value["date"]
        return datetime.fromisoformat(said) if ":" in said else date.fromisoformat(said)
    try:
        return time.fromisoformat(value["time"])
    except ValueError:
        return value["time"]  # a span of time: "1 day, 2:30:00"
