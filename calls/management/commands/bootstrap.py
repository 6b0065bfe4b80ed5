"""The first admin and, if wanted, demo data, in a portal that has nobody yet."""

from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand
from django.db import connection, transaction

from calls.access import random_password


class Command(BaseCommand):
    """Does nothing once there is a user, so it may run at every start."""

    help = "Creates the first admin (ADMIN_USERNAME, ADMIN_PASSWORD) and demo data, if there is no user yet."

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        """Create them and print the admin's name and password."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('bootstrap'))")  # two hosts may start at once
        users = get_user_model().objects
        if users.exists():
            return
        password = settings.ADMIN_PASSWORD or random_password()
        users.create_superuser(settings.ADMIN_USERNAME, password=password)
        if settings.DEMO_DATA:
            import_module("calls.demo").create()
        shown = "as given in ADMIN_PASSWORD" if settings.ADMIN_PASSWORD else f"{password} (shown this once)"
        self.stdout.write(f"First start. Sign in as: {settings.ADMIN_USERNAME}\n               password: {shown}")
