"""The opt-out key of an IVR, and DND from the carrier, suppress in the transaction that learns of them."""

from collections.abc import Sequence
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from calls.carriers.base import Report
from calls.dialing import handover, progress
from calls.media import references
from calls.models import IVR, BatchState, Call, CallGroup, ListRole, Suppression, SuppressionList, User
from tests.dialing.helpers import Carrier, at_the_same_moment, statuses, use
from tests.factories import make_call_group, make_group, make_ivr, make_user, number
from tests.watching.rows import group_of


@pytest.fixture
def operator() -> User:
    return make_user()


def survey(operator: User, calls: int = 3, **columns: Any) -> CallGroup:
    """Calls that ring, of an IVR in which 9 means: call me no more."""
    make_ivr(77, opt_out_key="9", keys={"1": "Yes"})
    return group_of(operator, {"QUEUED": calls}, play="77.ivr", **columns)


def told(group: CallGroup, *reports: Report) -> None:
    progress.record(group.pk, reports, "carrier", since=group.created_at)


def pressed(group: CallGroup, n: int, digits: str, word: str = "COMPLETED") -> Report:
    """What the carrier says of call `n`."""
    return Report(number(n), word, obd_id=f"{group.pk}-{n}", digits=digits)


def on(role: ListRole) -> list[tuple[str, str, str]]:
    rows = Suppression.objects.filter(list__role=role).order_by("number")
    return list(rows.values_list("number", "reason", "source"))


def of_role(role: ListRole) -> SuppressionList:
    return SuppressionList.objects.get(role=role)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("digits", "opts_out"),
    [("9", True), ("19", True), ("1,9", True), ("9#", True), (" 9 ", True), ("1", False), ("", False), ("1,2", False)],
)
def test_the_key_in_any_written_way(operator: User, digits: str, opts_out: bool) -> None:
    group = survey(operator)
    told(group, pressed(group, 2, digits))
    why = "Pressed 9 in 77.ivr, which means: call me no more."
    assert on(ListRole.OPT_OUT) == ([(number(2), why, f"call {group.pk}-2")] if opts_out else [])
    assert on(ListRole.CARRIER) == []


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["*", "#", "0"])
def test_every_key_can_be_the_one(operator: User, key: str) -> None:
    make_ivr(77, opt_out_key=key)
    group = group_of(operator, {"QUEUED": 1}, play="77.ivr")
    told(group, pressed(group, 1, f"1{key}"))
    assert [row[0] for row in on(ListRole.OPT_OUT)] == [number(1)]


@pytest.mark.django_db
def test_while_the_call_still_runs(operator: User) -> None:
    group = survey(operator)
    told(group, pressed(group, 1, "9", "INPROGRESS"))
    assert statuses(group)[0] == "INPROGRESS"
    assert len(on(ListRole.OPT_OUT)) == 1


@pytest.mark.django_db
def test_an_ivr_without_such_a_key_and_a_sound_suppress_nobody(operator: User) -> None:
    make_ivr(5, keys={"9": "Call me no more"})
    make_ivr(77, opt_out_key="9")
    for play in ("5.ivr", "77.sound", ""):
        group = group_of(operator, {"QUEUED": 1}, play=play)
        told(group, pressed(group, 1, "9"))
    assert not Suppression.objects.exists()


@pytest.fixture
def rung(operator: User, monkeypatch: pytest.MonkeyPatch) -> CallGroup:
    """Calls at the carrier, started while 9 opted out."""
    use(Carrier(), monkeypatch)
    make_ivr(77, opt_out_key="9")
    group = make_call_group(operator, [number(n) for n in range(1, 6)], play="77.ivr")
    handover.hand_over(group.pk, 0)
    return group


@pytest.mark.django_db
def test_the_ivr_was_deleted_meanwhile(rung: CallGroup) -> None:
    references.lock_for_removal(IVR.objects.get()).delete()
    told(rung, pressed(rung, 1, "9"))
    why = "Pressed 9 in 77.ivr, which means: call me no more."
    assert on(ListRole.OPT_OUT) == [(number(1), why, f"call {rung.pk}-1")]


@pytest.mark.django_db
@pytest.mark.parametrize("digits", ["9", "8", "89"])
def test_another_key_opts_out_meanwhile(rung: CallGroup, digits: str) -> None:
    IVR.objects.update(opt_out_key="8")
    told(rung, pressed(rung, 1, digits), pressed(rung, 2, "7"))
    assert [row[0] for row in on(ListRole.OPT_OUT)] == [number(1)]
    assert of_role(ListRole.OPT_OUT).size == 1


@pytest.mark.django_db
def test_each_key_that_opted_out_meanwhile_counts(rung: CallGroup) -> None:
    for key in ("8", "", "7"):
        ivr = IVR.objects.get()
        ivr.opt_out_key = key
        references.change(ivr, ["name", "keys", "opt_out_key"])
    references.lock_for_removal(IVR.objects.get()).delete()
    make_ivr(77, opt_out_key="5")  # the carrier has it all the time
    told(rung, *(pressed(rung, n, key) for n, key in enumerate("98765", 1)))
    assert [row[0] for row in on(ListRole.OPT_OUT)] == [number(n) for n in (1, 2, 3, 5)]
    rung.refresh_from_db()
    assert rung.opt_out_keys == "9875"


@pytest.mark.django_db
def test_keys_of_other_ivrs_and_of_later_times_do_not_count(operator: User, rung: CallGroup) -> None:
    make_ivr(78, opt_out_key="8")
    other = group_of(operator, {"COMPLETED": 1}, play="77.ivr", ended_at=timezone.now())
    IVR.objects.filter(number=77).update(opt_out_key="7")
    told(rung, pressed(rung, 1, "8"))
    assert on(ListRole.OPT_OUT) == []
    for group, keys in ((rung, "97"), (other, "")):
        group.refresh_from_db()
        assert group.opt_out_keys == keys


@pytest.mark.django_db
def test_the_key_of_calls_that_join_a_group_that_had_ended(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    use(Carrier(), monkeypatch)
    make_ivr(77, opt_out_key="9")
    group = make_call_group(operator, [number(1)], play="77.ivr", newgroup=False)
    handover.hand_over(group.pk, 0)
    told(group, pressed(group, 1, ""))
    IVR.objects.update(opt_out_key="8")  # the group has ended
    assert make_call_group(operator, [number(2)], play="77.ivr", newgroup=False) == group
    handover.hand_over(group.pk, 0)
    IVR.objects.update(opt_out_key="7")  # while it rings
    told(group, pressed(group, 2, "8"))
    assert [row[0] for row in on(ListRole.OPT_OUT)] == [number(2)]


@pytest.mark.django_db
@pytest.mark.parametrize("by", ["OBD ID", "number"])
def test_a_key_that_the_carriers_list_shows_after_the_end(operator: User, by: str) -> None:
    group = survey(operator)
    for digits in ("", "1", "19"):
        obd_id = f"{group.pk}-1" if by == "OBD ID" else ""
        told(group, Report(number(1), "COMPLETED", obd_id=obd_id, digits=digits), pressed(group, 2, "", "RINGING"))
    assert [row[0] for row in on(ListRole.OPT_OUT)] == [number(1)]
    assert group.calls.get(n=1).digits == "19"


@pytest.mark.django_db
def test_a_key_after_the_end_of_a_call_whose_number_the_carrier_picked(
    operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(Carrier(), monkeypatch)
    make_ivr(77, opt_out_key="9")
    contacts = make_group("Members", carrier_group="vip")
    group = make_call_group(operator, [], contact_groups=(contacts.pk,), carrier_group="vip", retries=2, play="77.ivr")
    handover.hand_over(group.pk, 0)
    batch = group.batches.get()
    for word, digits in (("NOANSWER", ""), ("COMPLETED", "9")):
        assert progress.called_back(batch.pk, Report(number(3), word, sent_at=timezone.now(), digits=digits))
    assert [row[0] for row in on(ListRole.OPT_OUT)] == [number(3)]


@pytest.mark.django_db
def test_no_key_opts_out_any_more(rung: CallGroup) -> None:
    IVR.objects.update(opt_out_key="")
    told(rung, pressed(rung, 1, "9"), pressed(rung, 2, "8"))
    assert [row[0] for row in on(ListRole.OPT_OUT)] == [number(1)]


@pytest.mark.django_db
def test_dnd_of_the_carrier(operator: User) -> None:
    group = group_of(operator, {"QUEUED": 2})
    told(group, Report(number(2), "DND", obd_id=f"{group.pk}-2"))
    assert on(ListRole.CARRIER) == [(number(2), "The carrier reports it as DND.", f"call {group.pk}-2")]
    assert on(ListRole.OPT_OUT) == []


@pytest.mark.django_db
def test_dnd_by_the_portals_own_list_is_not_the_carriers(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    use(Carrier(), monkeypatch)
    group = make_call_group(operator, 2)
    Suppression.objects.create(number=number(1), reason="Asked")
    handover.hand_over(group.pk, 0)
    assert statuses(group) == ["QUEUED", "DND"]
    assert on(ListRole.CARRIER) == []


@pytest.mark.django_db
def test_lists_grow_once_for_what_is_learnt_at_once(operator: User) -> None:
    group = survey(operator, 4)
    told(group, *(pressed(group, n, "9") for n in (1, 2, 3)), pressed(group, 4, "", "DND"))
    opted_out, carrier = of_role(ListRole.OPT_OUT), of_role(ListRole.CARRIER)
    assert (opted_out.size, opted_out.version) == (3, 1)
    assert (carrier.size, carrier.version) == (1, 1)


@pytest.mark.django_db
def test_a_number_that_is_on_the_list_stays_there_as_it_was(operator: User) -> None:
    group = survey(operator)
    told(group, pressed(group, 1, "9"))
    again = group_of(operator, {"QUEUED": 1}, play="77.ivr")
    told(again, pressed(again, 1, "9"))
    assert [row[2] for row in on(ListRole.OPT_OUT)] == [f"call {group.pk}-1"]
    assert (of_role(ListRole.OPT_OUT).size, of_role(ListRole.OPT_OUT).version) == (1, 1)


@pytest.mark.django_db
def test_who_was_taken_off_is_not_put_back_by_the_same_call(operator: User) -> None:
    group = survey(operator)
    told(group, pressed(group, 1, "9", "INPROGRESS"))
    Suppression.objects.all().delete()
    told(group, pressed(group, 1, "9"))
    assert statuses(group)[0] == "COMPLETED"
    assert not Suppression.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("odd", ["", "anonymous", "02079460001", "+44", "+44 20 7946 0001"])
def test_what_is_no_number_suppresses_nobody(operator: User, odd: str) -> None:
    group = survey(operator, 2)
    Call.objects.filter(call_group=group, n=1).update(number=odd)
    told(group, pressed(group, 1, "9"), pressed(group, 2, "9"))
    assert statuses(group) == ["COMPLETED"] * 2
    assert [row[0] for row in on(ListRole.OPT_OUT)] == [number(2)]


@pytest.mark.django_db
def test_keys_that_the_carrier_calls_back_about_after_the_end(operator: User) -> None:
    group = survey(operator)
    told(group, pressed(group, 1, ""))
    batch = group.batches.get()
    assert progress.called_back(batch.pk, pressed(group, 1, "9", "INPROGRESS"))
    assert [row[0] for row in on(ListRole.OPT_OUT)] == [number(1)]
    assert progress.called_back(batch.pk, pressed(group, 1, "1"))
    call = group.calls.get(n=1)
    assert (call.status, call.digits) == ("COMPLETED", "91")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("known", "late", "kept"),
    [("1", "19", "19"), ("1", "9", "19"), ("19", "9", "19"), ("1" * 40, "9", "1" * 39 + "9"), ("", "9" * 50, "9" * 40)],
)
def test_late_keys_count_besides_those_known(operator: User, known: str, late: str, kept: str) -> None:
    group = survey(operator)
    told(group, pressed(group, 1, known))
    batch = group.batches.get()
    for _ in range(2):
        assert progress.called_back(batch.pk, pressed(group, 1, late))
    assert group.calls.get(n=1).digits == kept
    assert [row[0] for row in on(ListRole.OPT_OUT)] == [number(1)]


@pytest.mark.django_db
def test_calls_of_a_contact_group_held_by_the_carrier(operator: User) -> None:
    make_ivr(77, opt_out_key="9")
    group = group_of(operator, {}, play="77.ivr", carrier_group="members")
    group.batches.create(first=1, last=0, due_at=group.due_at, state=BatchState.ACCEPTED)
    told(group, Report(number(3), "COMPLETED", digits="9"), Report(number(4), "DND"))
    assert [row[0] for row in on(ListRole.OPT_OUT)] == [number(3)]
    assert [row[0] for row in on(ListRole.CARRIER)] == [number(4)]


@pytest.mark.django_db
def test_calls_that_are_still_held_elsewhere_are_stopped(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    carrier = Carrier()
    use(carrier, monkeypatch)
    group = survey(operator)
    waiting = make_call_group(operator, [number(1), number(2)])
    told(group, pressed(group, 1, "9"))
    handover.hand_over(waiting.pk, 0)
    assert carrier.numbers == [number(2)]
    assert statuses(waiting) == ["DND", "QUEUED"]


@pytest.mark.django_db
def test_reports_that_suppress_nobody_keep_no_list_waiting(operator: User) -> None:
    group = survey(operator)
    with transaction.atomic():
        told(group, pressed(group, 1, "1"), pressed(group, 2, "", "BUSY"))
        (locked,) = at_the_same_moment(_locks_the_lists)
    assert locked


def _locks_the_lists() -> bool:
    """Whether the lists can be locked at this moment."""
    with transaction.atomic():
        return SuppressionList.objects.select_for_update(no_key=True, skip_locked=True).exists()


@pytest.mark.django_db(transaction=True)
def test_two_call_groups_at_once_never_wait_for_each_other() -> None:
    operator = make_user()
    one = survey(operator, 40)
    other = group_of(operator, {"QUEUED": 40}, play="77.ivr")

    def reports(group: CallGroup, turn: int) -> Sequence[Report]:
        # One group's transactions learn of opting out first, the other's of DND.
        return [pressed(group, n, *(("9",) if (n + turn) % 2 else ("", "DND"))) for n in range(1, 41)]

    def one_by_one(group: CallGroup, turn: int) -> None:
        for report in reports(group, turn):
            with transaction.atomic():
                told(group, report)

    at_the_same_moment(lambda: one_by_one(one, 0), lambda: one_by_one(other, 1))
    every = [number(n) for n in range(1, 41)]
    assert [row[0] for row in on(ListRole.OPT_OUT)] == every
    assert [row[0] for row in on(ListRole.CARRIER)] == every
    assert (of_role(ListRole.OPT_OUT).size, of_role(ListRole.CARRIER).size) == (40, 40)
