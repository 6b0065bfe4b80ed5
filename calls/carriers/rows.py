"""The rows in a carrier's answers: which of our calls each is about, and what it says (OBD-API.md)."""

import re
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from calls.carriers.base import AskedCall, OrderedCall, Report
from calls.contacts.numbers import NumberError, dialable, normalise
from calls.obd.replies import Row
from calls.obd.statuses import Status, from_word

_OBD_ID = re.compile(r"[0-9]{1,18}-[0-9]{1,18}")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2})?")
_NOT_PLACED = frozenset({Status.DND, Status.REJECTED})

LONGEST_CALL = 7 * 24 * 3600
"""Seconds."""

MOST_RETRIES = 1_000


class Reader:
    """Reads rows: numbers without country code are those of `region`, times without zone those of `zone`."""

    def __init__(self, region: str, zone: ZoneInfo) -> None:
        self._region = region
        self._zone = zone

    def placed(self, rows: Sequence[Row], calls: Sequence[OrderedCall]) -> tuple[dict[str, str], dict[str, str]]:
        """From the answer to `voice.call`: the carrier's IDs, and its words for calls not placed, by our OBD ID."""
        ids: dict[str, str] = {}
        refused: dict[str, str] = {}
        for obd_id, row in self._pairs(rows, calls):
            if row.id:
                ids.setdefault(obd_id, row.id)
            elif _is_refused(row.status):
                refused[obd_id] = row.status
        return ids, {obd_id: word for obd_id, word in refused.items() if obd_id not in ids}

    def _pairs(self, rows: Sequence[Row], calls: Sequence[OrderedCall]) -> list[tuple[str, Row]]:
        """Rows with the OBD ID of the call that each is about; rows about no call of ours are left out."""
        if len(rows) == len(calls) and all(row.id and not row.mobile and not row.custom for row in rows):
            return [(call.obd_id, row) for call, row in zip(calls, rows, strict=True)]
        ours = {call.obd_id for call in calls}
        by_number = {call.number: call.obd_id for call in calls}
        # As it was sent is how it mostly comes back; reading a number takes a hundred times as long.
        by_text = {dialable(call.number, self._region): call.obd_id for call in calls}
        pairs = []
        for row in rows:
            obd_id = row.custom if row.custom in ours else by_text.get(row.mobile) or by_number.get(self._e164(row))
            if obd_id:
                pairs.append((obd_id, row))
        return pairs

    def report(self, row: Row, asked: Sequence[AskedCall] = (), *, by_id: bool = False) -> Report | None:
        """The report of one row of a status answer; None where nothing says which call it is about.

        `number` is empty where only `obd_id` tells the call, or, with `by_id`, the carrier's own ID.
        """
        obd_id = row.custom if _OBD_ID.fullmatch(row.custom) else ""
        number = self._e164(row) or _number_asked(row, asked)
        if not (number or obd_id or (by_id and row.id)):
            return None
        return Report(
            number=number,
            word=row.status,
            obd_id=obd_id,
            carrier_id=row.id,
            sent_at=self._time(row.senttime),
            answered_at=self._time(row.answertime),
            ended_at=self._time(row.endtime),
            duration=_at_most(LONGEST_CALL, row.duration),
            retries=_at_most(MOST_RETRIES, row.retries),
            digits=row.digits,
        )

    def _e164(self, row: Row) -> str:
        try:
            return normalise(row.mobile, self._region, bare_international=True) if row.mobile else ""
        except NumberError:
            return ""

    def _time(self, written: str | None) -> datetime | None:
        """A time of the carrier's, aware; None where it is empty or no time ("0000-00-00 00:00:00")."""
        match = _TIME.match(written or "")
        if not match:
            return None
        try:
            return datetime.fromisoformat(match[0]).replace(tzinfo=self._zone)
        except ValueError:
            return None


def _is_refused(word: str) -> bool:
    """Whether a row without an ID says that its number is not called."""
    return word.upper() in {"DUPLICATE", "CAPPED"} or from_word(word) in _NOT_PLACED


def _number_asked(row: Row, asked: Sequence[AskedCall]) -> str:
    """The number of the call asked about, where the carrier masks or mangles numbers but gives an ID."""
    for call in asked:
        if row.custom == call.obd_id or (row.id and row.id == call.carrier_id):
            return call.number
    return ""


def _at_most(most: int, value: int | None) -> int | None:
    """The value, unless it can't be meant (and would not fit into its column)."""
    return None if value is None or value > most else value
