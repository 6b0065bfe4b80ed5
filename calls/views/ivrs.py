"""IVRs: list, page, form, deletion."""

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from calls.forms.ivrs import KEYPAD, IVRForm
from calls.media import references
from calls.models import IVR, User
from calls.views.paging import keyset
from calls.views.people import signed_in

SHOWN_NEEDS = 10
"""How many of the call groups that need an IVR are listed."""


def _ivr(request: HttpRequest, number: int) -> IVR:
    found: IVR = get_object_or_404(IVR.objects.visible_to(request.user), number=number)
    return found


def meanings(ivr: IVR) -> list[tuple[str, str]]:
    """The keys in use with their meanings, as a phone shows them."""
    return [(key, meaning) for key in KEYPAD if (meaning := ivr.meaning(key))]


@require_safe
@permission_required("calls.view_ivr", raise_exception=True)
def ivrs(request: HttpRequest) -> HttpResponse:
    """The IVRs that the user may use, by number; `q` narrows them by name or reference."""
    asked = request.GET.get("q", "").strip()
    page = keyset(references.search(IVR.objects.visible_to(request.user), asked), request, "number")
    rows = [(ivr, meanings(ivr)) for ivr in page.rows]
    return render(request, "ivrs/list.html", {"rows": rows, "page": page, "asked": asked})


@require_safe
@permission_required("calls.view_ivr", raise_exception=True)
def ivr(request: HttpRequest, number: int) -> HttpResponse:
    """One IVR and the meaning of its keys."""
    row = _ivr(request, number)
    return render(request, "ivrs/page.html", {"ivr": row, "meanings": meanings(row)})


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required("calls.add_ivr", raise_exception=True)
def ivr_new(request: HttpRequest) -> HttpResponse:
    """Add an IVR."""
    return _filled_in(request, IVR())


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required("calls.change_ivr", raise_exception=True)
def ivr_edit(request: HttpRequest, number: int) -> HttpResponse:
    """Change an IVR's name and keys."""
    return _filled_in(request, _ivr(request, number))


def _filled_in(request: HttpRequest, row: IVR) -> HttpResponse:
    title = f"Edit {row.reference}" if row.pk else "Add an IVR"
    form = IVRForm(request.POST, instance=row) if request.method == "POST" else IVRForm(instance=row)
    if form.is_valid() and _stored(form, signed_in(request)):
        messages.success(request, f"{row.reference} “{row.name}” was saved.")
        return redirect("ivr", row.number)
    context = {"form": form, "ivr": row, "title": title}
    return render(request, "ivrs/form.html", context)


def _stored(form: IVRForm, user: User) -> bool:
    try:
        return form.store(user)
    except IVR.DoesNotExist as error:
        raise Http404("The IVR was deleted meanwhile.") from error


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required("calls.delete_ivr", raise_exception=True)
def ivr_delete(request: HttpRequest, number: int) -> HttpResponse:
    """Ask whether to delete an IVR, then delete it; refused while held calls would play it."""
    row = _ivr(request, number)
    refused = False
    if request.method == "POST":
        try:
            with transaction.atomic():
                references.lock_for_removal(row).delete()
        except IVR.DoesNotExist as error:
            raise Http404("The IVR was deleted meanwhile.") from error
        except references.StillNeededError:
            refused = True
        else:
            messages.success(request, f"{row.reference} “{row.name}” was deleted.")
            return redirect("ivrs")
    needing = references.call_groups_needing(row)[:SHOWN_NEEDS]
    return render(request, "ivrs/delete.html", {"ivr": row, "needing": needing}, status=409 if refused else 200)
