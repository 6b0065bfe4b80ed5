"""Where numbers are: as phonenumbers tells it, alike in Python and in SQL."""

import random
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import phonenumbers
import pytest
from django.db import connection
from phonenumbers import PhoneNumberType
from phonenumbers.timezone import time_zones_for_geographical_number, time_zones_for_number

from calls.dialing.places import PLACES_SQL, country, place_of, place_parameters, place_sql, zones
from tests.factories import number


@pytest.mark.parametrize(
    ("called", "place"),
    [
        ("+918123456789", "IN Asia/Calcutta"),
        (number(0), "GB Europe/London"),
        ("+12125550123", "US America/New_York"),
        ("+18765550123", "JM America/Jamaica"),
        ("+14165550123", "CA America/Toronto"),
        ("+77010000000", "KZ Asia/Almaty Asia/Aqtobe"),
        ("+8823912345", ""),
        ("not a number", ""),
        ("", ""),
    ],
)
def test_places(called: str, place: str) -> None:
    assert place_of(called) == place
    assert (country(place), " ".join(zones(place))) == (place[:2], place[3:])


def test_a_mobile_phone_can_be_anywhere_in_its_country() -> None:
    sydney, perth = place_of("+61291234567"), place_of("+61891234567")
    assert (sydney, perth) == ("AU Australia/Sydney", "AU Australia/Adelaide Australia/Perth")
    assert {*zones(sydney), *zones(perth)} < {*zones(place_of("+61412345678"))}
    assert len(zones(place_of("+79123456789"))) > 10


@pytest.mark.parametrize(
    ("called", "landline"), [("+628123456789", "+62213456789"), ("+6281112345678", "+62361123456")]
)
def test_mobile_phones_of_indonesia_have_no_area_codes(called: str, landline: str) -> None:
    """Where phonenumbers counts mobile phones as geographic, for some had area codes once."""
    assert zones(place_of(called)) == ("Asia/Jakarta", "Asia/Jayapura", "Asia/Makassar")
    assert len(zones(place_of(landline))) == 1


@pytest.mark.parametrize(
    ("called", "place"), [("+5511961234567", "BR America/Sao_Paulo"), ("+526641234567", "MX America/Tijuana")]
)
def test_mobile_phones_with_area_codes_are_in_their_town(called: str, place: str) -> None:
    assert place_of(called) == place


@pytest.mark.django_db
@pytest.mark.parametrize("called", ["+16005550123", "+16225550123"])
def test_numbers_of_canada_that_are_in_no_town_are_not_in_the_united_states(called: str) -> None:
    place = place_of(called)
    assert country(place) == "CA"
    assert {"America/St_Johns", "America/Vancouver"} <= {*zones(place)}
    assert "Pacific/Honolulu" not in zones(place)
    assert places_by_sql([called]) == {called: place}


def places_by_sql(called: list[str]) -> dict[str, str]:
    """The place of each number, as the plan looks it up."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH {PLACES_SQL} SELECT number, {place_sql('number')} FROM unnest(%(numbers)s::text[]) AS u (number)",
            {"numbers": called, **place_parameters()},
        )
        return dict(cursor.fetchall())


def numbers_of_all_regions() -> list[str]:
    """Valid numbers near the examples that phonenumbers has for each region."""
    drawn = random.Random(5)
    found = []
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE):
            example = phonenumbers.example_number_for_type(region, kind)
            if example is None:
                continue
            for _ in range(8):
                digits = list(phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164))
                for i in drawn.sample(range(-4, 0), 3):
                    digits[i] = drawn.choice("0123456789")
                called = phonenumbers.parse("".join(digits))
                if phonenumbers.is_valid_number(called):
                    found.append("".join(digits))
    return found


def clocks(names: tuple[str, ...]) -> set[object]:
    """What clocks of these zones show, in winter and in summer."""
    moments = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)
    return {tuple(moment.astimezone(ZoneInfo(name)).utcoffset() for moment in moments) for name in names}


@pytest.mark.django_db
def test_sql_and_python_agree_with_phonenumbers_for_numbers_of_all_regions() -> None:
    called = numbers_of_all_regions()
    assert len(called) > 1_500
    by_sql = places_by_sql(called)
    assert by_sql == {each: place_of(each) for each in called}
    for each in called:
        parsed = phonenumbers.parse(each)
        told, town = clocks(time_zones_for_number(parsed)), clocks(time_zones_for_geographical_number(parsed))
        found = clocks(zones(by_sql[each]))
        # All that phonenumbers tells of the number; of the country codes that several countries share, this country's.
        assert town <= found, (each, by_sql[each])
        shared = len(phonenumbers.COUNTRY_CODE_TO_REGION_CODE[parsed.country_code or 0]) > 1
        assert found <= told | town if shared else found >= told, (each, by_sql[each])
