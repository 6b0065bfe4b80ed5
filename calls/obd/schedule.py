"""`scheduletime`: the forms in which a time is understood, and how far ahead it may be (OBD-API.md, voice.call)."""

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta

from calls.obd.cleaning import Limited, RuleError
from calls.obd.values import Context

_EPOCH = re.compile(r"[0-9]{9,11}")
_EPOCH_TOO_FINE = re.compile(r"[0-9]{12,19}")
_STAMP = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})[ T]([0-9]{2}):([0-9]{2})(?::([0-9]{2}))?")
_DAY_FIRST = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4}) ([0-9]{1,2}):([0-9]{2}) ?([AP])M", re.IGNORECASE)


def schedule_time(parameter: Limited, text: str, context: Context) -> datetime:
    """Return the time in UTC. Times without a zone are read in `context.zone`; an ambiguous one is the first."""
    try:
        time = _read(text, context)
    except OverflowError:
        raise RuleError("is out of range") from None
    ahead = time - context.now
    if ahead <= timedelta(0):
        raise RuleError("is in the past")
    if ahead < timedelta(minutes=parameter.limits["min_minutes"]):
        raise RuleError(f"is only {ahead // timedelta(minutes=1)} minutes ahead")
    if time > _months_later(context, parameter.limits["max_months"]):
        raise RuleError(f"is {ahead.days} days ahead")
    return time


def _read(text: str, context: Context) -> datetime:
    if _EPOCH.fullmatch(text):
        return datetime.fromtimestamp(int(text), UTC)
    if _EPOCH_TOO_FINE.fullmatch(text):
        raise RuleError("looks like milliseconds; epoch time is in seconds")
    try:
        return _in_zone(_local(text), context)
    except ValueError as error:
        if isinstance(error, RuleError):
            raise
        raise RuleError("is no time that exists") from None


def _local(text: str) -> datetime:
    """Return the time as written, naive; ValueError if the calendar or the clock has no such time."""
    if match := _STAMP.fullmatch(text):
        return datetime(*(int(part or 0) for part in match.groups()))  # type: ignore[arg-type]  # noqa: DTZ001
    if match := _DAY_FIRST.fullmatch(text):
        day, month, year, hour, minute = map(int, match.groups()[:5])
        if not 1 <= hour <= 12:
            raise ValueError(hour)
        return datetime(year, month, day, hour % 12 + (12 if match[6] in "pP" else 0), minute)  # noqa: DTZ001
    raise RuleError


def _in_zone(local: datetime, context: Context) -> datetime:
    time = local.replace(tzinfo=context.zone).astimezone(UTC)
    if time.astimezone(context.zone).replace(tzinfo=None, fold=0) != local:
        raise RuleError(f"does not exist in {context.zone.key}: clocks skip it")
    return time


def _months_later(context: Context, months: int) -> datetime:
    """Return the end of the allowed time: the same local time so many months later, or that month's last day."""
    now = context.now.astimezone(context.zone)
    years, month = divmod(now.month - 1 + months, 12)
    year, month = now.year + years, month + 1
    return now.replace(year=year, month=month, day=min(now.day, monthrange(year, month)[1])).astimezone(UTC)
