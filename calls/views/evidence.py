"""The evidence for one number: its calls with what was checked, where it was left out, the lists that it is on."""

from auditlog.models import LogEntry
from django.contrib.auth.decorators import permission_required
from django.contrib.contenttypes.models import ContentType
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from calls.contacts.search import has_words
from calls.dialing.checked import left_out, records
from calls.forms.audit import WORDS
from calls.forms.evidence import EvidenceForm
from calls.history import Entry, read
from calls.models import SEE_EVERYTHING, Suppression
from calls.views.asked import keep, kept
from calls.views.imports import GET_OR_POST
from calls.views.paging import keyset, without_index

CALLS_ON_A_PAGE = 20
OTHERS_SHOWN = 20


@never_cache
@permission_required(SEE_EVERYTHING, raise_exception=True)
@require_http_methods(GET_OR_POST)
def evidence(request: HttpRequest) -> HttpResponse:
    """What an inspector asks for, of one number: newest first."""
    typed = request.POST.dict() if request.method == "POST" else kept(request)
    form = EvidenceForm(typed)
    chosen = {name: typed[name] for name in form.fields if typed.get(name)} if typed else {}
    if request.method == "POST" and form.is_valid():
        return redirect(f"{reverse('evidence')}?about={keep(request, chosen)}")
    context = {"form": form, "query": urlencode(chosen)}
    if typed and form.is_valid():
        page = keyset(form.calls(), request, "-created_at", "-id", size=CALLS_ON_A_PAGE)
        planned = list(form.left_out()[: OTHERS_SHOWN + 1])
        context |= {
            "number": form.cleaned_data["number"],
            "page": page,
            "records": records(page.rows),
            "left_out": list(left_out(planned[:OTHERS_SHOWN])),
            "more_left_out": len(planned) > OTHERS_SHOWN,
            "suppressions": form.suppressions(),
            "changes": _changes(form.cleaned_data["number"]),
        }
    return render(request, "evidence/page.html", context)


def _changes(number: str) -> list[Entry]:
    """What people did last to this number (E.164) on suppression lists, newest first."""
    kind = ContentType.objects.get_for_model(Suppression)
    rows = LogEntry.objects.filter(has_words(WORDS, number), content_type=kind, object_repr=number)
    return read(rows.select_related("actor").order_by(without_index("-timestamp"), "-id")[:OTHERS_SHOWN])
