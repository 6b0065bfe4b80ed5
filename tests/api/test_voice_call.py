"""`voice.call`: what each parameter may be, what becomes of each number, and that nothing is started twice."""

import json
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from auditlog.models import LogEntry
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from calls.api import describe
from calls.carriers.base import Order, OrderedCall
from calls.carriers.obd import ObdCarrier
from calls.models import Batch, Call, CallGroup, CallingRule, CallRequest, Idempotency, PlannedCall, Suppression
from calls.models.contacts import Contact
from calls.tasks import tidy
from tests.api.asking import Program
from tests.dialing.helpers import at_the_same_moment, freeze, jobs, ranges
from tests.factories import client_for, make_group, make_ivr, make_sound, make_user, number
from tests.obd_server import KEY, ObdServer, Say

pytestmark = pytest.mark.django_db


@pytest.fixture
def program() -> Program:
    return Program()


def rows(answer: Any) -> list[tuple[str, str, str]]:
    return [(row.id, row.mobile, row.status) for row in answer.reply.rows]


def left_out() -> list[tuple[str, str, str]]:
    """Number, reference and outcome of each number that is on record as not called."""
    return list(PlannedCall.objects.order_by("position").values_list("number", "custom", "outcome"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("numbers", ",".join(number(i) for i in range(201))),
        ("numbers", ""),
        ("numbers", ","),
        ("group", "1,Customers"),
        ("group", "9" * 19),
        ("group", ",".join(map(str, range(101)))),
        ("group", "x" * 101),
        ("play", "123"),
        ("play", "123.mp3"),
        ("play", "ivr:"),
        ("message", "x" * 1001),
        ("message", "नमस्ते"),
        ("retries", "3"),
        ("retries", "-1"),
        ("retries", "x"),
        ("retries", "1.0"),
        ("campaign", "x" * 101),
        ("newgroup", "2"),
        ("scheduletime", "tomorrow"),
        ("scheduletime", "1"),
        ("scheduletime", "2001-01-01 10:00:00"),
        ("delay", "901"),
        ("delay", "-1"),
        ("delay", "1.5"),
        ("meta", "[]"),
        ("meta", "{"),
        ("meta", json.dumps({"x": "y" * 8192})),
        ("custom", "a,b"),
        ("custom", "a b"),
        ("custom", "x" * 65),
        ("callback", "ftp://example.com/"),
        ("callback", "https://example.com/{name}"),
        ("callback", "https://example.com/" + "x" * 2000),
        ("format", "yaml"),
        ("jsonp", "alert(1)"),
    ],
)
def test_limits(program: Program, name: str, value: str) -> None:
    answer = program.call(**{name: value})
    assert answer.http == 400
    assert answer.message.startswith(f"{name}: ")
    assert not CallGroup.objects.exists()


def test_200_numbers(program: Program) -> None:
    answer = program.call(numbers=",".join(number(i) for i in range(200)))
    assert len(answer.reply.rows) == 200
    group = CallGroup.objects.get()
    assert (group.total, ranges(group)) == (200, [(1, 200)])


class TestNumbers:
    def test_each_has_a_row(self, program: Program) -> None:
        Suppression.objects.create(number="+442079460003", reason="Asked")
        listed = "+442079460001, 12 ,00442079460002;+44 20 7946 0001,442079460003"
        answer = program.call(numbers=listed, custom="a,b,c,d,e")
        group = CallGroup.objects.get()
        assert answer.reply.group_id == str(group.pk)
        assert rows(answer) == [
            (f"{group.pk}-1", "442079460001", "QUEUED"),
            ("", "12", "INVALID"),
            (f"{group.pk}-2", "442079460002", "QUEUED"),
            ("", "442079460001", "DUPLICATE"),
            ("", "442079460003", "DND"),
        ]
        assert [row.custom for row in answer.reply.rows] == ["a", "b", "c", "d", "e"]
        called = [("+442079460001", "a"), ("+442079460002", "c")]
        assert list(Call.objects.order_by("n").values_list("number", "custom")) == called

    def test_calls_of_several_places_keep_the_order_asked(self, program: Program) -> None:
        answer = program.call(numbers="+12025550123,+442079460001,+12025550124", custom="a,b,c")
        assert [row.mobile for row in answer.reply.rows] == ["12025550123", "442079460001", "12025550124"]
        for row in answer.reply.rows:
            call = Call.objects.get(n=row.id.partition("-")[2])
            assert (call.number, call.custom) == (f"+{row.mobile}", row.custom)
        # Each batch has one place, so calls are numbered place by place.
        assert ranges(CallGroup.objects.get()) == [(1, 1), (2, 3)]

    def test_who_rings_too_often_is_capped(self, program: Program) -> None:
        CallingRule.objects.update_or_create(traffic="promotional", defaults={"daily_cap": 1})
        program.call(numbers=number(0))
        Call.objects.update(handed_over_at=timezone.now(), rings=1)
        answer = program.call(numbers=f"{number(0)},{number(1)}", newgroup=1)
        assert [row.status for row in answer.reply.rows] == ["CAPPED", "QUEUED"]
        alone = program.call(numbers=number(0), newgroup=1)
        assert (alone.http, alone.message) == (400, "numbers: none can be called; called often enough that day")
        group = make_group("Customers", 1)
        assert program.call(group=group.pk, newgroup=1).message.endswith("can be called: 1 are capped")

    def test_outside_calling_hours_calls_are_scheduled(self, program: Program) -> None:
        weekday = timezone.now().astimezone(ZoneInfo("Europe/London")).weekday()
        CallingRule.objects.update_or_create(
            traffic="promotional", defaults={"hours": "09:00-21:00", "weekdays": [(weekday + 3) % 7]}
        )
        answer = program.call(numbers=number(0))
        assert [row.status for row in answer.reply.rows] == ["SCHEDULED"]
        assert CallGroup.objects.get().due_at > timezone.now()

    def test_none_can_be_called(self, program: Program) -> None:
        Suppression.objects.create(number="+442079460003", reason="Asked")
        answer = program.call(numbers="12,+442079460003", custom="a,b")
        assert answer.http == 400
        assert answer.message.startswith("numbers: none can be called; ")
        assert "suppression list" in answer.message
        assert "too short" in answer.message
        assert rows(answer) == [("", "12", "INVALID"), ("", "442079460003", "DND")]
        assert [row.custom for row in answer.reply.rows] == ["a", "b"]
        assert not CallGroup.objects.exists()
        assert left_out() == [("12", "a", "invalid"), ("+442079460003", "b", "suppressed")]
        request = CallRequest.objects.get()
        assert (request.state, request.call_group, request.owner) == ("refused", None, program.user)

    def test_who_is_left_out_stays_on_record(self, program: Program) -> None:
        Suppression.objects.create(number=number(1), reason="Asked")
        CallingRule.objects.update_or_create(traffic="promotional", defaults={"daily_cap": 1})
        program.call(numbers=number(2))
        Call.objects.update(handed_over_at=timezone.now(), rings=1)
        assert not CallRequest.objects.exists()  # nobody was left out
        answer = program.call(numbers=f"{number(0)},{number(1)},{number(2)},12,{number(0)}", custom="a,b,c,d,e")
        assert [row.status for row in answer.reply.rows] == ["QUEUED", "DND", "CAPPED", "INVALID", "DUPLICATE"]
        assert left_out() == [
            (number(1), "b", "suppressed"), (number(2), "c", "capped"), ("12", "d", "invalid"),
            (number(0), "e", "duplicate"),
        ]  # fmt: skip
        assert PlannedCall.objects.get(number=number(1)).reason == "On the suppression list “Do not call”: Asked"
        request = CallRequest.objects.get()
        assert (str(request.call_group_id), request.api_key) == (answer.reply.group_id, program.row)
        counts = (request.callable, request.suppressed, request.capped, request.invalid, request.duplicate)
        assert (request.state, request.seen, counts) == ("started", 5, (1, 1, 1, 1, 1))
        page = client_for(program.user).get(f"/call-groups/{answer.reply.group_id}/dropped/suppressed/")
        assert "“Do not call”: Asked" in page.content.decode()

    def test_it_costs_two_queries_and_nothing_where_nobody_is_left_out(self, program: Program) -> None:
        Suppression.objects.create(number=number(9), reason="Asked")
        program.call(numbers=number(0))

        def cost(numbers: str) -> int:
            with CaptureQueriesContext(connection) as queries:
                assert program.call(numbers=numbers, newgroup=1).http == 200
            return len(queries)

        assert cost(f"{number(1)},{number(9)},12") == cost(number(2)) + 2

    def test_one_portal_says_it_and_another_understands(self, program: Program) -> None:
        Suppression.objects.create(number=number(0), reason="Asked")
        answer = program.call(numbers=f"{number(0)},{number(0)}", custom="12-1,12-2", format="json")
        with ObdServer() as server:
            carrier = ObdCarrier(server.url, KEY, timeout=5, connections=1, region="GB", zone=server.zone)
            server.faults.append(Say(answer.body.encode(), answer.http, answer.headers["Content-Type"]))
            accepted = carrier.place(Order(calls=[OrderedCall("12-1", number(0))], play="1.sound"))
            carrier.close()
        assert accepted.refused == {"12-1": "DND"}

    def test_jobs_are_made(self, program: Program) -> None:
        program.call()
        group = CallGroup.objects.get()
        assert sorted(job.task_name for job in jobs(group)) == ["calls.tasks.follow", "calls.tasks.hand_over"]
        program.call(numbers=number(5))
        assert len(jobs(group, "follow")) == 1
        assert {job.lock for job in jobs(group, "hand_over")} == {f"hand-over-{group.pk}-{lane}" for lane in (0, 1)}

    def test_the_audit_log_says_who(self, program: Program) -> None:
        program.call()
        entry = LogEntry.objects.get_for_object(CallGroup.objects.get()).get()
        assert (entry.actor, entry.remote_addr) == (program.user, "127.0.0.1")


class TestGroups:
    def test_by_id_by_ids_and_by_name(self, program: Program) -> None:
        one, other = make_group("Customers", 3), make_group("Others", [number(2), number(3)])
        assert len(program.call(group=one.pk).reply.rows) == 3
        assert program.call(group="Customers", newgroup=1).reply.total == 3
        answer = program.call(group=f"{other.pk}, {one.pk}", newgroup=1)
        assert [row[2] for row in rows(answer)] == ["QUEUED"] * 2 + ["QUEUED"] * 2 + ["DUPLICATE"]

    def test_overrides_numbers(self, program: Program) -> None:
        group = make_group("Customers", 1)
        assert program.call(group=group.pk, numbers="nonsense").http == 200
        assert Call.objects.get().number == number(0)

    def test_what_is_dropped_has_its_row(self, program: Program) -> None:
        Suppression.objects.create(number=number(0), reason="Asked")
        answer = program.call(group=make_group("Customers", 3).pk, custom="abc")
        group = CallGroup.objects.get()
        assert rows(answer) == [
            ("", number(0)[1:], "DND"),
            (f"{group.pk}-1", number(1)[1:], "QUEUED"),
            (f"{group.pk}-2", number(2)[1:], "QUEUED"),
        ]
        assert {row.custom for row in answer.reply.rows} == {"abc"}

    def test_large_ones_show_the_first_200(self, program: Program) -> None:
        answer = program.call(group=make_group("Customers", 450).pk)
        assert (len(answer.reply.rows), answer.reply.total) == (200, 450)
        group = CallGroup.objects.get()
        assert ranges(group) == [(1, 200), (201, 400), (401, 450)]
        assert answer.reply.rows[199].id == f"{group.pk}-200"

    def test_listed_with_similar_ones_it_shows_its_own(self, program: Program) -> None:
        program.call(group=make_group("One", [number(i) for i in range(3)]).pk)
        answer = program.call(group=make_group("Two", [number(i) for i in range(3, 6)]).pk)
        group = CallGroup.objects.get()
        assert [row[:2] for row in rows(answer)] == [(f"{group.pk}-{i + 1}", number(i)[1:]) for i in range(3, 6)]
        assert group.contact_groups.count() == 2

    @pytest.mark.parametrize("group", ["Nobody", "999999"])
    def test_unknown(self, program: Program, group: str) -> None:
        assert program.call(group=group).http == 404

    def test_nobody_in_it(self, program: Program) -> None:
        assert program.call(group=make_group("Empty").pk).http == 400
        Suppression.objects.create(number=number(0), reason="Asked")
        assert not CallRequest.objects.exists()
        answer = program.call(group=make_group("Suppressed", 1).pk)
        assert (answer.http, answer.message) == (400, "group: no number of it can be called: 1 are suppressed")
        assert (rows(answer), answer.reply.total) == ([("", number(0)[1:], "DND")], 1)
        assert left_out() == [(number(0), "", "suppressed")]
        assert CallRequest.objects.get().state == "refused"

    def test_several_customs(self, program: Program) -> None:
        assert program.call(group=make_group("Customers", 2).pk, custom="a,b").http == 400

    def test_held_by_the_carrier(self, program: Program) -> None:
        held = make_group("Theirs", carrier_group="77")
        answer = program.call(group=held.pk, custom="abc")
        group = CallGroup.objects.get()
        assert (answer.reply.rows, answer.reply.total, group.carrier_group, group.custom) == ((), 0, "77", "abc")
        assert Batch.objects.get().last == 0
        answer = program.call(group=f"{held.pk},{make_group('Ours', 1).pk}")
        assert (answer.http, "by itself" in answer.message) == (400, True)
        assert program.status(id=group.pk).http == 200  # its calls are not known yet


class TestWhatIsHeard:
    def test_priority(self, program: Program) -> None:
        make_sound(123)
        make_ivr(7)
        for play, heard in (("123.sound", "123.sound"), ("ivr:7", "7.ivr"), ("7.IVR", "7.ivr")):
            program.call(play=play, message="नहीं", newgroup=1)
            group = CallGroup.objects.latest("pk")
            assert (group.play, group.message) == (heard, "")

    @pytest.mark.parametrize("play", ["5.sound", "5.ivr", "0.sound"])
    def test_unknown(self, program: Program, play: str) -> None:
        make_sound(123)
        answer = program.call(play=play)
        assert (answer.http, answer.message) == (404, f"play: There is no {play} that you may use.")


class TestProfile:
    def test_what_may_not_be_seen_is_not_there(self) -> None:
        chosen, other = make_sound(1), make_sound(2)
        mine, hidden = make_group("Mine", 1), make_group("Hidden", 1)
        ivr = make_ivr(3)
        program = Program(
            make_user(
                uses_all_sounds=False,
                uses_all_ivrs=False,
                uses_all_contact_groups=False,
                sounds=[chosen],
                contact_groups=[mine],
            )
        )
        assert program.call(play="1.sound").http == 200
        for unseen, missing in ((f"{other.number}.sound", "9.sound"), (f"{ivr.number}.ivr", "9.ivr")):
            answers = [program.call(play=play) for play in (unseen, missing)]
            assert [answer.http for answer in answers] == [404, 404]
            assert answers[0].message.replace(unseen, "") == answers[1].message.replace(missing, "")
        assert program.call(group=mine.pk).http == 200
        assert {program.call(group=each).http for each in (hidden.pk, "Hidden", f"{mine.pk},{hidden.pk}")} == {404}

    @pytest.mark.parametrize("user", [{"role": "viewer"}, {"may_start_calls": False}])
    def test_may_not_start(self, user: dict[str, Any]) -> None:
        answer = Program(make_user(**user)).call(numbers="wrong")
        assert answer.http == 403
        assert not CallGroup.objects.exists()

    def test_admins_are_not_limited(self) -> None:
        make_sound(1)
        assert (
            Program(make_user("admin", uses_all_sounds=False, may_start_calls=False)).call(play="1.sound").http == 200
        )


class TestNewGroup:
    def test_similar_ones_are_listed_together(self, program: Program) -> None:
        first, second = program.call(numbers=number(0)), program.call(numbers=f"{number(1)},{number(2)}", custom="a,b")
        assert first.reply.group_id == second.reply.group_id
        assert [row.id.partition("-")[2] for row in second.reply.rows] == ["2", "3"]

    def test_unless_one_is_wanted(self, program: Program) -> None:
        assert len({program.call(numbers=number(i), newgroup=1).reply.group_id for i in range(2)}) == 2

    @pytest.mark.parametrize("option", [{"campaign": "x"}, {"message": "Bye"}, {"retries": 1}, {"delay": 9}])
    def test_other_options(self, program: Program, option: dict[str, object]) -> None:
        assert program.call().reply.group_id != program.call(numbers=number(5), **option).reply.group_id

    def test_other_key(self, program: Program) -> None:
        other = Program(program.user)
        assert program.call().reply.group_id != other.call(numbers=number(5)).reply.group_id

    def test_a_number_again(self, program: Program) -> None:
        assert program.call().reply.group_id != program.call().reply.group_id

    def test_after_a_cancellation(self, program: Program) -> None:
        first = program.call()
        CallGroup.objects.update(state="cancelled")
        assert first.reply.group_id != program.call(numbers=number(5)).reply.group_id

    def test_another_day(self, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
        first = program.call()
        freeze(monkeypatch, timezone.now() + timedelta(days=1))
        assert first.reply.group_id != program.call(numbers=number(5)).reply.group_id


class TestTime:
    def test_schedule_and_delay(self, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
        now = timezone.now().replace(microsecond=0)
        freeze(monkeypatch, now)
        at = now + timedelta(minutes=20)
        answer = program.call(scheduletime=int(at.timestamp()), delay=60)
        group = CallGroup.objects.get()
        assert (group.due_at, Batch.objects.get().due_at) == (at + timedelta(seconds=60),) * 2
        assert rows(answer)[0][2] == "SCHEDULED"
        assert {job.scheduled_at for job in jobs(group)} == {group.due_at}
        freeze(monkeypatch, group.due_at)
        assert rows(program.status(id=group.pk))[0][2] == "QUEUED"


class TestIdempotency:
    def same(self, **headers: str) -> dict[str, str]:
        return {"Idempotency-Key": "order-1"}

    def test_replay(self, program: Program) -> None:
        answers = [program.call(headers=self.same(), numbers=f"{number(0)},12", custom="a,b") for _ in range(3)]
        assert len({answer.body for answer in answers}) == 1
        assert CallGroup.objects.count() == Call.objects.count() == 1

    def test_replay_of_a_schedule_that_is_near_by_now(self, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
        now = timezone.now()
        at = int((now + timedelta(minutes=16)).timestamp())
        first = program.call(headers=self.same(), scheduletime=at)
        freeze(monkeypatch, now + timedelta(minutes=10))
        assert program.call(headers=self.same(), scheduletime=at).body == first.body

    def test_other_parameters(self, program: Program) -> None:
        program.call(headers=self.same())
        assert program.call(headers=self.same(), campaign="x").http == 409
        assert CallGroup.objects.count() == 1

    def test_other_key(self, program: Program) -> None:
        other = Program(program.user)
        groups = {each.call(headers=self.same()).reply.group_id for each in (program, other)}
        assert len(groups) == 2

    def test_an_error_can_be_corrected(self, program: Program) -> None:
        assert program.call(headers=self.same(), numbers="12").http == 400
        assert not Idempotency.objects.exists()
        assert program.call(headers=self.same()).http == 200

    def test_after_a_day(self, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
        first = program.call(headers=self.same())
        freeze(monkeypatch, timezone.now() + timedelta(hours=24, seconds=1))
        assert first.reply.group_id != program.call(headers=self.same(), campaign="x").reply.group_id
        assert Idempotency.objects.count() == 1

    def test_answers_are_forgotten_after_a_day(self, program: Program) -> None:
        for token in ("old", "young"):
            program.call(headers={"Idempotency-Key": token}, newgroup=1)
        Idempotency.objects.filter(key="old").update(created_at=timezone.now() - timedelta(hours=24, seconds=1))
        tidy(0)
        assert Idempotency.objects.get().key == "young"

    @pytest.mark.parametrize("token", ["x" * 65, "\x7f", "é"])
    def test_wrong_keys(self, program: Program, token: str) -> None:
        answer = program.call(headers={"Idempotency-Key": token})
        assert (answer.http, answer.message) == (400, "Idempotency-Key: not 1 to 64 printable characters")

    def test_a_contact_group(self, program: Program) -> None:
        group = make_group("Customers", 3)
        first = program.call(headers=self.same(), group=group.pk)
        Contact.objects.all().delete()
        assert program.call(headers=self.same(), group=group.pk).body == first.body


@pytest.mark.django_db(transaction=True)
class TestACommitThatIsNotAnswered:
    @pytest.fixture
    def program(self, monkeypatch: pytest.MonkeyPatch) -> Program:
        program = Program()

        def commit() -> None:
            monkeypatch.undo()
            connection.commit()
            raise OperationalError("the connection was lost")

        monkeypatch.setattr(connection, "commit", commit)
        return program

    def test_nobody_says_that_nothing_was_started(self, program: Program) -> None:
        answer = program.call()
        assert Call.objects.count() == 1
        assert (answer.http, answer.message) == (500, describe.failure(500).message)

    def test_it_can_be_repeated_with_an_idempotency_key(self, program: Program) -> None:
        headers = {"Idempotency-Key": "order-1"}
        assert program.call(headers=headers, newgroup=1).http == 500
        assert program.call(headers=headers, newgroup=1).http == 200
        assert Call.objects.count() == 1


@pytest.mark.django_db(transaction=True)
class TestAtTheSameMoment:
    def test_one_idempotency_key(self) -> None:
        program = Program()
        headers = {"Idempotency-Key": "order-1"}
        answers = at_the_same_moment(*[lambda: Program.call(program, headers=headers, newgroup=1)] * 4)
        assert len({answer.body for answer in answers}) == 1
        assert answers[0].http == 200
        assert Call.objects.count() == 1

    def test_similar_requests_share_one_group(self) -> None:
        program = Program()
        answers = at_the_same_moment(*[lambda i=i: program.call(numbers=number(i)) for i in range(6)])
        assert [answer.http for answer in answers] == [200] * 6
        assert CallGroup.objects.get().total == 6
        assert sorted(call.n for call in Call.objects.all()) == [1, 2, 3, 4, 5, 6]

    def test_the_same_number(self) -> None:
        program = Program()
        answers = at_the_same_moment(*[program.call] * 4)
        assert [answer.http for answer in answers] == [200] * 4
        assert Call.objects.count() == 4

    def test_rate(self) -> None:
        program = Program(rate=30)  # five at once
        answers = at_the_same_moment(*[program.group] * 8)
        assert sorted(answer.http for answer in answers) == [400] * 5 + [429] * 3
