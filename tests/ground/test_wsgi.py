"""The WSGI application, as the web server calls it."""

from io import BytesIO
from typing import Any

import pytest

from calls.api.reading import MAX_BODY


@pytest.mark.django_db
@pytest.mark.parametrize("charset", ["hex", "punycode", "\0", "utf-16", "utf-8"])
def test_no_charset_of_a_request_breaks_it(charset: str) -> None:
    from obdportal.wsgi import application  # noqa: PLC0415 - it provides a database

    seen: list[str] = []

    def start_response(status: str, headers: Any, _: Any = None, /) -> Any:
        seen.append(status)

    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/api/v1/",
        "QUERY_STRING": "format=json&x=%ff=",
        "CONTENT_TYPE": f"multipart/form-data; boundary=x; charset={charset}",
        "CONTENT_LENGTH": str(MAX_BODY + 1),
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.input": BytesIO(),
        "wsgi.url_scheme": "http",
    }
    application(environ, start_response)
    assert seen == ["413 Request Entity Too Large"]
