"""What the docs site needs beyond mkdocs.yml: pages from outside docs/, and lines with a * in its navigation."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the changelog and the results, then let each * of the navigation stand for the pages that no line names."""
    for source, place in _beside():
        files.append(File.generated(config, place, abs_src_path=str(source)))
    config.nav = expanded(config.nav or [], [page.src_uri for page in files.documentation_pages()])
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """In the repository the results stand beside docs/, in the site below it."""
    return markdown.replace("](../bench/", "](bench/")


def _beside() -> Iterator[tuple[Path, str]]:
    yield ROOT / "CHANGELOG.md", "changelog.md"
    results = ROOT / "bench" / "results"
    for source in sorted(results.rglob("*")):
        if source.suffix in (".md", ".json", ".svg", ".png"):
            yield source, f"bench/results/{source.relative_to(results)}"


def expanded(nav: list[Any], pages: list[str]) -> list[Any]:
    """The navigation with pages in place of its *s, without the sections that are then empty."""
    named = set(_leaves(nav))
    return _filled(nav, [page for page in pages if page not in named])


def _leaves(nav: list[Any]) -> Iterator[str]:
    for item in nav:
        for entry in item.values() if isinstance(item, dict) else [item]:
            yield from _leaves(entry) if isinstance(entry, list) else [entry]


def _filled(nav: list[Any], left: list[str]) -> list[Any]:
    filled: list[Any] = []
    for item in nav:
        if isinstance(item, dict):
            [(title, entry)] = item.items()
            within = _filled(entry, left) if isinstance(entry, list) else entry
            filled += [{title: within}] if within else []
        else:
            filled += _taken(item, left) if "*" in item else [item]
    return filled


def _taken(pattern: str, left: list[str]) -> list[str]:
    """The pages that a pattern means; * does not look into folders. Each page is taken once."""
    found = [page for page in left if page.count("/") == pattern.count("/") and fnmatchcase(page, pattern)]
    left[:] = [page for page in left if page not in found]
    return sorted(found)
