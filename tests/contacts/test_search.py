"""Searching by the first or last digits of a number."""

import pytest

from calls.contacts.search import with_digits
from calls.models import Contact
from tests.factories import make_group

NUMBERS = ["+442079460001", "+442079460047", "+441134960047", "+12025550100"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("", NUMBERS),
        ("no digits", NUMBERS),
        ("+44 20", NUMBERS[:2]),
        ("0044 20", NUMBERS[:2]),
        ("020 7946 0047", NUMBERS[1:2]),
        ("0047", NUMBERS[1:3]),
        ("60047", NUMBERS[1:3]),
        ("0", NUMBERS[3:]),
        ("0001", NUMBERS[:1]),
        ("1", [NUMBERS[0], NUMBERS[3]]),
        ("99", []),
        ("00", NUMBERS[3:]),
        ("0000000", []),
    ],
)
def test_digits_find_numbers_by_their_start_or_end(typed: str, found: list[str]) -> None:
    group = make_group(numbers=NUMBERS)
    assert (
        list(with_digits(Contact.objects.filter(group=group), typed).order_by("pk").values_list("number", flat=True))
        == found
    )
