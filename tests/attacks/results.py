"""All rows against one gate, and what each came to: the row's verdict, a stated difference, or a fault.

What may differ between gates is how they refuse. A row that passes where it should not must be stated with all that may
arrive there; and what arrives unclean is a fault that no stated difference covers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.attacks.clean import unclean
from tests.attacks.differences import BETWEEN_GATES, GateDifference, Kind
from tests.attacks.gates import Front, Gate
from tests.attacks.outcome import Outcome
from tests.attacks.rows import PROXY, Row, rows_for
from tests.attacks.runner import Runner, Trial, WrongVerdict
from tests.attacks.verdicts import holds


@dataclass(frozen=True)
class Result:
    """``kind`` is None for the row's own verdict; ``fault`` is None if all is well."""

    row: Row
    kind: Kind | None
    fault: str | None


def run_rows(
    gate: Gate, front: Front, rows: Iterable[Row] | None = None, settle: Callable[[], object] | None = None
) -> list[Result]:
    """Send the rows (all that apply to a gate) to a gate that runs; ``settle`` is called before each."""
    runner = Runner(front.live, front.upstream, front.port, settle)
    try:
        return [_judged(gate, runner, row) for row in (rows_for(PROXY) if rows is None else rows)]
    finally:
        runner.close()


def _judged(gate: Gate, runner: Runner, row: Row) -> Result:
    stated = stated_for(gate.name, row.id)
    try:
        trial = runner.attempt(row, PROXY)
    except WrongVerdict as wrong:
        return Result(row, None, str(wrong))
    kind = _kind(trial)
    fault = never_right(gate, trial) or _unstated(kind, stated, trial.case.outcome)
    if fault is not None and trial.answer is not None:
        fault = f"{fault}; {trial.answer}"
    return Result(row, kind, None if fault is None else f"{row.id}: {fault}; {trial.case.outcome}. {row.why}")


def stated_for(gate: str, row_id: str) -> GateDifference | None:
    """The difference that is stated for this row on this gate."""
    return next((d for d in BETWEEN_GATES if gate in d.gates and row_id in d.rows), None)


def never_right(gate: Gate, trial: Trial) -> str | None:
    """What no difference excuses."""
    if not trial.case.outcome.serves:
        return "an honest call behind it did not arrive"
    return trial.arrival or unclean(trial.case, gate.credential)


def _kind(trial: Trial) -> Kind | None:
    """How the outcome differs from what the row wants, judged by what happened alone."""
    row, outcome = trial.case.row, trial.case.outcome
    if any(holds(word, trial.case) for word in row.verdicts):
        return None if trial.answer is None else Kind.OTHER_WORDS
    if outcome.touched:
        return Kind.PASSES
    if not _refused(outcome):
        return Kind.ANSWERED
    return Kind.STRICTER if set(row.verdicts) <= {"allow", "per-request"} else Kind.OTHER_STATUS


def _refused(outcome: Outcome) -> bool:
    return outcome.cut_off or (bool(outcome.replies) and all(reply.status >= 400 for reply in outcome.replies))


def _unstated(kind: Kind | None, stated: GateDifference | None, outcome: Outcome) -> str | None:
    wanted = stated.kind if stated is not None else None
    if kind is not wanted:
        return f"{kind or 'the same verdict'}, but stated is {wanted or 'no difference'}"
    if kind is Kind.PASSES and stated is not None and _arrived(outcome) != stated.arrives:
        return f"what arrives is not {stated.arrives}"
    return None


def _arrived(outcome: Outcome) -> tuple[str, ...]:
    whole = (f"{seen.method} {seen.target}" for seen in outcome.reached)
    return (*whole, *(f"a part of {cut}" for cut in outcome.cut))
