"""The `obd` carrier: a Kaleyra OBD account, another portal, or anything else that speaks the OBD API (OBD-API.md).

It always POSTs, sends the key in the `x-api-key` header and nowhere else, and asks for JSON. What an answer means for
rule 1 of DESIGN.md is decided in `_read` and `_refusal`; what a broken connection means, in `connection`.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django.conf import settings

from calls.carriers.base import (
    MAX_CALLS,
    Accepted,
    CarrierError,
    NoAnswer,
    NotTaken,
    Order,
    Question,
    Refused,
    Report,
    Stopped,
    Turn,
    Unconfirmed,
)
from calls.carriers.connection import Answer, Broken, Connection, NeverSent
from calls.carriers.rows import Reader
from calls.contacts.numbers import dialable
from calls.obd.parameters import KEPT_HEADER
from calls.obd.replies import SUCCESS, Reply, Row, UnreadableReply, parse

PAGE_ROWS = 1_000
"""Rows asked for in one page of `voice.groupstatus`; a carrier without pages sends all at once."""

MAX_PAGES = 2_000
"""More pages than this are no group of calls but a carrier that never ends."""

# In the message of a refusal: the key or the account is meant, so everything else would be refused too.
_ACCOUNT = re.compile(
    r"\b(?:api[\s_-]?key|(?:invalid|wrong|unknown|inactive|expired|revoked|disabled|missing|no) key|authenticat\w+"
    r"|credits?|balance|recharge|account (?:is |has been )?(?:suspended|blocked|disabled|expired|inactive|locked))\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\(?\+?\d(?:[\s().-]{0,2}\d){6,}")
_SAID = 200

_OF_NUMBERS = frozenset({"DND", "INVALID", "CAPPED"})
"""Words that say of a number that it is not called, and nothing of others."""

LONGEST_KEPT = 7 * 24 * 3600
"""Seconds; nobody keeps answers for longer."""

HARMLESS = "1-1"
"""An OBD ID to ask for where only it counts that there is an answer."""

UNKNOWN = 0
"""In place of a status: whether the request was taken is not known."""


@dataclass(eq=False)
class ObdCarrier:
    """Places calls through the OBD API at `base_url` (`https://host/api/v1/`).

    `timeout` is in seconds, for the whole answer to one request; `region` is the one whose numbers are sent as
    national ones; `zone` is that of the times which the carrier reads and writes; `retry_gap` is in seconds; `cps` is
    how many calls it begins in a second (0: not known). Any number of threads may use it.
    """

    base_url: str
    api_key: str = field(repr=False)
    timeout: float
    connections: int
    region: str
    zone: ZoneInfo
    name: str = "obd"
    retry_gap: float = 15 * 60.0
    cps: float = 0.0
    idempotent_seconds: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._url = endpoint(self.base_url)
        self._problem = _misconfigured(self.base_url.strip(), self.api_key)
        self._rows = Reader(self.region, self.zone)
        # Status questions are asked beside the requests that hand over.
        self._connection = Connection(self.timeout, connections=max(self.connections, 1) * 2)

    @classmethod
    def from_settings(cls) -> Self:
        """The carrier of the settings; wrong ones are said when something is to be placed."""
        return cls(
            base_url=settings.OBD_BASE_URL,
            api_key=settings.OBD_API_KEY.strip(),
            timeout=settings.OBD_TIMEOUT,
            connections=settings.CARRIER_CONNECTIONS,
            region=settings.DEFAULT_REGION,
            zone=ZoneInfo(settings.TIME_ZONE),
            retry_gap=settings.OBD_RETRY_MINUTES * 60,
            cps=settings.CARRIER_CPS,
        )

    @property
    def account(self) -> str:
        """A digest of address and key: what one account knows of a request, another doesn't."""
        return hashlib.sha256(f"{self._url} {self.api_key}".encode()).hexdigest()

    def close(self) -> None:
        """Close the connections that are kept for further requests."""
        self._connection.close()

    def place(self, order: Order) -> Accepted:
        """Hand over one order by `voice.call`, in one request. Raises NotTaken, Stopped, Refused or Unconfirmed."""
        headers = {"Idempotency-Key": order.key} if order.key else {}
        reply, error = self._exchange(self._parameters(order), headers)
        if error:
            refused = self._none_called(reply, order) if isinstance(error, Refused) else {}
            if not refused:
                raise error
            return Accepted(refused=refused, message=self._said(reply.message))
        ids, refused = self._rows.placed(reply.rows, order.calls)
        return Accepted(group=reply.group_id, ids=ids, refused=refused, message=self._said(reply.message))

    def _none_called(self, reply: Reply, order: Order) -> dict[str, str]:
        """The carrier's word for each call, where it refused an order because none of its numbers may be called.

        Empty if it refused it for anything else: then it would refuse others too.
        """
        ids, refused = self._rows.placed(reply.rows, order.calls)
        about_all = not ids and len(refused) == len(order.calls)
        return refused if about_all and {word.upper() for word in refused.values()} <= _OF_NUMBERS else {}

    def check(self) -> str:
        """Ask for a call that is hardly there. Raises NotTaken, Stopped or Unconfirmed."""
        with suppress(Refused):  # that is an answer
            self._ask({"method": "voice.status", "id": HARMLESS})
        return "The carrier answers and takes our key."

    def reports(self, question: Question, turn: Turn = nullcontext) -> Iterator[Report]:
        """What the carrier knows: `voice.groupstatus`, or `voice.status` where its group is not known.

        Without a group and without any ID of the carrier's there is nothing to ask. Raises NoAnswer, perhaps after
        some reports; so may `turn`, which is entered around each request.
        """
        rows = self._group_rows(question.group, turn) if question.group else self._call_rows(question, turn)
        try:
            for row in rows:
                report = self._rows.report(row, question.calls)
                if report:
                    yield report
        except CarrierError as error:
            raise NoAnswer(str(error)) from error

    def _parameters(self, order: Order) -> dict[str, str]:
        """The parameters of `voice.call`; those that are empty are left out (OBD-API.md, "voice.call")."""
        to = (
            {"group": order.group, "custom": order.custom}
            if order.group
            else {
                "numbers": ",".join(dialable(call.number, self.region) for call in order.calls),
                "custom": ",".join(call.obd_id for call in order.calls),
            }
        )
        optional = {
            **to,
            "play": order.play,
            "message": order.message,
            "campaign": order.campaign,
            "scheduletime": self._local(order.schedule_time) if order.schedule_time else "",
            "delay": str(order.delay or ""),
            "meta": json.dumps(order.meta, ensure_ascii=False, separators=(",", ":")) if order.meta else "",
            "callback": order.callback,
        }
        return {
            "method": "voice.call",
            **{name: text for name, text in optional.items() if text},
            "retries": str(order.retries),
            "newgroup": str(int(order.newgroup)),
        }

    def _local(self, time: datetime) -> str:
        """A time as the carrier reads it; as epoch seconds where the clock shows that hour for the second time."""
        local = time.astimezone(self.zone)
        return str(int(time.timestamp())) if local.fold else f"{local:%Y-%m-%d %H:%M:%S}"

    def _group_rows(self, group: str, turn: Turn) -> Iterator[Row]:
        after = ""
        seen = set()
        for _ in range(MAX_PAGES):
            page = {"limit": str(PAGE_ROWS), "after": after} if after else {}
            with turn():
                reply = self._ask({"method": "voice.groupstatus", "groupid": group, **page})
            yield from reply.rows
            after = reply.next
            if not after or after in seen:
                return
            seen.add(after)
        raise NoAnswer(f"The carrier's list of this call group has no end: {MAX_PAGES:,} pages were read.")

    def _call_rows(self, question: Question, turn: Turn) -> Iterator[Row]:
        ids = [call.carrier_id for call in question.calls if call.carrier_id]
        for start in range(0, len(ids), MAX_CALLS):
            with turn():
                reply = self._ask({"method": "voice.status", "id": ",".join(ids[start : start + MAX_CALLS])})
            yield from reply.rows

    def _ask(self, parameters: Mapping[str, str]) -> Reply:
        """Make one request and return the answer to it, a success. Raises NotTaken, Stopped, Refused or Unconfirmed."""
        reply, error = self._exchange(parameters, {})
        if error:
            raise error
        return reply

    def _exchange(self, parameters: Mapping[str, str], headers: Mapping[str, str]) -> tuple[Reply, CarrierError | None]:
        """Make one request: the answer to it, with what it means other than success. Raises as `_ask`, without one."""
        if self._problem:
            raise Stopped(self._problem)
        try:
            answer = self._connection.post(
                self._url, {**parameters, "format": "json"}, {"x-api-key": self.api_key, **headers}
            )
        except NeverSent as error:
            raise NotTaken(str(error)) from error
        except Broken as error:
            raise Unconfirmed(str(error)) from error
        return self._read(answer)

    def _read(self, answer: Answer) -> tuple[Reply, CarrierError | None]:
        if 300 <= answer.status < 400:
            raise Unconfirmed(f"The carrier redirected the request elsewhere ({answer.status}); that is not followed.")
        try:
            reply = parse(answer.body, answer.content_type)
        except UnreadableReply as error:
            raise Unconfirmed(f"The carrier answered {answer.status} with something unreadable.") from error
        kept = answer.headers.get(KEPT_HEADER, "")
        self.idempotent_seconds = min(int(kept), LONGEST_KEPT) if re.fullmatch("[0-9]{1,9}", kept) else 0
        if reply.ok and 200 <= answer.status < 300:
            return reply, None
        return reply, self._refusal(_decisive(answer.status, reply.status), reply, _retry_after(answer))

    def _refusal(self, status: int, reply: Reply, retry_after: float | None) -> CarrierError:
        """What a readable answer other than success means."""
        said = self._said(reply.message)
        tail = f": {said}" if said else "."
        if status == UNKNOWN:
            return Unconfirmed(f"The carrier answered with the status {reply.status}, which settles nothing{tail}")
        # 408: somebody on the way stopped waiting, for us or for the carrier.
        if status == 408 or not 400 <= status < 500:
            return Unconfirmed(f"The carrier failed with {status}{tail}")
        if status == 429:
            return NotTaken(f"The carrier takes no more requests just now (429){tail}", retry_after)
        if status in {401, 402, 403} or _ACCOUNT.search(reply.message):
            return Stopped(f"The carrier refuses our key or account ({status}){tail}")
        return Refused(f"The carrier refused the request ({status}){tail}")

    def _said(self, text: str) -> str:
        """The carrier's own words, fit to be shown: without the key, without phone numbers, not too long."""
        return _NUMBER.sub("(number)", text.replace(self.api_key, "(key)"))[:_SAID]


def _retry_after(answer: Answer) -> float | None:
    """Seconds that the carrier asks to wait (`Retry-After`, seconds or a date); None if it asks for nothing."""
    asked = answer.headers.get("Retry-After", "").strip()
    if re.fullmatch("[0-9]{1,9}", asked):
        return float(asked)
    try:
        at = parsedate_to_datetime(asked)
    except ValueError:
        return None
    return max(0.0, (at - datetime.now(UTC)).total_seconds()) if at.tzinfo else None


def _decisive(http: int, stated: str) -> int:
    """The status that counts, of the one by HTTP and the one in the body; UNKNOWN if they contradict each other."""
    if http >= 500:
        return http
    code = re.fullmatch("[A-Z]?([0-9]{3})", stated)
    if code:
        return int(code[1]) if 200 <= http < 300 or code[1] != SUCCESS else UNKNOWN
    if stated.isalpha():  # a word such as ERROR
        return max(http, 400)
    return UNKNOWN


def endpoint(base_url: str) -> str:
    """The URL that requests go to: with a slash at its end, unless it names a script (`index.php`)."""
    url = base_url.strip().rstrip("/")
    return url if url.endswith(".php") else f"{url}/"


def _misconfigured(base_url: str, key: str) -> str:
    """What is wrong with the settings, in one sentence; empty if nothing is."""
    if not base_url:
        return "OBD_BASE_URL is not set: where the carrier is."
    try:
        url = urlsplit(base_url)
        is_address = url.scheme in {"http", "https"} and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        is_address = False
    if not is_address or url.username is not None or url.query or url.fragment:
        return "OBD_BASE_URL is not a plain address such as https://host/api/v1/."
    if not key:
        return "OBD_API_KEY is not set: the key of the OBD account."
    if not re.fullmatch("[!-~]+", key):
        return "OBD_API_KEY has characters that no key has."
    return ""
