"""The life of held calls as a state machine, against a model: whatever happens in whatever order, each is sent at most
once, and only if it was approved or its delay has passed, and nobody refused it before.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from keyscope.authority.boxes import Box
from keyscope.authority.holds import Asked, Given, Holds, Request
from keyscope.authority.mint import Minted, Wanted, draw
from keyscope.authority.ports import Account
from keyscope.errors import HoldSettled
from keyscope.model.event import Origin
from keyscope.model.held import Held, HeldState, Terms
from keyscope.model.key import Lineage
from keyscope.model.token import Kind
from keyscope.store.memory import MemoryStore
from tests.laws.seams import HandClock, SeededEntropy

WAIT_MS = 10
ENDS = (HeldState.DONE, HeldState.FAILED, HeldState.DENIED, HeldState.UNKNOWN)


@dataclass
class Known:
    """What the model knows of a call. ``until`` is its deadline, or when it goes on."""

    is_delay: bool
    until: int
    approved: bool = False
    refused: bool = False
    sent: int = 0

    def may_be_sent(self, now: int) -> bool:
        return not self.refused and (self.approved or (self.is_delay and now >= self.until))


class HeldCalls(RuleBasedStateMachine):
    """Two workers on one store, a standard key, and a key whose calls are held."""

    calls = Bundle("calls")
    claimed = Bundle("claimed")

    @initialize()
    def begin(self) -> None:
        self.clock, self.store, entropy = HandClock(), MemoryStore(), SeededEntropy()
        box = Box(b"k" * 32, b"test")
        self.workers = [Holds(self.store, self.clock, entropy, box) for _ in range(2)]
        self.store.write(lambda writer: writer.add_account(Account("acct_1", "One", 1)))
        self.first = self._minted(draw(Wanted(kind=Kind.STANDARD), "acct_1", None, 1, entropy), None)
        wanted = Wanted(kind=Kind.RESTRICTED)
        self.agent = self._minted(draw(wanted, "acct_1", self.first, 1, entropy), self.first)
        self.known: dict[str, Known] = {}
        self.number = 0

    def _minted(self, minted: Minted, parent: Lineage | None) -> Lineage:
        self.store.write(lambda writer: writer.add_key(minted.key))
        return Lineage(minted.key, parent)

    @rule(target=calls, is_delay=st.booleans(), worker=st.integers(0, 1))
    def hold(self, is_delay: bool, worker: int) -> str:
        self.number += 1
        asked = Asked(
            operation="shutdownDevbox",
            method="POST",
            target=f"/v1/devboxes/dbx_{self.number}/shutdown",
            request=Request([(b"accept", b"*/*")], b"{}", "127.0.0.1"),
            request_id=None,
        )
        terms = Terms(WAIT_MS, is_delay)
        held = self.workers[worker].hold(self.agent, asked, terms, Origin())
        again = self.workers[1 - worker].hold(self.agent, asked, terms, Origin())
        assert (again.id, held.state) == (held.id, HeldState.HELD)
        self.known[held.id] = Known(is_delay, self.clock.at_ms + WAIT_MS)
        return held.id

    @rule(held_id=calls, worker=st.integers(0, 1))
    def approve(self, held_id: str, worker: int) -> None:
        call = self.known[held_id]
        try:
            self.workers[worker].approve(self.first, held_id, None, None, Origin())
        except HoldSettled:
            assert call.refused or self.clock.at_ms >= call.until
        else:
            assert not call.refused
            call.approved = True

    @rule(held_id=calls, by_maker=st.booleans(), worker=st.integers(0, 1))
    def refuse(self, held_id: str, by_maker: bool, worker: int) -> None:
        call = self.known[held_id]
        try:
            self.workers[worker].refuse(self.agent if by_maker else self.first, held_id, "no", Origin())
        except HoldSettled:
            assert call.approved or call.refused or self.clock.at_ms >= call.until
        else:
            assert not call.approved
            assert not call.sent
            call.refused = True

    @rule(ms=st.sampled_from([1, WAIT_MS, 200_000]))
    def wait(self, ms: int) -> None:
        self.clock.at_ms += ms

    @rule(target=claimed, held_id=calls, worker=st.integers(0, 1))
    def claim(self, held_id: str, worker: int) -> Held | None:
        call = self.known[held_id]
        held = self.workers[worker].claim(held_id)
        if held is not None:
            call.sent += 1
            assert call.may_be_sent(self.clock.at_ms)
        elif not call.is_delay and not call.approved and self.clock.at_ms >= call.until:
            call.refused = True
        return held

    @rule(held=consumes(claimed), state=st.sampled_from(ENDS), worker=st.integers(0, 1))
    def finish(self, held: Held | None, state: HeldState, worker: int) -> None:
        if held is None:
            return
        given = Given(200, "application/json", b"{}", True) if state is HeldState.DONE else None
        ended = self.workers[worker].finish(held, state, "why", given)
        assert ended.state is state
        assert self.workers[worker].given(ended) == given

    @invariant()
    def each_is_sent_at_most_once_and_never_if_it_was_refused(self) -> None:
        for held_id, call in getattr(self, "known", {}).items():
            held = self.store.read(lambda reader, held_id=held_id: reader.held_by_id(held_id))  # type: ignore[misc]
            assert call.sent <= 1
            assert not (call.refused and call.sent)
            assert held is not None
            assert self.workers[0].request(held).body == b"{}"
            assert (held.state in (*ENDS, HeldState.RUNNING)) is bool(call.sent)


TestHeldCalls = HeldCalls.TestCase
TestHeldCalls.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
