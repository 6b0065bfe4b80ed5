"""Who asks: the API key of a request, checked (OBD-API.md, "Endpoint and authentication")."""

import ipaddress
import math
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import connection
from django.db.models import TextField
from django.db.models.expressions import RawSQL
from django.http import HttpRequest
from django.utils import timezone

from calls.api.errors import ApiError
from calls.models import APIKey
from calls.models.access import HELD_SQL
from calls.models.keys import PREFIX_LENGTH

BURST = timedelta(seconds=10)
"""A key's whole allowance of this time may be used at once."""

WRONG_KEY = "The API key is missing, wrong, revoked or expired."

# Nothing is lost with the last uses before a crash, so nobody waits for the disk to have them.
USE_SQL = """
    UPDATE calls_apikey SET next_at = greatest(next_at, %(now)s) + %(share)s * interval '1 second',
        last_used_at = %(now)s, last_used_from = %(source)s
    WHERE id = %(key)s AND next_at <= %(latest)s RETURNING set_config('synchronous_commit', 'off', true)
"""

_KEY = re.compile(r"A[0-9A-Fa-f]{8,200}")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def authenticate(request: HttpRequest, parameters: Mapping[str, str]) -> APIKey:
    """The key that the request comes with, marked as used. Raises ApiError 400, 401, 403 or 429."""
    given = set(_given(request, parameters))
    if len(given) > 1:
        raise ApiError(400, "api_key: different keys in one request; give one")
    key = given.pop() if given else ""
    # What can't be a key may not even be text that the database takes.
    found = _find(key) if _KEY.fullmatch(key) else None
    if found is None or not found.fits(key) or not found.works:
        raise ApiError(401, WRONG_KEY)
    address = _address(request)
    if found.networks and not _allowed(address, found.networks):
        raise ApiError(403, "This API key does not work from your address.")
    _use(found, address, timezone.now())
    return found


def _given(request: HttpRequest, parameters: Mapping[str, str]) -> Iterator[str]:
    # Web servers join headers of the same name with commas.
    texts = [*request.headers.get("x-api-key", "").split(","), parameters.get("api_key", "")]
    yield from filter(None, map(str.strip, texts))
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, password = b64decode(encoded.strip(), validate=True).decode().partition(":")
        except ValueError as error:
            raise ApiError(400, "Authorization: can't be read as HTTP Basic") from error
        # The key stands in either place; what stands in the other, such as "x", is not one.
        keys = [text for text in (name, password) if _KEY.fullmatch(text)]
        yield from keys or filter(None, [name or password])


def _find(key: str) -> APIKey | None:
    """The key with that prefix, its user and what that user may do, in one query."""
    held = RawSQL(HELD_SQL, (), output_field=ArrayField(TextField()))  # noqa: S611 - no values in it
    rows = APIKey.objects.select_related("user").annotate(held=held).filter(prefix=key[:PREFIX_LENGTH])
    for row in rows:
        row.user.held_permissions = frozenset(row.held)  # type: ignore[attr-defined]
        return row
    return None


def _address(request: HttpRequest) -> Address | None:
    """Where the request comes from; an IPv4 address as such, even if the server listens on IPv6 for both."""
    try:
        source = ipaddress.ip_address(request.META.get("REMOTE_ADDR", "").partition("%")[0])
    except ValueError:
        return None  # a local socket, or a proxy that names no address
    return (source.ipv4_mapped if isinstance(source, ipaddress.IPv6Address) else None) or source


def _allowed(address: Address | None, networks: list[str]) -> bool:
    return address is not None and any(address in ipaddress.ip_network(network, strict=False) for network in networks)


def _use(key: APIKey, address: Address | None, now: datetime) -> None:
    """Take one request out of the key's rate; raises ApiError 429 if it is used up, 401 if the key is gone.

    `next_at` is when the allowance would be full again: each request moves it on by its share, never further ahead
    than the burst. One conditional UPDATE, so that requests at the same moment count too.
    """
    share = timedelta(minutes=1) / max(key.rate, 1)
    latest = now + max(BURST, share) - share
    with connection.cursor() as cursor:
        values: dict[str, Any] = {"now": now, "share": share.total_seconds(), "latest": latest, "key": key.pk}
        cursor.execute(USE_SQL, values | {"source": str(address) if address else None})
        used = cursor.rowcount
    if not used:
        next_at = APIKey.objects.filter(pk=key.pk).values_list("next_at", flat=True).first()
        if next_at is None:
            raise ApiError(401, WRONG_KEY)  # it was deleted meanwhile
        wait = max(1, math.ceil((next_at - latest).total_seconds()))
        raise ApiError(429, f"More than {key.rate:,} requests a minute; try again in {wait} s", retry_after=wait)
