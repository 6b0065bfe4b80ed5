"""Run in the near portal: start calls to `sys.argv[1]` numbers with the options in `sys.argv[2]`; print the GID."""

import json
import sys

import django

django.setup()

from calls.dialing.plan import make_plan  # noqa: E402
from calls.dialing.request import Options  # noqa: E402
from calls.dialing.start import start  # noqa: E402
from calls.models import CallRequest, Sound, User  # noqa: E402
from tests.factories import number  # noqa: E402

user = User.objects.get(username="admin")
Sound.objects.get_or_create(number=123, defaults={"name": "Greeting"})
typed = "\n".join(number(i) for i in range(int(sys.argv[1])))
options = Options(play="123.sound", **json.loads(sys.argv[2]))
request = CallRequest.objects.create(owner=user, typed={"numbers": typed}, options=options.as_json())
make_plan(request)
print(json.dumps(start(request.pk).pk))  # noqa: T201 - the test reads it
