"""The calling rules: what holds for each traffic type, changing it, and what it means for one number."""

from dataclasses import dataclass
from datetime import date, datetime

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from calls.dialing.hours import Rule, in_days
from calls.dialing.jobs import rules_changed_later
from calls.dialing.tryout import try_number
from calls.forms.calling_rules import CallingRuleForm, NumberTried
from calls.models import CallingRule, Traffic
from calls.views.asked import keep, kept

DAYS_SHOWN = 6
"""How many further closed days are listed."""


@dataclass(frozen=True)
class Shown:
    """A traffic type's rule as the page says it. `opens_at` (aware) is when people at the portal's own place may be
    called next: `now` if they may be called now, None if they may not within two weeks."""

    traffic: Traffic
    row: CallingRule
    rule: Rule
    now: datetime

    @property
    def weekdays(self) -> str:
        """The days of the week on which calls are made, in words."""
        return in_days(self.rule.weekdays)

    @property
    def closed_days(self) -> list[date]:
        """Further days without calls that are still to come."""
        return sorted(day for day in self.rule.closed if day >= timezone.localdate(self.now))[:DAYS_SHOWN]

    @property
    def more_closed_days(self) -> int:
        """How many days without calls are not listed: later ones, and those that have passed."""
        return len(self.rule.closed) - len(self.closed_days)

    @property
    def opens_at(self) -> datetime | None:
        """When people where the portal is may be called next."""
        return self.rule.next_opening("", self.now)


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required("calls.view_callingrule", raise_exception=True)
def calling_rules(request: HttpRequest) -> HttpResponse:
    """What holds for each traffic type; with a number that somebody tries, what that means for it now."""
    form = NumberTried(request.POST if request.method == "POST" else kept(request))
    if request.method == "POST" and form.is_valid():
        token = keep(request, {"number": request.POST["number"]})
        return redirect(f"{reverse('calling_rules')}?about={token}#try-title")
    now = timezone.now()
    rows = CallingRule.objects.in_bulk(list(Traffic.values))
    shown = [Shown(traffic, rows[traffic], Rule.of(traffic), now) for traffic in Traffic if traffic in rows]
    tried = try_number(form.cleaned_data["number"]) if form.is_valid() else None
    return render(request, "calling_rules/page.html", {"rules": shown, "form": form, "tried": tried, "now": now})


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required("calls.change_callingrule", raise_exception=True)
def calling_rule(request: HttpRequest, traffic: str) -> HttpResponse:
    """Change the rule of one traffic type."""
    if traffic not in Traffic.values:
        raise Http404
    if request.method == "POST":
        with transaction.atomic():
            row = get_object_or_404(CallingRule.objects.select_for_update(), pk=traffic)
            form = CallingRuleForm(request.POST, instance=row)
            if form.is_valid():
                form.save()
                rules_changed_later(traffic)
                messages.success(request, f"The rule for {row.traffic} calls was saved. It holds from now on.")
                return redirect("calling_rules")
    else:
        form = CallingRuleForm(instance=get_object_or_404(CallingRule, pk=traffic))
    return render(request, "calling_rules/form.html", {"form": form, "traffic": Traffic(traffic)})
