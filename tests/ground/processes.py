"""Starting programs of this project, and waiting for what they do."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
_started: list[subprocess.Popen[str]] = []
PATIENCE = 30  # seconds; how long a loaded machine may need


def start(data_dir: Path, *command: str, **settings: str) -> subprocess.Popen[str]:
    """Start Python with a DATA_DIR and other settings of its own, and an embedded database."""
    environment = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "SECRET_KEY"}}
    environment |= {"DATA_DIR": str(data_dir)} | settings
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    _started.append(process)
    return process


def clean_up(data_dir: Path) -> None:
    """End whatever a test has left behind, so that it spoils no other test."""
    for left in users_of(data_dir):
        left.kill()
    while _started:
        process = _started.pop()
        process.kill()
        with process:  # closes its pipes and waits
            pass


def wait_until(happened: Callable[[], object], what: str) -> None:
    """Return as soon as it has happened; fail if it doesn't."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.2)


def users_of(data_dir: Path, program: str = "") -> list[psutil.Process]:
    """Return the processes that work for this DATA_DIR or in it; of this program, if one is named."""
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("DATA_DIR") == str(data_dir) or data_dir in Path(process.cwd()).parents
            if (
                ours
                and process.status() != psutil.STATUS_ZOMBIE
                and (not program or program in {Path(part).name for part in process.cmdline()})
            ):
                found.append(process)
        except psutil.Error:
            continue
    return found
