"""Run in a portal: print its calls, how many are not final, what settled batches, and how callbacks were answered."""

import json

import django

django.setup()

from calls.models import Batch, Call, Callback  # noqa: E402 - the settings come first

rows = list(
    Call.objects.order_by("id").values_list("call_group_id", "number", "status", "retries", "custom", "duration")
)
looked = {
    "calls": rows,
    "open": Call.objects.all().open().count(),
    "settled": sorted(Batch.objects.values_list("settled", flat=True)),
    "callbacks": list(Callback.objects.values_list("http_status", flat=True)),
}
print(json.dumps(looked))  # noqa: T201 - the test reads it
