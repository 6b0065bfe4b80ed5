"""The one endpoint, `/api/v1/`: reads a request, checks its key, has its method answer, writes the format asked for."""

import logging
from collections.abc import Callable, Mapping

from django.contrib.auth.decorators import login_not_required
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from calls.api import call, status
from calls.api.authentication import authenticate
from calls.api.context import context
from calls.api.errors import ApiError
from calls.api.reading import read_parameters
from calls.audit import act_as
from calls.models import APIKey
from calls.obd.parameters import KEPT_HEADER, clean_method, parameter
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
def endpoint(request: HttpRequest) -> HttpResponse:
    """Answer one request; every error is a row of the error table, in the format asked for."""
    parameters: dict[str, str] = {}
    try:
        read_parameters(request, parameters)
        return _respond(parameters, _answer(request, parameters))
    except ApiError as error:
        return _refuse(parameters, error)
    except (OperationalError, InterfaceError):
        logger.exception("The database is away")
        return _refuse(parameters, ApiError(503, "The portal can't reach its database. Nothing was started.", 5))


def _answer(request: HttpRequest, parameters: Mapping[str, str]) -> Reply:
    try:
        method = clean_method(parameters.get("method", ""))
        _clean("format", parameters)
        _clean("jsonp", parameters)
        key = authenticate(request, parameters)
        act_as(key)
        return METHODS[method](request, key, parameters)
    except ParameterErrors as error:
        raise ApiError(400, str(error.errors[0])) from error
    except ParameterError as error:
        raise ApiError(400, str(error)) from error


def _clean(name: str, parameters: Mapping[str, str]) -> str:
    """`format` or `jsonp`, which all methods have. Raises ParameterError."""
    text: str = parameter("voice.call", name).clean(parameters.get(name, ""), context())
    return text


def _format(parameters: Mapping[str, str]) -> tuple[str, str]:
    """The format to answer in, and the function's name: text where the one asked for is impossible."""
    try:
        wanted = _clean("format", parameters)
        return wanted, _clean("jsonp", parameters) if wanted == "jsonp" else ""
    except ParameterError:
        return "text", ""


def _respond(parameters: Mapping[str, str], reply: Reply) -> HttpResponse:
    wanted, function = _format(parameters)
    body, content_type = render(reply, wanted, function)
    # A JSONP answer is a script: with another HTTP status the function would not be called.
    response = HttpResponse(body, content_type=content_type, status=200 if wanted == "jsonp" else int(reply.status))
    response["X-Content-Type-Options"] = "nosniff"
    response[KEPT_HEADER] = str(int(call.KEPT.total_seconds()))
    return response


def _refuse(parameters: Mapping[str, str], error: ApiError) -> HttpResponse:
    response = _respond(parameters, Reply(str(error.status), error.message))
    if error.retry_after:
        response["Retry-After"] = str(error.retry_after)
    if error.allow:
        response["Allow"] = error.allow
    if error.status == 401:
        response["WWW-Authenticate"] = 'Basic realm="OBD API", charset="UTF-8"'
    return response
