"""The first admin."""

from io import StringIO
from unittest.mock import Mock

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.core.management import call_command
from django.test import RequestFactory
from pytest_django import Settings

pytestmark = pytest.mark.django_db


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> Mock:
    create = Mock()
    monkeypatch.setattr("calls.demo.create", create)
    return create


def bootstrap() -> str:
    said = StringIO()
    call_command("bootstrap", stdout=said)
    return said.getvalue()


def test_random_password(settings: Settings, demo: Mock) -> None:
    settings.ADMIN_USERNAME = "asha"
    said = bootstrap()
    assert "Sign in as: asha" in said
    password = said.split("password: ")[1].split()[0]
    assert authenticate(RequestFactory().post("/"), username="asha", password=password)
    assert get_user_model().objects.get().is_superuser
    demo.assert_called_once_with()


def test_given_password_is_not_printed(settings: Settings, demo: Mock) -> None:
    settings.ADMIN_PASSWORD = "chosen by me"
    said = bootstrap()
    assert "chosen by me" not in said
    assert authenticate(RequestFactory().post("/"), username="admin", password="chosen by me")


def test_without_demo_data(settings: Settings, demo: Mock) -> None:
    settings.DEMO_DATA = False
    bootstrap()
    demo.assert_not_called()


def test_once_there_is_a_user_nothing_happens(demo: Mock) -> None:
    get_user_model().objects.create_user("somebody")
    assert bootstrap() == ""
    assert get_user_model().objects.count() == 1
    demo.assert_not_called()
