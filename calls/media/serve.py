"""Answers with a stored audio file, or the part of it that a player asks for when somebody seeks.

Django's FileResponse knows no ranges, and without them browsers play a sound but can't jump in it (RFC 9110, 14).
"""

import re

from django.core.files import File
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.http.response import HttpResponseNotModified
from django.utils.cache import patch_cache_control

from calls.models import Sound

CONTENT_TYPE = "audio/wav"


class OutOfRangeError(ValueError):
    """The range begins behind the end of the file."""


class Part:
    """`length` bytes of a file from `start` on, to be read once."""

    def __init__(self, file: "File[bytes]", start: int, length: int) -> None:
        self._file = file
        self._left = length
        file.seek(start)

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end of the part."""
        piece: bytes = self._file.read(min(size, self._left))
        self._left -= len(piece)
        return piece

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def audio(request: HttpRequest, sound: Sound) -> HttpResponseBase:
    """The sound's file for `request`: all of it, the range asked for, or "not modified".

    Who may have it was decided before; caches must ask again each time, so that a profile that changes takes effect.
    Raises FileNotFoundError.
    """
    etag = f'"{sound.sha256}"'
    response = _content(request, sound, etag)
    for name, value in (("ETag", etag), ("Accept-Ranges", "bytes"), ("X-Content-Type-Options", "nosniff")):
        response[name] = value
    patch_cache_control(response, private=True, no_cache=True)
    return response


def _content(request: HttpRequest, sound: Sound, etag: str) -> HttpResponseBase:
    if request.headers.get("If-None-Match") == etag:
        return HttpResponseNotModified()
    size = sound.file.size
    try:
        # A range of another version than this one is no use: all is sent.
        span = read_range(request.headers.get("Range", ""), size) if _is_current(request, etag) else None
    except OutOfRangeError:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    start, length = span or (0, size)
    part = Part(sound.file.storage.open(str(sound.file)), start, length)
    response = FileResponse(part, content_type=CONTENT_TYPE, filename=f"{sound.number}.wav")
    response["Content-Length"] = str(length)
    if span:
        response.status_code = 206
        response["Content-Range"] = f"bytes {start}-{start + length - 1}/{size}"
    return response


def _is_current(request: HttpRequest, etag: str) -> bool:
    return request.headers.get("If-Range", etag) == etag


def read_range(header: str, size: int) -> tuple[int, int] | None:
    """Start and length that a Range header asks for of `size` bytes; None for what is no single range of bytes.

    Raises OutOfRangeError if nothing that it asks for is there.
    """
    found = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", header.replace(" ", ""))
    if not found or not (found[1] or found[2]):
        return None
    if found[1]:
        start, end = int(found[1]), min(int(found[2] or size), size - 1)
    else:
        start, end = max(size - int(found[2]), 0), size - 1
    if start >= size:
        raise OutOfRangeError
    return (start, end - start + 1) if end >= start else None
