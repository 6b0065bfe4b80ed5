"""The form that starts calls: every parameter of `voice.call`, checked by the same table as the API's (OBD-API.md)."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.conf import settings
from django.db.models import Model, QuerySet
from django.utils import timezone

from calls.contacts.entries import read_pasted
from calls.dialing.request import Again, NotAvailable, Options, find_groups, find_play
from calls.models import IVR, CallGroup, ContactGroup, Sound, Traffic, User, Waits
from calls.obd.parameters import Context, Parameter, ParameterError, Play, parameter
from calls.obd.statuses import NOT_REACHED
from calls.obd.values import shown

TYPED_LIMIT = 10_000
"""Numbers that may be typed or pasted at once; more belong into a contact group."""

TYPED_CHARACTERS, TYPED_DIGITS = TYPED_LIMIT * 100, TYPED_LIMIT * 20
"""Text beyond this has more numbers for sure, or none; reading it would take too long to be waited for."""

LISTED = 300
"""Choices shown in a list; chosen ones are always among them."""

GONE = "{} was deleted meanwhile, or your profile does not enable it any more. Choose again."

NUMBERS, GROUPS, AGAIN = "numbers", "groups", "again"
SOUND, IVR_KIND, MESSAGE = "sound", "ivr", "message"


def _rule(name: str) -> Parameter:
    return parameter("voice.call", name)


class ParameterField(forms.CharField):
    """A field whose text is one parameter of `voice.call`: the table says what is right."""

    def __init__(self, name: str, **options: Any) -> None:
        self.parameter = _rule(name)
        options.setdefault("required", False)
        super().__init__(**options)

    def value_of(self, text: str, context: Context) -> Any:
        """The parameter's value. Raises ValidationError with what came and the rule."""
        try:
            return self.parameter.clean(text, context)
        except ParameterError as error:
            raise forms.ValidationError(_sentence(error.message)) from error


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


class StartForm(forms.Form):
    """What somebody wants to call, and how. Once valid, `options` has it; `entries` counts the typed numbers."""

    who = forms.ChoiceField(
        label="Who is called",
        choices=[(NUMBERS, "Numbers that I type or paste"), (GROUPS, "Contact groups")],
        widget=forms.RadioSelect,
        initial=NUMBERS,
    )
    numbers = forms.CharField(
        label="Phone numbers",
        required=False,
        # Not autocomplete="off": browsers would empty it when one goes back.
        widget=forms.Textarea(attrs={"rows": 5, "inputmode": "tel", "spellcheck": "false"}),
        help_text="One a line, or separated by commas. A name may stand beside a number.",
    )
    groups = forms.ModelMultipleChoiceField(
        ContactGroup.objects.none(),
        label="Contact groups",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"invalid_choice": GONE.format("A contact group (%(value)s)")},
    )
    heard = forms.ChoiceField(
        label="What is heard",
        choices=[(SOUND, "A sound"), (IVR_KIND, "An IVR"), (MESSAGE, "A spoken message")],
        widget=forms.RadioSelect,
        initial=SOUND,
    )
    sound = forms.ModelChoiceField(
        Sound.objects.none(),
        label="Sound",
        required=False,
        empty_label="Choose a sound",
        error_messages={"invalid_choice": GONE.format("The sound")},
    )
    ivr = forms.ModelChoiceField(
        IVR.objects.none(),
        label="IVR",
        required=False,
        empty_label="Choose an IVR",
        error_messages={"invalid_choice": GONE.format("The IVR")},
    )
    message = ParameterField(
        "message",
        label="Message",
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="English, spoken to whoever answers. Up to 1,000 characters.",
    )
    campaign = ParameterField("campaign", label="Campaign", help_text="A name to find these calls by.")
    traffic = forms.ChoiceField(
        label="Traffic type",
        choices=[(each.value, f"{each.label}: {each.meaning}") for each in Traffic],
        required=False,
        initial=Traffic.PROMOTIONAL,
        help_text="It decides at which hours phones may ring, how often in a day, and which suppression lists count.",
    )
    retries = ParameterField(
        "retries",
        label="Retries",
        initial="0",
        widget=forms.Select(choices=[("0", "None"), ("1", "1 more try"), ("2", "2 more tries")]),
        help_text="When a call is not answered.",
    )
    scheduletime = ParameterField(
        "scheduletime",
        label="Start at",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        help_text="From 15 minutes to 2 months ahead. Empty: now.",
    )
    delay = ParameterField(
        "delay",
        label="Delay",
        widget=forms.NumberInput(attrs={"min": 0, "max": 900}),
        help_text="Seconds to wait before calls are handed over, up to 900.",
    )
    waits = forms.ChoiceField(
        label="Who waits for the start",
        choices=Waits.choices,
        initial=Waits.PORTAL,
        required=False,
        widget=forms.RadioSelect,
    )
    newgroup = forms.BooleanField(
        label="A call group of its own",
        required=False,
        initial=True,
        help_text="Otherwise these calls join today's call group with the same campaign and options, if there is one.",
    )
    custom = ParameterField(
        "custom",
        label="Custom references",
        help_text="One for each number, in their order, separated by commas; one for all if you call contact groups.",
    )
    meta = ParameterField(
        "meta",
        label="Metadata",
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
        help_text='A JSON object that is kept with the call group, such as {"ticket": 42}.',
    )
    callback = ParameterField(
        "callback",
        label="Callback URL",
        help_text=(
            "The portal requests it at the end of each call, such as "
            "https://example.com/done?id={obdid}&status={status}."
        ),
    )
    again_group = forms.IntegerField(required=False, widget=forms.HiddenInput)
    again_statuses = forms.CharField(required=False, widget=forms.HiddenInput)
    again_digits = forms.CharField(required=False, widget=forms.HiddenInput)

    options: Options
    typed_numbers = 0

    def __init__(
        self, data: Any = None, *, user: User, now: datetime | None = None, initial: dict[str, Any] | None = None
    ) -> None:
        """`now` (aware) is the moment that schedules are judged by: that of the first check, not of the confirm."""
        super().__init__(data, initial=initial)
        self.user = user
        self.context = Context(now or timezone.now(), ZoneInfo(settings.TIME_ZONE), settings.DEFAULT_REGION)
        for name, rows in (
            ("groups", ContactGroup.objects.visible_to(user)),
            ("sound", Sound.objects.visible_to(user)),
            ("ivr", IVR.objects.visible_to(user)),
        ):
            self._offer(name, rows)
        self.parent = self._parent()
        if self.parent:
            label = f"Those not reached in call group {self.parent.pk}"
            self.fields["who"].choices = [(AGAIN, label), *self.fields["who"].choices]  # type: ignore[attr-defined]

    def _offer(self, name: str, rows: QuerySet[Any]) -> None:
        """Accept any of `rows`, but list only the first ones and those that are chosen."""
        field: Any = self.fields[name]
        field.queryset = rows
        chosen = self._chosen(name)
        others = list(rows.exclude(pk__in=chosen)[: LISTED + 1])
        if len(others) > LISTED:
            field.help_text = f"The first {LISTED} are listed here. Start calls with another one from its own page."
        listed = [*rows.filter(pk__in=chosen), *others[:LISTED]]
        blank = [("", field.empty_label)] if field.empty_label else []
        field.widget.choices = blank + [(row.pk, _label(row)) for row in listed]

    def _chosen(self, name: str) -> list[int]:
        value = self[name].value() if self.is_bound else self.initial.get(name)
        values = value if isinstance(value, list | tuple) else [value]
        return [int(each) for each in map(str, values) if each.isascii() and each.isdigit() and len(each) < 19]

    def _parent(self) -> CallGroup | None:
        value = str(self["again_group"].value() or "")
        if not (value.isascii() and value.isdigit()) or len(value) > 18:
            return None
        return CallGroup.objects.visible_to(self.user).filter(pk=int(value)).first()

    def clean(self) -> dict[str, Any]:
        """Check what each parameter's rule and this user's profile say; sets `options`."""
        data = self.cleaned_data
        values = {
            name: self._value(name, field) for name, field in self.fields.items() if isinstance(field, ParameterField)
        }
        play = self._play(data)
        who = self._who(data)
        self._check_custom(values["custom"] or (), data)
        if values["scheduletime"]:
            self._check_time_left(values["scheduletime"] - timezone.now(), data)
        if self.errors:
            return data
        self.options = Options(
            play=play,
            message=values["message"] or "" if data["heard"] == MESSAGE else "",
            traffic=data["traffic"] or Traffic.PROMOTIONAL,
            retries=values["retries"],
            campaign=values["campaign"] or "",
            newgroup=data["newgroup"],
            schedule_time=values["scheduletime"],
            delay=values["delay"],
            waits=data["waits"] or Waits.PORTAL,
            meta=values["meta"],
            callback=values["callback"] or "",
            custom=",".join(values["custom"] or ()),
            **who,
        )
        return data

    def _value(self, name: str, field: ParameterField) -> Any:
        if name in self.errors or (name == "message" and self.cleaned_data.get("heard") != MESSAGE):
            return field.parameter.empty
        try:
            return field.value_of(self.cleaned_data[name], self.context)
        except forms.ValidationError as error:
            self.add_error(name, error)
            return field.parameter.empty

    def _try(self, field: str, find: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return find(self.user, *arguments)
        except NotAvailable as error:
            self.add_error(field, str(error))

    def _play(self, data: dict[str, Any]) -> str:
        kind = data.get("heard")
        if kind == MESSAGE:
            if not data.get("message") and "message" not in self.errors:
                self.add_error("message", "Type what is to be spoken.")
            return ""
        if kind not in (SOUND, IVR_KIND) or kind in self.errors:
            return ""
        chosen: Sound | IVR | None = data.get(kind)
        if chosen is None:
            self.add_error(kind, "Choose the sound that is played." if kind == SOUND else "Choose the IVR.")
            return ""
        self._try(kind, find_play, Play(kind, chosen.number))
        return chosen.reference

    def _who(self, data: dict[str, Any]) -> dict[str, Any]:
        match data.get("who"):
            case "numbers":
                self._check_numbers(data.get("numbers", ""))
            case "groups":
                return self._who_of_groups(list(data.get("groups") or []))
            case "again":
                return self._who_again(data)
        return {}

    def _check_numbers(self, text: str) -> None:
        if "numbers" in self.errors:
            return
        digits = sum(map(str.isdigit, text))
        if len(text) > TYPED_CHARACTERS or digits > TYPED_DIGITS:
            self.add_error(
                "numbers",
                f"There are {len(text):,} characters with {digits:,} digits; at most {TYPED_LIMIT:,} numbers can be "
                "typed here. Put them into a contact group and call that.",
            )
            return
        entries = read_pasted(text, settings.DEFAULT_REGION)
        self.typed_numbers = len(entries)
        if not entries:
            self.add_error("numbers", "Type at least one phone number.")
        elif len(entries) > TYPED_LIMIT:
            self.add_error(
                "numbers",
                f"There are {len(entries):,} numbers; at most {TYPED_LIMIT:,} can be typed here. "
                "Put them into a contact group and call that.",
            )

    def _who_of_groups(self, groups: list[ContactGroup]) -> dict[str, Any]:
        if "groups" in self.errors:
            return {}
        held_by_carrier = [group for group in groups if group.held_by_carrier]
        if not groups:
            self.add_error("groups", "Choose at least one contact group.")
        elif held_by_carrier and len(groups) > 1:
            self.add_error("groups", f"The carrier holds “{held_by_carrier[0]}”: it can only be called by itself.")
        else:
            ids = tuple(group.pk for group in groups)
            self._try("groups", find_groups, ids, "")
            return {"contact_groups": ids, "carrier_group": groups[0].carrier_group}
        return {}

    def _who_again(self, data: dict[str, Any]) -> dict[str, Any]:
        if self.parent is None:
            self.add_error("who", "The call group whose calls were to be made again is not there any more.")
            return {}
        asked = [word for word in data.get("again_statuses", "").split(",") if word]
        statuses = [word for word in asked if word in NOT_REACHED]
        if asked and not statuses:
            self.add_error("who", f"Calls that are {' or '.join(map(shown, asked[:9]))} are not made again.")
        digits = "".join(character for character in data.get("again_digits", "") if character in "0123456789")
        return {"again": Again(self.parent.pk, tuple(statuses), digits)}

    def _check_time_left(self, left: timedelta, data: dict[str, Any]) -> None:
        """The time was right when it was typed; while the preflight was read it came nearer."""
        least = _rule("scheduletime").limits["min_minutes"]
        if left <= timedelta(0):
            self.add_error("scheduletime", "This time has passed. Choose a later one.")
        elif data.get("waits") == Waits.CARRIER and left < timedelta(minutes=least):
            self.add_error(
                "scheduletime",
                f"The carrier must be told at least {least} minutes ahead. Choose a later one, or let the portal wait.",
            )

    def _check_custom(self, custom: Iterable[str], data: dict[str, Any]) -> None:
        given = len(tuple(custom))
        if not given or "custom" in self.errors or "numbers" in self.errors:
            return
        wanted = self.typed_numbers
        if data.get("who") != NUMBERS:
            if given > 1:
                self.add_error("custom", f"There are {given:,} references: here a single one serves all calls.")
        elif given != wanted:
            are = "is 1 reference" if given == 1 else f"are {given:,} references"
            numbers = "1 number" if wanted == 1 else f"{wanted:,} numbers"
            self.add_error("custom", f"There {are} for {numbers}: give one for each.")

    def typed(self) -> dict[str, Any]:
        """What was typed, for a JSON column; give it back as `data` to show the form again."""
        return {
            name: self.data.getlist(name) if name == "groups" and hasattr(self.data, "getlist") else self.data.get(name)
            for name in self.fields
            if name in self.data
        }


def _label(row: Model) -> str:
    if isinstance(row, ContactGroup):
        return f"{row.name} ({'held by the carrier' if row.held_by_carrier else f'{row.size:,}'})"
    return str(row)
