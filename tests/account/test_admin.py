"""Django's admin: who gets in, and that every table can be looked into and none changed."""

import pytest
from axes.models import AccessAttempt
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from procrastinate.contrib.django.models import ProcrastinateJob

from calls.access import give_role
from calls.models import CallRequest, Sound, User
from calls.tasks import follow
from tests.factories import client_for, make_call_group, make_group, make_ivr, make_sound, make_user

pytestmark = pytest.mark.django_db

TABLES = [f"{model._meta.app_label}_{model._meta.model_name}" for model in admin.site._registry]


@pytest.fixture
def boss() -> Client:
    user = make_user("admin")
    give_role(user, "admin")
    return client_for(user)


@pytest.fixture
def _rows() -> None:
    make_group("Customers", 3)
    make_sound(1)
    make_ivr(1)
    make_call_group(make_user("operator"))
    follow.defer(call_group_id=1)
    Client().post("/login/", {"username": "nobody", "password": "wrong"})
    Client().post("/login/", {"username": make_user().username, "password": "correct horse battery"})


@pytest.mark.usefixtures("_rows")
@pytest.mark.parametrize("table", TABLES)
def test_each_table_can_be_looked_into(boss: Client, table: str) -> None:
    response = boss.get(reverse(f"admin:{table}_changelist"), {"q": "1"})
    assert response.status_code == 200
    assert "default-src 'self'" in response.headers["Content-Security-Policy"]
    listed = boss.get(reverse(f"admin:{table}_changelist"))
    assert "style=" not in listed.text
    row = listed.context["cl"].queryset.first()
    if row is not None:
        page = boss.get(reverse(f"admin:{table}_change", args=[row.pk]))
        assert page.status_code == 200
        assert "md5$" not in page.text
    assert boss.get(reverse(f"admin:{table}_add")).status_code == 403


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("typed", ["abc", "+442079460001", "9" * 30, "%00"])
def test_no_search_fails(boss: Client, table: str, typed: str) -> None:
    assert boss.get(f"{reverse(f'admin:{table}_changelist')}?q={typed.replace('+', '%2B')}").status_code in {200, 302}


def test_nobody_is_searched_for_by_number() -> None:
    """The search of Django's admin puts what was typed into the address."""
    fields = {field for each in admin.site._registry.values() for field in each.search_fields}
    assert fields
    assert not [field for field in fields if "number" in field or "repr" in field]


@pytest.mark.usefixtures("_rows")
def test_the_tables_of_the_test_have_rows() -> None:
    assert CallRequest.objects.exists()
    assert ProcrastinateJob.objects.exists()
    assert AccessAttempt.objects.exists()


def test_rows_are_changed_and_deleted_on_the_portals_pages_only(boss: Client) -> None:
    sound = make_sound(1)
    assert boss.post(reverse("admin:calls_sound_change", args=[sound.pk]), {"name": "Other"}).status_code == 403
    assert boss.post(reverse("admin:calls_sound_delete", args=[sound.pk]), {"post": "yes"}).status_code == 403
    assert Sound.objects.get().name == "Greeting"


def test_a_lock_can_be_ended(boss: Client) -> None:
    asha = make_user("operator", "asha")
    for _ in range(5):
        Client().post("/login/", {"username": "asha", "password": "wrong"})
    lock = AccessAttempt.objects.get()
    boss.post(reverse("admin:axes_accessattempt_delete", args=[lock.pk]), {"post": "yes"})
    response = Client().post("/login/", {"username": asha.username, "password": "correct horse battery"})
    assert response.status_code == 302


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_others_are_kept_out(role: str) -> None:
    client = client_for(make_user(role))
    assert client.get("/django-admin/", follow=True).status_code == 403
    assert client.get("/django-admin/calls/user/", follow=True).status_code == 403


def test_signing_in_is_done_on_the_portals_page(client: Client) -> None:
    response = client.get("/django-admin/calls/user/", follow=True)
    assert response.redirect_chain[-1][0] == "/login/?next=/django-admin/calls/user/"
    response = client.get("/django-admin/login/?next=/django-admin/")
    assert response.headers["Location"] == "/login/?next=/django-admin/"


def test_who_loses_the_role_is_out(boss: Client) -> None:
    other = make_user("admin")
    give_role(other, "admin")
    browser = client_for(other)
    assert browser.get("/django-admin/").status_code == 200
    give_role(User.objects.get(pk=other.pk), "viewer")
    assert browser.get("/django-admin/", follow=True).status_code == 403
