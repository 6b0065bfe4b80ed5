"""Who asks."""

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from calls.models import User


def signed_in(request: HttpRequest) -> User:
    """The user who is signed in. Raises PermissionDenied if nobody is, which LoginRequiredMiddleware prevents."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user
