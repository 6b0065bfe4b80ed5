from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.urls import reverse
from django.utils import timezone

from calls.tasks import tidy
from tests.factories import client_for, make_group, make_user, number

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def region(settings: Any) -> None:
    settings.DEFAULT_REGION = "GB"


def test_what_became_of_lines_is_forgotten_after_a_day() -> None:
    group = make_group()
    client = client_for(make_user("operator"))
    response = client.post(reverse("contacts_add", args=[group.pk]), {"pasted": f"{number(1)}\n12"})
    assert client.get(response["Location"]).status_code == 200
    kept = Session.objects.exclude(pk=client.session.session_key)
    assert timezone.now() < kept.get().expire_date <= timezone.now() + timedelta(days=1)
    kept.update(expire_date=timezone.now() - timedelta(seconds=1))
    assert client.get(response["Location"]).status_code == 404
    tidy(0)
    assert not kept.exists()
    assert Session.objects.exists()


def test_adding_again_forgets_what_was_kept_before() -> None:
    group = make_group()
    client = client_for(make_user("operator"))
    for i in range(3):
        client.post(reverse("contacts_add", args=[group.pk]), {"pasted": f"{number(i)}\n12"})
    assert Session.objects.count() == 2
