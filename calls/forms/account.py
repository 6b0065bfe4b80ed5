"""The form to sign in with."""

from django import forms
from django.contrib.auth.forms import AuthenticationForm, UsernameField

from calls.models import User


class SignInForm(AuthenticationForm):
    """Django's, with the limit of user names enforced: whatever is longer would not fit into the list of failures."""

    username = UsernameField(
        max_length=User._meta.get_field("username").max_length,
        widget=forms.TextInput(attrs={"autofocus": True}),
    )
