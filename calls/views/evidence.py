"""The evidence for one number: its calls with what was checked, where it was left out, the lists that it is on."""

from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from calls.dialing.checked import left_out, records
from calls.forms.evidence import EvidenceForm
from calls.models import SEE_EVERYTHING
from calls.views.calls import filter_query
from calls.views.paging import keyset

CALLS_ON_A_PAGE = 20
OTHERS_SHOWN = 20


@never_cache
@permission_required(SEE_EVERYTHING, raise_exception=True)
@require_safe
def evidence(request: HttpRequest) -> HttpResponse:
    """What an inspector asks for, of one number: newest first."""
    asked = "number" in request.GET
    form = EvidenceForm(request.GET) if asked else EvidenceForm()
    context = {"form": form, "query": filter_query(request)}
    if asked and form.is_valid():
        page = keyset(form.calls(), request, "-created_at", "-id", size=CALLS_ON_A_PAGE)
        planned = list(form.left_out()[: OTHERS_SHOWN + 1])
        context |= {
            "number": form.cleaned_data["number"],
            "page": page,
            "records": records(page.rows),
            "left_out": list(left_out(planned[:OTHERS_SHOWN])),
            "more_left_out": len(planned) > OTHERS_SHOWN,
            "suppressions": form.suppressions(),
        }
    return render(request, "evidence/page.html", context)
