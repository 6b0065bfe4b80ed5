"""The API page for those who write programs, and the OpenAPI description: both from the table that validates."""

import json
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from calls.api import describe, examples
from calls.api.openapi import document
from calls.obd import parameters
from calls.obd.parameters import Parameter
from calls.obd.replies import render as render_reply


@require_safe
def api_docs(request: HttpRequest) -> HttpResponse:
    """Methods, parameters, answers, errors and callbacks, with examples for this portal's address."""
    url = request.build_absolute_uri(reverse("api"))
    context = {
        "url": url,
        "region": settings.DEFAULT_REGION,
        "methods": [_method(name) for name in parameters.PARAMETERS],
        "authentication": examples.authentication(url),
        "programs": [("curl", examples.curl(url)), ("Python", examples.python(url)), ("PHP", examples.php(url))],
        "formats": [(name, *_sample(name)) for name in parameters.FORMATS],
        "errors": describe.ERRORS,
        "failures": [(name, render_reply(describe.failure(400), name)[0]) for name in ("text", "json")],
        "placeholders": {f"{{{name}}}": describe.PLACEHOLDERS[name] for name in parameters.PLACEHOLDERS},
        "verify": [("Python", examples.VERIFY_PYTHON), ("PHP", examples.VERIFY_PHP)],
    }
    return render(request, "api/page.html", context)


def _method(name: str) -> dict[str, Any]:
    words = describe.METHODS[name]
    return {
        "name": name,
        "summary": words.summary,
        "text": words.text,
        "rows": [(row, _needed(row), describe.example_of(row)) for row in parameters.PARAMETERS[name]],
        "sample": json.dumps(json.loads(render_reply(words.sample, "json")[0]), indent=2),
    }


def _needed(row: Parameter) -> str:
    """When a parameter must be given; empty if it need not."""
    if not row.required:
        return ""
    return f"needed unless {row.unless} is given" if row.unless else "needed"


def _sample(name: str) -> tuple[str, str]:
    """Content type and text of an answer in a format."""
    body, content_type = render_reply(describe.METHODS["voice.status"].sample, name)
    return content_type, body


@login_not_required
@require_safe
def openapi(request: HttpRequest) -> JsonResponse:
    """The OpenAPI description. It names no data of the portal, so programs read it without signing in."""
    return JsonResponse(document(request.build_absolute_uri("/").rstrip("/")))
