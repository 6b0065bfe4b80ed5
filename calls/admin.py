"""Django's admin, for what has no page in the portal: looking into rows, locked sign-ins and jobs.

Everything can be read and nothing changed here, since the portal's own pages keep the rules (held calls, last admin,
files of sounds); only the lock after wrong passwords can be deleted. Open to admins (see `access.give_role`).
"""

from functools import cached_property
from typing import Any

from auditlog.models import LogEntry
from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin
from django.contrib.auth.models import Group
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from procrastinate.contrib.django.models import (
    ProcrastinateEvent,
    ProcrastinateJob,
    ProcrastinatePeriodicDefer,
    ProcrastinateWorker,
)

from calls.audit import note
from calls.models import (
    IVR,
    SEE_EVERYTHING,
    Batch,
    Call,
    Callback,
    CallGroup,
    CallRequest,
    CarrierState,
    Contact,
    ContactGroup,
    Sound,
    Suppression,
    SuppressionList,
    User,
)

admin.site.site_header = admin.site.site_title = "OBD Portal: behind the pages"
admin.site.index_title = "Rows as the database holds them"
admin.site.enable_nav_sidebar = False

# Roles are made by the portal (calls.access); the others register pages that offer changes, or that break our
# Content Security Policy.
for model in (
    Group,
    LogEntry,
    AccessAttempt,
    AccessFailureLog,
    AccessLog,
    ProcrastinateEvent,
    ProcrastinateJob,
    ProcrastinatePeriodicDefer,
    ProcrastinateWorker,
):
    if admin.site.is_registered(model):
        admin.site.unregister(model)


LOCK_ENDED = "ended by hand"


class FewPages(Paginator):  # type: ignore[type-arg]  # takes no type at run time
    """Counts no further than people turn pages: tables may have millions of rows."""

    LIMIT = 10_000

    @cached_property
    def count(self) -> int:
        """The number of rows, at most LIMIT."""
        return len(self.object_list[: self.LIMIT].values_list("pk"))  # type: ignore[attr-defined]


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    """A table to look into."""

    paginator = FewPages
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    ordering = ["-pk"]
    actions: tuple[str, ...] = ()

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Admins see the table."""
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Admins may look."""
        return request.user.has_perm(SEE_EVERYTHING)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody adds rows."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody changes rows."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Nobody deletes rows."""
        return False


admin.site.register(
    User,
    ReadOnly,
    list_display=["username", "first_name", "last_name", "is_active", "is_superuser", "last_login"],
    search_fields=["username", "first_name", "last_name", "email"],
    exclude=["password", "user_permissions"],
)
admin.site.register(
    ContactGroup,
    ReadOnly,
    list_display=["name", "size", "carrier_group", "created_at"],
    search_fields=["name"],
)
admin.site.register(
    Contact,
    ReadOnly,
    list_display=["number", "name", "group_id", "created_at"],  # no search: numbers would be in addresses
)
admin.site.register(
    Suppression,
    ReadOnly,
    list_display=["number", "reason", "source", "added_by", "added_at"],
    list_select_related=["added_by"],
)
admin.site.register(
    SuppressionList,
    ReadOnly,
    list_display=["name", "role", "category", "source", "scrubbed_on", "ends_on", "size", "version"],
    search_fields=["name"],
)
admin.site.register(
    Sound,
    ReadOnly,
    list_display=["reference", "name", "seconds", "source_format", "created_at"],
    fields=["number", "name", "seconds", "peak_dbfs", "rms_dbfs", "sha256", "source_format", "warnings", "created_by"],
    search_fields=["name"],
)
admin.site.register(
    IVR,
    ReadOnly,
    list_display=["reference", "name", "opt_out_key", "created_at"],
    search_fields=["name"],
)
admin.site.register(
    CallRequest,
    ReadOnly,
    list_display=["id", "owner", "state", "created_at", "call_group_id"],
    list_select_related=["owner"],
    list_filter=["state"],
    ordering=["-created_at"],
    exclude=["typed"],  # may hold thousands of numbers
)
admin.site.register(
    CallGroup,
    ReadOnly,
    list_display=["id", "campaign", "owner", "state", "total", "held", "open", "created_at", "ended_at"],
    list_select_related=["owner"],
    list_filter=["state", "carrier"],
    search_fields=["id__exact", "campaign__exact"],
)
admin.site.register(
    Batch,
    ReadOnly,
    list_display=["id", "call_group_id", "first", "last", "state", "place", "kept_by", "attempts", "sent_at"],
    list_filter=["state"],
    search_fields=["call_group__id__exact"],
)
admin.site.register(
    Call,
    ReadOnly,
    list_display=["obd_id", "number", "status", "word", "carrier_id", "created_at", "ended_at"],
    list_filter=["status"],
    search_fields=["call_group__id__exact"],
)
admin.site.register(
    Callback,
    ReadOnly,
    list_display=["id", "call_group_id", "host", "state", "attempts", "due_at", "http_status"],
    list_filter=["state"],
    search_fields=["call_group__id__exact"],
)
admin.site.register(
    CarrierState,
    ReadOnly,
    list_display=["name", "next_slot", "answered_at", "failed_at", "failure"],
)


@admin.register(LogEntry)
class AuditAdmin(ReadOnly):
    """Who changed what, when, from where, before and after."""

    list_display = ["timestamp", "actor", "action", "content_type", "object_repr", "remote_addr"]
    list_select_related = ["actor", "content_type"]
    list_filter = ["action"]
    search_fields = ["object_pk__exact", "actor__username"]
    fields = ["timestamp", "actor", "action", "content_type", "object_pk", "object_repr", "changes_text", "remote_addr"]

    @admin.display(description="Changes")
    def changes_text(self, entry: LogEntry) -> str:
        """Each field with what it was and became."""
        return str(entry.changes_str)


@admin.register(AccessAttempt)
class LockAdmin(ReadOnly):
    """Wrong passwords by user name and address; deleting a row ends the lock at once."""

    list_display = ["username", "ip_address", "failures_since_start", "attempt_time"]
    search_fields = ["username", "ip_address"]
    fields = ["username", "ip_address", "user_agent", "path_info", "failures_since_start", "attempt_time"]
    actions = ("delete_selected",)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Admins may end a lock."""
        return request.user.has_perm("calls.change_user")

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        """End a lock, and say so in the audit log."""
        note(obj, lock=LOCK_ENDED)
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """End several locks, and say so in the audit log."""
        for row in queryset:
            note(row, lock=LOCK_ENDED)
        super().delete_queryset(request, queryset)


@admin.register(AccessLog)
class SignInAdmin(ReadOnly):
    """Who signed in, from where, and out."""

    list_display = ["username", "ip_address", "attempt_time", "logout_time"]
    search_fields = ["username", "ip_address"]
    fields = ["username", "ip_address", "user_agent", "path_info", "attempt_time", "logout_time"]


@admin.register(ProcrastinateJob)
class JobAdmin(ReadOnly):
    """Background jobs; a failed one keeps its arguments."""

    list_display = ["id", "task_name", "status", "lock", "scheduled_at", "attempts"]
    list_filter = ["status", "task_name"]
