"""The documentation says what is so: links, paths, settings, statuses, and the words on pages."""

import re
from html import unescape
from pathlib import Path

import pytest

from calls.obd.statuses import Status

ROOT = Path(__file__).resolve().parents[1]
PAGES = ["README.md", "CHANGELOG.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
FOR_PEOPLE = ["README.md", "docs/using.md", "docs/administering.md"]
"""Pages in which bold stands for words of the portal's pages."""

PLACES = ("calls/", "docs/", "obdportal/", "static/", "templates/", "tests/", ".ci/")


def text_of(page: str) -> str:
    return (ROOT / page).read_text()


def prose_of(page: str) -> str:
    """The page without blocks of code."""
    return re.sub(r"^(```.*?^```|(?: {4}.*\n)+)", "", text_of(page), flags=re.MULTILINE | re.DOTALL)


def rows_of(page: str) -> list[list[str]]:
    """The cells of all tables."""
    lines = re.findall(r"^\|(.*)\|$", text_of(page), re.MULTILINE)
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)] for line in lines]


def settings_of_example() -> dict[str, str]:
    return dict(re.findall(r"^#?([A-Z_]+)=(.*)$", text_of(".env.example"), re.MULTILINE))


def anchors_of(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose_of(page)):
        path, _, anchor = target.partition("#")
        assert "://" not in path, "pages of others move"
        linked = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors_of(str(linked.relative_to(ROOT))), target


@pytest.mark.parametrize("page", PAGES)
def test_every_page_is_linked_from_the_readme(page: str) -> None:
    assert page == "README.md" or f"]({page})" in text_of("README.md")


@pytest.mark.parametrize("page", PAGES)
def test_paths_that_are_named_exist(page: str) -> None:
    words = re.findall(r"(?<![\w/.-])(?=\w|\.ci)[\w.]+/[\w./-]*", text_of(page))
    for path in (word.rstrip(".") for word in words if word.startswith(PLACES)):
        assert (ROOT / path).exists(), f"{page} names {path}"


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_that_are_named_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE))
    named = re.findall(r"(?:`|^ {4}|\w=\d+ )make ([a-z]+)", text_of(page), re.MULTILINE)
    assert set(named) <= targets


def test_every_setting_is_explained_with_its_default() -> None:
    rows = {row[0].strip("`"): row[1].strip("`") for row in rows_of("docs/configuration.md") if len(row) == 3}
    explained = {name: default for name, default in rows.items() if re.fullmatch("[A-Z_]+", name)}
    assert explained == settings_of_example()


def test_settings_of_the_readme_are_real() -> None:
    example = settings_of_example()
    for row in rows_of("README.md"):
        names = re.findall(r"`([A-Z_]+)`", row[0])
        assert [example[name] for name in names] == (re.findall(r"`([^`]+)`", row[1]) or [""] if names else [])


@pytest.mark.parametrize("page", PAGES)
def test_settings_that_are_set_in_text_are_real(page: str) -> None:
    named = set(re.findall(r"`([A-Z_]+)=[^` ]*`", text_of(page)))
    assert named <= settings_of_example().keys()


def test_statuses_are_explained_in_the_words_of_the_pages() -> None:
    rows = [row for row in rows_of("docs/using.md") if row[1].strip("`") in list(Status)]
    assert rows == [[status.label, f"`{status}`", status.meaning] for status in Status]


@pytest.mark.parametrize("page", FOR_PEOPLE)
def test_words_in_bold_are_on_pages(page: str) -> None:
    """A button that is renamed is renamed here too."""
    templates = [path.read_text() for path in (ROOT / "templates").rglob("*.html")]
    code = [path.read_text() for path in (ROOT / "calls").rglob("*.py")]
    said = re.sub(r"\s+", " ", unescape(re.sub(r"{%.*?%}|<[^>]*>", "", "\n".join(templates))))
    said += "\n".join([*templates, *code])
    for words in re.findall(r"\*\*(.+?)\*\*", prose_of(page), re.DOTALL):
        parts = re.split(r" \d+ ", " ".join(words.split()))  # "Start 60 calls"
        assert all(part.strip(":") in said for part in parts), f"{page}: “{words}” is on no page"


def test_pictures_are_small() -> None:
    pictures = list((ROOT / "docs/images").iterdir())
    assert pictures
    for picture in pictures:
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size < 300_000
        assert any(picture.name in text_of(page) for page in PAGES)
