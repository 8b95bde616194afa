"""Broken configurations of the proxies, from tests/data/attacks/broken_configurations.yaml, and rows that notice.

What is replaced must stand in the text, so that a defence which is no longer there by that name fails the test as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

_FILE = Path(__file__).parents[2] / "data" / "attacks" / "broken_configurations.yaml"


@dataclass(frozen=True)
class Broken:
    """The first of each pair is replaced by the second wherever it stands. Every row must notice."""

    gate: str
    name: str
    rows: tuple[str, ...]
    swaps: tuple[tuple[str, str], ...]

    def edit(self, text: str) -> str:
        """The configuration without this defence."""
        for find, put in self.swaps:
            assert find in text, f"{self.gate}: {find!r} is not in the configuration"
            text = text.replace(find, put)
        return text


BROKEN = tuple(
    Broken(entry["gate"], entry["name"], tuple(entry["rows"]), tuple((find, put) for find, put in entry["swaps"]))
    for entry in yaml.safe_load(_FILE.read_text("utf-8"))
)
