"""Carriers: who places the calls."""

from collections.abc import Callable
from functools import cache

from calls.carriers.base import Carrier
from calls.carriers.obd import ObdCarrier
from calls.carriers.sandbox import SandboxCarrier

_MAKERS: dict[str, Callable[[], Carrier]] = {
    "sandbox": SandboxCarrier.from_settings,
    "obd": ObdCarrier.from_settings,
}
CARRIERS = tuple(_MAKERS)


@cache
def get_carrier(name: str) -> Carrier:
    """The carrier of that name, as set up in the settings: `sandbox` or `obd`."""
    return _MAKERS[name]()
