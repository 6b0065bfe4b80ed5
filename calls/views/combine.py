"""Combine and split contact groups: what to do, its preview, and what became of it."""

import uuid
from dataclasses import dataclass

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from calls import audit
from calls.contacts import changes
from calls.contacts.combine import CannotCombine, Combination, NameTaken, held_by_carrier
from calls.forms.combine import FORMS, CombineForm
from calls.models import ChangeState, Combining, ContactGroup, GroupChange, User
from calls.views.people import signed_in
from calls.views.polling import live


@dataclass(frozen=True)
class Kind:
    """How a kind is shown: on its card, on its page and on the button that does it."""

    title: str
    text: str
    button: str
    icon: str


KINDS = {
    Combining.COPY: Kind(
        "Copy to a new group", "All contacts, with name and extra columns. This group stays as it is.", "Copy", "copy"
    ),
    Combining.MERGE: Kind(
        "Merge with others",
        "The contacts of several groups in one, each number once: in a new group or one that there is.",
        "Merge",
        "layers",
    ),
    Combining.SPLIT: Kind(
        "Split by size", "New groups of at most so many contacts each. This group stays as it is.", "Split", "list"
    ),
    Combining.DIFFERENCE: Kind(
        "Difference",
        "A new group of the contacts that are here and not in other groups. No group is changed.",
        "Make the new group",
        "minus-circle",
    ),
    Combining.INTERSECTION: Kind(
        "Intersection",
        "A new group of the contacts that are here and in other groups too. No group is changed.",
        "Make the new group",
        "check-circle",
    ),
    Combining.REMOVE: Kind(
        "Remove duplicates",
        "Delete from this group the contacts whose number is in other groups. The others stay as they are.",
        "Remove",
        "trash",
    ),
}


def _offered(user: User) -> list[Combining]:
    """The kinds that this user may do. Who may not make contact groups still merges into one that there is."""
    makes = user.has_perms(["calls.add_contact", "calls.add_contactgroup"])
    may = {Combining.MERGE: user.has_perm("calls.add_contact"), Combining.REMOVE: user.has_perm("calls.delete_contact")}
    return [kind for kind in KINDS if may.get(kind, makes)]


@permission_required("calls.change_contact", raise_exception=True)
@require_safe
def contact_group_combine(request: HttpRequest, pk: int) -> HttpResponse:
    """What can be done with this contact group and others."""
    group = get_object_or_404(ContactGroup.objects.visible_to(request.user), pk=pk)
    kinds = [(kind.value, KINDS[kind]) for kind in _offered(signed_in(request))]
    context = {"group": group, "kinds": kinds, "held": held_by_carrier(group) if group.held_by_carrier else ""}
    return render(request, "contacts/combine.html", context)


@permission_required("calls.change_contact", raise_exception=True)
@require_http_methods(["GET", "HEAD", "POST"])
def contact_group_combine_form(request: HttpRequest, pk: int, kind: str) -> HttpResponse:
    """One kind's form; a valid one becomes a group change, whose preview is shown next."""
    user = signed_in(request)
    group = get_object_or_404(ContactGroup.objects.visible_to(user), pk=pk)
    if kind not in Combining.values or Combining(kind) not in _offered(user):
        raise Http404
    if group.held_by_carrier:
        return redirect("contact_group_combine", pk)
    if request.method != "POST":
        typed = _typed_before(request, group, kind)
        return _show_form(request, FORMS[Combining(kind)](typed, user=user, group=group))
    form = FORMS[Combining(kind)](request.POST, user=user, group=group)
    if form.is_valid():
        try:
            return redirect("group_change", changes.ask(user, form.combination, group, form.typed()).pk)
        except CannotCombine as error:
            form.add_error(None, str(error))
    return _show_form(request, form)


def _typed_before(request: HttpRequest, group: ContactGroup, kind: str) -> dict[str, object] | None:
    """What was typed for the group change that is to be changed, if there is one."""
    try:
        asked = uuid.UUID(request.GET.get("change", ""))
    except ValueError:
        return None
    change = GroupChange.objects.visible_to(request.user).filter(pk=asked, group=group, kind=kind).first()
    return change.typed if change else None


def _show_form(request: HttpRequest, form: CombineForm) -> HttpResponse:
    context = {"form": form, "group": form.group, "kind": form.kind.value, "shown": KINDS[form.kind]}
    return render(request, "contacts/combine_form.html", context)


@permission_required("calls.change_contact", raise_exception=True)
@require_safe
def group_change(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """What a group change would do; while a worker has it, how far that is; afterwards what was done."""
    change = _change(request, pk)
    what = Combination.from_json(change.parameters)
    # Names of all groups in it, in the order in which they count.
    found = ContactGroup.objects.visible_to(request.user).in_bulk([*what.groups, *change.made])
    context = {
        "change": change,
        "shown": KINDS[what.kind],
        "what": what,
        "sources": [found[source] for source in what.sources if source in found],
        "target": found.get(what.target or 0),
        "made": [found[made] for made in change.made if made in found],
        "tiles": _tiles(change, into_existing=what.target is not None),
        "changes_nothing": change.state == ChangeState.COUNTED and not _chosen(change),
    }
    return live(request, "contacts/change.html", "change", context, final=not change.working)


NOT_COPIED = {
    Combining.MERGE: "in several groups, copied once",
    Combining.DIFFERENCE: "also in the other groups",
    Combining.INTERSECTION: "not in all of the other groups",
}


def _tiles(change: GroupChange, *, into_existing: bool) -> list[tuple[str, int, str]]:
    """What the counts say: label, figure and a note."""
    kind, found = Combining(change.kind), change.counts
    done = change.state == ChangeState.DONE
    if not found:
        return []
    tiles = [("Looked at", found["listed"], "contacts")]
    if kind is Combining.REMOVE:
        tiles.append(("Removed" if done else "To be removed", found["removed"], "also in the other groups"))
        tiles.append(("Kept" if done else "To be kept", found["kept"], "in none of the other groups"))
        return tiles
    tiles.append(("Copied" if done else "To be copied", found["copied"], ""))
    if kind in NOT_COPIED:
        tiles.append(
            ("Not copied", found["left"], "there already, or in several groups" if into_existing else NOT_COPIED[kind])
        )
    if kind is Combining.SPLIT:
        tiles.append(("New groups", found["parts"], ""))
    return tiles


def _chosen(change: GroupChange) -> int:
    return change.counts.get("copied", 0) or change.counts.get("removed", 0)


def _change(request: HttpRequest, pk: uuid.UUID) -> GroupChange:
    change: GroupChange = get_object_or_404(
        GroupChange.objects.visible_to(request.user).select_related("group", "owner"), pk=pk
    )
    return change


@permission_required("calls.change_contact", raise_exception=True)
@require_POST
def group_change_confirm(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Do what the preview says, once: whoever presses again lands on what became of it."""
    change = _change(request, pk)
    try:
        changes.confirm(change, audit.address())
    except NameTaken as error:
        # The form again, with all that was typed, and the name marked.
        if change.group and change.group.pk:
            form = FORMS[Combining(change.kind)](change.typed, user=signed_in(request), group=change.group)
            if form.is_valid():
                form.add_error("name", str(error))
            return _show_form(request, form)
        messages.error(request, str(error))
    except CannotCombine as error:
        messages.error(request, str(error))
    return redirect("group_change", pk)


@permission_required("calls.change_contact", raise_exception=True)
@require_POST
def group_change_cancel(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Drop a group change that was not begun."""
    change = _change(request, pk)
    if not changes.cancel(change):
        messages.info(request, "It was too late to cancel.")
    return redirect("group_change", pk)
