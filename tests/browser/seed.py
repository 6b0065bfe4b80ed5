"""Rows for looking at pages: `python -m tests.browser.seed`, with the settings of a portal, prints where they are.

Nothing here gives the portal's worker anything to do: what is under way stays so.
"""

import json
import sys
from datetime import timedelta
from typing import Any

import django

django.setup()

from auditlog.models import LogEntry  # noqa: E402 - needs the settings
from django.core.files.uploadedfile import SimpleUploadedFile  # noqa: E402
from django.urls import reverse  # noqa: E402
from django.utils import timezone  # noqa: E402

from calls import audit  # noqa: E402
from calls.carriers import get_carrier  # noqa: E402
from calls.contacts.combine import Combination  # noqa: E402
from calls.contacts.importing import receive  # noqa: E402
from calls.dialing.changes import event  # noqa: E402
from calls.dialing.plan import make_plan  # noqa: E402
from calls.dialing.request import Options  # noqa: E402
from calls.dialing.rules import Rules  # noqa: E402
from calls.exports.work import DISK_FULL  # noqa: E402
from calls.models import (  # noqa: E402
    IVR,
    APIKey,
    Batch,
    Call,
    Callback,
    CallGroup,
    CallingRule,
    CallRequest,
    CarrierRequest,
    CarrierState,
    Combining,
    Contact,
    ContactGroup,
    Export,
    GroupChange,
    GroupState,
    Import,
    ImportedRow,
    RequestState,
    Sound,
    Suppression,
    SuppressionList,
    User,
)
from calls.obd.statuses import Status  # noqa: E402
from calls.tasks import run_import  # noqa: E402
from tests.factories import make_group, make_user, number  # noqa: E402
from tests.watching.rows import group_of  # noqa: E402

SUPPRESSED = number(700)
TYPED = "\n".join([*(number(600 + i) for i in range(9)), number(600), number(601), SUPPRESSED, "12", "call me"])
# Few rows on a page: judging the contrast of each cell takes long.
MANY = dict.fromkeys((status for status in map(str, Status) if status not in {"UNCONFIRMED", "CANCELLED"}), 1)


def request_of(owner: User, state: str = "", typed: str = TYPED, **options: Any) -> CallRequest:
    """A planned call request; in another state if one is given."""
    chosen = Options(**{"play": "1.sound", "campaign": "Winter reminders"} | options)
    form = {"who": "numbers", "numbers": typed, "heard": "sound", "campaign": "Winter reminders", "retries": "1"}
    request = CallRequest.objects.create(owner=owner, typed=form, options=chosen.as_json())
    make_plan(request)
    if state:
        # The worker takes up what seems forgotten, but not for longer than a day.
        changes = {
            "state": state,
            "created_at": timezone.now() - timedelta(days=2),
            "expected": 100_000,
            "seen": 43_000,
            "error": "The contact group is not there any more.",
        }
        CallRequest.objects.filter(pk=request.pk).update(**changes)
    return request


def call_groups(owner: User) -> dict[str, CallGroup]:
    """A call group in each state."""
    later = timezone.now() + timedelta(days=2)
    old = timezone.now() - timedelta(hours=2)
    long_options: dict[str, Any] = {
        "campaign": "Winter reminders, second round, for those who asked to be called again " * 2,
        "meta": {"ticket": 4711, "note": "a-word-without-any-space-" * 8},
        "callback": "https://example.com/done?" + "&".join(f"field{i}={{obdid}}" for i in range(12)),
        "retries": 2,
        "delay": 600,
    }
    long_options["campaign"] = long_options["campaign"][:100]
    groups = {
        "running": group_of(owner, MANY | {"COMPLETED": 5, "HELD": 3}, campaign="Winter reminders", retries=1),
        "finished": group_of(
            owner,
            {"COMPLETED": 9, "NOANSWER": 3, "BUSY": 1, "EXPIRED": 1},
            campaign="Deliveries",
            handed_over_at=old,
            play="1.ivr",
        ),
        "scheduled": group_of(owner, {"HELD": 7}, due_at=later, schedule_time=later, **long_options | {"delay": 0}),
        "paused": group_of(owner, {"COMPLETED": 2, "HELD": 5}, state=GroupState.PAUSED, state_by=owner, **long_options),
        "refused": group_of(
            owner,
            {"HELD": 4},
            state=GroupState.PAUSED,
            state_at=old,
            state_reason="The carrier refuses our key or account (401): Invalid API key.",
        ),
        "unconfirmed": group_of(owner, {"UNCONFIRMED": 6, "COMPLETED": 3}, message="Your parcel comes today."),
        "cancelled": group_of(owner, {"CANCELLED": 4, "COMPLETED": 3}, state=GroupState.CANCELLED, state_by=owner),
        "kept": group_of(owner, {"HELD": 3}, due_at=later, campaign="Winter reminders"),
    }
    groups["running"].batches.filter(state="pending").update(due_at=later)
    groups["paused"].batches.update(due_at=later)
    overridden = {"override_reason": "Flood warning of the county", "override_by": owner, "override_at": old}
    CallGroup.objects.filter(pk=groups["paused"].pk).update(**overridden)
    places = "IN Asia/Calcutta", "GB Europe/Guernsey Europe/Isle_of_Man Europe/Jersey Europe/London", ""
    groups["kept"].batches.all().delete()
    # Otherwise the worker would look at them again.
    under = Rules.of(groups["kept"].traffic, later, 0, get_carrier(groups["kept"].carrier)).digest
    Batch.objects.bulk_create(
        Batch(call_group=groups["kept"], first=n, last=n, due_at=later, kept_by="hours", kept_under=under, place=place)
        for n, place in enumerate(places, 1)
    )
    CallGroup.objects.filter(pk=groups["cancelled"].pk).update(state_at=old, parent=groups["finished"])
    request = request_of(owner)
    CallRequest.objects.filter(pk=request.pk).update(call_group=groups["finished"], state=RequestState.STARTED)
    settle(groups["finished"])
    add_requests()
    groups["finished"].contact_groups.set(ContactGroup.objects.all()[:2])
    add_callbacks(groups["finished"])
    Call.objects.filter(call_group=groups["finished"], n=1).update(digits="1", name="Asha Example", custom="order-1")
    Call.objects.filter(call_group=groups["finished"], n=2).update(digits="19")
    days = [f"{timezone.localdate() + timedelta(days=number)}" for number in range(9)]
    CallingRule.objects.filter(pk="service").update(
        hours="09:30-19:00", weekdays=[0, 1, 2, 3, 5], holidays=True, closed_days=days, daily_cap=2
    )
    return groups


def settle(group: CallGroup) -> None:
    """Let the group's batch have been unconfirmed, and a call of it without an end."""
    group.batches.update(settled="The carrier reports calls of it: 100002-1.", answer="The connection broke. " * 9)
    call = group.calls.get(n=14)
    call.timeline[-1] = event(timezone.now(), "EXPIRED", "portal", note="No final status after 6 hours.")
    call.save()


def add_requests() -> None:
    """Requests to the carrier that ended in every way."""
    CarrierState.objects.get_or_create(name="sandbox")
    now, long = timezone.now(), "The carrier failed with 502: a-word-without-any-space-" + "x" * 220
    CarrierRequest.objects.bulk_create(
        CarrierRequest(carrier_id="sandbox", kind=kind, result=result, began_at=now, seconds=0.0371, said=said)
        for kind in ("call", "status", "check")
        for result, said in (("answered", ""), ("refused", "No such group."), ("not taken", "Slow."), ("unclear", long))
    )


def add_callbacks(group: CallGroup) -> None:
    """Callbacks in every state for calls of a call group that has ended."""
    now = timezone.now()
    url = "https://receiver.example/calls/done?" + "&".join(f"field{i}={{obdid}}" for i in range(12))
    CallGroup.objects.filter(pk=group.pk).update(callback=url, meta={"note": "a-word-without-any-space-" * 20})
    kinds: list[dict[str, Any]] = [
        {"state": "delivered", "attempts": 1, "http_status": 200, "answer": "", "tried_at": now, "delivered_at": now},
        {"state": "delivered", "attempts": 3, "http_status": 200, "answer": "x" * 300, "tried_at": now},
        {"state": "pending", "attempts": 9, "http_status": 503, "answer": "Try again later.", "tried_at": now,
         "due_at": now + timedelta(days=1), "first_failed_at": now},
        {"state": "pending", "due_at": now + timedelta(days=1)},
        {"state": "failed", "attempts": 37, "answer": "No answer within 10 seconds.", "tried_at": now},
        {"state": "failed", "attempts": 37, "tried_at": now,
         "answer": "Not requested: receiver.example is at 10.0.0.1, a private address."},
    ]  # fmt: skip
    Callback.objects.bulk_create(
        Callback(call=call, call_group=group, host="receiver.example", **kinds[call.n % len(kinds)])
        for call in group.calls.order_by("n")[:20]
    )


def people() -> dict[str, User]:
    """A viewer, an operator, and somebody whose profile enables nothing."""
    nothing: dict[str, Any] = {
        "uses_all_contact_groups": False,
        "uses_all_sounds": False,
        "uses_all_ivrs": False,
        "sees_all_calls": False,
    }
    return {
        "viewer": make_user("viewer", "viewer"),
        "operator": make_user("operator", "operator"),
        "nobody": make_user("operator", "nobody", **nothing),
    }


def suppression_lists(owner: User) -> tuple[SuppressionList, SuppressionList]:
    """A register that has ended, with some numbers, and a list that only the portal writes to."""
    today = timezone.localdate()
    register = SuppressionList.objects.create(
        name="A register of preferences, of a region whose name is a long one",
        category="register",
        source="The regulator, by e-mail, each month",
        scrubbed_on=today - timedelta(days=42),
        ends_on=today - timedelta(days=2),
        promotional_only=True,
        created_by=owner,
    )
    Suppression.objects.bulk_create(
        Suppression(list=register, number=number(i), reason="Registered", source="ncpr.csv", added_by=owner)
        for i in (0, 1, 800, 801)
    )
    return register, SuppressionList.objects.get(role="opt_out")


def api_keys(owner: User) -> APIKey:
    """A key in each state; the answer is one that was used, with a long label and many networks."""
    now = timezone.now()
    APIKey.make(owner, "Old shop", expires_at=now - timedelta(days=3))
    APIKey.make(owner, "Lost", revoked_at=now)
    networks = [f"2001:db8:{i:x}::/48" for i in range(40)]
    used: dict[str, Any] = {"last_used_at": now, "last_used_from": "2001:db8:1::7", "expires_at": now}
    used["expires_at"] += timedelta(days=90)
    return APIKey.make(owner, "a-label-without-any-space-" * 3, networks=networks, **used)[0]


def group_changes(owner: User, full: ContactGroup, empty: ContactGroup) -> dict[str, str]:
    """The addresses of group changes, one in each state."""
    merge = Combination(Combining.MERGE, (full.pk, empty.pk), name="Both of them")
    remove = Combination(Combining.REMOVE, (empty.pk,), target=full.pk)
    copied, removed = {"listed": 1_234_567, "copied": 1_234_000, "left": 567}, {"listed": 8, "removed": 3, "kept": 5}
    states: dict[str, tuple[Combination, dict[str, Any]]] = {
        "counting": (merge, {}),
        "merge": (merge, {"state": "counted", "counts": copied}),
        "remove": (remove, {"state": "counted", "counts": removed}),
        "nothing": (remove, {"state": "counted", "counts": {"listed": 8, "removed": 0, "kept": 8}}),
        "waiting": (merge, {"state": "waiting", "counts": copied}),
        "running": (merge, {"state": "running", "counts": copied, "started_at": timezone.now() + timedelta(days=1)}),
        "done": (merge, {"state": "done", "counts": copied, "made": [full.pk, empty.pk]}),
        "failed": (merge, {"state": "failed", "error": f"“Both of them” is the name of contact group {full.pk}."}),
        "cancelled": (merge, {"state": "cancelled"}),
    }
    now = timezone.now() + timedelta(days=1)  # no sweep looks for their jobs
    return {
        f"group change, {name}": reverse(
            "group_change",
            args=[
                GroupChange.objects.create(
                    owner=owner,
                    kind=what.kind,
                    group=full,
                    parameters=what.as_json(),
                    typed={},
                    created_at=now,
                    **columns,
                ).pk
            ],
        )
        for name, (what, columns) in states.items()
    }


def exports(owner: User) -> None:
    """An export in each state."""
    now = timezone.now()
    states: dict[str, dict[str, Any]] = {
        "waiting": {},
        "running": {"done": 350_000, "started_at": now - timedelta(minutes=3)},
        "done": {"done": 1_234_567, "size": 178_000_000, "ended_at": now, "file": "exports/of-the-seed.csv"},
        "failed": {"error": DISK_FULL, "ended_at": now},
        "cancelled": {"ended_at": now},
    }
    for state, columns in states.items():
        Export.objects.create(
            owner=owner,
            kind="calls",
            parameters={"of": 0, "query": "status=BUSY", "of_everybody": True},
            title="Calls: campaign a-campaign-without-any-space-in-its-name, status BUSY, status NOANSWER",
            state=state,
            expected=1_234_000,
            created_at=now - timedelta(days=2),  # the sweep takes up younger ones
            **columns,
        )


def checked(group: CallGroup) -> None:
    """What was checked before the call group's calls were handed over, twice."""
    rules: dict[str, Any] = {
        "at": timezone.now().isoformat(),
        "traffic": "promotional",
        "place": "GB Europe/Guernsey Europe/Isle_of_Man Europe/Jersey Europe/London",
        "local": {"Europe/Jersey": "2026-11-23 14:02 +00:00", "Europe/London": "2026-11-23 14:02 +00:00"},
        "hours": "09:00-21:00",
        "weekdays": [0, 1, 2, 3, 4],
        "holidays": True,
        "holiday": "",
        "cap": 2,
        "lists": [
            {"id": 1, "name": "Do not call", "version": 12, "scrubbed_on": None},
            {
                "id": 2,
                "name": "A register with a rather long name",
                "version": 3,
                "scrubbed_on": "2026-11-01",
            },
        ],
        "override": {"reason": "Flood warning of the county", "by": "admin", "at": timezone.now().isoformat()},
        "played": {"reference": "1.sound", "sha256": "0123456789abcdef" * 4},
    }
    group.batches.update(rules=[rules | {"override": None}, rules])


DAMAGED = (
    "Mobile,Customer name,City and whatever else was in the spreadsheet,Order\n"
    "9.19876E+11,Asha,Pune,1\n'02079460001,Zoë,Mumbai,2\n020 7946 0002 / 020 7946 0003,Ravi,,3\n12,Short,,4\n"
    "2079460004.0,A name that is long enough to be cut somewhere,London,5\n020 7946 0005,Fine,London,6\n"
)


def imports(owner: User, full: ContactGroup, register: SuppressionList) -> dict[str, str]:
    """The addresses of imports in several states."""
    counts = {
        "rows": 1_234_567, "accepted": 1_234_000, "refused": 321, "duplicate": 246, "added": 1_000_000,
        "updated": 200_000, "unchanged": 34_000, "removed": 12, "suppressed": 77,
    }  # fmt: skip
    reasons = {"too short: 2 digits": 300, "has letters, no digits, and this goes on for a while": 21}
    began = {"started_at": timezone.now() - timedelta(seconds=40)}
    states: dict[str, dict[str, Any]] = {
        "reading": {
            "state": "running",
            "step": "reading",
            "done": 3 * 2**20,
            "total": 9 * 2**20,
            "rows": 90_000,
            **began,
        },
        "done": {"state": "done", "counts": counts, "reasons": reasons, "ended_at": timezone.now()},
        "failed": {"state": "failed", "error": "The file is password-protected. Save it without a password."},
    }
    of = {"owner": owner, "group": full, "filename": "customers-of-the-winter-campaign.csv", "size": 9 * 2**20}
    made = {name: Import.objects.create(**of, **columns) for name, columns in states.items()}
    for each in made.values():
        # No sweep takes up what has a job.
        later = run_import.configure(schedule_at=timezone.now() + timedelta(days=1))
        later.defer(import_id=str(each.pk))
    ImportedRow.objects.bulk_create(
        ImportedRow(of=made["done"], line=i + 2, cells=["12", "Asha", "x" * 150], reason="too short: 2 digits")
        for i in range(5)
    )
    uploaded = SimpleUploadedFile("damaged.csv", DAMAGED.encode())
    made["preview"] = receive(owner, full, upload=uploaded)
    numbers = f"number,why\n{number(1)},Complaint\n12,\n"
    made["preview of suppressed numbers"] = receive(owner, register, pasted=numbers, reason="Register")
    pages = {f"import, {name}": reverse("import", args=[each.pk]) for name, each in made.items()}
    return pages | {"import, undo": reverse("import_undo", args=[made["done"].pk])}


def audit_entry(admin: User, key: APIKey, group: ContactGroup) -> LogEntry:
    """Things changed by a person, with a key and by somebody who is gone; the answer is the longest entry."""
    with audit.acting(admin, key, "2001:db8:1::7"):
        group.carrier_group = "a-group-without-any-space-" * 2
        group.save()
        IVR.objects.get(number=1234).delete()
    gone = make_user("operator", "gone", email="somebody.who.left@example.com")
    with audit.acting(gone, None, "192.0.2.7"):
        audit.note(group, contacts=f"copied from {', '.join(f'“Group {i}” ({i})' for i in range(40))}")
    audit.note_session(admin, "signed in")
    gone.delete()
    IVR.objects.create(number=1234, name="Survey", keys={k: f"What key {k} means" for k in "123456789*0#"})
    return LogEntry.objects.filter(additional_data__isnull=False).latest("pk")


def main() -> None:
    """Make the rows and print the address of each page, by name."""
    admin = User.objects.get(username="admin")
    named = people()
    Suppression.objects.create(number=number(0), reason="Asked")
    Suppression.objects.create(number=SUPPRESSED, reason="Asked not to be called", source="Letter", added_by=admin)
    Suppression.objects.bulk_create(Suppression(number=number(800 + i), reason="Complaint") for i in range(55))
    register, own = suppression_lists(admin)
    make_group("Everybody who asked to be reminded in winter, and a name as long as names may be, nearly"[:100], 8)
    full = ContactGroup.objects.latest("pk")
    Contact.objects.filter(group=full).update(name="Somebody with a rather long name, Esq.")
    empty, carriers = make_group("Empty"), make_group("At the carrier", carrier_group="vip-customers")
    Sound.objects.create(number=9_007_199_254_740_992, name="Held by the carrier, and its name is a long one " * 2)
    meanings = {key: f"What key {key} means" for key in "123456789*0#"}
    IVR.objects.create(number=1234, name="Survey", keys=meanings, opt_out_key="9")
    groups = call_groups(admin)
    contact, key = full.contacts.latest("pk"), api_keys(admin)
    unconfirmed = groups["unconfirmed"].batches.get(state="unconfirmed")
    pages = {f"call group, {state}": reverse("call_group", args=[group.pk]) for state, group in groups.items()}
    finished, running = groups["finished"].pk, groups["running"].pk
    checked(groups["finished"])
    exports(admin)
    at_carrier, held = (groups["running"].calls.filter(status=status)[0] for status in ("INPROGRESS", "HELD"))
    requests = {
        "preflight": request_of(admin),
        "preflight of nobody": request_of(admin, typed=f"12, {SUPPRESSED}"),
        **{
            f"preflight, {state}": request_of(admin, state) for state in ("planning", "starting", "cancelled", "failed")
        },
    }
    pages |= {name: reverse("preflight", args=[request.pk]) for name, request in requests.items()}
    for outcome in ("callable", "duplicate", "invalid", "suppressed"):
        pages[f"preflight list, {outcome}"] = reverse("preflight_numbers", args=[requests["preflight"].pk, outcome])
    pages |= {
        "call group, filtered": reverse("call_group", args=[finished]) + "?status=NOANSWER&status=BUSY",
        "call group, nothing found": reverse("call_group", args=[finished]) + "?digits=123456",
        "call group, wrong filter": reverse("call_group", args=[finished]) + "?digits=abc",
        "not called": reverse("call_group_dropped", args=[finished, "invalid"]),
        "cancel": reverse("call_group_cancel", args=[running]),
        "override": reverse("call_group_override", args=[groups["kept"].pk]),
        "call, opted out": reverse("call", args=[finished, 2]),
        "it was placed": reverse("call_group_placed", args=[groups["unconfirmed"].pk, unconfirmed.pk]),
        "it was not placed": reverse("call_group_not_placed", args=[groups["unconfirmed"].pk, unconfirmed.pk]),
        "call, completed": reverse("call", args=[finished, 1]),
        "call, running": reverse("call", args=[running, at_carrier.n]),
        "call, held": reverse("call", args=[running, held.n]),
        "call, expired": reverse("call", args=[finished, 14]),
        "call, unconfirmed": reverse("call", args=[groups["unconfirmed"].pk, 1]),
        "callbacks of a call group": reverse("callbacks") + f"?call={finished}",
        "calls again": reverse("start") + f"?again={finished}",
        "contact group": reverse("contact_group", args=[full.pk]),
        "contact group, empty": reverse("contact_group", args=[empty.pk]),
        "contact group, held by the carrier": reverse("contact_group", args=[carriers.pk]),
        "contact group, nothing found": reverse("contact_group", args=[full.pk]) + "?q=zebra",
        "contact group, edit": reverse("contact_group_edit", args=[full.pk]),
        "contact group, delete": reverse("contact_group_delete", args=[full.pk]),
        "combine": reverse("contact_group_combine", args=[full.pk]),
        "combine, held by the carrier": reverse("contact_group_combine", args=[carriers.pk]),
        **{
            f"combine, {kind}": reverse("contact_group_combine_form", args=[full.pk, kind])
            for kind in ("copy", "merge", "split", "remove")
        },
        **group_changes(admin, full, empty),
        **imports(admin, full, register),
        "contacts, add": reverse("contact_group_import", args=[full.pk]),
        "imports": reverse("contact_group_imports", args=[full.pk]),
        "contact, new": reverse("contact_new", args=[full.pk]),
        "contact, edit": reverse("contact_edit", args=[full.pk, contact.pk]),
        "contact, delete": reverse("contact_delete", args=[full.pk, contact.pk]),
        "suppression list": reverse("suppression_list", args=[register.pk]),
        "suppression list, of the portal": reverse("suppression_list", args=[own.pk]),
        "suppression list, edit": reverse("suppression_list_edit", args=[register.pk]),
        "suppression list, delete": reverse("suppression_list_delete", args=[register.pk]),
        "suppression, add": reverse("suppression_list_import", args=[register.pk]),
        "suppression, remove": reverse("suppression_remove", args=[register.pk, register.suppressions.latest("pk").pk]),
        "sound without a file": reverse("sound", args=[9_007_199_254_740_992]),
        "user": reverse("user", args=[named["nobody"].pk]),
        "user, password": reverse("user_password", args=[make_user("viewer", "forgetful").pk]),
        "user, sounds": reverse("user_choices", args=[named["nobody"].pk, "sounds"]),
        "API key": reverse("api_key", args=[key.pk]),
        "API key, revoke": reverse("api_key_revoke", args=[key.pk]),
        "audit log, entry": reverse("audit_entry", args=[audit_entry(admin, key, carriers).pk]),
    }
    json.dump(pages, sys.stdout)


if __name__ == "__main__":
    main()
