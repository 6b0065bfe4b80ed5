"""Settings that would break calls later are refused at the start."""

import pytest
from django.core.checks import run_checks
from pytest_django import Settings


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("CALLING_HOURS", "9-21", "09:00-21:00"),
        ("CALLING_HOURS", "21:00-09:00", "the earlier time first"),
        ("CARRIER", "sandbx", "sandbox or obd"),
        ("CARRIER_RATE", 0.0, "CARRIER_RATE"),
        ("CARRIER_CONNECTIONS", 0, "CARRIER_CONNECTIONS"),
        ("CARRIER_CPS", -1.0, "CARRIER_CPS"),
        ("SANDBOX_SPEED", -1.0, "SANDBOX_SPEED"),
        ("OBD_TIMEOUT", 0.0, "OBD_TIMEOUT"),
        ("OBD_RETRY_MINUTES", 0.0, "OBD_RETRY_MINUTES"),
        ("CARRIER", "obd", "OBD_API_KEY"),
        ("CALLBACK_ALLOW", ["10.0.0.0/8", "intranet"], "'intranet'"),
        ("CALLBACK_ALLOW", ["10.1.2.3/8"], "10.1.2.3/8 has host bits set"),
    ],
)
def test_a_wrong_setting_is_named(settings: Settings, name: str, value: object, said: str) -> None:
    setattr(settings, name, value)
    assert any(said in str(message.msg) for message in run_checks())


def test_the_defaults_are_right() -> None:
    assert not [message for message in run_checks() if str(message.id).startswith("calls.")]
