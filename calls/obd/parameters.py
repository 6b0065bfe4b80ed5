"""The parameters of the OBD API: one table that documents and checks them (OBD-API.md).

The form, the API, its page and its OpenAPI description are made from `PARAMETERS`. Limits are data in it, so that a
rule can't say one thing while the check does another. Parameters that the table doesn't know are ignored:
integrations send extra ones.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from calls.obd import cleaning
from calls.obd.cleaning import PLACEHOLDERS, RuleError, fill_callback
from calls.obd.schedule import schedule_time
from calls.obd.values import (
    CallId,
    CallParameters,
    Context,
    GroupStatusParameters,
    NumberToken,
    ParameterError,
    ParameterErrors,
    Play,
    StatusParameters,
)

__all__ = [
    "FORMATS",
    "MAX_NUMBERS",
    "PARAMETERS",
    "PLACEHOLDERS",
    "CallId",
    "CallParameters",
    "Context",
    "GroupStatusParameters",
    "NumberToken",
    "Parameter",
    "ParameterError",
    "ParameterErrors",
    "Play",
    "StatusParameters",
    "clean_call",
    "clean_groupstatus",
    "clean_method",
    "clean_status",
    "fill_callback",
    "parameter",
]

FORMATS = ("text", "json", "jsonp", "xml", "php")
MAX_NUMBERS = 200

KEPT_HEADER = "Idempotency-Key-Kept"
"""Header of every answer: for how many seconds the answer to a request with an `Idempotency-Key` is given again."""


@dataclass(frozen=True)
class Parameter:
    """One parameter: what people read about it and how its text is checked.

    `rule_text` may name its limits in braces, and `{choices}`. `limits` use the names of JSON Schema in snake case
    where it has one. `required` holds unless the parameter called `unless` is given. `default` is the text that
    a missing parameter stands for, `empty` the value where there is no such text.
    """

    name: str
    summary: str
    rule_text: str
    example: str
    cleaner: Callable[[Any, str, Context], Any] = field(repr=False)
    required: bool = False
    unless: str = ""
    default: str = ""
    empty: Any = None
    limits: Mapping[str, int] = field(default_factory=dict)
    choices: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def rule(self) -> str:
        """The rule in plain words, with the limits as they are."""
        words = {name: f"{limit:,}" for name, limit in self.limits.items()}
        return self.rule_text.format(**words, choices=_choices(self))

    def clean(self, text: str, context: Context) -> Any:
        """Return the value of `text`, which may be blank; raise ParameterError."""
        text = text.strip() or self.default
        if not text:
            return self.empty
        try:
            return self.cleaner(self, text, context)
        except RuleError as wrong:
            raise self.error(text if wrong.got is None else wrong.got, wrong.problem) from None

    def error(self, got: str, problem: str = "") -> ParameterError:
        """Return the error that says what came and the rule."""
        return ParameterError(self.name, got, self.rule, problem)


def _choices(parameter: Parameter) -> str:
    """Return "0, 1 or 2": the choices, or the few whole numbers that the limits allow."""
    words = list(parameter.choices)
    if not words and "maximum" in parameter.limits:
        lowest, highest = parameter.limits["minimum"], parameter.limits["maximum"]
        if highest - lowest > 5:
            return f"a whole number from {lowest:,} to {highest:,}"
        words = [str(number) for number in range(lowest, highest + 1)]
    return " or ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


_ANSWER = (
    Parameter(
        name="format",
        summary="Format of the answer.",
        rule_text="{choices}",
        example="json",
        cleaner=cleaning.choice,
        default="text",
        choices=FORMATS,
    ),
    Parameter(
        name="jsonp",
        summary="Name of the function that is called with the answer when format is jsonp.",
        rule_text="the name of a JavaScript function, dots allowed, up to {max_length} characters",
        example="shop.onCall",
        cleaner=cleaning.identifier,
        default="callback",
        limits={"max_length": 100},
    ),
)

_CALL = (
    Parameter(
        name="numbers",
        summary="The phone numbers to call.",
        rule_text="phone numbers separated by commas, at most {max_items}",
        example="8123456789,+91 74104 10123",
        cleaner=cleaning.numbers,
        required=True,
        unless="group",
        empty=(),
        limits={"max_items": MAX_NUMBERS},
    ),
    Parameter(
        name="group",
        summary="The contact groups to call instead of numbers, which it overrides.",
        rule_text="contact group IDs separated by commas (at most {max_items}), or the name of one contact group",
        example="12,15",
        cleaner=cleaning.contact_groups,
        empty=((), ""),
        limits={"max_items": 100, "max_length": 100},
    ),
    Parameter(
        name="play",
        summary="The sound or IVR that is heard; has priority over message.",
        rule_text="a sound like 123.sound, or an IVR like ivr:1234 or 1234.ivr",
        example="123.sound",
        cleaner=cleaning.play,
        required=True,
        unless="message",
    ),
    Parameter(
        name="message",
        summary="English text that is spoken. Typographic quotes and dashes become plain ones, line breaks spaces.",
        rule_text="English text in plain ASCII characters, up to {max_length} characters",
        example="Your order has arrived.",
        cleaner=cleaning.message,
        empty="",
        limits={"max_length": 1000},
    ),
    Parameter(
        name="retries",
        summary="How often a call that was not answered is tried again.",
        rule_text="{choices}",
        example="1",
        cleaner=cleaning.whole,
        default="0",
        limits={"minimum": 0, "maximum": 2},
        aliases=("retry",),
    ),
    Parameter(
        name="campaign",
        summary="Name under which the calls are found again.",
        rule_text="text on one line, up to {max_length} characters",
        example="Spring sale",
        cleaner=cleaning.one_line,
        empty="",
        limits={"max_length": 100},
    ),
    Parameter(
        name="newgroup",
        summary="1 makes a call group of its own; 0 lists similar requests of one day in one call group.",
        rule_text="{choices}",
        example="1",
        cleaner=cleaning.flag,
        default="0",
        choices=("0", "1"),
    ),
    Parameter(
        name="scheduletime",
        summary="When the calls are made, in the portal's time zone unless it is epoch time.",
        rule_text=(
            "epoch seconds, YYYY-MM-DD HH:MM:SS, YYYY-MM-DDTHH:MM or DD/MM/YYYY HH:MM AM, "
            "from {min_minutes} minutes to {max_months} months ahead"
        ),
        example="2026-12-24 18:00:00",
        cleaner=schedule_time,
        limits={"min_minutes": 15, "max_months": 2},
    ),
    Parameter(
        name="delay",
        summary="Seconds to wait before the request is handed over.",
        rule_text="{choices} seconds",
        example="60",
        cleaner=cleaning.whole,
        default="0",
        limits={"minimum": 0, "maximum": 900},
    ),
    Parameter(
        name="meta",
        summary="Data of your own, kept with the call group and given back in reports and callbacks.",
        rule_text="a JSON object of at most {max_bytes} bytes",
        example='{"order": 4711}',
        cleaner=cleaning.meta,
        empty=None,
        limits={"max_bytes": 8192},
    ),
    Parameter(
        name="custom",
        summary="Reference of your own for each number; with group, one for all of them.",
        rule_text=(
            "references of letters, digits, - and _, each up to {max_length} characters, "
            "separated by commas, as many as numbers; with group a single one"
        ),
        example="order-4711,order-4712",
        cleaner=cleaning.references,
        empty=(),
        limits={"max_length": 64},
    ),
    Parameter(
        name="callback",
        summary=(
            "URL that is requested (GET) at the end of each call, with its placeholders filled in: "
            + " ".join(f"{{{name}}}" for name in PLACEHOLDERS)
        ),
        rule_text=(
            "an http or https URL of up to {max_length} characters, with known placeholders behind the host, "
            "meta once at most"
        ),
        example="https://example.com/done?id={obdid}&status={status}",
        cleaner=cleaning.callback,
        empty="",
        limits={"max_length": 2000},
    ),
    *_ANSWER,
)

_STATUS = (
    Parameter(
        name="id",
        summary="The calls to report; a call group ID means its calls.",
        rule_text="OBD IDs like 123456-1 separated by commas, at most {max_items}",
        example="123456-1",
        cleaner=cleaning.call_ids,
        required=True,
        empty=(),
        limits={"max_items": MAX_NUMBERS},
    ),
    Parameter(
        name="mobile",
        summary="Only the call to this number.",
        rule_text="a phone number",
        example="8123456789",
        cleaner=cleaning.mobile,
        empty="",
    ),
    *_ANSWER,
)

_GROUPSTATUS = (
    Parameter(
        name="groupid",
        summary="The call group to report; an OBD ID means the call group that it belongs to.",
        rule_text="a call group ID like 123456",
        example="123456",
        cleaner=cleaning.call_id,
        required=True,
    ),
    Parameter(
        name="campaign",
        summary="Only if the call group has this campaign.",
        rule_text="text on one line, up to {max_length} characters",
        example="Spring sale",
        cleaner=cleaning.one_line,
        empty="",
        limits={"max_length": 100},
    ),
    Parameter(
        name="limit",
        summary="How many calls one answer lists.",
        rule_text="{choices}",
        example="500",
        cleaner=cleaning.whole,
        default="1000",
        limits={"minimum": 1, "maximum": 10_000},
    ),
    Parameter(
        name="after",
        summary="The last OBD ID seen: the answer continues behind it.",
        rule_text="an OBD ID of this call group, like 123456-1000",
        example="123456-1000",
        cleaner=cleaning.call_id,
    ),
    *_ANSWER,
)

PARAMETERS: dict[str, tuple[Parameter, ...]] = {
    "voice.call": _CALL,
    "voice.status": _STATUS,
    "voice.groupstatus": _GROUPSTATUS,
}


def parameter(method: str, name: str) -> Parameter:
    """Return one row of the table; KeyError if there is none."""
    for row in PARAMETERS[method]:
        if row.name == name:
            return row
    raise KeyError(name)


def clean_method(text: str) -> str:
    """Return the method, which is compared without case; raise ParameterError."""
    if (method := text.strip().lower()) in PARAMETERS:
        return method
    raise ParameterError("method", text, ", ".join(PARAMETERS))


def clean_call(raw: Mapping[str, str], context: Context, *, max_numbers: int | None = None) -> CallParameters:
    """Return the parameters of `voice.call`; raise ParameterErrors with everything that is wrong.

    `max_numbers` replaces the table's limit: the form takes more than one request of the API may have. Numbers that
    can't be called are no error here: each says its reason, and the plan decides whether any is left.
    """
    given = {name for name in ("group", "play") if raw.get(name, "").strip()}
    overridden = {"numbers"} if "group" in given else set()
    overridden |= {"message"} if "play" in given else set()
    table = PARAMETERS["voice.call"]
    if max_numbers is not None:
        table = tuple(
            replace(row, limits={**row.limits, "max_items": max_numbers}) if row.name == "numbers" else row
            for row in table
        )
    values, errors = _clean(table, raw, context, overridden)
    names = {error.parameter for error in errors}
    if not names & {"numbers", "group", "custom"}:
        errors += _custom_mismatch(values, table)
    if errors:
        raise ParameterErrors(errors)
    values["group_ids"], values["group_name"] = values.pop("group")
    return CallParameters(**values)


def clean_status(raw: Mapping[str, str], context: Context) -> StatusParameters:
    """Return the parameters of `voice.status`; raise ParameterErrors."""
    values, errors = _clean(PARAMETERS["voice.status"], raw, context)
    if errors:
        raise ParameterErrors(errors)
    return StatusParameters(ids=values.pop("id"), **values)


def clean_groupstatus(raw: Mapping[str, str], context: Context) -> GroupStatusParameters:
    """Return the parameters of `voice.groupstatus`; raise ParameterErrors."""
    values, errors = _clean(PARAMETERS["voice.groupstatus"], raw, context)
    if errors:
        raise ParameterErrors(errors)
    group: CallId = values.pop("groupid")
    after: CallId | None = values.pop("after")
    if after and (after.n is None or after.group != group.group):
        raise ParameterErrors([parameter("voice.groupstatus", "after").error(str(after))])
    return GroupStatusParameters(group=group.group, after=after.n or 0 if after else 0, **values)


def _clean(
    table: tuple[Parameter, ...], raw: Mapping[str, str], context: Context, overridden: set[str] | None = None
) -> tuple[dict[str, Any], list[ParameterError]]:
    values: dict[str, Any] = {}
    errors: list[ParameterError] = []
    for row in table:
        values[row.name] = row.empty
        if row.name in (overridden or ()):
            continue
        try:
            text = _text(row, raw)
            if row.required and not text and not raw.get(row.unless, "").strip():
                raise _missing(row)
            values[row.name] = row.clean(text, context)
        except ParameterError as error:
            errors.append(error)
    return values, errors


def _text(row: Parameter, raw: Mapping[str, str]) -> str:
    """Return what was given for a parameter under any of its names."""
    texts = {name: text for name in (row.name, *row.aliases) if (text := raw.get(name, "").strip())}
    if len(set(texts.values())) > 1:
        raise row.error(" and ".join(texts.values()), f"are different values of {' and '.join(texts)}")
    return next(iter(texts.values()), "")


def _missing(row: Parameter) -> ParameterError:
    return ParameterError(row.name, "", f"{row.rule}; or {row.unless} instead" if row.unless else row.rule)


def _custom_mismatch(values: Mapping[str, Any], table: tuple[Parameter, ...]) -> list[ParameterError]:
    custom, numbers = values["custom"], values["numbers"]
    by_group = values["group"] != ((), "")
    if not custom or len(custom) == (1 if by_group else len(numbers)):
        return []
    (row,) = (row for row in table if row.name == "custom")
    problem = "are too many for a group" if by_group else f"do not match {len(numbers):,} numbers"
    return [row.error(f"{len(custom):,} references", problem)]
