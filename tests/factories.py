"""Rows for tests. Numbers come from Ofcom's range for drama: they ring nowhere."""

from itertools import count
from typing import Any

from django.contrib.auth.models import Group
from django.test import Client

from calls.dialing.plan import make_plan
from calls.dialing.request import Options
from calls.dialing.start import start
from calls.models import IVR, CallGroup, CallRequest, Contact, ContactGroup, Sound, User

PASSWORD = "correct horse battery"
_unique = count(1)


def number(i: int) -> str:
    """The i-th number for drama (0 to 13,999), all different and valid: London first, then other cities."""
    areas = (
        "2079460",
        "1134960",
        "1144960",
        "1164960",
        "1174960",
        "1184960",
        "1214960",
        "1314960",
        "1414960",
        "1514960",
        "1614960",
        "1914980",
        "2890180",
        "2920180",
    )
    area, rest = divmod(i, 1_000)
    return f"+44{areas[area]}{rest:03}"


def make_user(role: str = "operator", username: str = "", **profile: Any) -> User:
    """A user with that role; `profile` sets fields of the profile (lists for the many-to-many ones)."""
    chosen = {name: profile.pop(name) for name in ("contact_groups", "sounds", "ivrs") if name in profile}
    user = User.objects.create_user(username or f"{role}{next(_unique)}", password=PASSWORD, **profile)
    user.groups.add(Group.objects.get(name=role))
    for name, rows in chosen.items():
        getattr(user, name).set(rows)
    return user


def client_for(user: User) -> Client:
    """A browser in which `user` is signed in."""
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def make_group(name: str = "", numbers: list[str] | int = 0, **columns: Any) -> ContactGroup:
    """A contact group with these numbers, or with so many numbers for drama."""
    group = ContactGroup.objects.create(name=name or f"Group {next(_unique)}", **columns)
    listed = [number(i) for i in range(numbers)] if isinstance(numbers, int) else numbers
    Contact.objects.bulk_create(Contact(group=group, number=each) for each in listed)
    group.refresh_from_db()
    return group


def make_sound(number: int | None = None, name: str = "Greeting", **columns: Any) -> Sound:
    """A sound without a file."""
    return Sound.objects.create(number=number or next(_unique), name=name, **columns)


def make_ivr(number: int | None = None, name: str = "Survey", **columns: Any) -> IVR:
    """An IVR."""
    return IVR.objects.create(number=number or next(_unique), name=name, **columns)


def make_request(user: User, typed: str = "", **options: Any) -> CallRequest:
    """A planned call request: to the numbers `typed`, or to what the options name."""
    chosen = Options(**{"play": "1.sound"} | options)
    played, _, kind = chosen.play.partition(".")
    if kind:
        (Sound if kind == "sound" else IVR).objects.get_or_create(number=played, defaults={"name": "Played"})
    request = CallRequest.objects.create(owner=user, typed={"numbers": typed}, options=chosen.as_json())
    make_plan(request)
    request.refresh_from_db()
    return request


def make_call_group(user: User, numbers: list[str] | int = 3, **options: Any) -> CallGroup:
    """A started call group to these numbers, or to so many; nothing is handed over yet."""
    listed = [number(i) for i in range(numbers)] if isinstance(numbers, int) else numbers
    group = start(make_request(user, "\n".join(listed), **options).pk)
    group.refresh_from_db()
    return group
