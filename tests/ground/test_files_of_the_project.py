"""Files that must agree with each other."""

import re
import stat
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ["requirements.txt", "tests/requirements.txt"]


def test_env_example_names_every_setting() -> None:
    code = "".join(path.read_text() for path in [*(ROOT / "obdportal").glob("*.py"), *(ROOT / "calls").rglob("*.py")])
    read = set(re.findall(r"env(?:\.\w+)?\(\s*\"(\w+)\"", code))
    read |= set(re.findall(r"os\.environ\.get\(\"(\w+)\"", code))
    named = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert named == read


def test_env_example_explains_every_setting() -> None:
    paragraphs = (ROOT / ".env.example").read_text().split("\n\n")
    assert all(paragraph.startswith("# ") for paragraph in paragraphs)


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_name_no_host_and_hash_everything(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert not re.search(r"://|index|\.(org|com|io|net)\b", text)
    entries = re.split(r"\n(?=\w)", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE))
    assert all(re.match(r"[\w.-]+==\S+", entry) and "--hash=sha256:" in entry for entry in entries)


def test_locks_hold_every_dependency_in_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [project["project"]["dependencies"], project["dependency-groups"]["dev"]]
    pinned = [dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / lock).read_text(), re.MULTILINE)) for lock in LOCKS]
    for requirements, versions in zip(wanted, pinned, strict=True):
        names = {re.match(r"[\w-]+", requirement)[0] for requirement in requirements}  # type: ignore[index]
        assert names <= versions.keys()
    both = pinned[0].keys() & pinned[1].keys()
    assert {name: pinned[0][name] for name in both} == {name: pinned[1][name] for name in both}


def test_scripts_can_be_run() -> None:
    for name in ["manage.py", ".ci/run", ".ci/venv", ".ci/chromium"]:
        assert (ROOT / name).stat().st_mode & stat.S_IXUSR


def test_top_level_stays_small() -> None:
    known = {"manage.py", "pyproject.toml", "requirements.txt", "Makefile", "Procfile", "README.md", "CHANGELOG.md"}
    known |= {"LICENSE", "docs", "obdportal", "calls", "templates", "static", "tests", "var"}
    assert {path.name for path in ROOT.iterdir() if not path.name.startswith(".")} <= known
