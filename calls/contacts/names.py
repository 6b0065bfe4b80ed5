"""Names of people, without what lists have around them."""

import re
import unicodedata

NAME_LENGTH = 100

# A name that is as it should be, as nearly all are.
_PLAIN = re.compile(r"[A-Za-z]+(?: [A-Za-z0-9]+)*")
_EMPTY_BRACKETS = re.compile(r"[(<\[]\s*[)>\]]")
_EDGES = " :;,-\u2013\u2014=<>\"'.\u200b\ufeff"


def as_name(text: str) -> str:
    """Return a name without punctuation around it, control characters or brackets that held the number."""
    if len(text) <= NAME_LENGTH and _PLAIN.fullmatch(text):
        return text
    return _tidy(text)[:NAME_LENGTH].rstrip()


def is_too_long(text: str) -> bool:
    """Whether a part of the name is lost because it is too long."""
    return len(_tidy(text)) > NAME_LENGTH


def _tidy(text: str) -> str:
    text = "".join(" " if unicodedata.category(char) in {"Cc", "Cs"} else char for char in text[: NAME_LENGTH * 4])
    text = " ".join(_EMPTY_BRACKETS.sub(" ", text).split()).strip(_EDGES)
    for opening, closing in ("()", "[]"):
        if text.count(opening) != text.count(closing):
            text = text.strip(opening + closing + _EDGES)
    return text
