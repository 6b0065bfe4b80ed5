"""Random orders of events: no number is handed over twice, no final status changes, tallies equal a fresh count."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta

import pytest
from django.db import transaction
from django.db.models import F
from hypothesis import HealthCheck
from hypothesis import settings as relaxed
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pytest_django import Settings

from calls.carriers.base import (
    Accepted,
    NoAnswer,
    NotTaken,
    Order,
    Question,
    Refused,
    Report,
    Stopped,
    Turn,
    Unconfirmed,
)
from calls.dialing import handover, pacing, progress, start, steer
from calls.dialing.incoming import read_token
from calls.models import (
    Batch,
    BatchState,
    Call,
    CallGroup,
    CarrierBreaker,
    CarrierState,
    GroupState,
    Suppression,
    Tally,
    User,
)
from calls.obd.statuses import FINAL, NOT_REACHED, Status
from tests.dialing.helpers import use
from tests.factories import make_request, make_user, number

WORDS = [*map(str, Status), "ANSWERED", "no-answer", "FAILED_LEG1", "PURPLE", ""]
LANES = (0, 1)


class Killed(BaseException):
    """The worker's process ends here."""


class FakeCarrier:
    """Ends each request as it is told, and remembers which numbers it took.

    It puts all orders into one group of its own, G. While `keeps_answers`, it is a portal: an order whose key it knows
    gets the same answer again.
    """

    name = "sandbox"
    account = "an account"
    retry_gap = 60.0
    cps = 0.0

    def __init__(self) -> None:
        self.ending = "accept"
        self.keeps_answers = False
        self.took: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.words: dict[str, str] = {}
        self.tells: int | None = None
        """The retries that its reports tell."""
        self.orders: list[Order] = []
        """Those that were taken."""
        self.answers: dict[str, Accepted] = {}

    @property
    def idempotent_seconds(self) -> int:
        return 86_400 if self.keeps_answers else 0

    def check(self) -> str:
        if self.ending in FAILING:
            raise NotTaken("Connection refused.")
        return "It answers."

    def _take(self, order: Order, answer: Accepted) -> Accepted:
        numbers = [call.number for call in order.calls]
        self.asked.update(numbers)
        if order.key in self.answers:
            return self.answers[order.key]
        self.took.update(numbers)
        self.orders.append(order)
        if self.keeps_answers:
            self.answers[order.key] = answer
        return answer

    def place(self, order: Order) -> Accepted:
        match self.ending:
            case "accept":
                return self._take(order, Accepted("G", ids={call.obd_id: f"c-{call.obd_id}" for call in order.calls}))
            case "accept without IDs":
                return self._take(order, Accepted())
            case "lost answer":
                self._take(order, Accepted("G"))
            case "killed after":
                self._take(order, Accepted("G"))
                raise Killed
            case "killed before":
                raise Killed
            case "not taken":
                raise NotTaken("Connection refused.")
            case "stopped":
                raise Stopped("The carrier refuses the key.")
            case "refused":
                raise Refused("No.")
            case "broken":
                raise RuntimeError("a bug")
        raise Unconfirmed("The answer was lost.")

    def reports(self, question: Question, turn: Turn) -> Iterator[Report]:
        with turn():
            if self.ending in FAILING:
                raise NoAnswer("Timed out.")
        listed = [call for order in self.orders for call in order.calls] if question.group else question.calls
        for call in listed:
            if call.number in self.took:
                yield Report(call.number, self.words.get(call.number, "QUEUED"), obd_id=call.obd_id, retries=self.tells)


FAILING = ("not taken", "lost answer", "lost request", "no answer")
ENDINGS = [
    "accept",
    "accept without IDs",
    "not taken",
    "stopped",
    "refused",
    "lost answer",
    "lost request",
    "killed before",
    "killed after",
    "broken",
    "no answer",
]


class Dialing(RuleBasedStateMachine):
    """One call group (and the groups that join it) at the mercy of everything."""

    carrier: FakeCarrier
    user: User

    @initialize(count=st.integers(1, 5), retries=st.integers(0, 2), newgroup=st.booleans(), portal=st.booleans())
    def begin(self, count: int, retries: int, newgroup: bool, portal: bool) -> None:
        # Undone at the end: nothing of one example may be seen by the next.
        self.example = transaction.atomic()
        self.example.__enter__()
        self.carrier.__init__()  # type: ignore[misc]
        self.carrier.keeps_answers = portal
        CarrierState.objects.create(
            name="sandbox", idempotent_account=self.carrier.account, idempotent_seconds=self.carrier.idempotent_seconds
        )
        self.numbers = [number(i) for i in range(count)]
        request = make_request(
            self.user, "\n".join(self.numbers), retries=retries, newgroup=newgroup, campaign="Random"
        )
        self.group = start.start(request.pk)
        assert start.start(request.pk) == self.group
        self.final: dict[int, str] = {}
        self.not_placed: Counter[str] = Counter()

    def teardown(self) -> None:
        if hasattr(self, "example"):
            transaction.set_rollback(True)
            self.example.__exit__(None, None, None)

    def _batches(self, *states: str) -> list[Batch]:
        return list(Batch.objects.filter(call_group=self.group, state__in=states).order_by("pk"))

    @rule(lane=st.sampled_from(LANES), endings=st.lists(st.sampled_from(ENDINGS), min_size=2, max_size=6))
    def hand_over(self, lane: int, endings: list[str]) -> None:
        """Several times, as it takes more than one to go wrong; the operator resumes what the portal has paused."""
        for ending in endings:
            self.carrier.ending = ending
            if CallGroup.objects.filter(pk=self.group.pk, state=GroupState.PAUSED, state_by=None).exists():
                steer.resume(self.group.pk, self.user)
            Batch.objects.filter(call_group=self.group, state=BatchState.PENDING).update(due_at=self.group.created_at)
            try:
                handover.hand_over(self.group.pk, lane)
            except Killed:
                assert self._batches(BatchState.SENDING)

    @rule(lane=st.sampled_from(LANES))
    def claim_and_die(self, lane: int) -> None:
        handover.claim(self.group.pk, lane)

    @rule()
    def sweep(self) -> None:
        for lane in LANES:
            handover.settle_orphans(self.group.pk, lane)

    @rule(data=st.data(), ending=st.sampled_from(["accept", "no answer"]))
    def poll(self, data: st.DataObject, ending: str) -> None:
        self.carrier.ending = ending
        self.carrier.tells = data.draw(st.none() | st.integers(0, 2))
        self.carrier.words = {each: data.draw(st.sampled_from(WORDS)) for each in self.numbers}
        Batch.objects.filter(call_group=self.group, check_at__isnull=False).update(check_at=self.group.created_at)
        progress.follow(self.group.pk)

    @rule(data=st.data())
    def stray_reports(self, data: st.DataObject) -> None:
        """Reports of other people's calls, of calls that are held, late ones and repeated ones."""
        reports = data.draw(
            st.lists(
                st.builds(
                    Report,
                    number=st.sampled_from([*self.numbers, number(99)]),
                    word=st.sampled_from(WORDS),
                    obd_id=st.sampled_from(["", f"{self.group.pk}-1", "1-1", f"{self.group.pk}-99"]),
                    carrier_id=st.sampled_from(["", "c-1", f"c-{self.group.pk}-1"]),
                    duration=st.none() | st.integers(0, 99),
                ),
                max_size=5,
            )
        )
        progress.record(self.group.pk, reports, "test", self.group.created_at)

    @rule(data=st.data(), word=st.sampled_from(WORDS))
    def call_back(self, data: st.DataObject, word: str) -> None:
        """The carrier calls back about a call that it took: in time, late, or once more."""
        if self.carrier.orders:
            order = data.draw(st.sampled_from(self.carrier.orders))
            call = data.draw(st.sampled_from(list(order.calls)))
            assert progress.called_back(self._batch_of(order), Report(call.number, word, obd_id=call.obd_id))

    @precondition(lambda self: self.carrier.orders)
    @rule(data=st.data())
    def call_back_for_another(self, data: st.DataObject) -> None:
        """The URL of one batch says nothing of the calls of another one."""
        order = data.draw(st.sampled_from(self.carrier.orders))
        ours = {call.obd_id for call in order.calls}
        others = [call.obd_id for call in Call.objects.filter(call_group=self.group) if call.obd_id not in ours]
        obd_id = data.draw(st.sampled_from([*others, "1-1", f"{self.group.pk}-99"]))
        before = list(Call.objects.order_by("pk").values())
        batch = Batch.objects.get(pk=self._batch_of(order))
        n = int(obd_id.partition("-")[2])
        if not (obd_id.startswith(f"{self.group.pk}-") and batch.first <= n <= batch.last):
            assert not progress.called_back(batch.pk, Report("", "COMPLETED", obd_id=obd_id))
            assert list(Call.objects.order_by("pk").values()) == before

    def _batch_of(self, order: Order) -> int:
        batch = read_token(order.callback.split("/callbacks/")[1].partition("/")[0])
        assert batch
        return batch

    @rule()
    def an_hour_passes(self) -> None:
        """Long enough for lists to prove something, and for the breaker to try again."""
        handed_over = Batch.objects.filter(call_group=self.group, state__in=["accepted", "unconfirmed"])
        handed_over.update(sent_at=F("sent_at") - timedelta(hours=1))
        CarrierBreaker.objects.update(next_trial=self.group.created_at)

    @rule(keeps=st.booleans())
    def the_carrier_becomes_a_portal(self, keeps: bool) -> None:
        self.carrier.keeps_answers = keeps

    @rule(act=st.sampled_from([steer.pause, steer.resume, steer.resume, steer.cancel]))
    def steer(self, act: Callable[[int, User], None]) -> None:
        with suppress(steer.NotPossible):
            act(self.group.pk, self.user)

    @precondition(lambda self: self._batches(BatchState.UNCONFIRMED))
    @rule()
    def settle_truly(self) -> None:
        """The operator finds out what really happened."""
        batch = self._batches(BatchState.UNCONFIRMED)[0]
        calls = Call.objects.filter(call_group=self.group, n__range=(batch.first, batch.last), status="UNCONFIRMED")
        placed = any(call.number in self.carrier.took for call in calls)
        steer.settle(batch.pk, self.user, placed=placed)

    @rule(which=st.integers(0, 6))
    def suppress(self, which: int) -> None:
        Suppression.objects.get_or_create(number=number(which), defaults={"reason": "asked not to be called"})

    @rule(count=st.integers(1, 9))
    def ask_again(self, count: int) -> None:
        """A similar request: it may join the group, but never with a number that is in it."""
        listed = [number(i) for i in range(count)]
        request = make_request(self.user, "\n".join(listed), newgroup=False, campaign="Random")
        try:
            joined = start.start(request.pk)
        except start.CannotStart:
            return
        if joined == self.group:
            self.numbers += [each for each in listed if each not in self.numbers]

    @invariant()
    def no_number_twice(self) -> None:
        assert all(times == 1 for times in self.carrier.took.values()), self.carrier.took

    @invariant()
    def suppressed_numbers_stay_uncalled(self) -> None:
        held = Call.objects.filter(call_group=self.group, status=Status.HELD).values_list("number", flat=True)
        assert not set(held) & set(self.carrier.took)

    @invariant()
    def rings_are_counted(self) -> None:
        """Never fewer than there were, or may be; none of what the portal still holds."""
        calls = {call.obd_id: call for call in Call.objects.filter(call_group=self.group)}
        assert not any(call.rings for call in calls.values() if call.status == Status.HELD)
        for order in self.carrier.orders:
            for call in (calls[each.obd_id] for each in order.calls):
                told = call.status in FINAL and (call.retries or call.status not in NOT_REACHED)
                assert call.rings >= 1 + (call.retries if told else order.retries)

    @invariant()
    def final_statuses_stay(self) -> None:
        now = dict(Call.objects.filter(call_group=self.group).values_list("pk", "status"))
        for pk, status in self.final.items():
            assert now[pk] == status
        self.final |= {pk: status for pk, status in now.items() if status in FINAL}

    @invariant()
    def tallies_equal_a_count(self) -> None:
        calls = Call.objects.filter(call_group=self.group)
        counted = Counter(calls.values_list("status", flat=True))
        tallied = {row.status: row.calls for row in Tally.objects.filter(call_group=self.group) if row.calls}
        assert tallied == counted
        group = CallGroup.objects.get(pk=self.group.pk)
        unfinished = sum(each for status, each in counted.items() if status not in FINAL)
        assert (group.total, group.held, group.open) == (sum(counted.values()), counted["HELD"], unfinished)
        assert (group.ended_at is None) == (unfinished > 0)

    @invariant()
    def states_agree(self) -> None:
        group = CallGroup.objects.get(pk=self.group.pk)
        for batch in Batch.objects.filter(call_group=group):
            calls = Call.objects.filter(call_group=group, n__range=(batch.first, batch.last))
            statuses = set(calls.values_list("status", flat=True))
            if batch.state == BatchState.PENDING:
                assert not statuses & {"SENDING", "QUEUED", "INPROGRESS", "UNCONFIRMED"}
            if batch.state in (BatchState.ACCEPTED, BatchState.REJECTED, BatchState.CANCELLED):
                assert not statuses & {"HELD", "SENDING", "UNCONFIRMED"}
            if batch.state == BatchState.UNCONFIRMED:
                assert not statuses & {"HELD", "SENDING"}
        if group.state == GroupState.CANCELLED:
            assert group.held == 0


@pytest.mark.django_db
def test_any_order_of_events_keeps_the_rules(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    settings.CARRIER_CALLBACKS = True
    carrier = FakeCarrier()
    use(carrier, monkeypatch)
    monkeypatch.setattr(pacing, "FAILURES", 6)
    # However slow the machine is, the same steps have the same effect.
    monkeypatch.setattr(pacing, "FIRST_TRIAL", 3_600.0)
    monkeypatch.setattr(handover, "LANE_SECONDS", 3_600.0)
    monkeypatch.setattr(progress, "TURN_SECONDS", 3_600.0)
    monkeypatch.setattr(start, "MAX_CALLS", 2)  # several batches from few numbers
    Dialing.carrier, Dialing.user = carrier, make_user()
    run_state_machine_as_test(
        Dialing,
        settings=relaxed(
            max_examples=60,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
