"""The counts that the database keeps: right after every kind of change, one row or many, in the same transaction."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.db.models import Sum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calls import tasks
from calls.models import Activity, Call, CallGroup, Contact, ContactGroup, Tally, User
from calls.obd.statuses import FINAL, Status
from tests.factories import make_call_group, make_group, make_user, number

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)


@pytest.fixture
def operator() -> User:
    return make_user()


def make_calls(group: CallGroup, *statuses: str, first: int = 1) -> list[Call]:
    return Call.objects.bulk_create(
        Call(call_group=group, n=n, number=number(n), status=status) for n, status in enumerate(statuses, first)
    )


def empty_group(user: User) -> CallGroup:
    group = make_call_group(user, 1)
    group.calls.all().delete()
    group.refresh_from_db()
    return group


def tallies(group: CallGroup) -> dict[str, tuple[int, int]]:
    rows = Tally.objects.filter(call_group=group).exclude(calls=0, seconds=0)
    return {row.status: (row.calls, row.seconds) for row in rows}


def activity() -> dict[tuple[datetime, int, str], tuple[int, int]]:
    rows = Activity.objects.values_list("quarter", "owner", "status").annotate(Sum("calls"), Sum("seconds"))
    return {row[:3]: row[3:] for row in rows if any(row[3:])}


def assert_counts_are_right(group: CallGroup) -> None:
    """Compare with a fresh count."""
    calls = list(Call.objects.filter(call_group=group))
    counted = Counter(call.status for call in calls)
    seconds: Counter[str] = Counter()
    for call in calls:
        seconds[call.status] += call.duration or 0
    assert tallies(group) == {status: (count, seconds[status]) for status, count in counted.items()}
    group.refresh_from_db()
    unfinished = sum(count for status, count in counted.items() if status not in FINAL)
    assert (group.total, group.held, group.open) == (len(calls), counted["HELD"], unfinished)
    assert group.not_made == sum(call.status in FINAL and call.handed_over_at is None for call in calls)
    assert (group.ended_at is None) == (unfinished > 0)


def test_inserting(operator: User) -> None:
    group = empty_group(operator)
    make_calls(group, "HELD", "HELD", "QUEUED", "BUSY")
    assert tallies(group) == {"HELD": (2, 0), "QUEUED": (1, 0), "BUSY": (1, 0)}
    assert (CallGroup.objects.get(pk=group.pk).open, CallGroup.objects.get(pk=group.pk).held) == (3, 2)
    Call.objects.create(call_group=group, n=9, number=number(9), status="COMPLETED", duration=7)
    assert tallies(group)["COMPLETED"] == (1, 7)
    assert_counts_are_right(group)


def test_updating_one_and_many(operator: User) -> None:
    group = empty_group(operator)
    calls = make_calls(group, *["HELD"] * 6)
    calls[0].status, calls[0].duration = Status.COMPLETED, 12
    calls[0].save()
    assert_counts_are_right(group)
    Call.objects.filter(call_group=group, n__gte=3).update(status=Status.QUEUED)
    assert_counts_are_right(group)
    for call, status in zip(calls[2:5], [Status.BUSY, Status.COMPLETED, Status.FAILED], strict=True):
        call.status, call.duration = status, 5
    Call.objects.bulk_update(calls[2:5], ["status", "duration"])
    assert_counts_are_right(group)
    assert tallies(group)["COMPLETED"] == (2, 17)


def test_what_ended_without_being_handed_over(operator: User) -> None:
    group = empty_group(operator)
    make_calls(group, *["HELD"] * 4)
    Call.objects.filter(call_group=group, n__gte=2).update(status=Status.QUEUED, handed_over_at=NOON)
    assert_counts_are_right(group)
    Call.objects.filter(call_group=group, n__lte=3).update(status=Status.CANCELLED)
    assert_counts_are_right(group)
    assert group.not_made == 1
    Call.objects.filter(call_group=group, n=4).update(status=Status.DND, handed_over_at=None)
    assert_counts_are_right(group)
    assert group.not_made == 2


def test_deleting(operator: User) -> None:
    group = empty_group(operator)
    make_calls(group, "HELD", "HELD", "COMPLETED", "BUSY")
    group.calls.filter(status="HELD").delete()
    assert_counts_are_right(group)
    assert tallies(group) == {"COMPLETED": (1, 0), "BUSY": (1, 0)}


def test_moving_between_groups_counts_for_both(operator: User) -> None:
    one, other = empty_group(operator), empty_group(operator)
    make_calls(one, "HELD", "BUSY", "QUEUED")
    Call.objects.filter(call_group=one, n=3).update(call_group=other)
    assert_counts_are_right(one)
    assert_counts_are_right(other)


def test_a_change_of_neither_status_nor_duration_leaves_the_counts(operator: User) -> None:
    group = empty_group(operator)
    make_calls(group, "HELD")
    group.refresh_from_db()
    before = group.version
    Call.objects.filter(call_group=group).update(word="Sunspots", name="Asha")
    group.refresh_from_db()
    assert group.version == before
    Call.objects.filter(call_group=group).update(status=Status.QUEUED)
    group.refresh_from_db()
    assert group.version == before + 1


def test_a_statement_that_changes_nothing(operator: User) -> None:
    group = empty_group(operator)
    Call.objects.filter(call_group=group).update(status=Status.BUSY)
    Call.objects.filter(call_group=group).delete()
    assert tallies(group) == {}


def test_counts_go_with_the_transaction(operator: User) -> None:
    group = empty_group(operator)
    make_calls(group, "HELD")
    with transaction.atomic():
        Call.objects.filter(call_group=group).update(status=Status.COMPLETED, duration=5, handed_over_at=NOON)
        assert tallies(group) == {"COMPLETED": (1, 5)}
        transaction.set_rollback(True)
    assert tallies(group) == {"HELD": (1, 0)}
    assert activity() == {}
    assert_counts_are_right(group)


def end(group: CallGroup) -> datetime | None:
    return CallGroup.objects.get(pk=group.pk).ended_at


def test_the_end_is_when_the_last_call_ended(operator: User) -> None:
    group = empty_group(operator)
    make_calls(group, "QUEUED", "HELD")
    Call.objects.filter(call_group=group, n=1).update(status=Status.BUSY)
    assert end(group) is None
    Call.objects.filter(call_group=group, n=2).update(status=Status.COMPLETED)
    first = end(group)
    assert first is not None
    Call.objects.filter(call_group=group, n=2).update(duration=9)
    assert end(group) == first, "A detail that comes later is no new end."
    make_calls(group, "HELD", first=3)
    assert end(group) is None


def test_activity_is_kept_per_quarter_owner_and_status(operator: User) -> None:
    other = make_user()
    one, two = empty_group(operator), empty_group(other)
    make_calls(one, *["HELD"] * 4)
    make_calls(two, "HELD")
    assert activity() == {}, "What is held has not been handed over."
    Call.objects.filter(call_group=one, n__lte=2).update(status="SENDING", handed_over_at=NOON)
    Call.objects.filter(call_group=one, n=3).update(
        status="SENDING", handed_over_at=NOON + timedelta(minutes=14, seconds=59)
    )
    Call.objects.filter(call_group=one, n=4).update(status="SENDING", handed_over_at=NOON + timedelta(minutes=15))
    Call.objects.filter(call_group=two).update(status="SENDING", handed_over_at=NOON)
    next_quarter = NOON + timedelta(minutes=15)
    assert activity() == {
        (NOON, operator.pk, "SENDING"): (3, 0),
        (next_quarter, operator.pk, "SENDING"): (1, 0),
        (NOON, other.pk, "SENDING"): (1, 0),
    }
    Call.objects.filter(call_group=one).update(status="COMPLETED", duration=10)
    assert activity() == {
        (NOON, operator.pk, "COMPLETED"): (3, 30),
        (next_quarter, operator.pk, "COMPLETED"): (1, 10),
        (NOON, other.pk, "SENDING"): (1, 0),
    }
    # What the carrier never saw was not handed over after all.
    Call.objects.filter(call_group=two).update(status="HELD", handed_over_at=None)
    assert {owner for _, owner, _ in activity()} == {operator.pk}


def test_folding_keeps_the_sums(operator: User) -> None:
    recent = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    long_ago = recent - timedelta(days=10)
    for at in (recent, long_ago):
        group = empty_group(operator)
        make_calls(group, *["HELD"] * 5)
        for n in range(1, 6):
            Call.objects.filter(call_group=group, n=n).update(status="QUEUED", handed_over_at=at)
            if n < 5:
                Call.objects.filter(call_group=group, n=n).update(status="COMPLETED", duration=n)
    before = activity()
    assert before[recent, operator.pk, "COMPLETED"] == (4, 10)
    tasks.fold_activity(0)
    assert activity() == before
    rows = Activity.objects.filter(quarter=recent)
    assert sorted(rows.values_list("status", "calls", "seconds")) == [("COMPLETED", 4, 10), ("QUEUED", 1, 0)]
    tasks.fold_activity(0)
    assert activity() == before
    Call.objects.filter(status="QUEUED").update(status="BUSY")
    tasks.fold_activity(0)
    assert sorted(rows.values_list("status", "calls")) == [("BUSY", 1), ("COMPLETED", 4)]


CHANGES = st.one_of(
    st.tuples(st.just("insert"), st.lists(st.sampled_from(list(Status)), min_size=1, max_size=4)),
    st.tuples(
        st.just("update"), st.lists(st.integers(1, 9)), st.sampled_from(list(Status)), st.none() | st.integers(0, 9)
    ),
    st.tuples(st.just("delete"), st.lists(st.integers(1, 9))),
    st.tuples(st.just("hand over"), st.lists(st.integers(1, 9)), st.none() | st.integers(0, 3)),
)


def test_counts_are_right_after_any_changes(operator: User) -> None:
    groups = empty_group(operator), empty_group(operator)

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(CHANGES, max_size=8))
    def check(changes: list[tuple[object, ...]]) -> None:
        Call.objects.filter(call_group__in=groups).delete()
        for change in changes:
            apply(*change)
        for group in groups:
            assert_counts_are_right(group)
        handed_over = Call.objects.filter(call_group__in=groups, handed_over_at__isnull=False)
        seconds = sum(call.duration or 0 for call in handed_over)
        counted = [sum(column) for column in zip(*activity().values(), strict=True)] or [0, 0]
        assert counted == [len(handed_over), seconds]

    def apply(kind: object, *details: object) -> None:
        both = Call.objects.filter(call_group__in=groups)
        match kind, details:
            case "insert", [list() as statuses]:
                for group in groups:
                    last = group.calls.order_by("-n").values_list("n", flat=True).first() or 0
                    make_calls(group, *statuses, first=last + 1)
            case "update", [list() as which, status, duration]:
                both.filter(n__in=which).update(status=status, duration=duration)
            case "delete", [list() as which]:
                both.filter(n__in=which).delete()
            case "hand over", [list() as which, quarter]:
                at = NOON + timedelta(minutes=15 * quarter) if isinstance(quarter, int) else None
                both.filter(n__in=which).update(handed_over_at=at)

    check()


# --- Size of contact groups ---------------------------------------------------------------------------------------


def sizes(*groups: ContactGroup) -> list[int]:
    return [ContactGroup.objects.get(pk=group.pk).size for group in groups]


def test_the_size_of_contact_groups() -> None:
    one, two = make_group(numbers=3), make_group(numbers=2)
    assert sizes(one, two) == [3, 2]
    Contact.objects.create(group=one, number=number(50))
    Contact.objects.bulk_create(
        [
            Contact(group=one, number=number(51)),
            Contact(group=two, number=number(51)),
            Contact(group=two, number=number(0)),
        ],
        ignore_conflicts=True,
    )
    assert sizes(one, two) == [5, 3], "A contact that is there already is no second one."
    Contact.objects.filter(number=number(51)).delete()
    Contact.objects.filter(group=one).first().delete()  # type: ignore[union-attr]
    assert sizes(one, two) == [3, 2]
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM calls_contact WHERE group_id = %s", [one.pk])
    assert sizes(one, two) == [0, 2]
    Contact.objects.filter(group=two).update(name="Asha")
    assert sizes(one, two) == [0, 2]


def test_deleting_a_contact_group_with_its_contacts() -> None:
    one, two = make_group(numbers=3), make_group(numbers=2)
    one.delete()
    assert sizes(two) == [2]
    assert Contact.objects.count() == 2
