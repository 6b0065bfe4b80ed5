"""The forms of users: who they are, what they may do (role) and see (profile), and their passwords."""

from typing import Any

from django import forms
from django.contrib.auth.password_validation import password_validators_help_texts, validate_password
from django.db import IntegrityError

from calls.access import ADMIN, OPERATOR, VIEWER, NoAdminLeftError, give_role, random_password
from calls.models import User

ROLE_CHOICES = [
    (OPERATOR, "Operator: starts and steers calls, edits contacts"),
    (VIEWER, "Viewer: reads what the profile shows"),
    (ADMIN, "Admin: sees and does everything, manages users"),
]

NO_ADMIN_LEFT = "This is the last admin: nobody could manage users any more. Make somebody else an admin first."


def _all_or_chosen(things: str) -> forms.TypedChoiceField:
    return forms.TypedChoiceField(
        label=things,
        choices=[("True", f"All {things}, later ones too"), ("False", "Chosen ones only")],
        coerce=lambda value: value == "True",
        widget=forms.RadioSelect,
        initial="True",
    )


class UserForm(forms.ModelForm):  # type: ignore[type-arg]  # takes no type at run time
    """Changes of a user; `actor` is the admin who makes them."""

    role = forms.ChoiceField(choices=ROLE_CHOICES, widget=forms.RadioSelect, initial=OPERATOR)
    uses_all_contact_groups = _all_or_chosen("contact groups")
    uses_all_sounds = _all_or_chosen("sounds")
    uses_all_ivrs = _all_or_chosen("IVRs")

    class Meta:
        model = User
        fields = [
            "username",
            "first_name",
            "last_name",
            "email",
            "may_start_calls",
            "sees_all_calls",
            "uses_all_contact_groups",
            "uses_all_sounds",
            "uses_all_ivrs",
        ]
        help_texts = {"username": "Letters, digits and @ . + - _", "may_start_calls": "Viewers never do."}
        widgets = {"username": forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none"})}

    def __init__(self, *args: Any, actor: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.actor = actor
        if self.instance.pk:
            self.fields["role"].initial = self.instance.role

    def clean_username(self) -> str:
        """Refuse names that differ from another one in capital letters only: people would mix them up."""
        name: str = self.cleaned_data["username"]
        other = User.objects.filter(username__iexact=name).exclude(pk=self.instance.pk).first()
        if other:
            raise forms.ValidationError(f"“{name}” is taken: there is the user “{other.username}”.", code="unique")
        return name

    def clean_role(self) -> str:
        """Refuse that people take the role admin from themselves, which would lock them out of this page."""
        role: str = self.cleaned_data["role"]
        if self.instance.pk == self.actor.pk and role != ADMIN:
            raise forms.ValidationError("You can't take the role admin from yourself: ask another admin.")
        return role

    def store(self) -> bool:
        """Save the user; False, with an error at its field, if nobody would be admin or the name was just taken."""
        try:
            give_role(self.instance, self.cleaned_data["role"])
        except NoAdminLeftError:
            self.add_error("role", NO_ADMIN_LEFT)
            return False
        except IntegrityError:
            self.add_error("username", f"“{self.instance.username}” was just taken by somebody else.")
            return False
        return True


class PasswordFields(forms.Form):
    """A password that is generated, or typed twice. `user_for_rules` says whose name it must not resemble."""

    GENERATED, TYPED = "generated", "typed"

    password_by = forms.ChoiceField(
        label="Password",
        choices=[(GENERATED, "Generate one, shown once"), (TYPED, "Type one")],
        widget=forms.RadioSelect,
        initial=GENERATED,
    )
    password1 = forms.CharField(
        label="Typed password",
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=" ".join(password_validators_help_texts()),
    )
    password2 = forms.CharField(
        label="The same again",
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def check_password(self, user: User) -> None:
        """Put errors at the fields of the typed password; none if one is to be generated."""
        first, second = self.cleaned_data.get("password1", ""), self.cleaned_data.get("password2", "")
        if self.cleaned_data.get("password_by") != self.TYPED:
            # Somebody who typed one expects that it is used.
            if first or second:
                self.add_error("password_by", "A password was typed too. Choose “Type one”, or leave the fields empty.")
            return
        if not first:
            self.add_error("password1", "Type a password, or have one generated.")
        elif first != second:
            self.add_error("password2", "The two passwords differ.")
        else:
            try:
                validate_password(first, user)
            except forms.ValidationError as error:
                self.add_error("password1", error)

    @property
    def is_generated(self) -> bool:
        """Whether the password must be shown, since nobody typed it."""
        return bool(self.cleaned_data["password_by"] == self.GENERATED)

    def new_password(self) -> str:
        """The typed password, or one that is generated now."""
        return random_password() if self.is_generated else str(self.cleaned_data["password1"])


class NewUserForm(PasswordFields, UserForm):
    """A new user."""

    def clean(self) -> dict[str, Any]:
        """Check the password against this user's name."""
        cleaned = super().clean() or self.cleaned_data
        names = {name: cleaned.get(name) or "" for name in ("username", "first_name", "last_name", "email")}
        self.check_password(User(**names))
        return cleaned


class PasswordForm(PasswordFields):
    """A new password for `user`."""

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean(self) -> dict[str, Any]:
        """Check the password against the user's name."""
        cleaned = super().clean() or self.cleaned_data
        self.check_password(self.user)
        return cleaned
