"""Write answers of the OBD API in its five formats (OBD-API.md, "The answer in each format")."""

import json
import re
from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape

from calls.obd.reply import Reply, Row, printable

_UTF8 = "; charset=utf-8"
_ROW_NAMES = {
    "id": "ID",
    "mobile": "Mobile",
    "status": "Status",
    "senttime": "SentTime",
    "answertime": "AnswerTime",
    "endtime": "EndTime",
    "duration": "Duration",
    "retries": "Retries",
    "digits": "Digits",
    "custom": "Custom",
}
_PLAIN_WORD = re.compile(r'[^\s"\\=]+')
# What would not read back as text in the PHP layout without quotes.
_NEEDS_QUOTES = re.compile(r"""["'].*|.*,|(?:array\s*)?[\[(]?""", re.IGNORECASE)


def render(reply: Reply, format: str, jsonp: str = "callback") -> tuple[str, str]:  # noqa: A002 - the parameter's name
    """Return body and content type of `reply` in a checked `format`; anything else is written as text.

    `jsonp` is a checked function name. Every format is well-formed whatever the texts hold, and `parse` reads each
    back to the same data; control characters are replaced (`printable`).
    """
    match format:
        case "json":
            return _json(reply), "application/json"
        case "jsonp":
            return f"/**/{jsonp}({_json(reply)});", f"application/javascript{_UTF8}"
        case "xml":
            return _xml(reply), f"application/xml{_UTF8}"
        case "php":
            return _php(reply), f"text/plain{_UTF8}"
    return _text(reply), f"text/plain{_UTF8}"


def _fields(row: Row) -> Iterator[tuple[str, str]]:
    """Yield the fields of a row that say something, in the specification's order."""
    if row.id:
        yield "id", printable(row.id)
    yield "mobile", printable(row.mobile)
    yield "status", printable(row.status)
    if row.senttime is not None:
        yield "senttime", printable(row.senttime)
    for name in ("answertime", "endtime", "duration", "retries", "digits", "custom"):
        value = getattr(row, name)
        if value not in {"", None}:
            yield name, printable(str(value))


def _details(reply: Reply) -> Iterator[tuple[str, str]]:
    """Yield what stands beside status, message and rows; not the summary, which has a form of its own."""
    if reply.group_id:
        yield "groupid", printable(reply.group_id)
    if reply.total is not None:
        yield "total", str(reply.total)
    if reply.next:
        yield "next", printable(reply.next)


def _has_data(reply: Reply) -> bool:
    """Tell whether the answer lists calls: an empty list is still a list."""
    return bool(reply.rows or reply.summary) or reply.total is not None


def _summary(reply: Reply) -> dict[str, str]:
    return {printable(word): str(calls) for word, calls in reply.summary.items()}


def _json(reply: Reply) -> str:
    answer: dict[str, object] = {"status": printable(reply.status)}
    if _has_data(reply):
        answer["data"] = {str(position): dict(_fields(row)) for position, row in enumerate(reply.rows)}
    answer["message"] = printable(reply.message)
    answer |= dict(_details(reply))
    if reply.summary:
        answer["summary"] = _summary(reply)
    return json.dumps(answer)


def _xml(reply: Reply) -> str:
    lines = ['<?xml version="1.0" encoding="UTF-8" ?>', "<api>"]
    heading = [("status", printable(reply.status)), ("message", printable(reply.message)), *_details(reply)]
    lines += [_element(name, value, 1) for name, value in heading]
    if reply.summary:
        lines += ["    <summary>", *(_element(word, calls, 2) for word, calls in _summary(reply).items())]
        lines += ["    </summary>"]
    if _has_data(reply):
        lines.append("    <data>")
        for row in reply.rows:
            lines += ["        <voice>", *(_element(name, value, 3) for name, value in _fields(row))]
            lines += ["        </voice>"]
        lines.append("    </data>")
    return "\n".join([*lines, "</api>"])


def _element(name: str, value: str, level: int) -> str:
    return f"{'    ' * level}<{name}>{escape(value)}</{name}>"


def _php(reply: Reply) -> str:
    """Write the two layouts of the specification: like print_r without rows, in brackets with them."""
    if not _has_data(reply):
        fields = [("status", printable(reply.status)), ("message", printable(reply.message)), *_details(reply)]
        lines = [f"[{name}] => {_quoted(value) if _NEEDS_QUOTES.fullmatch(value) else value}" for name, value in fields]
        return "\n".join(["Array", "(", *lines, ")"])
    rows = [_php_list(f"            [{n}] => [", _fields(row), 16, "           ]") for n, row in enumerate(reply.rows)]
    status = printable(reply.status)
    parts = [
        f"    [status] => {status if status.isdigit() else _quoted(status)}",
        "\n".join(["    [data] => [", *([",\n".join(rows)] if rows else []), "    ]"]),
        f"    [message] => {_quoted(printable(reply.message))}",
        *(f"    [{name}] => {_quoted(value)}" for name, value in _details(reply)),
    ]
    if reply.summary:
        parts.append(_php_list("    [summary] => [", _summary(reply).items(), 12, "    ]"))
    return "Array\n(\n" + ",\n".join(parts) + "\n)"


def _php_list(opening: str, fields: Iterable[tuple[str, str]], indent: int, closing: str) -> str:
    lines = [f"{' ' * indent}[{name}] => {_quoted(value)}" for name, value in fields]
    return "\n".join([opening, ",\n".join(lines), closing])


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(reply: Reply) -> str:
    lines = [f"Status={printable(reply.status)}", f"Message={printable(reply.message)}"]
    lines += [f"{'GID' if name == 'groupid' else name.title()}={value}" for name, value in _details(reply)]
    if reply.summary:
        lines.append("Summary=" + " ".join(f"{word}:{calls}" for word, calls in _summary(reply).items()))
    for row in reply.rows:
        fields = ((_ROW_NAMES[name], value) for name, value in _fields(row))
        lines.append(" ".join(f"{name}={_word(value)}" for name, value in fields))
    return "\n".join(lines) + "\n"


def _word(value: str) -> str:
    return value if _PLAIN_WORD.fullmatch(value) else _quoted(value)
