"""Who may import into what."""

from calls.contacts.importing.problems import ImportNotPossible
from calls.models import ContactGroup, SuppressionList, User
from calls.models.importing import Existing

NO_RIGHT = "You may not do this, or not any more. Nothing was changed."

_PERMISSIONS = {Existing.SKIP: "add", Existing.UPDATE: "change", Existing.REPLACE: "delete"}


def may_import(user: User, target: ContactGroup | SuppressionList, existing: Existing = Existing.SKIP) -> bool:
    """Whether this user may import into `target`, which they see, doing so with what is there already."""
    if isinstance(target, ContactGroup):
        kind, takes = "contact", not target.held_by_carrier
    else:
        kind, takes = "suppression", target.takes_imports
    return takes and user.has_perms([f"calls.add_{kind}", f"calls.{_PERMISSIONS[existing]}_{kind}"])


def check_right(user: User, target: ContactGroup | SuppressionList, existing: Existing) -> None:
    """Raises ImportNotPossible if this user may not, or not any more, do that to `target`."""
    seen = not isinstance(target, ContactGroup) or ContactGroup.objects.visible_to(user).filter(pk=target.pk).exists()
    if not seen or not may_import(user, target, existing):
        raise ImportNotPossible(NO_RIGHT)
