"""The main job with the `obd` carrier: what the browser asks for arrives at a carrier on the loopback as specified."""

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser.desk import PATIENCE, Desk
from tests.browser.portal import Portal
from tests.callbacks.receiver import Receiver, listening
from tests.factories import number
from tests.obd_server import KEY, ObdServer

NUMBERS = [number(i) for i in range(450)]
ZONE = ZoneInfo("Asia/Kolkata")


@pytest.fixture
def portal(obd: Portal) -> Portal:
    return obd


@pytest.fixture
def desk(context: BrowserContext, carrier: ObdServer) -> Desk:
    """An admin whose portal knows sound 123 and IVR 1234; the carrier has forgotten all earlier requests."""
    desk = Desk(context.new_page())
    desk.sign_in()
    for kind, reference, name in (("sounds", 123, "Reminder"), ("ivrs", 1234, "Survey")):
        answer = desk.page.goto(f"/{kind}/{reference}/")
        if answer and answer.status == 404:
            desk.page.goto(f"/{kind}/new/")
            desk.page.get_by_label("Reference").fill(str(reference))
            desk.page.get_by_label("Name").fill(name)
            desk.press("Add the ")
            desk.expect_message("was saved")
    carrier.received.clear()
    carrier.called.clear()
    return desk


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Where the portal's callbacks go."""
    with listening() as receiver:
        yield receiver


def finish(desk: Desk) -> None:
    # The gaps between two questions to the carrier grow, up to a minute.
    expect(desk.page.locator("#summary h1")).to_contain_text("Finished", timeout=3 * PATIENCE)


def national(numbers: list[str]) -> list[str]:
    """As a carrier in the portal's region wants them."""
    return [number.removeprefix("+44") for number in numbers]


def test_450_numbers_with_every_option_arrive_as_three_requests(
    desk: Desk, carrier: ObdServer, receiver: Receiver
) -> None:
    page = desk.page
    callback = receiver.url + "/done?id={obdid}&status={status}&meta={meta}"
    desk.fill_start(
        "\n".join(NUMBERS),
        sound="123.sound Reminder",
        **{
            "Campaign": "Spring & summer, 10 % off",
            "Delay": "7",
            "Custom references": ",".join(f"order-{i}" for i in range(450)),
            "Metadata": '{"ticket": 42, "who": "Zoë"}',
            "Callback URL": callback,
        },
    )
    page.get_by_label("Retries").select_option("2")
    page.get_by_role("radio", name="The carrier:").check()
    desk.check()
    facts = page.locator(".facts")
    for shown in ("123.sound", "Spring & summer, 10 % off", callback, "Zoë", "3, of at most 200 numbers each"):
        expect(facts).to_contain_text(shown)
    group = desk.confirm()
    finish(desk)

    requests = carrier.requests("voice.call")
    assert [len(request.numbers) for request in sorted(requests, key=lambda each: -len(each.numbers))] == [200, 200, 50]
    assert sorted(carrier.called) == sorted(national(NUMBERS))
    obd_ids: dict[str, str] = {}
    for request in requests:
        assert (request.verb, request.path) == ("POST", "/api/v1/")
        assert request.headers["x-api-key"] == KEY
        parameters = request.parameters
        assert KEY not in str(parameters)
        obd_ids |= dict(zip(request.numbers, parameters.pop("custom").split(","), strict=True))
        assert parameters.pop("numbers") == ",".join(request.numbers)
        assert json.loads(parameters.pop("meta")) == {"ticket": 42, "who": "Zoë"}
        assert parameters == {
            "method": "voice.call",
            "play": "123.sound",
            "retries": "2",
            "campaign": "Spring & summer, 10 % off",
            "newgroup": "1",
            "delay": "7",
            "format": "json",
        }
    # Our own OBD IDs go along, so that answers can be told apart; the references stay with the calls here.
    assert [obd_ids[each] for each in national(NUMBERS)] == [f"{group}-{n}" for n in range(1, 451)]
    expect(page.locator("#summary .sentence")).to_contain_text("450 of 450 calls were reached")
    page.goto(f"/call-groups/{group}/calls/450/")
    expect(page.get_by_role("main")).to_contain_text("order-449")

    # The carrier is not told the callback URL: the portal itself requests it, once for each call.
    receiver.wait_for(450)
    told = [parse_qs(target.removeprefix("/done?")) for target in receiver.targets]
    assert sorted(each["id"][0] for each in told) == sorted(obd_ids.values())
    assert {each["status"][0] for each in told} == {"COMPLETED"}
    assert all(json.loads(each["meta"][0]) == {"ticket": 42, "who": "Zoë"} for each in told)
    expect(page.get_by_role("main")).to_contain_text("Delivered", timeout=PATIENCE)
    page.goto(f"/callbacks/?call={group}-450")
    expect(page.locator("#callbacks-table tbody tr")).to_have_count(1)
    expect(page.locator("#callbacks-table")).to_contain_text("200")


def test_a_schedule_is_given_on_when_the_carrier_waits(
    desk: Desk, carrier: ObdServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = desk.page
    monkeypatch.setattr(carrier, "rings", 86_400.0)
    at = (datetime.now(ZONE) + timedelta(minutes=40)).replace(second=0, microsecond=0)
    page.goto("/start/?play=1234.ivr")
    page.get_by_label("Phone numbers").fill(", ".join(NUMBERS[:2]))
    expect(page.get_by_label("IVR", exact=True).locator("option:checked")).to_have_text(re.compile("^1234.ivr"))
    page.get_by_text("More options").click()
    page.get_by_label("Start at").fill(f"{at:%Y-%m-%dT%H:%M}")
    page.get_by_role("radio", name="The carrier:").check()
    page.get_by_label("A call group of its own").uncheck()
    desk.check()
    expect(page.locator(".facts")).to_contain_text(f"{at:%H:%M}")
    group = desk.confirm()
    # Late in the evening the calls ring on another day, which the sentence then names.
    expect(page.locator("#summary .sentence")).to_contain_text(
        re.compile(f"the first of 2 calls rings (at|on .+,) {at:%H:%M} IST; they can't be taken back"), timeout=PATIENCE
    )

    (request,) = carrier.requests("voice.call")
    assert request.parameters == {
        "method": "voice.call",
        "numbers": ",".join(national(NUMBERS[:2])),
        "custom": f"{group}-1,{group}-2",
        "play": "1234.ivr",
        "retries": "0",
        "newgroup": "0",
        "scheduletime": f"{at:%Y-%m-%d %H:%M:%S}",
        "format": "json",
    }


def test_a_message_waits_here_when_the_portal_waits(desk: Desk, carrier: ObdServer) -> None:
    page = desk.page
    page.goto("/start/")
    page.get_by_label("Phone numbers").fill(NUMBERS[3])
    page.get_by_role("radio", name="A spoken message").check()
    page.get_by_role("textbox", name="Message").fill("Your parcel (no. 7) comes today; please be there!")
    page.get_by_text("More options").click()
    page.get_by_label("Delay").fill("2")
    desk.check()
    group = desk.confirm()
    finish(desk)

    (request,) = carrier.requests("voice.call")
    assert request.parameters == {
        "method": "voice.call",
        "numbers": national(NUMBERS)[3],
        "custom": f"{group}-1",
        "message": "Your parcel (no. 7) comes today; please be there!",
        "retries": "0",
        "newgroup": "1",
        "format": "json",
    }


def test_a_group_that_the_carrier_holds_is_called_by_its_reference(desk: Desk, carrier: ObdServer) -> None:
    page = desk.page
    carrier.contact_groups["C-77"] = national(NUMBERS[10:13])
    page.goto("/contact-groups/new/")
    page.get_by_label("Name").fill("Held elsewhere")
    page.locator("#held-by-carrier summary").click()
    page.get_by_label("Group held by the carrier").fill("C-77")
    desk.press("Create contact group")
    desk.follow("Start calls to this group")
    page.get_by_label("Sound", exact=True).select_option(label="123.sound Reminder")
    page.get_by_text("More options").click()
    page.get_by_label("Custom references").fill("autumn-7")
    desk.check()
    expect(page.get_by_role("main")).to_contain_text("The carrier decides")
    desk.confirm()
    finish(desk)

    (request,) = carrier.requests("voice.call")
    assert request.parameters == {
        "method": "voice.call",
        "group": "C-77",
        "custom": "autumn-7",
        "play": "123.sound",
        "retries": "0",
        "newgroup": "1",
        "format": "json",
    }
    expect(page.locator("#calls-rows tbody tr")).to_have_count(3)
