"""What every page's template may use besides its view's context."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest


def portal(request: HttpRequest) -> dict[str, Any]:
    """`sandbox`: no phone rings; `zone`: name of the time zone that pages show."""
    return {"sandbox": settings.CARRIER == "sandbox", "zone": settings.TIME_ZONE}
