"""What all tests share: settings that depend on no machine, and a database."""

import gc
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from pytest_django import Settings

ROOT = Path(__file__).resolve().parent.parent

# Whatever the machine or a .env says must not change what the tests find.
for name in re.findall(r"^#?(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE):
    if name != "DATABASE_URL":
        os.environ.pop(name, None)
_data = tempfile.TemporaryDirectory(prefix="obdportal-tests-")
Path(_data.name, "static").mkdir()
os.environ |= {
    "ENV_FILE": os.devnull,
    "DATA_DIR": _data.name,
    "SECRET_KEY": "only for tests",
    "DJANGO_SETTINGS_MODULE": "obdportal.settings",
}

from obdportal.postgres import share_server  # noqa: E402 - reads the environment
from tests import databases  # noqa: E402 - as above

if "DATABASE_URL" not in os.environ:
    # All runs on this checkout share one server, whose data may be lost at any time.
    _folder = ROOT / ".cache/tests/postgres"
    _folder.mkdir(parents=True, exist_ok=True)
    os.environ["DATABASE_URL"] = share_server(
        _folder, "postgres", "fsync=off", "synchronous_commit=off", "full_page_writes=off"
    )
    databases.drop_leftovers(os.environ["DATABASE_URL"])

from django.conf import settings as django_settings  # noqa: E402 - reads DATABASE_URL
from django.db import connection  # noqa: E402 - as above

_database = django_settings.DATABASES["default"]
_database["TEST"] = _database.get("TEST", {}) | {"NAME": f"{databases.PREFIX}{os.getpid()}"}
django_settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # quick
django_settings.STORAGES = django_settings.STORAGES | {
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # needs no collectstatic
}


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Copy a database that is migrated already."""
    _database["TEST"]["TEMPLATE"] = databases.template(os.environ["DATABASE_URL"])


# Property tests say what holds, not how long it takes: a busy machine must not fail them.
hypothesis.settings.register_profile("portal", deadline=None)
hypothesis.settings.load_profile("portal")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One more than there are cores: many tests wait for what a portal of their own does."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_finish() -> None:
    """What is loaded by now stays: garbage is not looked for in it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def media(settings: Settings, tmp_path: Path) -> None:
    """Give each test a media folder of its own."""
    settings.MEDIA_ROOT = tmp_path / "media"


@pytest.fixture(autouse=True)
def no_job_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Delete the jobs of tests that commit: what empties the tables after them knows only those of Django's models."""
    marker = request.node.get_closest_marker("django_db")
    commits = "transactional_db" in request.fixturenames or (marker and marker.kwargs.get("transaction"))
    if commits:
        request.getfixturevalue("transactional_db")  # and so before it
    yield
    if commits:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM procrastinate_jobs")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of the browser for tests that need one."""
    found = subprocess.run([ROOT / ".ci/chromium"], capture_output=True, text=True, check=False)
    if found.returncode:
        pytest.fail(found.stderr)
    return found.stdout.strip()
