"""Where the carrier reports calls to by itself: a URL for each batch that nobody else can make up.

It holds the batch, the order as which it was handed over, and a signature of both by `SECRET_KEY`, so that a forged one
is told without looking anything up. Without `PUBLIC_URL` there is none, and the carrier is only asked.
"""

from urllib.parse import urlencode

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.urls import reverse

from calls.models import Batch

FILLED_IN = (
    "obdid",
    "mobile",
    "status",
    "custom",
    "senttime",
    "answertime",
    "endtime",
    "duration",
    "retries",
    "digits",
)
"""What the carrier is asked to fill in (OBD-API.md, `callback`)."""


def _signer() -> Signer:
    return Signer(salt="carrier callback", sep=".")


def callback_url(batch: Batch) -> str:
    """What `callback` is for the order as which the batch is handed over; empty without an address of ours."""
    if not settings.CARRIER_CALLBACKS:
        return ""
    token = _signer().sign(f"{batch.pk}-{batch.order_key}")
    query = urlencode({name: f"{{{name}}}" for name in FILLED_IN}, safe="{}")
    return f"{settings.PUBLIC_URL}{reverse('carrier_callback', args=[token])}?{query}"


def read_token(token: str) -> int | None:
    """The batch that a token is for; None if it isn't one of ours."""
    try:
        return int(_signer().unsign(token).partition("-")[0])
    except (BadSignature, ValueError):
        return None
