"""From an HTTP request to the texts of its parameters (OBD-API.md, "Endpoint and authentication")."""

import codecs
import re
from collections.abc import Iterator
from contextlib import suppress

from django.core.exceptions import BadRequest, RequestDataTooBig, SuspiciousOperation
from django.http import HttpRequest, QueryDict
from django.http.multipartparser import MultiPartParserError
from django.http.request import RawPostDataException, UnreadablePostError

from calls.api.errors import ApiError
from calls.obd.parameters import PARAMETERS

MAX_BODY = 1024 * 1024
"""Bytes."""

DRAINED = 16 * 1024 * 1024
"""Bytes of a refused body that are read all the same: many clients look for the answer only when all is sent."""

FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
_WHOLE = re.compile(r"[0-9]{1,18}", re.ASCII)
UNREADABLE = (MultiPartParserError, BadRequest, SuspiciousOperation, RawPostDataException, UnreadablePostError)

KNOWN = {"method", "api_key"} | {
    name for table in PARAMETERS.values() for row in table for name in (row.name, *row.aliases)
}
"""Other parameters are ignored whatever they hold: integrations send extra ones."""


def read_parameters(request: HttpRequest, parameters: dict[str, str]) -> None:
    """Fill `parameters` from the query string and the body. Raises ApiError 400, 405 or 413.

    What was read before an error stays there: its answer is written in the format asked for. A parameter may be
    repeated with the same value; with another one nobody could tell which is meant.
    """
    wrong: list[str] = []
    for name, value in _pairs(request):
        if name not in KNOWN:
            continue
        if parameters.setdefault(name, value) != value:
            wrong.append(f"{name}: given twice with different values; give it once")
        if "\0" in value or "\ufffd" in value:
            what = "a NUL character" if "\0" in value else "bytes that are not UTF-8"
            wrong.append(f"{name}: has {what}; needed: text in UTF-8")
    if wrong:
        raise ApiError(400, wrong[0])


def _pairs(request: HttpRequest) -> Iterator[tuple[str, str]]:
    # A charset in Content-Type would be believed for the query string too.
    charset = (request.content_params or {}).get("charset", "utf-8")
    request.encoding = "utf-8"
    try:
        yield from _texts(request.GET)
    except SuspiciousOperation as error:
        raise ApiError(400, "query string: has too many parameters") from error
    if request.method not in {"GET", "POST"}:
        raise ApiError(405, f"{request.method}: not possible here; use POST or GET", allow="GET, POST")
    if request.method == "POST":
        try:
            yield from _texts(_body(request, charset))
        except ApiError:
            _drain(request)
            raise


def _texts(fields: QueryDict) -> Iterator[tuple[str, str]]:
    for name, values in fields.lists():
        for value in values:
            yield name, str(value)


def _body(request: HttpRequest, charset: str) -> QueryDict:
    if request.headers.get("Transfer-Encoding"):
        raise ApiError(400, "body: sent in chunks; needed: one with a Content-Length")
    length = _length(request)
    if length > MAX_BODY:
        raise ApiError(413, f"body: {length:,} bytes; at most {MAX_BODY:,}")
    if length and request.content_type not in FORM_TYPES:
        raise ApiError(400, f"Content-Type: “{(request.content_type or '')[:60]}” is not {' or '.join(FORM_TYPES)}")
    if not _is_utf8(charset):
        raise ApiError(400, f"Content-Type: the charset “{charset[:60]}” is not UTF-8")
    try:
        return request.POST
    except RequestDataTooBig as error:
        raise ApiError(413, f"body: more than {MAX_BODY:,} bytes") from error
    except UNREADABLE as error:
        raise ApiError(400, "body: can't be read as form fields") from error


def _length(request: HttpRequest) -> int:
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not _WHOLE.fullmatch(length):
        raise ApiError(400, "Content-Length: is not a whole number")
    return int(length)


def _is_utf8(charset: str) -> bool:
    try:
        return codecs.lookup(charset).name in {"utf-8", "ascii"}
    except (LookupError, ValueError):
        return False


def _drain(request: HttpRequest) -> None:
    """Read the rest of a refused body, in vain."""
    with suppress(*UNREADABLE, ApiError):
        left = min(_length(request), DRAINED)
        while left > 0 and (chunk := request.read(65_536)):
            left -= len(chunk)
