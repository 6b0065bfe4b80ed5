"""The rows that an import did not take, as a file of the same shape that imports again once it is mended."""

from collections.abc import Iterator

from calls.contacts.importing.layout import REASON_COLUMN, TEXT_COLUMN, Layout, Role
from calls.contacts.importing.reading import unique_titles
from calls.contacts.importing.text import NOT_CLOSED, TAKES_IN_ROWS
from calls.exports.cells import lines
from calls.models import Import

_TITLES = {Role.NUMBER: "Number", Role.NAME: "Name", Role.CUSTOM: "Custom reference", Role.REASON: "Reason"}


def refused_lines(import_: Import, *, duplicate: bool = False) -> Iterator[bytes]:
    """The CSV file in pieces: the refused rows, or those that repeat an earlier one."""
    layout = Layout.from_json(import_.layout)
    titles = _titles(layout)
    width = len(titles)
    kept = [place for place, title in enumerate(titles) if title != REASON_COLUMN]
    rows = import_.not_taken.filter(duplicate=duplicate).order_by("line", "pk").values_list("cells", "reason")
    return lines(
        [*(titles[place] for place in kept), REASON_COLUMN],
        (
            [*(cells[place] if place < len(cells) else "" for place in kept), *cells[width:], reason]
            for cells, reason in ((_placed(cells, width, reason), reason) for cells, reason in rows.iterator())
        ),
    )


def _placed(cells: list[str], width: int, reason: str) -> list[str]:
    """A row whose cells can't be told apart stands behind the columns: in one of them it could be read as a number."""
    return [*[""] * width, *cells] if reason in {NOT_CLOSED, TAKES_IN_ROWS} else cells


def _titles(layout: Layout) -> tuple[str, ...]:
    """Titles by which the columns are known again; of rows with more cells than titles the others stand behind."""
    if layout.kind == "pasted" or Role.TEXT in layout.columns:
        return (TEXT_COLUMN,)
    if layout.header:
        return layout.titles
    return unique_titles([_TITLES.get(role, "") for role in layout.columns], len(layout.columns))
