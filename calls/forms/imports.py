"""Forms of imports: what is uploaded or pasted, and how its columns are read."""

from dataclasses import replace
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict

from calls.contacts.importing import ENCODINGS, MAX_BYTES, MAX_ROWS, Layout, Role, may_import
from calls.models import ContactGroup, Existing, Import, Suppression, SuppressionList, User
from calls.uploads import problem_of

CONTACT_ROLES = {
    Role.NUMBER: "Phone number",
    Role.NAME: "Name",
    Role.CUSTOM: "Custom reference",
    Role.EXTRA: "Keep as extra column",
    Role.TEXT: "Names and numbers together",
    Role.SKIP: "Leave out",
}
SUPPRESSION_ROLES = {
    Role.NUMBER: "Phone number",
    Role.REASON: "Reason",
    Role.TEXT: "Names and numbers together",
    Role.SKIP: "Leave out",
}

FREE_TEXT, ANOTHER = "text", "another"
SEPARATORS = {
    "comma": (",", "Comma ,"),
    "semicolon": (";", "Semicolon ;"),
    "tab": ("\t", "Tab"),
    "bar": ("|", "Bar |"),
    "colon": (":", "Colon :"),
    "tilde": ("~", "Tilde ~"),
    "caret": ("^", "Caret ^"),
    "space": (" ", "Space"),
    ANOTHER: ("", "Another one, typed beside"),
    FREE_TEXT: ("", "None: each line is free text"),
}
"""What separates cells, by the name of the choice: the character, and how it is called."""

LAST_HEADER = 1_000
"""The last row in which titles are looked for."""


class PastedField(forms.Field):
    """Pasted text. Not a CharField: that refuses all of it for one NUL byte, where the line can be named instead."""

    widget = forms.Textarea

    def to_python(self, value: Any) -> str:
        """Return the text."""
        return value or ""


class UploadForm(forms.Form):
    """Pasted text, or a file, with many numbers."""

    needs_rows = True

    pasted = PastedField(
        label="Paste numbers",
        required=False,
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false"}),
        help_text="With or without names, separated as you like; or cells copied from a spreadsheet.",
    )
    file = forms.FileField(
        label="Or choose a file",
        required=False,
        widget=forms.FileInput(attrs={"accept": ".csv,.txt,.tsv,.xlsx,.xls,text/csv,text/plain"}),
        help_text=f"CSV or Excel (.xlsx), up to {MAX_ROWS:,} rows and {MAX_BYTES // 1024**2} MiB. Columns, separator "
        "and encoding are recognised; you see how it is read before anything is done.",
        error_messages={"empty": "The file is empty."},
    )

    @property
    def max_bytes(self) -> int:
        """The size of the largest file."""
        return MAX_BYTES

    @property
    def file_was_lost(self) -> bool:
        """Whether a chosen file must be chosen again: a browser doesn't send it a second time by itself."""
        return bool(self.errors) and "file" in self.files

    @property
    def upload(self) -> "UploadedFile[Any] | None":
        """The file, of a valid form; None if there is none."""
        return self.cleaned_data.get("file") or None

    @property
    def pasted_text(self) -> str:
        """The pasted text, of a valid form; empty if there is none."""
        text: str = self.cleaned_data.get("pasted") or ""
        return text if text.strip() else ""

    @property
    def has_rows(self) -> bool:
        """Whether a valid form has anything to import."""
        return bool(self.upload or self.pasted_text)

    def clean_file(self) -> "UploadedFile[Any] | None":
        """Refuse a file for which there was no room."""
        if problem := problem_of(self.cleaned_data.get("file")):
            raise ValidationError(problem)
        return self.upload

    def clean(self) -> dict[str, Any]:
        """One of both: each import has one source."""
        cleaned = super().clean() or self.cleaned_data
        if self.errors.keys() & {"pasted", "file"}:
            return cleaned
        if self.upload and self.pasted_text:
            self.add_error("file", "Paste numbers or choose a file, not both: import one after the other.")
        elif self.needs_rows and not self.has_rows:
            self.add_error("pasted", "Paste numbers, or choose a file.")
        return cleaned

    def refuse(self, why: Exception) -> None:
        """Say at the field where it came from why it can't be imported."""
        self.add_error("file" if self.upload else "pasted", str(why))


class SuppressUploadForm(UploadForm):
    """Numbers that must not be called, and why."""

    reason = forms.fields_for_model(Suppression, fields=["reason"])["reason"]
    field_order = ["pasted", "file", "reason"]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["reason"].help_text = "Why these numbers must not be called, where a row does not say so itself."


def _header_field(last: int) -> forms.IntegerField:
    return forms.IntegerField(
        label="Row with the titles",
        required=False,
        min_value=1,
        max_value=last,
        widget=forms.NumberInput(attrs={"min": 1, "max": last, "inputmode": "numeric"}),
        help_text="Rows above it are left out. Empty: there are no titles.",
    )


class LayoutForm(forms.Form):
    """How the columns are read, and what happens to what is there already. Once valid, `layout` and `existing`."""

    header = _header_field(LAST_HEADER)
    encoding = forms.ChoiceField(label="Encoding", choices=list(ENCODINGS.items()))
    separator = forms.ChoiceField(label="Separator", choices=[(name, words) for name, (_, words) in SEPARATORS.items()])
    other_separator = forms.CharField(label="Another separator", required=False, max_length=1, strip=False)
    existing = forms.ChoiceField(label="If a number is there already", widget=forms.RadioSelect)

    def __init__(self, data: QueryDict | None, *, user: User, asked: Import, layout: Layout) -> None:
        separator, another = _separator(layout)
        super().__init__(
            data,
            initial={
                "header": layout.header or None,
                "encoding": layout.encoding,
                "separator": separator,
                "other_separator": another,
                "existing": asked.existing,
            },
        )
        self.read_as = layout
        self.fields["existing"].choices = _existing_choices(user, asked.target)  # type: ignore[attr-defined]
        roles = CONTACT_ROLES if asked.group else SUPPRESSION_ROLES
        for place, role in enumerate(layout.columns):
            self.fields[f"column_{place}"] = forms.ChoiceField(
                label=self._title(place),
                choices=[(each.value, words) for each, words in roles.items()],
                initial=role if role in roles else Role.SKIP,
            )
        if layout.header > LAST_HEADER:  # found there: blank rows of a workbook are not looked through
            self.fields["header"] = _header_field(layout.header)
        if layout.kind == "pasted":
            del self.fields["header"]
        if layout.kind == "xlsx" or not asked.filename:
            del self.fields["encoding"]
        if layout.kind == "xlsx":
            del self.fields["separator"], self.fields["other_separator"]

    def _title(self, place: int) -> str:
        titles = self.read_as.titles
        title = titles[place].strip() if place < len(titles) else ""
        return title or f"Column {place + 1}"

    @property
    def columns(self) -> list[forms.BoundField]:
        """The fields of the columns, in their order."""
        return [self[f"column_{place}"] for place in range(len(self.read_as.columns))]

    def clean_other_separator(self) -> str:
        """A character that no number and no name has, if one is typed; it counts if the choice says so."""
        typed: str = self.cleaned_data["other_separator"]
        if self.cleaned_data.get("separator") == ANOTHER:
            if not typed:
                raise ValidationError("Type the character that separates the cells.")
            if typed.isalnum() or typed in '"\r\n+':
                raise ValidationError("This can't separate cells: numbers, names or quoted cells have it.")
        elif typed and typed != self.initial["other_separator"]:
            raise ValidationError("Choose “Another one” as the separator, or empty this field.")
        return typed

    def clean(self) -> dict[str, Any]:
        """A column with numbers there must be; what is there once per contact comes from one column."""
        cleaned = super().clean() or self.cleaned_data
        if self.errors or self.reads_otherwise:
            return cleaned  # there will be other columns
        chosen = [cleaned.get(field.name) for field in self.columns]
        if Role.TEXT in chosen and set(chosen) - {Role.SKIP} != {Role.TEXT}:
            raise ValidationError("Where one column has names and numbers together, leave the others out.")
        if chosen and not {Role.NUMBER, Role.TEXT} & set(chosen):
            raise ValidationError("Say which column has the phone numbers.")
        for role, words in {
            Role.CUSTOM: "custom reference",
            Role.REASON: "reason",
            Role.TEXT: "one with names and numbers together",
        }.items():
            if chosen.count(role) > 1:
                raise ValidationError(f"Only one column can be the {words}: leave the others out.")
        return cleaned

    @property
    def reading(self) -> tuple[str, str, str]:
        """Kind, encoding and delimiter of the text, of a valid form."""
        before, chosen = self.read_as, self.cleaned_data.get("separator")
        encoding = self.cleaned_data.get("encoding", before.encoding)
        if chosen is None:
            return before.kind, encoding, before.delimiter
        if chosen == FREE_TEXT:
            return "pasted", encoding, before.delimiter
        return "csv", encoding, SEPARATORS[chosen][0] or self.cleaned_data["other_separator"]

    @property
    def reads_otherwise(self) -> bool:
        """Whether a valid form wants the text to be divided, or decoded, in another way than before."""
        return self.reading != (self.read_as.kind, self.read_as.encoding, self.read_as.delimiter)

    @property
    def layout(self) -> Layout:
        """How the file is read, of a valid form. Its titles are those of the layout before."""
        columns = tuple(Role(self.cleaned_data[field.name]) for field in self.columns)
        return replace(self.read_as, header=self.cleaned_data.get("header") or 0, columns=columns)

    @property
    def chosen(self) -> Existing:
        """What happens to what is there already, of a valid form."""
        return Existing(self.cleaned_data["existing"])


def _separator(layout: Layout) -> tuple[str, str]:
    """The choice for what separates cells now, and the character if it has no choice of its own."""
    if layout.kind == "pasted":
        return FREE_TEXT, ""
    for name, (delimiter, _) in SEPARATORS.items():
        if delimiter == layout.delimiter:
            return name, ""
    return ANOTHER, layout.delimiter


def _existing_choices(user: User, target: ContactGroup | SuppressionList) -> list[tuple[str, str]]:
    what = "contact" if isinstance(target, ContactGroup) else "number"
    there = f"{target.size:,} {what}{'' if target.size == 1 else 's'}"
    words = {
        Existing.SKIP: "Leave it as it is, and add the others",
        Existing.UPDATE: "Update it where the row says something, and add the others",
        Existing.REPLACE: f"Replace everything: of the {there} there now, those that are not in these rows are removed",
    }
    if not isinstance(target, ContactGroup):
        words[Existing.REPLACE] += ". Not while any row is refused"
    return [(each.value, text) for each, text in words.items() if may_import(user, target, each)]
