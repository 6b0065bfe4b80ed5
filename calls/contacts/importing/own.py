"""The portal's own exports: in them each column is known by its place, whatever the titles of extra columns are."""

from collections.abc import Sequence

from django.conf import settings

from calls.contacts.importing.layout import REASON_COLUMN, Role
from calls.contacts.repair import CellValue, read_cell

CONTACT_TITLES = ("number", "name", "custom reference")
"""How the first row of an exported contact group begins; the titles of its extra columns follow, as they are."""

SUPPRESSION_TITLES = ("number", "reason", "source", "added by", "added")
"""The first row of an exported suppression list."""

_FIRST_LINE = ",".join(CONTACT_TITLES)


def is_contacts(titles: Sequence[CellValue]) -> bool:
    """Whether these are the titles of an exported contact group."""
    return tuple(titles[: len(CONTACT_TITLES)]) == CONTACT_TITLES


def begins_as_own(text: str) -> bool:
    """Whether this is the text of an exported contact group, as it was saved: then commas divide its cells."""
    return text.startswith(_FIRST_LINE) and text[len(_FIRST_LINE) :][:1] in {"", ",", "\r", "\n"}


def own_columns(
    titles: Sequence[CellValue], rows: Sequence[tuple[int, Sequence[CellValue]]], *, suppression: bool
) -> tuple[Role, ...]:
    """The role of each column of an export; none if `titles` are not those of one, or no number is where they are.

    What a file of rows that were not taken has behind them is left out.
    """
    if is_contacts(titles):
        first: tuple[Role, ...] = (Role.NUMBER, *((Role.SKIP, Role.SKIP) if suppression else (Role.NAME, Role.CUSTOM)))
        rest = Role.SKIP if suppression else Role.EXTRA
    elif suppression and tuple(titles[: len(SUPPRESSION_TITLES)]) == SUPPRESSION_TITLES:
        first, rest = (Role.NUMBER, Role.REASON, Role.SKIP, Role.SKIP, Role.SKIP), Role.SKIP
    else:
        return ()
    if not any(read_cell(cells[0], settings.DEFAULT_REGION).numbers for _, cells in rows if cells):
        return ()
    width = max([len(titles), *(len(cells) for _, cells in rows)])
    roles = [*first, *[rest] * (len(titles) - len(first)), *[Role.SKIP] * (width - len(titles))]
    if titles[-1] == REASON_COLUMN:
        roles[len(titles) - 1] = Role.SKIP
    return tuple(roles)
