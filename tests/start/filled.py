"""The start form as a browser sends it."""

from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict

from calls.forms.start import StartForm
from calls.models import User
from tests.factories import make_sound, number

Typed = dict[str, Any]


def filled(**changes: Any) -> Typed:
    """What a browser sends for one number and a sound; None leaves a field out."""
    usual = {
        "who": "numbers", "numbers": number(1), "heard": "sound", "sound": "", "ivr": "", "message": "",
        "campaign": "", "traffic": "promotional", "retries": "0", "scheduletime": "", "delay": "",
        "waits": "portal", "newgroup": "on", "custom": "", "meta": "", "callback": "", "again_group": "",
        "again_statuses": "", "again_digits": "",
    }  # fmt: skip
    if changes.get("heard", "sound") == "sound" and "sound" not in changes:
        changes["sound"] = make_sound().pk
    return {name: value for name, value in (usual | changes).items() if value is not None}


def check(user: User, **changes: Any) -> StartForm:
    """The form after it was checked."""
    form = StartForm(QueryDict(urlencode(filled(**changes), doseq=True)), user=user)
    form.is_valid()
    return form
