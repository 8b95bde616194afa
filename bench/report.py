"""A row of a result, its target, and how both are written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct


class Target(NamedTuple):
    """What a row should be. Without a bound it is for information."""

    sign: str = ""
    bound: float = 0

    def met(self, value: float) -> bool | None:
        if not self.sign:
            return None
        return value <= self.bound if self.sign == "≤" else value >= self.bound

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:g}" if self.sign else "for information"


def at_most(bound: float) -> Target:
    return Target("≤", bound)


def at_least(bound: float) -> Target:
    return Target("≥", bound)


def known() -> Target:
    """No target: the row is for comparison."""
    return Target()


class Row(Struct, frozen=True):
    """One measured number."""

    what: str
    value: float
    unit: str
    target: Target = Target()

    @property
    def verdict(self) -> str:
        return {True: "met", False: "**missed**", None: ""}[self.target.met(self.value)]

    @property
    def shown(self) -> str:
        return f"{figures(self.value)} {self.unit}"


class Part(Struct, frozen=True):
    """The rows of one part, and how long it took."""

    name: str
    about: str
    rows: list[Row]
    took_s: float


def figures(value: float) -> str:
    """Three significant digits, thousands with commas."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def markdown(parts: Iterable[Part], machine: dict[str, str], quick: bool) -> str:
    kind = "A quick run: a look, no measurement." if quick else "A full run."
    lines = ["# Results", "", f"{kind} Made by `make bench`; how and why: docs/performance.md.", ""]
    lines += [f"- {name}: {value}" for name, value in machine.items()]
    for part in parts:
        lines += ["", f"## {part.name}", "", part.about, ""]
        lines += ["| what | measured | target | |", "|---|---|---|---|"]
        lines += [f"| {row.what} | {row.shown} | {row.target} | {row.verdict} |" for row in part.rows]
    return "\n".join(lines) + "\n"


def write(directory: Path, parts: list[Part], machine: dict[str, str]) -> None:
    """``results.md`` and ``results.json`` of a full run."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.md").write_text(markdown(parts, machine, quick=False))
    content = {"machine": machine, "parts": parts}
    (directory / "results.json").write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
