"""The one endpoint, `/api/v1/`: reads a request, checks its key, has its method answer, writes the format asked for."""

import logging
from collections.abc import Callable, Mapping

from django.contrib.auth.decorators import login_not_required
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from calls.api import call, status
from calls.api.authentication import authenticate
from calls.api.context import context
from calls.api.errors import ApiError
from calls.api.reading import parameters_of
from calls.models import APIKey
from calls.obd.parameters import clean_method, parameter
from calls.obd.replies import Reply, render
from calls.obd.values import ParameterError, ParameterErrors

logger = logging.getLogger(__name__)

METHODS: dict[str, Callable[[HttpRequest, APIKey, Mapping[str, str]], Reply]] = {
    "voice.call": call.voice_call,
    "voice.status": status.voice_status,
    "voice.groupstatus": status.voice_groupstatus,
}


@csrf_exempt  # a program with a key, not a browser with a session
@login_not_required
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def endpoint(request: HttpRequest) -> HttpResponse:
    """Answer one request; every error is a row of the error table, in the format asked for."""
    parameters: Mapping[str, str] = {}
    try:
        parameters = parameters_of(request)
        reply = _answer(request, parameters)
        retry_after = 0
    except ApiError as error:
        reply, retry_after = Reply(str(error.status), error.message), error.retry_after
    except (OperationalError, InterfaceError):
        logger.exception("The database is away")
        reply, retry_after = Reply("503", "The portal can't reach its database. Nothing was started."), 5
    return _respond(request, parameters, reply, retry_after)


def _answer(request: HttpRequest, parameters: Mapping[str, str]) -> Reply:
    try:
        method = clean_method(parameters.get("method", ""))
        _format(parameters)
        return METHODS[method](request, authenticate(request, parameters), parameters)
    except ParameterErrors as error:
        raise ApiError(400, str(error.errors[0])) from error
    except ParameterError as error:
        raise ApiError(400, str(error)) from error


def _format(parameters: Mapping[str, str]) -> tuple[str, str]:
    """Format and function name. Raises ParameterError."""
    return tuple(
        parameter("voice.call", name).clean(parameters.get(name, ""), context()) for name in ("format", "jsonp")
    )


def _respond(request: HttpRequest, parameters: Mapping[str, str], reply: Reply, retry_after: int) -> HttpResponse:
    try:
        wanted, function = _format(parameters)
    except ParameterError:
        wanted, function = "text", ""
    body, content_type = render(reply, wanted, function)
    # A JSONP answer is a script: with another HTTP status the function would not be called.
    response = HttpResponse(body, content_type=content_type, status=200 if wanted == "jsonp" else int(reply.status))
    response["X-Content-Type-Options"] = "nosniff"
    if retry_after:
        response["Retry-After"] = str(retry_after)
    if reply.status == "401":
        response["WWW-Authenticate"] = 'Basic realm="OBD API", charset="UTF-8"'
    return response
