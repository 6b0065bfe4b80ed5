"""Signing in and out, and one's own password: Django's views, wired to this portal."""

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import (
    LoginView,
    LogoutView,
    PasswordChangeDoneView,
    PasswordChangeView,
    redirect_to_login,
)
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from calls.forms.account import SignInForm

login = LoginView.as_view(form_class=SignInForm, redirect_authenticated_user=True)
"""Sends people to `next` if that is a page of this portal. Wrong passwords are counted by django-axes."""

logout = LogoutView.as_view()
"""Takes POST only: no link or picture of another site can sign anybody out."""

password_change = PasswordChangeView.as_view()
"""The session stays; all others of the user end, since they are bound to the old password."""

password_changed = PasswordChangeDoneView.as_view()


@login_not_required
def admin_login(request: HttpRequest) -> HttpResponse:
    """Django's admin has no sign-in form of its own: the portal's is the one that is watched and styled."""
    if request.user.is_authenticated:
        raise PermissionDenied("Only admins may open Django's admin.")
    return redirect_to_login(request.GET.get("next", ""), settings.LOGIN_URL)
