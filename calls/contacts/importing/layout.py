"""How a file is read: what kind it is, where its titles are and what its columns hold."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Self

MAX_COLUMNS = 500
MAX_EXTRA = MAX_COLUMNS - 3
"""Columns that are kept beside number, name and custom reference: as many as a file has room for, in and out."""

REASON_COLUMN = "not added because"
"""Title of the column with the reason in a file of rows that were not taken; it is left out when that is imported."""

TEXT_COLUMN = "Pasted numbers"
"""Title of the column with lines of pasted text in such a file."""


class Role(StrEnum):
    """What a column holds."""

    NUMBER = "number"
    TEXT = "text"  # numbers and names as people paste them; no other column has anything then
    NAME = "name"
    CUSTOM = "custom"
    EXTRA = "extra"
    REASON = "reason"  # of suppressed numbers
    SKIP = "skip"


@dataclass(frozen=True)
class Layout:
    """How a file is read.

    `kind` is "csv", "xlsx" (every kind of workbook) or "pasted" (free text: there are no columns). `header` is the
    number of the line, or row of the sheet, with the titles; 0 if there is none; what is above it is left out.
    `columns` has a role for each column. Several columns with numbers each give a number, several with names one name.
    Rows with something beyond the columns are refused.
    """

    kind: str
    encoding: str = "utf-8"
    delimiter: str = ","
    header: int = 0
    titles: tuple[str, ...] = ()
    columns: tuple[Role, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For a JSON column."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """What :meth:`as_json` made."""
        return cls(**data | {"titles": tuple(data["titles"]), "columns": tuple(map(Role, data["columns"]))})
