"""The one plain sentence for each situation of a call group."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_django import Settings

from calls.carriers.base import Stopped
from calls.carriers.obd import ObdCarrier
from calls.dialing.explain import carrier_trouble, explain, when
from calls.dialing.situation import CarrierHealth, Situation
from calls.models import Batch, CallGroup, CarrierBreaker, CarrierState, User, Waits
from calls.obd.statuses import FINAL
from tests.obd_server import ObdServer

NOW = datetime(2026, 11, 23, 8, 32, tzinfo=UTC)  # 14:02 in India
EARLIER = NOW - timedelta(minutes=5)
SOON = NOW + timedelta(minutes=3)
EVENING = NOW + timedelta(days=1, hours=4, minutes=28)
ASHA = User(pk=7, username="asha")
BY_ASHA: dict[str, Any] = {"state_by": ASHA, "state_at": NOW}


@pytest.fixture(autouse=True)
def india(settings: Settings) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"


def situation(
    tally: dict[str, int],
    *,
    pending: dict[str, Any] | None = None,
    never: dict[str, Any] | None = None,
    unconfirmed: bool = False,
    failure: str = "",
    wait_until: datetime | None = None,
    down: CarrierBreaker | None = None,
    silent: CarrierBreaker | None = None,
    worker_alive: bool = True,
    **columns: Any,
) -> Situation:
    """A call group whose calls have these statuses; nothing of it is stored."""
    total = sum(tally.values())
    still_open = sum(number for status, number in tally.items() if status not in FINAL)
    carrier = CarrierState(name="obd", failure=failure, failed_at=NOW if failure else None, wait_until=wait_until)
    group = CallGroup(
        pk=100001,
        total=total,
        held=tally.get("HELD", 0),
        open=still_open,
        **{"due_at": EARLIER, "state": "running", "carrier": "obd"} | columns,
    )
    return Situation(
        group=group,
        now=NOW,
        tally=tally,
        pending=Batch(**{"due_at": EARLIER, "first": 1, "last": 200} | pending) if pending is not None else None,
        never=Batch(**{"first": 1, "last": 200} | never) if never else None,
        unconfirmed=Batch(first=1, last=200, due_at=EARLIER) if unconfirmed else None,
        health=CarrierHealth(carrier, down, silent),
        worker_alive=worker_alive,
    )


UNTIL = "nothing is sent again until the carrier reports, or you say what happened."
THEM, IT = f"The carrier may have them; {UNTIL}", f"The carrier may have it; {UNTIL}"
REFUSED = "The carrier refused the connection."
OPEN = CarrierBreaker(opened_at=EARLIER, next_trial=SOON, failures=6)
DOWN = "The carrier is down: it has taken no calls since 13:57 IST."
SILENT = "not answered questions about calls since 13:57 IST; it is asked again about 14:05 IST."
MENDED = "until an admin has mended that, in the settings or at the carrier, and somebody presses Resume."

NEVER = {"kept_by": "never", "place": "GB Europe/London", "due_at": NOW + timedelta(days=14)}
ALLOW_NONE = "The calling rules allow no call in Europe/London within 14 days"

TABLE: list[tuple[Situation, str, str]] = [
    # Waiting for a time
    (
        situation({"HELD": 450}, pending={"due_at": EVENING}, due_at=EVENING),
        "waits",
        "Scheduled: the first of 450 calls is handed over on 24 Nov 2026, 18:30 IST.",
    ),
    (
        situation({"HELD": 1}, pending={"due_at": SOON}, due_at=SOON),
        "waits",
        "Scheduled: its call is handed over at 14:05 IST.",
    ),
    (
        situation({"QUEUED": 450}, schedule_time=EVENING, waits=Waits.CARRIER),
        "waits",
        "Scheduled with the carrier: the first of 450 calls rings on 24 Nov 2026, 18:30 IST; they can't be taken back.",
    ),
    (
        situation({"QUEUED": 200, "HELD": 250}, pending={}, schedule_time=EVENING, waits=Waits.CARRIER),
        "waits",
        "Scheduled with the carrier on 24 Nov 2026, 18:30 IST; 250 calls are still to be handed over.",
    ),
    (
        situation({}, pending={"due_at": SOON}, due_at=SOON, carrier_group="vips"),
        "waits",
        "Scheduled: the carrier is asked to call its group “vips” at 14:05 IST.",
    ),
    (
        situation({"COMPLETED": 200, "HELD": 250}, pending={"due_at": SOON}),
        "waits",
        "250 held calls go out at 14:05 IST.",
    ),
    (
        situation({"QUEUED": 2}, schedule_time=EVENING, delay=900, waits=Waits.CARRIER),
        "waits",
        "Scheduled with the carrier: the first of 2 calls rings on 24 Nov 2026, 18:45 IST; they can't be taken back.",
    ),
    (
        situation({}, pending={}, schedule_time=EVENING, waits=Waits.CARRIER, carrier_group="vips"),
        "waits",
        "Scheduled with the carrier on 24 Nov 2026, 18:30 IST; it is still to be asked to call its group “vips”.",
    ),
    (
        situation({}, schedule_time=EVENING, delay=60, waits=Waits.CARRIER, carrier_group="vips"),
        "waits",
        (
            "Scheduled with the carrier: it was asked to call its group “vips” on 24 Nov 2026, 18:31 IST; that can't "
            "be taken back."
        ),
    ),
    # Working
    (
        situation({"QUEUED": 200, "HELD": 250}, pending={}),
        "works",
        "Handing over: 200 of 450 calls are with the carrier.",
    ),
    (
        situation({"HELD": 250, "SENDING": 200}),
        "works",
        "Handing over: 200 of 450 calls are with the carrier.",
    ),
    (
        situation({"COMPLETED": 413, "INPROGRESS": 37}),
        "works",
        "All calls are with the carrier; 37 still run.",
    ),
    (situation({"COMPLETED": 2, "QUEUED": 1}), "works", "All calls are with the carrier; 1 still runs."),
    (situation({"QUEUED": 1}), "works", "The call is with the carrier."),
    (
        situation({}, pending={"due_at": NOW}, carrier_group="vips"),
        "works",
        "Handing over: the carrier is asked to call its group “vips”.",
    ),
    (situation({}, carrier_group="vips"), "works", "The carrier has the request; its calls are not known yet."),
    # Something keeps it
    (
        situation({"HELD": 250, "QUEUED": 200}, pending={"attempts": 2, "answer": REFUSED, "due_at": SOON}),
        "waits",
        "The carrier refused the connection. 250 held calls go out again at 14:05 IST.",
    ),
    (
        situation({"HELD": 1}, pending={"attempts": 2, "answer": REFUSED, "due_at": SOON}),
        "waits",
        "The carrier refused the connection. 1 held call goes out again at 14:05 IST.",
    ),
    (
        situation({"HELD": 450}, pending={}, failure=REFUSED),
        "waits",
        "The carrier refused the connection. 450 held calls go out as soon as the carrier answers.",
    ),
    (
        situation({"HELD": 450}, pending={}),
        "waits",
        "Due since 13:57 IST: 450 held calls go out in turn; other call groups are being handed over.",
    ),
    (
        situation({"HELD": 450}, pending={}, worker_alive=False),
        "attention",
        "No worker is running, so nothing is handed over: 450 held calls go out once one is started.",
    ),
    (
        situation(
            {"HELD": 250}, pending={"attempts": 6, "answer": REFUSED, "due_at": EVENING}, failure=REFUSED, down=OPEN
        ),
        "waits",
        f"{DOWN} {REFUSED} One request is tried about 14:05 IST. 250 held calls go out by themselves once it answers.",
    ),
    (
        # It answers questions, so that only the batch knows why.
        situation({"HELD": 1, "QUEUED": 5}, pending={"attempts": 6, "answer": "Failed (503)"}, down=OPEN),
        "waits",
        f"{DOWN} Failed (503). One request is tried about 14:05 IST. 1 held call goes out by itself once it answers.",
    ),
    (
        situation(
            {"HELD": 250}, pending={}, down=CarrierBreaker(opened_at=EARLIER, next_trial=EARLIER), failure=REFUSED
        ),
        "waits",
        f"{DOWN} {REFUSED} One request is tried within a minute. 250 held calls go out by themselves once it answers.",
    ),
    (
        situation({"QUEUED": 200, "HELD": 250}, pending={"due_at": SOON}, down=OPEN),
        "waits",
        "250 held calls go out at 14:05 IST.",
    ),
    (
        situation({"HELD": 450}, pending={}, wait_until=SOON, failure="The carrier takes no more requests (429)."),
        "waits",
        "The carrier asked to wait until 14:05 IST. 450 held calls go out then.",
    ),
    (
        situation({"COMPLETED": 413, "INPROGRESS": 37}, silent=OPEN),
        "waits",
        f"All calls are with the carrier; 37 still run. It has {SILENT}",
    ),
    (
        situation({"HELD": 250}, pending=NEVER, never=NEVER),
        "attention",
        f"{ALLOW_NONE}: 250 calls are held. Change the rules, override them for this call group, or cancel.",
    ),
    (
        situation({}, pending=NEVER, never=NEVER, carrier_group="vips"),
        "attention",
        f"{ALLOW_NONE}: the request is held. Change the rules, override them for this call group, or cancel.",
    ),
    (
        situation({"QUEUED": 200, "HELD": 250}, pending={"due_at": SOON}, never=NEVER),
        "attention",
        (
            f"{ALLOW_NONE}: those calls are held. Change the rules, override them for this call group, or cancel. "
            "250 held calls go out at 14:05 IST."
        ),
    ),
    # Somebody decided
    (
        situation({"HELD": 250, "QUEUED": 200}, pending={}, state="paused", **BY_ASHA),
        "waits",
        "Paused by asha at 14:02 IST: 250 calls are held; 200 are with the carrier and go on.",
    ),
    (
        situation({"HELD": 1, "QUEUED": 1}, pending={}, state="paused", state_reason="Wrong sound.", **BY_ASHA),
        "waits",
        "Paused by asha at 14:02 IST: 1 call is held; 1 is with the carrier and goes on. Reason: Wrong sound.",
    ),
    (
        situation({"HELD": 250}, pending={}, state="paused", **BY_ASHA),
        "waits",
        "Paused by asha at 14:02 IST: 250 calls are held.",
    ),
    (
        situation({}, pending={}, carrier_group="vips", state="paused", **BY_ASHA),
        "waits",
        "Paused by asha at 14:02 IST: nothing is handed over until you resume.",
    ),
    (
        situation(
            {"HELD": 250}, pending={}, state="paused", state_at=NOW, state_reason="The carrier refuses our key (401)"
        ),
        "attention",
        f"Paused by the portal at 14:02 IST. The carrier refuses our key (401). 250 calls are held {MENDED}",
    ),
    (
        situation({"HELD": 1}, pending={}, state="paused", state_reason="OBD_API_KEY is not set: the key."),
        "attention",
        f"Paused by the portal. OBD_API_KEY is not set: the key. 1 call is held {MENDED}",
    ),
    (
        situation(
            {}, pending={}, carrier_group="vips", state="paused", state_reason="The carrier refuses our key (401)."
        ),
        "attention",
        f"Paused by the portal. The carrier refuses our key (401). The request is held {MENDED}",
    ),
    (
        situation(
            {"REJECTED": 200, "HELD": 250},
            pending={},
            state="paused",
            state_at=NOW,
            state_reason="The carrier refused the request (400): no such sound.",
        ),
        "attention",
        (
            "Paused by the portal at 14:02 IST. The carrier refused the request (400): no such sound. 200 calls were "
            "rejected; 250 calls are held, as the carrier would refuse them too. Once that is mended, press Resume."
        ),
    ),
    (
        situation({"HELD": 250}, pending={}, state="paused", state_at=NOW, state_reason="Something else."),
        "attention",
        "Paused by the portal at 14:02 IST. Something else. 250 calls are held until you resume.",
    ),
    (
        situation({"CANCELLED": 250, "INPROGRESS": 12, "COMPLETED": 188}, state="cancelled", **BY_ASHA),
        "works",
        "Cancelled by asha at 14:02 IST: 250 held calls were cancelled; 12 still run.",
    ),
    (
        situation({"CANCELLED": 500, "HELD": 9_500, "QUEUED": 200}, state="cancelled", **BY_ASHA),
        "works",
        "Cancelled by asha at 14:02 IST: 500 held calls were cancelled so far, 9,500 are still to do; 200 still run.",
    ),
    (
        situation({"INPROGRESS": 12}, state="cancelled", **BY_ASHA),
        "works",
        "Cancelled by asha at 14:02 IST: nothing was held any more; 12 still run.",
    ),
    # Nobody knows
    (
        situation({"UNCONFIRMED": 200, "COMPLETED": 250}, unconfirmed=True),
        "attention",
        f"Waiting for you: 200 calls are unconfirmed. {THEM}",
    ),
    (
        situation({"UNCONFIRMED": 1, "INPROGRESS": 5}, unconfirmed=True),
        "attention",
        f"Waiting for you: 1 call is unconfirmed. {IT} 5 of the others still run.",
    ),
    (
        situation({"UNCONFIRMED": 200, "HELD": 50}, unconfirmed=True, pending={"due_at": SOON}),
        "attention",
        f"Waiting for you: 200 calls are unconfirmed. {THEM} 50 held calls go out at 14:05 IST.",
    ),
    (
        situation({}, unconfirmed=True, carrier_group="vips"),
        "attention",
        f"Waiting for you: one request is unconfirmed. {IT}",
    ),
    (
        situation({"UNCONFIRMED": 20, "CANCELLED": 1}, unconfirmed=True, state="cancelled", **BY_ASHA),
        "attention",
        f"Waiting for you: 20 calls are unconfirmed. {THEM} Cancelled by asha at 14:02 IST: 1 held call was cancelled.",
    ),
    # Over
    (
        situation({"COMPLETED": 400, "BUSY": 50}, ended_at=NOW),
        "done",
        "Finished at 14:02 IST: 400 of 450 calls were reached.",
    ),
    (situation({"BUSY": 1}, ended_at=NOW), "done", "Finished at 14:02 IST: 0 of 1 call was reached."),
    (
        situation({"REJECTED": 450}, ended_at=NOW),
        "done",
        "Finished at 14:02 IST: the carrier refused all 450 calls.",
    ),
    (situation({}, ended_at=NOW), "done", "Finished at 14:02 IST: the carrier placed no calls."),
    (
        situation({"COMPLETED": 150, "BUSY": 50, "CANCELLED": 250}, ended_at=NOW, state="cancelled", **BY_ASHA),
        "done",
        "Cancelled by asha at 14:02 IST: 250 held calls were cancelled; 150 of 450 calls were reached.",
    ),
    (
        situation({"CANCELLED": 450}, ended_at=NOW, state="cancelled", not_made=450, **BY_ASHA),
        "done",
        "Cancelled by asha at 14:02 IST: 450 held calls were cancelled.",
    ),
]


@pytest.mark.parametrize(("at", "tone", "text"), TABLE, ids=[text[:60] for _, _, text in TABLE])
def test_sentence(at: Situation, tone: str, text: str) -> None:
    sentence = explain(at)
    assert sentence.text == text
    assert sentence.tone == tone


def test_nobody_knows_the_end_while_the_carrier_is_down() -> None:
    assert situation({"HELD": 250}, pending={}).expected_end is not None
    assert situation({"HELD": 250}, pending={}, down=OPEN).expected_end is None


def test_an_old_failure_says_nothing_about_now() -> None:
    at = situation({"QUEUED": 200, "HELD": 250}, pending={}, failure=REFUSED)
    assert at.carrier is not None
    at.carrier.failed_at = NOW - timedelta(hours=1)
    assert explain(at).text == "Handing over: 200 of 450 calls are with the carrier."


@pytest.mark.parametrize(
    ("health", "text"),
    [
        (None, ""),
        (CarrierHealth(CarrierState(name="obd", failure=REFUSED)), ""),
        (
            CarrierHealth(CarrierState(name="obd", failure=REFUSED), OPEN, OPEN),
            f"{DOWN} {REFUSED} One request is tried about 14:05 IST. Held calls go out by themselves once it answers.",
        ),
        (
            CarrierHealth(CarrierState(name="obd", wait_until=SOON)),
            "The carrier asked to wait until 14:05 IST. Held calls go out then.",
        ),
        (CarrierHealth(CarrierState(name="obd", wait_until=EARLIER)), ""),
        (
            CarrierHealth(CarrierState(name="obd"), silent=OPEN),
            f"The carrier has {SILENT} Calls go on.",
        ),
    ],
)
def test_what_is_wrong_with_the_carrier(health: CarrierHealth | None, text: str) -> None:
    assert carrier_trouble(health, NOW) == text


@pytest.mark.parametrize("key", ["", "wrong", "not a key"])
def test_the_portal_knows_its_own_words_for_a_key_that_does_not_work(key: str) -> None:
    """What a carrier's error says is taken apart again in the sentence: both must mean the same."""
    with ObdServer() as server:
        carrier = ObdCarrier(server.url, key, timeout=5, connections=1, region="GB", zone=server.zone)
        with pytest.raises(Stopped) as error:
            carrier.check()
        carrier.close()
    at = situation({"HELD": 250}, pending={}, state="paused", state_reason=str(error.value))
    assert explain(at).text.endswith(f"250 calls are held {MENDED}")


def test_times_are_in_the_portals_zone_and_say_so(settings: Settings) -> None:
    settings.TIME_ZONE = "Europe/London"
    assert when(NOW, NOW) == "at 08:32 GMT"
    assert when(NOW - timedelta(days=60), NOW) == "on 24 Sep 2026, 09:32 BST"


@pytest.mark.parametrize(
    ("at", "state"),
    [
        (situation({"HELD": 2}, due_at=SOON), "scheduled"),
        (situation({"QUEUED": 2}, schedule_time=SOON, waits=Waits.CARRIER), "scheduled"),
        (situation({"QUEUED": 2}, schedule_time=EARLIER, delay=480, waits=Waits.CARRIER), "scheduled"),
        (situation({"QUEUED": 2}, schedule_time=EARLIER, delay=300, waits=Waits.CARRIER), "running"),
        (situation({"HELD": 2}, due_at=SOON, state="paused"), "paused"),
        (situation({"HELD": 2}), "running"),
        (situation({"QUEUED": 2}, state="cancelled"), "cancelled"),
        (situation({"CANCELLED": 2}, state="cancelled", ended_at=NOW), "cancelled"),
        (situation({"BUSY": 2}, ended_at=NOW), "finished"),
    ],
)
def test_state(at: Situation, state: str) -> None:
    assert at.state == state
