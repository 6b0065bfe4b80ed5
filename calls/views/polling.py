"""Fragments that refresh themselves: sent only when they changed, and no more once they are final (docs/looks.md).

A fragment is one partial of its page's template, used for the first render and for each refresh. It carries
`hx-get="{{ poll_url }}"`, which holds the version of what is shown; a refresh that would show the same is answered
with 204 and no body. A final fragment has no trigger (`{% if poll_url %}`).
"""

import hashlib
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render, resolve_url
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers
from django_htmx.http import HttpResponseClientRedirect

_VERSION = "__version__"


def is_refresh(request: HttpRequest) -> bool:
    """Whether htmx asks for the fragment again."""
    return bool(getattr(request, "htmx", False)) and "v" in request.GET


def live(
    request: HttpRequest, template: str, partial: str, context: dict[str, Any], *, final: bool = False
) -> HttpResponse:
    """The page of `template`, or for a refresh its `partial` if it changed.

    The partial finds `poll_url` in its context: the address to ask again, or empty if `final`. The page includes it
    as the safe text `fragment`.
    """
    query = request.GET.copy()
    query["v"] = _VERSION
    context = context | {"poll_url": "" if final else f"{request.path}?{query.urlencode()}"}
    fragment = render_to_string(f"{template}#{partial}", context, request)
    version = hashlib.blake2b(fragment.encode(), digest_size=8).hexdigest()
    fragment = fragment.replace(_VERSION, version)
    if is_refresh(request):
        same = request.GET["v"] == version
        response = HttpResponse(status=204) if same else HttpResponse(fragment)
    else:
        from django.utils.safestring import mark_safe

        response = render(request, template, context | {"fragment": mark_safe(fragment)})  # noqa: S308 - rendered above
    patch_vary_headers(response, ["HX-Request"])
    return response


def login_by_htmx(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: where a fragment's refresh would be sent to the login page, send the whole page there."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        login = resolve_url(settings.LOGIN_URL)
        if getattr(request, "htmx", False) and response.get("Location", "").startswith(login):
            came_from = request.htmx.current_url_abs_path or "/"  # type: ignore[attr-defined]
            return HttpResponseClientRedirect(redirect_to_login(came_from).url)
        return response

    return middleware
