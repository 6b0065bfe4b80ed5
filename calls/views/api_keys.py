"""API keys: list, a new one, one key, revoking. People manage their own, admins everybody's."""

from secrets import token_urlsafe

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_http_methods, require_safe

from calls.api.signing import secret_of
from calls.forms.api_keys import APIKeyForm
from calls.models import APIKey
from calls.views.paging import keyset
from calls.views.people import signed_in

GET_OR_POST = ["GET", "HEAD", "POST"]

MADE = "api_keys_made"
"""The session's forms of new keys that were sent: a page that is reloaded sends its form again."""

FORMS_KNOWN = 20
ALREADY_MADE = (
    "This key was created already, and is shown only once. If nobody has copied it, revoke it and create another one."
)


@require_safe
@permission_required("calls.view_apikey", raise_exception=True)
def api_keys(request: HttpRequest) -> HttpResponse:
    """The keys that this person may see, newest first, with their last use."""
    page = keyset(APIKey.objects.visible_to(request.user).select_related("user"), request, "-id")
    return render(request, "api_keys/list.html", {"page": page, "all": signed_in(request).sees_everything})


@sensitive_variables()
@never_cache
@require_http_methods(GET_OR_POST)
@permission_required("calls.add_apikey", raise_exception=True)
def api_key_new(request: HttpRequest) -> HttpResponse:
    """Create a key. It is in this one answer only, which nothing may store, and nowhere else."""
    form = APIKeyForm(request.POST if request.method == "POST" else None, actor=signed_in(request))
    once, made = request.POST.get("once", ""), request.session.get(MADE, [])
    if once in made:
        messages.warning(request, ALREADY_MADE)
        return redirect("api_keys")
    if not form.is_valid():
        return render(request, "api_keys/new.html", {"form": form, "once": once or token_urlsafe(9)})
    row, key = form.make()
    if once:
        request.session[MADE] = [*made, once[:20]][-FORMS_KNOWN:]
    return render(request, "api_keys/shown.html", {"row": row, "key": key, "secret": secret_of(row)})


@sensitive_variables("secret")
@never_cache
@require_safe
@permission_required("calls.view_apikey", raise_exception=True)
def api_key(request: HttpRequest, pk: int) -> HttpResponse:
    """One key with what it may do, and the secret that its callbacks are signed with."""
    row = get_object_or_404(APIKey.objects.visible_to(request.user).select_related("user"), pk=pk)
    return render(request, "api_keys/page.html", {"row": row, "secret": secret_of(row)})


@require_http_methods(GET_OR_POST)
@permission_required("calls.change_apikey", raise_exception=True)
def api_key_revoke(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask, and end a key for good; a key that was revoked stays as it is."""
    row = get_object_or_404(APIKey.objects.visible_to(request.user).select_related("user"), pk=pk)
    if row.revoked_at is None and request.method != "POST":
        return render(request, "api_keys/revoke.html", {"row": row})
    if row.revoked_at is None:
        row.revoked_at = timezone.now()
        row.save(update_fields=["revoked_at"])
        messages.success(request, f"The key “{row.label}” was revoked. It does not work any more.")
    return redirect("api_keys")
