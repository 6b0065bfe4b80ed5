"""Middleware of the project."""

import ipaddress
import re
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

_WITH_PORT = re.compile(r"([0-9.]+):[0-9]+|\[([^\]]*)\](?::[0-9]+)?")


def client_address(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Make REMOTE_ADDR the address of the client, as seen by the outermost of TRUSTED_PROXIES.

    Each proxy appends the address that it saw to X-Forwarded-For; what stands further left is whatever the client
    wrote, so the header is then removed: the audit log and the lockout of password guessing must not believe it.
    A port behind the address is left out; what is no address at all leaves that of the proxy.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        request.META.pop("HTTP_X_FORWARDED_PORT", None)  # the audit log would keep it, whoever wrote it
        forwarded = request.META.pop("HTTP_X_FORWARDED_FOR", "").split(",")
        if 0 < settings.TRUSTED_PROXIES <= len(forwarded):
            address = _address(forwarded[-settings.TRUSTED_PROXIES].strip())
            request.META["REMOTE_ADDR"] = address or request.META.get("REMOTE_ADDR", "")
        return get_response(request)

    return middleware


def _address(text: str) -> str:
    """The address in `text`, which may have a port; empty if there is none."""
    bare = match[1] or match[2] if (match := _WITH_PORT.fullmatch(text)) else text
    try:
        return str(ipaddress.ip_address(bare.partition("%")[0]))
    except ValueError:
        return ""
