"""Whoever types what the guides say sees what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.guides.walk import Walk, assert_printed, blocks
from tests.postgres import Databases
from tests.recorder import Recorder

DOCS = Path(__file__).parents[2] / "docs"
GUIDES = [page for page in sorted(DOCS.rglob("*.md")) if "```sh" in page.read_text()]
UPSTREAMS = ("https://api.runloop.ai", "https://api.github.com", "https://api.example.com")
POSTGRES = "postgresql://keyscope@localhost/keyscope"
SERVER = """
```sh title="terminal"
keyscope serve
```

```sh
export KEYSCOPE_URL=http://127.0.0.1:8700 KEYSCOPE_API_KEY=ak_…
```
"""


@pytest.mark.parametrize("guide", GUIDES, ids=lambda page: str(page.relative_to(DOCS)))
def test_a_guide_can_be_followed(guide: Path, tmp_path: Path, databases: Databases) -> None:
    """A page that starts no server of its own is for one that runs."""
    page = guide.read_text()
    with Recorder() as upstream:
        places = {"/var/lib/keyscope": str(tmp_path), POSTGRES: databases.empty()}
        instead = {**dict.fromkeys(UPSTREAMS, upstream.url), **places}
        with Walk(tmp_path, instead) as walk:
            if not any(block.is_terminal for block in blocks(page)):
                walk.follow(SERVER)
            walk.follow(page)


def test_a_command_that_fails_ends_the_walk(tmp_path: Path) -> None:
    with Walk(tmp_path, {}) as walk, pytest.raises(AssertionError, match="this failed"):
        walk.follow("```sh\nfalse\n```\n")


def test_output_that_a_page_does_not_have_right_is_found(tmp_path: Path) -> None:
    with Walk(tmp_path, {}) as walk, pytest.raises(AssertionError, match="the page has"):
        walk.follow("```sh\necho one\n```\n\n```text\ntwo\n```\n")


def test_lines_are_compared_in_order_and_dots_stand_for_anything() -> None:
    assert_printed("a … c\nlast\n", "before\na  b   c\nbetween\nlast\n")
    with pytest.raises(AssertionError):
        assert_printed("last\na … c\n", "a b c\nlast\n")
