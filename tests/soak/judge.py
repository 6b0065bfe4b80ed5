"""What must hold after the storm: the portal's rows against what the carrier wrote down.

Each function returns what is wrong, in plain sentences; nothing if all is well.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from django.db import connection

from calls.models import Batch, BatchState, Call, CallGroup, GroupState, Tally
from calls.obd.statuses import FINAL, Status, from_word
from tests.soak.carrier import Seen, StormCarrier
from tests.soak.processes import Death

SLACK = 1.0
"""Seconds by which what happened at one moment may be written down at different ones."""

SHOWN = 5

TALLIES_SQL = """
    SELECT coalesce(t.call_group_id, c.call_group_id), coalesce(t.status, c.status), t.calls, c.calls
    FROM (SELECT * FROM calls_tally WHERE calls <> 0) AS t
    FULL JOIN (SELECT call_group_id, status, count(*) AS calls FROM calls_call GROUP BY 1, 2) AS c
        ON c.call_group_id = t.call_group_id AND c.status = t.status
    WHERE t.calls IS DISTINCT FROM c.calls
"""
GROUPS_SQL = f"""
    SELECT g.id FROM calls_callgroup AS g JOIN (
        SELECT call_group_id, count(*) AS total, count(*) FILTER (WHERE status = 'HELD') AS held,
            count(*) FILTER (WHERE status NOT IN ({", ".join(f"'{status}'" for status in sorted(FINAL))})) AS open
        FROM calls_call GROUP BY 1
    ) AS c ON c.call_group_id = g.id
    WHERE (g.total, g.held, g.open) <> (c.total, c.held, c.open) OR (g.ended_at IS NULL) <> (c.open > 0)
"""


@dataclass(frozen=True)
class Troubles:
    """What befell the portal besides what the carrier did: deaths of workers, outages of the database (epoch)."""

    deaths: Sequence[Death]
    outages: Sequence[tuple[float, float]]
    timeout: float
    """Seconds that the portal waits for an answer."""

    def in_between(self, began: float, ended: float) -> bool:
        """Whether a worker died or the database was away between these moments."""
        died = any(began - SLACK <= death.at <= ended + SLACK for death in self.deaths)
        return died or any(away <= ended + SLACK and began - SLACK <= back for away, back in self.outages)


def shown(wrong: Sequence[str]) -> list[str]:
    """The first of many complaints of one sort, and how many there are."""
    return [*wrong[:SHOWN], f"... {len(wrong)} in all"] if len(wrong) > SHOWN else list(wrong)


def rang_twice(log: Iterable[Seen], not_placed: Collection[str] = ()) -> list[str]:
    """Numbers that were in two orders that may have been taken.

    `not_placed`: keys of orders that the carrier did not take, which somebody has said before they were made again.
    """
    orders = [seen for seen in log if seen.perhaps_taken and (seen.taken or seen.key not in not_placed)]
    asked = Counter(number for seen in orders for number in seen.numbers)
    wrong = [f"{number} was asked for {times} times" for number, times in asked.items() if times > 1]
    keys = Counter(seen.key for seen in log if seen.key)
    wrong += [f"the order {key} was made {times} times" for key, times in keys.items() if times > 1]
    return shown(wrong)


def not_ambiguous(
    log: Iterable[Seen], batches: Iterable[Batch], troubles: Troubles, deaf: Sequence[tuple[float, float]]
) -> list[str]:
    """Unconfirmed batches though it was plain what became of them."""
    by_key = {seen.key: seen for seen in log if seen.key}
    wrong = []
    for batch in batches:
        seen = by_key.get(str(batch.order_key))
        sent = batch.sent_at.timestamp() if batch.sent_at else 0.0
        if seen is None:
            # It never got there. Whoever was to send it died, or a connection broke that was never accepted.
            unclear = troubles.in_between(sent, sent + 2 * troubles.timeout) or any(
                began - SLACK <= sent <= ended for began, ended in deaf
            )
        else:
            ended = seen.ended or seen.began
            died = any(death.pid == seen.worker and death.at >= seen.began - SLACK for death in troubles.deaths)
            slow = ended - sent > troubles.timeout - SLACK
            unclear = seen.kind.unclear or died or slow or seen.worker is None or troubles.in_between(sent, ended)
        if not unclear:
            how = f"{seen.kind.name}, began {seen.began - sent:+.2f} s" if seen else "never came"
            wrong.append(f"batch {batch.pk} is unconfirmed ({batch.answer}); to the carrier: {how}")
    return shown(wrong)


def wrong_tallies() -> list[str]:
    """Tallies and counts of call groups that a fresh count contradicts."""
    with connection.cursor() as cursor:
        cursor.execute(TALLIES_SQL)
        wrong = [
            f"call group {group}, {status}: {tally} by its tally, {calls} counted"
            for group, status, tally, calls in cursor
        ]
        cursor.execute(GROUPS_SQL)
        wrong += [f"call group {group}: its counts or its end are wrong" for (group,) in cursor]
    return shown(wrong)


def not_at_rest() -> list[str]:
    """Calls that are neither final, held nor unconfirmed, and batches that are still under way."""
    moving = Call.objects.open().exclude(status__in=[Status.HELD, Status.UNCONFIRMED])
    wrong = [f"call {call.obd_id} is {call.status}" for call in moving.order_by("id")[: SHOWN + 1]]
    batches = Batch.objects.filter(state=BatchState.SENDING)
    wrong += [f"batch {batch.pk} is being sent" for batch in batches[: SHOWN + 1]]
    waiting = Batch.objects.filter(state=BatchState.PENDING, call_group__state=GroupState.RUNNING)
    wrong += [f"batch {batch.pk} waits since {batch.due_at}: {batch.answer}" for batch in waiting[: SHOWN + 1]]
    return wrong


def not_final() -> list[str]:
    """Calls that are not final, and call groups that have not ended."""
    wrong = [f"call {call.obd_id} is {call.status}" for call in Call.objects.open().order_by("id")[: SHOWN + 1]]
    return wrong + [f"call group {group.pk} has not ended" for group in CallGroup.objects.unfinished()[: SHOWN + 1]]


def wrong_ends(carrier: StormCarrier) -> list[str]:
    """Final statuses that are not what the carrier did."""
    placed = {call.custom: call for group in carrier.groups.values() for call in group.calls}
    refused = {custom for seen in carrier.log if seen.kind.name == "400" for custom in seen.customs}
    cancelled = set(CallGroup.objects.filter(state=GroupState.CANCELLED).values_list("pk", flat=True))
    wrong = []
    for call in Call.objects.iterator():
        if call.obd_id in placed:
            right: list[Status | None] = [from_word(carrier.ends(placed[call.obd_id].mobile))]
        else:
            right = [Status.REJECTED] * (call.obd_id in refused)
            right += [Status.CANCELLED] * (call.call_group_id in cancelled)
        if call.status not in right:
            wrong.append(f"call {call.obd_id} is {call.status}, not {right}")
    if len(placed) != sum(len(group.calls) for group in carrier.groups.values()):
        wrong.append("the carrier took one of our calls twice")
    return shown(wrong)


def wrong_answers(carrier: StormCarrier) -> list[str]:
    """True callbacks that were refused, and hostile ones that were taken."""
    answers = carrier.caller.answers
    return [f"{answers[what]} callbacks: {what}" for what in ("true 404", "hostile 200") if answers[what]]


def too_fast(carrier: StormCarrier, connections: int, rate: float) -> list[str]:
    """More requests at once, or in a second, than the settings allow."""
    at_once, begun = carrier.most_at_once, carrier.most_begun_in(1.0)
    wrong = [f"{at_once} requests at once, not {connections}"] * (at_once > connections)
    return wrong + [f"{begun} requests in a second, not {rate:g}"] * (begun > rate)


def all_statuses() -> Counter[str]:
    """How many calls have which status, by the tallies."""
    counted: Counter[str] = Counter()
    for status, calls in Tally.objects.values_list("status", "calls"):
        counted[status] += calls
    return +counted
