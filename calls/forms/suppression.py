"""The form of a suppression list."""

from typing import Any

from django import forms

from calls.forms.unchanged import UnchangedForm
from calls.models import SuppressionList

FIELDS = ["name", "category", "source", "scrubbed_on", "ends_on", "promotional_only"]


def name_taken(name: str) -> str:
    """The message for a name that another suppression list has."""
    return f"“{name}” is the name of a suppression list already."


class DateInput(forms.DateInput):
    """A date as browsers pick it."""

    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d")


class SuppressionListForm(UnchangedForm):
    """What is known of a suppression list; its numbers are imported."""

    class Meta:
        model = SuppressionList
        fields = FIELDS
        widgets = {
            "name": forms.TextInput(attrs={"autocomplete": "off"}),
            "scrubbed_on": DateInput(),
            "ends_on": DateInput(),
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.instance.role:
            del self.fields["ends_on"]  # people who asked not to be called asked for good
        if not self.instance.takes_imports:
            del self.fields["promotional_only"]  # and whoever opted out, or is DND at the carrier, gets no call at all

    def validate_unique(self) -> None:
        """Say which name is taken, instead of Django's general words."""
        name = self.instance.name
        if SuppressionList.objects.filter(name=name).exclude(pk=self.instance.pk).exists():
            self.add_error("name", name_taken(name))
