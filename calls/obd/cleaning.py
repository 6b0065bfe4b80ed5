"""How the text of each parameter becomes a value: the checks behind the table in `parameters`.

A cleaning function gets the parameter (for its limits), the stripped, non-empty text and the context. It returns the
value or raises `RuleError`. The rules are those of OBD-API.md, "voice.call" and the two sections after it.
"""

import json
import math
import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from calls.contacts.numbers import NumberError, normalise, split
from calls.obd.values import CallId, Context, NumberToken, Play, shown

PLACEHOLDERS = (
    "obdid mobile status campaign custom senttime answertime endtime duration retries digits meta".split()  # noqa: SIM905
)
META_DEPTH = 20
NUMBER_DIGITS = 18
"""No phone number has more, written with all that may stand before it."""

_LIST = re.compile(r"[,;|\t\r\n]+")
_SOUND = re.compile(r"([0-9]{1,18})\.sound", re.IGNORECASE)
_IVR = re.compile(r"ivr:([0-9]{1,18})|([0-9]{1,18})\.ivr", re.IGNORECASE)
_CALL_ID = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?")
_WHOLE = re.compile(r"[0-9]{1,18}")
_REFERENCE = re.compile(r"[A-Za-z0-9_-]+")
_IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*)*", re.ASCII)
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_HOST = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
# What word processors and phones make of plain punctuation. It is spoken alike, so refusing it would only annoy.
PLAIN = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u2032", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u2033", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"),
        **dict.fromkeys("\xa0\u2009\u202f\t\n", " "),
        "\u2026": "...",
        "\r": "",
    }
)


class RuleError(ValueError):
    """A value breaks its rule; `problem` says how where that isn't plain, `got` replaces the text that came."""

    def __init__(self, problem: str = "", got: str | None = None) -> None:
        self.problem = problem
        self.got = got
        super().__init__(problem)


class Limited(Protocol):
    """What a cleaning function needs of its parameter."""

    @property
    def limits(self) -> Mapping[str, int]:
        """The figures of the rule."""

    @property
    def choices(self) -> tuple[str, ...]:
        """The words that are allowed, where there are only some."""


def numbers(parameter: Limited, text: str, context: Context) -> tuple[NumberToken, ...]:
    """Return a token per number; one that can't be called is a token with a reason, not an error."""
    parts = [part.strip() for part in _LIST.split(text)]
    tokens = [part for part in parts if part]
    _at_most(parameter, tokens, "numbers")
    # To find where each number begins takes long, so what can't be few enough is refused before.
    digits = sum(map(str.isdigit, text))
    if digits > parameter.limits["max_items"] * NUMBER_DIGITS:
        raise RuleError("are too many", got=f"{digits:,} digits")
    pieces = [piece for token in tokens for piece in split(token, context.region, context.bare_international)]
    _at_most(parameter, pieces, "numbers")
    if not pieces:
        raise RuleError("has no numbers")
    return tuple(_number(piece, context) for piece in pieces)


def _number(piece: str, context: Context) -> NumberToken:
    try:
        number = normalise(piece, context.region, bare_international=context.bare_international)
    except NumberError as error:
        return NumberToken(shown(piece), None, str(error))
    return NumberToken(shown(piece), number, "")


def mobile(parameter: Limited, text: str, context: Context) -> str:
    """Return one number as E.164."""
    try:
        return normalise(text, context.region, bare_international=context.bare_international)
    except NumberError as error:
        raise RuleError(f"can't be a number: {error}") from None


def contact_groups(parameter: Limited, text: str, context: Context) -> tuple[tuple[int, ...], str]:
    """Return the contact group IDs, each once, or the one name; the other is empty."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if parts and all(part.isdecimal() for part in parts):
        _at_most(parameter, parts, "contact groups")
        if any(len(part) > 18 for part in parts):
            raise RuleError("has too many digits for an ID")
        return tuple(dict.fromkeys(map(int, parts))), ""
    if "," in text:
        raise RuleError("mixes IDs and names or names several groups")
    return (), one_line(parameter, text, context)


def one_line(parameter: Limited, text: str, context: Context) -> str:
    """Return text without control characters, up to `max_length` characters."""
    for char in text:
        if unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"}:
            raise RuleError(f"has a control character (U+{ord(char):04X})")
    _not_longer(parameter, text)
    return text


def play(parameter: Limited, text: str, context: Context) -> Play:
    """Return the sound or IVR reference."""
    if match := _SOUND.fullmatch(text):
        return Play("sound", int(match[1]))
    if match := _IVR.fullmatch(text):
        return Play("ivr", int(match[1] or match[2]))
    raise RuleError


def message(parameter: Limited, text: str, context: Context) -> str:
    """Return English text: typographic quotes, dashes, dots and spaces become plain ones, line breaks spaces."""
    plain = text.translate(PLAIN).strip()
    for char in plain:
        if not " " <= char <= "~":
            raise RuleError(f"has {_named(char)}")
    _not_longer(parameter, plain)
    return plain


def _named(char: str) -> str:
    code = f"U+{ord(char):04X}"
    if not char.isprintable():
        return f"a control character ({code})"
    name = unicodedata.name(char, "")
    return f"“{char}” ({name}, {code})" if name else f"“{char}” ({code})"


def whole(parameter: Limited, text: str, context: Context) -> int:
    """Return a whole number within `minimum` and `maximum`."""
    limits = parameter.limits
    if not _WHOLE.fullmatch(text) or not limits["minimum"] <= int(text) <= limits["maximum"]:
        raise RuleError
    return int(text)


def flag(parameter: Limited, text: str, context: Context) -> bool:
    """Return 0 or 1 as a truth value."""
    return choice(parameter, text, context) == "1"


def choice(parameter: Limited, text: str, context: Context) -> str:
    """Return one of the choices, which are written in lower case and compared without it."""
    if text.lower() not in parameter.choices:
        raise RuleError
    return text.lower()


def meta(parameter: Limited, text: str, context: Context) -> dict[str, Any]:
    """Return a JSON object. What PostgreSQL can't store or JSON doesn't allow is refused."""
    size = len(text.encode(errors="surrogatepass"))
    if size > parameter.limits["max_bytes"]:
        raise RuleError(f"is {size:,} bytes long")
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
    except RuleError:
        raise
    except RecursionError:
        raise RuleError("is nested too deeply") from None
    except ValueError as error:
        raise RuleError(f"is not valid JSON ({error})") from None
    if not isinstance(value, dict):
        raise RuleError("is JSON, but no object")
    _check_json(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise RuleError(f'has the key "{shown(twice)}" twice')
    return value


def _no_constant(name: str) -> Any:
    raise RuleError(f"has {name}, which JSON does not know")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise RuleError(f"has a number that is too large ({shown(text)})")
    return value


def _check_json(value: dict[str, Any]) -> None:
    level: list[Any] = [value]
    for _ in range(META_DEPTH):
        texts = [part for part in level if isinstance(part, str)]
        texts += [key for part in level if isinstance(part, dict) for key in part]
        for char in "".join(texts):
            if char == "\0" or unicodedata.category(char) == "Cs":
                raise RuleError(f"has a character that can't be kept (U+{ord(char):04X})")
        level = [
            inner
            for part in level
            if isinstance(part, dict | list)
            for inner in (part.values() if isinstance(part, dict) else part)
        ]
        if not level:
            return
    raise RuleError("is nested too deeply")


def references(parameter: Limited, text: str, context: Context) -> tuple[str, ...]:
    """Return the custom references, one or one per number; that their counts match is checked with the numbers."""
    parts = tuple(part.strip() for part in text.split(","))
    for part in parts:
        if not _REFERENCE.fullmatch(part) or len(part) > parameter.limits["max_length"]:
            raise RuleError(got=part) if part else RuleError("has an empty reference")
    return parts


def callback(parameter: Limited, text: str, context: Context) -> str:
    """Return a URL template whose placeholders are known and stand behind the host."""
    _not_longer(parameter, text)
    for char in text:
        if not "!" <= char <= "~" or char == "\\":
            raise RuleError(f"has {_named(char)}; encode it" if char != " " else "has a space; write it as %20")
    _check_placeholders(text)
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise RuleError("is not a URL") from None
    if url.scheme not in {"http", "https"}:
        raise RuleError("does not begin with http:// or https://")
    if url.username is not None:
        raise RuleError("has a user name; send what authenticates the callback in its query")
    if not url.hostname:
        raise RuleError("has no host")
    if "{" in url.netloc or port == 0 or not _HOST.fullmatch(url.hostname):
        raise RuleError("has a wrong host")
    return text


def _check_placeholders(text: str) -> None:
    names = _PLACEHOLDER.findall(text)
    for name in names:
        if name not in PLACEHOLDERS:
            known = " ".join(f"{{{known}}}" for known in PLACEHOLDERS)
            raise RuleError(f"has an unknown placeholder {{{shown(name)}}} (known are {known})")
    if re.search(r"[{}]", _PLACEHOLDER.sub("", text)):
        raise RuleError("has a brace that is not paired")
    if names.count("meta") > 1:
        raise RuleError("has {meta} more than once")  # it may be long: megabytes for each call, if repeated


def fill_callback(url: str, values: Mapping[str, str]) -> str:
    """Return a checked callback URL with its placeholders filled in, URL-encoded; what `values` lacks is empty."""
    return _PLACEHOLDER.sub(lambda match: quote(values.get(match[1], ""), safe=""), url)


def identifier(parameter: Limited, text: str, context: Context) -> str:
    """Return the name of a JavaScript function, dots allowed."""
    if not _IDENTIFIER.fullmatch(text):
        raise RuleError
    _not_longer(parameter, text)
    return text


def call_ids(parameter: Limited, text: str, context: Context) -> tuple[CallId, ...]:
    """Return OBD IDs, each once, in their order."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    _at_most(parameter, parts, "IDs")
    if not parts:
        raise RuleError
    return tuple(dict.fromkeys(call_id(parameter, part, context) for part in parts))


def call_id(parameter: Limited, text: str, context: Context) -> CallId:
    """Return one OBD ID or call group ID."""
    match = _CALL_ID.fullmatch(text)
    if not match:
        raise RuleError(got=text)
    return CallId(int(match[1]), None if match[2] is None else int(match[2]))


def _at_most(parameter: Limited, parts: list[str], what: str) -> None:
    if len(parts) > parameter.limits["max_items"]:
        raise RuleError("are too many", got=f"{len(parts):,} {what}")


def _not_longer(parameter: Limited, text: str) -> None:
    if len(text) > parameter.limits["max_length"]:
        raise RuleError(f"is {len(text):,} characters long")
