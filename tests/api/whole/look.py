"""Run in a portal: print its calls as `[call group, number, status, retries, custom]`, and how many are not final."""

import json

import django

django.setup()

from calls.models import Call  # noqa: E402 - the settings come first

rows = list(
    Call.objects.order_by("id").values_list("call_group_id", "number", "status", "retries", "custom", "duration")
)
print(json.dumps({"calls": rows, "open": Call.objects.all().open().count()}))  # noqa: T201 - the test reads it
