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
from calls.models.contacts import Contact, ContactGroup, ListCategory, ListRole, Suppression, SuppressionList
from calls.models.dialing import (
    Activity,
    Batch,
    BatchState,
    Call,
    CallGroup,
    GroupState,
    KeptBy,
    Tally,
    Waits,
)
from calls.models.exporting import Export, ExportFormat, ExportState
from calls.models.importing import Existing, Import, ImportedRow, ImportState, ReplacedRows
from calls.models.keys import APIKey, Idempotency
from calls.models.media import IVR, PHONE_KEYS, Sound
from calls.models.requests import CallRequest, Outcome, PlannedCall, RequestState
from calls.models.rules import CallingRule, Traffic

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
    "CallingRule",
    "CarrierBreaker",
    "CarrierConnection",
    "CarrierRequest",
    "CarrierState",
    "ChangeState",
    "Combining",
    "Contact",
    "ContactGroup",
    "Existing",
    "Export",
    "ExportFormat",
    "ExportState",
    "GroupChange",
    "GroupState",
    "Idempotency",
    "Import",
    "ImportState",
    "ImportedRow",
    "KeptBy",
    "ListCategory",
    "ListRole",
    "Outcome",
    "PlannedCall",
    "ReplacedRows",
    "RequestKind",
    "RequestResult",
    "RequestState",
    "Sound",
    "Suppression",
    "SuppressionList",
    "Tally",
    "Traffic",
    "User",
    "Waits",
]
