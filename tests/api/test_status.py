"""`voice.status` and `voice.groupstatus`: what became of calls, at the same price for few and many."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from calls.models import Call, CallGroup
from calls.obd.statuses import Status
from tests.api.asking import Answer, Program
from tests.factories import make_call_group, make_user, number

pytestmark = pytest.mark.django_db

SENT = datetime(2026, 11, 23, 6, 30, 5, tzinfo=UTC)  # noon in Kolkata

AUTHENTICATION = 2
"""Statements that find a key and count its use."""


@pytest.fixture
def program() -> Program:
    return Program()


@pytest.fixture
def group(program: Program) -> CallGroup:
    return make_call_group(program.user, 3, campaign="Sale")


def ids(answer: Answer) -> list[str]:
    assert answer.http == 200, answer.body
    return [row.id for row in answer.reply.rows]


@pytest.mark.parametrize("ask", [Program.status, Program.group])
def test_a_user_without_a_role_sees_nothing(ask: Callable[..., Answer], group: CallGroup) -> None:
    outsider = make_user()
    outsider.groups.clear()
    assert outsider.sees_all_calls
    answer = ask(Program(outsider), **{"id" if ask is Program.status else "groupid": group.pk})
    assert (answer.http, answer.reply.rows) == (403, ())


class TestStatus:
    def test_in_the_order_asked(self, program: Program, group: CallGroup) -> None:
        g = group.pk
        other = make_call_group(program.user, 1).pk
        assert ids(program.status(id=f"{g}-3, {other}-1,{g}-1,{g}-3")) == [f"{g}-3", f"{other}-1", f"{g}-1"]
        assert ids(program.status(id=f"{other},{g}-2,{g}")) == [f"{other}-1", f"{g}-2", f"{g}-1", f"{g}-3"]

    def test_bare_group_shows_the_first_200(self, program: Program) -> None:
        group = make_call_group(program.user, 205)
        assert ids(program.status(id=group.pk)) == [f"{group.pk}-{n}" for n in range(1, 201)]

    def test_mobile(self, program: Program) -> None:
        group = make_call_group(program.user, 205)
        assert ids(program.status(id=group.pk, mobile=number(203))) == [f"{group.pk}-204"]
        assert ids(program.status(id=f"{group.pk}-1,{group.pk}-2", mobile=number(1)[1:])) == [f"{group.pk}-2"]
        answer = program.status(id=f"{group.pk}-1", mobile=number(1))
        assert (answer.http, answer.message) == (404, "mobile: none of these calls is to that number")

    def test_200_ids(self, program: Program) -> None:
        group = make_call_group(program.user, 200)
        wanted = [f"{group.pk}-{n}" for n in range(200, 0, -1)]
        assert ids(program.status(id=",".join(wanted))) == wanted
        assert program.status(id=",".join([*wanted, f"{group.pk}-201"])).http == 400

    @pytest.mark.parametrize(
        "wanted", ["{0}-4", "{0}-0", "999999999999999999", "999999999999999999-999999999999999999"]
    )
    def test_unknown(self, program: Program, group: CallGroup, wanted: str) -> None:
        wanted = wanted.format(group.pk)
        answer = program.status(id=f"{group.pk}-1,{wanted}")
        assert (answer.http, answer.message) == (404, f"id: there is no call {wanted}")

    @pytest.mark.parametrize("wrong", ["1-1;drop", "1-1' OR 1=1", "-1", "1-", "x", "1.0", "٣", "1-1-1", "", "9" * 19])
    def test_nonsense(self, program: Program, wrong: str) -> None:
        for answer in (program.status(id=wrong), program.group(groupid=wrong)):
            assert answer.http == 400
            assert answer.message.startswith(("id: ", "groupid: "))

    def test_somebody_elses(self, group: CallGroup) -> None:
        stranger = Program(make_user(sees_all_calls=False))
        own = make_call_group(stranger.user, 1).pk
        for wanted in (f"{group.pk}-1", group.pk, f"{own}-1,{group.pk}-1"):
            assert stranger.status(id=wanted).http == 404
        assert stranger.group(groupid=group.pk).http == 404
        assert ids(stranger.status(id=own)) == [f"{own}-1"]

    def test_times_are_local_and_empty_before_hand_over(self, program: Program, group: CallGroup) -> None:
        assert '"senttime": ""' in program.status(id=group.pk, format="json").body
        Call.objects.filter(n=2).update(
            handed_over_at=SENT, answered_at=SENT, ended_at=SENT, duration=7, digits="12#", status=Status.COMPLETED
        )
        row = program.status(id=f"{group.pk}-2").reply.rows[0]
        assert row.senttime == row.answertime == row.endtime == "2026-11-23 12:00:05"
        assert (row.status, row.duration, row.retries, row.digits) == ("COMPLETED", 7, 0, "12#")

    @pytest.mark.parametrize(("status", "word"), [("HELD", "QUEUED"), ("SENDING", "QUEUED"), ("BUSY", "BUSY")])
    def test_words(self, program: Program, group: CallGroup, status: str, word: str) -> None:
        Call.objects.update(status=status)
        assert {row.status for row in program.status(id=group.pk).reply.rows} == {word}
        assert program.group(groupid=group.pk).reply.summary == {word: 3}


class TestGroupStatus:
    def test_pages(self, program: Program) -> None:
        group = make_call_group(program.user, 25)
        seen: list[str] = []
        after: dict[str, Any] = {}
        while True:
            answer = program.group(groupid=group.pk, limit=10, **after)
            seen += ids(answer)
            assert (answer.reply.total, answer.reply.summary) == (25, {"QUEUED": 25})
            if not answer.reply.next:
                break
            after = {"after": answer.reply.next}
        assert seen == [f"{group.pk}-{n}" for n in range(1, 26)]
        assert ids(program.group(groupid=group.pk, after=f"{group.pk}-25")) == []

    def test_an_obd_id_means_its_group(self, program: Program, group: CallGroup) -> None:
        assert len(ids(program.group(groupid=f"{group.pk}-2"))) == 3

    def test_summary(self, program: Program, group: CallGroup) -> None:
        Call.objects.filter(n=1).update(status=Status.COMPLETED)
        Call.objects.filter(n=2).update(status=Status.SENDING)
        assert program.group(groupid=group.pk).reply.summary == {"QUEUED": 2, "COMPLETED": 1}

    def test_campaign(self, program: Program, group: CallGroup) -> None:
        assert len(ids(program.group(groupid=group.pk, campaign="Sale"))) == 3
        answer = program.group(groupid=group.pk, campaign="Other")
        assert (answer.http, answer.message.startswith("campaign: ")) == (404, True)

    @pytest.mark.parametrize(("name", "value"), [("limit", 0), ("limit", 10_001), ("limit", "x"), ("after", "1-1")])
    def test_wrong(self, program: Program, group: CallGroup, name: str, value: object) -> None:
        answer = program.group(groupid=group.pk, **{name: value})
        assert (answer.http, answer.message.startswith(f"{name}: ")) == (400, True)


@pytest.mark.parametrize("profile", [{}, {"sees_all_calls": False}])
def test_costs_the_same_for_few_and_many(
    django_assert_max_num_queries: DjangoAssertNumQueries, profile: dict[str, Any]
) -> None:
    program = Program(make_user(**profile))
    statements = []
    for size in (10, 2_000):
        group = make_call_group(program.user, size)
        asked: list[Callable[[], Answer]] = [
            lambda g=group: program.group(groupid=g.pk, limit=10_000, format="json"),  # type: ignore[misc]
            lambda g=group: program.status(id=g.pk, mobile=number(7)),  # type: ignore[misc]
            lambda g=group: program.status(id=",".join(f"{g.pk}-{n}" for n in range(1, 11))),  # type: ignore[misc]
        ]
        for ask in asked:
            with django_assert_max_num_queries(AUTHENTICATION + 2), CaptureQueriesContext(connection) as queries:
                assert ask().http == 200
            statements.append(len(queries))
    assert statements[:3] == statements[3:]
