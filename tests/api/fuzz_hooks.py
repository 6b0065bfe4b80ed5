"""For schemathesis, what OpenAPI can't say: values of the formats that are our own, and what belongs together.

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
OBJECTS = st.dictionaries(st.text("abc", max_size=3), JSON, max_size=3)
CALLBACKS = ["https://example.invalid/done?id={obdid}&status={status}", "http://example.invalid"]

schemathesis.openapi.format("phone-number", st.sampled_from(NUMBERS))
schemathesis.openapi.format("phone-numbers", st.lists(st.sampled_from(NUMBERS), min_size=1, max_size=5).map(",".join))
schemathesis.openapi.format("schedule-time", TIMES.map(lambda time: str(int(time.timestamp()))))
schemathesis.openapi.format(
    "json-object", st.dictionaries(st.text("abc", max_size=3), JSON, max_size=3).map(json.dumps)
)
schemathesis.openapi.format(
    "callback-url",
    st.sampled_from(["https://example.invalid/done?id={obdid}&status={status}", "http://example.invalid"]),
)


@schemathesis.hook
def map_case(context: schemathesis.HookContext, case: schemathesis.Case[Any]) -> schemathesis.Case[Any]:
    """Give the one key that works and no others. Whatever is meant to be right has parameters that fit together."""
    if isinstance(case.query, dict):
        case.query.pop("api_key", None)
    case.headers.pop("Authorization", None)
    for given in (case.body, case.query):
        if isinstance(given, dict) and case.meta is not None:
            _fit(given) if case.meta.generation.mode.is_positive else _answer_with_status(given)
    return case


def _fit(given: dict[str, Any]) -> None:
    """As many references as numbers; a last call that is of the call group."""
    numbers, custom = str(given.get("numbers", "")), given.get("custom")
    if custom and not given.get("group") and numbers.count(",") != str(custom).count(","):
        del given["custom"]
    if given.get("after"):
        given["after"] = f"{str(given.get('groupid')).strip().partition('-')[0]}-1"


def _answer_with_status(given: dict[str, Any]) -> None:
    """An error as JSONP has the HTTP status 200, so it would seem to be accepted."""
    if given.get("format") == "jsonp":
        given["format"] = "json"
