"""Imports into one contact group or suppression list: one is done after the other, and the last is undone first."""

from django.db.models import Q, QuerySet

from calls.models import Import, ImportState

UNDER_WAY = [ImportState.WAITING, ImportState.RUNNING, ImportState.UNDOING]
"""A worker has it, or will have it."""


def others(import_: Import) -> "QuerySet[Import]":
    """The other imports into the same target that are under way, in their order."""
    return _same_target(import_).filter(state__in=UNDER_WAY).order_by("started_at")


def waiting_for(import_: Import) -> Import | None:
    """The import into the same target that this one waits for; None if it only waits for a worker."""
    before = others(import_).exclude(state=ImportState.WAITING, started_at__gte=import_.started_at)
    return before.first() if import_.state == ImportState.WAITING else None


def done_later(import_: Import) -> str:
    """Why an import is not undone now: others came after it. "" if there are none."""
    done = [ImportState.DONE, ImportState.UNDOING]
    later = _same_target(import_).filter(state__in=done, ended_at__gt=import_.ended_at).order_by("-ended_at").first()
    return f"{later} was done later. Undo that one first." if later else ""


def _same_target(import_: Import) -> "QuerySet[Import]":
    same = Q(group=import_.group_id) if import_.group_id else Q(suppression_list=import_.suppression_list_id)
    return Import.objects.filter(same).exclude(pk=import_.pk)
