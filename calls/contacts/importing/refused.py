"""The rows that an import did not take, as a file of the same shape that imports again once it is mended."""

from collections.abc import Iterator

from calls.contacts.importing.layout import REASON_COLUMN, Layout
from calls.exports.cells import lines
from calls.models import Import


def refused_lines(import_: Import, *, duplicate: bool = False) -> Iterator[bytes]:
    """The CSV file in pieces: the refused rows, or those that repeat an earlier one."""
    layout = Layout.from_json(import_.layout)
    width = len(layout.columns) or 1
    rows = import_.not_taken.filter(duplicate=duplicate).order_by("line", "pk").values_list("cells", "reason")
    titles = layout.titles if layout.header else [""] * width
    return lines(
        [*titles, REASON_COLUMN],
        ([*(cells + [""] * width)[: max(width, len(cells))], reason] for cells, reason in rows.iterator()),
    )
