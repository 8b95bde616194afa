"""Every attack row gets the same verdict at every gate, or a difference that is stated and safe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.attacks.broken.configurations import BROKEN, Broken
from tests.attacks.differences import BETWEEN_GATES
from tests.attacks.gates import GATE, GATES, Gate, Place
from tests.attacks.report import PAGE, column_in, column_of, page
from tests.attacks.results import Result, run_rows
from tests.attacks.rows import BY_ID, PROXY, rows_for
from tests.programs import requires_program
from tests.recorder import Recorder


def _marks(gate: Gate) -> list[pytest.MarkDecorator]:
    return [requires_program(name) for name in gate.programs]


@pytest.fixture(scope="module", params=[pytest.param(gate, id=gate.name, marks=_marks(gate)) for gate in GATES])
def gate(request: pytest.FixtureRequest) -> Gate:
    found: Gate = request.param
    return found


@pytest.fixture(scope="module")
def results(gate: Gate, upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[list[Result]]:
    """Every row that applies to a gate, sent to this one."""
    with gate.start(Place(upstream, new_directory)) as front:
        yield run_rows(gate, front)


def test_no_row_gets_through_that_should_not_and_none_differs_unstated(results: list[Result]) -> None:
    assert [result.fault for result in results if result.fault is not None] == []
    assert len(results) == len(rows_for(PROXY))


def test_the_page_says_what_the_run_found(gate: Gate, results: list[Result]) -> None:
    assert column_in(PAGE.read_text(), gate.name) == column_of(results), "run python -m tests.attacks.report"


def test_the_page_states_the_differences() -> None:
    _, _, stated = PAGE.read_text().partition("\n## ")
    _, _, written = page({}).partition("\n## ")
    assert stated == written, "run python -m tests.attacks.report"


def test_a_difference_names_gates_and_rows_that_exist_and_each_row_once_a_gate() -> None:
    named = [(gate, row) for d in BETWEEN_GATES for gate in d.gates for row in d.rows]
    assert len(named) == len(set(named))
    assert {gate for gate, _ in named} <= GATE.keys()
    assert {row for _, row in named} <= {row.id for row in rows_for(PROXY)}


@pytest.mark.parametrize(
    "broken",
    [pytest.param(b, id=f"{b.gate}: {b.name}", marks=_marks(GATE[b.gate])) for b in BROKEN],
)
def test_a_broken_configuration_is_caught(
    broken: Broken, upstream: Recorder, new_directory: Callable[[], Path]
) -> None:
    gate = GATE[broken.gate]
    with gate.start(Place(upstream, new_directory, broken.edit)) as front:
        results = run_rows(gate, front, [BY_ID[row_id] for row_id in broken.rows], front.settle)
    assert [result.row.id for result in results if result.fault is None] == [], "these rows did not notice"
