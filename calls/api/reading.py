"""From an HTTP request to the texts of its parameters (OBD-API.md, "Endpoint and authentication")."""

from collections.abc import Iterator

from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest, QueryDict
from django.http.multipartparser import MultiPartParserError
from django.http.request import RawPostDataException, UnreadablePostError

from calls.api.errors import ApiError
from calls.obd.parameters import PARAMETERS

MAX_BODY = 1024 * 1024
"""Bytes."""

FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")

KNOWN = {"method", "api_key"} | {
    name for rows in PARAMETERS.values() for row in rows for name in (row.name, *row.aliases)
}
"""Names of parameters."""


def parameters_of(request: HttpRequest) -> dict[str, str]:
    """The parameters of the query string and the body that some method knows, by name. Raises ApiError.

    A parameter may be repeated with the same value; with another one nobody could tell which is meant. Whatever else
    integrations send is not looked at.
    """
    parameters: dict[str, str] = {}
    for name, value in _pairs(request):
        if name not in KNOWN:
            continue
        if parameters.setdefault(name, value) != value:
            raise ApiError(400, f"{name}: given twice with different values; give it once")
        if "\0" in value or "\ufffd" in value:
            what = "a NUL character" if "\0" in value else "bytes that are not UTF-8"
            raise ApiError(400, f"{name}: has {what}; needed: text in UTF-8")
    return parameters


def _pairs(request: HttpRequest) -> Iterator[tuple[str, str]]:
    for fields in (request.GET, _body(request)):
        for name, values in fields.lists():
            for value in values:
                yield name, str(value)


def _body(request: HttpRequest) -> QueryDict:
    if request.method != "POST":
        return QueryDict()
    length = request.headers.get("Content-Length") or "0"
    if int(length) > MAX_BODY:
        raise ApiError(413, f"body: {int(length):,} bytes; at most {MAX_BODY:,}")
    if int(length) and request.content_type not in FORM_TYPES:
        raise ApiError(400, f"Content-Type: “{(request.content_type or '')[:60]}” is not {' or '.join(FORM_TYPES)}")
    try:
        return request.POST
    except RequestDataTooBig as error:
        raise ApiError(413, f"body: more than {MAX_BODY:,} bytes") from error
    except (MultiPartParserError, BadRequest, SuspiciousOperation, RawPostDataException, UnreadablePostError) as error:
        raise ApiError(400, "body: can't be read as form fields") from error
