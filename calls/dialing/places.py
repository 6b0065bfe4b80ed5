"""Where a number is: its country and time zones, as phonenumbers tells them by the number's first digits.

A place is such as `IN Asia/Calcutta` or `US America/Chicago America/Denver`: a country, then zones, sorted. Where first
digits tell a town, its zone counts. Those of mobile phones don't: then all zones of the country count, as a phone may
be anywhere in it. Nothing is known of the empty place; there the portal's own zone counts.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache

from phonenumbers import (
    COUNTRY_CODE_TO_REGION_CODE,
    PhoneMetadata,
    PhoneNumber,
    PhoneNumberType,
    is_number_type_geographical,
    number_type,
    region_code_for_number,
)
from phonenumbers.tzdata import TIMEZONE_DATA, TIMEZONE_LONGEST_PREFIX

UNKNOWN = ""
"""The place of numbers of which nothing is known, such as satellite phones."""

LONGEST = TIMEZONE_LONGEST_PREFIX + 1
"""Characters of the longest prefix, with its plus."""

AREA = 5
"""Characters of a North American area code, with its country code and plus."""

AREAS = 1
"""The country code of North America: area codes are places there, whatever kind of phone it is."""

MOBILE_AREAS = frozenset({52, 54, 55})
"""The country codes of Mexico, Argentina and Brazil: their mobile phones have the area code of a town, too."""


def place_of(number: str) -> str:
    """The place of a number (E.164)."""
    places = _places()
    return next((places[number[:size]] for size in range(LONGEST, 1, -1) if number[:size] in places), UNKNOWN)


PLACES_SQL = """
    places AS MATERIALIZED (
        SELECT %(shallow_places)s::jsonb AS shallow, %(deep_places)s::jsonb AS deep, %(split_places)s::jsonb AS split
    )
"""
"""What :func:`place_sql` looks places up in, for the WITH clause; :func:`place_parameters` go with it."""


def place_sql(number: str) -> str:
    """The same as an SQL expression, for the number that the expression `number` gives.

    Most country codes need no more than themselves, and most area codes no more than four digits; only the others are
    looked up by more.
    """

    def by_first(sizes: range, places: str = "deep") -> str:
        return ", ".join(f"(SELECT {places} FROM places) ->> left({number}, {size})" for size in sizes)

    is_split = f"(SELECT split FROM places) ? left({number}, {AREA})"
    longer = f"CASE WHEN {is_split} THEN coalesce({by_first(range(LONGEST, AREA, -1))}) END"
    return f"coalesce({by_first(range(4, 1, -1), 'shallow')}, {longer}, {by_first(range(AREA, 1, -1))}, '{UNKNOWN}')"


@cache
def place_parameters() -> dict[str, str]:
    """The places by prefix of country codes that have only one, and those of all others; which areas are split."""
    counted = Counter(map(_country_code, TIMEZONE_DATA))
    shallow: dict[str, str] = {}
    deep: dict[str, str] = {}
    for prefix, place in _places().items():
        (shallow if counted[_country_code(prefix[1:])] == 1 else deep)[prefix] = place
    split = sorted({prefix[:AREA] for prefix in deep if len(prefix) > AREA})
    return {"shallow_places": json.dumps(shallow), "deep_places": json.dumps(deep), "split_places": json.dumps(split)}


def country(place: str) -> str:
    """The country of a place, as two letters; empty if it isn't known."""
    return place.partition(" ")[0]


def zones(place: str) -> tuple[str, ...]:
    """The names of a place's time zones; none if they aren't known."""
    return tuple(place.split()[1:])


@cache
def _places() -> dict[str, str]:
    """The place of each prefix that phonenumbers tells zones for."""
    prefixes = defaultdict(list)
    for prefix in TIMEZONE_DATA:
        prefixes[_country_code(prefix)].append(prefix)
    return {
        f"+{prefix}": " ".join((region, *sorted(names)))
        for code, among in prefixes.items()
        for prefix, region, names in _of_country_code(code, among)
    }


def _country_code(prefix: str) -> int:
    sizes = (1, 2, 3)  # no country code begins another one
    return next(int(prefix[:size]) for size in sizes if int(prefix[:size]) in COUNTRY_CODE_TO_REGION_CODE)


def _of_country_code(code: int, prefixes: list[str]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Each prefix of a country code with its country and zones."""
    main = COUNTRY_CODE_TO_REGION_CODE[code][0]
    if len(prefixes) == 1:
        yield prefixes[0], main, TIMEZONE_DATA[prefixes[0]]
        return
    regions: dict[str, str] = {}
    towns: set[str] = set()
    everywhere: dict[str, set[str]] = defaultdict(set)
    for prefix in prefixes:
        found = _samples(code, prefix)
        first = next(found, None)
        regions[prefix] = _area(prefix) or (region_code_for_number(first) if first else None) or main
        is_area = code == AREAS and len(prefix) > 1
        if is_area or (first and _tells_town(first) and all(map(_tells_town, found))):
            towns.add(prefix)
            everywhere[regions[prefix]].update(TIMEZONE_DATA[prefix])
    for prefix, region in _areas_of_countries(prefixes) if code == AREAS else ():
        yield prefix, region, tuple(everywhere[region])
    for prefix, region in regions.items():
        known = prefix in towns or not everywhere[region]
        yield prefix, region, TIMEZONE_DATA[prefix] if known else tuple(everywhere[region])


def _area(prefix: str) -> str:
    """The country whose area code begins a North American prefix; empty if it is none of the small ones."""
    for region in COUNTRY_CODE_TO_REGION_CODE[AREAS] if prefix[0] == str(AREAS) else ():
        metadata = PhoneMetadata.metadata_for_region(region)
        if metadata and metadata.leading_digits and re.match(metadata.leading_digits, prefix[1:]):
            return region
    return ""


def _areas_of_countries(prefixes: list[str]) -> Iterator[tuple[str, str]]:
    """The North American area codes that are no places but belong to a country other than the main one.

    Such as Canada's for mobile and satellite phones: without these, they would count as those of the main country.
    """
    main = COUNTRY_CODE_TO_REGION_CODE[AREAS][0]
    known = {*prefixes}
    for area in range(200, 1_000):
        if f"{AREAS}{area}" in known:
            continue
        region = region_code_for_number(PhoneNumber(country_code=AREAS, national_number=area * 10_000_000 + 2_345_678))
        if region and region != main:
            yield f"{AREAS}{area}", region


def _tells_town(number: PhoneNumber) -> bool:
    kind, code = number_type(number), number.country_code or 0
    if kind == PhoneNumberType.MOBILE:
        return code in MOBILE_AREAS
    return is_number_type_geographical(kind, code)


def _samples(code: int, prefix: str) -> Iterator[PhoneNumber]:
    """Valid numbers that begin so, and with no longer prefix of which something is known: one for each next digit."""
    metadata = PhoneMetadata.metadata_for_region(COUNTRY_CODE_TO_REGION_CODE[code][0])
    lengths = sorted(metadata.general_desc.possible_length) if metadata and metadata.general_desc else ()
    start = prefix[len(str(code)) :]
    for tail in ("0123456", *(f"{digit}234567890" for digit in range(10))):
        for size in lengths:
            national = f"{start}{tail}"[:size]
            number = PhoneNumber(country_code=code, national_number=int(national or 0))
            number.italian_leading_zero = True if national.startswith("0") else None
            longer = range(len(prefix) + 1, LONGEST)
            if any(f"{code}{national}"[:end] in TIMEZONE_DATA for end in longer):
                continue
            if number_type(number) != PhoneNumberType.UNKNOWN:
                yield number
                break
