"""The carrier's callbacks in the storm: true ones until they are taken, and now and then one that must do nothing."""

import heapq
import random
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import quote

import requests

from tests.obd_server import Placed

THREADS = 3
AGAIN = 1.0
"""Seconds until a callback that was not taken is made again."""


@dataclass(order=True)
class Told:
    """A callback to be made."""

    due: float
    turn: int
    url: str = field(compare=False)
    hostile: bool = field(compare=False, default=False)


def filled_in(template: str, call: Placed, word: str, custom: str = "") -> str:
    """The callback's URL with what the carrier puts in; what it doesn't know stays as it is."""
    url = template
    for name, value in {
        "obdid": call.id,
        "mobile": call.mobile,
        "status": word,
        "custom": custom or call.custom,
    }.items():
        url = url.replace(f"{{{name}}}", quote(value, safe=""))
    return url


class Caller:
    """Makes callbacks when they are due, those that fail again and again. `answers` counts what was answered."""

    def __init__(self, rng: random.Random) -> None:
        self.answers: Counter[str] = Counter()
        self._rng = rng
        self._heap: list[Told] = []
        self._turns = 0
        self._busy = 0
        self._changed = threading.Condition()
        self._ended = False
        self._threads = [threading.Thread(target=self._work) for _ in range(THREADS)]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Make none any more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    @property
    def idle(self) -> bool:
        """Whether all callbacks were taken."""
        with self._changed:
            return not self._heap and not self._busy

    def tell(self, due: float, template: str, call: Placed, word: str) -> None:
        """Report the call when it is due (monotonic clock); sometimes twice, backwards, or with lies."""
        final = filled_in(template, call, word)
        self._add(due, final)
        dice = self._rng.random()
        if dice < 0.05:
            self._add(due - 0.5, filled_in(template, call, "INPROGRESS"))
            self._add(due + 1, filled_in(template, call, "INPROGRESS"))
            self._add(due + 1, final)
        elif dice < 0.08:
            token = template.partition("?")[0].rstrip("/").rpartition("/")[2]
            forged = token[:-1] + ("A" if token[-1] != "A" else "B")
            self._add(due, filled_in(template, call, "REJECTED").replace(token, forged), hostile=True)
            self._add(due, filled_in(template, call, "REJECTED", custom="1-999999999"), hostile=True)

    def _add(self, due: float, url: str, hostile: bool = False) -> None:
        with self._changed:
            self._turns += 1
            heapq.heappush(self._heap, Told(due, self._turns, url, hostile))
            self._changed.notify()

    def _next(self) -> Told | None:
        with self._changed:
            while not self._ended:
                wait = self._heap[0].due - time.monotonic() if self._heap else None
                if wait is not None and wait <= 0:
                    self._busy += 1
                    return heapq.heappop(self._heap)
                self._changed.wait(wait)
            return None

    def _work(self) -> None:
        session = requests.Session()
        session.trust_env = False
        while told := self._next():
            status = 0
            with suppress(requests.RequestException):
                status = session.get(told.url, timeout=10, allow_redirects=False).status_code
            with self._changed:
                self._busy -= 1
                self.answers[f"{'hostile' if told.hostile else 'true'} {status or 'lost'}"] += 1
            if status not in (200, 404):
                self._add(time.monotonic() + AGAIN, told.url, told.hostile)
