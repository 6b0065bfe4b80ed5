"""The form of an override: why calls have to be made against the calling rules."""

from django import forms

SHORTEST, LONGEST = 10, 300


class OverrideForm(forms.Form):
    """A typed reason, which stays on record with every call that it lets go."""

    reason = forms.CharField(
        label="Why these calls have to be made now",
        max_length=LONGEST,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=f"{SHORTEST} to {LONGEST} characters. It stays on record with the call group and each of its calls.",
        error_messages={"required": "Say why: without a reason the calling rules hold."},
    )

    def clean_reason(self) -> str:
        """Return it on one line. Spaces alone make no reason longer."""
        reason = " ".join(self.cleaned_data["reason"].split())
        if len(reason) < SHORTEST:
            raise forms.ValidationError(f"Say it in at least {SHORTEST} characters.")
        return reason
