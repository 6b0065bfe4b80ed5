"""The models, one module per subject; import them from here."""

from calls.models.access import SEE_EVERYTHING, User
from calls.models.callbacks import Callback, CallbackState
from calls.models.contacts import Contact, ContactGroup, Suppression
from calls.models.dialing import (
    Activity,
    Batch,
    BatchState,
    Call,
    CallGroup,
    CallRequest,
    CarrierState,
    GroupState,
    Outcome,
    PlannedCall,
    RequestState,
    Tally,
    Waits,
)
from calls.models.keys import APIKey, Idempotency
from calls.models.media import IVR, PHONE_KEYS, Sound

__all__ = [
    "IVR",
    "PHONE_KEYS",
    "SEE_EVERYTHING",
    "APIKey",
    "Activity",
    "Batch",
    "BatchState",
    "Call",
    "CallGroup",
    "CallRequest",
    "Callback",
    "CallbackState",
    "CarrierState",
    "Contact",
    "ContactGroup",
    "GroupState",
    "Idempotency",
    "Outcome",
    "PlannedCall",
    "RequestState",
    "Sound",
    "Suppression",
    "Tally",
    "User",
    "Waits",
]
