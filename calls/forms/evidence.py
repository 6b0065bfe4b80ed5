"""The form of the evidence for one number."""

from functools import reduce
from operator import or_

from django import forms
from django.conf import settings
from django.db.models import Q, QuerySet

from calls.contacts.numbers import NumberError, normalise
from calls.forms.filters import Period
from calls.models import Call, Outcome, PlannedCall, RequestState, Suppression

TIMES = ("created_at", "handed_over_at", "answered_at", "ended_at")
"""When something was done to a call: it may have been scheduled, or held, for weeks before it rang."""


class EvidenceForm(Period):
    """For which number, over what time."""

    number = forms.CharField(
        label="Number",
        max_length=100,
        error_messages={"required": "Type a number."},
        widget=forms.TextInput(attrs={"inputmode": "tel", "autocomplete": "off", "placeholder": "As you know it"}),
    )
    field_order = ["number", "since", "until"]

    def clean_number(self) -> str:
        """The number as E.164."""
        try:
            return normalise(self.cleaned_data["number"], settings.DEFAULT_REGION)
        except NumberError as error:
            raise forms.ValidationError(f"“{self.cleaned_data['number']}” is no phone number: {error}.") from None

    def calls(self) -> QuerySet[Call]:
        """The calls to the number to which something was done in the period, of a valid form."""
        found = Call.objects.filter(reduce(or_, map(self.within, TIMES)), number=self.cleaned_data["number"])
        return found.select_related("call_group__owner", "call_group__api_key")

    def left_out(self) -> QuerySet[PlannedCall]:
        """Where a started call group left the number out: it is suppressed, was called often enough, or never may be.

        And where a program asked for nobody else. A whole number is invalid only where the calling hours never allow a
        call.
        """
        found = PlannedCall.objects.filter(
            self.within("request__created_at") | self.within("request__call_group__created_at"),
            Q(request__call_group__isnull=False) | Q(request__state=RequestState.REFUSED),
            number=self.cleaned_data["number"],
            outcome__in=[Outcome.SUPPRESSED.value, Outcome.CAPPED.value, Outcome.INVALID.value],
        )
        found = found.select_related("request__owner", "request__api_key")
        return found.defer("request__typed").order_by("-request__created_at", "-pk")

    def suppressions(self) -> QuerySet[Suppression]:
        """The lists that the number is on today."""
        found = Suppression.objects.filter(number=self.cleaned_data["number"])
        return found.select_related("list", "added_by").order_by("-added_at", "-pk")
