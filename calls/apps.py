"""The app's configuration."""

from django.apps import AppConfig


class CallsConfig(AppConfig):
    """Outbound dialing."""

    name = "calls"
    verbose_name = "Outbound dialing"
