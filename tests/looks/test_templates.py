"""What holds for every template: nothing inline, no icon or component that is missing, error pages without context."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.template.loader import get_template
from django.test import RequestFactory

from calls.templatetags.looks import LOOKS, NAVIGATION

TEMPLATES = Path(settings.BASE_DIR) / "templates"
STATIC = Path(settings.BASE_DIR) / "static"
SOURCES = {path.relative_to(TEMPLATES).as_posix(): path.read_text() for path in sorted(TEMPLATES.rglob("*.html"))}
ICONS = set(re.findall(r'<symbol id="([\w-]+)"', (STATIC / "img/icons.svg").read_text()))


@pytest.mark.parametrize("name", SOURCES)
def test_a_template_keeps_to_the_content_security_policy(name: Any) -> None:
    source = SOURCES[name]
    assert not re.search(r"\sstyle=", source)
    assert not re.search(r"<style|<script(?![^>]*\ssrc=)", source)
    assert not re.search(r"\son\w+=|hx-on|javascript:", source)
    assert not re.search(r'(?:src|href|action)="(?:https?:|data:|//)', source)


@pytest.mark.parametrize("name", SOURCES)
def test_a_template_compiles_and_names_only_icons_and_components_that_exist(name: Any) -> None:
    get_template(name)
    named = set(re.findall(r'{% icon "([\w-]+)"', SOURCES[name]))
    named |= set(re.findall(r'include "components/[^%]*\sicon="([\w-]+)"', SOURCES[name]))
    assert named <= ICONS
    assert set(re.findall(r'include "([\w/.-]+)"', SOURCES[name])) <= set(SOURCES)


def test_statuses_and_navigation_name_only_icons_that_exist() -> None:
    assert {look.icon for look in LOOKS.values()} <= ICONS
    assert {link.icon for _, links in NAVIGATION for link in links} <= ICONS


def test_each_status_has_a_colour() -> None:
    styles = (STATIC / "css/status.css").read_text()
    for look in LOOKS.values():
        assert f".badge-{look.css}" in styles


@pytest.mark.parametrize("name", ["400.html", "403.html", "403_csrf.html", "404.html", "500.html"])
def test_an_error_page_needs_no_context(name: Any) -> None:
    page = get_template(name).render()
    assert f"Error {name[:3]}" in page
    assert 'class="plain"' in page


@pytest.mark.parametrize("name", ["403.html", "403_csrf.html", "404.html"])
def test_an_error_page_of_somebody_signed_in_has_the_navigation(name: Any, django_user_model: Any, db: Any) -> None:
    request = RequestFactory().get("/nothing/")
    request.user = django_user_model.objects.create_user("asha")
    assert 'aria-label="Main"' in get_template(name).render({"messages": []}, request)


def test_the_sandbox_says_so_on_every_page(settings: Any) -> None:
    settings.CARRIER = "sandbox"
    request = RequestFactory().get("/")
    assert "Sandbox: no phone rings." in get_template("404.html").render({"messages": []}, request)
    settings.CARRIER = "obd"
    assert "no phone rings" not in get_template("404.html").render({"messages": []}, request)


@pytest.mark.parametrize("path", [*STATIC.rglob("*.css"), *STATIC.rglob("*.js")], ids=lambda path: path.name)
def test_styles_and_scripts_stay_readable_and_on_this_host(path: Any) -> None:
    source = path.read_text()
    assert source.count("\n") < 400
    assert not re.search(r"https?://|data:|\beval\(|new Function", source)
