"""Indexes for the audit log's page, on the table of django-auditlog, which has none for its filters in order of time.

Not in the first migration: django-auditlog's own build on that one, since their entries name users.
"""

from django.db import migrations

INDEXES = {
    "audit_person": '(actor_id, "timestamp" DESC, id DESC)',
    "audit_kind": '(content_type_id, "timestamp" DESC, id DESC)',
    "audit_words": "USING gin (to_tsvector('simple'::regconfig, COALESCE(object_repr, '')))",
    # What people look for and few entries are: what calls.forms.audit calls by names of its own.
    "audit_deeds": """("timestamp" DESC, id DESC) WHERE action = 1
        AND (changes ? 'state' OR changes ? 'settled' OR changes ? 'password' OR changes ? 'callbacks'
            OR changes ? 'override_reason' OR changes ? 'exported' OR changes ? 'downloaded')""",
}


class Migration(migrations.Migration):
    dependencies = [("calls", "0001_initial"), ("auditlog", "0017_add_actor_email")]

    operations = [
        migrations.RunSQL(f"CREATE INDEX {name} ON auditlog_logentry {columns}", f"DROP INDEX {name}")
        for name, columns in INDEXES.items()
    ]
