"""What the titles of columns mean, in the languages in which lists come."""

import re
import unicodedata
from collections.abc import Sequence
from enum import IntEnum

from calls.contacts.importing.layout import REASON_COLUMN

WHOLE_NAMES = ("name", "fullname", "customername", "contactname", "contactperson", "customer", "नाम")

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\x00-\x7f]+")
# These surely mean numbers to call; the shorter ones are words of their own.
_PHONES = re.compile(
    r"mobil|phone|telef|handy|rufnummer|whatsapp|msisdn|celular|cellular|telemovel|मोबाइल|फोन|फ\u093cोन|телефон"
)
_PHONE = re.compile(r"mob(no)?|tel(no|nr)?|tlf|ph|phn|phno|cells?|cel|fono?|gsm|movil(es)?|portable")
# These may mean them, and both together surely do.
_NUMBER = re.compile(r"numbers?|num|nos?|nr|nummer|numeros?|numer|नंबर")
_CONTACT = re.compile(r"contacts?|kontakt|contacto|contato|contatto|संपर्क")
_CONTACT_NUMBER = re.compile(r"contact(no|number)|kontaktnummer")
# Answers, too: alone they don't make a row one of titles.
_ANSWER = re.compile(r"nos?|nr|num")
# With these, a column has something about numbers or contacts;
_ABOUT = re.compile(
    r"ids?|uid|type|model|name|operator|network|provider|brand|os|e?mail|date|time|status|code|pin|amount|plan|imei"
    r"|verified|count|reason|automobil.*|mobility|phonetic|(tele)?fax"
)
# or numbers of something else;
_THING = re.compile(
    r"acc?|acct|account.*|order.*|invoice.*|serial.*|aadha.*|adhaar.*|pan|gst(in)?|emp|employee.*|ref|reference|uhid|utr"
    r"|txn|transaction.*|dob|zip|pincode|postal|postcode|plz|amt|otp|ifsc|vat|tin|bank|loan|card|roll|bill|policy"
    r"|case|job|contract|meter|docket|awb|rrn|tracking|complaint|licen[cs]e|passport|membership|application|admission|booking"
    r"|ticket.*|token.*|voucher.*|receipt.*|registration.*|bestell.*|rechnung.*|konto.*|kunden.*"
)
# or those of somebody beside the contact.
_SOMEBODY = re.compile(
    r"alt|alternat(e|iv|ive)|other|second|secondary|emergency|fathers?|mothers?|parents?|guardian|spouse|husband|wife"
    r"|nominee|agent|manager|relative|friend|referred|old|previous"
)


class Rank(IntEnum):
    """How surely a title means the numbers of the contacts."""

    SURE = 0
    PERHAPS = 1
    SOMEBODY = 2  # numbers for sure, but of others


def in_letters(title: str) -> str:
    """A title without spaces, digits and signs, in small letters."""
    return "".join(char for char in title.lower() if unicodedata.category(char)[0] in "LM")


def is_reason(title: str) -> bool:
    """Whether it is the title of the reasons in a file of refused rows."""
    return in_letters(title) == in_letters(REASON_COLUMN)


def has_number_word(title: str) -> bool:
    """Whether a title has a word that means numbers, or may: then its row is one of titles."""
    words = _words(title)
    return in_letters(title) not in WHOLE_NAMES and (
        _means_phones(words)
        or _any(_CONTACT, words)
        or any(_NUMBER.fullmatch(word) and not _ANSWER.fullmatch(word) for word in words)
    )


def has_something_else(title: str) -> bool:
    """Whether a title says that its column has no numbers of contacts: IDs, dates, numbers of accounts."""
    words = _words(title)
    return _any(_ABOUT, words) or _any(_THING, words)


def number_rank(title: str) -> Rank | None:
    """How surely a title means numbers to call, None for one that doesn't."""
    words = _words(title)
    if in_letters(title) in WHOLE_NAMES or _any(_ABOUT, words):
        return None
    both = _any(_CONTACT, words) and _any(_NUMBER, words) and not _any(_THING, words)
    if both or _means_phones(words):
        return Rank.SOMEBODY if _any(_SOMEBODY, words) else Rank.SURE
    known = [word for word in words if _CONTACT.fullmatch(word) or _NUMBER.fullmatch(word)]
    return Rank.PERHAPS if known and known == words else None


def _words(title: str) -> list[str]:
    """The words of a title in small letters, without accents."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", title) if not "\u0300" <= char <= "\u036f")
    return [word.lower() for word in _WORD.findall(plain)]


def _means_phones(words: Sequence[str]) -> bool:
    return _any(_PHONE, words) or _any(_CONTACT_NUMBER, words) or bool(_PHONES.search("".join(words)))


def _any(pattern: re.Pattern[str], words: Sequence[str]) -> bool:
    return any(map(pattern.fullmatch, words))
