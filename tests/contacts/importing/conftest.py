"""What tests of imports share."""

from typing import Any

import pytest


@pytest.fixture(autouse=True)
def region(settings: Any) -> None:
    """Numbers without country code are British."""
    settings.DEFAULT_REGION = "GB"
