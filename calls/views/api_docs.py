"""The API page for those who write programs, and the OpenAPI description: both from the table that validates."""

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from calls.api.openapi import document


@require_safe
def api_docs(request: HttpRequest) -> HttpResponse:
    """Methods, parameters, answers, errors and callbacks, with examples for this portal's address."""
    return render(request, "api/page.html", {})


@login_not_required
@require_safe
def openapi(request: HttpRequest) -> JsonResponse:
    """The OpenAPI description. It names no data of the portal, so programs read it without signing in."""
    return JsonResponse(document(request.build_absolute_uri("/").rstrip("/")))
