"""The rows that an import did not take, as a file of the same shape that imports again once it is mended."""

from collections.abc import Iterator

from calls.models import Import

REASON_COLUMN = "not added because"
"""Title of the last column, which is left out when the file is imported again."""


def refused_lines(import_: Import, *, duplicate: bool = False) -> Iterator[str]:
    """The CSV, line by line: the refused rows, or those that repeat an earlier one."""
    raise NotImplementedError
