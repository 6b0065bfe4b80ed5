"""The small storm, and that its judge sees what is wrong."""

import os
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from calls.models import Batch, CallGroup
from tests.conftest import ROOT
from tests.factories import make_call_group, make_user
from tests.soak import judge
from tests.soak.carrier import KINDS, WELL, Kind, Seen
from tests.soak.processes import Death

NOON = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)
AT = NOON.timestamp()
HTML = next(kind for kind in KINDS if kind.name == "HTML")
REFUSED = next(kind for kind in KINDS if kind.name == "400")
CALM = judge.Troubles([], [], timeout=2)


def test_small_storm() -> None:
    settings = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "CALLS", "SEED"}}
    command = [sys.executable, "-m", "tests.soak"]
    ended = subprocess.run(
        command, cwd=ROOT, env=settings | {"STORM": "small"}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    figures = {}
    for line in ended.stdout.splitlines():
        value, _, what = line.strip().partition("  ")
        figures[what] = value
    assert (figures["calls"], figures["workers killed"], figures["database stopped hard"]) == ("1,500", "6", "1")


def order(kind: Kind = WELL, number: str = "2079460001", *, taken: bool = True, key: str = "") -> Seen:
    key = key or str(uuid.uuid4())
    return Seen(
        kind, AT, taken, worker=7, method="voice.call", key=key, numbers=[number], read=True, taken=taken, ended=AT
    )


def batch_of(seen: Seen) -> Batch:
    return Batch(pk=1, order_key=uuid.UUID(seen.key), sent_at=NOON, answer="Who knows.")


def test_a_number_in_two_orders_is_seen() -> None:
    assert judge.rang_twice([order(), order()]) == ["2079460001 was asked for 2 times"]
    assert judge.rang_twice([order(), order(HTML, taken=False)])
    assert not judge.rang_twice([order(), order(REFUSED, taken=False), order(number="2079460002")])


def test_an_order_that_somebody_said_was_not_placed_may_be_made_again() -> None:
    lost = order(HTML, taken=False)
    assert not judge.rang_twice([lost, order()], {lost.key})
    assert judge.rang_twice([order(key=lost.key), order()], {lost.key}), "it was placed"


def test_a_key_that_is_used_twice_is_seen() -> None:
    first = order()
    assert judge.rang_twice([first, order(number="2079460002", key=first.key)])


def test_an_unconfirmed_batch_that_was_answered_well_is_seen() -> None:
    well, unclear = order(), order(HTML)
    assert judge.not_ambiguous([well], [batch_of(well)], CALM, [])
    assert judge.not_ambiguous([], [batch_of(well)], CALM, [])
    assert not judge.not_ambiguous([unclear], [batch_of(unclear)], CALM, [])


@pytest.mark.parametrize(
    "troubles",
    [
        judge.Troubles([Death(7, AT + 0.5, killed=True)], [], timeout=2),
        judge.Troubles([], [(AT - 3, AT + 3)], timeout=2),
    ],
    ids=["its worker died", "the database was away"],
)
def test_what_may_make_any_batch_unconfirmed(troubles: judge.Troubles) -> None:
    well = order()
    assert not judge.not_ambiguous([well], [batch_of(well)], troubles, [])
    later = Batch(pk=2, order_key=uuid.uuid4(), sent_at=NOON + timedelta(minutes=1), answer="Who knows.")
    assert judge.not_ambiguous([], [later], troubles, []), "a minute later it is no excuse"


@pytest.mark.django_db
def test_wrong_tallies_are_seen() -> None:
    group = make_call_group(make_user(), 3)
    assert judge.wrong_tallies() == []
    with connection.cursor() as cursor:
        cursor.execute("UPDATE calls_tally SET calls = 2")
    assert judge.wrong_tallies() == [f"call group {group.pk}, HELD: 2 by its tally, 3 counted"]
    CallGroup.objects.update(open=2)
    assert len(judge.wrong_tallies()) == 2


@pytest.mark.django_db
def test_what_is_not_over_is_seen() -> None:
    group = make_call_group(make_user(), 1)
    (waiting,) = judge.not_at_rest()
    assert waiting.startswith(f"batch {group.batches.get().pk} waits")
    assert judge.not_final() == [f"call {group.pk}-1 is HELD", f"call group {group.pk} has not ended"]
