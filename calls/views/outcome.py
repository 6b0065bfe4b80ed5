"""What became of added numbers: kept beside the session, shown and downloaded until the next time."""

from dataclasses import asdict
from typing import Any

from django.contrib import messages
from django.contrib.sessions.backends.db import SessionStore
from django.http import Http404, HttpRequest, StreamingHttpResponse

from calls.contacts.store import REASON_COLUMN, Line, Result
from calls.dialing.export import cell, lines

KEPT_FOR = 24 * 60 * 60
"""Seconds that a result is kept."""

KEPT = 5
"""Results that a session keeps, one per contact group and one of the suppression list; older ones are forgotten."""

SHOWN = 500
"""Lines that a page shows; the download has all."""

KINDS = {"refused": "Refused", "already": "Already there", "duplicates": "Repeated"}
_KEYS = "outcomes"


def keep(request: HttpRequest, name: str, result: Result, **typed: str) -> None:
    """Keep `result` under `name`, with what else was typed into the form.

    It gets a record of its own among the sessions: in the session itself every page would load it.
    """
    record = SessionStore()
    record.set_expiry(KEPT_FOR)
    record["result"], record["typed"] = asdict(result), typed
    record.create()
    keys: dict[str, str] = request.session.get(_KEYS, {})
    forgotten = [keys.pop(name)] if name in keys else []
    keys[name] = str(record.session_key)
    forgotten += [keys.pop(old) for old in list(keys)[:-KEPT]]
    request.session[_KEYS] = keys
    for key in forgotten:
        SessionStore().delete(key)


def recall(request: HttpRequest, name: str) -> tuple[Result, dict[str, str]]:
    """The result kept under `name`, and what else was typed. Raises Http404 if there is none (any more)."""
    record = SessionStore(request.session.get(_KEYS, {}).get(name))
    if "result" not in record:
        raise Http404("nothing was added lately")
    kept = record["result"]
    lists = {kind: [Line(**line) for line in kept[kind]] for kind in KINDS}
    return Result(added=kept["added"], **lists), record["typed"]


def tell(request: HttpRequest, result: Result, what: str) -> None:
    """Say after the action what became of the lines; `what` is one of what was added: "contact"."""
    if result.added:
        plural = "" if result.added == 1 else "s"
        messages.success(request, f"{result.added:,} {what}{plural} added.")
    else:
        messages.warning(request, "Nothing was added.")


def context(request: HttpRequest, result: Result) -> dict[str, Any]:
    """What components/outcome.html shows: counts, and the chosen kind of lines."""
    counts = {kind: len(getattr(result, kind)) for kind in KINDS}
    shown = request.GET.get("show", "")
    if shown not in KINDS:
        shown = next((kind for kind, count in counts.items() if count), "refused")
    found = getattr(result, shown)
    return {
        "result": result,
        "kind": shown,
        "kind_word": KINDS[shown],
        "tabs": [
            {"label": word, "url": f"?show={kind}", "count": counts[kind], "current": kind == shown}
            for kind, word in KINDS.items()
        ],
        "lines": found[:SHOWN],
        "more": max(0, len(found) - SHOWN),
        "several_sources": len({line.source for line in found}) > 1,
    }


def to_mend(result: Result) -> str:
    """The refused lines as text that can be mended and added again; empty if they are too many for that."""
    if len(result.refused) > SHOWN:
        return ""
    return "\n".join(f"{line.name}, {line.text}" if line.name else line.text for line in result.refused)


def download(request: HttpRequest, result: Result, filename: str) -> StreamingHttpResponse:
    """The lines of one kind as a CSV file, which can be added again once it is mended."""
    kind = request.GET.get("show", "")
    if kind not in KINDS:
        raise Http404("no such kind of lines")
    found = getattr(result, kind)
    titles = list(dict.fromkeys(title for line in found for title in line.extra))
    rows = (
        [line.text, line.name, *(line.extra.get(title) for title in titles), _where_and_why(line)] for line in found
    )
    response = StreamingHttpResponse(
        lines(["number", "name", *map(cell, titles), REASON_COLUMN], rows), content_type="text/csv; charset=utf-8"
    )
    response["Content-Disposition"] = f'attachment; filename="{filename}-{kind}.csv"'
    return response


def _where_and_why(line: Line) -> str:
    return f"{line.source}, line {line.line}: {line.reason}"
