"""Forms that change a row only as it was when they were shown: two people at one form see of each other."""

import hashlib
from datetime import date
from typing import Any, ClassVar, cast

from django import forms
from django.http import QueryDict

NOW = "This was changed while the form was open{}. What you typed is still here: save again to put it in its place."


class UnchangedForm(forms.ModelForm):  # type: ignore[type-arg]  # takes no type at run time
    """A form of a row that may have been changed since it was shown; then it says so once, and what is there now.

    Its template shows the hidden field `seen`; who sends none is not asked.
    """

    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    watched_too: ClassVar[tuple[str, ...]] = ()
    """What the form changes besides the fields of its Meta."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._there = self._digest()
        self.initial["seen"] = self._there

    def _digest(self) -> str:
        """Tells whether the row is as it was. Asked before the form puts into it what was typed."""
        names = (*(self._meta.fields or ()), *self.watched_too)
        values = repr([str(getattr(self.instance, name)) for name in names])
        return hashlib.sha256(values.encode()).hexdigest()[:16]

    @property
    def saved(self) -> list[str]:
        """The names of the columns that are saved."""
        return [name for name in self.fields if name != "seen"]

    def clean(self) -> dict[str, Any]:
        """Refuse what was typed over something else than what is there."""
        cleaned: dict[str, Any] = super().clean() or {}
        if self.instance.pk and cleaned.get("seen") not in ("", None, self._there):
            self.add_error(None, NOW.format("".join(self._others(cleaned))))
            again = cast("QueryDict", self.data).copy()
            again["seen"] = self._there
            self.data = again
        return cleaned

    def _others(self, cleaned: dict[str, Any]) -> list[str]:
        """What is there now, and was typed otherwise."""
        now = {name: getattr(self.instance, name) for name in self._meta.fields or () if name in cleaned}
        others = {name: value for name, value in now.items() if str(value) != str(cleaned[name])}
        told = [f"{self[name].label}: {_said(value)}" for name, value in others.items()]
        return [f". Now it has {'; '.join(told)}"] if told else []


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int | date):
        return f"“{value}”" if str(value) else "nothing"
    return "others" if value else "nothing"
