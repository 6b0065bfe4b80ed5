"""The app's configuration."""

from django.apps import AppConfig
from django.core import checks
from django.db.models.signals import post_migrate


class CallsConfig(AppConfig):
    """Outbound dialing."""

    name = "calls"
    verbose_name = "Outbound dialing"

    def ready(self) -> None:
        """Check the settings, make roles and single rows after each migration, log what people change."""
        from calls.access import make_roles, make_rows
        from calls.audit import register
        from calls.checks import check_calling

        checks.register(check_calling)
        post_migrate.connect(make_roles, sender=self)
        post_migrate.connect(make_rows, sender=self)
        register()
