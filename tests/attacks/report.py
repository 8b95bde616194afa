"""The page of results, docs/gates/attacks.md, written from a run: ``python -m tests.attacks.report``.

Each gate has a column, and each column is written by a run against that gate alone; a test holds it to its own run.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path

from tests.attacks.differences import BETWEEN_GATES, GateDifference, Kind
from tests.attacks.gates import GATES, Gate, Place
from tests.attacks.results import Result, run_rows
from tests.attacks.rows import BY_ID, PROXY, rows_for
from tests.recorder import Recorder

PAGE = Path(__file__).parents[2] / "docs" / "gates" / "attacks.md"

_CATEGORIES = tuple(dict.fromkeys(row.category for row in rows_for(PROXY)))
_TOTALS = ("**all**", "same verdict", *(kind.value for kind in Kind))
ROWS = (*_CATEGORIES, *_TOTALS)
"""The lines of the table."""

_INTRODUCTION = """# The same attacks on every gate

Every row of `tests/data/attacks/` that applies to a gate in front of an API is sent over a raw socket to each gate,
started as its guide says. Written by `python -m tests.attacks.report`, and held to the run by
`tests/attacks/test_gates.py`.

A cell of a family is how many of its rows came out as they should, of how many were sent. A gate may differ in *how* it
refuses; nothing passes anywhere that should not, but for what is stated below. Whatever arrives behind a gate must also
be clean: the upstream's own credential, who calls said once and by the gate, no key of Keyscope's, no field by which a
caller could claim something, one length, one host.
"""


def column_of(results: Sequence[Result]) -> list[str]:
    """The cells of one gate."""
    kinds = Counter(result.kind for result in results)
    same = {category: [r.kind is None for r in results if r.row.category == category] for category in _CATEGORIES}
    families = [f"{sum(cells)} of {len(cells)}" for cells in same.values()]
    return [*families, str(len(results)), str(kinds[None]), *(str(kinds[kind]) for kind in Kind)]


def column_in(text: str, gate: str) -> list[str]:
    """The cells of one gate as a page has them."""
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\|.*\|$", text, re.MULTILINE)
    ]
    at = lines[0].index(gate) if gate in lines[0] else 0
    return [line[at] for line in lines[2 : 2 + len(ROWS)]] if at else []


def page(columns: Mapping[str, list[str]]) -> str:
    """The whole page, with these columns by the name of their gate."""
    cells = [[name, *(column[at] for column in columns.values())] for at, name in enumerate(ROWS)]
    lines = [["rows", *columns], ["---"] * (len(columns) + 1), *cells]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([_INTRODUCTION, table, "", *_stated()])


def _stated() -> Iterator[str]:
    yield "## What differs, and why that is safe"
    for kind in Kind:
        found = [difference for difference in BETWEEN_GATES if difference.kind is kind]
        if found:
            yield f"\n### {kind.value[0].upper()}{kind.value[1:]}"
            yield from (_item(difference) for difference in found)
    yield ""


def _item(difference: GateDifference) -> str:
    whys = "; ".join(f"`{row}` ({BY_ID[row].why.rstrip('.')})" for row in difference.rows)
    arrives = f" What arrives: `{', '.join(difference.arrives)}`." if difference.arrives else ""
    return f"- {', '.join(difference.gates)}: {difference.reason}.{arrives} Rows: {whys}."


def _run(gate: Gate, folder: Path) -> list[str]:
    numbers = count(1)

    def new_directory() -> Path:
        directory = folder / f"{gate.name}-{next(numbers)}"
        directory.mkdir()
        return directory

    with Recorder() as upstream, gate.start(Place(upstream, new_directory)) as front:
        results = run_rows(gate, front)
    faults = [result.fault for result in results if result.fault is not None]
    if faults:
        raise SystemExit(f"{gate.name}: nothing is written, because rows failed:\n" + "\n".join(faults))
    return column_of(results)


def main() -> None:
    """Run every gate, and write the page."""
    with tempfile.TemporaryDirectory() as folder:
        PAGE.write_text(page({gate.name: _run(gate, Path(folder)) for gate in GATES}))


if __name__ == "__main__":
    main()
