"""What the forms of sounds and IVRs share: the number by which calls name them, and the name by which people do."""

import re
from typing import Any

from django import forms

from calls.forms.unchanged import UnchangedForm
from calls.models import IVR, Sound
from calls.models.media import REFERENCE_MAX

RULE = f"A reference is a whole number from 1 to {REFERENCE_MAX:,}."


class ReferenceField(forms.CharField):
    """A reference as people write it: `123`, `123.sound`, `ivr:123`. Its value is the number; None if left empty."""

    def clean(self, value: Any) -> int | None:
        """Return the number. Raises ValidationError that says what came and the rule."""
        text = super().clean(value)
        if not text:
            return None
        found = re.fullmatch(r"(?:sound:|ivr:)?0*([0-9]{1,16})(?:\.sound|\.ivr)?", text, re.IGNORECASE)
        number = int(found[1]) if found else 0
        if not 1 <= number <= REFERENCE_MAX:
            shown = text if len(text) <= 40 else f"{text[:40]}…"
            raise forms.ValidationError(f"“{shown}” can't be a reference. {RULE}", code="invalid")
        return number


class ReferenceForm(UnchangedForm):
    """A sound or an IVR. The number is asked for a new one only: calls and other programs name it by that."""

    number = ReferenceField(
        label="Reference",
        required=False,
        help_text="Left empty, it gets the next free number. It can't be changed later.",
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )
    name = forms.CharField(max_length=100, error_messages={"required": "Give it a name by which people find it."})

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            del self.fields["number"]

    def clean_number(self) -> int | None:
        """Refuse a number that is taken, naming what has it."""
        number: int | None = self.cleaned_data["number"]
        holder = self._meta.model._default_manager.filter(number=number).first() if number else None
        if holder:
            raise forms.ValidationError(self.taken(holder), code="unique")
        return number

    def taken(self, holder: Sound | IVR) -> str:
        """What is said about a number that another one has."""
        return f"{holder.reference} is taken, by “{holder.name}”. Give another number, or leave it to be assigned."
