"""What forms that take one phone number have in common."""

from typing import Any

from django import forms
from django.conf import settings

from calls.contacts.numbers import NumberError, normalise


class NumberField(forms.CharField):
    """One phone number as people write it; its value is E.164."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("label", "Phone number")
        options.setdefault("widget", forms.TextInput(attrs={"inputmode": "tel", "autocomplete": "off"}))
        super().__init__(**options)

    def to_python(self, value: Any) -> str:
        """Return the number. Raises ValidationError with what came and why that can't be called."""
        text = super().to_python(value)
        if not text:
            return ""
        try:
            return normalise(text, settings.DEFAULT_REGION)
        except NumberError as error:
            raise forms.ValidationError(f"“{text[:40]}”: {error}.") from error
