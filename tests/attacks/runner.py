"""Send a row to a live server and judge what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from tests.attacks import h1, h2c
from tests.attacks.assertions import after_fault, response_fault, upstream_fault
from tests.attacks.fixtures import Cast, World, now_ms
from tests.attacks.message import compose, h2_fields, raw_bytes
from tests.attacks.outcome import Outcome, Reply
from tests.attacks.rows import BY_ID, FORWARD_AUTH, IN_FRONT, Row
from tests.attacks.verdicts import Case, holds
from tests.live import Live
from tests.recorder import Seen

MARKER = "/v1/devboxes/dbx_marker"
"""An honest call of the runner's own, behind each row. Once it has arrived, so has whatever came before it."""


@dataclass(frozen=True)
class Trial:
    """A row that was sent. ``arrival`` is what is wrong with what reached the upstream, ``answer`` with the answer."""

    case: Case
    arrival: str | None
    answer: str | None

    @property
    def faults(self) -> list[str]:
        return [fault for fault in (self.arrival, self.answer) if fault is not None]


class Upstream(Protocol):
    """What notes what arrives: a Recorder, or something that is like one."""

    partial: list[str]
    begun: list[str]

    def take(self) -> list[Seen]: ...

    def settle(self) -> None: ...


def _at_once() -> None:
    """Nothing to wait for."""


class WrongVerdict(AssertionError):
    """A row got another verdict than it should, or what it asserts does not hold."""


class Runner:
    """Rows against one server. A row with steps before it gets keys of its own; the others share one set."""

    def __init__(
        self, live: Live, upstream: Upstream, port: int | None = None, settle: Callable[[], object] | None = None
    ) -> None:
        """``port`` is where the gate listens, if another program than Keyscope's server is the gate. ``settle`` is
        called when all keys of a row are made, before it is sent.
        """
        self._upstream = upstream
        self._settle = settle or _at_once
        self._port = live.port if port is None else port
        self._host = f"127.0.0.1:{self._port}"
        self._world = World(live)
        self._cast = Cast(self._world)

    def close(self) -> None:
        self._world.close()

    def run(self, row: Row, face: str, verdicts: tuple[str, ...] = ()) -> None:
        """Raise WrongVerdict if the row does not get one of its verdicts, or of those given instead."""
        trial = self.attempt(row, face)
        wanted = verdicts or row.verdicts
        if not any(holds(word, trial.case) for word in wanted):
            raise WrongVerdict(f"{row.id} on {face}: not {' or '.join(wanted)} but {trial.case.outcome}. {row.why}")
        if trial.faults:
            raise WrongVerdict(f"{row.id} on {face}: {trial.faults[0]}; {trial.case.outcome}")

    def attempt(self, row: Row, face: str) -> Trial:
        """Do what comes before, send the row, and look at everything that it asserts beside its verdict."""
        own = row.prime or row.assert_after or row.key == "expires-at-now"
        cast = Cast(self._world) if own else self._cast
        earlier = self._do_steps(row, face, cast)
        events = self._world.events(self._world.account)
        case = self._case(row, face, cast)
        return Trial(
            case, upstream_fault(case) if face in IN_FRONT else None, self._answer_fault(case, earlier, events)
        )

    def _case(self, row: Row, face: str, cast: Cast) -> Case:
        self._clear()
        if row.raw_request is not None:
            request, sent = None, raw_bytes(row, self._host, cast)
            self._settle()
            outcome = h1.exchange(self._port, sent)
        elif row.proto == "h2":
            body = row.body.encode(row.encoding) if row.body is not None else None
            request, fields = None, h2_fields(row, self._host, cast)
            self._settle()
            outcome = h2c.exchange(self._port, fields, body)
        else:
            request = compose(row, face, self._host, cast)
            head = request.method == "HEAD"
            self._settle()
            outcome = h1.exchange(self._port, request.bytes(), head, lambda: _wait_for(row, cast))
        if face in IN_FRONT:
            self._send_marker()
        return Case(row, face, request, self._with_upstream(outcome), self._world, cast)

    def _clear(self) -> None:
        self._upstream.take()
        self._upstream.partial.clear()

    def _send_marker(self) -> None:
        first = self._world.live.first
        lines = [f"GET {MARKER} HTTP/1.1", f"Host: {self._host}", f"Authorization: Bearer {first}"]
        h1.exchange(self._port, "\r\n".join([*lines, "Connection: close", "", ""]).encode())

    def _with_upstream(self, outcome: Outcome) -> Outcome:
        self._upstream.settle()
        arrived = self._upstream.take()
        reached = tuple(seen for seen in arrived if seen.target != MARKER)
        cut = (*self._upstream.partial, *self._upstream.begun)
        return replace(outcome, reached=reached, cut=cut, serves=len(arrived) == len(reached) + 1)

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

    def _answer_fault(self, case: Case, earlier: Reply | None, events: int) -> str | None:
        if case.face == FORWARD_AUTH:
            return None  # there, nginx writes the answer
        return response_fault(case) or after_fault(case) or self._compared(case, earlier, events)

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
