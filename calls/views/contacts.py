"""Contact groups and their contacts."""

from typing import TypeVar

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.db import IntegrityError, connection, transaction
from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from calls.audit import note
from calls.contacts.search import find_contacts
from calls.contacts.store import Result, add_contacts
from calls.forms.contacts import ContactForm, GroupForm, NewGroupForm, name_taken
from calls.forms.entries import EntriesForm
from calls.models import CallGroup, Contact, ContactGroup, Suppression
from calls.views import outcome
from calls.views.paging import keyset

GET_OR_POST = ["GET", "HEAD", "POST"]
SEARCH_LENGTH = 100
LARGEST_ID = 2**63 - 1
BLOCKERS_SHOWN = 20

M = TypeVar("M", bound=Model)


def searched(request: HttpRequest) -> str:
    """What was typed into the search box, without what PostgreSQL can't read."""
    return request.GET.get("q", "").replace("\0", "").strip()[:SEARCH_LENGTH]


# --- Contact groups ------------------------------------------------------------------------------------------------


@permission_required("calls.view_contactgroup", raise_exception=True)
@require_safe
def contact_groups(request: HttpRequest) -> HttpResponse:
    """The contact groups that this user may use, newest first."""
    query = searched(request)
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
    """Create a contact group: with contacts, empty, or held by the carrier."""
    form = NewGroupForm(request.POST, request.FILES) if request.method == "POST" else NewGroupForm()
    if form.is_valid():
        try:
            group, result = _create(request, form)
        except IntegrityError:
            form.add_error("name", name_taken(form.cleaned_data["name"]))
        else:
            messages.success(request, f"Contact group “{group}” created.")
            return _after_adding(request, group, result) if form.sources else redirect("contact_group", group.pk)
    return render(request, "contacts/group_new.html", {"form": form, "region": settings.DEFAULT_REGION})


def _create(request: HttpRequest, form: NewGroupForm) -> tuple[ContactGroup, Result]:
    with transaction.atomic():
        group: ContactGroup = form.save(commit=False)
        group.created_by_id = request.user.pk
        group.save()
        return group, add_contacts(group, form.sources)


@permission_required("calls.view_contactgroup", raise_exception=True)
@require_safe
def contact_group(request: HttpRequest, pk: int) -> HttpResponse:
    """One contact group: its contacts, found by digits of the number or the start of words of the name."""
    group = get_object_or_404(ContactGroup.objects.visible_to(request.user).select_related("created_by"), pk=pk)
    query = searched(request)
    page = keyset(find_contacts(Contact.objects.filter(group=group), query), request, "-id")
    listed = [contact.number for contact in page.rows]
    suppressed = set(Suppression.objects.filter(number__in=listed).values_list("number", flat=True))
    context = {"group": group, "page": page, "query": query, "suppressed": suppressed}
    return render(request, "contacts/group.html", context)


@permission_required("calls.change_contactgroup", raise_exception=True)
@require_http_methods(GET_OR_POST)
def contact_group_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Give a contact group another name, or another reference at the carrier."""
    group = get_object_or_404(ContactGroup.objects.visible_to(request.user), pk=pk)
    before = str(group)
    form = GroupForm(request.POST or None, instance=group)
    if form.is_valid():
        try:
            with transaction.atomic():
                form.save()
        except IntegrityError:
            form.add_error("name", name_taken(form.cleaned_data["name"]))
        else:
            messages.success(request, f"Contact group “{group}” saved.")
            return redirect("contact_group", group.pk)
    return render(request, "contacts/group_edit.html", {"form": form, "group": group, "before": before})


@permission_required("calls.delete_contactgroup", raise_exception=True)
@require_http_methods(GET_OR_POST)
def contact_group_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete a contact group and its contacts; refused, with the reason, while held calls need it."""
    with transaction.atomic():
        # The lock waits for a start that names the group, so that its held calls are seen.
        group = get_object_or_404(ContactGroup.objects.visible_to(request.user).select_for_update(), pk=pk)
        blockers = list(CallGroup.objects.filter(contact_groups=group, held__gt=0).order_by("-pk")[:BLOCKERS_SHOWN])
        if request.method == "POST" and not blockers:
            _delete(group)
            messages.success(request, f"Contact group “{group}” deleted.")
            return redirect("contact_groups")
    context = {"group": group, "blockers": blockers, "refused": request.method == "POST"}
    return render(request, "contacts/group_delete.html", context)


def _delete(group: ContactGroup) -> None:
    """Delete `group`, its contacts in one statement: one by one, each of a million would be loaded and logged."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM calls_contact WHERE group_id = %s", [group.pk])
        if cursor.rowcount:
            note(group, contacts=f"{cursor.rowcount} deleted with the group")
    group.delete()


# --- Contacts ------------------------------------------------------------------------------------------------------


def _group_with_contacts(request: HttpRequest, pk: int) -> ContactGroup:
    """A contact group that has contacts here, not at the carrier. Raises Http404."""
    groups = ContactGroup.objects.visible_to(request.user)
    group: ContactGroup = get_object_or_404(groups.filter(carrier_group=""), pk=pk)
    return group


@permission_required("calls.add_contact", raise_exception=True)
@require_http_methods(GET_OR_POST)
def contacts_add(request: HttpRequest, pk: int) -> HttpResponse:
    """Add contacts by pasting numbers or from a CSV file."""
    group = _group_with_contacts(request, pk)
    form = EntriesForm(request.POST, request.FILES) if request.method == "POST" else EntriesForm()
    if form.is_valid():
        return _after_adding(request, group, _add(group, form))
    return render(request, "contacts/add.html", {"form": form, "group": group, "region": settings.DEFAULT_REGION})


def _add(group: ContactGroup, form: EntriesForm) -> Result:
    try:
        return add_contacts(group, form.sources)
    except ContactGroup.DoesNotExist as error:
        raise Http404("the contact group was deleted meanwhile") from error


def _after_adding(request: HttpRequest, group: ContactGroup, result: Result) -> HttpResponse:
    """On to the contacts if all were added, otherwise to what became of each line."""
    outcome.tell(request, result, "contact")
    if result.complete:
        return redirect("contact_group", group.pk)
    outcome.keep(request, _kept_as(group), result)
    return redirect("contacts_added", group.pk)


def _kept_as(group: ContactGroup) -> str:
    return f"contact group {group.pk}"


@permission_required("calls.add_contact", raise_exception=True)
@require_safe
def contacts_added(request: HttpRequest, pk: int) -> HttpResponse:
    """What became of each line of the contacts added last."""
    group = _group_with_contacts(request, pk)
    result, _ = outcome.recall(request, _kept_as(group))
    mend = outcome.to_mend(result)
    context = {
        "group": group,
        "form": EntriesForm(initial={"pasted": mend}) if mend else None,
        "download_url": reverse("contacts_added_csv", args=[group.pk]),
        **outcome.context(request, result),
    }
    return render(request, "contacts/added.html", context)


@permission_required("calls.add_contact", raise_exception=True)
@require_safe
def contacts_added_csv(request: HttpRequest, pk: int) -> HttpResponseBase:
    """All lines of one kind of the contacts added last, to be mended and added again."""
    group = _group_with_contacts(request, pk)
    result, _ = outcome.recall(request, _kept_as(group))
    return outcome.download(request, result, f"contact-group-{group.pk}")


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
            with transaction.atomic():
                _wait_for(contact)
                form.save()
        except IntegrityError:
            form.add_error("number", f"{form.cleaned_data['number']} was added, or the group deleted, meanwhile.")
        else:
            messages.success(request, f"Contact {contact} {'added' if is_new else 'saved'}.")
            return redirect("contact_group", contact.group_id)
    context = {"form": form, "group": contact.group, "contact": contact, "is_new": is_new, "before": before}
    return render(request, "contacts/contact.html", context)


def _wait_for(contact: Contact) -> None:
    """Wait until nobody changes many contacts of this one's group. Raises Http404 if this one is gone then.

    Who had the contact and waited for its group, whose size changes with it, and who had the group and waited for the
    contact would wait for ever.
    """
    ContactGroup.objects.select_for_update(no_key=True).filter(pk=contact.group_id).first()
    # Saving would put a contact back that was removed meanwhile.
    if contact.pk and not Contact.objects.filter(pk=contact.pk).exists():
        raise Http404("the contact was removed meanwhile")


@permission_required("calls.delete_contact", raise_exception=True)
@require_http_methods(GET_OR_POST)
def contact_delete(request: HttpRequest, pk: int, contact_pk: int) -> HttpResponse:
    """Delete one contact, after asking."""
    group = _group_with_contacts(request, pk)
    contact = get_object_or_404(group.contacts, pk=contact_pk)
    if request.method == "POST":
        with transaction.atomic():
            _wait_for(contact)
            contact.delete()
        messages.success(request, f"Contact {contact} deleted.")
        return redirect("contact_group", group.pk)
    return render(request, "contacts/contact_delete.html", {"group": group, "contact": contact})
