"""Names of people, without what lists have around them."""

import re
import unicodedata

NAME_LENGTH = 100

# A name that is as it should be, as nearly all are.
_PLAIN = re.compile(r"[A-Za-z]+(?: [A-Za-z0-9]+)*")
_EMPTY_BRACKETS = re.compile(r"[(<\[]\s*[)>\]]")
_BRACKETS = (("(", ")"), ("[", "]"), ("<", ">"))
_QUOTED = re.compile(r"""(["'])((?:(?!\1).)*)\1|\u201c([^\u201c\u201d]*)\u201d""")
# What stands between a name and a number. Not a full stop: it belongs to "Jr."
_EDGES = " :;,-\u2013\u2014=\u200b\ufeff"


def as_name(text: str) -> str:
    """Return a name without separators and quotation marks around it, control characters, and what is left of brackets
    that held the number; empty if only punctuation is left.

    The name of a name is the same: what a contact is called stays when it is exported and imported again.
    """
    if len(text) <= NAME_LENGTH and _PLAIN.fullmatch(text):
        return text
    text = text[: NAME_LENGTH * 4]
    while (cleaned := _cleaned(text)[:NAME_LENGTH].strip()) != text:
        text = cleaned
    return text if any(map(_says_something, text)) else ""


def is_too_long(text: str) -> bool:
    """Whether a part of the name is lost because it is too long."""
    return len(_cleaned(text[: NAME_LENGTH * 4])) > NAME_LENGTH


def _says_something(char: str) -> bool:
    return char.isalnum() or unicodedata.category(char) == "So"  # pictures, for example


def _cleaned(text: str) -> str:
    text = "".join(" " if unicodedata.category(char) in {"Cc", "Cs"} else char for char in text)
    text = " ".join(_EMPTY_BRACKETS.sub(" ", text).split()).strip(_EDGES)
    if quoted := _QUOTED.fullmatch(text):
        text = quoted[2] or quoted[3] or ""
    if text.count('"') % 2:
        text = text.strip('"')
    for opening, closing in _BRACKETS:
        if text.count(opening) != text.count(closing):
            text = text.strip(opening + closing)
    return text.strip()
