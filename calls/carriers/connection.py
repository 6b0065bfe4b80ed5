"""One HTTP request to a carrier, made once, that knows whether any of it was sent.

`requests` alone can't tell: a TLS error may come from the handshake or from the middle of an answer, a reset from
connecting or from a kept connection that the carrier gave up while the request was on its way. Here, whatever fails
inside `connect()` is :class:`NeverSent`, and everything else is :class:`Broken` (DESIGN.md, rule 1).
"""

import io
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException
from http.client import HTTPResponse as PlainResponse
from http.cookiejar import DefaultCookiePolicy
from typing import Any, cast

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import (
    ConnectTimeoutError,
    DecodeError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ReadTimeoutError,
)
from urllib3.util.ssl_match_hostname import CertificateError

CONNECT_SECONDS = 10.0
"""Seconds for reaching one address of the carrier, and again for the TLS handshake."""

KEPT_SECONDS = 4.0
"""A connection unused for longer is not used again: web servers begin to close theirs after 5 s, some routers forget
them without a word, and a request on such a connection can only become unconfirmed."""

MAX_ANSWER = 16 * 1024 * 1024
"""Bytes of an answer, unpacked (OBD-API.md, "What a carrier may really answer")."""

STEP = 64 * 1024

# The first that fits counts: each is a subclass of one further down.
_NEVER_SENT: dict[type[Exception], str] = {
    NameResolutionError: "The carrier's name could not be looked up.",
    NewConnectionError: "The carrier could not be reached.",
    ConnectTimeoutError: "The carrier could not be reached in time.",
    CertificateError: "The carrier's certificate is for another name.",
    TimeoutError: "The carrier did not finish the TLS handshake in time.",
    OSError: "The TLS handshake with the carrier failed.",
}


class NeverSent(Exception):
    """No byte of the request left this machine; `str()` is a plain sentence."""


class Broken(Exception):
    """The request, or a part of it, was sent, and no whole answer came; `str()` is a plain sentence."""


@dataclass(frozen=True)
class Answer:
    """What came back: the HTTP status, the body as it was before compression, the headers (names in any case)."""

    status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Connection:
    """Makes POST requests, each once: no second try, no redirect, no cookies, nothing from the environment.

    Any number of threads may use it; up to `connections` kept ones are shared by them. The whole answer has to be
    there `timeout` seconds after the request was sent, however slowly it trickles in.
    """

    def __init__(self, timeout: float, connections: int, verify: bool | str = True) -> None:
        self.timeout = timeout
        self._session = Unredirected()
        self._session.trust_env = False
        self._session.verify = verify
        self._session.headers = requests.structures.CaseInsensitiveDict(
            {"User-Agent": "OBD-Portal", "Accept": "application/json, */*;q=0.5", "Accept-Encoding": "gzip, deflate"}
        )
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.mount("http://", _Adapter(pool_maxsize=connections))
        self._session.mount("https://", _Adapter(pool_maxsize=connections))

    def close(self) -> None:
        """Close the kept connections."""
        self._session.close()

    def post(self, url: str, fields: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
        """Send `fields` as a form and return the answer, whatever its status. Raises NeverSent or Broken."""
        try:
            request = self._session.prepare_request(
                requests.Request("POST", url, data=dict(fields), headers=dict(headers))
            )
        except (requests.RequestException, ValueError) as error:
            raise NeverSent("The carrier's address can't be used.") from error
        times = (min(CONNECT_SECONDS, self.timeout), self.timeout)
        try:
            with self._session.send(request, stream=True, timeout=times, allow_redirects=False) as response:
                content_type = response.headers.get("Content-Type", "")
                return Answer(response.status_code, content_type, _body(response), response.headers)
        except (requests.RequestException, HTTPError, HTTPException, OSError) as error:
            raise Broken(_why_broken(error, self.timeout)) from error


def _body(response: requests.Response) -> bytes:
    """The body, unpacked; raises Broken where it is larger than MAX_ANSWER."""
    body = bytearray()
    raw = cast("urllib3.HTTPResponse", response.raw)
    while part := raw.read(STEP, decode_content=True):
        body += part
        if len(body) > MAX_ANSWER:
            raise Broken(f"The carrier's answer is larger than {MAX_ANSWER >> 20} MiB.")
    return bytes(body)


def _why_broken(error: Exception, timeout: float) -> str:
    if isinstance(error, requests.Timeout | ReadTimeoutError | TimeoutError):
        return f"The carrier did not answer within {timeout:g} seconds."
    if isinstance(error, DecodeError):
        return "The carrier's answer could not be unpacked."
    return "The connection broke before the carrier had answered."


def _why_never_sent(error: Exception) -> str:
    """One sentence for an error inside `connect()`."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"The carrier's certificate was not accepted: {error.verify_message.rstrip('.')}."
    if isinstance(error, NewConnectionError) and isinstance(error.__cause__, ConnectionRefusedError):
        return "The carrier refused the connection."
    for kind, sentence in _NEVER_SENT.items():
        if isinstance(error, kind):
            return sentence
    return "The connection to the carrier could not be made."


class Unredirected(requests.Session):
    """Follows no redirect; without this it would read the whole body of one, however long, just to look ahead."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Nowhere."""
        return None


class Timed(io.RawIOBase):
    """Reads a socket, each time waiting no longer than until `ends` (of the monotonic clock)."""

    def __init__(self, sock: socket.socket, ends: float) -> None:
        self._sock = sock
        self._ends = ends
        self._source = sock.makefile("rb", buffering=0)

    def makefile(self, mode: str) -> io.BufferedReader:
        """What http.client asks of a socket."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        """Read what there is; raises TimeoutError once the time is over."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        return self._source.readinto(buffer)

    def close(self) -> None:
        """Close the file, not the socket."""
        self._source.close()
        super().close()


def timed_response(sock: socket.socket, *args: Any, ends: float, **kwargs: Any) -> PlainResponse:
    """What `http.client` reads an answer with, which has to be there when the monotonic clock is at `ends`."""
    return PlainResponse(cast("socket.socket", Timed(sock, ends)), *args, **kwargs)


class _Once:
    """What our connections do otherwise than those of urllib3, with TLS and without."""

    used_at = 0.0
    timeout: Any
    response_class: Any

    def connect(self) -> None:
        try:
            super().connect()  # type: ignore[misc]
        except Exception as error:
            raise NeverSent(_why_never_sent(error)) from error
        self.used_at = time.monotonic()

    def getresponse(self) -> Any:
        # By now `timeout` is the time for the answer: urllib3 sets it between sending and this.
        self.response_class = partial(timed_response, ends=time.monotonic() + self.timeout)
        response = super().getresponse()  # type: ignore[misc]
        self.used_at = time.monotonic()
        return response

    @property
    def is_connected(self) -> bool:
        """Whether a kept connection may be used again."""
        return super().is_connected and time.monotonic() - self.used_at < KEPT_SECONDS  # type: ignore[misc]


class _HTTPConnection(_Once, HTTPConnection):
    pass


class _HTTPSConnection(_Once, HTTPSConnection):
    pass


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


class _Adapter(HTTPAdapter):
    """Uses our connections, and never tries twice."""

    def __init__(self, pool_maxsize: int) -> None:
        super().__init__(pool_maxsize=pool_maxsize, max_retries=urllib3.Retry(total=0, read=False, redirect=False))

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
