"""Make contact groups of contact groups: copy, merge, split, difference, intersection, and duplicates removed.

Each is one statement on sets, in one transaction with the groups that it makes and its entries in the audit log, so
it is done whole or not at all. A contact keeps all that is known of it; only when it was added is new.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from calls.audit import note
from calls.models import Combining, Contact, ContactGroup, User
from calls.models.contacts import validate_group_name

MOST_PARTS = 200
"""Groups that one split makes at most."""

NAME_LENGTH = 100
NAMED = 5
"""Contact groups that an entry of the audit log names."""

# What tells contacts apart, and when they were added, is not copied; what an import or another part of the portal
# keeps about where a contact came from neither.
KEPT = [
    column.attname
    for column in Contact._meta.concrete_fields
    if not (column.primary_key or column.is_relation or column.generated or column.name == "created_at")
]
COLUMNS = {"columns": ", ".join(KEPT), "columns_of_c": ", ".join(f"c.{name}" for name in KEPT)}

CHOSEN = {
    Combining.COPY: "c.group_id = %(first)s",
    Combining.DIFFERENCE: """
        c.group_id = %(first)s AND NOT EXISTS (
            SELECT FROM calls_contact AS other WHERE other.group_id = ANY(%(others)s) AND other.number = c.number
        )
    """,
    # A number is in a group once, so it is in all of them if it is there as often as there are groups.
    Combining.INTERSECTION: """
        c.group_id = %(first)s AND c.number IN (
            SELECT number FROM calls_contact WHERE group_id = ANY(%(others)s)
            GROUP BY number HAVING count(*) = cardinality(%(others)s)
        )
    """,
}
"""Which contacts `c` of the first group a new group gets."""

INSERT_SQL = """
    WITH copied AS (
        INSERT INTO calls_contact (group_id, created_at, {columns})
        SELECT %(target)s, now(), {columns_of_c} FROM calls_contact AS c WHERE {chosen} ORDER BY c.id
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM calls_contact WHERE group_id = %(first)s), (SELECT count(*) FROM copied)
"""
# The first of several rows for one number is kept: the rows come in the order of the groups.
MERGE_SQL = """
    WITH copied AS (
        INSERT INTO calls_contact (group_id, created_at, {columns})
        SELECT %(target)s, now(), {columns_of_c} FROM calls_contact AS c
        JOIN unnest(%(sources)s::bigint[]) WITH ORDINALITY AS source (id, place) ON source.id = c.group_id
        ORDER BY source.place, c.id
        ON CONFLICT (group_id, number) DO NOTHING
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM calls_contact WHERE group_id = ANY(%(sources)s)), (SELECT count(*) FROM copied)
"""
SPLIT_SQL = """
    INSERT INTO calls_contact (group_id, created_at, {columns})
    SELECT (%(parts)s::bigint[])[1 + (c.place - 1) / %(most)s], now(), {columns_of_c}
    FROM (
        SELECT *, row_number() OVER (ORDER BY id) AS place FROM calls_contact WHERE group_id = %(first)s
    ) AS c
    ORDER BY c.place
"""
REMOVE_SQL = """
    DELETE FROM calls_contact AS c USING calls_contact AS other
    WHERE c.group_id = %(target)s AND other.group_id = ANY(%(sources)s) AND other.number = c.number
"""

COUNT_SQL = """
    SELECT (SELECT count(*) FROM calls_contact WHERE group_id = %(first)s),
        (SELECT count(*) FROM calls_contact AS c WHERE {chosen})
"""
COUNT_MERGE_SQL = """
    SELECT (SELECT count(*) FROM calls_contact WHERE group_id = ANY(%(sources)s)),
        (SELECT count(*) FROM (
            SELECT number FROM calls_contact WHERE group_id = ANY(%(sources)s)
            EXCEPT SELECT number FROM calls_contact WHERE group_id = %(target)s
        ) AS missing)
"""
COUNT_REMOVE_SQL = """
    SELECT (SELECT count(*) FROM calls_contact WHERE group_id = %(target)s),
        (SELECT count(*) FROM calls_contact AS c WHERE c.group_id = %(target)s AND c.number IN (
            SELECT number FROM calls_contact WHERE group_id = ANY(%(sources)s)
        ))
"""

# Who adds contacts to a locked group, or deletes some, waits until the change is done, and the other way round. The
# weaker lock only keeps a group from being deleted: what is added to it meanwhile comes too late.
LOCK_SQL = "SELECT FROM calls_contactgroup WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
KEEP_SQL = "SELECT FROM calls_contactgroup WHERE id = ANY(%s) ORDER BY id FOR KEY SHARE"


class CannotCombine(Exception):
    """It can't be done now; the message says why. Nothing was changed."""


class NameTaken(CannotCombine):
    """Another contact group has the name that a new one would get."""


@dataclass(frozen=True)
class Combination:
    """What to do.

    `sources` are the IDs of the groups to read, the most important one first. `target` is the group that is changed:
    for a merge into one that there is, and for removing. Otherwise new groups are made: `name` is theirs, for a split
    the beginning of it, and `most` then says how many contacts each has at most.
    """

    kind: Combining
    sources: tuple[int, ...]
    target: int | None = None
    name: str = ""
    most: int = 0

    def as_json(self) -> dict[str, Any]:
        """For a JSON column."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """What :meth:`as_json` made."""
        return cls(**data | {"kind": Combining(data["kind"]), "sources": tuple(data["sources"])})

    @property
    def groups(self) -> list[int]:
        """The IDs of all groups that it looks at."""
        return [*self.sources, *([self.target] if self.target else [])]

    @property
    def makes_groups(self) -> bool:
        """Whether the result is one or several new contact groups."""
        return self.target is None

    @property
    def permissions(self) -> list[str]:
        """What its user must be allowed to do."""
        if self.kind is Combining.REMOVE:
            return ["calls.delete_contact"]
        return ["calls.add_contact", *(["calls.add_contactgroup"] if self.makes_groups else [])]


@dataclass(frozen=True)
class Done:
    """What was done: the counts as :func:`counts` gives them, and the groups that were made."""

    counts: dict[str, int]
    made: list[ContactGroup] = field(default_factory=list)


def part_names(name: str, size: int, most: int) -> list[str]:
    """The names of the groups that a split of `size` contacts makes. Raises ValidationError (field by field)."""
    if most >= size:
        raise ValidationError({"most": f"The group has {_contacts(size)}: all would be in one part. Type less."})
    parts = -(-size // most)
    if parts > MOST_PARTS:
        fewest = -(-size // MOST_PARTS)
        raise ValidationError(
            {"most": f"{most:,} would make {parts:,} groups; at most {MOST_PARTS} are made. Type {fewest:,} or more."}
        )
    names = [f"{name} {part} of {parts}" for part in range(1, parts + 1)]
    if len(names[-1]) > NAME_LENGTH:
        raise ValidationError(
            {"name": f"“{names[-1]}” has {len(names[-1])} characters; at most {NAME_LENGTH}. Type a shorter name."}
        )
    try:
        validate_group_name(names[-1])
    except ValidationError as error:
        raise ValidationError({"name": error.messages}) from error
    return names


def taken(names: Iterable[str]) -> str:
    """The message for names that other contact groups have, naming the first; empty if none is taken."""
    group = ContactGroup.objects.filter(name__in=list(names)).order_by("pk").first()
    return f"“{group.name}” is the name of contact group {group.pk} already." if group else ""


def counts(what: Combination, user: User) -> dict[str, int]:
    """What would become of the contacts, without changing anything.

    `listed`: looked at; `copied`; `left`: not copied, because they are there already, are in several of the groups, or
    don't belong to the difference or intersection; `removed` and `kept` (removing); `parts` (a split).

    Raises CannotCombine.
    """
    groups = _groups(what, user)
    if what.kind is Combining.SPLIT:
        size = groups[what.sources[0]].size
        return {"listed": size, "copied": size, "left": 0, "parts": len(_part_names(what, size))}
    if what.kind is Combining.REMOVE:
        query = COUNT_REMOVE_SQL
    elif what.kind is Combining.MERGE:
        query = COUNT_MERGE_SQL
    else:
        query = COUNT_SQL.format(chosen=CHOSEN[what.kind])
    with connection.cursor() as cursor:
        cursor.execute(query, _parameters(what, what.target))
        return _counted(what, *cursor.fetchone())


def carry_out(what: Combination, user: User) -> Done:
    """Do it, as `user`, in one transaction. Raises CannotCombine; nothing was changed then."""
    with transaction.atomic():
        _lock(what)
        groups = _groups(what, user)
        if what.kind is Combining.SPLIT:
            return _split(what, user, groups[what.sources[0]])
        if what.kind is Combining.REMOVE:
            return _remove(what, groups[what.target or 0], groups)
        made = _make([what.name], user) if what.makes_groups else []
        target = made[0] if made else groups[what.target or 0]
        query = MERGE_SQL if what.kind is Combining.MERGE else INSERT_SQL
        with connection.cursor() as cursor:
            cursor.execute(query.format(chosen=CHOSEN.get(what.kind), **COLUMNS), _parameters(what, target.pk))
            done = Done(_counted(what, *cursor.fetchone()), made)
        _note(target, f"{done.counts['copied']:,} copied", what, groups)
        return done


def _parameters(what: Combination, target: int | None) -> dict[str, Any]:
    first, *others = what.sources
    return {"first": first, "others": others, "sources": list(what.sources), "target": target}


def _counted(what: Combination, listed: int, chosen: int) -> dict[str, int]:
    rest = listed - chosen
    if what.kind is Combining.REMOVE:
        return {"listed": listed, "removed": chosen, "kept": rest}
    return {"listed": listed, "copied": chosen, "left": rest}


def _locks(what: Combination) -> list[int]:
    """The IDs of the groups that nobody else may change meanwhile."""
    if what.kind is Combining.REMOVE:
        # All: two groups that are rid of what the other has, at the same moment, would both lose it.
        return what.groups
    if what.kind is Combining.SPLIT:
        return list(what.sources)  # the number of parts follows from its size
    return [what.target] if what.target else []


def _lock(what: Combination) -> None:
    with connection.cursor() as cursor:
        cursor.execute(LOCK_SQL, [_locks(what)])
        cursor.execute(KEEP_SQL, [what.groups])


def busy_group(what: Combination) -> ContactGroup | None:
    """The first of the groups that somebody else holds locked at this moment; one of them if it is free again."""
    groups = ContactGroup.objects.filter(pk__in=_locks(what) or what.groups)
    with transaction.atomic():
        free = {group.pk for group in groups.order_by("pk").select_for_update(no_key=True, skip_locked=True)}
    there = list(groups.order_by("pk"))
    return next((group for group in there if group.pk not in free), there[0] if there else None)


def _groups(what: Combination, user: User) -> dict[int, ContactGroup]:
    """The groups by ID, as far as `user` may use them. Raises CannotCombine if one is missing or can't be combined."""
    if not user.is_active or not user.has_perms(what.permissions):
        raise CannotCombine("You may not do this any more. Nothing was changed.")
    found = {group.pk: group for group in ContactGroup.objects.visible_to(user).filter(pk__in=what.groups)}
    if missing := sorted({*what.groups} - {*found}):
        raise CannotCombine(
            f"Contact group {missing[0]} was deleted meanwhile, or you may not use it any more. Nothing was changed."
        )
    for group in found.values():
        if group.held_by_carrier:
            raise CannotCombine(held_by_carrier(group))
    return found


def held_by_carrier(group: ContactGroup) -> str:
    """The message for a group whose numbers the portal does not know."""
    return f"The carrier holds “{group}”: its contacts are not here, so that it can't be combined or split."


def _make(names: Iterable[str], user: User) -> list[ContactGroup]:
    """New, empty contact groups with these names. Raises NameTaken."""
    names = list(names)
    try:
        with transaction.atomic():
            made = [ContactGroup.objects.create(name=name, created_by=user) for name in names]
    except IntegrityError as error:
        raise NameTaken(taken(names) or "Another contact group has this name already.") from error
    if not ContactGroup.objects.all_visible_to(user):
        user.contact_groups.add(*made)
    return made


def _part_names(what: Combination, size: int) -> list[str]:
    try:
        return part_names(what.name, size, what.most)
    except ValidationError as error:
        raise CannotCombine(" ".join(error.messages)) from error


def _split(what: Combination, user: User, group: ContactGroup) -> Done:
    made = _make(_part_names(what, group.size), user)
    parameters: dict[str, Any] = {"first": group.pk, "most": what.most, "parts": [part.pk for part in made]}
    with connection.cursor() as cursor:
        cursor.execute(SPLIT_SQL.format(**COLUMNS), parameters)
        copied = cursor.rowcount
    for place, part in enumerate(made):
        size = min(what.most, copied - place * what.most)
        _note(part, f"{size:,} copied", what, {group.pk: group})
    return Done({"listed": copied, "copied": copied, "left": 0, "parts": len(made)}, made)


def _remove(what: Combination, target: ContactGroup, groups: dict[int, ContactGroup]) -> Done:
    with connection.cursor() as cursor:
        cursor.execute(REMOVE_SQL, _parameters(what, target.pk))
        removed = cursor.rowcount
    if removed:
        _note(target, f"{removed:,} removed", what, groups)
    return Done(_counted(what, target.size, removed))


NOTES = {
    Combining.COPY: "from {first}",
    Combining.MERGE: "from {all}",
    Combining.SPLIT: "from {first}",
    Combining.DIFFERENCE: "from {first} that are not in {others}",
    Combining.INTERSECTION: "from {first} that are also in {others}",
    Combining.REMOVE: "that are also in {all}",
}


def _note(group: ContactGroup, what_happened: str, what: Combination, groups: dict[int, ContactGroup]) -> None:
    named = {
        "first": _named(what.sources[:1], groups),
        "others": _named(what.sources[1:], groups),
        "all": _named(what.sources, groups),
    }
    note(group, contacts=f"{what_happened} {NOTES[what.kind].format(**named)}")


def _named(ids: tuple[int, ...], groups: dict[int, ContactGroup]) -> str:
    """The groups for the audit log; of many the first ones, and how many there are."""
    names = ", ".join(f"“{groups[pk]}” ({pk})" for pk in ids[:NAMED] if pk in groups)
    return names if len(ids) <= NAMED else f"{names} and {len(ids) - NAMED} more"


def _contacts(number: int) -> str:
    return f"{number:,} contact{'' if number == 1 else 's'}"
