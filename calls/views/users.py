"""Users: list, form, what they may use, passwords, deactivation. For admins only."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from axes.utils import reset as forget_failures
from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.contrib.auth.models import Group
from django.db.models import Count, Model, OuterRef, Q, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from calls.access import ADMIN, VIEWER, NoAdminLeftError, set_active
from calls.forms.users import NO_ADMIN_LEFT, NewUserForm, PasswordForm, UserForm
from calls.media import references
from calls.models import IVR, ContactGroup, Sound, User
from calls.views.paging import keyset
from calls.views.people import signed_in

GET_OR_POST = ["GET", "HEAD", "POST"]
PASSWORDS = ("password1", "password2")


class Kind(NamedTuple):
    """One of the things that a profile enables: all of them, or chosen ones."""

    slug: str
    things: str
    model: type[Model]
    chosen: str
    all_flag: str


KINDS = {
    kind.slug: kind
    for kind in (
        Kind("contact-groups", "contact groups", ContactGroup, "contact_groups", "uses_all_contact_groups"),
        Kind("sounds", "sounds", Sound, "sounds", "uses_all_sounds"),
        Kind("ivrs", "IVRs", IVR, "ivrs", "uses_all_ivrs"),
    )
}


# --- List --------------------------------------------------------------------------------------------------------


@require_safe
@permission_required("calls.view_user", raise_exception=True)
def users(request: HttpRequest) -> HttpResponse:
    """All users by name, with what each may do; `q` narrows them."""
    asked = request.GET.get("q", "").replace("\0", "").strip()
    page = keyset(_with_profile(_search(User.objects.all(), asked)), request, "username")
    rows = [(user, profile_in_words(user)) for user in page.rows]
    return render(request, "users/list.html", {"rows": rows, "page": page, "asked": asked})


def _search(rows: "QuerySet[User]", text: str) -> "QuerySet[User]":
    names = ("username", "first_name", "last_name", "email")
    found = Q()
    for name in names:
        found |= Q(**{f"{name}__icontains": text})
    return rows.filter(found)


def _with_profile(rows: "QuerySet[User]") -> "QuerySet[User]":
    """Add each user's role and the numbers of what is chosen for them, without a query per user."""
    role = Group.objects.filter(user=OuterRef("pk")).order_by("pk").values("name")[:1]
    counts = {f"chosen_{kind.chosen}": _count(kind) for kind in KINDS.values()}
    return rows.annotate(role_name=Subquery(role), **counts)


def _count(kind: Kind) -> Subquery:
    links = User._meta.get_field(kind.chosen).remote_field.through._default_manager  # type: ignore[union-attr]
    return Subquery(links.filter(user=OuterRef("pk")).values("user").annotate(n=Count("pk")).values("n"))


def profile_in_words(user: User) -> list[str]:
    """What the profile of a user of :func:`_with_profile` says, in a few words each."""
    role = ADMIN if user.is_superuser else getattr(user, "role_name", "")
    if role == ADMIN:
        return ["sees and does everything"]
    words = [_uses(user, kind) for kind in KINDS.values()]
    if role != VIEWER:
        words.insert(0, "starts calls" if user.may_start_calls else "starts no calls")
    return [*words, "all calls" if user.sees_all_calls else "own calls only"]


def _uses(user: User, kind: Kind) -> str:
    if getattr(user, kind.all_flag):
        return f"all {kind.things}"
    chosen = getattr(user, f"chosen_{kind.chosen}") or 0
    things = kind.things.removesuffix("s") if chosen == 1 else kind.things
    return f"{chosen or 'no'} {things}"


# --- One user ----------------------------------------------------------------------------------------------------


@sensitive_post_parameters(*PASSWORDS)
@sensitive_variables()
@never_cache
@require_http_methods(GET_OR_POST)
@permission_required("calls.add_user", raise_exception=True)
def user_new(request: HttpRequest) -> HttpResponse:
    """Create a user. A generated password is in this one answer only, and nowhere else."""
    form = NewUserForm(request.POST if request.method == "POST" else None, actor=signed_in(request))
    if form.is_valid():
        password = form.new_password()
        form.instance.set_password(password)
        if form.store():
            if form.is_generated:
                return _show_password(request, form.instance, password, created=True)
            messages.success(request, f"{form.instance} was created.")
            return redirect("user", form.instance.pk)
    return render(request, "users/new.html", {"form": form})


def _show_password(request: HttpRequest, user: User, password: str, *, created: bool) -> HttpResponse:
    return render(request, "users/password_shown.html", {"person": user, "password": password, "created": created})


@require_http_methods(GET_OR_POST)
@permission_required("calls.change_user", raise_exception=True)
def user(request: HttpRequest, pk: int) -> HttpResponse:
    """One user: name, role and profile, to be changed."""
    person = get_object_or_404(User, pk=pk)
    form = UserForm(request.POST if request.method == "POST" else None, instance=person, actor=signed_in(request))
    if form.is_valid() and form.store():
        messages.success(request, f"{person} was saved.")
        return redirect("user", person.pk)
    shown = get_object_or_404(_with_profile(User.objects.all()), pk=pk)  # as saved, whatever the form holds
    context = {"form": form, "person": shown, "profile": profile_in_words(shown), "choices": _choices_of(shown)}
    return render(request, "users/page.html", context)


def _choices_of(person: User) -> list[tuple[Kind, bool, int]]:
    """Per kind: whether all are enabled, and how many are chosen."""
    return [
        (kind, getattr(person, kind.all_flag), getattr(person, f"chosen_{kind.chosen}") or 0) for kind in KINDS.values()
    ]


@require_POST
@permission_required("calls.change_user", raise_exception=True)
def user_activate(request: HttpRequest, pk: int) -> HttpResponse:
    """Deactivate a user (`active` is 0), who is signed out at once; or let one sign in again (1)."""
    person = get_object_or_404(User, pk=pk)
    active = request.POST.get("active") == "1"
    if not active and person.pk == signed_in(request).pk:
        messages.error(request, "You can't deactivate yourself: ask another admin.")
        return redirect("user", pk)
    try:
        set_active(person, active)
    except NoAdminLeftError:
        messages.error(request, NO_ADMIN_LEFT)
    else:
        done = "can sign in again" if active else "was deactivated and is signed out"
        messages.success(request, f"{person} {done}.")
    return redirect("user", pk)


@sensitive_post_parameters(*PASSWORDS)
@sensitive_variables()
@never_cache
@require_http_methods(GET_OR_POST)
@permission_required("calls.change_user", raise_exception=True)
def user_password(request: HttpRequest, pk: int) -> HttpResponse:
    """Give a user a new password, which ends their sessions and the lock after wrong ones."""
    person = get_object_or_404(User, pk=pk)
    if person.pk == signed_in(request).pk:
        return redirect("password_change")
    form = PasswordForm(request.POST if request.method == "POST" else None, user=person)
    if not form.is_valid():
        context = {"form": form, "person": person}
        return render(request, "users/password.html", context)
    password = form.new_password()
    person.set_password(password)
    person.save(update_fields=["password"])
    forget_failures(username=person.get_username())
    if form.is_generated:
        return _show_password(request, person, password, created=False)
    messages.success(request, f"{person} has a new password.")
    return redirect("user", pk)


# --- What a profile enables --------------------------------------------------------------------------------------


@require_http_methods(GET_OR_POST)
@permission_required("calls.change_user", raise_exception=True)
def user_choices(request: HttpRequest, pk: int, slug: str) -> HttpResponse:
    """Choose the contact groups, sounds or IVRs that a profile enables, a page at a time."""
    person, kind = get_object_or_404(User, pk=pk), KINDS.get(slug)
    if kind is None:
        raise Http404
    if request.method == "POST":
        _choose(person, kind, _ids(request.POST.getlist("shown")), _ids(request.POST.getlist("chosen")))
        messages.success(request, f"The {kind.things} of {person} were saved.")
        return redirect(request.get_full_path())
    asked = request.GET.get("q", "").replace("\0", "").strip()
    rows = _findable(kind, asked)
    if only := request.GET.get("only") == "chosen":
        rows = rows.filter(pk__in=getattr(person, kind.chosen).values("pk"))
    page = keyset(rows, request, "name" if kind.model is ContactGroup else "number")
    chosen = set(getattr(person, kind.chosen).filter(pk__in=[row.pk for row in page.rows]).values_list("pk", flat=True))
    context: dict[str, Any] = {"person": person, "kind": kind, "page": page, "asked": asked, "only": only}
    context |= {"rows": [(row, row.pk in chosen) for row in page.rows], "all": getattr(person, kind.all_flag)}
    return render(request, "users/choices.html", context)


def _findable(kind: Kind, asked: str) -> "QuerySet[Any]":
    if kind.model is ContactGroup:
        return ContactGroup.objects.filter(name__icontains=asked)
    return references.search(kind.model._default_manager.all(), asked)


def _ids(texts: Iterable[str]) -> set[int]:
    return {int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 19}


def _choose(person: User, kind: Kind, shown: set[int], chosen: set[int]) -> None:
    """Of the rows that were `shown`, enable those `chosen` and no others; the rest of the profile stays."""
    existing = set(kind.model._default_manager.filter(pk__in=shown).values_list("pk", flat=True))
    enabled = getattr(person, kind.chosen)
    # Only what was there: the audit log is told of all that is removed, whether it was there or not.
    enabled.remove(*enabled.filter(pk__in=existing - chosen))
    enabled.add(*existing & chosen)
