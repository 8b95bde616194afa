"""Tests that need a program beside Python (Node, nginx) say so with ``requires_program``.

Where the program is missing such a test is left out of the run, and the summary says so in a line of its own; with
``CI`` set it fails instead, so that nothing goes unproved there without notice.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import pytest
from scripts.programs import find_program, program

from tests.namespaces import are_allowed

__all__ = ["NAMESPACES", "find_program", "is_ci", "missing", "program", "requires_program"]

NAMESPACES = "leave to make network namespaces"
"""Not a program, and needed in the same way."""

_MARK = "requires_program"
_LEFT_OUT = pytest.StashKey[dict[str, int]]()


def requires_program(name: str) -> pytest.MarkDecorator:
    """Marks a test that starts this program."""
    return getattr(pytest.mark, _MARK)(name)  # type: ignore[no-any-return]  # marks are made by attribute


def is_ci(environment: Mapping[str, str]) -> bool:
    return environment.get("CI", "") not in ("", "0", "false")


def missing(item: pytest.Item) -> list[str]:
    """The programs that a test needs and this machine lacks."""
    names = [str(mark.args[0]) for mark in item.iter_markers(_MARK)]
    return [name for name in names if not _is_there(name)]


def _is_there(name: str) -> bool:
    return are_allowed() if name == NAMESPACES else find_program(name) is not None


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{_MARK}(name): starts a program that may not be installed")
    config.stash[_LEFT_OUT] = {}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if is_ci(os.environ):
        return
    left_out = [item for item in items if missing(item)]
    for item in left_out:
        for name in missing(item):
            counts = config.stash[_LEFT_OUT]
            counts[name] = counts.get(name, 0) + 1
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for name in missing(item):
        pytest.fail(f"this test needs {name}, which is not here; install it, or unset CI to leave the test out")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for name, count in config.stash[_LEFT_OUT].items():
        terminalreporter.write_line(f"LEFT OUT: {count} tests, because there is no {name} here", yellow=True)
