"""Who would be called: what a plan makes of typed numbers, contact groups and the calls of an earlier call group."""

from collections import Counter
from typing import Any

import pytest
from django.db import IntegrityError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calls.contacts.entries import read_pasted
from calls.dialing import plan
from calls.dialing.request import Again, Options
from calls.models import Call, CallRequest, Contact, Outcome, PlannedCall, RequestState, Suppression, User
from calls.obd.statuses import NOT_REACHED, Status
from tests.factories import make_call_group, make_group, make_request, make_user, number

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> User:
    return make_user()


def rows(request: CallRequest) -> list[tuple[str, str]]:
    return list(request.planned.order_by("position").values_list("number", "outcome"))


def callable_numbers(request: CallRequest) -> list[str]:
    planned = request.planned.filter(outcome=Outcome.CALLABLE)
    return list(planned.order_by("position").values_list("number", flat=True))


def counts(request: CallRequest) -> dict[str, int]:
    return {outcome.value: getattr(request, outcome) for outcome in Outcome}


def counted_rows(request: CallRequest) -> dict[str, int]:
    counted = Counter(request.planned.values_list("outcome", flat=True))
    return {outcome.value: counted[outcome] for outcome in Outcome}


def ask(user: User, **options: Any) -> CallRequest:
    """A call request that is not planned yet."""
    chosen = Options(play="1.sound", **options)
    return CallRequest.objects.create(owner=user, typed={"numbers": ""}, options=chosen.as_json())


def test_typed_numbers_are_planned_in_their_order(operator: User) -> None:
    Suppression.objects.create(number=number(2), reason="Asked us in March.")
    request = make_request(operator, f"{number(1)}\n8123456789, 08123456789\n12ab\n{number(2)}\n0091 81234 56789")
    assert rows(request) == [
        (number(1), "callable"),
        ("+918123456789", "callable"),
        ("+918123456789", "duplicate"),
        ("12ab", "invalid"),
        (number(2), "suppressed"),
        ("+918123456789", "duplicate"),
    ]
    assert counts(request) == {"callable": 2, "duplicate": 2, "invalid": 1, "suppressed": 1, "capped": 0}
    assert (request.seen, request.state) == (6, RequestState.PLANNED)


def test_each_dropped_number_has_its_reason(operator: User) -> None:
    Suppression.objects.create(number=number(2), reason="Asked us in March.")
    request = make_request(operator, f"123\n{number(2)}\n{number(1)}\n{number(1)}")
    reasons = dict(request.planned.exclude(outcome=Outcome.CALLABLE).values_list("outcome", "reason"))
    assert "too short" in reasons["invalid"]
    assert reasons["suppressed"] == "On the suppression list “Do not call”: Asked us in March."
    assert "once" in reasons["duplicate"]


def test_a_suppressed_number_is_suppressed_each_time_it_is_listed(operator: User) -> None:
    Suppression.objects.create(number=number(1), reason="No.")
    request = make_request(operator, f"{number(1)}\n{number(1)}")
    assert rows(request) == [(number(1), "suppressed")] * 2


def test_names_stay_with_their_numbers(operator: User) -> None:
    request = make_request(operator, f"Asha: {number(1)}\n{number(2)} Ravi Kumar")
    assert dict(request.planned.values_list("number", "name")) == {number(1): "Asha", number(2): "Ravi Kumar"}


def test_custom_references_go_to_the_numbers_in_their_order(operator: User) -> None:
    typed = f"{number(1)}\nnobody\n{number(1)}\n{number(2)}"
    request = make_request(operator, typed, custom="a,b,c,d")
    assert list(request.planned.order_by("position").values_list("custom", flat=True)) == ["a", "b", "c", "d"]
    # The number that comes twice is called with the reference that stood at its first place.
    called = request.planned.filter(outcome=Outcome.CALLABLE).order_by("position")
    assert list(called.values_list("number", "custom")) == [(number(1), "a"), (number(2), "d")]


def test_nothing_typed_is_a_plan_that_calls_nobody(operator: User) -> None:
    request = make_request(operator, "")
    assert request.state == RequestState.PLANNED
    assert counts(request) == {"callable": 0, "duplicate": 0, "invalid": 0, "suppressed": 0, "capped": 0}


def test_long_lines_and_names_fit(operator: User) -> None:
    request = make_request(operator, f"{'x' * 5_000}\n{'N' * 500} {number(1)}")
    assert counts(request) == {"callable": 1, "duplicate": 0, "invalid": 1, "suppressed": 0, "capped": 0}


@pytest.mark.parametrize("step", [1, 2, 3, 100])
def test_overlapping_contact_groups_are_called_once_per_number(
    operator: User, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(plan, "STEP", step)
    Suppression.objects.create(number=number(3), reason="No.")
    first = make_group(numbers=[number(1), number(2), number(3)])
    second = make_group(numbers=[number(3), number(2), number(4)])
    request = make_request(operator, contact_groups=(second.pk, first.pk), custom="all-of-them")
    assert rows(request) == [
        (number(3), "suppressed"),
        (number(2), "callable"),
        (number(4), "callable"),
        (number(1), "callable"),
        (number(2), "duplicate"),
        (number(3), "suppressed"),
    ]
    assert counts(request) == {"callable": 3, "duplicate": 1, "invalid": 0, "suppressed": 2, "capped": 0}
    assert [*request.planned.order_by("position").values_list("position", flat=True)] == [1, 2, 3, 4, 5, 6]
    assert set(request.planned.values_list("custom", flat=True)) == {"all-of-them"}
    assert request.seen == 6


def test_names_of_contacts_are_kept(operator: User) -> None:
    group = make_group()
    Contact.objects.create(group=group, number=number(1), name="Asha")
    request = make_request(operator, contact_groups=(group.pk,))
    assert request.planned.get().name == "Asha"


def test_an_empty_contact_group_calls_nobody(operator: User) -> None:
    request = make_request(operator, contact_groups=(make_group().pk,))
    assert (request.state, request.callable, request.seen) == (RequestState.PLANNED, 0, 0)


def test_planning_begins_afresh_after_an_interruption(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "STEP", 2)
    request = ask(operator, contact_groups=(make_group(numbers=5).pk,))
    insert = plan._insert_step
    steps = iter([False, False, True])

    def die_in_the_third(*args: Any, **parameters: Any) -> tuple[int, int]:
        if next(steps):
            raise RuntimeError("The worker died.")
        return insert(*args, **parameters)

    monkeypatch.setattr(plan, "_insert_step", die_in_the_third)
    with pytest.raises(RuntimeError):
        plan.make_plan(request)
    request.refresh_from_db()
    assert (request.state, request.seen, request.callable) == (RequestState.PLANNING, 4, 4)

    monkeypatch.setattr(plan, "_insert_step", insert)
    plan.make_plan(request)
    request.refresh_from_db()
    assert (request.state, request.seen) == (RequestState.PLANNED, 5)
    assert callable_numbers(request) == [number(i) for i in range(5)]
    assert counts(request) == counted_rows(request)


def test_cancelling_ends_planning(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "STEP", 2)
    request = ask(operator, contact_groups=(make_group(numbers=9).pk,))
    insert = plan._insert_step

    def cancelled_meanwhile(*args: Any, **parameters: Any) -> tuple[int, int]:
        CallRequest.objects.filter(pk=request.pk).update(state=RequestState.CANCELLED)
        return insert(*args, **parameters)

    monkeypatch.setattr(plan, "_insert_step", cancelled_meanwhile)
    plan.make_plan(request)
    request.refresh_from_db()
    assert request.state == RequestState.CANCELLED
    assert request.planned.count() == 2


def test_progress_shows_while_planning(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "STEP", 2)
    request = ask(operator, contact_groups=(make_group(numbers=5).pk,))
    assert plan.expected_numbers(Options.from_json(request.options)) == 5
    going_on, seen = plan._going_on, []

    def watch(asked: CallRequest) -> bool:
        asked.refresh_from_db()
        seen.append(asked.seen)
        return going_on(asked)

    monkeypatch.setattr(plan, "_going_on", watch)
    plan.make_plan(request)
    assert seen == [2, 4, 5, 5]


def test_a_group_that_the_carrier_holds_needs_no_numbers(operator: User) -> None:
    group = make_group(carrier_group="vip")
    request = make_request(operator, contact_groups=(group.pk,), carrier_group="vip")
    assert (request.state, request.planned.count(), request.callable) == (RequestState.PLANNED, 0, 0)


# --- Calling again -----------------------------------------------------------------------------------------------


def calls_in_every_status(user: User) -> tuple[int, dict[str, str]]:
    """A call group with one call in each status: its ID, and the numbers by status."""
    group = make_call_group(user, len(Status))
    by_status = {}
    for n, status in enumerate(Status, 1):
        Call.objects.filter(call_group=group, n=n).update(status=status, custom=f"c{n}", name=f"Name {n}")
        by_status[str(status)] = number(n - 1)
    return group.pk, by_status


def test_again_takes_those_not_reached_and_nobody_else(operator: User) -> None:
    group, by_status = calls_in_every_status(operator)
    request = make_request(operator, again=Again(group))
    taken = NOT_REACHED - {Status.EXPIRED}  # whom the carrier may have reached, or may still reach
    assert set(callable_numbers(request)) == {by_status[status] for status in taken}
    assert request.seen == len(taken) == plan.expected_numbers(Options.from_json(request.options))


@pytest.mark.parametrize(
    "status",
    ["HELD", "SENDING", "UNCONFIRMED", "QUEUED", "INPROGRESS", "COMPLETED", "DND", "CANCELLED"],
)
def test_again_never_takes(operator: User, status: str) -> None:
    group, by_status = calls_in_every_status(operator)
    assert rows(make_request(operator, again=Again(group, (status,)))) == []
    with_busy = make_request(operator, again=Again(group, (status, "BUSY")))
    assert callable_numbers(with_busy) == [by_status["BUSY"]]


def test_again_keeps_order_names_and_references(operator: User) -> None:
    group, by_status = calls_in_every_status(operator)
    request = make_request(operator, again=Again(group, ("NOANSWER", "EXPIRED")))
    planned = request.planned.order_by("position")
    n = [*Status].index(Status.NOANSWER) + 1, [*Status].index(Status.EXPIRED) + 1
    assert [(row.number, row.name, row.custom) for row in planned] == [
        (by_status["NOANSWER"], f"Name {n[0]}", f"c{n[0]}"),
        (by_status["EXPIRED"], f"Name {n[1]}", f"c{n[1]}"),
    ]


def test_again_with_a_reference_of_its_own(operator: User) -> None:
    group, _ = calls_in_every_status(operator)
    request = make_request(operator, again=Again(group), custom="second-try")
    assert set(request.planned.values_list("custom", flat=True)) == {"second-try"}


@pytest.mark.parametrize(
    ("digits", "called"),
    [
        ("442079460005", [5]),
        ("44207", [5, 15]),
        ("5", [5, 15]),
        ("15", [15]),
        ("02079460015", [15]),
        ("99", []),
        ("0", []),
    ],
)
def test_again_narrowed_by_digits_takes_what_the_search_shows(operator: User, digits: str, called: list[int]) -> None:
    group = make_call_group(operator, [number(5), number(15), number(7)])
    Call.objects.filter(call_group=group, n__lte=2).update(status=Status.BUSY)
    Call.objects.filter(call_group=group, n=3).update(status=Status.COMPLETED)
    request = make_request(operator, again=Again(group.pk, digits=digits))
    assert callable_numbers(request) == [number(i) for i in called]


def test_again_leaves_out_who_was_suppressed_since(operator: User) -> None:
    group = make_call_group(operator, 2)
    Call.objects.filter(call_group=group).update(status=Status.NOANSWER)
    Suppression.objects.create(number=number(1), reason="Rang back and complained.")
    assert rows(make_request(operator, again=Again(group.pk))) == [(number(0), "callable"), (number(1), "suppressed")]


def test_again_in_steps(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "STEP", 2)
    group = make_call_group(operator, 7)
    Call.objects.filter(call_group=group, n__in=[1, 2, 5, 6, 7]).update(status=Status.FAILED)
    request = make_request(operator, again=Again(group.pk))
    assert callable_numbers(request) == [number(i) for i in (0, 1, 4, 5, 6)]


# --- Properties --------------------------------------------------------------------------------------------------

SPELLINGS = ["{0}", "00{1}", "{0} ", "'{0}", "tel:{0}", "{0};", "Asha: {0}", "{0} Ravi"]
WRONG = [
    "123",
    "12ab34",
    "0000000000",
    "\uff19\uff19",
    "+1 555",
    "020 7946 0001 ext. 5",
    "1" * 20,
    "—",
    "x",
    "Asha: 77",
]


def spelled(i: int, spelling: str) -> str:
    return spelling.format(number(i), number(i).removeprefix("+"))


lines = st.lists(
    st.one_of(
        st.builds(spelled, st.integers(0, 9), st.sampled_from(SPELLINGS)),
        st.sampled_from(WRONG),
        st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=12),
    ),
    max_size=12,
)


def check_property(request: CallRequest, suppressed: set[int], wanted: set[str]) -> None:
    assert counts(request) == counted_rows(request)
    assert request.seen == request.planned.count() == sum(counts(request).values())
    numbers = callable_numbers(request)
    assert len(numbers) == len(set(numbers))
    refused = {number(i) for i in suppressed}
    assert not set(numbers) & refused
    assert wanted - refused <= set(numbers)
    duplicates = request.planned.filter(outcome=Outcome.DUPLICATE).values_list("number", flat=True)
    assert set(duplicates) <= set(numbers)


def suppress(which: set[int]) -> None:
    Suppression.objects.all().delete()
    Suppression.objects.bulk_create(Suppression(number=number(i), reason="No.") for i in which)


PROPERTY = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_every_entry_has_one_outcome_and_no_number_is_called_twice(operator: User) -> None:
    @PROPERTY
    @given(lines, st.sets(st.integers(0, 9)))
    def check(typed: list[str], suppressed: set[int]) -> None:
        suppress(suppressed)
        request = make_request(operator, "\n".join(typed))
        entries = read_pasted("\n".join(typed), "IN")
        assert request.seen == len(entries)
        wanted = {entry.number for entry in entries if entry.number}
        assert {spelled(i, "{0}") for i in range(10) if any(number(i) in line for line in typed)} <= wanted
        check_property(request, suppressed, wanted)

    check()


def test_groups_of_any_overlap_in_any_steps_call_no_number_twice(
    operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    @PROPERTY
    @given(
        st.lists(st.lists(st.integers(0, 9), unique=True), min_size=1, max_size=4),
        st.sets(st.integers(0, 9)),
        st.integers(1, 6),
    )
    def check(members: list[list[int]], suppressed: set[int], step: int) -> None:
        suppress(suppressed)
        monkeypatch.setattr(plan, "STEP", step)
        groups = tuple(make_group(numbers=[number(i) for i in group]).pk for group in members)
        request = make_request(operator, contact_groups=groups)
        assert request.seen == sum(map(len, members)) == plan.expected_numbers(Options.from_json(request.options))
        check_property(request, suppressed, {number(i) for group in members for i in group})

    check()


def test_the_database_itself_refuses_a_number_that_is_callable_twice(operator: User) -> None:
    request = make_request(operator, number(1))
    with pytest.raises(IntegrityError):
        PlannedCall.objects.create(request=request, position=2, number=number(1), outcome=Outcome.CALLABLE)
