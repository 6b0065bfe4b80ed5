"""What settings make of the environment; each case is read by a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests.ground.processes import ROOT


def read(tmp_path: Path, *names: str, **environment: str) -> dict[str, Any]:
    """Return the named settings under the environment, and nothing but it."""
    code = "import json, sys; from obdportal import settings as s\n"
    code += "print(json.dumps({n: getattr(s, n) for n in sys.argv[1:]}, default=str))"
    clean = {"PATH": os.environ["PATH"], "ENV_FILE": os.devnull, "DATA_DIR": str(tmp_path)} | environment
    done = subprocess.run([sys.executable, "-c", code, *names], cwd=ROOT, env=clean, capture_output=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_defaults(tmp_path: Path) -> None:
    names = ["PUBLIC_URL", "TIME_ZONE", "DEFAULT_REGION", "CARRIER", "CALLING_HOURS", "SANDBOX_SPEED", "DEBUG"]
    assert read(tmp_path, *names) == {
        "PUBLIC_URL": "http://127.0.0.1:8000",
        "TIME_ZONE": "Asia/Kolkata",
        "DEFAULT_REGION": "IN",
        "CARRIER": "sandbox",
        "CALLING_HOURS": "00:00-24:00",
        "SANDBOX_SPEED": 1.0,
        "DEBUG": False,
    }


def test_hours_where_phones_ring(tmp_path: Path) -> None:
    found = read(tmp_path, "CALLING_HOURS", "OBD_RETRY_MINUTES", CARRIER="obd")
    assert found == {"CALLING_HOURS": "09:00-21:00", "OBD_RETRY_MINUTES": 15.0}


@pytest.mark.parametrize(
    ("environment", "demo"),
    [
        ({}, True),
        ({"CARRIER": "obd"}, False),
        ({"CARRIER": "obd", "DEMO_DATA": "true"}, True),
        ({"DEMO_DATA": "false"}, False),
    ],
)
def test_demo_data_on_the_sandbox_only(tmp_path: Path, environment: dict[str, str], demo: bool) -> None:
    assert read(tmp_path, "DEMO_DATA", **environment) == {"DEMO_DATA": demo}


def test_https_makes_strict(tmp_path: Path) -> None:
    names = ["SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT", "TRUSTED_PROXIES"]
    assert not any(read(tmp_path, *names).values())
    strict = read(tmp_path, *names, "CSRF_TRUSTED_ORIGINS", "ALLOWED_HOSTS", PUBLIC_URL="https://obd.example.com/")
    assert all(strict[name] for name in names)
    assert strict["CSRF_TRUSTED_ORIGINS"] == ["https://obd.example.com"]
    assert "obd.example.com" in strict["ALLOWED_HOSTS"]


def test_secret_key_is_made_once(tmp_path: Path) -> None:
    made = read(tmp_path, "SECRET_KEY")
    assert len(made["SECRET_KEY"]) >= 50
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600
    assert read(tmp_path, "SECRET_KEY") == made
    assert read(tmp_path, "SECRET_KEY", SECRET_KEY="given") == {"SECRET_KEY": "given"}


def test_env_file_and_environment(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CARRIER=obd\nPORT=8123\n")
    found = read(tmp_path, "CARRIER", "PORT", ENV_FILE=str(tmp_path / ".env"), PORT="8124")
    assert found == {"CARRIER": "obd", "PORT": 8124}


@pytest.mark.django_db
def test_content_security_policy_is_strict(client: Client) -> None:
    policy = client.get("/healthz")["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
