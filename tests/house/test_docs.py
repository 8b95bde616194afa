"""The docs say what is true: every setting, command, endpoint and error code, and README's blocks run."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scripts.docs import TABLES, written

from keyscope.errors import KeyscopeError
from keyscope.gate.forward import DIALECTS
from keyscope.policy.document import load
from keyscope.policy.own import with_own_operations
from keyscope.wire.problem import STATUSES
from tests.live import Live
from tests.recorder import Recorder

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
README = (ROOT / "README.md").read_text()
WIRE = (DOCS / "wire.md").read_text()


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_what_the_code_says(name: str) -> None:
    assert (DOCS / f"{name}.md").read_text() == written(name), "run make docs"


def _all(kind: type[KeyscopeError]) -> Iterator[type[KeyscopeError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _all(child)


def test_every_error_that_can_be_answered_has_a_status_and_its_own_code() -> None:
    leaves = [kind for kind in _all(KeyscopeError) if not kind.__subclasses__() and kind.code != "configuration_error"]
    assert [kind.__name__ for kind in leaves if kind not in STATUSES] == []
    codes = [kind.code for kind in _all(KeyscopeError)]
    assert len(codes) == len(set(codes))


def test_the_error_tree_in_the_docstring_is_the_tree() -> None:
    import keyscope.errors

    drawn = re.findall(r"[├└]── (\w+)", keyscope.errors.__doc__ or "")
    assert sorted(drawn) == sorted(kind.__name__ for kind in _all(KeyscopeError))


def test_every_endpoint_is_documented(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory()) as live:
        paths = live.call("GET", "/keyscope/openapi.json", "").json()["paths"]
    served = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    documented = set(re.findall(r"`((?:GET|POST) /[^`?]*)", WIRE))
    asked = {f"GET {dialect.path.decode()}" for dialect in DIALECTS}
    beside = asked | {"GET /keyscope/docs", "GET /keyscope/openapi.json"}
    assert served | beside == {call.removesuffix("/") for call in documented}


def test_every_own_operation_of_the_policy_is_served(new_directory: Callable[[], Path]) -> None:
    rows = [row for row in with_own_operations(load("runloop")).operations if row.template.startswith("/keyscope")]
    for row in rows:
        assert f"`{row.method} {row.template}" in WIRE


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_tests_and_files_exist(page: Path) -> None:
    for named, test in re.findall(
        r"`((?:tests|src|scripts|docs|bench|deploy)/[\w./-]+\.\w+)(?:::(\w+))?`", page.read_text()
    ):
        assert (ROOT / named).exists(), named
        assert f"def {test}(" in (ROOT / named).read_text() or not test, f"{named} has no {test}"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def test_the_readme_names_the_two_commands_first() -> None:
    first, second = blocks("sh")[0].strip(), blocks("sh")[1].strip()
    assert (first.split()[:2], second.split()[:2]) == (["make", "run"], ["make", "test"])
    for verb in ("run", "test"):
        done = subprocess.run(["make", "-n", verb], cwd=ROOT, capture_output=True, timeout=30)
        assert done.returncode == 0


def test_the_readmes_other_blocks_run_in_order(new_directory: Callable[[], Path], tmp_path: Path) -> None:
    directory = new_directory()
    with Recorder() as upstream, Live(directory, upstream=upstream.url) as live:
        environment = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "KEYSCOPE_URL": live.url,
            "KEYSCOPE_API_KEY": live.first,
        }
        run = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "timeout": 60}
        for script in blocks("sh")[2:]:
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], **run)  # type: ignore[call-overload]
            assert done.returncode == 0, done.stderr
        [example] = blocks("python")
        done = subprocess.run([sys.executable, "-c", example], **run)  # type: ignore[call-overload]
        assert "PermissionDeniedError" in done.stderr
        [refusal] = blocks("text")
        assert re.search(".*".join(map(re.escape, refusal.strip().split("…"))), done.stderr)
        assert [seen.target for seen in upstream.seen][-1].startswith("/v1/devboxes")
        assert all(seen.method == "GET" for seen in upstream.seen)
