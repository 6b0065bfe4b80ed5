"""Signing in and out, and one's own password: Django's views, wired to this portal."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.forms import AuthenticationForm, PasswordChangeForm
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.views import (
    LoginView,
    LogoutView,
    PasswordChangeDoneView,
    PasswordChangeView,
    redirect_to_login,
)
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils.http import url_has_allowed_host_and_scheme

from calls import audit
from calls.forms.account import SignInForm
from calls.models import User
from calls.views.people import signed_in

NOTHING_SENT = (
    "You were signed out meanwhile, and nothing was sent. What you typed is still in the form: go back in your "
    "browser, copy it, and sign in."
)


class SignedOut(LoginRequiredMiddleware):
    """Django's middleware; who was signed out while filling in a form is told that nothing was sent."""

    def handle_no_permission(
        self, request: HttpRequest, view_func: Callable[..., HttpResponseBase]
    ) -> HttpResponseRedirect:
        """To the sign-in page, and from there to the page with the form."""
        if request.method != "POST" or request.headers.get("X-Requested-With") == "XMLHttpRequest":
            return super().handle_no_permission(request, view_func)
        messages.warning(request, NOTHING_SENT)
        return redirect_to_login(_came_from(request), settings.LOGIN_URL)


def _came_from(request: HttpRequest) -> str:
    """The page of this portal from which a form was sent; the dashboard if that isn't known."""
    page = request.headers.get("Referer", "")
    if not url_has_allowed_host_and_scheme(page, {request.get_host()}, request.is_secure()):
        return "/"
    return urlunsplit(("", "", *urlsplit(page)[2:4], ""))


class _SignIn(LoginView):
    """Django's, and a line in the audit log."""

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        """Sign in."""
        response = super().form_valid(form)
        audit.note_session(signed_in(self.request), "signed in")
        return response


class _SignOut(LogoutView):
    """Django's, and a line in the audit log."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Sign out; who is not signed in stays so."""
        if isinstance(request.user, User):
            audit.note_session(request.user, "signed out")
        return super().post(request, *args, **kwargs)


class _PasswordChange(PasswordChangeView):
    """Django's, with its line in the audit log or not at all."""

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        """Save the new password."""
        with transaction.atomic():
            return super().form_valid(form)


login = _SignIn.as_view(form_class=SignInForm, redirect_authenticated_user=True)
"""Sends people to `next` if that is a page of this portal. Wrong passwords are counted by django-axes."""

logout = _SignOut.as_view()
"""Takes POST only: no link or picture of another site can sign anybody out."""

password_change = _PasswordChange.as_view()
"""The session stays; all others of the user end, since they are bound to the old password."""

password_changed = PasswordChangeDoneView.as_view()


@login_not_required
def admin_login(request: HttpRequest) -> HttpResponse:
    """Django's admin has no sign-in form of its own: the portal's is the one that is watched and styled."""
    if request.user.is_authenticated:
        raise PermissionDenied("Only admins may open Django's admin.")
    return redirect_to_login(request.GET.get("next", ""), settings.LOGIN_URL)
