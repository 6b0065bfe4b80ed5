"""Filters of lists of calls and call groups: GET forms. A wrong one is named at its field, and nothing is listed."""

from datetime import date, datetime, time, timedelta
from typing import Any, TypeVar

from django import forms
from django.db.models import (
    DateTimeField,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    Model,
    OuterRef,
    Q,
    QuerySet,
    Value,
)
from django.utils import timezone

from calls.contacts.search import Search, digits_of, search_digits, with_digits
from calls.dialing.attention import kept_for_good
from calls.models import Batch, BatchState, Call, CallGroup, GroupState, User
from calls.obd.statuses import Status
from calls.templatetags.looks import STATUS_ORDER, look_of

M = TypeVar("M", bound=Model)

FEW_GROUPS = 2_000

NEWEST_FIRST = ("-created_at", "-id")
BY_GROUP = ("-call_group_id", "-n")
"""The same order for nearly all calls, along the index that finds the calls of some call groups."""

MOST_DIGITS = 15
"""Of an E.164 number."""

STATUSES = [(str(status), look_of(status).word) for status in STATUS_ORDER if status in Status.__members__]
STATES = {
    "running": "Running",
    "scheduled": "Scheduled",
    "paused": "Paused",
    "attention": "Needs attention",
    "finished": "Finished",
    "cancelled": "Cancelled",
}


class DayInput(forms.DateInput):
    """The browser's own date field; it sends and wants ISO dates."""

    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d")


class Day(forms.DateField):
    """An ISO date."""

    widget = DayInput
    input_formats = ["%Y-%m-%d"]

    def to_python(self, value: Any) -> date | None:
        """The date; a message that shows one otherwise."""
        try:
            return super().to_python(value)
        except forms.ValidationError:
            raise forms.ValidationError(f"“{value}” is not a date like 2026-03-14.") from None


class Statuses(forms.MultipleChoiceField):
    """Any number of statuses; none means all."""

    widget = forms.CheckboxSelectMultiple
    default_error_messages = {"invalid_choice": "“%(value)s” is not a status."}


class Period(forms.Form):
    """From one local day to another, both included."""

    since = Day(label="From", required=False)
    until = Day(label="To", required=False)

    def clean(self) -> dict[str, Any]:
        """Refuse a period that ends before it begins."""
        cleaned = super().clean() or {}
        for name in ("since", "until"):
            if name in self.errors:
                # A browser's date field would not show what was typed.
                self.fields[name].widget.input_type = "text"
        since, until = cleaned.get("since"), cleaned.get("until")
        if since and until and until < since:
            self.add_error("until", f"{until:%Y-%m-%d} is before {since:%Y-%m-%d}, the first day.")
        return cleaned

    def in_period(self, rows: QuerySet[M], column: str = "created_at") -> QuerySet[M]:
        """The rows created in the period; or those whose `column`, a time, is in it."""
        return rows.filter(self.within(column))

    def within(self, column: str) -> Q:
        """That `column`, a time, is in the period."""
        since, until = self.cleaned_data["since"], self.cleaned_data["until"]
        asked = Q()
        if since:
            asked &= Q(**{f"{column}__gte": _midnight(since)})
        if until:
            asked &= Q(**{f"{column}__lt": _end_of(until)})
        return asked


def _midnight(day: date) -> datetime:
    # Years at either end of the calendar can't be moved to another zone.
    day = min(max(day, date(1900, 1, 1)), date(9000, 1, 1))
    return timezone.make_aware(datetime.combine(day, time.min))


def _end_of(day: date) -> datetime:
    return _midnight(min(day, date(9000, 1, 1)) + timedelta(days=1))


class CallsOfGroupFilter(forms.Form):
    """Which calls of one call group are shown."""

    digits = forms.CharField(
        label="Number",
        required=False,
        max_length=40,
        widget=forms.TextInput(
            attrs={"inputmode": "tel", "autocomplete": "off", "placeholder": "First or last digits"}
        ),
    )
    status = Statuses(label="Status", required=False, choices=STATUSES)

    def clean_digits(self) -> str:
        """Refuse what no number begins or ends with."""
        typed: str = self.cleaned_data["digits"]
        digits = digits_of(typed)
        if typed and not digits:
            raise forms.ValidationError(f"“{typed}” has no digits: type the first or the last digits of a number.")
        if len(digits) > MOST_DIGITS:
            raise forms.ValidationError(f"{len(digits)} digits are too many: a number has at most {MOST_DIGITS}.")
        return typed

    @property
    def statuses(self) -> list[str]:
        """The statuses asked for; none means all."""
        return list(self.cleaned_data["status"])

    def narrow(self, calls: QuerySet[Call]) -> QuerySet[Call]:
        """The calls among `calls` that the filter asks for; none if it is wrong."""
        calls = self.listed(calls)
        return with_digits(calls, self.cleaned_data["digits"]) if self.is_valid() else calls

    def listed(self, calls: QuerySet[Call]) -> QuerySet[Call]:
        """As `narrow`, before the digits are searched for."""
        if not self.is_valid():
            return calls.none()
        if len(self.statuses) == 1:
            return calls.filter(status=self.statuses[0])
        return calls.filter(status__in=self.statuses) if self.statuses else calls

    @property
    def search(self) -> Search[Call] | None:
        """The search for the digits; None if there are none."""
        return search_digits(self.cleaned_data["digits"]) if self.is_valid() else None


class CallsFilter(Period, CallsOfGroupFilter):
    """Which of all calls are shown."""

    campaign = forms.CharField(
        label="Campaign",
        required=False,
        max_length=100,
        strip=True,
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": "Begins with"}),
    )
    field_order = ["digits", "campaign", "since", "until", "status"]

    def by_group(self, user: User) -> bool:
        """Whether only the calls of some call groups come into question, so that those groups lead to them."""
        sees_all = user.sees_all_calls or user.sees_everything
        return self.is_valid() and (bool(self.cleaned_data["campaign"]) or not sees_all)

    def narrow_for(self, user: User) -> QuerySet[Call]:
        """The calls that the filter asks for and that `user` may see; none if it is wrong."""
        calls = self.listed_for(user)
        return with_digits(calls, self.cleaned_data["digits"]) if self.is_valid() else calls

    def listed_for(self, user: User) -> QuerySet[Call]:
        """As `narrow_for`, before the digits are searched for."""
        calls = self.listed(Call.objects.visible_to(user))
        if not self.is_valid():
            return calls
        if self.by_group(user):
            calls = calls.filter(call_group__in=few_or_query(self._groups(user)))
        return self.in_period(calls)

    def order_for(self, user: User) -> tuple[str, ...]:
        """In which order they are listed: newest first."""
        return BY_GROUP if self.by_group(user) else NEWEST_FIRST

    def _groups(self, user: User) -> QuerySet[CallGroup]:
        """The call groups whose calls come into question: none of them is younger than its calls."""
        groups = CallGroup.objects.visible_to(user)
        if self.cleaned_data["campaign"]:
            groups = groups.filter(campaign__istartswith=self.cleaned_data["campaign"])
        until = self.cleaned_data["until"]
        return groups.filter(created_at__lt=_end_of(until)) if until else groups


def few_or_query(groups: QuerySet[CallGroup]) -> list[int] | QuerySet[CallGroup]:
    """The IDs, if they are few: PostgreSQL then goes straight to their calls; otherwise most calls match anyway."""
    ids = list(groups.values_list("pk", flat=True)[: FEW_GROUPS + 1])
    return groups if len(ids) > FEW_GROUPS else ids


class WhoField(forms.ModelChoiceField):  # type: ignore[type-arg]  # takes no type at run time
    """One of the people who started calls."""

    default_error_messages = {"invalid_choice": "There is nobody with the ID “%(value)s”."}


class CallGroupsFilter(Period):
    """Which call groups are shown."""

    campaign = forms.CharField(
        label="Campaign",
        required=False,
        max_length=100,
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": "Begins with"}),
    )
    who = WhoField(label="Started by", required=False, queryset=User.objects.none(), empty_label="Anybody")
    state = forms.ChoiceField(
        required=False,
        choices=[("", "All"), *STATES.items()],
        widget=forms.HiddenInput,
        error_messages={"invalid_choice": "“%(value)s” is not a state of call groups."},
    )
    field_order = ["campaign", "who", "since", "until", "state"]

    def __init__(self, data: Any, user: User) -> None:
        super().__init__(data)
        if user.sees_all_calls or user.sees_everything:
            self.fields["who"].queryset = User.objects.filter(  # type: ignore[attr-defined]
                Exists(CallGroup.objects.filter(owner=OuterRef("pk")))
            ).order_by("username")
        else:
            del self.fields["who"]  # there is only one

    @property
    def is_narrow(self) -> bool:
        """Whether anything but the state is asked for."""
        return any(self.data.get(name) for name in ("campaign", "who", "since", "until"))

    def narrow(self, groups: QuerySet[CallGroup], now: datetime) -> QuerySet[CallGroup]:
        """The call groups among `groups` that the filter asks for at `now` (aware); none if it is wrong."""
        if not self.is_valid():
            return groups.none()
        chosen = self.cleaned_data
        if chosen["campaign"]:
            groups = groups.filter(campaign__istartswith=chosen["campaign"])
        if chosen.get("who"):
            groups = groups.filter(owner=chosen["who"])
        if chosen["state"]:
            groups = groups.filter(in_state(chosen["state"], now))
        return self.in_period(groups)


def in_state(state: str, now: datetime) -> Q:
    """Call groups that are in one of `STATES` at `now` (aware); see dialing.situation."""
    delay = ExpressionWrapper(F("delay") * Value(timedelta(seconds=1)), DurationField())
    begun = ExpressionWrapper(Value(now) - delay, DateTimeField())
    later = Q(due_at__gt=now) | Q(schedule_time__gt=begun)
    match state:
        case "scheduled":
            return Q(ended_at=None, state=GroupState.RUNNING) & later
        case "running":
            # Not "not later": nothing is later than no schedule.
            soon = Q(due_at__lte=now) & (Q(schedule_time=None) | Q(schedule_time__lte=begun))
            return Q(ended_at=None, state=GroupState.RUNNING) & soon
        case "paused":
            return Q(ended_at=None, state=GroupState.PAUSED)
        case "attention":
            unconfirmed = Batch.objects.filter(call_group=OuterRef("pk"), state=BatchState.UNCONFIRMED)
            refused = Q(state=GroupState.PAUSED, state_by=None) & ~Q(state_reason="")
            never = Q(Exists(kept_for_good().filter(call_group=OuterRef("pk"))), state=GroupState.RUNNING)
            return Q(ended_at=None) & (Q(Exists(unconfirmed)) | refused | never)
        case "cancelled":
            return Q(state=GroupState.CANCELLED)
        case _:
            return Q(ended_at__isnull=False) & ~Q(state=GroupState.CANCELLED)


class PlacedForm(forms.Form):
    """What a person knows of an unconfirmed batch that was placed."""

    carrier_group = forms.CharField(
        label="The carrier's group ID",
        required=False,
        max_length=100,
        help_text="If the carrier's own console shows one. With it the calls are found again.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
