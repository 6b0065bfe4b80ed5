"""Sounds: list, page, form, deletion, and the audio itself."""

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import permission_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from calls.forms.sounds import SoundForm
from calls.media import references, serve, store
from calls.models import Sound, User
from calls.views.paging import keyset
from calls.views.people import signed_in

LIST_COLUMNS = 40
"""Columns of the small waveforms in the list."""

SHOWN_NEEDS = 10
"""How many of the call groups that need a sound are listed."""


def _sound(request: HttpRequest, number: int) -> Sound:
    found: Sound = get_object_or_404(Sound.objects.visible_to(request.user), number=number)
    return found


@require_safe
@permission_required("calls.view_sound", raise_exception=True)
def sounds(request: HttpRequest) -> HttpResponse:
    """The sounds that the user may use, by number; `q` narrows them by name or reference."""
    asked = request.GET.get("q", "").strip()
    page = keyset(references.search(Sound.objects.visible_to(request.user), asked), request, "number")
    rows = [(sound, thin(sound.peaks, LIST_COLUMNS)) for sound in page.rows]
    return render(request, "sounds/list.html", {"rows": rows, "page": page, "asked": asked})


def thin(peaks: Sequence[float], columns: int) -> list[float]:
    """A waveform with fewer columns, each as high as the highest of those that it stands for."""
    step = max(len(peaks) / columns, 1)
    starts = [int(place * step) for place in range(min(columns, len(peaks)))]
    return [max(peaks[start : max(int(start + step), start + 1)]) for start in starts]


@require_safe
@permission_required("calls.view_sound", raise_exception=True)
def sound(request: HttpRequest, number: int) -> HttpResponse:
    """One sound: how it is heard, and what there is to know of its file."""
    return render(request, "sounds/page.html", {"sound": _sound(request, number)})


@require_safe
@permission_required("calls.view_sound", raise_exception=True)
def sound_audio(request: HttpRequest, number: int) -> HttpResponseBase:
    """The audio as the phone plays it, for those who may use the sound."""
    found = _sound(request, number)
    if not found.file:
        raise Http404("This sound has no file.")
    try:
        return serve.audio(request, found)
    except FileNotFoundError as error:
        raise Http404("The file of this sound is lost.") from error


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required("calls.add_sound", raise_exception=True)
def sound_new(request: HttpRequest) -> HttpResponse:
    """Add a sound."""
    return _filled_in(request, Sound())


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required("calls.change_sound", raise_exception=True)
def sound_edit(request: HttpRequest, number: int) -> HttpResponse:
    """Change a sound's name; give it a file, another one, or none."""
    return _filled_in(request, _sound(request, number))


def _filled_in(request: HttpRequest, row: Sound) -> HttpResponse:
    title = f"Edit {row.reference}" if row.pk else "Add a sound"
    form = SoundForm(request.POST, request.FILES, instance=row) if request.method == "POST" else SoundForm(instance=row)
    if form.is_valid() and _stored(form, signed_in(request)):
        messages.success(request, f"{row.reference} “{row.name}” was saved.")
        return redirect("sound", row.number)
    context = {"form": form, "sound": row, "title": title}
    return render(request, "sounds/form.html", context)


def _stored(form: SoundForm, user: User) -> bool:
    try:
        return form.store(user)
    except Sound.DoesNotExist as error:
        raise Http404("The sound was deleted meanwhile.") from error


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required("calls.delete_sound", raise_exception=True)
def sound_delete(request: HttpRequest, number: int) -> HttpResponse:
    """Ask whether to delete a sound, then delete it; refused while held calls would play it."""
    row = _sound(request, number)
    refused = False
    if request.method == "POST":
        try:
            store.delete(row)
        except Sound.DoesNotExist as error:
            raise Http404("The sound was deleted meanwhile.") from error
        except references.StillNeededError:
            refused = True
        else:
            messages.success(request, f"{row.reference} “{row.name}” was deleted.")
            return redirect("sounds")
    context: dict[str, Any] = {"sound": row, "needing": references.call_groups_needing(row)[:SHOWN_NEEDS]}
    return render(request, "sounds/delete.html", context, status=409 if refused else 200)
