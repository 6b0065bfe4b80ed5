"""References: how sounds and IVRs get their numbers, how they are found, and what still needs them."""

import re
from collections.abc import Sequence
from typing import TypeVar

from django.db import connection, transaction
from django.db.models import Exists, Max, OuterRef, Q, QuerySet

from calls.models import IVR, Batch, BatchState, CallGroup, Sound
from calls.models.media import REFERENCE_MAX

R = TypeVar("R", Sound, IVR)

NEXT_GAP_SQL = """
    SELECT min(number) + 1 FROM (SELECT number FROM {table} UNION ALL SELECT 0) AS taken
    WHERE NOT EXISTS (SELECT FROM {table} AS next WHERE next.number = taken.number + 1)
"""


class NumberTakenError(Exception):
    """Another sound, or another IVR, has this number already."""


class StillNeededError(Exception):
    """Held calls would play this."""


def add(row: Sound | IVR) -> None:
    """Save a new sound or IVR; without a number it gets the next free one. Raises NumberTakenError."""
    kind = type(row)
    with transaction.atomic():
        # One at a time: two people who add a sound at the same moment get different numbers.
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"number of {kind.__name__}"])
        if not row.number:
            row.number = _next_number(kind)
        elif kind._default_manager.filter(number=row.number).exists():
            raise NumberTakenError
        row.save()


def change(row: Sound | IVR, fields: Sequence[str]) -> None:
    """Save these fields of a sound or IVR. Raises its DoesNotExist if it was deleted meanwhile."""
    with transaction.atomic():
        type(row)._default_manager.select_for_update().only("pk").get(pk=row.pk)
        row.save(update_fields=fields)


def _next_number(kind: type[Sound | IVR]) -> int:
    """One more than the highest, so that a deleted number is not soon given to something else."""
    highest = kind._default_manager.aggregate(highest=Max("number"))["highest"] or 0
    if highest < REFERENCE_MAX:
        return int(highest) + 1
    with connection.cursor() as cursor:
        cursor.execute(NEXT_GAP_SQL.format(table=connection.ops.quote_name(kind._meta.db_table)))
        return int(cursor.fetchone()[0])


def search(rows: "QuerySet[R]", text: str) -> "QuerySet[R]":
    """The rows whose name contains `text`, or whose reference it is (`123`, `123.sound`, `ivr:123`)."""
    text = text.replace("\0", "").strip()
    reference = re.fullmatch(r"(?:sound:|ivr:)?([0-9]{1,19})(?:\.sound|\.ivr)?", text, re.IGNORECASE)
    found = Q(name__icontains=text)
    return rows.filter(found | Q(number=int(reference[1])) if reference else found)


def call_groups_needing(row: Sound | IVR) -> "QuerySet[CallGroup]":
    """The call groups that play this to calls which are not yet handed over, the newest first."""
    # What is to go to a contact group held by the carrier has no calls yet, only its batch.
    waiting = Exists(Batch.objects.filter(call_group=OuterRef("pk"), state=BatchState.PENDING))
    needing = CallGroup.objects.unfinished().filter(Q(held__gt=0) | waiting, play=row.reference)
    return needing.order_by("-pk")


def lock_for_removal(row: R) -> R:
    """The row as it is now, locked; call this in the transaction that deletes it. Raises StillNeededError."""
    kind = type(row)
    current: R = kind._default_manager.select_for_update().get(pk=row.pk)
    if call_groups_needing(current).exists():
        raise StillNeededError
    return current
