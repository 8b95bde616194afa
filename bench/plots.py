"""Pictures of a run, drawn from its rows: the cost of a decision, the gates' ratios, and what grows with the keys.

The same rows give the same bytes: no dates, no random names, the fonts as paths. The ground is white, so that they can
be read in a dark page too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from bench.report import Missing, Part, Row, figures

_OURS, _OTHERS = "#1b6ca8", "#9aa5b1"
_TARGET = "#c0392b"
_SETTINGS = {
    "svg.hashsalt": "keyscope",
    "svg.fonttype": "path",
    "font.size": 9,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_WIDTH_IN = 8.0
_BAR_IN = 0.32
_DPI = 110


def draw(parts: Iterable[Part], directory: Path) -> list[str]:
    """Writes what the rows allow, as SVG and PNG, and gives their names. Raises Missing without matplotlib."""
    try:
        import matplotlib
        from matplotlib import pyplot
    except ModuleNotFoundError:
        raise Missing("plots need matplotlib (make bench installs it)") from None
    matplotlib.use("agg")
    matplotlib.rcParams.update(_SETTINGS)
    directory.mkdir(parents=True, exist_ok=True)
    rows = {part.name: [row for row in part.rows if row.value is not None] for part in parts}
    drawn = []
    for name, figure in _figures(pyplot, rows):
        figure.savefig(directory / f"{name}.svg", bbox_inches="tight", metadata={"Date": None})
        figure.savefig(directory / f"{name}.png", bbox_inches="tight", dpi=_DPI, metadata={"Software": None})
        pyplot.close(figure)
        drawn.append(name)
    return drawn


def _figures(pyplot: Any, rows: dict[str, list[Row]]) -> Iterable[tuple[str, Any]]:
    if costs := [row for row in rows.get("libraries", []) if row.unit == "µs"]:
        yield "decision-cost", _bars(pyplot, costs, "one decision in process, µs of processor time", beside=True)
    if gates := [row for row in rows.get("proxies", []) if _is_ratio(row)]:
        yield "gates", _bars(pyplot, gates, "requests per second ÷ the same proxy asking nobody", beside=False)
    if points := [row for row in rows.get("scale", []) if row.point is not None]:
        yield "scale", _curves(pyplot, points)


def _is_ratio(row: Row) -> bool:
    return row.unit == "times" and not row.what.startswith("plain ") and "processor" not in row.what


def _bars(pyplot: Any, rows: Sequence[Row], about: str, *, beside: bool) -> Any:
    """The rows from the top, a target as a mark; ``beside`` others, Keyscope's alone in colour, on a log axis."""
    figure, axes = pyplot.subplots(figsize=(_WIDTH_IN, 0.8 + _BAR_IN * len(rows)))
    names, values = [row.what for row in rows], [row.value or 0 for row in rows]
    colours = [_OTHERS if beside and not name.startswith("Keyscope") else _OURS for name in names]
    bars = axes.barh(names, values, color=colours)
    axes.bar_label(bars, [figures(value) for value in values], padding=3)
    for place, row in enumerate(rows):
        if row.target.sign:
            axes.plot([row.target.bound] * 2, [place - 0.4, place + 0.4], color=_TARGET, linewidth=1.5)
    if beside:
        axes.set_xscale("log")
        axes.set_xlim(1, max(values) * 3)
    else:
        axes.margins(x=0.12)
    axes.invert_yaxis()
    axes.set_xlabel(about)
    return figure


def _curves(pyplot: Any, rows: Sequence[Row]) -> Any:
    """A small picture for each curve, the number of keys on a logarithmic axis."""
    curves = [(curve, list(some)) for curve, some in groupby(rows, key=lambda row: row.point and row.point.curve)]
    columns = 4
    lines = -(-len(curves) // columns)
    figure, grid = pyplot.subplots(lines, columns, figsize=(_WIDTH_IN * 1.5, 2.2 * lines), squeeze=False)
    for axes in grid.flat[len(curves) :]:
        axes.set_visible(False)
    for axes, (curve, some) in zip(grid.flat, curves, strict=False):
        axes.plot([row.point.x for row in some if row.point], [row.value for row in some], "o-", color=_OURS)
        axes.set_xscale("log")
        axes.set_ylim(0, 1.15 * max(row.value or 0 for row in some))
        axes.set_title(f"{curve}, {some[0].unit}", fontsize=7)
    figure.supxlabel("keys")
    figure.tight_layout()
    return figure
