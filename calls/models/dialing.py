"""Call groups, batches and calls, and the counts that the database keeps of them.

`DESIGN.md` rule 1 (a number is in a call group once; the states of a batch), rule 3 (final statuses stay) and
rule 4 (counting is never done at read time) are held here by constraints and triggers.
"""

from datetime import datetime, timedelta
from typing import Any, Self

import pgtrigger
from django.contrib.auth.models import AnonymousUser
from django.contrib.postgres.indexes import OpClass
from django.db import models
from django.db.models.functions import Reverse
from django.utils import timezone

from calls.models.access import User
from calls.models.contacts import ContactGroup
from calls.models.keys import APIKey
from calls.models.rules import Traffic
from calls.obd.statuses import FINAL, Status

STATUS_CHOICES = [(str(status), str(status)) for status in Status]
FINAL_SQL = ", ".join(f"'{status}'" for status in sorted(FINAL))


class GroupState(models.TextChoices):
    """What people decided about a call group; whether it is finished follows from its calls."""

    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"


class Waits(models.TextChoices):
    """Who waits for the scheduled time or the delay."""

    PORTAL = "portal", "The portal: calls stay held and can be cancelled until then"
    CARRIER = "carrier", "The carrier: calls are handed over now and can't be taken back"


class CallGroupQuerySet(models.QuerySet["CallGroup"]):
    """Call groups for a user."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """All call groups, or only those that `user` started, as the profile says."""
        if not isinstance(user, User) or not user.is_active:
            return self.none()
        if user.sees_all_calls or user.sees_everything:
            return self
        return self.filter(owner=user)

    def finished(self) -> Self:
        """Those all of whose calls are final."""
        return self.filter(ended_at__isnull=False)

    def unfinished(self) -> Self:
        """Those with calls that are not final, or not yet known."""
        return self.filter(ended_at__isnull=True)


class CallGroup(models.Model):
    """What one started call request created; its primary key is the GID. Counts are kept by a trigger on calls."""

    owner = models.ForeignKey(User, models.PROTECT, related_name="call_groups")
    api_key = models.ForeignKey(APIKey, models.SET_NULL, null=True, related_name="call_groups")
    parent = models.ForeignKey("self", models.SET_NULL, null=True, related_name="children")
    created_at = models.DateTimeField(default=timezone.now)
    carrier = models.CharField(max_length=10, help_text="The carrier that these calls are handed to.")

    traffic = models.CharField("traffic type", max_length=15, choices=Traffic, default=Traffic.PROMOTIONAL)
    campaign = models.CharField(max_length=100, blank=True)
    play = models.CharField(max_length=30, blank=True, help_text="`123.sound` or `1234.ivr`.")
    opt_out_keys = models.CharField(
        max_length=12, blank=True, db_default="", help_text="Those that the IVR had since these calls were started."
    )
    message = models.TextField(blank=True)
    retries = models.PositiveSmallIntegerField(default=0)
    newgroup = models.BooleanField(default=True)
    schedule_time = models.DateTimeField(null=True)
    delay = models.PositiveSmallIntegerField(default=0, help_text="Seconds.")
    waits = models.CharField(max_length=10, choices=Waits, default=Waits.PORTAL)
    meta = models.JSONField(null=True)
    callback = models.TextField(blank=True)
    contact_groups = models.ManyToManyField(ContactGroup, blank=True, related_name="call_groups")
    carrier_group = models.CharField(
        max_length=200, blank=True, help_text="Contact group held by the carrier, whose numbers the carrier picks."
    )
    custom = models.CharField(
        max_length=64, blank=True, help_text="Reference for all calls to a contact group held by the carrier."
    )
    similarity = models.CharField(
        max_length=64, blank=True, help_text="Digest of what must be equal for requests to share a call group."
    )

    due_at = models.DateTimeField(help_text="When the first batch is handed over at the earliest.")
    state = models.CharField(max_length=10, choices=GroupState, default=GroupState.RUNNING)
    state_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    state_at = models.DateTimeField(null=True)
    state_reason = models.CharField(max_length=300, blank=True)
    override_reason = models.CharField(
        max_length=300,
        blank=True,
        help_text="Why its calls are made whatever hours and cap say; empty: they aren't.",
    )
    override_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    override_at = models.DateTimeField(null=True)

    total = models.PositiveBigIntegerField(default=0)
    held = models.PositiveBigIntegerField(default=0)
    open = models.PositiveBigIntegerField(default=0, help_text="Calls whose status is not final.")
    not_made = models.PositiveBigIntegerField(default=0, help_text="Calls that ended without being handed over.")
    version = models.PositiveBigIntegerField(default=0)
    ended_at = models.DateTimeField(null=True)

    objects = CallGroupQuerySet.as_manager()

    class Meta:
        permissions = [("override_rules", "Can make calls outside calling hours and over the daily cap")]
        indexes = [
            models.Index(fields=["owner", "-id"], name="callgroup_of_owner"),
            models.Index(fields=["campaign", "-id"], name="callgroup_campaign"),
            models.Index(fields=["created_at"], name="callgroup_created"),
            models.Index(fields=["id"], condition=models.Q(ended_at__isnull=True), name="callgroup_unfinished"),
            models.Index(
                fields=["id"],
                condition=models.Q(ended_at__isnull=True, state="paused", state_by__isnull=True),
                name="callgroup_stopped",
            ),
            models.Index(fields=["similarity", "-id"], condition=~models.Q(similarity=""), name="callgroup_similar"),
        ]

    def __str__(self) -> str:
        return f"{self.pk} {self.campaign}".strip()

    @property
    def begins_at(self) -> datetime:
        """When the first phone may ring (aware), whoever waits for it: the delay comes after the scheduled time."""
        scheduled = self.schedule_time + timedelta(seconds=self.delay) if self.schedule_time else self.due_at
        return max(self.due_at, scheduled)

    @property
    def heard(self) -> str:
        """What the called person hears: the reference, or the message."""
        return self.play or self.message


class Tally(models.Model):
    """Number of calls, and seconds talked, per call group and status; kept by a trigger, never written otherwise."""

    pk = models.CompositePrimaryKey("call_group", "status")
    call_group = models.ForeignKey(CallGroup, models.CASCADE, related_name="tallies", db_index=False)
    status = models.CharField(max_length=12, choices=STATUS_CHOICES)
    calls = models.BigIntegerField()
    seconds = models.BigIntegerField(default=0)


class Activity(models.Model):
    """Calls handed over in a quarter of an hour, per starter and status: the dashboard's figures.

    Rows are changes (+3, -1) that are added up when read: writers never wait for each other. A periodic task folds
    the rows of one key into one. Quarters, because some time zones are 15 or 45 minutes off UTC's hours.
    """

    quarter = models.DateTimeField()
    owner = models.ForeignKey(User, models.CASCADE, db_index=False)
    status = models.CharField(max_length=12, choices=STATUS_CHOICES)
    calls = models.BigIntegerField()
    seconds = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["quarter", "owner", "status"], name="activity_key")]


class BatchState(models.TextChoices):
    """`pending -> sending -> accepted | rejected | unconfirmed`, or `pending -> cancelled` (DESIGN.md, rule 1)."""

    PENDING = "pending"
    SENDING = "sending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNCONFIRMED = "unconfirmed"
    CANCELLED = "cancelled"


class KeptBy(models.TextChoices):
    """Which rule set the time before which a batch is not handed over."""

    HOURS = "hours"
    CLOSING = "closing", "Hours that would end before its calls are over"
    NEVER = "never", "No calling hours at all: it is looked at again then"


class Batch(models.Model):
    """Calls `first` to `last` of a call group, handed to the carrier in one request.

    For a contact group held by the carrier `last` is 0: the calls are learnt from the carrier's status answers.
    """

    call_group = models.ForeignKey(CallGroup, models.CASCADE, related_name="batches", db_index=False)
    first = models.PositiveBigIntegerField()
    last = models.PositiveBigIntegerField()
    due_at = models.DateTimeField(help_text="Not handed over before.")
    state = models.CharField(max_length=12, choices=BatchState, default=BatchState.PENDING)
    place = models.TextField(blank=True, db_default="", help_text="Where its numbers are; see dialing.places.")
    kept_by = models.CharField(
        max_length=10, choices=KeptBy, blank=True, db_default="", help_text="Which rule set `due_at`; empty: none."
    )
    kept_under = models.CharField(
        max_length=16, blank=True, db_default="", help_text="Digest of the rules by which `kept_by` was found."
    )
    rules = models.JSONField(null=True, help_text="What was checked before each hand-over; see dialing.rules.")
    lane = models.PositiveSmallIntegerField(default=0, help_text="Which lane sends it: see dialing.handover.")
    attempts = models.PositiveIntegerField(default=0)
    sent_at = models.DateTimeField(null=True, help_text="When the request that counts was begun.")
    order_key = models.UUIDField(null=True, help_text="Of the request that counts; its Idempotency-Key.")
    account = models.CharField(
        max_length=64, blank=True, db_default="", help_text="Digest of where that request went, as whom."
    )
    carrier_group = models.CharField(max_length=100, blank=True)
    answer = models.CharField(max_length=500, blank=True, help_text="What the carrier or the connection said.")
    settled = models.CharField(
        max_length=300,
        blank=True,
        db_default="",
        help_text="What settled it after it had been unconfirmed: evidence, or whose word.",
    )
    checked_at = models.DateTimeField(null=True, help_text="When the carrier last told us about these calls.")
    check_at = models.DateTimeField(null=True, help_text="When to ask the carrier next; null: nothing to ask.")
    checks = models.PositiveIntegerField(default=0, help_text="Questions since something last changed.")
    repeats = models.BooleanField(
        default=True, db_default=True, help_text="While unconfirmed: not repeated since the carrier was last asked."
    )

    class Meta:
        verbose_name_plural = "batches"
        constraints = [models.UniqueConstraint(fields=["call_group", "first"], name="batch_first_call")]
        indexes = [
            models.Index(fields=["check_at"], condition=models.Q(check_at__isnull=False), name="batch_to_check"),
            models.Index(
                fields=["call_group", "state", "due_at", "first"],
                condition=models.Q(state__in=["pending", "sending", "unconfirmed"]),
                name="batch_unsettled",
            ),
            models.Index(fields=["id"], condition=models.Q(state="unconfirmed"), name="batch_unconfirmed"),
            models.Index(
                fields=["kept_under"], condition=models.Q(state="pending") & ~models.Q(kept_by=""), name="batch_kept"
            ),
            models.Index(
                fields=["call_group", "due_at", "first"],
                condition=models.Q(state="pending", kept_by="never"),
                name="batch_kept_for_good",
            ),
            models.Index(fields=["call_group", "first"], condition=~models.Q(settled=""), name="batch_settled"),
        ]


class CallQuerySet(models.QuerySet["Call"]):
    """Calls for a user."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """The calls of the call groups that `user` may see."""
        if not isinstance(user, User) or not user.is_active:
            return self.none()
        if user.sees_all_calls or user.sees_everything:
            return self
        return self.filter(call_group__owner=user)

    def open(self) -> Self:
        """Calls whose status is not final."""
        return self.exclude(status__in=FINAL)


COUNT_SQL = f"""
    PERFORM 1 FROM calls_callgroup WHERE id IN (SELECT call_group_id FROM {{rows}}) ORDER BY id FOR NO KEY UPDATE;
    WITH change AS (
        SELECT call_group_id, status, quarter, sum(calls) AS calls, sum(seconds) AS seconds
        FROM ({{changes}}) AS changed
        GROUP BY call_group_id, status, quarter
        HAVING sum(calls) <> 0 OR sum(seconds) <> 0
    ), of_group AS (
        SELECT call_group_id, sum(calls) AS total,
            coalesce(sum(calls) FILTER (WHERE status = 'HELD'), 0) AS held,
            coalesce(sum(calls) FILTER (WHERE status NOT IN ({FINAL_SQL})), 0) AS open,
            coalesce(sum(calls) FILTER (WHERE status IN ({FINAL_SQL}) AND quarter IS NULL), 0) AS not_made
        FROM change GROUP BY call_group_id
    ), tallied AS (
        INSERT INTO calls_tally AS t (call_group_id, status, calls, seconds)
        SELECT call_group_id, status, sum(calls), sum(seconds) FROM change GROUP BY call_group_id, status
        ON CONFLICT (call_group_id, status)
        DO UPDATE SET calls = t.calls + EXCLUDED.calls, seconds = t.seconds + EXCLUDED.seconds
    ), active AS (
        INSERT INTO calls_activity (quarter, owner_id, status, calls, seconds)
        SELECT c.quarter, g.owner_id, c.status, sum(c.calls), sum(c.seconds)
        FROM change AS c JOIN calls_callgroup AS g ON g.id = c.call_group_id
        WHERE c.quarter IS NOT NULL
        GROUP BY c.quarter, g.owner_id, c.status
        HAVING sum(c.calls) <> 0 OR sum(c.seconds) <> 0
    )
    UPDATE calls_callgroup AS g
    SET total = g.total + o.total, held = g.held + o.held, open = g.open + o.open,
        not_made = g.not_made + o.not_made, version = g.version + 1,
        ended_at = CASE WHEN g.open + o.open > 0 THEN NULL ELSE coalesce(g.ended_at, now()) END
    FROM of_group AS o WHERE g.id = o.call_group_id;
    RETURN NULL;
"""


def _changes(rows: str, sign: str = "") -> str:
    return (
        f"SELECT call_group_id, status, date_bin('15 minutes', handed_over_at, 'epoch') AS quarter, "
        f"{sign}1 AS calls, {sign}coalesce(duration, 0) AS seconds FROM {rows}"
    )


def _count_trigger(name: str, operation: Any, referencing: Any, rows: str, changes: str) -> pgtrigger.Trigger:
    return pgtrigger.Trigger(
        name=name,
        level=pgtrigger.Statement,
        when=pgtrigger.After,
        operation=operation,
        referencing=referencing,
        func=COUNT_SQL.format(rows=rows, changes=changes),
    )


CALLBACKS_SQL = f"""
    INSERT INTO calls_callback (call_id, call_group_id, host, state, attempts, created_at, due_at, answer)
    SELECT c.id, c.call_group_id,
        left(rtrim(lower(substring(g.callback FROM '^[^:]+://(\\[[^]]*\\]|[^/?#:]*)')), '.'), 300),
        'pending', 0, clock_timestamp(), clock_timestamp(), ''
    FROM new_rows AS c JOIN calls_callgroup AS g ON g.id = c.call_group_id
    WHERE g.callback <> '' AND c.status IN ({FINAL_SQL})
    ON CONFLICT (call_id) DO NOTHING;
    RETURN NULL;
"""
"""A callback for each call that has become final: calls begin open, so only updates end them."""


SUPPRESS_SQL = """
    IF NOT EXISTS (SELECT FROM new_rows WHERE digits <> '' OR status = 'DND') THEN
        RETURN NULL;
    END IF;
    WITH found AS MATERIALIZED (
        SELECT c.number, c.call_group_id, c.n, 'opt_out' AS role,
            'Pressed ' || k.key || ' in ' || g.play || ', which means: call me no more.' AS reason
        FROM new_rows AS c JOIN old_rows AS o ON o.id = c.id JOIN calls_callgroup AS g ON g.id = c.call_group_id
        LEFT JOIN calls_ivr AS i ON g.play = i.number || '.ivr'
        CROSS JOIN LATERAL regexp_split_to_table(concat(g.opt_out_keys, i.opt_out_key), '') AS k (key)
        WHERE c.digits <> o.digits AND k.key <> '' AND strpos(c.digits, k.key) > 0
        UNION ALL
        SELECT c.number, c.call_group_id, c.n, 'carrier', 'The carrier reports it as DND.'
        FROM new_rows AS c JOIN old_rows AS o ON o.id = c.id
        WHERE c.status = 'DND' AND o.status <> 'DND' AND c.handed_over_at IS NOT NULL
    ), list AS MATERIALIZED (
        SELECT id, role FROM calls_suppressionlist WHERE role IN ('opt_out', 'carrier') AND EXISTS (SELECT FROM found)
        ORDER BY id FOR NO KEY UPDATE
    )
    INSERT INTO calls_suppression (list_id, number, reason, source, added_at)
    SELECT list.id, found.number, found.reason, 'call ' || found.call_group_id || '-' || found.n, clock_timestamp()
    FROM found JOIN list ON list.role = found.role
    WHERE found.number ~ '^[+][0-9]{7,15}$'
    ON CONFLICT (number, list_id) DO NOTHING;
    RETURN NULL;
"""
"""Suppress at once who pressed the opt-out key of an IVR, and whom the carrier reports as DND.

Each key that the IVR had from the start of the calls to their end opts out, and the one that it has today.

Both lists are locked first: whoever changes suppression lists does that, so that two never wait for each other. Where
nobody is suppressed, nobody waits.
"""


class Call(models.Model):
    """One number in a call group. Its OBD ID is `<call group>-<n>`; its batch is the one whose range holds `n`.

    `timeline` has an entry for each thing that was learnt: `[epoch seconds, status, source, carrier's word, note]`.
    """

    call_group = models.ForeignKey(CallGroup, models.CASCADE, related_name="calls", db_index=False)
    n = models.PositiveBigIntegerField()
    number = models.CharField(max_length=20)
    name = models.CharField(max_length=100, blank=True)
    custom = models.CharField(max_length=64, blank=True)
    status = models.CharField(max_length=12, choices=STATUS_CHOICES, default=Status.HELD)
    word = models.CharField("carrier's word", max_length=60, blank=True)
    carrier_id = models.CharField(max_length=100, blank=True)
    retries = models.PositiveSmallIntegerField(default=0, help_text="Attempts after the first one.")
    rings = models.PositiveSmallIntegerField(default=0, db_default=0, help_text="How often it rang, or may yet.")
    created_at = models.DateTimeField(default=timezone.now)
    handed_over_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    duration = models.PositiveIntegerField(null=True, help_text="Seconds talked.")
    digits = models.CharField(max_length=40, blank=True, help_text="Keys pressed.")
    timeline = models.JSONField(default=list)

    objects = CallQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["call_group", "n"], name="call_n"),
            models.UniqueConstraint(fields=["call_group", "number"], name="call_number_once_per_group"),
            models.CheckConstraint(
                condition=models.Q(status__in=[str(status) for status in Status]), name="call_status_known"
            ),
        ]
        indexes = [
            models.Index(fields=["call_group", "status", "n"], name="call_of_group_by_status"),
            models.Index(fields=["created_at", "id"], name="call_created"),
            models.Index(fields=["status", "created_at", "id"], name="call_by_status"),
            models.Index(OpClass("number", "varchar_pattern_ops"), name="call_first_digits"),
            models.Index(OpClass(Reverse("number"), "text_pattern_ops"), name="call_last_digits"),
        ]
        triggers = [
            _count_trigger(
                "count_insert",
                pgtrigger.Insert,
                pgtrigger.Referencing(new="new_rows"),
                rows="new_rows",
                changes=_changes("new_rows"),
            ),
            _count_trigger(
                "count_update",
                pgtrigger.Update,
                pgtrigger.Referencing(old="old_rows", new="new_rows"),
                rows="new_rows",
                changes=f"{_changes('new_rows')} UNION ALL {_changes('old_rows', '-')}",
            ),
            _count_trigger(
                "count_delete",
                pgtrigger.Delete,
                pgtrigger.Referencing(old="old_rows"),
                rows="old_rows",
                changes=_changes("old_rows", "-"),
            ),
            pgtrigger.Trigger(
                name="make_callbacks",
                level=pgtrigger.Statement,
                when=pgtrigger.After,
                operation=pgtrigger.Update,
                referencing=pgtrigger.Referencing(new="new_rows"),
                func=CALLBACKS_SQL,
            ),
            pgtrigger.Trigger(
                name="suppress_at_once",
                level=pgtrigger.Statement,
                when=pgtrigger.After,
                operation=pgtrigger.Update,
                referencing=pgtrigger.Referencing(old="old_rows", new="new_rows"),
                func=SUPPRESS_SQL,
            ),
        ]

    def __str__(self) -> str:
        return self.obd_id

    @property
    def obd_id(self) -> str:
        """`123456-1`: call group and position in it."""
        return f"{self.call_group_id}-{self.n}"
