"""What statuses look like and what the navigation holds: tables used by the tags in `portal`."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Look(NamedTuple):
    """How a status is shown: never by colour alone."""

    word: str
    icon: str
    css: str
    """The end of the class names `badge-...` (status.css) and `fill-...` (drawings)."""


LOOKS = {
    # Calls, as calls.obd.statuses has them
    "COMPLETED": Look("Completed", "check-circle", "completed"),
    "NOANSWER": Look("No answer", "no-answer", "noanswer"),
    "BUSY": Look("Busy", "busy", "busy"),
    "CONGESTION": Look("Congestion", "congestion", "congestion"),
    "REJECTED": Look("Rejected", "octagon", "rejected"),
    "FAILED": Look("Failed", "x-circle", "failed"),
    "DND": Look("Do not disturb", "ban", "dnd"),
    "EXPIRED": Look("Expired", "hourglass", "expired"),
    "CANCELLED": Look("Cancelled", "stop", "cancelled"),
    "UNCONFIRMED": Look("Unconfirmed", "question", "unconfirmed"),
    "INPROGRESS": Look("In progress", "ringing", "inprogress"),
    "QUEUED": Look("Queued", "queue", "queued"),
    "SENDING": Look("Sending", "send", "sending"),
    "HELD": Look("Held", "held", "held"),
    # Numbers of a preflight that would not be called
    "DUPLICATE": Look("Duplicate", "copy", "expired"),
    "INVALID": Look("Invalid", "x-circle", "failed"),
    # Call groups
    "planning": Look("Planning", "planning", "planning"),
    "scheduled": Look("Scheduled", "calendar", "scheduled"),
    "running": Look("Running", "play", "running"),
    "paused": Look("Paused", "pause", "paused"),
    "cancelled": Look("Cancelled", "stop", "cancelled"),
    "finished": Look("Finished", "flag", "finished"),
    # Batches
    "pending": Look("Pending", "clock", "held"),
    "sending": Look("Sending", "send", "sending"),
    "accepted": Look("Accepted", "check-circle", "accepted"),
    "rejected": Look("Rejected", "octagon", "rejected"),
    "unconfirmed": Look("Unconfirmed", "question", "unconfirmed"),
    # Callbacks, besides pending
    "delivered": Look("Delivered", "check-circle", "good"),
    "failed": Look("Failed", "x-circle", "bad"),
    # Exports, besides running, cancelled and failed
    "waiting": Look("Waiting", "clock", "scheduled"),
    "done": Look("Ready", "check-circle", "good"),
    # API keys
    "works": Look("Works", "check-circle", "good"),
    "expired": Look("Expired", "hourglass", "expired"),
    "revoked": Look("Revoked", "ban", "cancelled"),
    "stopped": Look("User deactivated", "ban", "bad"),
    # Health and other plain verdicts
    "good": Look("Good", "check-circle", "good"),
    "warning": Look("Warning", "warning", "warning"),
    "bad": Look("Not working", "x-circle", "bad"),
}

STATUS_ORDER = tuple(word for word in LOOKS if word.isupper())
"""The order in which statuses are drawn: best outcome first, what is not yet done last."""


def look_of(status: str) -> Look:
    """The look of a status; an unknown word is shown as it came."""
    return LOOKS.get(status) or Look(status or "Unknown", "question", "unknown")


class NavLink(NamedTuple):
    """One link of the side navigation; `allowed` says whether this user is shown it."""

    name: str
    label: str
    icon: str
    allowed: Callable[[Any], bool]


def _everybody(user: Any) -> bool:
    return bool(getattr(user, "is_authenticated", False))


def _who_starts_calls(user: Any) -> bool:
    return bool(getattr(user, "can_start_calls", False))


def _with(permission: str) -> Callable[[Any], bool]:
    return lambda user: bool(user and user.has_perm(permission))


NAVIGATION = (
    ("", (NavLink("start", "Start calls", "start", _who_starts_calls),)),
    (
        "Calls",
        (
            NavLink("dashboard", "Dashboard", "dashboard", _everybody),
            NavLink("attention", "Needs attention", "warning", _with("calls.view_callgroup")),
            NavLink("call_groups", "Call groups", "layers", _everybody),
            NavLink("calls", "Calls", "list", _everybody),
            NavLink("callbacks", "Callbacks", "repeat", _everybody),
            NavLink("exports", "Exports", "download", _everybody),
        ),
    ),
    (
        "Who is called",
        (
            NavLink("contact_groups", "Contact groups", "contacts", _everybody),
            NavLink("suppression", "Suppression lists", "ban", _everybody),
            NavLink("calling_rules", "Calling rules", "clock", _with("calls.view_callingrule")),
        ),
    ),
    (
        "What is heard",
        (
            NavLink("sounds", "Sounds", "sound", _everybody),
            NavLink("ivrs", "IVRs", "keypad", _everybody),
        ),
    ),
    (
        "Account",
        (
            NavLink("users", "Users", "users", _with("calls.view_user")),
            NavLink("audit_log", "Audit log", "history", _with("calls.see_everything")),
            NavLink("evidence", "Evidence", "check-circle", _with("calls.see_everything")),
            NavLink("carrier", "Carrier", "carrier", _with("calls.view_carrierstate")),
            NavLink("api_keys", "API keys", "key", _with("calls.view_apikey")),
            NavLink("api_docs", "API", "file", _everybody),
        ),
    ),
)
