"""The models, one module per subject; import them from here."""

from calls.models.access import SEE_EVERYTHING, User
from calls.models.callbacks import Callback, CallbackState
from calls.models.carrier import (
    CarrierBreaker,
    CarrierConnection,
    CarrierRequest,
    CarrierState,
    RequestKind,
    RequestResult,
)
from calls.models.combining import ChangeState, Combining, GroupChange
from calls.models.contacts import Contact, ContactGroup, Suppression
from calls.models.dialing import (
    Activity,
    Batch,
    BatchState,
    Call,
    CallGroup,
    CallRequest,
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
    "CarrierBreaker",
    "CarrierConnection",
    "CarrierRequest",
    "CarrierState",
    "ChangeState",
    "Combining",
    "Contact",
    "ContactGroup",
    "GroupChange",
    "GroupState",
    "Idempotency",
    "Outcome",
    "PlannedCall",
    "RequestKind",
    "RequestResult",
    "RequestState",
    "Sound",
    "Suppression",
    "Tally",
    "User",
    "Waits",
]
