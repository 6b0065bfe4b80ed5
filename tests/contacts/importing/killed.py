"""A process that carries out an import and stops in the middle of writing: ``python -m ... <import> <media root>``.

It says so in a line of its own, and then waits to be killed.
"""

import signal
import sys

import django

django.setup()

from django.conf import settings  # noqa: E402 - needs Django set up

from calls.contacts.importing import apply, progress, work  # noqa: E402 - needs Django set up
from calls.models import Import  # noqa: E402 - needs Django set up


def stop(self: progress.Noted, done: int, rows: int | None = None) -> None:
    """Stop at the second piece that is written."""
    if self._step == "writing" and self._done:
        sys.stdout.write("writing\n")
        sys.stdout.flush()
        signal.pause()
    self._done = done


if __name__ == "__main__":
    settings.MEDIA_ROOT = sys.argv[2]
    apply.ROWS_AT_ONCE = 5
    progress.Noted.at = stop  # type: ignore[method-assign]
    work(Import.objects.get(pk=sys.argv[1]))
