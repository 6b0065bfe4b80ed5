"""The form of a traffic type's calling rule, and that of a number to try."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from itertools import islice
from typing import Any

from django import forms
from django.utils import timezone

from calls.dialing.hours import Hours, Rule
from calls.forms.entries import NumberField
from calls.forms.unchanged import UnchangedForm
from calls.models import CallingRule, Traffic
from calls.models.rules import WEEKDAYS

LARGEST_CAP = 1_000
MAX_CLOSED_DAYS = 400
ERRORS_SHOWN = 5
HOLIDAYS_SHOWN = 3

_HOURS = re.compile(r"([0-9]{1,2}:[0-9]{2}) *[-\u2013\u2014] *([0-9]{1,2}:[0-9]{2})")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class HoursField(forms.CharField):
    """Hours such as `09:00-21:00`; its value is written so, or empty."""

    def clean(self, value: Any) -> str:
        """Raise ValidationError with what came and the rule."""
        text = super().clean(value)
        if not text:
            return ""
        try:
            found = _HOURS.fullmatch(text)
            return str(Hours.parse("-".join(part.zfill(5) for part in found.groups()) if found else ""))
        except ValueError:
            raise forms.ValidationError(
                f"“{text}” can't be calling hours. Write them like 09:00-21:00, the earlier time first; 24:00 is "
                "the end of a day."
            ) from None


class DaysField(forms.CharField):
    """Days, one a line, such as `2026-12-24`; its value is the list of them, each once, in order."""

    widget = forms.Textarea(attrs={"rows": 5, "spellcheck": "false", "autocomplete": "off"})

    def prepare_value(self, value: Any) -> Any:
        """A day a line, as they are typed."""
        return "\n".join(value) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Compare what was typed with the days there were."""
        return super().has_changed(self.prepare_value(initial), data)

    def clean(self, value: Any) -> list[str]:
        """Raise ValidationError naming the lines that are no days."""
        lines = super().clean(value).splitlines()
        if wrong := list(_wrong_lines(lines)):
            more = len(wrong) - ERRORS_SHOWN
            and_more = [f"And {more} more line{'s' if more > 1 else ''} that can't be read."] if more > 0 else []
            raise forms.ValidationError([*wrong[:ERRORS_SHOWN], *and_more])
        days = sorted({line.strip() for line in lines if line.strip()})
        if len(days) > MAX_CLOSED_DAYS:
            raise forms.ValidationError(f"{len(days):,} days; at most {MAX_CLOSED_DAYS}.")
        return days


def _wrong_lines(lines: list[str]) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not _is_day(text):
            shown = text if len(text) <= 40 else f"{text[:40]}…"
            yield f"Line {number}: “{shown}” is no day. Write it like 2026-12-24."


def _is_day(text: str) -> bool:
    try:
        return bool(_DAY.fullmatch(text) and date.fromisoformat(text))
    except ValueError:
        return False


class CallingRuleForm(UnchangedForm):
    """When people may be called by calls of one traffic type, and how often."""

    hours = HoursField(
        label="Calling hours", required=False, max_length=40, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    weekdays = forms.TypedMultipleChoiceField(
        label="Days on which calls are made",
        choices=[*enumerate(WEEKDAYS)],
        coerce=int,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one day: on none, nobody would ever be called."},
    )
    holidays = forms.BooleanField(label="Not on public holidays", required=False)
    closed_days = DaysField(
        label="Further days without calls",
        required=False,
        max_length=20_000,
        help_text="One a line, such as 2026-12-24. They hold for everybody, wherever they are.",
    )
    daily_cap = forms.IntegerField(
        label="Calls a day",
        required=False,
        min_value=1,
        max_value=LARGEST_CAP,
        help_text="How often at most a number is called in a day, over all call groups. Empty: no limit.",
    )

    class Meta:
        model = CallingRule
        fields = ["hours", "weekdays", "holidays", "closed_days", "daily_cap"]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["hours"].help_text = (
            "By the clock where the called person is, such as 09:00-21:00. "
            f"Empty: those of the setting CALLING_HOURS, {Hours.from_settings()}."
        )
        self.fields[
            "holidays"
        ].help_text = f"Nobody is called on a public holiday of their own country. {_next_holidays()}"

    def clean_weekdays(self) -> list[int]:
        """Return them from Monday on."""
        return sorted(self.cleaned_data["weekdays"])


def _next_holidays() -> str:
    """The next public holidays where the portal is, as an example."""
    rule, now = replace(Rule.of(Traffic.PROMOTIONAL), holidays=True), timezone.now()
    days = (now + timedelta(days=number) for number in range(366))
    named = ((timezone.localdate(day), name) for day in days if (name := rule.holiday("", day)))
    found = [f"{day.day} {day:%b %Y} ({name})" for day, name in islice(named, HOLIDAYS_SHOWN)]
    return f"The next ones here: {', '.join(found)}." if found else "None are known for the country of this portal."


class NumberTried(forms.Form):
    """A number of which somebody wants to know what the rules say."""

    number = NumberField(max_length=100, error_messages={"required": "Type a phone number."})
