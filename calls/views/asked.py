"""What somebody asked for with a telephone number, kept in their session so that the number is in no address.

Addresses end up in histories of browsers, in bookmarks, and in the logs of proxies (DESIGN.md, rule 8).
"""

from collections.abc import Mapping
from secrets import token_urlsafe

from django.http import HttpRequest

KEY = "asked"
KEPT = 20
"""Questions of one session that can be looked at again; older ones are forgotten."""


def keep(request: HttpRequest, typed: Mapping[str, str]) -> str:
    """Keep what was typed; returns what stands for it in addresses."""
    token = token_urlsafe(9)
    questions = [*request.session.get(KEY, {}).items(), (token, dict(typed))]
    request.session[KEY] = dict(questions[-KEPT:])
    return token


def kept(request: HttpRequest) -> dict[str, str] | None:
    """What the address of this request stands for (parameter `about`); None if that is nothing, or forgotten."""
    found: dict[str, str] | None = request.session.get(KEY, {}).get(request.GET.get("about", ""))
    return found
