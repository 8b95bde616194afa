"""Send a row to a live server and judge what came of it."""

from __future__ import annotations

import time
from dataclasses import replace

from tests.attacks import h1, h2c
from tests.attacks.assertions import after_fault, response_fault, upstream_fault
from tests.attacks.fixtures import Cast, World, now_ms
from tests.attacks.message import compose, h2_fields, raw_bytes
from tests.attacks.outcome import Outcome, Reply
from tests.attacks.rows import BY_ID, FORWARD_AUTH, PROXY, Row
from tests.attacks.verdicts import Case, holds
from tests.live import Live
from tests.recorder import Recorder

_SETTLE_S = 0.05
"""How long something may still be on its way to the upstream once the caller's connection is closed."""


class WrongVerdict(AssertionError):
    """A row got another verdict than it should, or what it asserts does not hold."""


class Runner:
    """Rows against one server. A row with steps before it gets keys of its own; the others share one set."""

    def __init__(self, live: Live, upstream: Recorder) -> None:
        self._live = live
        self._upstream = upstream
        self._host = f"127.0.0.1:{live.port}"
        self._world = World(live)
        self._cast = Cast(self._world)

    def close(self) -> None:
        self._world.close()

    def run(self, row: Row, face: str, verdicts: tuple[str, ...] = ()) -> None:
        """Raise WrongVerdict if the row does not get one of its verdicts, or of those given instead."""
        own = row.prime or row.assert_after or row.key == "expires-at-now"
        cast = Cast(self._world) if own else self._cast
        earlier = self._do_steps(row, face, cast)
        events = self._world.events(self._world.account)
        case = self._case(row, face, cast)
        wanted = verdicts or row.verdicts
        if not any(holds(word, case) for word in wanted):
            raise WrongVerdict(f"{row.id} on {face}: not {' or '.join(wanted)} but {case.outcome}. {row.why}")
        self._check_assertions(case, earlier, events)

    def _case(self, row: Row, face: str, cast: Cast) -> Case:
        self._clear()
        if row.raw_request is not None:
            request, outcome = None, h1.exchange(self._live.port, raw_bytes(row, self._host, cast))
        elif row.proto == "h2":
            body = row.body.encode(row.encoding) if row.body is not None else None
            request, outcome = None, h2c.exchange(self._live.port, h2_fields(row, self._host, cast), body)
        else:
            request = compose(row, face, self._host, cast)
            head = request.method == "HEAD"
            outcome = h1.exchange(self._live.port, request.bytes(), head, lambda: _wait_for(row, cast))
        return Case(row, face, request, self._with_upstream(outcome), self._world, cast)

    def _clear(self) -> None:
        self._upstream.take()
        self._upstream.partial.clear()

    def _with_upstream(self, outcome: Outcome) -> Outcome:
        if not outcome.replies:
            time.sleep(_SETTLE_S)
        return replace(outcome, reached=tuple(self._upstream.take()), cut=tuple(self._upstream.partial))

    def _do_steps(self, row: Row, face: str, cast: Cast) -> Reply | None:
        """Do what comes before; the answer of the last request among it."""
        last: Reply | None = None
        for step in row.prime:
            if step.method == "SLEEP":
                time.sleep(float(step.raw_path))
            elif step.method == "NARROW":
                cast.narrow(*step.key.split("->"))
            else:
                case = self._case(row.as_row(step), face, cast)
                if not holds(step.expect, case):
                    raise WrongVerdict(f"{case.row.id} on {face}: not {step.expect} but {case.outcome}")
                last = case.outcome.reply
        return last

    def _check_assertions(self, case: Case, earlier: Reply | None, events: int) -> None:
        faults = []
        if case.face == PROXY:
            faults.append(upstream_fault(case))
        if case.face != FORWARD_AUTH:  # there, nginx writes the answer
            faults += [response_fault(case), after_fault(case), self._compared(case, earlier, events)]
        for fault in faults:
            if fault is not None:
                raise WrongVerdict(f"{case.row.id} on {case.face}: {fault}; {case.outcome}")

    def _compared(self, case: Case, earlier: Reply | None, events: int) -> str | None:
        """Assertions that need another answer, or the audit trail from before."""
        asserted, reply = case.row.assert_response, case.outcome.reply
        if asserted.keys() & {"same_body_as", "json_differs_from_prime"} and reply is None:
            return "no answer to compare"
        for other in asserted.get("same_body_as", ()):
            theirs = self._case(BY_ID[other], case.face, case.cast).outcome.reply
            if theirs is None or reply is None or theirs.body != reply.body:
                return f"another answer than {other}"
        for name in asserted.get("json_differs_from_prime", ()):
            if reply is not None and earlier is not None and reply.json().get(name) == earlier.json()[name]:
                return f"the same {name} as before"
        if "audit_lines_added" in asserted:
            wanted = asserted["audit_lines_added"] if case.outcome.status == 200 else 0
            added = self._world.events(self._world.account) - events
            return None if added == wanted else f"{added} events were added"
        return None


def _wait_for(row: Row, cast: Cast) -> None:
    """For the key that expires now: send at that very millisecond, with the connection already open."""
    if row.key == "expires-at-now":
        expires_at_ms = cast[row.key].expires_at_ms
        assert expires_at_ms is not None
        while now_ms() < expires_at_ms:
            pass
