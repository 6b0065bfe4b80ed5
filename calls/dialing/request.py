"""The options of a call request: what is heard and how, once validated and looked up for a user.

The browser form and the API both end here; nothing else starts calls (DESIGN.md, "call request").
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from calls.models import IVR, ContactGroup, Sound, Traffic, User, Waits
from calls.obd.parameters import Play
from calls.obd.statuses import NOT_REACHED, Status


class NotAvailable(Exception):
    """A contact group, sound or IVR does not exist for this user. `parameter` names where it was asked for."""

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(message)
        self.parameter = parameter


@dataclass(frozen=True)
class Again:
    """Calls of an earlier call group that are made again: those not reached, narrowed by status and digits."""

    call_group: int
    statuses: tuple[str, ...] = ()
    digits: str = ""

    @property
    def wanted(self) -> tuple[str, ...]:
        """The statuses meant. Open calls, reached people and people not to be called are never among them.

        Expired calls only if somebody asks for them: the carrier may have them still, or have reached these people.
        """
        return tuple(sorted(NOT_REACHED & set(self.statuses) if self.statuses else NOT_REACHED - {Status.EXPIRED}))


@dataclass(frozen=True)
class Options:
    """What a call group is made with. Times are aware, `delay` is in seconds."""

    play: str = ""
    message: str = ""
    traffic: str = Traffic.PROMOTIONAL
    retries: int = 0
    campaign: str = ""
    newgroup: bool = True
    schedule_time: datetime | None = None
    delay: int = 0
    waits: str = Waits.PORTAL
    meta: dict[str, Any] | None = None
    callback: str = ""
    custom: str = ""
    contact_groups: tuple[int, ...] = ()
    carrier_group: str = ""
    again: Again | None = None

    def due_at(self, now: datetime) -> datetime:
        """When the portal may hand calls over, if the request is started at `now`."""
        if self.waits == Waits.CARRIER:
            return now
        return (self.schedule_time or now) + timedelta(seconds=self.delay)

    def rings_at(self, now: datetime) -> datetime:
        """When the first phone may ring, whoever waits for it."""
        return (self.schedule_time or now) + timedelta(seconds=self.delay)

    @property
    def meta_text(self) -> str:
        """The metadata as people read it."""
        return json.dumps(self.meta, ensure_ascii=False) if self.meta else ""

    def as_json(self) -> dict[str, Any]:
        """For a JSON column; :meth:`from_json` reads it back."""
        data = asdict(self)
        data["schedule_time"] = self.schedule_time.isoformat() if self.schedule_time else None
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """What :meth:`as_json` wrote."""
        again = data["again"]
        return cls(
            **data
            | {
                "schedule_time": datetime.fromisoformat(data["schedule_time"]) if data["schedule_time"] else None,
                "contact_groups": tuple(data["contact_groups"]),
                "again": Again(again["call_group"], tuple(again["statuses"]), again["digits"]) if again else None,
            }
        )


def find_play(user: User, play: Play) -> Sound | IVR:
    """The sound or IVR of that reference that `user` may use. Raises NotAvailable."""
    kind: type[Sound] | type[IVR] = Sound if play.kind == "sound" else IVR
    found: Sound | IVR | None = kind.objects.visible_to(user).filter(number=play.number).first()
    if found is None:
        raise NotAvailable("play", f"There is no {play} that you may use.")
    return found


def find_groups(user: User, ids: tuple[int, ...], name: str) -> list[ContactGroup]:
    """The contact groups of these IDs or this name that `user` may use, in the order asked. Raises NotAvailable."""
    usable = ContactGroup.objects.visible_to(user)
    if name:
        named = usable.filter(name=name).first()
        if named is None:
            raise NotAvailable("group", f"There is no contact group “{name}” that you may use.")
        return [named]
    found = usable.in_bulk(ids)
    for pk in ids:
        if pk not in found:
            raise NotAvailable("group", f"There is no contact group {pk} that you may use.")
    return [found[pk] for pk in dict.fromkeys(ids)]
