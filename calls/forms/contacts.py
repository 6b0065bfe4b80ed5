"""Forms of contact groups and their contacts."""

from typing import Any

from django import forms

from calls.contacts.names import as_name
from calls.forms.entries import NumberField
from calls.forms.imports import UploadForm
from calls.forms.unchanged import UnchangedForm
from calls.models import Contact, ContactGroup

NAME_HELP = "Unique. Not all digits and without commas, so that programs can name it."


def name_taken(name: str) -> str:
    """The message for a name that another contact group has; it says which."""
    group = ContactGroup.objects.filter(name=name).first()
    return f"“{name}” is the name of contact group {group.pk} already." if group else f"“{name}” is taken already."


class GroupForm(forms.ModelForm):  # type: ignore[type-arg]  # takes no type at run time
    """The name of a contact group and, if the carrier holds it, its reference."""

    class Meta:
        model = ContactGroup
        fields = ["name", "carrier_group"]
        help_texts = {"name": NAME_HELP}
        widgets = {"name": forms.TextInput(attrs={"autocomplete": "off"})}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.instance.pk:
            self._keep_kind()

    def _keep_kind(self) -> None:
        # Contacts would be left over, or missing, if a group changed who holds it.
        if self.instance.held_by_carrier:
            self.fields["carrier_group"].required = True
        else:
            del self.fields["carrier_group"]

    def validate_unique(self) -> None:
        """Name the group that has the name, instead of Django's general words."""
        name = self.instance.name
        if ContactGroup.objects.filter(name=name).exclude(pk=self.instance.pk).exists():
            self.add_error("name", name_taken(name))


class NewGroupForm(UploadForm, GroupForm):
    """A new contact group: with contacts, without any yet, or held by the carrier."""

    needs_rows = False
    field_order = ["name", "pasted", "file", "carrier_group"]

    def clean(self) -> dict[str, Any]:
        """Contacts or a reference to the carrier's, not both."""
        cleaned = super().clean()
        if cleaned.get("carrier_group") and (self.has_rows or self.errors.keys() & {"pasted", "file"}):
            self.add_error(
                "carrier_group",
                "A group that the carrier holds has no contacts here: leave this empty, or leave the numbers out.",
            )
        return cleaned


class ContactForm(UnchangedForm):
    """One contact; its group is the instance's."""

    number = NumberField()

    class Meta:
        model = Contact
        fields = ["number", "name", "custom"]
        widgets = {
            "name": forms.TextInput(attrs={"autocomplete": "off"}),
            "custom": forms.TextInput(attrs={"autocomplete": "off"}),
        }

    def clean_name(self) -> str:
        """The name as an import would read it."""
        return as_name(self.cleaned_data["name"])

    def clean_number(self) -> str:
        """A number is in a contact group once."""
        number: str = self.cleaned_data["number"]
        same = Contact.objects.filter(group=self.instance.group, number=number).exclude(pk=self.instance.pk).first()
        if same:
            named = f" as “{same.name}”" if same.name else ""
            raise forms.ValidationError(f"{number} is in this contact group already{named}.")
        return number
