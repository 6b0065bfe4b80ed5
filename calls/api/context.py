"""What parameters of the API are read with."""

from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone

from calls.obd.values import Context


def context() -> Context:
    """Now, TIME_ZONE and DEFAULT_REGION; programs write foreign numbers without a plus."""
    return Context(timezone.now(), ZoneInfo(settings.TIME_ZONE), settings.DEFAULT_REGION, bare_international=True)
