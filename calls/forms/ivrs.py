"""The form of an IVR."""

from typing import Any

from django import forms
from django.forms import BoundField

from calls.forms.references import ReferenceForm
from calls.media import references
from calls.models import IVR, PHONE_KEYS, User

KEY_WORDS = {"*": "star", "#": "hash"}
KEYPAD = tuple("123456789*0#")
"""The keys in the order in which a phone shows them."""

MEANING_MAX = 100


def field_of(key: str) -> str:
    """The name of a key's field: `key_1`, `key_star`."""
    return f"key_{KEY_WORDS.get(key, key)}"


class IVRForm(ReferenceForm):
    """A new IVR, or changes of one: a field per key of the phone, left empty where the key does nothing."""

    opt_out_key = forms.ChoiceField(
        label="Opt-out key",
        required=False,
        choices=[("", "No key opts out"), *((key, f"Key {key}") for key in KEYPAD)],
        help_text="Whoever presses it, alone or among other keys, is put on the suppression list at once: calls to "
        "that number that are still held are not made, in no call group.",
    )

    watched_too = ("keys",)

    class Meta:
        model = IVR
        fields = ["number", "name", "opt_out_key"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for key in PHONE_KEYS:
            self.fields[field_of(key)] = forms.CharField(
                label=f"Key {key}",
                required=False,
                max_length=MEANING_MAX,
                initial=self.instance.keys.get(key, ""),
                widget=forms.TextInput(attrs={"autocomplete": "off"}),
            )

    @property
    def keypad(self) -> list[BoundField]:
        """The fields of the keys, as a phone shows them."""
        return [self[field_of(key)] for key in KEYPAD]

    def store(self, user: User) -> bool:
        """Save the IVR for `user`; False, with an error at the number, if somebody just took that.

        Raises IVR.DoesNotExist if it was deleted meanwhile.
        """
        ivr: IVR = self.instance
        meanings = {key: self.cleaned_data[field_of(key)] for key in PHONE_KEYS}
        ivr.keys = {key: meaning for key, meaning in meanings.items() if meaning}
        if ivr.pk:
            references.change(ivr, ["name", "keys", "opt_out_key"])
            return True
        ivr.created_by = user
        try:
            references.add(ivr)
        except references.NumberTakenError:
            self.add_error("number", self.taken(IVR.objects.get(number=ivr.number)))
            return False
        return True
