"""Carriers: who places the calls."""

from functools import cache

from calls.carriers.base import Carrier
from calls.carriers.obd import ObdCarrier
from calls.carriers.sandbox import SandboxCarrier


@cache
def get_carrier(name: str) -> Carrier:
    """The carrier of that name, as set up in the settings: `sandbox` or `obd`."""
    return {"sandbox": SandboxCarrier, "obd": ObdCarrier}[name].from_settings()
