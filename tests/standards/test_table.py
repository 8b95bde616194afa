"""The tables of docs/standards.md name tests that exist, and every test file of these standards is named there."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs" / "standards.md").read_text()
_TEST = re.compile(r"^def (test_\w+)", re.MULTILINE)
DEFINED = {path.name: set(_TEST.findall(path.read_text())) for path in HERE.glob("test_*.py")}


def test_every_named_test_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    assert named - set().union(*DEFINED.values()) == set()


def test_every_standard_has_its_tests_in_the_tables() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    for standard in ("rfc7662", "rfc7009", "rfc8414", "authzen", "authzen_search", "authlib"):
        assert DEFINED[f"test_{standard}.py"] & named, standard
