"""Read answers of carriers: any of the five formats, and what comes instead of them (OBD-API.md, the last section).

The content decides what it is, because content types in the field don't.
"""

import codecs
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any

from calls.obd.reply import SUCCESS, Reply, Row, UnreadableReply, printable
from calls.obd.trees import read_json, read_php, read_xml

# Far above what our own answers hold; a row must fit into a database column all the same.
MESSAGE_LENGTH = 20_000
FIELD_LENGTH = 255
# More than fit into the 16 MiB that an answer may have, unless they say next to nothing.
MAX_ROWS = 150_000

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Others are not believed: some of Python's take quadratic time.
_CHARSETS = {"iso8859-1": "cp1252", "cp1252": "cp1252", "iso8859-15": "iso8859-15", "iso8859-2": "iso8859-2"}
_CHARSET = re.compile(r"""(?:charset|encoding)\s*=\s*["']?([\w.:-]{1,40})""", re.IGNORECASE)

_JSONP = re.compile(r"(?:/\*\*/)?\s*[A-Za-z_$][\w$.]{0,200}\s*\(\s*(?=[{\[]\s*[\"{}\]\[])", re.ASCII)
_PHP = re.compile(r"array\s*[(\[]", re.IGNORECASE)

_CODE = re.compile(r"[A-Z]?[0-9]{1,5}[A-Z]?")
_GOOD_WORDS = {"OK", "SUCCESS"}
_BAD_WORDS = {"ERROR", "FAIL", "FAILED", "FAILURE"}
_OBD_ID = re.compile(r"[0-9]+-[0-9]+")
_WHOLE = re.compile(r"([0-9]{1,9})(?:\.0*)?")
_CLOCK = re.compile(r"(?:([0-9]{1,2}):)?([0-9]{1,2}):([0-9]{2})")

_GROUP_NAMES = ("groupid", "gid", "group")
_ID_NAMES = ("id", "obdid", "callid")
_MOBILE_NAMES = ("mobile", "number", "phone", "msisdn")

_TEXT_FIELD = re.compile(r"(status|message|gid|group_?id|total|next|summary)\s*[=:]\s*(.*)", re.IGNORECASE)
_TEXT_ROW = re.compile(r"(?:id|obdid|mobile|number)\s*=", re.IGNORECASE)
# Possessive, here and in `trees`: to be able to go back takes memory for each repetition, gigabytes in a long value.
_TEXT_PAIR = re.compile(r'(?<![A-Za-z_])([A-Za-z_]{1,40})=(?:"((?:[^"\\]++|\\.)*+)"|([^\s"]*))')
_TEXT_MORE = re.compile(
    r"(message|gid|group_?id)\s*[=:]\s*(.*?)(?=[\s,;]+(?:message|gid|group_?id)\s*[=:]|$)", re.IGNORECASE
)
_TEXT_GROUP = re.compile(r"\bGID\s*[=:]\s*([\w-]{1,100})", re.IGNORECASE)


def parse(body: bytes, content_type: str = "") -> Reply:
    """Return what a carrier's answer says. The caller bounds the length of `body` (16 MiB).

    Numbers and texts may come either way, rows as an object, a list or a single one, under the names seen in the field.
    Control characters are replaced (`printable`). Raises UnreadableReply for anything else, so that nobody mistakes it
    for a refusal: web pages, cut-off or empty answers, XML with a document type, a `status` that isn't one.
    """
    text = _decode(body, content_type).lstrip("\ufeff \t\r\n\0").rstrip(" \t\r\n\0")
    if not text:
        raise UnreadableReply("the answer is empty")
    if text.startswith("<"):
        return _from_tree(read_xml(text))
    if text.startswith(("{", "[")):
        return _from_tree(read_json(text))
    if call := _JSONP.match(text):
        return _from_tree(read_json(text, call.end()))
    if _PHP.match(text):
        return _from_tree(read_php(text))
    return _from_text(text)


def _decode(body: bytes, content_type: str) -> str:
    """Return the text of an answer. What is valid UTF-8 is taken for that, whatever the headers say."""
    for bom, encoding in _BOMS:
        if body.startswith(bom):
            return body[len(bom) :].decode(encoding, errors="replace")
    # In UTF-16 without a mark every ASCII character has a zero byte on the same side.
    even, odd = body[:200:2].count(0), body[1:200:2].count(0)
    if abs(even - odd) > 5:
        return body.decode("utf-16-le" if odd > even else "utf-16-be", errors="replace")
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body.decode(_charset(content_type[:500], body[:200]), errors="replace")


def _charset(content_type: str, start: bytes) -> str:
    """Return the encoding that the header or the XML declaration names, if it is one of the old ones."""
    for text in (content_type, start.decode("latin-1") if start.lstrip().startswith(b"<?xml") else ""):
        if named := _CHARSET.search(text):
            try:
                return _CHARSETS.get(codecs.lookup(named[1]).name, "cp1252")
            except (LookupError, ValueError):
                continue
    return "cp1252"


def _from_tree(tree: Any) -> Reply:
    if not isinstance(tree, dict):
        raise UnreadableReply("the answer is no object")
    top = _named(tree)
    data = top.get("data")
    inner = _named(data) if isinstance(data, dict) else {}
    summary = top.get("summary")
    return Reply(
        status=_code(_scalar(top.get("status"))),
        message=_scalar(top.get("message", top.get("msg")), MESSAGE_LENGTH),
        group_id=_first(top, _GROUP_NAMES) or _first(inner, _GROUP_NAMES),
        rows=_limited(_rows(data)),
        total=_whole(_scalar(top.get("total"))),
        next=_scalar(top.get("next")),
        summary=_counts(summary.items() if isinstance(summary, dict) else ()),
    )


def _named(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields by their names in lower case without separators: group_id and groupId are one."""
    return {_name(key[:60]): value for key, value in tree.items()}


@lru_cache(maxsize=1024)
def _name(key: str) -> str:
    return re.sub(r"[\W_]", "", key).lower()


def _scalar(value: Any, length: int = FIELD_LENGTH) -> str:
    return printable(value[: length * 2])[:length].strip() if value and isinstance(value, str) else ""


def _first(fields: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((text for name in names if (text := _scalar(fields.get(name)))), "")


def _code(status: str) -> str:
    """Return the status of an answer, which is a number; the words that some carriers use instead are understood."""
    code = status.upper().removesuffix(".0")
    if code in _GOOD_WORDS:
        return SUCCESS
    if _CODE.fullmatch(code) or code in _BAD_WORDS:
        return code
    raise UnreadableReply("the answer has no status" if not status else "the answer's status is not known")


def _whole(text: str) -> int | None:
    match = _WHOLE.fullmatch(text)
    return int(match[1]) if match else None


def _seconds(text: str) -> int | None:
    if clock := _CLOCK.fullmatch(text):
        return int(clock[1] or 0) * 3600 + int(clock[2]) * 60 + int(clock[3])
    return _whole(text)


def _counts(pairs: Any) -> dict[str, int]:
    return {
        word: calls
        for name, count in pairs
        if (word := printable(name[:60])) and (calls := _whole(_scalar(count))) is not None
    }


def _rows(data: Any) -> Iterator[Row]:
    """Yield rows from an object keyed by position, a list, or a single row."""
    if isinstance(data, dict) and not _is_row(data):
        for key, value in data.items():
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, dict) and (_is_row(item) or _OBD_ID.fullmatch(key)):
                    yield _row(item, key)
        return
    for item in data if isinstance(data, list) else [data]:
        if isinstance(item, dict) and _is_row(item):
            yield _row(item)


def _limited(rows: Iterator[Row]) -> tuple[Row, ...]:
    found = tuple(islice(rows, MAX_ROWS + 1))
    if len(found) > MAX_ROWS:
        raise UnreadableReply(f"the answer has more than {MAX_ROWS:,} rows")
    return found


def _is_row(item: Mapping[str, Any]) -> bool:
    fields = _named(item) if item else {}
    return any(isinstance(fields.get(name), str) for name in _ID_NAMES + _MOBILE_NAMES)


def _row(item: Mapping[str, Any], key: str = "") -> Row:
    fields = _named(item)
    return Row(
        id=_first(fields, _ID_NAMES) or (key if _OBD_ID.fullmatch(key) else ""),
        mobile=_first(fields, _MOBILE_NAMES),
        status=_scalar(fields.get("status")),
        senttime=_scalar(fields["senttime"]) if "senttime" in fields else None,
        answertime=_scalar(fields.get("answertime")),
        endtime=_scalar(fields.get("endtime")),
        duration=_seconds(_scalar(fields.get("duration"))),
        retries=_whole(_scalar(fields.get("retries"))),
        digits=_scalar(fields.get("digits")),
        custom=_scalar(fields.get("custom")),
    )


def _from_text(text: str) -> Reply:
    """Read `Name=value` lines; an answer that only names a group (`GID=`) is taken as a success."""
    lines = [line.strip() for line in text.split("\n")]
    fields: dict[str, str] = {}
    for field in filter(None, map(_TEXT_FIELD.match, lines)):
        name = field[1].lower().replace("_", "")
        if name == "status" and "status" not in fields:
            fields = _status_line(field[2]) | fields
        fields.setdefault(name, field[2])
    if "status" not in fields and (group := _TEXT_GROUP.search(text)):
        fields |= {"status": SUCCESS, "gid": group[1]}
    summary = fields.get("summary", "")[: FIELD_LENGTH * 4].split()
    return Reply(
        status=_code(printable(fields.get("status", ""))),
        message=_scalar(fields.get("message"), MESSAGE_LENGTH),
        group_id=_scalar(fields.get("gid") or fields.get("groupid")),
        rows=_limited(_text_row(line) for line in lines if _TEXT_ROW.match(line)),
        total=_whole(_scalar(fields.get("total"))),
        next=_scalar(fields.get("next")),
        summary=_counts(pair.rsplit(":", 1) for pair in summary if ":" in pair),
    )


def _text_row(line: str) -> Row:
    return _row({name: _unquoted(quoted, bare) for name, quoted, bare in _TEXT_PAIR.findall(line)})


def _unquoted(quoted: str, bare: str) -> str:
    return re.sub(r"\\(.)", r"\1", quoted) or bare


def _status_line(value: str) -> dict[str, str]:
    """Return the status, and what else some carriers write on its line."""
    status, _, rest = re.sub(r"[,;]", " ", value[:20]).strip().partition(" ")
    more = {name.lower().replace("_", ""): found for name, found in _TEXT_MORE.findall(value[:2000])} if rest else {}
    return {"status": status} | more
