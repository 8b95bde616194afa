"""A row of a result, its target, and how both are written."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct


class Missing(Exception):
    """Something that a measurement needs is not there: what, and how to have it. It is then left out, and said so."""


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


class Point(NamedTuple):
    """Where a row stands on a curve."""

    curve: str
    x: float


class Row(Struct, frozen=True):
    """One measured number; none where it could not be had, and then the note says why."""

    what: str
    value: float | None
    unit: str
    target: Target = Target()
    note: str = ""
    point: Point | None = None

    @property
    def verdict(self) -> str:
        met = None if self.value is None else self.target.met(self.value)
        return {True: "met", False: "**missed**", None: ""}[met]

    @property
    def aim(self) -> str:
        return "" if self.value is None else str(self.target)

    @property
    def shown(self) -> str:
        return "left out" if self.value is None else f"{figures(self.value)} {self.unit}"


def left_out(what: str, why: object) -> Row:
    """The row of something that this machine has not."""
    return Row(what, None, "", note=str(why))


class Part(Struct, frozen=True):
    """The rows of one part, what their notes are about, and how long it took."""

    name: str
    about: str
    rows: list[Row]
    took_s: float
    notes: str = "note"


def figures(value: float) -> str:
    """Three significant digits, thousands with commas."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def markdown(parts: Iterable[Part], machine: dict[str, str], quick: bool, plots: Iterable[str] = ()) -> str:
    kind = "A quick run: a look, no measurement." if quick else "Measured in full rounds."
    lines = ["# Results", "", f"{kind} Made by `make bench`; how and why: docs/performance.md.", ""]
    lines += [f"- {name}: {value}" for name, value in machine.items()]
    for plot in plots:
        lines += ["", f"![{plot}]({plot}.svg)"]
    for part in parts:
        lines += ["", f"## {part.name}", "", part.about, "", *_table(part)]
    return "\n".join(lines) + "\n"


def _table(part: Part) -> list[str]:
    if any(row.note for row in part.rows):
        lines = [f"| what | measured | target | | {part.notes} |", "|---|---|---|---|---|"]
        return lines + [f"| {row.what} | {row.shown} | {row.aim} | {row.verdict} | {row.note} |" for row in part.rows]
    lines = ["| what | measured | target | |", "|---|---|---|---|"]
    return lines + [f"| {row.what} | {row.shown} | {row.aim} | {row.verdict} |" for row in part.rows]


def write(
    directory: Path, parts: list[Part], machine: dict[str, str], plots: Iterable[str], *, quick: bool = False
) -> None:
    """``results.md`` and ``results.json`` of a run, beside its plots."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.md").write_text(markdown(parts, machine, quick=quick, plots=plots))
    content = {"machine": machine, "parts": parts}
    (directory / "results.json").write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n")
