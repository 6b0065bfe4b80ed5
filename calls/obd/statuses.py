"""The states of a call, the words that carriers use for them, and which state may follow which.

DESIGN.md has the words, OBD-API.md ("What a carrier may really answer") those of the field.
"""

import re
from enum import StrEnum


class Status(StrEnum):
    """Where a call stands. The value is stored and is what the API answers."""

    HELD = "HELD"
    SENDING = "SENDING"
    UNCONFIRMED = "UNCONFIRMED"
    QUEUED = "QUEUED"
    INPROGRESS = "INPROGRESS"
    COMPLETED = "COMPLETED"
    NOANSWER = "NOANSWER"
    BUSY = "BUSY"
    FAILED = "FAILED"
    CONGESTION = "CONGESTION"
    REJECTED = "REJECTED"
    DND = "DND"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"

    @property
    def label(self) -> str:
        """The status as pages write it."""
        return _LABELS[self]

    @property
    def meaning(self) -> str:
        """One plain sentence for people who see the status for the first time."""
        return _MEANINGS[self]

    @property
    def is_final(self) -> bool:
        """Whether the call is over: nothing changes this status any more."""
        return self in FINAL


HELD = Status.HELD
SENDING = Status.SENDING
UNCONFIRMED = Status.UNCONFIRMED
QUEUED = Status.QUEUED
INPROGRESS = Status.INPROGRESS
COMPLETED = Status.COMPLETED
NOANSWER = Status.NOANSWER
BUSY = Status.BUSY
FAILED = Status.FAILED
CONGESTION = Status.CONGESTION
REJECTED = Status.REJECTED
DND = Status.DND
CANCELLED = Status.CANCELLED
EXPIRED = Status.EXPIRED

# The dispositions of DESIGN.md.
FINAL = frozenset({COMPLETED, NOANSWER, BUSY, FAILED, CONGESTION, REJECTED, DND, CANCELLED, EXPIRED})
OPEN = frozenset(Status) - FINAL
# Handed over and not over yet: these are what status polls are about.
AT_CARRIER = frozenset({UNCONFIRMED, QUEUED, INPROGRESS})
REACHED = frozenset({COMPLETED})
# What can be called again. Not DND or CANCELLED: somebody decided that they are not called.
NOT_REACHED = frozenset({NOANSWER, BUSY, FAILED, CONGESTION, REJECTED, EXPIRED})

_LABELS = {
    HELD: "Held",
    SENDING: "Sending",
    UNCONFIRMED: "Unconfirmed",
    QUEUED: "Queued",
    INPROGRESS: "In progress",
    COMPLETED: "Completed",
    NOANSWER: "No answer",
    BUSY: "Busy",
    FAILED: "Failed",
    CONGESTION: "Congestion",
    REJECTED: "Rejected",
    DND: "Do not disturb",
    CANCELLED: "Cancelled",
    EXPIRED: "Expired",
}
_MEANINGS = {
    HELD: "Waits in the portal; it can be paused or cancelled.",
    SENDING: "Is being handed over to the carrier right now.",
    UNCONFIRMED: "Was handed over, but whether the carrier took it is not known; it is never sent again by itself.",
    QUEUED: "The carrier has it and will call.",
    INPROGRESS: "The phone rings or somebody is listening.",
    COMPLETED: "Somebody answered.",
    NOANSWER: "The phone rang and nobody answered.",
    BUSY: "The line was busy.",
    FAILED: "The call could not be made.",
    CONGESTION: "The network had no free line.",
    REJECTED: "The carrier or the network refused the call.",
    DND: "The number must not be called.",
    CANCELLED: "Was cancelled before the phone rang.",
    EXPIRED: "Its time ran out before it could be called, or no result ever came.",
}

# HELD and SENDING of another portal: it has the call, which here is queued. Its UNCONFIRMED says nothing, nor does
# DUPLICATE (the number has a row of its own), so both stay unknown words.
_WORDS = {status.value: status for status in FINAL | {QUEUED, INPROGRESS}} | {
    "HELD": QUEUED,
    "SENDING": QUEUED,
    "SCHEDULED": QUEUED,
    "ANSWER": COMPLETED,
    "ANSWERED": COMPLETED,
    "NOANSWERLEG1": NOANSWER,
    "NOANSWERLEG2": NOANSWER,
    "FAILEDLEG1": FAILED,
    "FAILEDLEG2": FAILED,
    "NOROUTE": FAILED,
    "CHANUNAVAIL": CONGESTION,
    "MAXUSE": REJECTED,
    "NOTALLOWED": REJECTED,
    "BLOCKED": REJECTED,
    "INVALID": REJECTED,
    "CANCEL": CANCELLED,
    "CANCELED": CANCELLED,
    "CAPPED": CANCELLED,
}
_SEPARATORS = re.compile(r"[\W_]+")

_AFTER: dict[Status, frozenset[Status]] = {
    # A report about a call that we hold proves that the carrier has it after all.
    HELD: frozenset(Status) - {UNCONFIRMED},
    SENDING: frozenset(Status),
    UNCONFIRMED: FINAL | {QUEUED, INPROGRESS},
    # Between two attempts a carrier reports QUEUED again.
    QUEUED: FINAL | {INPROGRESS},
    INPROGRESS: FINAL | {QUEUED},
}


def from_word(word: str) -> Status | None:
    """Return the status that a carrier means by `word`; None for a word that isn't known.

    Case, spaces, dashes and underscores don't count. Unknown words are not final (DESIGN.md, rule 3): keep and show
    them, change nothing. For our own stored or typed values use `Status(value)`.
    """
    return _WORDS.get(_SEPARATORS.sub("", word[:64]).upper())


def advance(old: Status, new: Status | None) -> Status:
    """Return the status of a call at `old` after a report of `new`, which may be late, repeated or out of order.

    A final status never changes; None (an unknown word) keeps `old`; HELD comes back only from SENDING, when
    it is proven that the carrier never saw the request; SENDING comes only from HELD; UNCONFIRMED only from SENDING.
    """
    if new is None or new not in _AFTER.get(old, frozenset()):
        return old
    return new
