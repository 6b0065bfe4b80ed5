"""What forms that take phone numbers have in common: one number, or many, pasted and from a file."""

from typing import Any

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from calls.contacts.entries import MAX_BYTES, Entry, UploadError, read_csv, read_pasted
from calls.contacts.numbers import NumberError, normalise

MAX_ROWS = 50_000
"""Lines that one request takes in; reading and storing them takes seconds."""

MAX_CHARACTERS = 2_000_000
REASONS_SHOWN = 5
PASTED = "pasted"
"""Name of the pasted text as a source of entries; a file's is its own."""


class NumberField(forms.CharField):
    """One phone number as people write it; its value is E.164."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("label", "Phone number")
        options.setdefault("widget", forms.TextInput(attrs={"inputmode": "tel", "autocomplete": "off"}))
        super().__init__(**options)

    def to_python(self, value: Any) -> str:
        """Return the number. Raises ValidationError with what came and why that can't be called."""
        text = super().to_python(value)
        if not text:
            return ""
        try:
            return normalise(text, settings.DEFAULT_REGION)
        except NumberError as error:
            raise forms.ValidationError(f"“{text[:40]}”: {error}.") from error


class PastedField(forms.Field):
    """Pasted text. Not a CharField: that refuses all of it for one NUL byte, where the line can be named instead."""

    widget = forms.Textarea

    def to_python(self, value: Any) -> str:
        """Return the text. Raises ValidationError if it is too long for one request."""
        text = value or ""
        if len(text) > MAX_CHARACTERS:
            raise forms.ValidationError(
                f"The text has {len(text):,} characters; at most {MAX_CHARACTERS:,} are taken in at once. Split it."
            )
        if text.count("\n") > MAX_ROWS:
            raise forms.ValidationError(too_many("The text", text.count("\n")))
        return text


def too_many(what: str, lines: int) -> str:
    """The message for more lines than one request takes in."""
    return f"{what} has {lines:,} lines; at most {MAX_ROWS:,} are taken in at once. Split it."


def read_upload(file: "UploadedFile[Any]") -> list[Entry]:
    """Return the entries of an uploaded CSV file. Raises ValidationError if it is too large or can't be read."""
    size = file.size or 0
    if size > MAX_BYTES:
        raise forms.ValidationError(
            f"“{file.name}” has {size / 1024**2:,.1f} MiB; at most {MAX_BYTES // 1024**2} MiB are taken in. Split it."
        )
    data = file.read()
    # Counted before it is read: entries of a million lines would not fit beside each other's requests.
    lines = max(data.count(b"\n"), data.count(b"\r"))
    if lines > MAX_ROWS + 1:
        raise forms.ValidationError(too_many(f"“{file.name}”", lines))
    try:
        return read_csv(data, settings.DEFAULT_REGION)
    except UploadError as error:
        raise forms.ValidationError(f"“{file.name}” can't be used. {error}") from error


class EntriesForm(forms.Form):
    """Numbers pasted, from a CSV file, or both. Once valid, `sources` has their entries."""

    needs_numbers = True

    pasted = PastedField(
        label="Numbers",
        required=False,
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false", "autocomplete": "off"}),
        help_text="One or many, with or without names, separated as you like.",
    )
    file = forms.FileField(
        label="CSV file",
        required=False,
        widget=forms.FileInput(attrs={"accept": ".csv,.txt,.tsv,text/csv,text/plain"}),
        help_text=f"Up to {MAX_ROWS:,} lines and {MAX_BYTES // 1024**2} MiB. "
        "Columns, separator and encoding are recognised.",
        error_messages={"empty": "The file is empty."},
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.sources: dict[str, list[Entry]] = {}

    @property
    def file_was_lost(self) -> bool:
        """Whether a chosen file must be chosen again: a browser doesn't send it a second time by itself."""
        return bool(self.errors) and "file" in self.files

    def clean(self) -> dict[str, Any]:
        """Read the text and the file; at least one number must be good for something."""
        cleaned = super().clean() or self.cleaned_data
        self._read(cleaned)
        if not self.errors.keys() & {"pasted", "file"}:
            self._check_entries()
        return cleaned

    def _read(self, cleaned: dict[str, Any]) -> None:
        if pasted := read_pasted(cleaned.get("pasted") or "", settings.DEFAULT_REGION):
            self.sources[PASTED] = pasted
        if file := cleaned.get("file"):
            try:
                self.sources[f"file “{file.name}”"] = read_upload(file)
            except forms.ValidationError as error:
                self.add_error("file", error)

    def _check_entries(self) -> None:
        entries = [entry for source in self.sources.values() for entry in source]
        where = "pasted" if PASTED in self.sources or not self.sources else "file"
        if len(entries) > MAX_ROWS:
            self.add_error(where, f"These are {len(entries):,} numbers; at most {MAX_ROWS:,} are taken in at once.")
        elif entries and not any(entry.number for entry in entries):
            self.add_error(where, _nothing_usable(entries))
        elif not entries and self.needs_numbers:
            self.add_error("pasted", "Type or paste numbers, or choose a file.")


def _nothing_usable(entries: list[Entry]) -> str:
    reasons = "; ".join(f"line {entry.line} “{entry.text}” {_said(entry.reason)}" for entry in entries[:REASONS_SHOWN])
    rest = len(entries) - REASONS_SHOWN
    more = f"; and {rest:,} more" if rest > 0 else ""
    return f"No number here can be called: {reasons}{more}."


def _said(reason: str) -> str:
    """The reason as the end of a sentence about the line: "too short" needs a verb, "has letters" has one."""
    return reason if reason.startswith("has ") else f"is {reason}"
