"""What an import would make of the first rows of its file."""

from dataclasses import dataclass

from calls.contacts.importing.layout import Layout
from calls.models import Import

PREVIEW_ROWS = 20


@dataclass(frozen=True)
class PreviewRow:
    """One row: its `cells` as text, and what is read from it; `reason` says why it would be refused."""

    line: int
    cells: tuple[str, ...]
    numbers: tuple[str, ...]
    name: str
    repaired: str
    reason: str


@dataclass(frozen=True)
class Preview:
    """The first rows as they would be read, the title of each column, and what the person should know."""

    rows: list[PreviewRow]
    titles: tuple[str, ...]
    warnings: list[str]


def preview(import_: Import, layout: Layout) -> Preview:
    """The first rows as they would be read with this layout. Raises UploadError."""
    raise NotImplementedError
