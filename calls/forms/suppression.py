"""The form that puts numbers on the suppression list."""

from django import forms

from calls.forms.entries import EntriesForm
from calls.models import Suppression

_FIELDS = forms.fields_for_model(Suppression, fields=["reason", "source"])


class SuppressForm(EntriesForm):
    """Numbers that must not be called, why, and where that comes from."""

    reason = _FIELDS["reason"]
    source = _FIELDS["source"]
    field_order = ["pasted", "file", "reason", "source"]
