"""A process that makes requests to the carrier of the settings as workers do, each in its turn; for tests.

`python -m tests.carriers.requester <kind> <threads> <requests>`: so many by each thread. Each asks about a call whose
ID begins with the ID of this process, so that the carrier can tell who asked.
"""

import os
import sys
import threading
import time
from datetime import UTC, datetime
from functools import partial

import django
from django.db import connection
from django.utils import timezone

django.setup()

from calls.carriers import get_carrier  # noqa: E402 - needs settings
from calls.carriers.base import AskedCall, NoAnswer, Question  # noqa: E402
from calls.dialing.pacing import NotNow, one_request  # noqa: E402
from calls.models import RequestKind  # noqa: E402

ABOUT = Question(calls=[AskedCall("1-1", "", f"{os.getpid()}-1")], sent_at=datetime.now(UTC))


def ask(kind: RequestKind, requests: int) -> None:
    """Make so many requests, as soon as they may be made."""
    carrier = get_carrier("obd")
    while requests:
        try:
            list(carrier.reports(ABOUT, partial(one_request, carrier, kind)))
        except NotNow as error:
            time.sleep(max(0.0, (error.at - timezone.now()).total_seconds()))
            continue
        except NoAnswer:
            pass
        requests -= 1
    connection.close()


if __name__ == "__main__":
    threads = [
        threading.Thread(target=ask, args=(RequestKind(sys.argv[1]), int(sys.argv[3]))) for _ in range(int(sys.argv[2]))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
