"""Forms that combine and split contact groups, one for each kind."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from calls.contacts.combine import Combination, held_by_carrier, part_names, taken
from calls.models import Combining, ContactGroup, User
from calls.models.contacts import validate_group_name

NEW, EXISTING = "new", "existing"
MOST = 50_000_000
"""The largest number of contacts in a part that can be typed."""


def _label(group: ContactGroup) -> str:
    if group.held_by_carrier:
        return f"{group.name} (held by the carrier)"
    return f"{group.name} ({group.size:,} contact{'' if group.size == 1 else 's'})"


class GroupChoice(forms.ModelChoiceField):  # type: ignore[type-arg]  # takes no type at run time
    """One contact group whose contacts are here; at first the one that it is about."""

    def label_from_instance(self, obj: ContactGroup) -> str:
        """Its name and size."""
        return _label(obj)

    def clean(self, value: Any) -> ContactGroup | None:
        """The group. Raises ValidationError for one that the carrier holds."""
        group: ContactGroup | None = super().clean(value)
        if group and group.held_by_carrier:
            raise ValidationError(held_by_carrier(group))
        return group


class GroupChoices(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]  # takes no type at run time
    """Contact groups whose contacts are here, other than the one that it is about."""

    widget = forms.CheckboxSelectMultiple

    def label_from_instance(self, obj: ContactGroup) -> str:
        """Its name and size."""
        return _label(obj)

    def clean(self, value: Any) -> "QuerySet[ContactGroup]":
        """The groups in the order of the list. Raises ValidationError for one that the carrier holds."""
        groups: QuerySet[ContactGroup] = super().clean(value)
        if held := [group for group in groups if group.held_by_carrier]:
            raise ValidationError([held_by_carrier(group) for group in held])
        return groups


class CombineForm(forms.Form):
    """What all kinds have in common. Once valid, `combination` is what to do."""

    kind: Combining
    combination: Combination

    def __init__(self, *args: Any, user: User, group: ContactGroup, **options: Any) -> None:
        super().__init__(*args, **options)
        self.user, self.group = user, group
        usable = ContactGroup.objects.visible_to(user).order_by("name")
        for field in self.fields.values():
            if isinstance(field, GroupChoices):
                field.queryset = usable.exclude(pk=group.pk)
            elif isinstance(field, GroupChoice):
                field.queryset, field.initial = usable, group.pk

    def clean(self) -> dict[str, Any]:
        """Make the combination of valid fields."""
        cleaned = super().clean() or {}
        if not self.errors:
            self.combine(cleaned)
        return cleaned

    def combine(self, cleaned: dict[str, Any]) -> None:
        """Set `combination`, or add errors."""
        others = tuple(group.pk for group in cleaned.get("groups") or [])
        self.combination = Combination(self.kind, (self.group.pk, *others), name=cleaned.get("name", ""))

    def typed(self) -> dict[str, Any]:
        """The fields as they were typed, for a JSON column."""
        many = ("groups",)
        return {
            name: self.data.getlist(name) if name in many and hasattr(self.data, "getlist") else self.data.get(name)
            for name in self.fields
            if name in self.data
        }


def _name_field(**options: Any) -> forms.CharField:
    return forms.CharField(
        **{
            "label": "Name of the new group",
            "max_length": 100,
            "help_text": "Unique. Not all digits and without commas, so that programs can name it.",
            "widget": forms.TextInput(attrs={"autocomplete": "off"}),
            **options,
        }
    )


class NamedForm(CombineForm):
    """A form whose result is one new group."""

    name = _name_field()

    def clean_name(self) -> str:
        """A name that no contact group has."""
        name: str = self.cleaned_data["name"]
        if name:
            validate_group_name(name)
            if message := taken([name]):
                raise ValidationError(message)
        return name


class CopyForm(NamedForm):
    """Copy the group."""

    kind = Combining.COPY


class DifferenceForm(NamedForm):
    """The contacts that are in none of the others."""

    kind = Combining.DIFFERENCE
    groups = GroupChoices(ContactGroup.objects.none(), label="That are not in")
    field_order = ["groups", "name"]


class IntersectionForm(NamedForm):
    """The contacts that are in all of the others too."""

    kind = Combining.INTERSECTION
    groups = GroupChoices(ContactGroup.objects.none(), label="That are also in each of")
    field_order = ["groups", "name"]


class SplitForm(CombineForm):
    """Copy the group into several smaller ones."""

    kind = Combining.SPLIT
    most = forms.IntegerField(
        label="Contacts in each part, at most",
        min_value=1,
        max_value=MOST,
        help_text="The last part has the rest.",
        widget=forms.NumberInput(attrs={"min": 1, "inputmode": "numeric"}),
    )
    name = _name_field(
        label="Name", help_text="The parts are called “Name 1 of 4”, “Name 2 of 4” and so on. Without commas."
    )

    def combine(self, cleaned: dict[str, Any]) -> None:
        """Names that are too long or taken, and parts that are too many, are errors at their field."""
        try:
            names = part_names(cleaned["name"], self.group.size, cleaned["most"])
        except ValidationError as error:
            self.add_error(None, error)
            return
        if message := taken(names):
            self.add_error("name", message)
        else:
            self.combination = Combination(self.kind, (self.group.pk,), name=cleaned["name"], most=cleaned["most"])


class RemoveForm(CombineForm):
    """Remove from the group what is in others."""

    kind = Combining.REMOVE
    groups = GroupChoices(ContactGroup.objects.none(), label="Remove the numbers that are also in")

    def combine(self, cleaned: dict[str, Any]) -> None:
        """The group itself is what is changed."""
        others = tuple(group.pk for group in cleaned["groups"])
        self.combination = Combination(self.kind, others, target=self.group.pk)


class MergeForm(NamedForm):
    """Put the contacts of several groups into a new one, or into one that there is."""

    kind = Combining.MERGE
    groups = GroupChoices(ContactGroup.objects.none(), label="Merge with")
    first = GroupChoice(
        ContactGroup.objects.none(),
        label="Whose entry is taken where a number is in several",
        empty_label=None,
        help_text="After it comes the group that you began with, then the others in the order of the list above.",
    )
    into = forms.ChoiceField(
        label="Where the contacts go",
        choices=[(NEW, "A new contact group"), (EXISTING, "A contact group that there is")],
        widget=forms.RadioSelect,
        initial=NEW,
    )
    name = _name_field(required=False)
    target = GroupChoice(
        ContactGroup.objects.none(),
        label="Contact group",
        empty_label=None,
        required=False,
        help_text="What it has already stays as it is.",
    )
    field_order = ["groups", "first", "into", "name", "target"]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if not self.user.has_perm("calls.add_contactgroup"):
            into = self.fields["into"]
            into.choices, into.initial = [(EXISTING, "A contact group that there is")], EXISTING  # type: ignore[attr-defined]
            del self.fields["name"]

    def combine(self, cleaned: dict[str, Any]) -> None:
        """The groups in the order in which their entries are taken, and where they go."""
        chosen, first = [self.group, *cleaned["groups"]], cleaned["first"]
        if first not in chosen:
            self.add_error("first", f"“{first}” is not among the groups that are merged. Choose it above, or another.")
            return
        new = cleaned["into"] == NEW
        ordered = [first, *(group for group in chosen if group != first)]
        if new and not cleaned["name"]:
            self.add_error("name", "Type the name of the new contact group.")
        elif not new and not cleaned["target"]:
            self.add_error("target", "Choose the contact group that the contacts are put into.")
        else:
            target = None if new else cleaned["target"].pk
            sources = tuple(group.pk for group in ordered if group.pk != target)
            self.combination = Combination(self.kind, sources, target, cleaned["name"] if new else "")

    def clean_name(self) -> str:
        """Whatever was typed there does not matter if there is no new group."""
        return super().clean_name() if self.data.get("into") == NEW else ""


FORMS: dict[Combining, type[CombineForm]] = {
    form.kind: form for form in (CopyForm, MergeForm, SplitForm, DifferenceForm, IntersectionForm, RemoveForm)
}
