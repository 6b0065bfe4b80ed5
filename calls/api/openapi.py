"""The OpenAPI 3.1 description of the API, made from the table that validates requests (calls.obd.parameters).

One endpoint serves all methods, so each HTTP method is one operation whose parameters are one of several objects: one
for each method, and for `voice.call` one for each way to say who is called and what is heard. What JSON Schema can't
say (whether a number can be called, how far ahead a time is) has a `format` of its own and stands in the description.
"""

from collections.abc import Callable, Mapping
from typing import Any

from calls.api import describe
from calls.api.reading import FORM_TYPES
from calls.obd import cleaning, parameters
from calls.obd.parameters import Parameter
from calls.obd.render import render
from calls.obd.schedule import schedule_time

Schema = dict[str, Any]

PATH = "/api/v1/"
TOKEN_LENGTH = 64
"""Characters of an `Idempotency-Key`."""

_CONTROL = r"\u0000-\u001f\u007f-\u009f\u2028\u2029\ufffd"
_TYPOGRAPHIC = "".join(sorted(char for char in map(chr, cleaning.PLAIN) if char > "~"))
_REFERENCE = "[A-Za-z0-9_-]"
_NAME = r"[A-Za-z_$][A-Za-z0-9_$]*"
_ID = "[0-9]{1,18}"
_TIME = (
    "[0-9]{9,11}"
    "|[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2})?"
    "|[0-9]{1,2}/[0-9]{1,2}/[0-9]{4} [0-9]{1,2}:[0-9]{2} ?[AaPp][Mm]"
)
_PLAY = f"{_ID}[.][Ss][Oo][Uu][Nn][Dd]|[Ii][Vv][Rr]:{_ID}|{_ID}[.][Ii][Vv][Rr]"


def _text(pattern: str, **more: Any) -> Schema:
    """Text whose ends are stripped before it is read; blank is the same as missing."""
    return {"type": "string", "pattern": rf"^\s*(?:{pattern})?\s*$", **more}


def _up_to(most: int, inside: str, ends: str) -> str:
    """Text of up to `most` characters, which is counted without the space around it."""
    return f"{ends}(?:{inside}{{0,{max(most - 2, 0)}}}{ends})?"


_TOKEN = _up_to(TOKEN_LENGTH, "[ -~]", "[!-~]")


def _list(item: str, most: int) -> str:
    return rf"{item}(?:\s*,\s*{item}){{0,{most - 1}}}"


def _whole(row: Parameter) -> Schema:
    return {"type": "integer", "minimum": row.limits["minimum"], "maximum": row.limits["maximum"]}


def _choice(row: Parameter) -> Schema:
    return {"type": "string", "enum": [*row.choices]}


def _numbers(_row: Parameter) -> Schema:
    return {"type": "string", "pattern": "[0-9]", "format": "phone-numbers"}


def _mobile(_row: Parameter) -> Schema:
    return {"type": "string", "pattern": "[0-9]", "format": "phone-number"}


def _contact_groups(row: Parameter) -> Schema:
    ids = rf"[\s,]*{_ID}(?:\s*,[\s,]*{_ID}){{0,{row.limits['max_items'] - 1}}}[\s,]*"
    name = _up_to(row.limits["max_length"], f"[^,{_CONTROL}]", rf"[^,{_CONTROL}\s]")
    return _text(rf"{ids}|(?![0-9]+\s*$){name}")


def _one_line(row: Parameter) -> Schema:
    return _text(_up_to(row.limits["max_length"], f"[^{_CONTROL}]", rf"[^{_CONTROL}\s]"))


def _play(_row: Parameter) -> Schema:
    return _text(_PLAY)


def _message(row: Parameter) -> Schema:
    plain = "".join(char for char in _TYPOGRAPHIC if not char.isspace())
    return _text(_up_to(row.limits["max_length"], rf"[\t\n\r -~{_TYPOGRAPHIC}]", f"[!-~{plain}]"))


def _schedule_time(_row: Parameter) -> Schema:
    return _text(_TIME, format="schedule-time")


def _meta(row: Parameter) -> Schema:
    content = {"contentMediaType": "application/json", "contentSchema": {"type": "object"}}
    return _text(_up_to(row.limits["max_bytes"], r"[\s\S]", r"\S"), format="json-object", **content)


def _references(row: Parameter) -> Schema:
    return _text(_list(f"{_REFERENCE}{{1,{row.limits['max_length']}}}", parameters.MAX_NUMBERS))


def _callback(row: Parameter) -> Schema:
    placeholder = "|".join(parameters.PLACEHOLDERS)
    rest = rf"[/?#](?:[!-\[\]-z|~]|\{{(?:{placeholder})\}})*"
    host = r"[A-Za-z0-9_-]+(?:[.][A-Za-z0-9_-]+)*[.]?|\[[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]"
    short = rf"(?!\S{{{row.limits['max_length'] + 1}}})"
    pattern = rf"{short}[Hh][Tt][Tt][Pp][Ss]?://(?:{host})(?::[0-9]{{1,5}})?(?:{rest})?"
    return _text(pattern, format="callback-url")


def _identifier(row: Parameter) -> Schema:
    return _text(rf"(?!\S{{{row.limits['max_length'] + 1}}}){_NAME}(?:[.]{_NAME})*")


def _call_ids(row: Parameter) -> Schema:
    each = f"{_ID}(?:-{_ID})?"
    return _text(rf"[\s,]*{each}(?:\s*,[\s,]*{each}){{0,{row.limits['max_items'] - 1}}}[\s,]*")


def _call_id(_row: Parameter) -> Schema:
    return _text(f"{_ID}(?:-{_ID})?")


SCHEMAS: dict[Callable[..., Any], Callable[[Parameter], Schema]] = {
    cleaning.whole: _whole,
    cleaning.choice: _choice,
    cleaning.flag: _choice,
    cleaning.numbers: _numbers,
    cleaning.mobile: _mobile,
    cleaning.contact_groups: _contact_groups,
    cleaning.one_line: _one_line,
    cleaning.play: _play,
    cleaning.message: _message,
    schedule_time: _schedule_time,
    cleaning.meta: _meta,
    cleaning.references: _references,
    cleaning.callback: _callback,
    cleaning.identifier: _identifier,
    cleaning.call_ids: _call_ids,
    cleaning.call_id: _call_id,
}
"""What each check of the table is in JSON Schema."""


# --- Requests ----------------------------------------------------------------------------------------------------


def property_of(row: Parameter) -> Schema:
    """The schema of one parameter, with its words."""
    words = f"{row.summary} Rule: {row.rule}."
    if row.aliases:
        words += f" May also be written {' or '.join(row.aliases)}."
    schema = SCHEMAS[row.cleaner](row)
    whole = schema["type"] == "integer"
    example = describe.example_of(row)
    schema = schema | {"description": words, "examples": [int(example) if whole else example]}
    return schema | ({"default": int(row.default) if whole else row.default} if row.default else {})


def _not_blank(schema: Schema) -> Schema:
    return schema | {"pattern": schema["pattern"].replace(")?\\s*$", ")\\s*$")}


def _request(method: str, *required: str, **instead: Schema) -> Schema:
    """A request of `method`; `instead` replaces the schemas of some parameters."""
    rows = {row.name: property_of(row) for row in parameters.PARAMETERS[method]}
    for name in required:
        rows[name] = _not_blank(rows[name])
    properties = {"method": {"type": "string", "enum": [method], "description": "Compared without case."}, **rows}
    needed = ["method", *required]
    words = describe.METHODS[method]
    return {
        "type": "object",
        "title": words.summary,
        "description": words.text,
        "required": needed,
        "properties": properties | instead,
    }


def _requests() -> dict[str, Schema]:
    """The requests that there are, by name."""
    leave_out = {"type": "string", "maxLength": 0, "description": "Leave it out: it would come first."}
    # Not read, but as text of UTF-8 it still has to make sense.
    overridden = {"type": "string", "pattern": r"^[^\u0000\ufffd]*$", "description": "Overridden: it is not read."}
    custom = parameters.parameter("voice.call", "custom")
    one = property_of(custom) | _text(f"{_REFERENCE}{{1,{custom.limits['max_length']}}}", examples=["order-4711"])
    to_numbers = {"group": leave_out}
    to_groups = {"numbers": overridden, "custom": one}
    plays, says = {"message": overridden}, {"play": leave_out}
    return {
        "CallNumbersWithPlay": _request("voice.call", "numbers", "play", **to_numbers, **plays),
        "CallNumbersWithMessage": _request("voice.call", "numbers", "message", **to_numbers, **says),
        "CallGroupsWithPlay": _request("voice.call", "group", "play", **to_groups, **plays),
        "CallGroupsWithMessage": _request("voice.call", "group", "message", **to_groups, **says),
        "Status": _request("voice.status", "id"),
        "GroupStatus": _request("voice.groupstatus", "groupid"),
    }


# --- Answers -----------------------------------------------------------------------------------------------------

_DIGITS = {"type": "string", "pattern": "^[0-9]+$"}
_STAMP = "^(?:[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2})?$"
_CALL = {
    "type": "object",
    "required": ["mobile", "status"],
    "properties": {
        "id": {"type": "string", "pattern": f"^{_ID}-{_ID}$", "description": "OBD ID; none if it is not called."},
        "mobile": {"type": "string"},
        "status": {"type": "string", "pattern": "^[A-Z]+$"},
        **{name: {"type": "string", "pattern": _STAMP} for name in ("senttime", "answertime", "endtime")},
        "duration": _DIGITS | {"description": "Seconds."},
        "retries": _DIGITS,
        "digits": {"type": "string", "description": "Keys that were pressed."},
        "custom": {"type": "string"},
    },
    "additionalProperties": False,
}
_ANSWER = {
    "type": "object",
    "required": ["status", "message"],
    "properties": {
        "status": {"type": "string", "pattern": "^[1-5][0-9]{2}$"},
        "data": {
            "type": "object",
            "description": "The calls by their position, from 0.",
            "propertyNames": {"pattern": "^[0-9]+$"},
            "additionalProperties": {"$ref": "#/components/schemas/Call"},
        },
        "message": {"type": "string"},
        "groupid": _DIGITS,
        "total": _DIGITS,
        "next": {"type": "string", "pattern": f"^{_ID}-{_ID}$"},
        "summary": {"type": "object", "additionalProperties": _DIGITS},
    },
    "additionalProperties": False,
}
_HEADERS: Mapping[int, Schema] = {
    401: {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}},
    405: {"Allow": {"required": True, "schema": {"type": "string"}}},
    429: {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}},
    503: {"Retry-After": {"required": True, "schema": {"type": "integer", "minimum": 1}}},
}


def _responses() -> dict[str, Schema]:
    sample = describe.METHODS["voice.call"].sample
    answers: dict[str, Schema] = {
        "200": {
            "description": "Done. With format jsonp also every error: a script with another status is not run.",
            "content": _content(lambda name: render(sample, name)[0]),
        }
    }
    for status, words in describe.ERRORS.items():
        failure = describe.failure(status)
        content = _content(lambda name, failure=failure: render(failure, name)[0])  # type: ignore[misc]
        answers[str(status)] = {"description": words, "content": content}
        if status in _HEADERS:
            answers[str(status)]["headers"] = _HEADERS[status]
    answers["414"]["content"] = {"text/html": {"schema": {"type": "string"}}}  # the web server refuses it, not we
    return answers


def _content(sample: Callable[[str], str]) -> Schema:
    """The media types of an answer; `sample` writes it in a format."""
    content: Schema = {}
    for name, media_type in describe.FORMATS.items():
        media = content.setdefault(media_type.partition(";")[0], {"schema": {"type": "string"}, "examples": {}})
        media["examples"][name] = {"value": sample(name)}
    content["application/json"] = {"schema": {"$ref": "#/components/schemas/Answer"}}
    return content


# --- The document ------------------------------------------------------------------------------------------------


def document(origin: str) -> Schema:
    """The description of the API of the portal at `origin` (`https://calls.example.com`)."""
    requests = _requests()
    request = {"type": "object", "oneOf": [{"$ref": f"#/components/schemas/{name}"} for name in requests]}
    common = {
        "responses": _responses(),
        "parameters": [{"$ref": "#/components/parameters/IdempotencyKey"}],
    }
    query = {"name": "request", "in": "query", "required": True, "style": "form", "explode": True, "schema": request}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "OBD API",
            "version": "1",
            "description": "Start and follow outbound calls. All times are in the portal's time zone.",
        },
        "servers": [{"url": origin}],
        "security": [{"header": []}, {"parameter": []}, {"basic": []}],
        "paths": {
            PATH: {
                "post": {
                    "operationId": "post",
                    "summary": "Start calls, or ask what became of them",
                    **common,
                    "requestBody": {
                        "required": True,
                        "content": {media_type: {"schema": request} for media_type in FORM_TYPES},
                    },
                },
                "get": {
                    "operationId": "get",
                    "summary": "The same with a query string; numbers and messages may then end up in logs on the way",
                    **common,
                    "parameters": [query, *common["parameters"]],
                },
            }
        },
        "components": {
            "schemas": {**requests, "Answer": _ANSWER, "Call": _CALL},
            "parameters": {
                "IdempotencyKey": {
                    "name": "Idempotency-Key",
                    "in": "header",
                    "description": "For voice.call: the same key and parameters within 24 hours start nothing again.",
                    "schema": {
                        "type": "string",
                        "pattern": f"^[ \\t]*(?:{_up_to(TOKEN_LENGTH, '[ -~]', '[!-~]')})?[ \\t]*$",
                    },
                }
            },
            "securitySchemes": {
                "header": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "parameter": {"type": "apiKey", "in": "query", "name": "api_key"},
                "basic": {"type": "http", "scheme": "basic", "description": "The key as user name or as password."},
            },
        },
    }
