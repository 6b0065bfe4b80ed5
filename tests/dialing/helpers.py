"""What tests of the dialing core share."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Barrier
from typing import Any, TypeVar

import pytest
from django.db import connection
from django.utils import timezone
from procrastinate.contrib.django.models import ProcrastinateJob

from calls.carriers.base import Accepted, Order, Question, Report, Turn
from calls.dialing import handover, pacing, plan, progress, start, steer
from calls.models import Batch, Call, CallGroup

T = TypeVar("T")


def freeze(monkeypatch: pytest.MonkeyPatch, moment: datetime) -> None:
    """Make it `moment` (aware) for all of our code; the database's clock goes on."""
    monkeypatch.setattr(timezone, "now", lambda: moment)


def jobs(group: CallGroup, task: str = "") -> list[ProcrastinateJob]:
    """The jobs of a call group that wait, of this task or of all."""
    waiting = ProcrastinateJob.objects.filter(status="todo", args__call_group_id=group.pk)
    return list((waiting.filter(task_name=f"calls.tasks.{task}") if task else waiting).order_by("id"))


def ranges(group: CallGroup) -> list[tuple[int, int]]:
    """First and last call of each batch."""
    return list(group.batches.order_by("first").values_list("first", "last"))


def statuses(group: CallGroup) -> list[str]:
    """The status of each call, in their order."""
    return list(group.calls.order_by("n").values_list("status", flat=True))


def call(group: CallGroup, n: int = 1) -> Call:
    """One call, as the database has it now."""
    return group.calls.get(n=n)


def batch(group: CallGroup, first: int = 1) -> Batch:
    """The batch that begins with call `first`, as the database has it now."""
    return group.batches.get(first=first)


def at_the_same_moment(*acts: Callable[[], T]) -> list[T]:
    """What each of `acts` returns, all begun at once in threads with a database connection of their own."""
    barrier = Barrier(len(acts))

    def run(act: Callable[[], T]) -> T:
        try:
            barrier.wait(30)
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return [future.result(60) for future in [pool.submit(run, act) for act in acts]]


class Carrier:
    """A carrier that does as it is told: `answer` is returned, raised or called; `says` are its reports."""

    name = "sandbox"
    account = ""
    idempotent_seconds = 0
    retry_gap = 60.0
    cps = 0.0

    def __init__(self) -> None:
        self.answer: Accepted | Exception | Callable[[Order], Accepted] = Accepted()
        self.says: Sequence[Report] | Exception | Callable[[Question], Sequence[Report]] = ()
        self.orders: list[Order] = []
        self.questions: list[Question] = []

    @property
    def numbers(self) -> list[str]:
        """All numbers that were handed over, as often as they were."""
        return [each.number for order in self.orders for each in order.calls]

    def place(self, order: Order) -> Accepted:
        self.orders.append(order)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer if isinstance(self.answer, Accepted) else self.answer(order)

    def check(self) -> str:
        return "It answers."

    def reports(self, question: Question, turn: Turn) -> Iterator[Report]:
        self.questions.append(question)
        with turn():
            if isinstance(self.says, Exception):
                raise self.says
        yield from self.says(question) if callable(self.says) else self.says


def use(carrier: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `carrier` place the calls, without a pace and whatever fails."""
    for module in (plan, start, handover, progress, steer):
        monkeypatch.setattr(module, "get_carrier", lambda name: carrier)
    monkeypatch.setattr(pacing, "_take_slot", lambda *_: time.monotonic())
    monkeypatch.setattr(pacing, "FAILURES", 1_000_000)
    monkeypatch.setattr(handover, "JITTER", 0.0)
    monkeypatch.setattr(progress, "JITTER", 0.0)
