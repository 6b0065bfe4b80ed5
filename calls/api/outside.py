"""Requests to addresses that users name, which can reach neither this machine nor a private network.

Each request looks the host up once, checks every address that comes back, and connects to these very addresses: what
the name means a moment later plays no part. TLS still verifies the name. Nothing is followed, kept or taken from the
environment: no redirects, cookies, proxies or netrc. `CALLBACK_ALLOW` opens networks by name.

`requests-hardened` does less: it checks one address of several, can open the loopback but no other network, has no
limit for the whole request, and lets IPv4-compatible and site-local IPv6 addresses through.
"""

import contextlib
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http.client import HTTPException
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from queue import Empty, SimpleQueue
from typing import Any, cast
from urllib.parse import urlsplit

import psutil
import requests
import urllib3
from django.conf import settings
from django.http.request import validate_host
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from calls.carriers.connection import Unredirected, timed_response

LIMIT = 10.0
"""Seconds for all of one request: looking the name up, connecting, TLS, sending, the answer."""

MOST = 4096
"""Bytes of an answer that are read."""

CLOSED_PORTS = frozenset({0, 25, 465, 587})
"""0 is no port; the others are for mail, whose servers could be made to take a request for a message."""

Address = IPv4Address | IPv6Address
Headers = Callable[[str], Mapping[str, str]]
"""What makes the headers of a request for this target (path and query, exactly as they are sent)."""


class NotReached(Exception):
    """No answer came; `str()` is a plain sentence."""


class Forbidden(NotReached):
    """The address may not be reached: nothing was sent, no connection was made."""


@dataclass(frozen=True)
class Answer:
    """The HTTP status, and the beginning of the body as text on one line."""

    status: int
    text: str


def get(url: str, headers: Headers) -> Answer:
    """Request `url` and return the answer, whatever its status. Raises NotReached, which Forbidden is too."""
    ends = time.monotonic() + LIMIT
    with Unredirected() as session:
        session.trust_env = False
        session.headers = requests.structures.CaseInsensitiveDict(
            {"User-Agent": "OBD-Portal", "Accept": "*/*", "Accept-Encoding": "identity", "Connection": "close"}
        )
        session.mount("http://", _Adapter(ends, headers))
        session.mount("https://", _Adapter(ends, headers))
        try:
            request = session.prepare_request(requests.Request("GET", url))
            with session.send(request, stream=True, timeout=LIMIT, allow_redirects=False) as response:
                return Answer(response.status_code, _beginning(cast("urllib3.HTTPResponse", response.raw)))
        except (requests.RequestException, HTTPError, HTTPException, OSError, ValueError) as error:
            raise NotReached(_why(error)) from error


def _beginning(raw: urllib3.HTTPResponse) -> str:
    """What the body begins with. That it breaks off doesn't matter: the status has said how it went."""
    body = b""
    with contextlib.suppress(HTTPError, HTTPException, OSError):
        while len(body) < MOST and (part := raw.read1(MOST - len(body), decode_content=False)):
            body += part
    text = "".join(char if char.isprintable() else " " for char in body.decode("utf-8", "replace"))
    return " ".join(text.split())


def _why(error: Exception) -> str:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"The certificate was not accepted: {cause.verify_message.rstrip('.')}."
        if isinstance(cause, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError):
            return f"No answer within {LIMIT:g} seconds."
        if isinstance(cause, ssl.SSLError):
            return "The TLS handshake failed."
        inner = cause.args[0] if cause.args and isinstance(cause.args[0], Exception) else None
        cause = inner or getattr(cause, "reason", None) or cause.__cause__
        cause = cause if isinstance(cause, BaseException) else None
    if isinstance(error, requests.exceptions.InvalidURL):
        return "This URL can't be requested."
    return "The connection broke before an answer had come."


# --- Which addresses are outside ---------------------------------------------------------------------------------

_THIS_MACHINE = "this machine"
_PRIVATE = "a private address"
_LINK_LOCAL = "a link-local address"
_MULTICAST = "a multicast address"
_RESERVED = "a reserved address"
_METADATA = "a metadata address"
_TUNNEL = "an address that holds an IPv4 address"

_INSIDE: tuple[tuple[IPv4Network | IPv6Network, str], ...] = tuple(
    (ipaddress.ip_network(network), what)
    for network, what in (
        ("0.0.0.0/8", "an unspecified address"),
        ("10.0.0.0/8", _PRIVATE),
        ("100.64.0.0/10", "an address behind carrier-grade NAT"),
        ("127.0.0.0/8", _THIS_MACHINE),
        ("168.63.129.16/32", _METADATA),
        ("169.254.169.254/32", _METADATA),
        ("169.254.0.0/16", _LINK_LOCAL),
        ("172.16.0.0/12", _PRIVATE),
        ("192.0.0.0/24", _RESERVED),
        ("192.0.2.0/24", _RESERVED),
        ("192.88.99.0/24", _RESERVED),
        ("192.168.0.0/16", _PRIVATE),
        ("198.18.0.0/15", _RESERVED),
        ("198.51.100.0/24", _RESERVED),
        ("203.0.113.0/24", _RESERVED),
        ("224.0.0.0/4", _MULTICAST),
        ("240.0.0.0/4", _RESERVED),
        ("::/128", "an unspecified address"),
        ("::1/128", _THIS_MACHINE),
        ("::/96", _TUNNEL),  # IPv4-compatible
        ("::ffff:0:0:0/96", _TUNNEL),  # IPv4-translated
        ("64:ff9b:1::/48", _TUNNEL),  # NAT64 of a local network
        ("2001::/32", _TUNNEL),  # Teredo
        ("2001::/23", _RESERVED),
        ("2001:db8::/32", _RESERVED),
        ("2002::/16", _TUNNEL),  # 6to4
        ("3fff::/20", _RESERVED),
        ("fd00:ec2::254/128", _METADATA),
        ("fc00::/7", _PRIVATE),
        ("fe80::/10", _LINK_LOCAL),
        ("fec0::/10", _PRIVATE),
        ("ff00::/8", _MULTICAST),
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = IPv6Network("2000::/3")


def inside(address: Address) -> str:
    """What kind of address that must not be reached this is; empty if it is one of the public Internet."""
    address = _meant(address)
    for network, what in _INSIDE:
        if address in network:
            return what
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return _RESERVED
    return "" if address.is_global else _RESERVED


def _meant(address: Address) -> Address:
    """The IPv4 address that an IPv6 address leads to, mapped or through NAT64; itself if it leads to none."""
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or (IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address)


def networks(texts: Iterable[str]) -> list[IPv4Network | IPv6Network]:
    """The networks of `CALLBACK_ALLOW`. Raises ValueError, which names the wrong one."""
    return [ipaddress.ip_network(text.strip()) for text in texts if text.strip()]


def why_forbidden(host: str, port: int, address: Address) -> str:
    """Why `host`, which is at `address`, must not be reached at this port; empty if it may be."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    named, end = _is_own_name(host), _meant(address)
    here = end.is_loopback or end.is_unspecified or end in _own_addresses()
    if (named and port == _public_port()) or ((named or here) and port == settings.PORT):
        return "the portal itself"
    if any(address in network for network in networks(settings.CALLBACK_ALLOW)):
        return ""
    if named:
        return "the portal's own host"
    return _THIS_MACHINE if here else inside(address)


def _is_own_name(host: str) -> bool:
    """Whether the portal answers to this name, so that a request to it could be one to the portal."""
    host = host.rstrip(".").lower()
    own = [name for name in settings.ALLOWED_HOSTS if name and name != "*"]
    return validate_host(f"[{host}]" if ":" in host else host, own)


def _public_port() -> int:
    url = urlsplit(settings.PUBLIC_URL)
    return url.port or (443 if url.scheme == "https" else 80)


def _own_addresses() -> set[Address]:
    """The addresses of this machine's network interfaces."""
    found = (each.address for addresses in psutil.net_if_addrs().values() for each in addresses
             if each.family in (socket.AF_INET, socket.AF_INET6))  # fmt: skip
    return {ipaddress.ip_address(address.partition("%")[0]) for address in found}


# --- Connecting to what was checked ------------------------------------------------------------------------------

_Found = Sequence[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]]


def _look_up(host: str, port: int, ends: float) -> _Found:
    """The addresses of `host`. In a thread of its own: how long looking up takes can't be limited otherwise."""
    answers: SimpleQueue[_Found | Exception] = SimpleQueue()

    def look_up() -> None:
        try:
            answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, ValueError) as error:  # a name that can't be one is a ValueError
            answers.put(error)

    threading.Thread(target=look_up, daemon=True).start()
    try:
        found = answers.get(timeout=max(0.0, ends - time.monotonic()))
    except Empty:
        raise NotReached(f"The name {host} could not be looked up in time.") from None
    if isinstance(found, Exception) or not found:
        raise NotReached(f"The name {host} could not be looked up.")
    return found


def _connect(host: str, port: int, ends: float) -> socket.socket:
    """A connection to one of the addresses of `host`, all of which are outside. Raises NotReached or Forbidden."""
    host = host.strip("[]")
    if port in CLOSED_PORTS:
        raise Forbidden(f"Not requested: port {port} is not for callbacks.")
    found = _look_up(host, port, ends)
    for *_, address in found:
        what = why_forbidden(host, port, ipaddress.ip_address(address[0]))
        if what:
            raise Forbidden(f"Not requested: {host} is at {address[0]}, {what}. CALLBACK_ALLOW can open networks.")
    refused = False
    for i, (family, kind, protocol, _, address) in enumerate(found):
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError:
            continue  # a machine without IPv6
        try:
            # One address that swallows everything must not use up the time of the others.
            sock.settimeout(max(0.001, (ends - time.monotonic()) / (len(found) - i)))
            sock.connect(address)
            sock.settimeout(max(0.001, ends - time.monotonic()))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            refused = refused or isinstance(error, ConnectionRefusedError)
            sock.close()
        else:
            return sock
    raise NotReached(f"{host} refused the connection." if refused else f"{host} could not be reached.")


class _Guarded:
    """What our connections do otherwise than those of urllib3, with TLS and without."""

    _dns_host: str
    port: int
    response_class: Any

    def __init__(self, *args: Any, ends: float, headers_of: Headers, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ends = ends
        self._headers_of = headers_of

    def _new_conn(self) -> socket.socket:
        return _connect(self._dns_host, self.port, self._ends)

    def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        super().putrequest(method, url, *args, **kwargs)  # type: ignore[misc]
        for name, value in self._headers_of(url).items():
            self.putheader(name, value)  # type: ignore[attr-defined]

    def getresponse(self) -> Any:
        self.response_class = partial(timed_response, ends=self._ends)
        return super().getresponse()  # type: ignore[misc]


class _HTTPConnection(_Guarded, HTTPConnection):
    pass


class _HTTPSConnection(_Guarded, HTTPSConnection):
    pass


_Maker = Callable[..., Any]


class _Adapter(HTTPAdapter):
    """Uses our connections, and never tries twice."""

    def __init__(self, ends: float, headers_of: Headers) -> None:
        self._ours = {"ends": ends, "headers_of": headers_of}
        super().__init__(max_retries=urllib3.Retry(total=0, read=False, redirect=False))

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        pools: Any = {
            "http": partial(self._pool, HTTPConnectionPool, _HTTPConnection),
            "https": partial(self._pool, HTTPSConnectionPool, _HTTPSConnection),
        }
        self.poolmanager.pool_classes_by_scheme = pools

    def _pool(
        self, pool_class: Callable[..., Any], connection_class: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        pool = pool_class(*args, **kwargs)
        pool.ConnectionCls = partial(connection_class, **self._ours)
        return pool
