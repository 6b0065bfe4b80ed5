"""A worker that is killed in the middle of writing leaves everything as it was; another one does the import."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from calls.contacts.importing import Layout, confirm, steps, undo, work
from calls.models import Import, ImportState
from calls.models.importing import Existing
from tests import databases
from tests.contacts.importing.helpers import contacts, csv_bytes, received
from tests.factories import make_group, make_user, number

ROOT = Path(__file__).resolve().parents[3]


def killed_while_writing(import_: Import, media: str) -> None:
    """Have another process carry it out, and kill that once it has written some rows."""
    url = databases.address(os.environ["DATABASE_URL"], connection.settings_dict["NAME"])
    with subprocess.Popen(
        [sys.executable, "-m", "tests.contacts.importing.killed", str(import_.pk), media],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": url},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "writing\n"
        process.kill()


@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_in_the_middle_of_writing(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "INLINE_BYTES", 0)
    monkeypatch.setattr(steps, "INLINE_ROWS", 0)
    # Nothing clears away a committed job.
    monkeypatch.setattr(steps, "import_later", lambda _: None)
    group = make_group(numbers=[number(i) for i in range(20, 40)])
    before = contacts(group)
    import_ = received(make_user("admin"), group, csv_bytes([["Mobile"], *([number(i)] for i in range(30))]))
    confirm(import_, Layout.from_json(import_.layout), Existing.REPLACE)
    killed_while_writing(import_, settings.MEDIA_ROOT)
    import_.refresh_from_db()
    assert (import_.state, import_.attempts) == (ImportState.RUNNING, 1)
    assert contacts(group) == before
    assert not import_.replaced.exists()

    work(import_)
    import_.refresh_from_db()
    assert import_.state == ImportState.DONE
    after = contacts(group)
    assert {row[0] for row in after} == {number(i) for i in range(30)}

    undo(import_, import_.owner)
    killed_while_writing(import_, settings.MEDIA_ROOT)
    import_.refresh_from_db()
    assert import_.state == ImportState.UNDOING
    assert contacts(group) == after
    work(import_)
    assert contacts(group) == before
