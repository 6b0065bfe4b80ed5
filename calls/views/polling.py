"""Fragments that refresh themselves: sent only when they changed, and no more once they are final (docs/looks.md).

A fragment is one partial of its page's template, used for the first render and for each refresh. It carries
`hx-get="{{ poll_url }}"`, which holds the version of what is shown; a refresh that would show the same is answered
with 204 and no body. A final fragment has no trigger (`{% if poll_url %}`).
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render, resolve_url
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers
from django.utils.safestring import SafeString, mark_safe
from django_htmx.http import HttpResponseClientRedirect

_VERSION = "__version__"
_CSRF_TOKEN = re.compile(r'(?<=name="csrfmiddlewaretoken" value=")\w+')
"""Another one each time, whatever else is shown."""


@dataclass(frozen=True)
class Fragment:
    """A rendered fragment, and the version that its address for the next refresh carries."""

    html: SafeString
    version: str


def is_refresh(request: HttpRequest) -> bool:
    """Whether htmx asks for the fragment again."""
    return bool(getattr(request, "htmx", False)) and "v" in request.GET


def fragment_of(  # noqa: PLR0913 - what it takes is what a fragment is
    request: HttpRequest,
    template: str,
    partial: str,
    context: dict[str, Any],
    *,
    path: str = "",
    filtered: bool = True,
    final: bool = False,
) -> Fragment:
    """Render `partial` of `template`, which asks for itself again at `path` (default: the page's own).

    The partial finds that address in its context as `poll_url`, empty if `final`. It has the page's parameters, so
    that filter and page stay, unless not `filtered`.
    """
    query = request.GET.copy() if filtered else QueryDict(mutable=True)
    query["v"] = _VERSION
    context = context | {"poll_url": "" if final else f"{path or request.path}?{query.urlencode()}"}
    html = render_to_string(f"{template}#{partial}", context, request)
    version = hashlib.blake2b(_CSRF_TOKEN.sub("", html).encode(), digest_size=8).hexdigest()
    return Fragment(mark_safe(html.replace(_VERSION, version)), version)  # noqa: S308 - rendered here


def refreshed(request: HttpRequest, fragment: Fragment) -> HttpResponse:
    """The answer to a refresh: the fragment, or nothing (204) if it is what the page shows."""
    same = request.GET.get("v") == fragment.version
    response = HttpResponse(status=204) if same else HttpResponse(fragment.html)
    patch_vary_headers(response, ["HX-Request"])
    return response


def live(
    request: HttpRequest, template: str, partial: str, context: dict[str, Any], *, final: bool = False
) -> HttpResponse:
    """The page of `template`, or for a refresh its `partial` if it changed.

    The partial finds `poll_url` in its context: the address to ask again, or empty if `final`. The page includes it
    as the safe text `fragment`.
    """
    fragment = fragment_of(request, template, partial, context, final=final)
    if is_refresh(request):
        return refreshed(request, fragment)
    response = render(request, template, context | {"fragment": fragment.html})
    patch_vary_headers(response, ["HX-Request"])
    return response


def login_by_htmx(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: where a fragment's refresh would be sent to the login page, send the whole page there."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if not getattr(request, "htmx", False):
            return response
        if response.get("Location", "").startswith(resolve_url(settings.LOGIN_URL)):
            came_from = request.htmx.current_url_abs_path or "/"  # type: ignore[attr-defined]
            return HttpResponseClientRedirect(redirect_to_login(came_from).url)
        return response

    return middleware
