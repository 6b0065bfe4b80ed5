"""Keys of two users with different profiles: nothing of one is visible to, or usable by, the other."""

from typing import Any

import pytest

from calls.models import CallGroup
from tests.api.asking import Program
from tests.factories import make_group, make_ivr, make_sound, make_user, number

pytestmark = pytest.mark.django_db


class Tenant(Program):
    """A user who has a thing of each kind, enabled for nobody else."""

    def __init__(self, name: str, first: int) -> None:
        self.number = number(first)
        self.sound, self.ivr = make_sound(name=name), make_ivr(name=name)
        self.contacts = make_group(name, [number(first), number(first + 1)])
        super().__init__(
            make_user(
                username=name,
                sees_all_calls=False,
                uses_all_sounds=False,
                uses_all_ivrs=False,
                uses_all_contact_groups=False,
                sounds=[self.sound],
                ivrs=[self.ivr],
                contact_groups=[self.contacts],
            )
        )
        self.started = self.call(group=self.contacts.pk, campaign=f"secret of {name}").reply.group_id


def usable(owner: Tenant) -> list[dict[str, Any]]:
    """Requests that only `owner` may make."""
    group = owner.started
    return [
        {"method": "voice.status", "id": group},
        {"method": "voice.status", "id": f"{group}-1"},
        {"method": "voice.status", "id": f"{group}-1,{group}-2"},
        {"method": "voice.status", "id": group, "mobile": owner.number},
        {"method": "voice.groupstatus", "groupid": group},
        {"method": "voice.groupstatus", "groupid": f"{group}-1"},
        {"method": "voice.groupstatus", "groupid": group, "campaign": f"secret of {owner.user.username}"},
        {"method": "voice.groupstatus", "groupid": group, "after": f"{group}-1", "limit": 1},
        {"method": "voice.call", "group": owner.contacts.pk, "message": "Hello"},
        {"method": "voice.call", "group": owner.contacts.name, "message": "Hello"},
        {"method": "voice.call", "numbers": number(50), "play": owner.sound.reference},
        {"method": "voice.call", "numbers": number(51), "play": owner.ivr.reference},
        {"method": "voice.call", "group": owner.contacts.pk, "play": f"ivr:{owner.ivr.number}"},
    ]


def test_nothing_is_shared() -> None:
    people = Tenant("asha", 0), Tenant("ravi", 10)
    for owner, other in (people, people[::-1]):
        for request in usable(owner):
            before = CallGroup.objects.count()
            for wanted in ("json", "xml", "text"):
                answer = other.ask(**request, format=wanted)
                assert answer.reply.status == "404", request
                assert "secret" not in answer.body
                assert answer.reply.rows == ()
            assert CallGroup.objects.count() == before, request
            assert owner.ask(**request).http == 200, request


def test_what_is_hidden_and_what_is_missing_sound_alike() -> None:
    owner, other = Tenant("asha", 0), Tenant("ravi", 10)
    for name, hidden, missing in (
        ("id", f"{owner.started}-1", "999999-1"),
        ("groupid", owner.started, "999999"),
        ("group", str(owner.contacts.pk), "999999"),
        ("play", owner.sound.reference, "999999.sound"),
    ):
        method = {"id": "voice.status", "groupid": "voice.groupstatus"}.get(name, "voice.call")
        rest = {"numbers": number(60), "message": "Hello"} if method == "voice.call" else {}
        answers = [other.ask(method, **rest | {name: value}) for value in (hidden, missing)]
        texts = {answer.body.replace(value, "") for answer, value in zip(answers, (hidden, missing), strict=True)}
        assert len(texts) == 1, texts


def test_mixed_with_own_ones() -> None:
    owner, other = Tenant("asha", 0), Tenant("ravi", 10)
    assert other.status(id=f"{other.started}-1,{owner.started}-1").http == 404
    assert other.call(group=f"{other.contacts.pk},{owner.contacts.pk}").http == 404


def test_calls_are_not_listed_in_a_group_of_somebody_else() -> None:
    owner, other = Tenant("asha", 0), Tenant("ravi", 10)
    groups = {each.call(numbers=number(70 + i)).reply.group_id for i, each in enumerate((owner, other))}
    assert len(groups) == 2


def test_an_idempotency_key_of_somebody_else() -> None:
    owner, other = Tenant("asha", 0), Tenant("ravi", 10)
    headers = {"Idempotency-Key": "x"}
    first, second = (each.call(headers=headers).reply.group_id for each in (owner, other))
    assert first != second
