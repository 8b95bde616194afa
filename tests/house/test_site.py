"""The docs site builds without a warning, needs nothing from elsewhere, and leads to every page."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from scripts.site import expanded

ROOT = Path(__file__).parents[2]
LOADED = re.compile(r"""<(?:script|img|iframe|source)\b[^>]*\bsrc="(?:https?:)?//|<link\b[^>]*\bhref="(?:https?:)?//""")
FETCHED = re.compile(r"""(?:@import|url\()\s*['"]?(?:https?:)?//""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(target)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"the docs site does not build; see the top of mkdocs.yml\n{done.stderr}"
    return target


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert LOADED.findall(page.read_text()) == [], page
    for sheet in site.rglob("*.css"):
        assert FETCHED.findall(sheet.read_text()) == [], sheet


def test_the_navigation_leads_to_every_page(site: Path) -> None:
    led = set(re.findall(r'href="([^"#:]+\.html)"', (site / "index.html").read_text()))
    pages = {str(page.relative_to(site)) for page in site.rglob("*.html")} - {"404.html"}
    assert pages - led == set()


def test_a_star_stands_for_the_pages_of_its_folder_that_no_line_names() -> None:
    nav = [{"Start": ["index.md"]}, {"Gates": ["gates/nginx.md", "gates/*"]}, {"Soon": ["audit*"]}, {"More": ["*"]}]
    assert expanded(nav, ["index.md", "gates/nginx.md", "gates/new.md", "a.md", "gates/deep/er.md"]) == [
        {"Start": ["index.md"]},
        {"Gates": ["gates/nginx.md", "gates/new.md"]},
        {"More": ["a.md"]},
    ]
