"""Run in a portal: print its calls, and what settled batches."""

import json

import django

django.setup()

from calls.models import Batch, Call  # noqa: E402 - the settings come first

rows = list(
    Call.objects.order_by("id").values_list("call_group_id", "number", "status", "retries", "custom", "duration")
)
looked = {
    "calls": rows,
    "settled": sorted(Batch.objects.values_list("settled", flat=True)),
}
print(json.dumps(looked))  # noqa: T201 - the test reads it
