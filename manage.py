#!/usr/bin/env python
"""Django's command line, with a database under it."""

import os
import sys

from obdportal.postgres import provide_database

# Commands that never ask the database anything. `run` provides it itself, once it holds the lock on DATA_DIR.
WITHOUT_DATABASE = {"check", "collectstatic", "diffsettings", "help", "makemigrations", "run", "version"}


def main() -> None:
    """Run the command that is named on the command line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "obdportal.settings")
    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    if command not in WITHOUT_DATABASE and not command.startswith("-") and "--help" not in sys.argv:
        provide_database()

    from django.core.management import execute_from_command_line  # noqa: PLC0415 - settings come after the database

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
