"""The carrier page for admins: which one it is, how the connection to it does, and trying it.

Pages never talk to the carrier: what is shown is what workers wrote down, and trying it is a job for them.
"""

from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from calls.carriers import get_carrier
from calls.dialing import checkup
from calls.dialing.explain import breaker_sentence, carrier_trouble
from calls.dialing.jobs import check_carrier_later
from calls.dialing.situation import CarrierHealth, carriers_health
from calls.models import CarrierBreaker, CarrierConnection, CarrierRequest, CarrierState, RequestKind, RequestResult
from calls.views.polling import live
from calls.views.site import worker_alive

REQUESTS_SHOWN = 20

VERDICTS = {
    RequestResult.ANSWERED: "good",
    RequestResult.REFUSED: "bad",
    RequestResult.NOT_TAKEN: "warning",
    RequestResult.UNCLEAR: "warning",
}


@never_cache
@permission_required("calls.view_carrierstate", raise_exception=True)
@require_safe
def carrier(request: HttpRequest) -> HttpResponse:
    """The carrier of the settings and its connection; refreshes itself for as long as it is open."""
    name = settings.CARRIER
    # Before the clock is read: what is due at once is not in the future then.
    waits = checkup.check_waits(name)
    now = timezone.now()
    health = carriers_health([name]).get(name)
    figures = checkup.by_kind(name, now)
    context: dict[str, Any] = {
        "name": name,
        "address": _shown(settings.OBD_BASE_URL) if name == "obd" else "",
        "has_key": bool(settings.OBD_API_KEY.strip()),
        "rate": settings.CARRIER_RATE,
        "connections": settings.CARRIER_CONNECTIONS,
        "public_url": settings.PUBLIC_URL if settings.CARRIER_CALLBACKS else "",
        "state": health.state if health else CarrierState(name=name),
        "waits_until": _still(health, now),
        "kept": _kept(health),
        "trouble": carrier_trouble(health, now),
        "breakers": _breakers(name, now),
        "used": CarrierConnection.objects.filter(carrier=name, leased_until__gt=now).count(),
        "last_minute": sum(each.last_minute for each in figures),
        "figures": figures,
        "cut_at": checkup.LOOKED_AT if sum(each.number for each in figures) >= checkup.LOOKED_AT else 0,
        "failures": [(each, VERDICTS[each.result]) for each in checkup.failures(name, now)],
        "requests": [(each, VERDICTS[RequestResult(each.result)]) for each in _latest(name)],
        "waits": waits,
        "waits_for_turn": waits and waits > now,
        "check": _check(name),
        "worker_alive": worker_alive(),
        "every": 1 if waits and waits <= now else 5,
    }
    return live(request, "carrier/page.html", "connection", context)


@permission_required("calls.change_carrierstate", raise_exception=True)
@require_POST
def carrier_check(request: HttpRequest) -> HttpResponse:
    """Let a worker try the connection."""
    check_carrier_later(settings.CARRIER)
    messages.success(request, "The connection is checked in the background; the result is shown here.")
    return redirect("carrier")


def _shown(url: str) -> str:
    """The carrier's address without anything that could be a secret; empty if it is none."""
    try:
        parts = urlsplit(url.strip())
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    return f"{parts.scheme}://{host}{port}{parts.path}" if host else ""


def _still(health: CarrierHealth | None, now: datetime) -> datetime | None:
    """Until when the carrier asked to wait; None if it does not ask for that now."""
    until = health.state.wait_until if health else None
    return until if until and until > now else None


def _kept(health: CarrierHealth | None) -> float:
    """Hours for which the carrier keeps answers by Idempotency-Key for our account; 0: it has not said so."""
    if health is None or health.state.idempotent_account != get_carrier(settings.CARRIER).account:
        return 0.0
    return health.state.idempotent_seconds / 3600


def _breakers(name: str, now: datetime) -> list[tuple[str, bool, str]]:
    """The breaker of each kind of requests: kind, whether it is open, what it does in a sentence."""
    known = {breaker.kind: breaker for breaker in CarrierBreaker.objects.filter(carrier=name)}
    return [
        (kind.label, bool((breaker := known.get(kind)) and breaker.opened_at), breaker_sentence(breaker, now))
        for kind in RequestKind
    ]


def _latest(name: str) -> list[CarrierRequest]:
    return list(CarrierRequest.objects.filter(carrier=name).order_by("-began_at")[:REQUESTS_SHOWN])


def _check(name: str) -> tuple[CarrierRequest, str, str] | None:
    """The latest check on record, its verdict, and what it showed in a sentence."""
    check = checkup.last_check(name)
    if check is None:
        return None
    good = "The sandbox answers. No phone rings." if name == "sandbox" else "The carrier answers and takes our key."
    return check, VERDICTS[RequestResult(check.result)], check.said or good
