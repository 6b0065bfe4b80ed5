"""The rules of calling by traffic type: hours, weekdays, holidays, and how often a number is called in a day."""

from django.db import models


class Traffic(models.TextChoices):
    """What kind of calls these are; the law treats them differently (FIELD.md, "The law that shapes the defaults")."""

    PROMOTIONAL = "promotional", "Promotional"
    TRANSACTIONAL = "transactional", "Transactional"
    SERVICE = "service", "Service"

    @property
    def meaning(self) -> str:
        """What calls of this type are about."""
        return MEANINGS[self]


MEANINGS = {
    Traffic.PROMOTIONAL: "offers, advertising, surveys",
    Traffic.TRANSACTIONAL: "what an order, a payment or an account of the called person brings",
    Traffic.SERVICE: "what the called person uses: reminders, changes, outages",
}


WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def every_day() -> list[int]:
    """Monday (0) to Sunday (6)."""
    return list(range(7))


class CallingRule(models.Model):
    """When people may be called, and how often, by calls of one traffic type. Times are the called person's."""

    traffic = models.CharField(max_length=15, choices=Traffic, primary_key=True, editable=False)
    hours = models.CharField(
        max_length=11, blank=True, help_text="Such as 09:00-21:00. Empty: as in the setting CALLING_HOURS."
    )
    weekdays = models.JSONField(default=every_day, help_text="Days on which calls are made, from 0 (Monday) to 6.")
    holidays = models.BooleanField(
        "not on public holidays", default=False, help_text="Nobody is called on a public holiday of their country."
    )
    closed_days = models.JSONField(default=list, blank=True, help_text="Further days without calls, as 2026-12-24.")
    daily_cap = models.PositiveSmallIntegerField(
        "calls a day",
        null=True,
        blank=True,
        help_text="How often at most a number may ring in a day, over all call groups. Empty: no limit.",
    )

    class Meta:
        ordering = ["traffic"]

    def __str__(self) -> str:
        return f"{self.get_traffic_display()} calls"
