"""Numbering plans: what phonenumbers would read and accept, about ten times as fast, from its own metadata.

phonenumbers builds an object for each number and looks its patterns up anew. Here the patterns of a country are
compiled once and put together by length of number. What is decided is the same to the last digit: the steps below
name the functions of phonenumbers.phonenumberutil that they repeat, and tests/contacts/test_numbers_fast.py compares
the two for every country. Reasons are not given here: whoever needs one asks phonenumbers.
"""

import re
from functools import lru_cache

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata, PhoneNumberDesc

# Up to this many digits a national number may be a short code or an emergency number, which phonenumbers has to tell.
SHORT_CODE_DIGITS = 6
# What parse() takes, whatever the country.
_SHORTEST, _LONGEST = 2, 17
_COUNTRY_CODE_DIGITS = 3
# There are about 250 regions and 220 country codes; what else is asked for must not fill the memory.
_KEPT = 1024


class Plan:
    """The numbers of one region, or of one country code without regions (+800)."""

    def __init__(self, metadata: PhoneMetadata) -> None:
        general = metadata.general_desc or PhoneNumberDesc()
        self.code = str(metadata.country_code)
        self.trunk = metadata.national_prefix or ""
        self.leading = _compiled(metadata.leading_digits)
        self.abroad = _compiled(metadata.international_prefix)
        self._general = _compiled(general.national_number_pattern)
        self._lengths = frozenset(general.possible_length)
        self._local_lengths = frozenset(general.possible_length_local_only)
        self._prefix = _compiled(metadata.national_prefix_for_parsing)
        self._transform = metadata.national_prefix_transform_rule or ""
        self._kinds = _kinds(metadata)
        self._by_length: dict[int, re.Pattern[str] | None] = {}
        self._plain_by_length: dict[int, re.Pattern[str] | None] = {}

    def has_plainly(self, digits: str) -> bool:
        """Tell whether there is such a number and no part of it could be a national prefix: nearly all are so."""
        length = len(digits)
        try:
            pattern = self._plain_by_length[length]
        except KeyError:
            pattern = self._plain_by_length[length] = self._plain_pattern(length)
        return pattern is not None and pattern.fullmatch(digits) is not None

    def has(self, national: str) -> bool:
        """Tell whether a number of some kind has these digits (_number_type_helper)."""
        length = len(national)
        try:
            pattern = self._by_length[length]
        except KeyError:
            pattern = self._by_length[length] = self._pattern(length)
        return pattern is not None and pattern.fullmatch(national) is not None

    def could_be(self, digits: str) -> bool:
        """Tell whether the digits look like a number of this plan at all (_match_national_number)."""
        return self._general is not None and self._general.fullmatch(digits) is not None

    def too_long(self, digits: str) -> bool:
        """Tell whether there are more digits than any number has (_test_number_length)."""
        length = len(digits)
        return length not in self._local_lengths and length > max(self._lengths, default=0)

    @property
    def without_area_code(self) -> bool:
        """Whether people call some numbers without area code (IS_POSSIBLE_LOCAL_ONLY)."""
        return bool(self._local_lengths)

    def national(self, digits: str) -> str:
        """Return what parse() makes of digits without country code: no prefix, unless too few are left then."""
        rest = self.without_prefix(digits)
        return rest if len(rest) in self._lengths or self.too_long(rest) else digits

    def without_prefix(self, digits: str) -> str:
        """Return the digits without national prefix and carrier code (_maybe_strip_national_prefix_carrier_code)."""
        if self._prefix is None or not (match := self._prefix.match(digits)):
            return digits
        if self._transform and match[match.re.groups] is not None:
            rest = self._prefix.sub(self._transform, digits, count=1)
        else:
            rest = digits[match.end() :]
        return digits if self.could_be(digits) and not self.could_be(rest) else rest

    def _plain_pattern(self, length: int) -> re.Pattern[str] | None:
        pattern = self._pattern(length)
        if pattern is None:
            return None
        prefix = f"(?!{self._prefix.pattern})" if self._prefix else ""
        leading = f"(?={self.leading.pattern})" if self.leading else ""
        return re.compile(prefix + leading + pattern.pattern)

    def _pattern(self, length: int) -> re.Pattern[str] | None:
        """Return what matches all numbers of that length, put together from the kinds that have some."""
        kinds = [pattern for pattern, lengths in self._kinds if not lengths or length in lengths]
        if self._general is None or not kinds or (self._lengths and length not in self._lengths):
            return None
        return re.compile(rf"(?=(?:{self._general.pattern})\Z)(?:{'|'.join(f'(?:{kind})' for kind in kinds)})")


def read(digits: str, region: str, bare_international: bool) -> str | None:
    """Return E.164 for an optional "+" and ASCII digits, "" for what phonenumbers refuses, None if it has to be asked.

    National digits are those of `region`; `bare_international` is explained at `numbers.normalise`.
    """
    if digits.startswith("+"):
        return _international(digits[1:])
    home = plan(region)
    if home is None or len(digits) <= SHORT_CODE_DIGITS:
        return None
    number = _at_home(digits, home)
    if number or number is None:
        return number
    if digits.startswith("00"):
        return _international(digits.lstrip("0"))
    return _international(digits) if bare_international and not digits.startswith("0") else ""


@lru_cache(_KEPT)
def plan(region: str) -> Plan | None:
    """Return the plan of a region ("IN"), None if phonenumbers knows none of that name."""
    metadata = PhoneMetadata.metadata_for_region(region)
    return Plan(metadata) if metadata else None


@lru_cache(_KEPT)
def _sharing(code: str) -> tuple[Plan, ...]:
    """Return the plans that share a country code ("1"), the main one first; none if the code doesn't exist."""
    regions = COUNTRY_CODE_TO_REGION_CODE.get(int(code), ())
    found = (plan(region) or _without_region(int(code)) for region in regions)
    return tuple(each for each in found if each)


def _without_region(code: int) -> Plan | None:
    metadata = PhoneMetadata.metadata_for_nongeo_region(code)
    return Plan(metadata) if metadata else None


def _at_home(digits: str, home: Plan) -> str | None:
    """Return E.164 for digits as they are dialled in that region, "" if it has no such number (parse).

    None if "00" may be a prefix by itself, or with the next digit that of a carrier ("0091" in Singapore).
    """
    abroad = home.abroad.match(digits) if home.abroad else None
    # No country code begins with 0: then what looked like the international prefix was none.
    if abroad and not digits.startswith("0", abroad.end()):
        number = _international(digits[abroad.end() :])
        prefixed = number and abroad.end() > len("00") and digits.startswith("00")
        return None if prefixed and _international(digits[len("00") :]) not in {"", number} else number
    if digits.startswith(home.code):
        rest = home.without_prefix(digits[len(home.code) :])
        if (home.could_be(rest) and not home.could_be(digits)) or home.too_long(digits):
            sharing = _sharing(home.code)
            return _valid(rest, sharing[0], sharing)
    return _valid(digits, home, _sharing(home.code))


def _international(digits: str) -> str:
    """Return E.164 for digits that begin with a country code (_extract_country_code), "" if there is no such number."""
    if len(digits) <= _SHORTEST or digits.startswith("0"):
        return ""
    for length in range(1, _COUNTRY_CODE_DIGITS + 1):
        if sharing := _sharing(digits[:length]):
            return _valid(digits[length:], sharing[0], sharing)
    return ""


def _valid(digits: str, main: Plan, sharing: tuple[Plan, ...]) -> str:
    """Return E.164 for digits without country code, "" if there is no such number (is_valid_number).

    `main` is the plan whose national prefix is understood; `sharing` are all plans with its country code.
    """
    if main is sharing[0] and main.has_plainly(digits):
        return f"+{main.code}{digits}"
    if len(digits) < _SHORTEST:
        return ""
    national = main.national(digits)
    if _SHORTEST <= len(national) <= _LONGEST and _exists(national, sharing):
        return f"+{main.code}{national}"
    return ""


def _exists(national: str, sharing: tuple[Plan, ...]) -> bool:
    """Tell whether the region that these digits belong to has such a number (region_code_for_number)."""
    if len(sharing) == 1:
        return sharing[0].has(national)
    for each in sharing:
        if each.leading:
            if each.leading.match(national):
                return each.has(national)
        elif each.has(national):
            return True
    return False


def _compiled(pattern: str | None) -> re.Pattern[str] | None:
    return re.compile(pattern) if pattern else None


def _kinds(metadata: PhoneMetadata) -> list[tuple[str, frozenset[int]]]:
    """Return pattern and lengths of each kind of number that there is, the most usual ones first."""
    descriptions = (
        # phonenumbers doesn't look at mobile numbers where their pattern is that of landlines.
        None if metadata.same_mobile_and_fixed_line_pattern else metadata.mobile,
        *(metadata.fixed_line, metadata.toll_free, metadata.voip, metadata.premium_rate, metadata.shared_cost),
        *(metadata.personal_number, metadata.pager, metadata.uan, metadata.voicemail),
    )
    return [
        (description.national_number_pattern, frozenset(description.possible_length))
        for description in descriptions
        if description is not None and description.national_number_pattern
    ]
