"""Sounds with their files: a row and its file change together, and no file stays that no row names."""

from functools import partial
from uuid import uuid4

from django.core.files.base import ContentFile
from django.db import transaction

from calls.media import references
from calls.media.prepared import Prepared
from calls.models import Sound

AUDIO_FIELDS = ("file", "seconds", "peak_dbfs", "rms_dbfs", "peaks", "sha256", "source_format", "warnings")
"""The fields of a sound that tell of its file."""


def save(sound: Sound, prepared: Prepared | None = None, *, remove_file: bool = False) -> None:
    """Save a sound: with `prepared` as its new file, without any file, or (neither given) with the file that it has.

    Raises NumberTakenError for a new sound, and Sound.DoesNotExist for one that was deleted meanwhile.
    """
    if prepared:
        _describe(sound, prepared)
    elif remove_file:
        _forget_file(sound)
    written = str(sound.file) if prepared else ""
    try:
        with transaction.atomic():
            _save_row(sound, with_file=bool(prepared or remove_file))
    except BaseException:
        if written:
            sound.file.storage.delete(written)
        raise


def _save_row(sound: Sound, *, with_file: bool) -> None:
    if not sound.pk:
        references.add(sound)
        return
    # With its file unchanged the columns that tell of it are left alone: somebody else may just have replaced it.
    fields = ["name", *(AUDIO_FIELDS if with_file else ())]
    before = Sound.objects.select_for_update().only("file").get(pk=sound.pk)
    references.change(sound, fields)
    if with_file:
        _delete_after_commit(before)


def delete(sound: Sound) -> None:
    """Delete a sound and its file. Raises StillNeededError, and Sound.DoesNotExist if it is gone already."""
    with transaction.atomic():
        current = references.lock_for_removal(sound)
        current.delete()
        _delete_after_commit(current)


def _delete_after_commit(sound: Sound) -> None:
    if sound.file:
        remove = partial(sound.file.storage.delete, str(sound.file))
        # A store that fails now leaves a file behind, which is logged; the change itself has been made.
        transaction.on_commit(remove, robust=True)


def _describe(sound: Sound, prepared: Prepared) -> None:
    """Write the file under a name that nobody can guess, and note what there is to know of it."""
    sound.file.save(f"{uuid4().hex}.wav", ContentFile(prepared.wav), save=False)
    sound.seconds = prepared.seconds
    sound.peak_dbfs = prepared.peak_dbfs
    sound.rms_dbfs = prepared.rms_dbfs
    sound.peaks = prepared.peaks
    sound.sha256 = prepared.sha256
    sound.source_format = prepared.source_format
    sound.warnings = prepared.warnings


def _forget_file(sound: Sound) -> None:
    sound.file = None
    sound.seconds = sound.peak_dbfs = sound.rms_dbfs = None
    sound.peaks, sound.sha256, sound.source_format, sound.warnings = [], "", "", []
