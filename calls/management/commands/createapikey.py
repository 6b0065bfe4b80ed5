"""Makes an API key for scripts that set up a portal."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from calls.forms.api_keys import APIKeyForm
from calls.models import Traffic


class Command(BaseCommand):
    """Reads its arguments with the form of the page."""

    help = "Creates an API key that acts as USER, and prints the key and nothing else. It can't be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """USER and what the form asks for."""
        parser.add_argument("user", metavar="USER", help="name of the user that the key acts as")
        parser.add_argument("--label", required=True, help="what uses the key")
        parser.add_argument("--expires", default="", metavar="YYYY-MM-DD", help="last day on which it works")
        parser.add_argument("--networks", nargs="+", default=[], metavar="NETWORK", help="addresses it works from")
        parser.add_argument(
            "--traffic", default="promotional", choices=Traffic.values, help="what kind of calls it starts"
        )
        parser.add_argument("--rate", default="600", help="requests a minute (default 600)")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the key. Raises CommandError, with every reason."""
        given = {name: options[name] for name in ("user", "label", "expires", "traffic", "rate")}
        form = APIKeyForm({**given, "networks": " ".join(options["networks"])}, actor=None)
        if not form.is_valid():
            reasons = [f"{name}: {error}" for name, errors in form.errors.items() for error in errors]
            raise CommandError("\n".join(reasons))
        _, key = form.make()
        self.stdout.write(key)
