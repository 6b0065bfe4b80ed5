"""Phone numbers: from what people type to E.164, and from there to what a carrier dials.

What is understood follows the `numbers` row of OBD-API.md; the rules of each country come from phonenumbers.
"""

import re
import unicodedata
from contextlib import suppress
from functools import cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat, ValidationResult

from calls.contacts import numbering

# E.164 allows 15 digits; an international prefix or a leading zero may stand before them.
_E164_DIGITS = 15
_SHORTEST_IN_LIST = 7
_LONGEST_TEXT = 100

_SEPARATORS = str.maketrans("", "", " .-()/[]")
_DASHES = frozenset("\u2212\u30fc")
_QUOTES = "'\u2018\u2019`"
_ROUNDED = re.compile(r"[+-]?\d+(?:[.,]\d+)?E\+?\d+", re.IGNORECASE)
_WHOLE_DECIMAL = re.compile(r"(\+?\d{7,})\.0+")
_EXTENSION = re.compile(r"[\d)\s.,;-](?:x|ext\.?|extn\.?|extension)[\s.:=]*\d+$|[#;,]\s*\d+$", re.IGNORECASE)
_DIALLED = re.compile(r"\+?[0-9]{1,100}")
# Two runs of digits with what divides them.
_DIVISION = re.compile(r"(\d+)([^\d+]+)(?=(\d+))")
_ALTERNATIVES = frozenset("/()[]")
# The place in a numbered list, unless the same mark divides what follows too.
_LISTED = re.compile(r"\d{1,4}([.)])\s+(?!.*\1)")
# A number has at most 15 digits and few people write it in more than seven words.
_WORDS = 8
_WHOLE_WORD = re.compile(r"\D*\d{7,}\D*")
# A long group with few digits behind it, or before it.
_WITH_FEW = re.compile(r"\d{6,9}(?: */ *\d{1,3})+|\d{7,9}[ -]+\d{1,3}|([1-9]\d?)[ /]+(\d{7,})")
# So many digits in a row are rarely a group of a longer number.
_LONG_GROUP = 5


class NumberError(ValueError):
    """A text is not a number that can be called; `str()` is the reason in plain words."""


def normalise(text: str, region: str, *, bare_international: bool = False) -> str:
    """Return `text` as E.164 ("+918123456789"), reading national numbers as those of `region` ("IN").

    Separators, brackets, invisible characters, a leading apostrophe, digits of other scripts, `+`, `00`, a leading 0
    and the country code of `region` without `+` are understood. With `bare_international` so is the code of any
    other country without `+`, as carriers write numbers (`dialable`); from people it would turn a digit
    too many into a call abroad. What is valid as a national number then always is one; what people write is refused
    if it could be another number of `region` with its `+`. Raises NumberError.
    """
    digits, written = _digits(text)
    number = numbering.read(digits, region, bare_international) or _asked(digits, region, bare_international)
    if doubt := _doubt(number, digits, written, region, bare_international):
        raise NumberError(doubt)
    return number


def find(text: str, region: str, *, bare_international: bool = False) -> str:
    """Return what `normalise` returns, "" where it raises: far cheaper than that if the reason isn't needed."""
    # Not contextlib.suppress: that would cost a tenth of the time, and so would calls that are not needed.
    try:
        digits, written = (text, text) if text.isdecimal() and text.isascii() else _digits(text)
        read = numbering.read(digits, region, bare_international)
        number = _asked(digits, region, bare_international) if read is None else read
    except NumberError:
        return ""
    if not number or (written is digits and number[1] != digits[0]):
        return number
    return "" if _doubt(number, digits, written, region, bare_international) else number


def could_be_several(text: str, region: str) -> bool:
    """Tell whether `text` is one number as a whole, and a shorter one with something behind it as well.

    "9178753953/60" in India: is it +917875395360, or 9178753953 and 9178753960?
    """
    return exists(text, region) and goes_on(text, region)


def exists(text: str, region: str) -> bool:
    """Tell whether `text` is a number as a whole, whatever else it could be."""
    with suppress(NumberError):
        return _exists(_digits(text)[0], region)
    return False


def begins_late(text: str, region: str, number: str) -> bool:
    """Tell whether the first digits of `text`, which was read as `number`, may be none of it ("3. 0152 28817386").

    Or the last ones, where what is before them is too short for a number with its area code ("26543210-11").
    """
    with suppress(NumberError):
        written = _digits(text)[1]
        return _begins_late(number, written, region) or _has_a_local_number(number, written, region)
    return False


def goes_on(text: str, region: str) -> bool:
    """Tell whether `text` goes on behind a number with what is no group of its digits ("020 7946 0001-2")."""
    with suppress(NumberError):
        return _goes_on(_digits(text)[1], region)
    return False


def _doubt(number: str, digits: str, written: str, region: str, bare_international: bool) -> str:
    """Return why the number that was read may not be the one that is meant, "" if it is certain.

    `digits` are those of the text, `written` is the text with what divides them.
    """
    # Where numbers have any length (Germany), the code of the country may as well be an area code.
    if not bare_international and number[1] == digits[0] and number[1:] != digits:
        home = numbering.plan(region)
        if home and digits.startswith(home.code) and (other := numbering.read(f"+{digits}", region, False)):
            return f"{digits} has lost a 0 or a +: it could be {number} or {other}"
    if written is digits:
        return ""
    several = (
        _begins_late(number, written, region)
        or _goes_on(written, region, bare_international)
        or _has_a_local_number(number, written, region)
    )
    return f"{written} could be one number or two" if several else ""


def _goes_on(written: str, region: str, bare_international: bool = False) -> bool:
    """Tell whether a number ends before the end of what was written, and isn't followed by a group of its digits.

    Groups are divided by spaces, dots or hyphens. What follows a number in brackets or behind a slash is none, nor
    are fewer digits than very many before them, nor fewer behind the first hyphen or dot: those are an extension, or
    the last digits of another number.
    """
    if len(written.rstrip("0123456789")) <= _SHORTEST_IN_LIST:
        return False  # nothing before the last group is long enough for a number
    for division in _DIVISION.finditer(written):
        group, between, rest = division.groups()
        mark = between.strip()
        if (
            not _ALTERNATIVES.isdisjoint(between)
            or len(group) >= max(len(rest), _LONG_GROUP)
            or (mark and len(group) > len(rest) and mark not in written[: division.start()])
        ):
            start = written[: division.end(1)].translate(_SEPARATORS)
            if len(start) >= _SHORTEST_IN_LIST and _exists(start, region, bare_international):
                return True
    return False


def _begins_late(number: str, written: str, region: str) -> bool:
    """Tell whether the first digits may be none of the number, but a place in a list or a house number.

    So it is where another number than `number` begins behind them with its own 0 ("26 0152 28817386").
    """
    if mark := _LISTED.match(written) if "." in written or ")" in written else None:
        rest = numbering.read(written[mark.end() :].translate(_SEPARATORS), region, False)
        # With a 0 of its own it may well be an area code: "020) 7946 0001".
        if rest != number and (rest or not written.startswith("0")):
            return True
    home = numbering.plan(region)
    if home is None or not home.trunk or written.startswith(("+", home.trunk, "(" + home.trunk)):
        return False
    for begun in _group_with(home.trunk).finditer(written):
        rest = numbering.read(written[begun.start() :].translate(_SEPARATORS), region, False)
        if rest and rest != number:
            return True
    return False


@cache
def _group_with(trunk: str) -> re.Pattern[str]:
    """Where a later group of digits begins with this trunk prefix."""
    return re.compile(rf"(?<=[^\d+]){re.escape(trunk)}(?=\d)")


def _has_a_local_number(number: str, written: str, region: str) -> bool:
    """Tell whether what was written may be a number without area code, and an age or the end of the next one with it.

    No number is written in such groups: "26543210/11", "26543210 45" or "45 26543210" in India.
    """
    first = len(written) - len(written.lstrip("0123456789"))
    if 2 < first < 6:  # as nearly all: far cheaper than the pattern
        return False
    groups = _WITH_FEW.fullmatch(written)
    if groups is None:
        return False
    if groups[1] is None:
        return not written.startswith("0")
    home = numbering.plan(region)
    if home is None or number != f"+{home.code}{groups[1]}{groups[2]}":
        return False
    if len(groups[1]) > 1 and not home.without_area_code:
        return False
    return phonenumbers.length_of_national_destination_code(phonenumbers.parse(number)) > len(groups[1])


def _exists(digits: str, region: str, bare_international: bool = False) -> bool:
    """Tell whether digits are a number, whatever else they could be."""
    read = numbering.read(digits, region, bare_international)
    if read is None:
        with suppress(NumberError):
            read = _asked(digits, region, bare_international)
    return bool(read)


def _asked(digits: str, region: str, bare_international: bool) -> str:
    """Return E.164 as phonenumbers reads the digits, or raise NumberError with its reason."""
    if digits.startswith("+"):
        return _international(digits, digits)
    try:
        number = _national(digits, region)
    except NumberError:
        if digits.startswith("00"):
            return _international("+" + digits.lstrip("0"), digits)
        if bare_international and not digits.startswith("0"):
            with suppress(NumberError):
                return _international("+" + digits, digits)
        raise
    # In some countries the prefix for calls abroad has another digit, that of a carrier: "009 1" or "00 91"?
    if digits.startswith("00") and (other := numbering.read(f"+{digits[2:]}", region, False)) and other != number:
        raise NumberError(f"{digits} could be {other} or {number}: write it with a +")
    return number


def dialable(e164: str, region: str) -> str:
    """Return the digits that a carrier wants: national for `region`, otherwise international without "+".

    Where the international digits would read as a national number of `region` the "+" stays ("+81 2345 6789" is
    "8123456789" without it, which in India is somebody else's mobile). `normalise` with `bare_international` reads
    the result back to `e164`. `e164` must come from `normalise`.
    """
    home = f"+{phonenumbers.country_code_for_region(region)}"
    if e164.startswith(home):
        return e164[len(home) :]
    digits = e164.removeprefix("+")
    return e164 if find(digits, region) else digits


def split(text: str, region: str, bare_international: bool = False) -> list[str]:
    """Return the parts of `text` that are one number each, where several stand with only spaces between them.

    What is one number as a whole stays whole ("020 7946 0001"), and so does what doesn't divide into numbers
    without a rest, unless most of its words are long enough to be numbers by themselves.
    """
    words = text.replace("+", " +").split()
    if len(words) < 2 or _reads(text, region, bare_international):
        return [text]
    parts: list[str] = []
    start = 0
    while start < len(words):
        for end in range(start + 1, min(start + _WORDS, len(words)) + 1):
            part = " ".join(words[start:end])
            if (
                _reads(part, region, bare_international)
                and not _takes_from_next(words, start, end, region)
                and not _goes_on_with(part, words[end : end + 1], region)
            ):
                parts.append(part)
                start = end
                break
        else:
            return words if _each_could_be_whole(words) else [text]
    return parts


def is_torn(before: str, text: str, region: str) -> bool:
    """Tell whether `text` may be the last digits of a number that begins at the end of `before`, with its 0 or "+".

    So it is with "28817386" behind "030 23125001/0152", although it is a number too.
    """
    home = numbering.plan(region)
    before, text = (each if each.isascii() else "".join(map(plain, each)) for each in (before, text))
    text = text.strip()
    if home is None or text.lstrip("([").startswith(("+", "0")) or len(before) > _LONGEST_TEXT:
        return False
    begun = [before, *(before[division.end() :] for division in _DIVISION.finditer(before))]
    begun += [f"+{rest}" for rest in before.split("+")[1:]]
    return any(
        each.lstrip(" ([").startswith(("+", "0")) and _reads(f"{each} {text}", region, False) for each in begun if each
    )


def _each_could_be_whole(words: list[str]) -> bool:
    """Tell whether most words are long enough for numbers, and none of those could be the rest of one begun before."""
    digits = [sum(map(str.isdigit, word)) for word in words]
    whole = [_WHOLE_WORD.fullmatch(word) is not None for word in words]
    return sum(count >= _SHORTEST_IN_LIST for count in digits) * 2 > len(words) and all(
        count < _SHORTEST_IN_LIST or whole[place - 1] or word.startswith(("+", "0")) or not place
        for place, (word, count) in enumerate(zip(words, digits, strict=True))
    )


def _goes_on_with(part: str, following: list[str], region: str) -> bool:
    """Tell whether the word that follows a number is short, begins none itself, and makes a longer one of it."""
    return any(
        0 < sum(map(str.isdigit, word)) < _SHORTEST_IN_LIST
        and not word.lstrip("([").startswith(("+", "0"))
        and _reads(f"{part} {word}", region, False)
        for word in following
    )


def _takes_from_next(words: list[str], start: int, end: int, region: str) -> bool:
    """Tell whether a number of its own, with its 0 or country code, begins within words[start:end] and goes on behind.

    What stands in words[start:end] before it is a house number, a postcode or the like.
    """
    home = numbering.plan(region)
    part = " ".join(words[start:end])
    part = part if part.isascii() else "".join(map(plain, part))
    if home is None or part.startswith(("+", home.trunk or "0", "(" + (home.trunk or "0"))):
        return False
    return any(
        _reads(" ".join([part[division.end() :], *words[end:last]]), region, False)
        for division in _DIVISION.finditer(part)
        if division[3].startswith(home.trunk or "0") or division[3] == home.code
        for last in range(end + 1, min(end + _WORDS, len(words)) + 1)
    )


def has_extension(text: str) -> bool:
    """Tell whether `text` ends with an extension ("020 7946 0001 ext. 5")."""
    return bool(_EXTENSION.search(text[-_LONGEST_TEXT:]))


def _reads(text: str, region: str, bare_international: bool) -> bool:
    """Tell whether `text` is a number; without asking phonenumbers where it can't be one of a list."""
    if not _SHORTEST_IN_LIST <= sum(map(str.isdigit, text)) <= _E164_DIGITS + 3:
        return False
    with suppress(NumberError):
        return _exists(_digits(text)[0], region, bare_international)
    return False


def pretty(e164: str) -> str:
    """Return the number as pages show it ("+91 81234 56789"); what is no E.164 number comes back as it is."""
    try:
        return phonenumbers.format_number(phonenumbers.parse(e164), PhoneNumberFormat.INTERNATIONAL)
    except NumberParseException:
        return e164


def _digits(text: str) -> tuple[str, str]:
    """Return `text` without separators, an optional "+" and ASCII digits, and as ASCII with them."""
    if _DIALLED.fullmatch(text):
        return text, text
    text = text.strip(" \t\r\n\xa0\ufeff")
    if len(text) > _LONGEST_TEXT:
        raise NumberError(f"too long: {len(text)} characters")
    if not text.isascii():
        text = "".join(map(plain, text)).strip(" ")
    text = text.lstrip(_QUOTES)
    if not text:
        raise NumberError("empty")
    if whole := _WHOLE_DECIMAL.fullmatch(text):
        text = whole[1]
    if text[:4].lower() == "tel:":
        text = text[4:]
    digits = text.translate(_SEPARATORS)
    if _DIALLED.fullmatch(digits):
        return digits, text
    raise NumberError(_why_not_digits(text, digits))


def plain(char: str) -> str:
    """Return the ASCII that stands for one character of another script; nothing for an invisible one."""
    category = unicodedata.category(char)
    if category == "Nd":
        return str(unicodedata.decimal(char))
    if category == "Cf":
        return ""
    if category == "Zs":
        return " "
    if category == "Pd" or char in _DASHES:
        return "-"
    # Superscripts and the like would become digits that nobody meant to dial.
    return char if category == "No" else unicodedata.normalize("NFKC", char)


def _why_not_digits(text: str, digits: str) -> str:
    for char in text:
        if unicodedata.category(char) in {"Cc", "Cs"}:
            return f"has a control character (U+{ord(char):04X})"
    if _ROUNDED.fullmatch(text):
        return f"{text} is a rounded figure: the spreadsheet has lost digits"
    letters = any(map(str.isalpha, text))
    if not any(map(str.isdigit, text)):
        return "has letters, no digits" if letters else "has no digits"
    if has_extension(text):
        return "has an extension, which can't be dialled"
    if letters:
        return "has letters"
    return _why_odd(next((char for char in digits if char not in "+0123456789"), "+"))


def _why_odd(char: str) -> str:
    if char == "+":
        return 'has a "+" that is not at its start'
    return f'has "{char}"' if char.isprintable() else f"has an invisible character (U+{ord(char):04X})"


def _international(digits: str, came: str) -> str:
    """Return E.164 for digits with "+"; `came` is what they were before, for the reason."""
    try:
        number = phonenumbers.parse(digits)
    except NumberParseException as error:
        raise NumberError(_why_unparsed(error, came)) from None
    return _checked(number, came)


def _national(digits: str, region: str) -> str:
    try:
        number = phonenumbers.parse(digits, region)
    except NumberParseException as error:
        raise NumberError(_why_unparsed(error, digits)) from None
    if len(digits) <= numbering.SHORT_CODE_DIGITS:
        _refuse_short_code(digits, number, region)
    return _checked(number, digits)


def _checked(number: phonenumbers.PhoneNumber, came: str) -> str:
    if phonenumbers.is_valid_number(number):
        return phonenumbers.format_number(number, PhoneNumberFormat.E164)
    count = len(came.removeprefix("+"))
    match phonenumbers.is_possible_number_with_reason(number):
        case ValidationResult.TOO_LONG:
            raise NumberError(f"too long: {count} digits")
        case ValidationResult.TOO_SHORT:
            raise NumberError(f"too short: {count} digits")
        case ValidationResult.IS_POSSIBLE_LOCAL_ONLY:
            raise NumberError(f"too short: {count} digits, the area code is missing")
        case ValidationResult.INVALID_LENGTH:
            raise NumberError(f"wrong length: {count} digits")
    country = phonenumbers.region_code_for_country_code(number.country_code or 0)
    raise NumberError(f"not a number that exists in {'its network' if country == '001' else country}")


def _refuse_short_code(digits: str, number: phonenumbers.PhoneNumber, region: str) -> None:
    if phonenumbers.is_emergency_number(digits, region):
        raise NumberError(f"{digits} is an emergency number")
    if phonenumbers.is_valid_short_number_for_region(number, region):
        raise NumberError(f"{digits} is a short code, which can't be called from outside")


def _why_unparsed(error: NumberParseException, came: str) -> str:
    count = len(came.removeprefix("+"))
    if count > _E164_DIGITS:
        return f"too long: {count} digits"
    if error.error_type in {NumberParseException.TOO_SHORT_NSN, NumberParseException.TOO_SHORT_AFTER_IDD} or count < 3:
        return f"too short: {count} digit{'s' if count > 1 else ''}"
    if error.error_type == NumberParseException.INVALID_COUNTRY_CODE:
        return "has no country code that exists"
    return f"wrong length: {count} digits"
