"""What needs attention: all that waits for somebody, and is settled from here."""

from datetime import datetime, timedelta
from typing import Any, cast

from django.conf import settings
from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils import timezone
from django.views.decorators.http import require_safe

from calls.dialing.attention import Unsettled, is_old, never_allowed, old_lists, stopped, unconfirmed, with_calls
from calls.dialing.explain import carrier_trouble, explain
from calls.dialing.situation import carriers_health, situations
from calls.forms.filters import CallsFilter
from calls.models import User
from calls.obd.statuses import EXPIRED
from calls.views.paging import keyset
from calls.views.polling import live
from calls.views.site import worker_alive

BATCHES_ON_A_PAGE = 25
STOPPED_SHOWN = 10
LISTS_SHOWN = 20

EXPIRED_SHOWN_FOR = timedelta(days=3)
EXPIRED_COUNTED = 1_000
STARTED_WITHIN = timedelta(days=100)
"""Calls that expire were started in this time: they can be scheduled two months ahead, be held, and then expire."""


@permission_required("calls.view_callgroup", raise_exception=True)
@require_safe
def attention(request: HttpRequest) -> HttpResponse:
    """What waits for somebody in all call groups that this user may see; refreshes itself for as long as it is open."""
    user, now = cast("User", request.user), timezone.now()
    page = keyset(with_calls(unconfirmed(user).select_related("call_group")), request, "-id", size=BATCHES_ON_A_PAGE)
    found = (rows.select_related("owner", "state_by").order_by("-pk") for rows in (stopped(user), never_allowed(user)))
    paused, never = (list(rows[: STOPPED_SHOWN + 1]) for rows in found)
    groups = [*paused, *never]
    known = situations(groups, now, worker_alive=worker_alive()) if groups else []
    told = [(each, explain(each)) for each in known]
    health = carriers_health({settings.CARRIER, *(batch.call_group.carrier for batch in page.rows)})
    troubles = {name: carrier_trouble(each, now) for name, each in health.items()}
    context: dict[str, Any] = {
        "page": page,
        "rows": [
            Unsettled(batch, each.state if (each := health.get(batch.call_group.carrier)) else None, now)
            for batch in page.rows
        ],
        "stopped": told[: len(paused)],
        "never": told[len(paused) :],
        "troubles": [text for text in troubles.values() if text],
        "lists": [(each, is_old(each)) for each in old_lists(user).order_by("ends_on", "name")[:LISTS_SHOWN]],
        "expired": _expired(user, now),
    }
    context["nothing"] = not any(context[name] for name in ("rows", "stopped", "never", "troubles", "lists", "expired"))
    return live(request, "attention/page.html", "waiting", context)


def _expired(user: User, now: datetime) -> dict[str, str] | None:
    """How many calls expired lately, in words, and the parameters of the list of calls that show them."""
    lately = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0) - EXPIRED_SHOWN_FOR
    query = QueryDict(mutable=True)
    query.update({"status": EXPIRED.value, "since": f"{(lately - STARTED_WITHIN):%Y-%m-%d}"})
    expired = CallsFilter(query).narrow_for(user).filter(ended_at__gte=lately)
    started = list(expired.values_list("created_at", flat=True)[: EXPIRED_COUNTED + 1])
    if not started:
        return None
    found = len(started)
    query["since"] = f"{timezone.localtime(min(started)):%Y-%m-%d}"
    number = f"more than {EXPIRED_COUNTED:,}" if found > EXPIRED_COUNTED else f"{found:,}"
    return {"words": f"{number} call{'' if found == 1 else 's'}", "query": query.urlencode()}
