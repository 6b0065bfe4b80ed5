"""Run in the far portal: make what the near one dials through; print its API key."""

import json

import django

django.setup()

from calls.models import APIKey, Sound, User  # noqa: E402 - the settings come first

user = User.objects.get(username="admin")
Sound.objects.get_or_create(number=123, defaults={"name": "Greeting"})
_, key = APIKey.make(user, "The near portal", rate=60_000)
print(json.dumps(key))  # noqa: T201 - the test reads it
