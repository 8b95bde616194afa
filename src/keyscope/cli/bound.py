"""What a key is bound to beyond its scopes, in lines for people: its run, restrictions, and what of them is spent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from keyscope.cli.output import moment
from keyscope.cli.restricting import described

Json = Mapping[str, Any]


def bound_pairs(
    key_id: str, run: Json | None, bounds: Sequence[Json], spent: Sequence[Json] | None
) -> Iterator[tuple[str, str]]:
    """``run``, ``bounds`` and ``spent`` as the server describes them, those of the keys above included."""
    yield from _run_pairs(run or {})
    for bound in bounds:
        above = _above(bound, key_id)
        for kind, value in described(bound["restrictions"]):
            yield f"restricted: {kind}", value + above
    for used in spent or ():
        left = "" if used["uses_left"] is None else f", {used['uses_left']} left"
        yield "used", f"{used['uses']} times{left}; {used['parallel']} under way{_above(used, key_id)}"


def _above(one: Json, key_id: str) -> str:
    return "" if one["holder"] == key_id else f" (of {one['holder']})"


def _run_pairs(run: Json) -> Iterator[tuple[str, str]]:
    if run.get("devbox_id"):
        yield "ends with", f"devbox {run['devbox_id']}"
    if run.get("lease_ms"):
        yield "lease", f"until {moment(run['lease_until_ms'])}, {run['lease_ms'] / 1000:g} s each"
