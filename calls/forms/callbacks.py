"""The filter of the list of callbacks."""

from django import forms

from calls.forms.filters import few_or_query
from calls.models import Callback, CallbackState, CallGroup, User
from calls.models.callbacks import CallbackQuerySet
from calls.obd.values import CallId

STATES = {state.value: state.label for state in (CallbackState.PENDING, CallbackState.FAILED, CallbackState.DELIVERED)}


class CallbacksFilter(forms.Form):
    """Which callbacks are shown."""

    call = forms.CharField(
        label="Call group or OBD ID",
        required=False,
        max_length=40,
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": "123456 or 123456-1"}),
    )
    state = forms.ChoiceField(
        required=False,
        choices=[("", "All"), *STATES.items()],
        widget=forms.HiddenInput,
        error_messages={"invalid_choice": "“%(value)s” is not a state of callbacks."},
    )

    def clean_call(self) -> CallId | None:
        """The call group or call that is meant."""
        typed: str = self.cleaned_data["call"]
        group, dash, n = typed.partition("-")
        parts = [group, n] if dash else [group]
        if typed and not all(part.isascii() and part.isdigit() and len(part) <= 18 for part in parts):
            raise forms.ValidationError(f"“{typed}” is not an ID like 123456 or 123456-1.")
        return CallId(int(group), int(n) if dash else None) if typed else None

    def by_group(self, user: User) -> bool:
        """Whether only the callbacks of some call groups come into question, so that those groups lead to them."""
        sees_all = user.sees_all_calls or user.sees_everything
        return not sees_all or (self.is_valid() and self.cleaned_data["call"] is not None)

    def narrow_for(self, user: User) -> CallbackQuerySet:
        """The callbacks that the filter asks for and that `user` may see; none if it is wrong."""
        callbacks = Callback.objects.visible_to(user)
        if not self.is_valid():
            return callbacks.none()
        call: CallId | None = self.cleaned_data["call"]
        if call:
            callbacks = callbacks.filter(call_group=call.group)
            if call.n is not None:
                callbacks = callbacks.filter(call__n=call.n)
        elif self.by_group(user):
            callbacks = callbacks.filter(call_group__in=few_or_query(CallGroup.objects.visible_to(user)))
        if self.cleaned_data["state"]:
            callbacks = callbacks.filter(state=self.cleaned_data["state"])
        return callbacks
