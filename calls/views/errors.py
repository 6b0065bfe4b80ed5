"""What is answered to requests that can't be read."""

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponseBadRequest
from django.template import loader


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBadRequest:
    """Say that the request can't be read and, of one that is too large, what to do.

    Without the request, of which nothing is sure: neither its host nor its user.
    """
    most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE // 1024**2 if isinstance(exception, RequestDataTooBig) else None
    return HttpResponseBadRequest(loader.get_template("400.html").render({"most": most}))
