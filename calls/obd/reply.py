"""What an answer of the OBD API says, whatever format it comes in."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

SUCCESS = "200"

_SPACES = re.compile(r"[\t\n\r]")
# Control characters, lone surrogates and what else XML can't hold: replaced everywhere, so that formats say the same.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class UnreadableReply(ValueError):
    """A carrier's answer makes no sense; `str()` says why, without what the body held of people."""


@dataclass(frozen=True, slots=True)
class Row:
    """One call in an answer. Times are `YYYY-MM-DD HH:MM:SS` in the sender's zone; `duration` is in seconds.

    An empty text means that the answer doesn't say. `senttime` is None if rows of this kind have none (`voice.call`),
    empty before hand-over.
    """

    id: str
    mobile: str
    status: str
    senttime: str | None = None
    answertime: str = ""
    endtime: str = ""
    duration: int | None = None
    retries: int | None = None
    digits: str = ""
    custom: str = ""


@dataclass(frozen=True)
class Reply:
    """An answer. `status` is "200" for success, otherwise a number, or a word that means failure.

    `total` is given by methods that list calls, `next` while there are more; `summary` has the number of calls per
    status word.
    """

    status: str
    message: str
    group_id: str = ""
    rows: tuple[Row, ...] = ()
    total: int | None = None
    next: str = ""
    summary: Mapping[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether the request was successful."""
        return self.status == SUCCESS


def printable(text: str) -> str:
    """Return `text` on one line: line breaks and tabs become spaces, other control characters U+FFFD."""
    if text.isprintable():
        return text.strip()
    return _UNPRINTABLE.sub("\ufffd", _SPACES.sub(" ", text)).strip()
