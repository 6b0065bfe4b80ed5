"""Contact groups and their contacts."""

from typing import TypeVar

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.db import IntegrityError, connection, transaction
from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from calls.audit import note
from calls.contacts.busy import Busy, short_wait
from calls.contacts.importing import UploadError
from calls.contacts.search import search_contacts
from calls.forms.contacts import ContactForm, GroupForm, NewGroupForm, name_taken
from calls.models import CallGroup, Contact, ContactGroup, Import, Suppression, SuppressionList, Traffic
from calls.views.asked import searched_by, whole_query
from calls.views.imports import GET_OR_POST, forget_files, latest_imports, receive, to_preview
from calls.views.paging import keyset

SEARCH_LENGTH = 100
LARGEST_ID = 2**63 - 1
BLOCKERS_SHOWN = 20

NEWEST_FIRST = ("-group_id", "-id")

M = TypeVar("M", bound=Model)


def searched(request: HttpRequest) -> str:
    """What was typed into the search box, without what PostgreSQL can't read. Raises Forgotten."""
    return _typed(whole_query(request))


def _typed(query: QueryDict) -> str:
    return query.get("q", "").replace("\0", "").strip()[:SEARCH_LENGTH]


# --- Contact groups ------------------------------------------------------------------------------------------------


@permission_required("calls.view_contactgroup", raise_exception=True)
@require_safe
def contact_groups(request: HttpRequest) -> HttpResponse:
    """The contact groups that this user may use, newest first."""
    query = _typed(request.GET)
    rows = _with_name(ContactGroup.objects.visible_to(request.user), query).select_related("created_by")
    return render(request, "contacts/groups.html", {"page": keyset(rows, request, "-id"), "query": query})


def _with_name(rows: QuerySet[M], query: str) -> QuerySet[M]:
    """The groups with `query` in their name, or as their ID; all without a query."""
    if not query:
        return rows
    found = Q(name__icontains=query)
    if query.isascii() and query.isdigit() and int(query) <= LARGEST_ID:
        found |= Q(pk=int(query))
    return rows.filter(found)


@permission_required("calls.add_contactgroup", raise_exception=True)
@require_http_methods(GET_OR_POST)
def contact_group_new(request: HttpRequest) -> HttpResponse:
    """Create a contact group: empty, held by the carrier, or with contacts, whose import is confirmed next."""
    form = NewGroupForm(request.POST, request.FILES) if request.method == "POST" else NewGroupForm()
    if form.is_valid():
        try:
            group, asked = _create(request, form)
        except IntegrityError:
            form.add_error("name", name_taken(form.cleaned_data["name"]))
        except UploadError as error:
            form.refuse(error)
        else:
            messages.success(request, f"Contact group “{group}” created.")
            return to_preview(request, asked) if asked else redirect("contact_group", group.pk)
    return render(request, "contacts/group_new.html", {"form": form, "region": settings.DEFAULT_REGION})


def _create(request: HttpRequest, form: NewGroupForm) -> tuple[ContactGroup, Import | None]:
    """The new group, and the import of what is to be in it. Raises IntegrityError or UploadError: there is none."""
    with transaction.atomic():
        group: ContactGroup = form.save(commit=False)
        group.created_by_id = request.user.pk
        group.save()
        return group, receive(request, group, form) if form.has_rows else None


@permission_required("calls.view_contactgroup", raise_exception=True)
@searched_by("q")
@require_safe
def contact_group(request: HttpRequest, pk: int) -> HttpResponse:
    """One contact group: its contacts, found by digits of the number or the start of words of the name."""
    group = get_object_or_404(ContactGroup.objects.visible_to(request.user).select_related("created_by"), pk=pk)
    query = searched(request)
    page = keyset(contacts_of(group), request, *NEWEST_FIRST, search=search_contacts(group, query))
    lists = _suppressed([contact.number for contact in page.rows])
    context = {
        "group": group,
        "page": page,
        "rows": [(contact, lists.get(contact.number)) for contact in page.rows],
        "query": query,
        "imports": latest_imports(group) if request.user.has_perm("calls.add_contact") else [],
    }
    return render(request, "contacts/group.html", context)


def contacts_of(group: ContactGroup) -> QuerySet[Contact]:
    """The contacts of a group, to be listed in the order `NEWEST_FIRST`.

    They are asked for by a range of groups: for one group PostgreSQL leaves the group out of the order, and may then
    look through the newer contacts of all other groups.
    """
    return Contact.objects.filter(group__gte=group.pk, group__lte=group.pk)


def _suppressed(numbers: list[str]) -> dict[str, list[str]]:
    """Which of the numbers are suppressed today, for calls of any traffic type, and the names of the lists."""
    lists = SuppressionList.objects.applying(Traffic.PROMOTIONAL, timezone.now())
    found: dict[str, list[str]] = {}
    rows = Suppression.objects.filter(number__in=numbers, list__in=lists).order_by("list__name")
    for number, name in rows.values_list("number", "list__name"):
        found.setdefault(number, []).append(name)
    return found


@permission_required("calls.change_contactgroup", raise_exception=True)
@require_http_methods(GET_OR_POST)
def contact_group_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Give a contact group another name, or another reference at the carrier."""
    group = get_object_or_404(ContactGroup.objects.visible_to(request.user), pk=pk)
    before = str(group)
    form = GroupForm(request.POST or None, instance=group)
    if form.is_valid():
        try:
            with short_wait(group):
                _lock(pk)
                # Only these: its size may have changed meanwhile.
                group.save(update_fields=[*form.fields])
        except IntegrityError:
            form.add_error("name", name_taken(form.cleaned_data["name"]))
        except Busy as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"Contact group “{group}” saved.")
            return redirect("contact_group", group.pk)
    return render(request, "contacts/group_edit.html", {"form": form, "group": group, "before": before})


def _lock(pk: int) -> None:
    """Lock a contact group, as everybody does who changes its contacts. Raises Http404 if it is gone."""
    if ContactGroup.objects.select_for_update(no_key=True).filter(pk=pk).first() is None:
        raise Http404("the contact group was deleted meanwhile")


@permission_required("calls.delete_contactgroup", raise_exception=True)
@require_http_methods(GET_OR_POST)
def contact_group_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete a contact group and its contacts; refused, with the reason, while held calls need it."""
    group = get_object_or_404(ContactGroup.objects.visible_to(request.user), pk=pk)
    busy = ""
    if request.method == "POST":
        try:
            with short_wait(group):
                # The lock waits for a start that names the group, so that its held calls are seen.
                group = get_object_or_404(ContactGroup.objects.select_for_update(), pk=pk)
                if not (blockers := _blockers(group)):
                    _delete(group)
                    messages.success(request, f"Contact group “{group}” deleted.")
                    return redirect("contact_groups")
        except Busy as error:
            blockers, busy = [], str(error)
    else:
        blockers = _blockers(group)
    context = {"group": group, "blockers": blockers, "refused": request.method == "POST", "busy": busy}
    return render(request, "contacts/group_delete.html", context)


def _blockers(group: ContactGroup) -> list[CallGroup]:
    """Call groups with held calls that need it."""
    return list(CallGroup.objects.filter(contact_groups=group, held__gt=0).order_by("-pk")[:BLOCKERS_SHOWN])


def _delete(group: ContactGroup) -> None:
    """Delete `group`, its contacts in one statement: one by one, each of a million would be loaded and logged."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM calls_contact WHERE group_id = %s", [group.pk])
        if cursor.rowcount:
            note(group, contacts=f"{cursor.rowcount} deleted with the group")
    forget_files(group)
    group.delete()


# --- Contacts ------------------------------------------------------------------------------------------------------


def _group_with_contacts(request: HttpRequest, pk: int) -> ContactGroup:
    """A contact group that has contacts here, not at the carrier. Raises Http404."""
    groups = ContactGroup.objects.visible_to(request.user)
    group: ContactGroup = get_object_or_404(groups.filter(carrier_group=""), pk=pk)
    return group


@permission_required("calls.add_contact", raise_exception=True)
@require_http_methods(GET_OR_POST)
def contact_new(request: HttpRequest, pk: int) -> HttpResponse:
    """Add one contact."""
    return _edit_contact(request, Contact(group=_group_with_contacts(request, pk)))


@permission_required("calls.change_contact", raise_exception=True)
@require_http_methods(GET_OR_POST)
def contact_edit(request: HttpRequest, pk: int, contact_pk: int) -> HttpResponse:
    """Change one contact."""
    return _edit_contact(request, get_object_or_404(_group_with_contacts(request, pk).contacts, pk=contact_pk))


def _edit_contact(request: HttpRequest, contact: Contact) -> HttpResponse:
    is_new = contact.pk is None
    before = str(contact)
    form = ContactForm(request.POST or None, instance=contact)
    if form.is_valid():
        try:
            with short_wait(contact.group):
                _lock_for(contact)
                # Only these: an import may have changed the others meanwhile.
                contact.save(update_fields=None if is_new else form.saved)
        except IntegrityError:
            form.add_error("number", f"{form.cleaned_data['number']} was added meanwhile.")
        except Busy as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"Contact {contact} {'added' if is_new else 'saved'}.")
            return redirect("contact_group", contact.group_id)
    context = {"form": form, "group": contact.group, "contact": contact, "is_new": is_new, "before": before}
    return render(request, "contacts/contact.html", context)


def _lock_for(contact: Contact) -> None:
    """Lock the contact's group. Raises Http404 if the contact or its group is gone then.

    Who had the contact and waited for its group, whose size changes with it, and who had the group and waited for the
    contact would wait for ever.
    """
    _lock(contact.group_id)
    # Saving would put a contact back that was removed meanwhile.
    if contact.pk and not Contact.objects.filter(pk=contact.pk).exists():
        raise Http404("the contact was removed meanwhile")


@permission_required("calls.delete_contact", raise_exception=True)
@require_http_methods(GET_OR_POST)
def contact_delete(request: HttpRequest, pk: int, contact_pk: int) -> HttpResponse:
    """Delete one contact, after asking."""
    group = _group_with_contacts(request, pk)
    contact = get_object_or_404(group.contacts, pk=contact_pk)
    busy = ""
    if request.method == "POST":
        try:
            with short_wait(group):
                _lock_for(contact)
                contact.delete()
        except Busy as error:
            busy = str(error)
        else:
            messages.success(request, f"Contact {contact} deleted.")
            return redirect("contact_group", group.pk)
    return render(request, "contacts/contact_delete.html", {"group": group, "contact": contact, "busy": busy})
