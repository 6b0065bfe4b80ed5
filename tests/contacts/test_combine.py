"""Contact groups made of contact groups: each operation against what Python's sets say."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from auditlog.models import LogEntry
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from calls.contacts import combine
from calls.contacts.combine import CannotCombine, Combination, Done, NameTaken, carry_out, counts
from calls.models import Combining, Contact, ContactGroup, User
from tests.factories import client_for, make_group, make_user, number

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin() -> User:
    return make_user("admin")


def group_of(*places: int, name: str = "", said: str = "") -> ContactGroup:
    """A group with the numbers at these places; each contact is called `said` and its place."""
    group = make_group(name)
    Contact.objects.bulk_create(
        Contact(group=group, number=number(i), name=f"{said}{i}", extra={"from": said, "Zoë": [i, None]})
        for i in places
    )
    group.refresh_from_db()
    return group


def numbers(group: ContactGroup) -> set[str]:
    return set(group.contacts.values_list("number", flat=True))


def places(*listed: int) -> set[str]:
    return {number(i) for i in listed}


def do(user: User, kind: Combining, *groups: ContactGroup, **more: Any) -> Done:
    """Do it after the preview, which must have said what happened; sizes must be right."""
    if "target" in more:
        more["target"] = more["target"].pk
    elif kind is not Combining.REMOVE:
        more.setdefault("name", "New")
    what = Combination(kind, tuple(group.pk for group in groups), **more)
    previewed = counts(what, user)
    done = carry_out(what, user)
    assert previewed == done.counts
    sizes_are_right()
    return done


def sizes_are_right() -> None:
    for group in ContactGroup.objects.all():
        assert group.size == group.contacts.count()


# --- Copy ------------------------------------------------------------------------------------------------------------


def test_a_copy_has_all_that_is_known_of_a_contact_in_the_same_order(admin: User) -> None:
    group = group_of(3, 1, 2, said="a")
    group.contacts.update(created_at=datetime(2026, 1, 1, tzinfo=UTC))
    done = do(admin, Combining.COPY, group)
    (made,) = done.made
    assert (made.name, made.created_by) == ("New", admin)
    columns = ["number", "name", "extra"]
    assert list(made.contacts.order_by("id").values_list(*columns)) == list(
        group.contacts.order_by("id").values_list(*columns)
    )
    assert done.counts == {"listed": 3, "copied": 3, "left": 0}
    assert not made.contacts.filter(created_at__lt=made.created_at - timedelta(minutes=1)).exists()


def test_every_column_of_a_contact_is_copied_unless_it_says_what_row_it_is() -> None:
    columns = {field.attname for field in Contact._meta.concrete_fields if not field.is_relation}
    assert columns - {*combine.KEPT} == {"id", "created_at"}


def test_an_empty_group_gives_an_empty_one(admin: User) -> None:
    done = do(admin, Combining.COPY, group_of())
    assert (done.made[0].contacts.count(), done.counts["copied"]) == (0, 0)


def test_a_copy_is_in_the_audit_log(admin: User) -> None:
    group = group_of(1, 2, name="Customers")
    (made,) = do(admin, Combining.COPY, group).made
    created, copied = LogEntry.objects.get_for_object(made).order_by("pk")
    assert created.action == LogEntry.Action.CREATE
    assert copied.changes == {"contacts": ["", f"2 copied from “Customers” ({group.pk})"]}


# --- Merge -----------------------------------------------------------------------------------------------------------


def test_of_a_number_in_several_groups_the_first_ones_entry_is_taken(admin: User) -> None:
    a, b, c = group_of(1, 2, said="a"), group_of(2, 3, said="b"), group_of(3, 4, said="c")
    done = do(admin, Combining.MERGE, b, c, a)
    names = done.made[0].contacts.order_by("id").values_list("name", flat=True)
    assert list(names) == ["b2", "b3", "c4", "a1"]
    assert done.counts == {"listed": 6, "copied": 4, "left": 2}


def test_what_an_existing_group_has_stays_as_it_is(admin: User) -> None:
    target, a, b = group_of(1, said="t"), group_of(1, 2, said="a"), group_of(2, 5, said="b")
    done = do(admin, Combining.MERGE, a, b, target=target)
    assert list(target.contacts.order_by("id").values_list("name", flat=True)) == ["t1", "a2", "b5"]
    assert (done.made, done.counts) == ([], {"listed": 4, "copied": 2, "left": 2})
    assert {*numbers(a)} == places(1, 2)


# --- Split -----------------------------------------------------------------------------------------------------------


def test_a_split_keeps_the_order_and_all_contacts(admin: User) -> None:
    group = group_of(*range(10), name="Customers")
    done = do(admin, Combining.SPLIT, group, name="Wave", most=4)
    assert [part.name for part in done.made] == ["Wave 1 of 3", "Wave 2 of 3", "Wave 3 of 3"]
    assert [numbers(part) for part in done.made] == [places(*range(4)), places(*range(4, 8)), places(8, 9)]
    assert done.counts == {"listed": 10, "copied": 10, "left": 0, "parts": 3}
    assert group.contacts.count() == 10


def test_of_a_split_where_one_name_is_taken_nothing_is_left(admin: User) -> None:
    taken = make_group("Wave 2 of 2")
    group = group_of(1, 2)
    what = Combination(Combining.SPLIT, (group.pk,), name="Wave", most=1)
    with pytest.raises(NameTaken, match=f"“Wave 2 of 2” is the name of contact group {taken.pk} already."):
        carry_out(what, admin)
    assert ContactGroup.objects.count() == 2


@pytest.mark.parametrize(
    ("size", "most", "name", "message"),
    [
        (3, 3, "Wave", "The group has 3 contacts: all would be in one part."),
        (201, 1, "Wave", "1 would make 201 groups; at most 200 are made. Type 2 or more."),
        (2, 1, "W" * 94, "has 101 characters; at most 100"),
        (2, 1, "a,b", "has a comma"),
    ],
)
def test_splits_that_are_refused(admin: User, size: int, most: int, name: str, message: str) -> None:
    group = group_of(*range(size))
    with pytest.raises(CannotCombine, match=message):
        carry_out(Combination(Combining.SPLIT, (group.pk,), name=name, most=most), admin)


# --- Difference, intersection, duplicates ----------------------------------------------------------------------------


def test_difference_is_in_none_of_the_others(admin: User) -> None:
    a = group_of(1, 2, 3, 4, said="a")
    done = do(admin, Combining.DIFFERENCE, a, group_of(2, 9), group_of(3))
    assert list(done.made[0].contacts.values_list("name", flat=True)) == ["a1", "a4"]
    assert done.counts == {"listed": 4, "copied": 2, "left": 2}


def test_intersection_is_in_each_of_the_others(admin: User) -> None:
    a = group_of(1, 2, 3, said="a")
    done = do(admin, Combining.INTERSECTION, a, group_of(1, 2, said="b"), group_of(2, 3, said="c"))
    assert list(done.made[0].contacts.values_list("name", flat=True)) == ["a2"]
    assert done.counts == {"listed": 3, "copied": 1, "left": 2}


@pytest.mark.parametrize("kind", [Combining.DIFFERENCE, Combining.INTERSECTION])
def test_an_empty_result_is_an_empty_group(admin: User, kind: Combining) -> None:
    other = group_of(1, 2) if kind is Combining.DIFFERENCE else group_of(8)
    assert do(admin, kind, group_of(1, 2), other).counts == {"listed": 2, "copied": 0, "left": 2}


def test_duplicates_are_removed_from_one_group_only(admin: User) -> None:
    target, b, c = group_of(1, 2, 3, 4, name="Target"), group_of(2, 3, name="B"), group_of(3, 9, name="C")
    done = do(admin, Combining.REMOVE, b, c, target=target)
    assert (numbers(target), numbers(b), numbers(c)) == (places(1, 4), places(2, 3), places(3, 9))
    assert done.counts == {"listed": 4, "removed": 2, "kept": 2}
    entry = LogEntry.objects.get_for_object(target).latest("pk")
    assert entry.changes == {"contacts": ["", f"2 removed that are also in “B” ({b.pk}), “C” ({c.pk})"]}


def test_where_nothing_is_removed_nothing_is_logged(admin: User) -> None:
    target = group_of(1)
    assert do(admin, Combining.REMOVE, group_of(2), target=target).counts["removed"] == 0
    assert not LogEntry.objects.get_for_object(target).filter(action=LogEntry.Action.UPDATE).exists()


# --- What is refused -------------------------------------------------------------------------------------------------


def test_groups_held_by_the_carrier_are_refused(admin: User) -> None:
    held = make_group("Vips", carrier_group="vips")
    for what in (
        Combination(Combining.COPY, (held.pk,), name="New"),
        Combination(Combining.REMOVE, (held.pk,), target=group_of(1).pk),
        Combination(Combining.MERGE, (group_of(1).pk,), target=held.pk),
    ):
        for attempt in (counts, carry_out):
            with pytest.raises(CannotCombine, match="The carrier holds “Vips”"):
                attempt(what, admin)
    assert not ContactGroup.objects.filter(name="New").exists()


def test_groups_that_are_gone_or_out_of_sight_are_refused(admin: User) -> None:
    mine, other = group_of(1), group_of(1)
    limited = make_user("operator", uses_all_contact_groups=False, contact_groups=[mine])
    what = Combination(Combining.REMOVE, (other.pk,), target=mine.pk)
    with pytest.raises(CannotCombine, match=f"Contact group {other.pk} was deleted meanwhile, or you may not use it"):
        carry_out(what, limited)
    gone = other.pk
    other.delete()
    with pytest.raises(CannotCombine, match=f"Contact group {gone} was deleted meanwhile"):
        counts(what, admin)
    assert numbers(mine) == places(1)


def test_the_permission_is_asked_for_again(admin: User) -> None:
    group = group_of(1)
    for role, what in (
        ("operator", Combination(Combining.COPY, (group.pk,), name="New")),
        ("viewer", Combination(Combining.REMOVE, (group.pk,), target=group_of(1).pk)),
        ("viewer", Combination(Combining.MERGE, (group.pk,), target=group_of().pk)),
    ):
        with pytest.raises(CannotCombine, match="You may not do this any more"):
            carry_out(what, make_user(role))
    sizes_are_right()


def test_a_name_that_is_taken_is_refused_and_nothing_is_left(admin: User) -> None:
    taken = make_group("New")
    with pytest.raises(NameTaken, match=f"“New” is the name of contact group {taken.pk} already."):
        carry_out(Combination(Combining.COPY, (group_of(1).pk,), name="New"), admin)
    assert Contact.objects.count() == 1


def test_who_sees_chosen_groups_only_sees_what_they_made() -> None:
    group = group_of(1)
    maker = make_user("admin", uses_all_contact_groups=False, contact_groups=[group])
    role = maker.groups.get()
    without = [permission.pk for permission in role.permissions.exclude(codename="see_everything")]
    role.permissions.set(without)
    (made,) = do(maker, Combining.COPY, group).made
    assert made in ContactGroup.objects.visible_to(maker)


# --- At the same moment ----------------------------------------------------------------------------------------------


@pytest.fixture
def committed(transactional_db: None) -> Iterator[User]:
    yield make_user("admin")
    ContactGroup.objects.all().delete()


@pytest.mark.django_db(transaction=True)
class TestConcurrent:
    def together(self, *jobs: Any) -> list[Any]:
        """What each returned or raised, all run at the same time."""
        results: list[Any] = [None] * len(jobs)
        ready = threading.Barrier(len(jobs))

        def run(place: int) -> None:
            try:
                ready.wait()
                results[place] = jobs[place]()
            except Exception as error:  # noqa: BLE001 - the test says what it should be
                results[place] = error
            finally:
                connection.close()

        threads = [threading.Thread(target=run, args=[place]) for place in range(len(jobs))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    def test_two_groups_rid_of_each_others_numbers_don_t_lose_any(self, committed: User) -> None:
        a, b = group_of(*range(200)), group_of(*range(100, 300))
        jobs = [
            lambda: carry_out(Combination(Combining.REMOVE, (b.pk,), target=a.pk), committed),
            lambda: carry_out(Combination(Combining.REMOVE, (a.pk,), target=b.pk), committed),
        ]
        first, second = self.together(*jobs)
        assert sorted([first.counts["removed"], second.counts["removed"]]) == [0, 100]
        assert numbers(a) | numbers(b) == places(*range(300))
        sizes_are_right()

    def test_merges_into_each_other_and_into_one_group_both_end(self, committed: User) -> None:
        a, b, c = group_of(*range(200)), group_of(*range(150, 300)), group_of(*range(299, 400))
        jobs = [
            lambda: carry_out(Combination(Combining.MERGE, (b.pk, c.pk), target=a.pk), committed),
            lambda: carry_out(Combination(Combining.MERGE, (c.pk, a.pk), target=b.pk), committed),
            lambda: carry_out(Combination(Combining.MERGE, (c.pk,), target=a.pk), committed),
        ]
        for result in self.together(*jobs):
            assert isinstance(result, Done), result
        assert numbers(a) == places(*range(400))
        assert numbers(b) == places(*range(400))
        sizes_are_right()

    def test_of_two_copies_with_one_name_one_is_made(self, committed: User) -> None:
        group = group_of(*range(50))
        copy = Combination(Combining.COPY, (group.pk,), name="New")
        results = self.together(*[lambda: carry_out(copy, committed)] * 2)
        assert sorted(type(result).__name__ for result in results) == ["Done", "NameTaken"]
        sizes_are_right()

    def test_who_adds_to_a_group_that_is_split_waits(self, committed: User) -> None:
        group = group_of(*range(4))
        what = Combination(Combining.SPLIT, (group.pk,), name="Wave", most=2)
        added = threading.Thread(target=self.add, args=[group])
        with transaction.atomic():
            done = carry_out(what, committed)
            added.start()
            added.join(0.3)
            assert added.is_alive()
        added.join()
        assert [part.contacts.count() for part in done.made] == [2, 2]
        assert group.contacts.count() == 5
        sizes_are_right()

    @pytest.mark.parametrize("page", ["contact_edit", "contact_delete"])
    def test_who_edits_a_contact_that_is_being_removed_waits_and_finds_it_gone(
        self, committed: User, page: str
    ) -> None:
        group, other = group_of(1, 2), group_of(2)
        contact = group.contacts.get(number=number(2))
        answers: list[Any] = []
        edit = threading.Thread(target=self.edit, args=[client_for(committed), page, contact, answers])
        with transaction.atomic():
            carry_out(Combination(Combining.REMOVE, (other.pk,), target=group.pk), committed)
            edit.start()
            edit.join(0.3)
            assert edit.is_alive()
        edit.join()
        assert [answer.status_code for answer in answers] == [404]
        assert numbers(group) == places(1)
        sizes_are_right()

    @staticmethod
    def edit(client: Client, page: str, contact: Contact, answers: list[Any]) -> None:
        url = reverse(page, args=[contact.group_id, contact.pk])
        answers.append(client.post(url, {"number": contact.number, "name": "Edited"}))
        connection.close()

    @staticmethod
    def add(group: ContactGroup) -> None:
        Contact.objects.create(group=group, number=number(999))
        connection.close()


# --- Whatever the groups are -----------------------------------------------------------------------------------------

GROUPS = st.lists(st.sets(st.integers(0, 12)), min_size=2, max_size=4)


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(GROUPS, st.integers(1, 5))
def test_what_comes_out_is_what_sets_say(admin: User, sets: list[set[int]], most: int) -> None:
    with transaction.atomic():
        groups = [group_of(*sorted(each), said="abcd"[place]) for place, each in enumerate(sets)]
        first, *others = groups
        elsewhere = set().union(*sets[1:])
        expected = {
            Combining.COPY: sets[0],
            Combining.MERGE: set().union(*sets),
            Combining.DIFFERENCE: sets[0] - elsewhere,
            Combining.INTERSECTION: set.intersection(*sets),
        }
        for kind, wanted in expected.items():
            sources = [first] if kind is Combining.COPY else groups
            done = do(admin, kind, *sources, name=f"New {kind}")
            assert numbers(done.made[0]) == places(*wanted)
            assert done.counts["copied"] == len(wanted)
            assert done.counts["listed"] == done.counts["copied"] + done.counts["left"]
            for contact in done.made[0].contacts.all():
                place = next(i for i, each in enumerate(sets) if contact.number in places(*each))
                assert contact.extra["from"] == "abcd"[place]
        if len(sets[0]) > most:
            parts = do(admin, Combining.SPLIT, first, name="Part", most=most).made
            assert all(1 <= part.contacts.count() <= most for part in parts)
            assert sorted(n for part in parts for n in numbers(part)) == sorted(places(*sets[0]))
        do(admin, Combining.REMOVE, *others, target=first)
        assert numbers(first) == places(*(sets[0] - elsewhere))
        assert [numbers(group) for group in others] == [places(*each) for each in sets[1:]]
        transaction.set_rollback(True)
