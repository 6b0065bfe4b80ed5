"""Cells of spreadsheets: which numbers they hold although a spreadsheet has damaged them, or why they are refused.

A number is repaired where there is one way to read it, and refused where there are two or none: a call to somebody else
is worse than a call that isn't made. What a whole number looks like says calls.contacts.numbers.
"""

import math
import re
import unicodedata
from datetime import date, time, timedelta
from typing import NamedTuple

from calls.contacts import numbering
from calls.contacts.numbers import (
    NumberError,
    begins_late,
    could_be_several,
    find,
    goes_on,
    has_extension,
    is_torn,
    normalise,
    plain,
    split,
)
from calls.obd.values import shown

# What python-calamine gives for a cell (a datetime is a date).
CellValue = str | int | float | date | time | timedelta

# Of longer numbers spreadsheets keep 15 digits and make the others 0.
_KEPT_DIGITS = 15
_LARGEST_FLOAT = 1e300
_LONGEST_CELL = 1000
_MOST_NUMBERS = 20
# Below this, a digit put back in front would make a number of what was none.
_SHORTEST_REPAIRED = 7

# What needs no repair, only reading; without what may divide numbers or a date, except the hyphen.
_ORDINARY = re.compile(r"\+?[0-9 ()-]+")
_UNMARKED = re.compile(r"[1-9][0-9 ().-]*")
_FORMULA_TEXT = re.compile(r'="(.*)"', re.DOTALL)
_APOSTROPHES = "'`\u2018\u2019"
_QUOTES = f'{_APOSTROPHES}"\u201c\u201d\u201e'
_LABEL = re.compile(
    r"((?:tele)?phone|tel|ph|mobile|mob|cell|whatsapp)\b\.?(?: ?(?:no\.?|nr\.?|number)(?![a-z]))? ?:? ?(?=[+(\d])",
    re.IGNORECASE,
)
# Of numbers with country code spreadsheets show and write out the first digits only, unless they are told otherwise.
_ROUNDED_ZEROS = "0" * 6
_ROUNDED = re.compile(rf"[1-9]\d{{5,}}{_ROUNDED_ZEROS}")
# Italian landlines begin with 0; without it some are as long as an old mobile.
_KEEPS_ZERO = "+39"
_OLD_MOBILE = re.compile(r"3\d{8}")
# One dot, before the last one or two digits: people divide numbers otherwise.
_DECIMALS = re.compile(r"\+?\d[\d ]*\.\d{1,2}")
_WHOLE_DECIMAL = re.compile(r"(\+?\d{7,})[.,]0+")
_THOUSANDS = re.compile(r"(\d{1,3}(?:,\d{2,3})*,\d{3})(?:\.0+)?")
_SCIENTIFIC = re.compile(r"(\+?)(\d+)(?:[.,](\d+))?E\+?(\d{1,2})", re.IGNORECASE)
_BETWEEN = re.compile(
    r"[/,;|&\r\n\x0b\x0c\u2028\u2029]|_x000[AD]_|(?<![a-z])(?:or|and)(?![a-z])",
    re.IGNORECASE,
)
_TIME_OF_DAY = r"(?:[T ]\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?(?: ?[AP]M)?)?"
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DAY, _MONTH_NUMBER, _YEAR = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])", r"(?:(?:19|20)\d\d|\d\d)"
_DATE = re.compile(
    rf"(?:(?:19|20)\d\d([-/.]){_MONTH_NUMBER}\1{_DAY}|{_DAY}([-/.]){_MONTH_NUMBER}\2{_YEAR}"
    rf"|{_MONTH_NUMBER}([-/.]){_DAY}\3{_YEAR}|{_DAY}[- ]{_MONTH}(?:[- ,]+{_YEAR})?|{_MONTH}[- ]+{_YEAR}){_TIME_OF_DAY}",
    re.IGNORECASE,
)
_NOT_SHOWN = re.compile(r"#{3,}")
_FORMULA_ERROR = re.compile(r"#(?:N/A|REF!|VALUE!|NAME\?|NUM!|NULL!|DIV/0!|SPILL!|CALC!|GETTING_DATA)", re.IGNORECASE)


class Cell(NamedTuple):
    """What a cell holds: `numbers` (E.164), each once, or else the `reason` why it is refused.

    `repaired` says in a few words what was done to read the numbers; "" for what was written well.
    """

    numbers: tuple[str, ...]
    repaired: str = ""
    reason: str = ""


def read_cell(value: CellValue, region: str, *, put_back: bool = True) -> Cell:
    """Return the numbers of one cell of a spreadsheet or CSV file; national ones are of `region` ("IN").

    A cell with several numbers is taken whole or refused whole, so that a row is one or the other. `put_back` says
    whether a lost 0 or "+" is put back: not in text that may be something else. The "+" of another country never is:
    an amount, the number of an identity card or one without its area code would ring somebody abroad.
    """
    if plainly := _plainly(value, region):
        return Cell((plainly,))
    try:
        if isinstance(value, str):
            return _read_text(value, region, put_back)
        return _read_value(value, region, put_back)
    except NumberError as error:
        return Cell((), reason=str(error))


def _plainly(value: CellValue, region: str) -> str:
    """Return the number of a cell that needs no repair and can't be anything else, "" if it isn't that simple."""
    if isinstance(value, str):
        if value.isdecimal() and value.isascii():
            return "" if value.endswith(_ROUNDED_ZEROS) else _with_its_zero(find(value, region), value, region)
        if _ORDINARY.fullmatch(value) and not ("-" in value and _DATE.fullmatch(value)):
            return find(value, region)
    elif isinstance(value, float) and 0 < value < 10**_KEPT_DIGITS and value.is_integer():
        digits = str(int(value))
        return "" if digits.endswith(_ROUNDED_ZEROS) else _with_its_zero(find(digits, region), digits, region)
    return ""


def _with_its_zero(number: str, digits: str, region: str) -> str:
    """Return a number, "" if it may be another one that has lost its 0: Italian landlines have one, mobiles none."""
    return "" if number.startswith(_KEEPS_ZERO) and _lost_zero(number, digits, region) else number


def _found(text: str, region: str) -> str:
    """Return what `find` does. Raises NumberError if it may be another number that has lost its 0."""
    number = find(text, region)
    if number.startswith(_KEEPS_ZERO) and (other := _lost_zero(number, text, region)):
        raise NumberError(f"{shown(text)} may have lost a 0: it could be {number} or {other}")
    return number


def _lost_zero(number: str, digits: str, region: str) -> str:
    """Return the number that digits are with a 0 before them, "" if there is none or `number` isn't those digits."""
    if not _OLD_MOBILE.fullmatch(digits) or number != f"{_KEEPS_ZERO}{digits}":
        return ""
    longer = find(f"0{digits}", region)
    return longer if longer == f"{_KEEPS_ZERO}0{digits}" else ""


def _read_value(value: int | float | date | time | timedelta, region: str, put_back: bool) -> Cell:
    """Read a cell that isn't text. Raises NumberError."""
    if isinstance(value, date | time | timedelta):
        kind = "date" if isinstance(value, date) else "time"
        raise NumberError(f"{value} is a {kind}: the spreadsheet took the number for one, or it is another column")
    if isinstance(value, bool):
        raise NumberError(f"{str(value).upper()} is not a number to call")
    if value >= 10**_KEPT_DIGITS and value < math.inf:
        raise NumberError(f"{_amount(value)} has more than {_KEPT_DIGITS} digits: the spreadsheet has lost the others")
    if value < 0:
        raise NumberError(f"{_amount(value)} is below 0: the spreadsheet has calculated with what was typed")
    if not math.isfinite(value) or value != int(value):
        raise NumberError(f"{_amount(value)} is not a whole number")
    number, repairs = _one(str(int(value)), region, put_back)
    return Cell((number,), _said(repairs))


def _amount(value: float) -> str:
    # An int can be larger than any float.
    return "a number without end" if _LARGEST_FLOAT < abs(value) < math.inf else f"{value:.15g}"


def _read_text(text: str, region: str, put_back: bool) -> Cell:
    """Read a cell with text: as one number, or as several. Raises NumberError."""
    if len(text) > _LONGEST_CELL:
        raise NumberError(f"too long: {len(text)} characters")
    text, repairs = _cleaned(text)
    if _DATE.fullmatch(text):
        raise NumberError(f"{text} is a date: the spreadsheet took the number for one, or it is another column")
    if _NOT_SHOWN.fullmatch(text):
        raise NumberError(f"{shown(text)} stands for a number that the spreadsheet's column was too narrow to show")
    if _FORMULA_ERROR.fullmatch(text):
        raise NumberError(f"{text} is an error of a formula in the spreadsheet")
    parts = _parts(text)
    text = parts[0] if len(parts) == 1 else text
    whole = find(_written_out(text)[0], region)
    several = _several(text, region, put_back)
    doubt = not whole and could_be_several(text, region)
    if several and (whole or doubt) and several.numbers not in ((), (whole,)):
        raise NumberError(f"{shown(text)} could be one number or {len(several.numbers)}")
    if several and not whole and not doubt:
        return several._replace(repaired=_said([*repairs, several.repaired]) if several.numbers else "")
    number, more = _one(text, region, put_back)
    return Cell((number,), _said([*repairs, *more]))


def _parts(text: str) -> list[str]:
    """Return what stands between separators, without those that have nothing to read around them."""
    return [part.strip() for part in _BETWEEN.split(text) if any(map(str.isalnum, part))]


def _several(text: str, region: str, put_back: bool) -> Cell | None:
    """Read a cell as several numbers; None if it has no parts of which one at least is a number.

    Refused if only some parts are numbers: whether the others matter nobody can tell. Raises NumberError for too many.
    """
    parts = [piece for part in _parts(text) for piece in split(part, region)]
    if len(parts) < 2:
        return None
    if len(parts) > _MOST_NUMBERS:
        raise NumberError(f"has {len(parts)} parts; at most {_MOST_NUMBERS} numbers can be in one cell")
    numbers: list[str] = []
    repairs: list[str] = []
    refused: list[str] = []
    for before, part in zip(["", *parts], parts, strict=False):
        cleaned, some = _cleaned(part)
        if before and is_torn(before, cleaned, region):
            refused.append(f'"{shown(part)}" beside a number: it may be the rest of that number')
            continue
        try:
            number, more = _one(cleaned, region, put_back)
        except NumberError as error:
            refused.append(f'"{shown(part)}" beside a number: {error}')
        else:
            numbers.append(number)
            repairs += some + more
    if refused and numbers and not has_extension(text):
        return Cell((), reason=refused[0])
    if refused:
        return None
    each = tuple(dict.fromkeys(numbers))
    counted = f"{len(each)} numbers in one cell" if len(each) > 1 else "the same number more than once"
    return Cell(each, _said([counted, *repairs]))


def _one(text: str, region: str, put_back: bool) -> tuple[str, list[str]]:
    """Return the only number that clean text can mean, and what was repaired. Raises NumberError."""
    text, repairs = _written_out(text)
    if _ROUNDED.fullmatch(text):
        raise NumberError(_why_rounded(text))
    if _DECIMALS.fullmatch(text):
        raise NumberError(f"{shown(text)} is an amount with decimals, or the spreadsheet has calculated with it")
    if number := _found(text, region):
        return number, repairs
    longer = _longer(text, region)
    if len(longer) > 1 and put_back:
        raise NumberError(f"{shown(text)} has lost a 0 or a +: it could be {' or '.join(longer)}")
    if put_back and any(begins_late(text, region, number) for number in longer):
        raise NumberError(f"{shown(text)} could be one number or two")
    for number, lost in longer.items():
        if lost and put_back:
            return number, [*repairs, f"lost {lost} put back"]
    try:
        return normalise(text, region), repairs
    except NumberError as error:
        if "" in longer.values():
            raise NumberError(f"{error}; if it has lost its +, write it with the +") from None
        raise


def _longer(text: str, region: str) -> dict[str, str]:
    """Return the numbers that text would be with a leading 0 or "+", which number cells lose, each with what was lost.

    For a number of another country that is "": it is told, but not put back.
    """
    digits = "".join(filter(str.isdigit, text))
    home = numbering.plan(region)
    if len(digits) < _SHORTEST_REPAIRED or not _UNMARKED.fullmatch(text) or home is None or goes_on(text, region):
        return {}
    found = {}
    national, international = find(f"0{text}", region), find(f"+{text}", region)
    # A carrier's code, or the prefix of a longer number, must not be taken off what is left.
    if national in {f"+{home.code}0{digits}", f"+{home.code}{f'0{digits}'.removeprefix(home.trunk)}"}:
        found[national] = "0"
    if international == f"+{digits}":
        found.setdefault(international, "+" if digits.startswith(home.code) else "")
    elif found and international and digits.startswith(home.code):
        found[international] = "+"  # with the 0 behind the country code: "490221…"
    return found


def _why_rounded(digits: str) -> str:
    return f"{digits} is a figure that the spreadsheet has probably rounded: it ends with {len(_ROUNDED_ZEROS)} zeros"


def _written_out(text: str) -> tuple[str, list[str]]:
    """Return the digits of a number that was formatted as an amount, and what was done; no digit is invented.

    Raises NumberError for one that was rounded.
    """
    if whole := _WHOLE_DECIMAL.fullmatch(text):
        return whole[1], [f'"{shown(text.removeprefix(whole[1]))}" removed']
    if (groups := _THOUSANDS.fullmatch(text)) and len(groups[1]) > _SHORTEST_REPAIRED:
        return groups[1].replace(",", ""), ["thousands separators removed"]
    if scientific := _SCIENTIFIC.fullmatch(text):
        plus, whole_part, decimals, exponent = scientific.groups(default="")
        shift = int(exponent)
        if shift <= len(decimals) and not decimals[shift:].strip("0"):
            digits = whole_part + decimals[:shift]
            if _ROUNDED.fullmatch(digits):
                raise NumberError(_why_rounded(digits))
            return plus + digits, [f"{shown(text)} written out"]
    return text, []


def _cleaned(text: str) -> tuple[str, list[str]]:
    """Return text in ASCII as far as it goes, without quotes and labels, and what was done."""
    repairs: list[str] = []
    if formula := _FORMULA_TEXT.fullmatch(text.strip()):
        text = formula[1]
    if not text.isascii():
        kinds = {unicodedata.category(char) for char in text if not char.isascii()}
        names = {
            "Cf": "invisible characters removed",
            "Zs": "unusual spaces replaced",
            "Nd": "digits of another script replaced",
        }
        repairs += [name for kind, name in names.items() if kind in kinds]
        text = "".join(map(plain, text))
    text = text.strip()
    if unquoted := text.strip(_QUOTES).strip():
        if unquoted != text:
            repairs.append("quotes removed" if text.strip(_APOSTROPHES).strip() != unquoted else "apostrophe removed")
        text = unquoted
    if label := _LABEL.match(text):
        repairs.append(f'"{label[0].strip()}" removed')
        text = text[label.end() :]
    return text, repairs


def _said(repairs: list[str]) -> str:
    return ", ".join(dict.fromkeys(filter(None, repairs)))
