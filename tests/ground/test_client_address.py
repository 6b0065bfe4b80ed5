"""The address of the client, behind proxies and without."""

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from pytest_django import Settings

from obdportal.middleware import client_address


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, None, "192.0.2.1"),
        (0, "203.0.113.9", "192.0.2.1"),  # nobody vouches for it
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "198.51.100.7, 203.0.113.9", "203.0.113.9"),  # the left one is the client's own claim
        (2, "198.51.100.7, 203.0.113.9,10.0.0.1", "203.0.113.9"),
        (2, "203.0.113.9", "192.0.2.1"),  # a proxy was passed by
        (1, "", "192.0.2.1"),
        (1, None, "192.0.2.1"),
    ],
)
def test_address(settings: Settings, proxies: int, forwarded: str | None, address: str) -> None:
    settings.TRUSTED_PROXIES = proxies
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.1")
    if forwarded is not None:
        request.META["HTTP_X_FORWARDED_FOR"] = forwarded

    def view(request: HttpRequest) -> HttpResponse:
        assert "HTTP_X_FORWARDED_FOR" not in request.META
        return HttpResponse(request.META["REMOTE_ADDR"])

    assert client_address(view)(request).content.decode() == address
