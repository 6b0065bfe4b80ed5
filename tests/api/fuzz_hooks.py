"""What the OpenAPI description can't say, for schemathesis: values of its own formats, and parameters that belong together.

Loaded by schemathesis through SCHEMATHESIS_HOOKS (see tests/api/test_fuzz.py).
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import schemathesis
from hypothesis import strategies as st

NUMBERS = [f"+44 20 7946 0{i:03}" for i in range(1000)]  # Ofcom's range for drama
TIMES = st.integers(min_value=60, max_value=50 * 24 * 60).map(
    lambda minutes: datetime.now(UTC) + timedelta(minutes=minutes)
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("abc äé", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=10,
)

schemathesis.openapi.format("phone-number", st.sampled_from(NUMBERS))
schemathesis.openapi.format("phone-numbers", st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=5).map(",".join))
schemathesis.openapi.format("schedule-time", TIMES.map(lambda time: str(int(time.timestamp()))))
schemathesis.openapi.format("json-object", st.dictionaries(st.text("abc", max_size=3), JSON, max_size=3).map(json.dumps))
schemathesis.openapi.format(
    "callback-url", st.sampled_from(["https://example.invalid/done?id={obdid}&status={status}", "http://example.invalid"])
)
