"""Settings that would break calls later are refused when the portal starts."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

from calls.api.outside import networks
from calls.carriers import CARRIERS
from calls.dialing.hours import Hours


def check_calling(**_: Any) -> list[CheckMessage]:
    """Check the settings that calling needs; each message names the setting, what came and the rule."""
    return [Error(message, id="calls.E001") for message in _problems()]


def _problems() -> Iterator[str]:
    try:
        Hours.from_settings()
    except ValueError as error:
        yield str(error)
    try:
        networks(settings.CALLBACK_ALLOW)
    except ValueError as error:
        yield f"CALLBACK_ALLOW: {error}; networks look like 10.1.0.0/16."
    if settings.CARRIER not in CARRIERS:
        yield f"CARRIER: “{settings.CARRIER}” is not {' or '.join(CARRIERS)}."
    positive = (
        "CARRIER_RATE", "CARRIER_CONNECTIONS", "SANDBOX_SPEED", "OBD_TIMEOUT", "OBD_RETRY_MINUTES", "CALL_EXPIRES",
    )  # fmt: skip
    for name in positive:
        if getattr(settings, name) <= 0:
            yield f"{name}: {getattr(settings, name):g} is not more than 0."
    if settings.CARRIER_CPS < 0:
        yield f"CARRIER_CPS: {settings.CARRIER_CPS:g} is less than 0."
    if settings.CARRIER == "obd":
        missing = [name for name in ("OBD_BASE_URL", "OBD_API_KEY") if not getattr(settings, name)]
        yield from (f"{name}: nothing was given; CARRIER=obd needs it." for name in missing)
