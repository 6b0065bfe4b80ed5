"""What is heard: sounds and IVRs."""

from typing import Any

import pgtrigger
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models, transaction

from calls.media.prepared import Prepared
from calls.models.access import EnabledQuerySet

REFERENCE_MAX = 2**53
"""References beyond this would lose digits in JavaScript clients."""

PHONE_KEYS = tuple("1234567890*#")

NO_MORE = "Call me no more"
"""What the opt-out key of an IVR means where nobody said it in other words."""


class SoundQuerySet(EnabledQuerySet):
    """Sounds for a user."""

    all_flag = "uses_all_sounds"
    chosen = "sounds"


class IVRQuerySet(EnabledQuerySet):
    """IVRs for a user."""

    all_flag = "uses_all_ivrs"
    chosen = "ivrs"

    def opt_out_key(self, play: str) -> str:
        """The key that opts out in the IVR of that reference (`1234.ivr`); empty if none does, or it is no IVR."""
        number, _, kind = play.partition(".")
        key = self.filter(number=number).values_list("opt_out_key", flat=True).first() if kind == "ivr" else None
        return key or ""


def validate_keys(keys: Any) -> None:
    """Accept `{"1": "Confirms", ...}`: a phone's keys with what each one means."""
    if not isinstance(keys, dict):
        raise ValidationError("The meanings of the keys must be an object.")
    for key, meaning in keys.items():
        if key not in PHONE_KEYS or not isinstance(meaning, str):
            raise ValidationError("“%(key)s” is not a key of a phone (0-9, * or #).", params={"key": key})


class Reference(models.Model):
    """What sounds and IVRs share: a numeric reference by which calls name them."""

    number = models.PositiveBigIntegerField(
        "reference", unique=True, validators=[MinValueValidator(1), MaxValueValidator(REFERENCE_MAX)]
    )
    name = models.CharField(max_length=100)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True
        ordering = ["number"]


class Sound(Reference):
    """Audio with a numeric reference; the file is optional (the carrier may hold it)."""

    file = models.FileField(upload_to="sounds/", blank=True, editable=False)
    seconds = models.FloatField(null=True, editable=False)
    peak_dbfs = models.FloatField(null=True, editable=False)
    rms_dbfs = models.FloatField(null=True, editable=False)
    peaks = models.JSONField(default=list, editable=False, help_text="Waveform: heights from 0 to 100.")
    sha256 = models.CharField(max_length=64, blank=True, editable=False)
    source_format = models.CharField(max_length=100, blank=True, editable=False)
    warnings = models.JSONField(default=list, editable=False, help_text="Plain sentences.")

    objects = SoundQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.reference} {self.name}"

    @property
    def reference(self) -> str:
        """As the OBD API writes it, such as `123.sound`."""
        return f"{self.number}.sound"

    def keep(self, prepared: Prepared) -> None:
        """Save with this audio as its file; an older file is removed once the change is certain."""
        old = self.file.name if self.file else ""
        self.file.save(f"{self.number}-{prepared.sha256[:12]}.wav", ContentFile(prepared.wav), save=False)
        self.seconds, self.peaks, self.sha256 = prepared.seconds, prepared.peaks, prepared.sha256
        self.peak_dbfs, self.rms_dbfs = prepared.peak_dbfs, prepared.rms_dbfs
        self.source_format, self.warnings = prepared.source_format[:100], prepared.warnings
        self.save()
        if old:
            storage = self.file.storage
            transaction.on_commit(lambda: storage.delete(old))


OPT_OUT_KEYS_SQL = """
    UPDATE calls_callgroup SET opt_out_keys = opt_out_keys || NEW.opt_out_key
    WHERE ended_at IS NULL AND play = NEW.number || '.ivr' AND strpos(opt_out_keys, NEW.opt_out_key) = 0;
    RETURN NULL;
"""
"""Who hears the IVR from now on is told of this key, whatever the key is by the time that the carrier reports it."""


class IVR(Reference):
    """Reference to an IVR flow that the carrier runs, with the meaning of its keys."""

    keys = models.JSONField(default=dict, blank=True, validators=[validate_keys])
    opt_out_key = models.CharField(
        "opt-out key",
        max_length=1,
        blank=True,
        default="",
        db_default="",
        choices=[(key, key) for key in PHONE_KEYS],
        help_text="Whoever presses it is put on the suppression list at once. Empty: no key does that.",
    )

    objects = IVRQuerySet.as_manager()

    class Meta(Reference.Meta):
        verbose_name = "IVR"
        triggers = [
            pgtrigger.Trigger(
                name="opt_out_keys",
                when=pgtrigger.After,
                operation=pgtrigger.Insert | pgtrigger.UpdateOf("opt_out_key"),
                condition=pgtrigger.Q(new__opt_out_key__gt=""),
                func=OPT_OUT_KEYS_SQL,
            )
        ]

    def __str__(self) -> str:
        return f"{self.reference} {self.name}"

    def meaning(self, key: str) -> str:
        """What pressing this key says; empty if nobody said what."""
        return str(self.keys.get(key, "")) or (NO_MORE if key == self.opt_out_key else "")

    @property
    def reference(self) -> str:
        """As the OBD API writes it, such as `1234.ivr`."""
        return f"{self.number}.ivr"
