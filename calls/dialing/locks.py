"""The one lock order of the dialing core: the call group first (see the package's docstring)."""

from calls.models import CallGroup


def locked(call_group_id: int) -> CallGroup:
    """The call group, locked against every other change of it and of its calls until the transaction ends."""
    return CallGroup.objects.select_for_update(no_key=True).get(pk=call_group_id)
