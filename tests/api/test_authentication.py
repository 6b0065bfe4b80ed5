"""Who may ask: the key, where it stands, from where it is used and how often."""

import hmac
from base64 import b64encode
from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from calls.api import authentication
from calls.models import APIKey, CallGroup
from tests.api.asking import ENDPOINT, Answer, Program, answered
from tests.dialing.helpers import freeze

pytestmark = pytest.mark.django_db

STATUS = {"method": "voice.groupstatus", "groupid": "1"}
"""A request that is answered with 404 once the key is accepted."""


def ask(parameters: dict[str, str] | None = None, address: str = "127.0.0.1", **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return answered(Client(REMOTE_ADDR=address).post(ENDPOINT, STATUS | (parameters or {}), headers=named))


def basic(name: str, password: str = "") -> str:
    return "Basic " + b64encode(f"{name}:{password}".encode()).decode()


@pytest.fixture
def program() -> Program:
    return Program()


class TestWhereTheKeyStands:
    def test_header(self, program: Program) -> None:
        assert ask(x_api_key=program.key).http == 404

    def test_parameter(self, program: Program) -> None:
        assert ask({"api_key": program.key}).http == 404

    @pytest.mark.parametrize("other", ["", "x", "Administrator"])
    def test_basic(self, program: Program, other: str) -> None:
        assert ask(authorization=basic(program.key, other)).http == 404
        assert ask(authorization=basic(other, program.key)).http == 404

    def test_the_same_key_everywhere(self, program: Program) -> None:
        key = program.key
        assert ask({"api_key": key}, x_api_key=f"{key},{key}", authorization=basic(key, key)).http == 404

    def test_different_keys(self, program: Program) -> None:
        other = Program().key
        for answer in (
            ask({"api_key": other}, x_api_key=program.key),
            ask({"api_key": "nonsense"}, x_api_key=program.key),
            ask(x_api_key=f"{program.key}, {other}"),
            ask(x_api_key=program.key, authorization=basic(other)),
            ask(authorization=basic(program.key, other)),
        ):
            assert answer.http == 400
            assert answer.message == "api_key: different keys in one request; give one"

    @pytest.mark.parametrize("header", ["Basic !!!", "Basic é", "Basic /w==", "Basic " + b64encode(b"\xff:").decode()])
    def test_unreadable_basic(self, header: str) -> None:
        assert ask(authorization=header).http == 400

    def test_other_schemes_are_no_key(self, program: Program) -> None:
        assert ask(authorization=f"Bearer {program.key}").http == 401


class TestOneMessageForAll:
    @pytest.mark.parametrize(
        "key", ["", "x", "A", "A00000000", "A" + "0" * 40, "A0000000\0", "\0", "é", "A" * 10_000, "'; DROP TABLE"]
    )
    def test_wrong_ones(self, program: Program, key: str) -> None:
        self.refused(ask({"api_key": key} if "\0" not in key else {}, authorization=basic(key)))

    def test_right_beginning_only(self, program: Program) -> None:
        self.refused(ask(x_api_key=program.key[:-1] + ("0" if program.key[-1] != "0" else "1")))
        self.refused(ask(x_api_key=program.key[:9]))

    def test_expired(self, program: Program) -> None:
        APIKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
        self.refused(ask(x_api_key=program.key))

    def test_expires_later(self, program: Program) -> None:
        APIKey.objects.update(expires_at=timezone.now() + timedelta(minutes=1))
        assert ask(x_api_key=program.key).http == 404

    def test_revoked(self, program: Program) -> None:
        APIKey.objects.update(revoked_at=timezone.now())
        self.refused(ask(x_api_key=program.key))

    def test_user_is_deactivated(self, program: Program) -> None:
        program.user.is_active = False
        program.user.save()
        self.refused(ask(x_api_key=program.key))

    def refused(self, answer: Answer) -> None:
        assert answer.http == 401
        assert answer.message == "The API key is missing, wrong, revoked or expired."
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
        assert not APIKey.objects.filter(last_used_at__isnull=False).exists()

    def test_compares_in_constant_time(self, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
        compared = []
        real = hmac.compare_digest

        def watched(a: str, b: str) -> bool:
            compared.append((len(a), len(b)))
            return real(a, b)

        monkeypatch.setattr(hmac, "compare_digest", watched)
        ask(x_api_key=program.key)
        assert compared == [(64, 64)]


class TestAddresses:
    @pytest.mark.parametrize(
        ("network", "address"),
        [
            ("192.0.2.7/32", "192.0.2.7"),
            ("192.0.2.0/24", "192.0.2.200"),
            ("192.0.2.0/24", "::ffff:192.0.2.200"),
            ("2001:db8::/32", "2001:db8:1::7"),
            ("2001:db8::7", "2001:db8::7"),
            ("fe80::/10", "fe80::1%eth0"),
        ],
    )
    def test_allowed(self, network: str, address: str) -> None:
        program = Program(networks=["198.51.100.1/32", network])
        assert ask(address=address, x_api_key=program.key).http == 404

    @pytest.mark.parametrize("address", ["192.0.3.1", "2001:db9::1", "::192.0.2.7", "", "unknown"])
    def test_others(self, address: str) -> None:
        program = Program(networks=["192.0.2.0/24", "2001:db8::/32"])
        answer = ask(address=address, x_api_key=program.key)
        assert answer.http == 403
        assert "address" in answer.message
        program.row.refresh_from_db()
        assert program.row.last_used_at is None

    @pytest.mark.parametrize("address", ["", "unknown", "1.2.3.4:5678", "fe80::1%eth0"])
    def test_odd_addresses_do_no_harm(self, program: Program, address: str) -> None:
        assert ask(address=address, x_api_key=program.key).http == 404


class TestRate:
    def test_more_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = timezone.now() + timedelta(seconds=1)  # after the key was made
        freeze(monkeypatch, now)
        program = Program(rate=60)  # ten at once, then one a second
        assert [ask(x_api_key=program.key).http for _ in range(12)] == [404] * 10 + [429] * 2
        answer = ask(x_api_key=program.key)
        assert answer.headers["Retry-After"] == "1"
        assert answer.message == "More than 60 requests a minute; try again in 1 s"
        freeze(monkeypatch, now + timedelta(seconds=1))
        assert [ask(x_api_key=program.key).http for _ in range(2)] == [404, 429]

    def test_a_slow_key_may_ask_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        freeze(monkeypatch, timezone.now() + timedelta(seconds=1))
        program = Program(rate=1)
        assert ask(x_api_key=program.key).http == 404
        answer = ask(x_api_key=program.key)
        assert (answer.http, answer.headers["Retry-After"]) == (429, "60")

    def test_keys_have_their_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        freeze(monkeypatch, timezone.now() + timedelta(seconds=1))
        one, other = Program(rate=1), Program(rate=1)
        assert [ask(x_api_key=each.key).http for each in (one, other, one, other)] == [404, 404, 429, 429]

    def test_nothing_is_started(self, monkeypatch: pytest.MonkeyPatch) -> None:
        freeze(monkeypatch, timezone.now() + timedelta(seconds=1))
        program = Program(rate=1)
        assert [program.call(newgroup=1).http for _ in range(3)] == [200, 429, 429]
        assert CallGroup.objects.count() == 1


def test_a_key_that_is_deleted_meanwhile(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    real = authentication._find

    def find(key: str) -> APIKey | None:
        found = real(key)
        APIKey.objects.all().delete()
        return found

    monkeypatch.setattr(authentication, "_find", find)
    assert ask(x_api_key=program.key).http == 401


def test_last_use_is_kept(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    now: datetime = timezone.now()
    freeze(monkeypatch, now)
    ask(address="192.0.2.7", x_api_key=program.key)
    program.row.refresh_from_db()
    assert (program.row.last_used_at, program.row.last_used_from) == (now, "192.0.2.7")


def test_a_session_is_no_key(program: Program) -> None:
    program.client.force_login(program.user, backend="django.contrib.auth.backends.ModelBackend")
    assert answered(program.client.post(ENDPOINT, STATUS)).http == 401
