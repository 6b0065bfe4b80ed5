"""Read JSON, JSONP, XML and PHP-like answers into nested dicts and lists of text.

The input comes from the network: every reader takes time in proportion to its length, and raises UnreadableReply for
whatever it can't read.
"""

import json
import re
from typing import Any
from xml.etree import ElementTree

from calls.obd.reply import UnreadableReply, printable

MAX_DEPTH = 30

_DECODER = json.JSONDecoder(strict=False, parse_int=str, parse_float=str, parse_constant=str)
_JSONP_END = re.compile(r"\)\s*;?")
_TITLE = re.compile(r"<title>\s*([^<]{1,80})", re.IGNORECASE)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_PHP_START = re.compile(r"array\s*[(\[]?\s*", re.IGNORECASE)
_PHP_FIELD = re.compile(r"""(?:\[([^\]]*)\]|"([^"]*)"|'([^']*)')\s*=>\s*(.*)""")
_PHP_NESTED = re.compile(r"(?:array\s*[(\[]?|[(\[])", re.IGNORECASE)
_PHP_END = re.compile(r"[)\]][,;]?")
_PHP_QUOTED = re.compile(r'"((?:[^"\\]++|\\.)*+)",?')
_PHP_BREAKS = re.compile(r"\s(?=\[[\w-]{0,60}\]\s{0,4}=>|\)(?:\s|$))")


def read_json(text: str, start: int = 0) -> Any:
    """Return the JSON value that `text` is; with `start`, the argument of the JSONP call that begins there.

    Numbers stay text as they were written.
    """
    try:
        value, end = _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        raise UnreadableReply("the answer is broken JSON") from None
    rest = text[end:].strip()
    if not _JSONP_END.fullmatch(rest) if start else rest:
        raise UnreadableReply("the answer is broken JSON")
    return value


def read_xml(text: str) -> Any:
    """Return the content of the root element: text, or a dict of its children, lists where they repeat.

    Anything with a document type is refused, so there are no entities to expand.
    """
    start = text[:500].lower()
    if "<html" in start or "<!doctype html" in start or "<head" in start:
        title = _TITLE.search(text[:5000])
        raise UnreadableReply("a web page came" + (f": “{printable(title[1])}”" if title else ""))
    builder = _TreeBuilder()
    parser = ElementTree.XMLParser(target=builder)  # noqa: S314 - the builder refuses document types
    try:
        parser.feed(_CONTROL.sub("\ufffd", text))
        return parser.close()
    except UnreadableReply:
        raise
    except (ElementTree.ParseError, ValueError):
        raise UnreadableReply("the answer is broken XML") from None


class _TreeBuilder:
    """Collects elements while expat reads; bounded in depth."""

    def __init__(self) -> None:
        self.children: list[dict[str, list[Any]]] = [{}]
        self.texts: list[list[str]] = [[]]

    def doctype(self, name: str, public: str | None, system: str | None) -> None:
        raise UnreadableReply("the answer is XML with a document type, which is never read")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self.children) > MAX_DEPTH:
            raise UnreadableReply("the answer is nested too deeply")
        self.children.append({name: [value] for name, value in attributes.items()})
        self.texts.append([])

    def data(self, text: str) -> None:
        self.texts[-1].append(text)

    def end(self, tag: str) -> None:
        children, text = self.children.pop(), "".join(self.texts.pop())
        value = {name: found[0] if len(found) == 1 else found for name, found in children.items()}
        self.children[-1].setdefault(tag.rpartition("}")[2], []).append(value or text)

    def close(self) -> Any:
        ((root,),) = self.children[0].values()
        return root


def read_php(text: str) -> dict[str, Any]:
    """Return what `print_r`, or the specification's bracketed form of it, shows of an array; keys are text."""
    body = text[match.end() :] if (match := _PHP_START.match(text)) else text
    if "\n" not in body.strip():
        body = _PHP_BREAKS.sub("\n", body)
    root: dict[str, Any] = {}
    stack = [root]
    for line in body.split("\n"):
        part = line.strip()
        if field := _PHP_FIELD.match(part):
            _put_php(stack, field[1] or field[2] or field[3] or "", field[4].strip())
        elif _PHP_END.fullmatch(part):
            stack.pop()
        if not stack:
            return root
    raise UnreadableReply("the answer is cut off")


def _put_php(stack: list[dict[str, Any]], key: str, value: str) -> None:
    if not _PHP_NESTED.fullmatch(value):
        stack[-1][key] = _php_scalar(value)
        return
    if len(stack) > MAX_DEPTH:
        raise UnreadableReply("the answer is nested too deeply")
    child: dict[str, Any] = {}
    stack[-1][key] = child
    stack.append(child)


def _php_scalar(value: str) -> str:
    if quoted := _PHP_QUOTED.fullmatch(value):
        return re.sub(r"\\(.)", r"\1", quoted[1])
    value = value.removesuffix(",")
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value
