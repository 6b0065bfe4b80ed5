"""Middleware of the project."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse


def client_address(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Make REMOTE_ADDR the address of the client, as seen by the outermost of TRUSTED_PROXIES.

    Each proxy appends the address that it saw to X-Forwarded-For; what stands further left is whatever the client
    wrote, so the header is then removed: the audit log and the lockout of password guessing must not believe it.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        forwarded = request.META.pop("HTTP_X_FORWARDED_FOR", "").split(",")
        if 0 < settings.TRUSTED_PROXIES <= len(forwarded) and (address := forwarded[-settings.TRUSTED_PROXIES].strip()):
            request.META["REMOTE_ADDR"] = address
        return get_response(request)

    return middleware
