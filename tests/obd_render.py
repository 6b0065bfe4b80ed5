"""How the carrier of the tests writes its answers, in each of the formats (OBD-API.md)."""

import json
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

CONTENT_TYPES = {
    "json": "application/json",
    "xml": "application/xml",
    "php": "text/plain; charset=utf-8",
    "text": "text/plain; charset=utf-8",
}


def render(form: str, reply: dict[str, Any], *, as_list: bool = False) -> str:
    """The reply as the specification's samples and OBD-API.md lay it out."""
    reply = dict(reply)
    rows: Sequence[dict[str, Any]] = reply.pop("data", [])
    return {"json": _json, "xml": _xml, "php": _php, "text": _text}[form](reply, rows, as_list)


def _json(reply: dict[str, Any], rows: Sequence[dict[str, Any]], as_list: bool) -> str:
    data = {"data": list(rows) if as_list else dict(enumerate(rows))} if rows else {}
    return json.dumps({"status": reply["status"], **data, **reply})


def _xml(reply: dict[str, Any], rows: Sequence[dict[str, Any]], as_list: bool) -> str:
    def fields(values: dict[str, Any]) -> str:
        return "".join(f"<{name}>{escape(str(value))}</{name}>\r\n" for name, value in values.items())

    voices = "".join(f"<voice>\r\n{fields(row)}</voice>\r\n" for row in rows)
    data = f"<data>\r\n{voices}</data>\r\n" if rows else ""
    return f'<?xml version="1.0" encoding="UTF-8" ?>\r\n<api>\r\n{fields(reply)}{data}</api>'


def _php(reply: dict[str, Any], rows: Sequence[dict[str, Any]], as_list: bool) -> str:
    if not rows:
        return "Array\r\n(\r\n" + "".join(f"[{name}] => {value}\r\n" for name, value in reply.items()) + ")"
    lines = [
        f"            [{n}] => [\r\n"
        + ",\r\n".join(f'                [{name}] => "{value}"' for name, value in row.items())
        + "\r\n           ]"
        for n, row in enumerate(rows)
    ]
    head = {name: value for name, value in reply.items() if name not in {"status", "message"}}
    fields = [
        f"    [status] => {reply['status']}",
        *(f'    [{name}] => "{value}"' for name, value in head.items()),
        "    [data] => [\r\n" + ",\r\n".join(lines) + "\r\n    ]",
        f'    [message] => "{reply["message"]}"',
    ]
    return "Array\r\n(\r\n" + ",\r\n".join(fields) + "\r\n)"


_TEXT_NAMES = {
    "status": "Status", "message": "Message", "groupid": "GID", "total": "Total", "next": "Next",
    "id": "ID", "mobile": "Mobile", "senttime": "SentTime", "answertime": "AnswerTime", "endtime": "EndTime",
    "duration": "Duration", "retries": "Retries", "digits": "Digits", "custom": "Custom",
}  # fmt: skip


def _text(reply: dict[str, Any], rows: Sequence[dict[str, Any]], as_list: bool) -> str:
    def shown(value: Any) -> str:
        return f'"{value}"' if " " in str(value) else str(value)

    lines = [f"{_TEXT_NAMES[name]}={value}" for name, value in reply.items()]
    lines += [" ".join(f"{_TEXT_NAMES[name]}={shown(value)}" for name, value in row.items()) for row in rows]
    return "\n".join(lines) + "\n"
