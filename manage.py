#!/usr/bin/env python
"""Django's command line, with a database under it."""

import os
import sys

from obdportal.postgres import DatabaseUnavailableError, provide_database
from obdportal.processes import end_with_parent

# Commands that never ask the database anything.
WITHOUT_DATABASE = {"check", "collectstatic", "diffsettings", "help", "makemigrations", "version"}


def main() -> None:
    """Run the command that is named on the command line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "obdportal.settings")
    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    end_with_parent()
    if command not in WITHOUT_DATABASE and not command.startswith("-") and "--help" not in sys.argv:
        try:
            provide_database()
        except DatabaseUnavailableError as error:
            sys.exit(f"{error}")

    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
