"""How processes of the portal end: in good order when told to, and not alone when their parent is gone."""

import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType
from typing import NoReturn

LIFELINE = "OBD_PORTAL_LIFELINE"
_told = threading.Event()


def exit_on_signals(*more: signal.Signals) -> None:
    """Let SIGTERM, SIGHUP and `more` raise SystemExit, so that `finally` and atexit get their turn.

    What comes after the first one is ignored: ending in good order takes its time, and must not be cut short.
    Signals that somebody else handles stay as they are; outside the main thread all do.
    """

    def leave(number: int, _frame: FrameType | None) -> NoReturn:
        _told.set()
        ignore_signals()
        sys.exit(128 + number)

    sys.unraisablehook = _tell_unless_leaving
    for number in (signal.SIGTERM, signal.SIGHUP, *more):
        if number in more or signal.getsignal(number) is signal.SIG_DFL:
            with suppress(ValueError):
                signal.signal(number, leave)


def _tell_unless_leaving(unraisable: "sys.UnraisableHookArgs") -> None:
    if not isinstance(unraisable.exc_value, SystemExit):
        sys.__unraisablehook__(unraisable)


def told_to_end() -> bool:
    """Whether such a signal came; who works for long asks.

    SystemExit may have been swallowed where the signal came: callbacks from C and destructors swallow every exception.
    """
    return _told.is_set()


def ignore_signals() -> None:
    """Finish what has been begun, whatever we and the programs that we start are told from now on."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with suppress(ValueError):
            signal.signal(number, signal.SIG_IGN)


def end_with_parent() -> None:
    """End this process as with SIGTERM once its parent is gone, even if that was killed.

    The parent passes the read end of a pipe, whose number is in the environment, and never writes: reading returns
    when the other end is closed. Without it in the environment there is no parent to watch.
    """
    number = os.environ.pop(LIFELINE, "")
    if number:
        threading.Thread(target=_wait_for_end, args=[int(number)], name="lifeline", daemon=True).start()


def _wait_for_end(pipe: int) -> None:
    os.read(pipe, 1)
    os.kill(os.getpid(), signal.SIGTERM)
