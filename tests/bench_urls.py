"""URLs of the portal, and the view that `make bench` compares the API with."""

from uuid import uuid4

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path
from django.views.decorators.http import require_POST

from calls.models import Idempotency


@require_POST
def bare(request: HttpRequest) -> HttpResponse:
    """What any signed-in view costs that writes one row and answers in JSON."""
    row = Idempotency.objects.create(api_key_id=int(request.POST["api_key_id"]), key=uuid4().hex, digest="")
    return JsonResponse({"status": "200", "id": row.pk, "user": request.user.pk})


urlpatterns = [path("bare/", bare), path("", include("obdportal.urls"))]
