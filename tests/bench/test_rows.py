"""What the bench says about its rows: missed and left out are said, and what was not measured never looks measured."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from bench.processes import required
from bench.report import Missing, Part, Row, at_least, at_most, known, left_out, markdown, write
from bench.scale import extrapolated

ROWS = [
    Row("fast enough", 2.0, "µs", at_most(2.5)),
    Row("too little", 0.1, "times", at_least(0.28)),
    Row("beside it", 1234.5, "/s", known(), "a note"),
    left_out("not here", "needs wrk"),
]


def test_a_table_says_what_was_met_missed_and_left_out() -> None:
    table = markdown([Part("one", "About it.", ROWS, 1, "why")], {}, quick=False)
    assert "| what | measured | target | | why |" in table
    assert "| fast enough | 2 µs | ≤ 2.5 | met |  |" in table
    assert "| too little | 0.1 times | ≥ 0.28 | **missed** |  |" in table
    assert "| beside it | 1,234 /s | for information |  | a note |" in table
    assert "| not here | left out |  |  | needs wrk |" in table


def test_a_quick_run_never_looks_like_a_full_one(tmp_path: Path) -> None:
    write(tmp_path, [Part("one", "About it.", ROWS, 1)], {}, ["gates"], quick=True)
    said = (tmp_path / "results.md").read_text()
    assert "A quick run: a look, no measurement." in said
    assert "![gates](gates.svg)" in said
    kept = msgspec.json.decode((tmp_path / "results.json").read_bytes())
    assert [row["value"] for row in kept["parts"][0]["rows"]] == [2.0, 0.1, 1234.5, None]


def test_a_program_that_is_not_there_is_named_with_the_way_to_have_it() -> None:
    with pytest.raises(Missing, match="needs no-such-program"):
        required("no-such-program")


def test_ten_million_keys_lie_on_the_line_through_what_was_measured() -> None:
    value, formula = extrapolated([1_000, 10_000, 100_000], [1.0, 10.0, 100.0], 10_000_000, logarithmic=False)
    assert value == pytest.approx(10_000)
    assert formula.endswith("+0.001 · n")
    value, formula = extrapolated([1_000, 10_000, 100_000], [3.0, 4.0, 5.0], 10_000_000, logarithmic=True)
    assert value == pytest.approx(7)
    assert formula.endswith("+1 · log₁₀ n")


def test_more_keys_are_never_said_to_cost_less() -> None:
    value, _ = extrapolated([1_000, 10_000], [5.0, 4.0], 10_000_000, logarithmic=True)
    assert value == 5.0
