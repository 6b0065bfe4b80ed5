"""The filter of the audit log: a GET form. A wrong one is named at its field, and nothing is listed."""

from contextlib import suppress

from auditlog.models import LogEntry
from django import forms
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.contrib.postgres.search import SearchVector
from django.db.models import Q, QuerySet

from calls.audit import API_KEY
from calls.contacts.numbers import NumberError, normalise
from calls.contacts.search import Search, has_words
from calls.forms.filters import Period
from calls.history import PORTAL
from calls.history_words import ACCESS, CREATE, DELETE, UPDATE, kinds
from calls.models import APIKey, User
from calls.models.keys import PREFIX_LENGTH

LARGEST_ID = 2**63 - 1

STEERED, SETTLED, PASSWORD, AGAIN, OVERRIDE = "state", "settled", "password", "callbacks", "override_reason"
EXPORTED, DOWNLOADED = "exported", "downloaded"
NAMED = [STEERED, SETTLED, PASSWORD, AGAIN, OVERRIDE, EXPORTED, DOWNLOADED]
"""What has a name of its own below, besides *changed*."""

DEEDS: dict[str, tuple[str, Q]] = {
    "created": ("Created, added or started", Q(action=CREATE)),
    "changed": ("Changed", Q(action=UPDATE) & ~Q(changes__has_any_keys=NAMED)),
    "deleted": ("Deleted or removed", Q(action=DELETE)),
    "steered": ("Paused, resumed or cancelled", Q(action=UPDATE, changes__has_key=STEERED)),
    # A pause ends an override, which it changes too.
    "overridden": (
        "Overrode calling rules",
        Q(action=UPDATE, changes__has_key=OVERRIDE) & ~Q(changes__has_key=STEERED),
    ),
    "settled": ("Settled unconfirmed calls", Q(action=UPDATE, changes__has_key=SETTLED)),
    "callbacks": ("Sent callbacks again", Q(action=UPDATE, changes__has_key=AGAIN)),
    "password": ("Set a password", Q(action=UPDATE, changes__has_key=PASSWORD)),
    # One by one, as the index audit_deeds has them.
    "exported": (
        "Exported",
        Q(action=UPDATE) & (Q(changes__has_key=EXPORTED) | Q(changes__has_key=DOWNLOADED)),
    ),
    "session": ("Signed in or out", Q(action=ACCESS)),
}
"""What the filter calls each kind of deed, and which entries it means."""


class AuditFilter(Period):
    """Which entries of the audit log are shown."""

    who = forms.CharField(
        label="Who",
        required=False,
        max_length=150,
        widget=forms.TextInput(attrs={"autocomplete": "off", "list": "people", "placeholder": "Name or key"}),
    )
    did = forms.ChoiceField(
        label="What was done",
        required=False,
        choices=[("", "Anything"), *((name, label) for name, (label, _) in DEEDS.items())],
        error_messages={"invalid_choice": "“%(value)s” is nothing that the log tells apart."},
    )
    kind = forms.ChoiceField(
        label="Kind of thing",
        required=False,
        choices=lambda: [("", "Anything"), *kinds().items()],
        error_messages={"invalid_choice": "“%(value)s” is no kind of things that the log has."},
    )
    thing = forms.CharField(
        label="Which one",
        required=False,
        max_length=100,
        widget=forms.TextInput(attrs={"autocomplete": "off", "placeholder": "Name or #ID"}),
    )
    field_order = ["who", "did", "kind", "thing", "since", "until"]

    def clean_who(self) -> str:
        """Find the person or the key; refuse what is neither."""
        typed: str = self.cleaned_data["who"]
        self._who = self._found(typed)
        if typed and self._who is None:
            raise forms.ValidationError(
                f"There is no user “{typed}”, and no API key whose first {PREFIX_LENGTH} characters these are. "
                f"For what nobody did, type “{PORTAL.lower()}”."
            )
        return typed

    def _found(self, typed: str) -> Q | None:
        """The entries of this person, of this API key (by its first characters), or of nobody."""
        if not typed:
            return None
        if typed.lower() == PORTAL.lower():
            return Q(actor=None, actor_email=None)
        if user := User.objects.filter(username__iexact=typed).order_by("pk").first():
            return Q(actor=user)
        if key := APIKey.objects.filter(prefix=typed).first():
            # With its user, by whom the entries are found.
            return Q(actor=key.user_id, **{f"additional_data__{API_KEY}__id": key.pk})
        return None

    def clean_thing(self) -> str:
        """Refuse a # without an ID."""
        typed: str = self.cleaned_data["thing"]
        if typed.startswith("#") and not _is_id(typed[1:]):
            raise forms.ValidationError(f"“{typed}” is no ID: type # and digits, such as #12, or a name.")
        return typed

    def narrow(self, entries: QuerySet[LogEntry]) -> QuerySet[LogEntry]:
        """The entries among `entries` that the filter asks for; none if it is wrong."""
        entries = self.listed(entries)
        return entries.filter(self.search.wanted) if self.search else entries

    def listed(self, entries: QuerySet[LogEntry]) -> QuerySet[LogEntry]:
        """As `narrow`, before what was done, and to which thing, are searched for."""
        if not self.is_valid():
            return entries.none()
        chosen = self.cleaned_data
        if self._who is not None:
            entries = entries.filter(self._who)
        if chosen["kind"]:
            entries = entries.filter(content_type__in=_content_types(chosen["kind"]))
        return self.in_period(entries, "timestamp")

    @property
    def search(self) -> Search[LogEntry] | None:
        """The search for what was done and for the thing; None if the filter asks for neither, or is wrong."""
        if not self.is_valid():
            return None
        did, thing = self.cleaned_data["did"], self.cleaned_data["thing"]
        wanted = (DEEDS[did][1] if did else Q()) & (_about(thing) if thing else Q())
        return Search(wanted) if wanted else None


WORDS = SearchVector("object_repr", config="simple")
"""The same expression as that of the index (calls/migrations/0002_audit_log.py)."""


def _content_types(kind: str) -> list[int]:
    return list(ContentType.objects.filter(model=kind).values_list("pk", flat=True))


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and int(text[:20]) <= LARGEST_ID


def _about(typed: str) -> Q:
    """Things with that ID, that number, or whose name has words that begin with the words of `typed`."""
    if typed.startswith("#"):
        return Q(object_pk=str(int(typed[1:])))
    found = has_words(WORDS, typed)
    if _is_id(typed):
        found |= Q(object_pk=str(int(typed)))
    with suppress(NumberError):  # it may be a name
        found |= has_words(WORDS, normalise(typed, settings.DEFAULT_REGION))
    return found
