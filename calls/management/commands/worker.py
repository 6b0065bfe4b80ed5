"""`manage.py worker`: run background jobs until it is told to stop."""

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

GRACE = 20.0
"""Seconds that running jobs get to end after the worker was told to stop."""


class Command(BaseCommand):
    """Procrastinate's worker with the portal's options."""

    help = "Runs the portal's background jobs: hand-over to the carrier, status checks, plans of large call requests."

    def handle(self, *args: Any, **options: Any) -> None:
        """Work until a signal says to stop."""
        # Lanes of several call groups, and the jobs that plan, follow and tidy, run side by side.
        concurrency = settings.CARRIER_CONNECTIONS + 4
        call_command("procrastinate", "worker", f"--concurrency={concurrency}", f"--shutdown-graceful-timeout={GRACE}")
