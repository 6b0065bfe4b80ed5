"""`manage.py createapikey`: prints a key and nothing else."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from calls.models import APIKey
from tests.factories import make_user

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("createapikey", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def test_it_prints_the_key_and_nothing_else() -> None:
    user = make_user("operator", "olga")
    printed, complained = run("olga", "--label", "Shop")
    row = APIKey.objects.get()
    assert row.fits(printed.removesuffix("\n"))
    assert complained == ""
    assert (row.user, row.label, row.expires_at, row.networks) == (user, "Shop", None, [])
    assert (row.traffic, row.rate) == ("promotional", 600)


def test_everything_can_be_chosen() -> None:
    make_user("viewer", "vera")
    day = timezone.localdate()
    networks = ["203.0.113.7", "2001:db8::/32"]
    run(
        "vera",
        "--label",
        "Reports",
        "--expires",
        str(day),
        "--traffic",
        "service",
        "--rate",
        "5",
        "--networks",
        *networks,
    )
    row = APIKey.objects.get()
    assert (row.last_day, row.networks, row.traffic, row.rate) == (
        day,
        ["203.0.113.7/32", "2001:db8::/32"],
        "service",
        5,
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nobody", "--label", "x"], "user: There is no user “nobody”."),
        (["olga", "--label", ""], "label: This field is required."),
        (["olga", "--label", "\udcff"], "label: Write it on one line"),
        (["olga", "--label", "x", "--networks", "10.0.0.1", "home"], "networks: “home” is neither"),
        (["olga", "--label", "x", "--expires", "2020-01-01"], "expires: 2020-01-01 is in the past."),
        (["olga"], "--label"),
        ([], "USER"),
    ],
)
def test_wrong_arguments_make_no_key(arguments: list[str], said: str) -> None:
    make_user("operator", "olga")
    with pytest.raises(CommandError) as raised:
        run(*arguments)
    assert said in str(raised.value)
    assert not APIKey.objects.exists()
