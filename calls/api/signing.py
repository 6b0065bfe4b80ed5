"""Signatures of callbacks, as Standard Webhooks has them; secrets are derived from SECRET_KEY and kept nowhere.

Standard Webhooks signs the body of a POST. Our callbacks are GETs without a body, so the request target (path and
query, as sent) stands in its place: the signed content is `{id}.{timestamp}.{request target}`.
"""

import hashlib
import hmac
from base64 import b64decode, b64encode

from django.conf import settings

from calls.models import APIKey, User

PREFIX = "whsec_"


def secret_of(holder: APIKey | User) -> str:
    """The secret that callbacks are signed with: of a key's calls, or of those that a person started in the browser.

    It stays the same as long as SECRET_KEY does.
    """
    kind = "key" if isinstance(holder, APIKey) else "user"
    message = f"callback-{kind}:{holder.pk}".encode()
    return PREFIX + b64encode(hmac.digest(settings.SECRET_KEY.encode(), message, hashlib.sha256)).decode()


def signature_of(secret: str, webhook_id: str, timestamp: int, target: str) -> str:
    """`v1,` and the signature, in base64, of a request at `timestamp` (epoch seconds) for `target`."""
    content = f"{webhook_id}.{timestamp}.{target}".encode()
    digest = hmac.digest(b64decode(secret.removeprefix(PREFIX)), content, hashlib.sha256)
    return f"v1,{b64encode(digest).decode()}"


def headers_of(secret: str, webhook_id: str, timestamp: int, target: str) -> dict[str, str]:
    """The headers that let a receiver know that a request is ours, fresh, and perhaps one that it had before."""
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature_of(secret, webhook_id, timestamp, target),
    }
