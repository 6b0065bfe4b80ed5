"""What somebody asked for with a telephone number or a name, kept in their session so that it is in no address.

Addresses end up in histories of browsers, in bookmarks, and in the logs of proxies (DESIGN.md, rule 8).
"""

from collections.abc import Callable, Mapping
from functools import wraps
from secrets import token_urlsafe
from typing import Concatenate, ParamSpec

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django_htmx.http import HttpResponseClientRefresh

from calls.views.polling import is_refresh

P = ParamSpec("P")

KEY = "asked"
KEPT = 50
"""Questions of one session that can be looked at again; older ones are forgotten."""

LONGEST = 200
"""Characters of a search that are kept: more than any search takes, which then says so."""

FORGOTTEN = "What was searched for is not known any more: it is kept only where it was typed, and only for a while."


class Forgotten(Exception):
    """An address stands for something that is not kept, or not in this session. Its text tells a person."""

    def __init__(self) -> None:
        super().__init__(FORGOTTEN)


def keep(request: HttpRequest, typed: Mapping[str, str]) -> str:
    """Keep what was typed; returns what stands for it in addresses."""
    questions: dict[str, dict[str, str]] = request.session.get(KEY, {})
    token = next((token for token, question in questions.items() if question == typed), token_urlsafe(9))
    others = [(name, question) for name, question in questions.items() if name != token]
    request.session[KEY] = dict([*others, (token, dict(typed))][-KEPT:])
    return token


def kept(request: HttpRequest) -> dict[str, str] | None:
    """What the address of this request stands for (parameter `about`); None if that is nothing, or forgotten.

    The page says so where it is forgotten.
    """
    token = request.GET.get("about", "")
    found: dict[str, str] | None = request.session.get(KEY, {}).get(token)
    if token and found is None:
        messages.error(request, FORGOTTEN)
    return found


def whole_query(request: HttpRequest, query: QueryDict | None = None) -> QueryDict:
    """The parameters of the request's address, or of another `query`, with what their `about` stands for in its place.

    Raises Forgotten: without it they would ask for more than they did.
    """
    whole = (request.GET if query is None else query).copy()
    if tokens := whole.pop("about", []):
        typed = request.session.get(KEY, {}).get(tokens[-1])
        if typed is None:
            raise Forgotten
        whole.update(typed)
    return whole


def searched_by(
    *personal: str,
) -> Callable[
    [Callable[Concatenate[HttpRequest, P], HttpResponse]], Callable[Concatenate[HttpRequest, P], HttpResponse]
]:
    """Decorator of a list whose search form posts: the answer is an address with everything but the fields `personal`.

    The view gets them by :func:`whole_query`. If they are forgotten the whole list is shown, with a message.
    """

    def decorate(
        view: Callable[Concatenate[HttpRequest, P], HttpResponse],
    ) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
        @wraps(view)
        def wrapper(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
            if request.method == "POST":
                return redirect(_address(request, personal))
            try:
                return view(request, *args, **kwargs)
            except Forgotten as error:
                return _without(request, error)

        return wrapper

    return decorate


def _address(request: HttpRequest, personal: tuple[str, ...]) -> str:
    """Where the list is that the posted form asks for."""
    query = QueryDict(mutable=True)
    for name, values in request.POST.lists():
        if name not in (*personal, "csrfmiddlewaretoken", "about") and any(values):
            query.setlist(name, values)
    typed = {name: text[:LONGEST] for name in personal if (text := request.POST.get(name, "").strip())}
    if typed:
        query["about"] = keep(request, typed)
    return f"{request.path}?{query.urlencode()}" if query else request.path


def _without(request: HttpRequest, error: Forgotten) -> HttpResponse:
    """Go to the list without its search; a fragment that refreshes itself takes its whole page along."""
    if is_refresh(request):
        return HttpResponseClientRefresh()
    query = request.GET.copy()
    for name in ("about", "after", "before"):
        query.pop(name, None)
    messages.error(request, str(error))
    return redirect(f"{request.path}?{query.urlencode()}" if query else request.path)
