"""The dashboard."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from calls.models import CallGroup, CallRequest, CarrierBreaker, CarrierState, RequestState, User
from tests.factories import client_for, make_call_group, make_group, make_sound, make_user
from tests.watching.rows import carrier_fails, group_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def asha() -> User:
    return make_user("operator", "asha")


def page(user: User) -> str:
    response = client_for(user).get("/")
    assert response.status_code == 200
    return response.content.decode()


def test_anonymous_people_sign_in_first(client: Client) -> None:
    response = client.get("/")
    assert response.status_code == 302
    assert "/login/" in response["Location"]


def test_a_newcomer_is_told_what_to_do_next(asha: User) -> None:
    group = make_group("Trial", 3)
    make_sound(1)
    html = page(asha)
    assert "Start your first calls" in html
    assert f"/start/?group={group.pk}&amp;play=1.sound" in html


def test_a_newcomer_without_contacts_types_numbers(asha: User) -> None:
    assert "Type or paste some numbers" in page(asha)


def test_a_viewer_is_offered_no_start() -> None:
    html = page(make_user("viewer"))
    assert "No calls yet" in html
    assert "/start/" not in html


def test_the_figures_of_today(asha: User) -> None:
    group_of(asha, {"COMPLETED": 6, "BUSY": 4, "INPROGRESS": 3}, handed_over_at=timezone.now())
    html = page(asha)
    assert "60%" in html  # ASR
    assert "0:30" in html  # ACD
    assert "Start your first calls" not in html
    assert "<caption>Calls by hour</caption>" in html.replace("\n", "")


def test_running_scheduled_and_finished_groups(asha: User) -> None:
    now = timezone.now()
    running = group_of(asha, {"COMPLETED": 3, "INPROGRESS": 2})
    later = group_of(asha, {"HELD": 3}, due_at=now + timedelta(hours=2), schedule_time=now + timedelta(hours=2))
    finished = group_of(asha, {"COMPLETED": 3})
    html = page(asha)
    under_way, scheduled = html.split('id="scheduled-title"')
    assert f"/call-groups/{running.pk}/" in under_way
    assert f"/call-groups/{later.pk}/" not in under_way
    assert f"/call-groups/{later.pk}/" in scheduled
    assert f"/call-groups/{finished.pk}/" not in html
    assert "All calls are with the carrier; 2 still run." in html


def test_each_call_group_is_listed_once(asha: User) -> None:
    group = make_call_group(asha, 1)
    later = timezone.now() + timedelta(days=14)
    group.batches.update(kept_by="never", due_at=later)
    CallGroup.objects.update(due_at=later)
    shown = client_for(asha).get("/").context
    assert [len(shown[name]) for name in ("attention", "under_way", "scheduled")] == [1, 0, 0]


def test_what_needs_attention(asha: User) -> None:
    unconfirmed = group_of(asha, {"UNCONFIRMED": 2})
    refused = group_of(asha, {"HELD": 2}, state="paused", state_reason="The carrier refuses our key (401).")
    group_of(asha, {"HELD": 2}, state="paused", state_by=asha, state_at=timezone.now())
    failed = CallRequest.objects.create(
        owner=asha, typed={}, options={}, state=RequestState.FAILED, error="None of these numbers may be called."
    )
    html = page(asha)
    attention = html.split('id="attention-title"')[1].split("</section>")[0]
    assert attention.count("<li>") == 3
    assert f"/call-groups/{unconfirmed.pk}/" in attention
    assert f"/call-groups/{refused.pk}/" in attention
    assert f"/start/{failed.pk}/" in attention
    assert "None of these numbers may be called." in attention


def test_failed_requests_of_others_are_theirs(asha: User) -> None:
    CallRequest.objects.create(owner=make_user(), typed={}, options={}, state=RequestState.FAILED, error="Secret.")
    assert "Secret." not in page(asha)


def test_only_groups_that_one_may_see(asha: User) -> None:
    group = group_of(asha, {"INPROGRESS": 2})
    assert f"/call-groups/{group.pk}/" not in page(make_user(sees_all_calls=False))
    assert f"/call-groups/{group.pk}/" in page(make_user("viewer"))


def test_health(asha: User) -> None:
    html = page(asha)
    assert "Not asked yet" in html
    assert "None is running" in html
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now())")
    CarrierState.objects.create(name="sandbox", answered_at=timezone.now())
    html = page(asha)
    assert "Answers" in html
    assert "None is running" not in html
    carrier_fails()
    html = page(asha)
    assert "Has trouble" in html
    assert "The carrier refused the connection." in html


def test_a_carrier_that_is_down_says_so(asha: User) -> None:
    carrier_fails()
    now = timezone.now()
    CarrierBreaker.objects.create(carrier_id="sandbox", kind="call", failures=5, opened_at=now, next_trial=now)
    group = group_of(asha, {"HELD": 3})
    group.batches.update(attempts=5, answer="The carrier refused the connection.")
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now())")
    html = page(asha)
    assert "Is down" in html
    assert "Held calls go out by themselves once it answers." in html
    assert "3 held calls go out by themselves once it answers." in html


def test_what_needs_attention_leads_to_where_it_is_settled(asha: User) -> None:
    link = '<a href="/attention/">Settle what waits</a>'
    assert link not in page(asha)
    group_of(asha, {"UNCONFIRMED": 2})
    assert link in page(asha)


def test_only_admins_are_led_to_the_carrier(asha: User) -> None:
    assert "/carrier/" not in page(asha)
    assert '<a href="/carrier/">Carrier</a>' in page(make_user("admin"))


def test_more_groups_than_are_shown(asha: User) -> None:
    for _ in range(10):
        group_of(asha, {"INPROGRESS": 1})
    html = page(asha)
    assert html.count("All calls are with the carrier") + html.count("The call is with the carrier.") == 8
    assert "More that run" in html


def test_as_many_queries_for_many_groups_as_for_few(
    asha: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client = client_for(asha)
    for calls in (1, 1_000):
        group_of(asha, {"INPROGRESS": calls, "HELD": calls, "COMPLETED": calls})
        with django_assert_max_num_queries(17):
            client.get("/")
    for _ in range(20):
        group_of(asha, {"INPROGRESS": 1})
    with django_assert_max_num_queries(17):
        client.get("/")
