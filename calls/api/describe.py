"""What the API page and the OpenAPI description say besides the table of parameters: one wording for both."""

from datetime import timedelta
from typing import NamedTuple

from django.utils import timezone

from calls.obd.parameters import Parameter
from calls.obd.replies import SUCCESS, Reply, Row
from calls.obd.schedule import schedule_time


class Method(NamedTuple):
    """What a method is for, and an answer to it."""

    summary: str
    text: str
    sample: Reply


METHODS = {
    "voice.call": Method(
        "Start calls",
        "Calls phone numbers or the contacts of contact groups, and plays a sound, an IVR or a spoken text. "
        "Numbers that are repeated, on a suppression list, invalid or called often enough that day are not called: "
        "the answer lists them with the status DUPLICATE, DND, INVALID or CAPPED and without an ID; where none can be "
        "called, with the status 400. "
        "With more than 200 contacts it lists the first 200 calls, and total says how many there are.",
        Reply(
            SUCCESS,
            "OK",
            group_id="123456",
            rows=(
                Row(id="123456-1", mobile="8123456789", status="QUEUED", custom="order-4711"),
                Row(id="", mobile="7410410123", status="DND", custom="order-4712"),
            ),
        ),
    ),
    "voice.status": Method(
        "Ask what became of calls",
        "Reports single calls by their OBD IDs. A bare call group ID means its calls, at most the first 200.",
        Reply(
            SUCCESS,
            "OK",
            rows=(
                Row(
                    id="123456-1",
                    mobile="8123456789",
                    status="COMPLETED",
                    senttime="2026-03-02 12:09:16",
                    answertime="2026-03-02 12:09:24",
                    endtime="2026-03-02 12:09:58",
                    duration=34,
                    retries=0,
                    digits="1",
                    custom="order-4711",
                ),
            ),
        ),
    ),
    "voice.groupstatus": Method(
        "Ask what became of a call group",
        "Reports the calls of a call group in pages: while the answer has next, ask again with it as after. total is "
        "the number of all calls, summary the number by status.",
        Reply(
            SUCCESS,
            "OK",
            group_id="123456",
            rows=(
                Row(
                    id="123456-1",
                    mobile="8123456789",
                    status="COMPLETED",
                    senttime="2026-03-02 12:09:16",
                    answertime="2026-03-02 12:09:24",
                    endtime="2026-03-02 12:09:58",
                    duration=34,
                    retries=0,
                ),
            ),
            total=3,
            next="123456-1",
            summary={"COMPLETED": 1, "NOANSWER": 1, "INPROGRESS": 1},
        ),
    ),
}

ERRORS = {
    400: "A parameter is missing, malformed or out of range. The message names the parameter, what came and the rule. "
    "Or none of the numbers of voice.call can be called: then data lists them.",
    401: "There is no API key, or it is wrong, revoked or expired.",
    403: "The key's user may not do this, or the key does not work from your address.",
    404: "There is no such call, call group, contact group, sound or IVR for this key.",
    405: "The HTTP method is neither GET nor POST.",
    409: "The Idempotency-Key was used before with other parameters.",
    413: "The body is larger than 1 MiB.",
    414: "The URL of a GET is longer than about 8,000 characters: use POST. This answer is a web page in every format.",
    429: "The key's rate is exceeded. The header Retry-After says after how many seconds to try again.",
    500: "The database was lost at the last step of voice.call: whether calls were started is not known. Ask for them "
    "before you repeat it; with the same Idempotency-Key it is safe to repeat.",
    503: "The portal can't reach its database. Nothing was started; try again.",
}

_FAILURES = {
    400: 'retries: "5" is not 0, 1 or 2',
    401: "The API key is missing, wrong, revoked or expired.",
    403: "This API key does not work from your address.",
    404: "id: there is no call 123456-1",
    405: "PUT: not possible here; use POST or GET",
    409: "Idempotency-Key: used before with other parameters",
    413: "body: 2,097,152 bytes; at most 1,048,576",
    414: "Request Line is too large",
    429: "More than 600 requests a minute; try again in 3 s",
    500: "The database was lost at the last step: whether calls were started is not known. Ask for them before you "
    "repeat this, or repeat it with the same Idempotency-Key.",
    503: "The portal can't reach its database. Nothing was started.",
}


def failure(status: int) -> Reply:
    """An answer with this status."""
    return Reply(str(status), _FAILURES[status])


def example_of(row: Parameter) -> str:
    """An example that works today: a time is soon too old, so that one is tomorrow evening."""
    if row.cleaner is schedule_time:
        return f"{timezone.localdate() + timedelta(days=1)} 18:00:00"
    return row.example


FORMATS = {
    "text": "text/plain; charset=utf-8",
    "json": "application/json",
    "jsonp": "application/javascript; charset=utf-8",
    "xml": "application/xml; charset=utf-8",
    "php": "text/plain; charset=utf-8",
}
"""Content type of each format; a test holds it to what `render` answers."""

PLACEHOLDERS = {
    "obdid": "OBD ID of the call, such as 123456-1",
    "mobile": "The number, as the API writes it",
    "status": "Final status: COMPLETED, NOANSWER, BUSY, FAILED, CONGESTION, REJECTED, DND, CANCELLED or EXPIRED",
    "campaign": "Campaign of the call group",
    "custom": "Your reference of this call",
    "senttime": "When the call was handed over",
    "answertime": "When it was answered; empty if it was not",
    "endtime": "When it ended",
    "duration": "Seconds that it lasted",
    "retries": "How often it was tried again",
    "digits": "Keys that were pressed",
    "meta": "Your meta, as JSON",
}
