"""The form of a new API key; the command `createapikey` reads its arguments with it too."""

import ipaddress
import re
from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.text import Truncator

from calls.models import APIKey, Traffic, User

MAX_NETWORKS = 100
MAPPED_BITS = 96  # what stands before the IPv4 address in an IPv6 address that only maps it
LAST_YEAR = 9998  # the day after the last one must still be a date

_SEPARATORS = re.compile(r"[\s,;]+")


class NetworksField(forms.CharField):
    """Addresses and networks separated by spaces, commas or lines; its value is a list of networks, each once."""

    widget = forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "autocapitalize": "none"})

    def clean(self, value: Any) -> list[str]:
        """Raise ValidationError naming the first one that is none."""
        texts = [text for text in _SEPARATORS.split(super().clean(value)) if text]
        if len(texts) > MAX_NETWORKS:
            raise forms.ValidationError(f"{len(texts):,} addresses and networks; at most {MAX_NETWORKS}.")
        return list(dict.fromkeys(map(_network, texts)))


def _network(text: str) -> str:
    shown = Truncator(text).chars(60)
    try:
        network = ipaddress.ip_network(text.replace("%", "?"), strict=False)  # a scope means something on one host only
    except ValueError:
        raise forms.ValidationError(
            f"“{shown}” is neither an address like 203.0.113.7 or 2001:db8::7 nor a network like 203.0.113.0/24."
        ) from None
    if "/" in text and ipaddress.ip_interface(text).ip != network.network_address:
        raise forms.ValidationError(f"“{shown}” is an address within a network. The whole network is {network}.")
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= MAPPED_BITS:
        address = network.network_address.ipv4_mapped
        if address:  # as which a client that has it is known
            network = ipaddress.IPv4Network((address, network.prefixlen - MAPPED_BITS))
    return str(network)


class APIKeyForm(forms.Form):
    """A new key for its user. `actor` makes it: an admin for anybody, others for themselves; None on the machine."""

    label = forms.CharField(max_length=100, help_text="What uses this key: you will recognise it in the list by this.")
    user = forms.CharField(
        label="User",
        max_length=150,
        help_text="The key acts as this user: it starts and sees what their role and profile allow.",
        widget=forms.TextInput(attrs={"autocapitalize": "none", "autocomplete": "off", "spellcheck": "false"}),
    )
    expires = forms.DateField(
        label="Last day",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text="It works until the end of this day. Leave empty for a key that does not expire.",
        error_messages={"invalid": "This is not a date. Write it like 2027-12-31."},
    )
    networks = NetworksField(
        label="Allowed addresses",
        required=False,
        max_length=10_000,
        help_text="Addresses and networks that it works from, one a line: 203.0.113.7 or 203.0.113.0/24. "
        "Leave empty for any.",
    )
    traffic = forms.ChoiceField(
        label="Traffic type",
        choices=[(each.value, f"{each.label}: {each.meaning}") for each in Traffic],
        initial=Traffic.PROMOTIONAL,
        help_text="What the calls that are started with it are. It decides at which hours phones may ring, how often "
        "in a day, and which suppression lists count.",
    )
    rate = forms.IntegerField(
        label="Requests a minute",
        min_value=1,
        max_value=1_000_000,
        initial=600,
        help_text="Further ones are answered with 429.",
    )

    def __init__(self, *args: Any, actor: User | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.actor = actor
        if actor is None:
            return
        self.fields["user"].initial = actor.get_username()
        if not actor.sees_everything:
            del self.fields["user"]

    def clean_label(self) -> str:
        """Refuse what a line of the list can't show."""
        label: str = self.cleaned_data["label"]
        if not label.isprintable():
            raise forms.ValidationError("Write it on one line, without control characters.")
        return label

    def clean_user(self) -> User:
        """Return the user of that name, who must be able to sign in."""
        name: str = self.cleaned_data["user"]
        user = User.objects.filter(username=name).first()
        if user is None:
            raise forms.ValidationError(f"There is no user “{name}”.")
        if not user.is_active:
            raise forms.ValidationError(f"“{name}” is deactivated: a key would not work.")
        return user

    def clean_expires(self) -> datetime | None:
        """Return the end of the last day, in TIME_ZONE."""
        day = self.cleaned_data["expires"]
        if day is None:
            return None
        if day < timezone.localdate():
            raise forms.ValidationError(f"{day} is in the past.")
        if day.year > LAST_YEAR:
            raise forms.ValidationError("Leave this empty for a key that does not expire.")
        return timezone.make_aware(datetime.combine(day + timedelta(days=1), time()))

    def make(self) -> tuple[APIKey, str]:
        """Create the key: its row, and the key itself."""
        data = self.cleaned_data
        user = data.get("user") or self.actor
        assert isinstance(user, User)  # noqa: S101 - the field is only left out if there is an actor
        columns = {name: data[name] for name in ("networks", "traffic", "rate")} | {"expires_at": data["expires"]}
        return APIKey.make(user, data["label"], **columns)
