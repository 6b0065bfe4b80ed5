"""The values that `voice.*` parameters are made of, and the error that names a wrong one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

SHOWN_CHARACTERS = 60


@dataclass(frozen=True)
class Context:
    """What a parameter's meaning depends on besides its text.

    `now` is aware; `zone` is TIME_ZONE, in which times without a zone are read; `region` is DEFAULT_REGION. The API
    sets `bare_international`: programs (other portals too) write foreign numbers without "+"; see `normalise`.
    """

    now: datetime
    zone: ZoneInfo
    region: str
    bare_international: bool = False


class ParameterError(ValueError):
    """One parameter is wrong. `str()` names the parameter, what came and the rule; `message` is for its form field.

    `problem` says what is wrong where the rule alone would not tell; `got` is shortened and safe to show.
    """

    def __init__(self, parameter: str, got: str, rule: str, problem: str = "") -> None:
        self.parameter = parameter
        self.got = shown(got)
        self.rule = rule
        self.problem = problem
        super().__init__(f"{parameter}: {self.message}")

    @property
    def message(self) -> str:
        """What came and the rule, without the parameter's name."""
        if self.problem:
            return f'"{self.got}" {self.problem}; needed: {self.rule}' if self.got else f"{self.problem}; {self.rule}"
        return f'"{self.got}" is not {self.rule}' if self.got else f"missing; needed: {self.rule}"


class ParameterErrors(ValueError):
    """Everything that is wrong with one request, in the order of the table of parameters; never empty."""

    def __init__(self, errors: list[ParameterError]) -> None:
        self.errors = errors
        super().__init__("; ".join(map(str, errors)))


@dataclass(frozen=True)
class Play:
    """What is heard: a sound (`123.sound`) or an IVR (`1234.ivr`)."""

    kind: Literal["sound", "ivr"]
    number: int

    def __str__(self) -> str:
        return f"{self.number}.{self.kind}"


@dataclass(frozen=True)
class NumberToken:
    """One of the `numbers`: as it came (`raw`), and its E.164 form, or the reason why it is none."""

    raw: str
    number: str | None
    reason: str


@dataclass(frozen=True)
class CallId:
    """An OBD ID `<call group>-<n>`; without `n` it means the call group."""

    group: int
    n: int | None

    def __str__(self) -> str:
        return str(self.group) if self.n is None else f"{self.group}-{self.n}"


@dataclass(frozen=True)
class CallParameters:
    """The parameters of `voice.call`, clean: what is missing has its default, what is overridden is empty.

    `scheduletime` is aware, in UTC; `delay` is in seconds.
    """

    numbers: tuple[NumberToken, ...]
    group_ids: tuple[int, ...]
    group_name: str
    play: Play | None
    message: str
    retries: int
    campaign: str
    newgroup: bool
    scheduletime: datetime | None
    delay: int
    meta: Mapping[str, Any] | None
    custom: tuple[str, ...]
    callback: str
    format: str
    jsonp: str


@dataclass(frozen=True)
class StatusParameters:
    """The parameters of `voice.status`, clean; `mobile` is E.164 or empty."""

    ids: tuple[CallId, ...]
    mobile: str
    format: str
    jsonp: str


@dataclass(frozen=True)
class GroupStatusParameters:
    """The parameters of `voice.groupstatus`, clean; `after` is the `n` of the last call seen, 0 for none."""

    group: int
    campaign: str
    limit: int
    after: int
    format: str
    jsonp: str


def shown(text: str) -> str:
    """Return `text` shortened, with control and invisible characters escaped, so that it can stand in any message."""
    if len(text) <= SHOWN_CHARACTERS and text.isprintable():
        return text
    safe = "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text[: SHOWN_CHARACTERS + 1]
    )
    return safe if len(safe) <= SHOWN_CHARACTERS else safe[: SHOWN_CHARACTERS - 1] + "…"
