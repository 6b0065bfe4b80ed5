"""The form of a sound."""

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile

from calls.forms.references import ReferenceForm
from calls.media import store
from calls.media.audio import MAX_BYTES, MAX_SECONDS, AudioRefused, Prepared, prepare
from calls.media.references import NumberTakenError
from calls.models import Sound, User

ACCEPT = ".wav,.mp3,.m4a,.ogg,.oga,.opus,.amr,.flac,audio/*"


class SoundForm(ReferenceForm):
    """A new sound, or changes of one. A file is checked and converted while the form is validated."""

    file = forms.FileField(
        required=False,
        allow_empty_file=True,  # what reads audio says more about an empty file than Django would
        widget=forms.FileInput(attrs={"accept": ACCEPT}),
        help_text="WAV, MP3, M4A, OGG, AMR or FLAC, "
        f"at most {MAX_BYTES // 1024**2} MiB and {MAX_SECONDS // 60} minutes.",
    )
    remove_file = forms.BooleanField(
        label="Remove the file",
        required=False,
        help_text="The reference stays, and names audio that the carrier holds.",
    )

    class Meta:
        model = Sound
        fields = ["number", "name"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.prepared: Prepared | None = None
        if self.instance.file:
            self.fields["file"].label = "Replace the file"
        else:
            del self.fields["remove_file"]

    @property
    def file_came(self) -> bool:
        """Whether a file was sent: if something else is wrong it must be chosen again, as browsers don't keep it."""
        return bool(self.files.get("file"))

    def clean_file(self) -> "UploadedFile[Any] | None":
        """Make of the file what a phone plays; kept in `prepared`."""
        upload: UploadedFile[Any] | None = self.cleaned_data["file"]
        if upload is not None:
            try:
                self.prepared = prepare(upload, upload.name or "")  # type: ignore[arg-type] # reads as a file does
            except AudioRefused as refusal:
                raise forms.ValidationError(str(refusal), code="audio") from refusal
        return upload

    def clean(self) -> dict[str, Any]:
        """Refuse to both replace and remove a file."""
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("remove_file") and cleaned.get("file"):
            self.add_error("remove_file", "A new file came and the file is to be removed. Choose one of the two.")
        return cleaned

    def store(self, user: User) -> bool:
        """Save the sound for `user`; False, with an error at the number, if somebody just took that.

        Raises Sound.DoesNotExist if it was deleted meanwhile.
        """
        sound: Sound = self.instance
        if not sound.pk:
            sound.created_by = user
        try:
            store.save(sound, self.prepared, remove_file=self.cleaned_data.get("remove_file", False))
        except NumberTakenError:
            self.add_error("number", self.taken(Sound.objects.get(number=sound.number)))
            return False
        return True
