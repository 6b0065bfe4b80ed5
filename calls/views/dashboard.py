"""The dashboard: how calling goes today, what runs, what is scheduled, and what needs somebody."""

from datetime import datetime, timedelta
from typing import Any, cast

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from calls.dialing.explain import carrier_trouble, explain
from calls.dialing.figures import today
from calls.dialing.situation import Situation, carriers_health, situations
from calls.forms.filters import in_state
from calls.models import CallGroup, CallRequest, ContactGroup, RequestState, Sound, User
from calls.views.polling import live
from calls.views.site import worker_alive

SHOWN = 8
"""Call groups in each list; the rest is a link away."""

FAILED_SHOWN_FOR = timedelta(days=1)


@require_safe
def dashboard(request: HttpRequest) -> HttpResponse:
    """Everything at a glance; refreshes itself for as long as it is open."""
    user, now = cast("User", request.user), timezone.now()
    alive = worker_alive()
    groups = CallGroup.objects.visible_to(user)
    lists = _lists(groups, now, alive=alive)
    context: dict[str, Any] = {
        "now": now,
        "hour": timezone.localtime(now).hour,
        "day": today(user, now),
        "failed_requests": _failed_requests(user, now),
        "health": _health(now, alive=alive),
        **lists,
    }
    context["hours"] = [{"hour": hour, "counts": counts} for hour, counts in enumerate(context["day"].hours)]
    if not any(lists.values()) and not groups.exists():
        context |= {"newcomer": True, **_demo(user)}
    return live(request, "dashboard/dashboard.html", "board", context)


def _lists(groups: QuerySet[CallGroup], now: datetime, *, alive: bool) -> dict[str, list[tuple[Situation, Any]]]:
    """The newest call groups that need attention, are under way, and are scheduled; with one more than is shown."""
    found = groups.unfinished().select_related("owner", "state_by").order_by("-pk")  # type: ignore[attr-defined]
    scheduled, others = in_state("scheduled", now), found.exclude(in_state("attention", now))
    queries = {
        "attention": found.filter(in_state("attention", now)),
        "under_way": others.exclude(scheduled),
        "scheduled": others.filter(scheduled).order_by("due_at", "pk"),
    }
    rows = {name: list(query[: SHOWN + 1]) for name, query in queries.items()}
    every = {group.pk: group for listed in rows.values() for group in listed}
    known = {each.group.pk: (each, explain(each)) for each in situations(every.values(), now, worker_alive=alive)}
    return {name: [known[group.pk] for group in listed] for name, listed in rows.items()}


def _failed_requests(user: User, now: datetime) -> list[CallRequest]:
    failed = CallRequest.objects.visible_to(user).filter(state=RequestState.FAILED)
    return list(failed.filter(created_at__gt=now - FAILED_SHOWN_FOR).order_by("-created_at")[:SHOWN])


def _health(now: datetime, *, alive: bool) -> dict[str, Any]:
    """How the carrier and the workers are: a verdict for each, with what it rests on."""
    health = carriers_health([settings.CARRIER]).get(settings.CARRIER)
    carrier = health.state if health else None
    failing = bool(carrier and carrier.failure)
    verdict = "warning" if failing else "good" if carrier and carrier.answered_at else ""
    return {
        "name": settings.CARRIER,
        "carrier": carrier,
        "failing": failing,
        "verdict": "bad" if health and health.down else verdict,
        "trouble": carrier_trouble(health, now),
        "worker_alive": alive,
    }


def _demo(user: User) -> dict[str, Any]:
    """What a newcomer can start with: a contact group that has contacts, and a sound."""
    return {
        "first_group": ContactGroup.objects.visible_to(user).filter(size__gt=0).order_by("pk").first(),
        "first_sound": Sound.objects.visible_to(user).order_by("number").first(),
    }
