"""Who asks: the API key of a request, checked (OBD-API.md, "Endpoint and authentication")."""

import binascii
import ipaddress
import math
from base64 import b64decode
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from django.http import HttpRequest
from django.utils import timezone

from calls.api.errors import ApiError
from calls.models import APIKey
from calls.models.keys import PREFIX_LENGTH

BURST = timedelta(seconds=10)
"""A key's whole allowance of this time may be used at once."""

WRONG_KEY = ApiError(401, "The API key is missing, wrong, revoked or expired.")


def authenticate(request: HttpRequest, parameters: Mapping[str, str]) -> APIKey:
    """The key that the request comes with, marked as used. Raises ApiError 400, 401, 403 or 429."""
    given = set(_given(request, parameters))
    if len(given) > 1:
        raise ApiError(400, "api_key: different keys in one request; give one")
    key = given.pop() if given else ""
    found = APIKey.objects.select_related("user").filter(prefix=key[:PREFIX_LENGTH]).first()
    if found is None or not found.fits(key) or not found.works:
        raise ApiError(WRONG_KEY.status, WRONG_KEY.message)
    address = request.META.get("REMOTE_ADDR") or None
    _check_address(found, address)
    _use(found, address, timezone.now())
    return found


def _given(request: HttpRequest, parameters: Mapping[str, str]) -> Iterator[str]:
    yield from filter(None, (request.headers.get("x-api-key", "").strip(), parameters.get("api_key", "").strip()))
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, password = b64decode(encoded.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as error:
            raise ApiError(400, "Authorization: can't be read as HTTP Basic") from error
        # The key stands in either place; what stands in the other, such as "x", is not one.
        keys = [text for text in (name, password) if text.startswith("A") and len(text) > PREFIX_LENGTH]
        yield from keys or filter(None, [name or password])


def _check_address(key: APIKey, address: str | None) -> None:
    if not key.networks:
        return
    try:
        source = ipaddress.ip_address(address or "")
    except ValueError:
        source = None
    if source is None or not any(source in ipaddress.ip_network(network) for network in key.networks):
        raise ApiError(403, "This API key does not work from your address.")


def _use(key: APIKey, address: str | None, now: datetime) -> None:
    """Take one request out of the key's rate; raises ApiError 429 if it is used up.

    `next_at` is when the allowance would be full again: each request moves it on by its share, never further ahead
    than the burst. One conditional UPDATE, so that requests at the same moment count too.
    """
    share = timedelta(seconds=60 / key.rate)
    allowed = now + max(BURST, share)
    start = max(key.next_at, now)
    used = (
        APIKey.objects.filter(pk=key.pk, next_at=key.next_at).update(
            next_at=start + share, last_used_at=now, last_used_from=address
        )
        if start + share <= allowed
        else 0
    )
    if not used:
        key.refresh_from_db(fields=["next_at"])
        start = max(key.next_at, now)
        if start + share > allowed:
            wait = math.ceil((start + share - allowed).total_seconds())
            raise ApiError(429, f"More than {key.rate:,} requests a minute; try again in {wait} s", retry_after=wait)
        _use(key, address, now)
