"""The fast path decides as phonenumbers does: the same number, or refused by both."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata, PhoneNumber, PhoneNumberFormat, PhoneNumberType

from calls.contacts import numbering
from calls.contacts.numbers import NumberError, _asked, dialable, normalise

# What they have of their own: leading zeros, codes that several share, transformed national numbers, long prefixes,
# numbers of any length, no prefix at all.
REGIONS = [
    *("IN", "GB", "US", "DE", "RU", "BR", "KZ", "IT", "AU", "SG", "CA", "JM", "BS", "PR", "DO", "GG", "IM", "JE"),
    *("VA", "AR", "MX", "HU", "CN", "JP", "NF", "SM", "GA", "CC", "AX", "EH", "SH", "TA", "KR", "CO", "CR", "LI"),
]
KINDS = [kind for kind in PhoneNumberType.values() if kind != PhoneNumberType.UNKNOWN]


def phonenumbers_says(digits: str, region: str, bare_international: bool) -> str:
    """The number as the slow path reads it, empty if it refuses."""
    try:
        return _asked(digits, region, bare_international)
    except NumberError:
        return ""


def assert_same(digits: str, region: str) -> None:
    for bare in (False, True):
        fast = numbering.read(digits, region, bare)
        assert fast is None or fast == phonenumbers_says(digits, region, bare), (digits, region, bare)


def examples() -> list[PhoneNumber]:
    """phonenumbers' own example of each kind of number of each region and country code."""
    by_region = [
        phonenumbers.example_number_for_type(region, kind)
        for region in sorted(phonenumbers.SUPPORTED_REGIONS)
        for kind in KINDS
    ]
    elsewhere = [
        phonenumbers.example_number_for_non_geo_entity(code)
        for code, regions in COUNTRY_CODE_TO_REGION_CODE.items()
        if regions == ("001",)
    ]
    return [example for example in by_region + elsewhere if example]


def shapes(example: PhoneNumber) -> set[str]:
    """The ways to write a number in digits, and what becomes of them with one digit more, less or wrong."""
    code, national = str(example.country_code), phonenumbers.national_significant_number(example)
    local = phonenumbers.normalize_digits_only(phonenumbers.format_number(example, PhoneNumberFormat.NATIONAL))
    written = {f"+{code}{national}", f"00{code}{national}", f"{code}{national}", national, local}
    written |= {f"0{national}", f"8{national}", f"{code}0{national}", f"011{code}{national}", f"+{code}{local}"}
    return written | {f"+{code}{national}5", f"{national[:-1]}", f"{national}0", f"{code}{national[:-1]}"}


EXAMPLES = examples()
DIGITS = st.sampled_from("0123456789")
METADATA = {region: found for region in REGIONS if (found := PhoneMetadata.metadata_for_region(region))}


def test_the_examples_are_of_all_regions() -> None:
    codes = {example.country_code for example in EXAMPLES}
    assert codes == set(COUNTRY_CODE_TO_REGION_CODE)
    assert len(EXAMPLES) > 1000


def test_examples_of_all_regions_read_at_home_as_phonenumbers_reads_them() -> None:
    for example in EXAMPLES:
        region = phonenumbers.region_code_for_number(example) or "IN"
        for digits in shapes(example):
            assert_same(digits, region)


@pytest.mark.parametrize("region", ["IN", "IT"])
def test_examples_of_all_regions_read_abroad_as_phonenumbers_reads_them(region: str) -> None:
    for example in EXAMPLES[::4]:
        for digits in shapes(example):
            assert_same(digits, region)


@st.composite
def written(draw: st.DrawFn) -> tuple[str, str]:
    """Digits that resemble a number of a region, written in a usual way, some with a mistake; and a region."""
    region = draw(st.sampled_from(REGIONS))
    home = METADATA[draw(st.sampled_from(REGIONS))]
    kinds = [home.fixed_line, home.mobile, home.toll_free, home.general_desc]
    patterns = [kind.national_number_pattern for kind in kinds if kind and kind.national_number_pattern]
    national = draw(
        st.one_of(
            st.sampled_from(patterns).flatmap(lambda pattern: st.from_regex(pattern, fullmatch=True, alphabet=DIGITS)),
            st.text(DIGITS, min_size=1, max_size=18),
        )
    )
    code = str(home.country_code)
    prefix = draw(
        st.sampled_from(
            ["", "0", "1", "8", "06", "+", "00", "011", "810", f"+{code}", f"+{code}0", f"00{code}", f"011{code}", code]
        )
        | st.text(DIGITS, max_size=5)
    )
    return prefix + national + draw(st.sampled_from(["", "", "", "0", "7"])), region


@given(written())
def test_any_digits_read_as_phonenumbers_reads_them(given_: tuple[str, str]) -> None:
    digits, region = given_
    assert_same(digits, region)


@given(st.text(DIGITS, min_size=1, max_size=20), st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)))
def test_digits_without_meaning_are_refused_by_both(digits: str, region: str) -> None:
    assert_same(digits, region)
    assert_same(f"+{digits}", region)


@pytest.mark.parametrize("region", ["", "in", "XX", "001"])
def test_phonenumbers_decides_about_regions_that_it_does_not_know(region: str) -> None:
    assert numbering.read("8123456789", region, bare_international=False) is None
    assert normalise("+44 20 7946 0001", region) == "+442079460001"


def test_phonenumbers_decides_about_short_codes() -> None:
    assert numbering.read("112", "IN", bare_international=False) is None
    assert numbering.read("22158", "SH", bare_international=False) is None


def test_usual_numbers_do_not_reach_phonenumbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phonenumbers, "parse", None)
    for text in ("+442079460001", "00442079460001", "020 7946 0001", "(020) 7946-0001", "442079460001"):
        assert normalise(text, "GB") == "+442079460001"
    assert normalise("442079460001", "IN", bare_international=True) == "+442079460001"
    assert dialable("+442079460001", "IN") == "442079460001"
