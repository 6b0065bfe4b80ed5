"""Callbacks in: the carrier reports what became of a call, at the URL that it was given with the batch."""

import logging
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from calls.carriers.rows import Reader
from calls.dialing.incoming import FILLED_IN, read_token
from calls.dialing.progress import called_back
from calls.obd.replies import Row, printable

logger = logging.getLogger(__name__)

LONGEST = 200
"""Characters of a value; no carrier's is longer."""


@login_not_required
@require_GET
@never_cache
def carrier_callback(request: HttpRequest, token: str) -> HttpResponse:
    """Take the report of one call (GET, as OBD-API.md says of `callback`).

    A forged token costs nothing but checking it; what a true one says is believed of the calls of its batch only, and
    moves no call backwards, however often it is repeated.
    """
    batch = read_token(token)
    if batch is None:
        return _answer(404, "There is no such callback.")
    report = Reader(settings.DEFAULT_REGION, ZoneInfo(settings.TIME_ZONE)).report(_row(request), by_id=True)
    try:
        if report is None or not called_back(batch, report):
            return _answer(404, "There is no such call in this batch.")
    except (OperationalError, InterfaceError):
        logger.exception("The database is away")
        return _answer(503, "Not written down; try again.")
    return _answer(200, "OK")


def _answer(status: int, text: str) -> HttpResponse:
    return HttpResponse(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")


def _row(request: HttpRequest) -> Row:
    """What the carrier filled in; a placeholder that it left as it was says nothing."""
    given = {name: printable(request.GET.get(name, ""))[:LONGEST] for name in FILLED_IN}
    given = {name: "" if value == f"{{{name}}}" else value for name, value in given.items()}
    return Row(
        id=given["obdid"],
        mobile=given["mobile"],
        status=given["status"],
        senttime=given["senttime"],
        answertime=given["answertime"],
        endtime=given["endtime"],
        duration=_whole(given["duration"]),
        retries=_whole(given["retries"]),
        digits=given["digits"],
        custom=given["custom"],
    )


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
