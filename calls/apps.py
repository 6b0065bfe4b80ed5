"""The app's configuration."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class CallsConfig(AppConfig):
    """Outbound dialing."""

    name = "calls"
    verbose_name = "Outbound dialing"

    def ready(self) -> None:
        """Make the roles after each migration, and keep an audit log of what people change."""
        from calls.access import make_roles
        from calls.audit import register

        post_migrate.connect(make_roles, sender=self)
        register()
