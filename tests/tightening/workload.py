"""Workloads with known needs, made by the gate's own code against a store and an audit trail in memory."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from keyscope.authority.bootstrap import bootstrap
from keyscope.authority.evidence import Evidence, gather
from keyscope.authority.ledger import Ledger
from keyscope.authority.mint import Minted, Minting, Wanted
from keyscope.authority.recording import Recording
from keyscope.authority.suggestion import Suggestion, suggest
from keyscope.authority.tightening import Tightening
from keyscope.authority.verify import Verifier
from keyscope.gate.admit import admit_with, first_look, is_judged_by_body, let_through
from keyscope.model.body import Json, JsonPath
from keyscope.model.decision import Allow
from keyscope.model.event import Origin
from keyscope.model.key import Lineage
from keyscope.model.scope import Level, Scope
from keyscope.model.secret import Secret
from keyscope.model.token import Kind
from keyscope.policy.document import load
from keyscope.policy.own import with_own_operations
from keyscope.store.memory import MemoryStore
from keyscope.store.trail_open import memory_trail
from keyscope.wire.call import Call
from tests.laws.seams import HandClock, SeededEntropy

POLICY = with_own_operations(load("runloop"))
TABLE = POLICY.table()
OPERATIONS = {row.id: row for row in POLICY.operations}
OF_THE_API = [row for row in POLICY.operations if not row.is_own]


class Work(Struct, frozen=True):
    """One call of a workload."""

    method: str
    path: str
    body: Json = None

    def needs(self) -> dict[str, Level]:
        """What it needs, straight from the rows of the policy."""
        route = TABLE.find(self.method, self.path)
        assert route is not None
        rows = [scope for row in route.operations for scope in row.needs]
        rows += [c.needs for row in route.operations for c in row.body if c.triggers(self.body)]
        return {scope.resource: max(s.level for s in rows if s.resource == scope.resource) for scope in rows}


def needed(calls: list[Work]) -> tuple[Scope, ...]:
    """The least scopes for all of them: per type the highest level that one of them needs."""
    levels: dict[str, Level] = {}
    for call in calls:
        for resource, level in call.needs().items():
            levels[resource] = max(level, levels.get(resource, Level.NONE))
    return tuple(sorted(Scope(resource, level) for resource, level in levels.items() if level))


def body_for(path: JsonPath) -> Json:
    """The smallest body in which the path selects something."""
    made: Json = "x"
    for step in reversed(path.steps):
        made = [made] if step == "[*]" else {"any" if step == ".*" else step: made}
    return made


class Bench:
    """An account with its keys, a gate, and what the gate wrote down."""

    def __init__(self) -> None:
        self.clock = HandClock()
        self.store = MemoryStore()
        self._entropy = SeededEntropy()
        first = bootstrap(self.store, self.clock, self._entropy)
        assert first is not None
        self.trail = memory_trail()
        ledger = Ledger()
        self.verifier = Verifier(self.store.open_index(), TABLE, self.clock, set(), ledger)
        self._recording = Recording(self.trail, ledger, self.clock)
        self._minting = Minting(self.store, self.clock, self._entropy)
        self.tightening = Tightening(self.store, self.clock)
        self.owner = self.line(first.secret)

    def line(self, secret: Secret) -> Lineage:
        return self.verifier.find(secret.reveal().encode())

    def mint(self, scopes: tuple[Scope, ...], by: Lineage | None = None) -> Minted:
        made: list[Minted] = []

        def render(minted: Minted) -> bytes:
            made.append(minted)
            return b""

        self._minting.mint(by or self.owner, Wanted(kind=Kind.RESTRICTED, scopes=scopes), Origin(), render)
        return made[0]

    def call(self, secret: Secret | str, work: Work) -> Allow | Any:
        """As the built-in gate does it: an Allow, or the refusal."""
        text = secret.reveal() if isinstance(secret, Secret) else secret
        headers = [(b"authorization", f"Bearer {text}".encode())]
        call = Call(method=work.method, path=work.path, query=b"", headers=headers, peer="127.0.0.1")
        outcome = first_look(self.verifier, call)
        if not isinstance(outcome, Allow):
            return outcome
        if not is_judged_by_body(outcome):
            return let_through(self.verifier, outcome, call)
        return admit_with(self.verifier, outcome, call, work.body)

    def evidence(self, key_id: str, since_ms: int = 0) -> Evidence:
        self._recording.write(self._recording.take())
        return gather(self.store, self.trail, self.owner, key_id, since_ms, self.clock.now_ms())

    def suggest(self, key_id: str, since_ms: int = 0) -> Suggestion:
        return suggest(self.evidence(key_id, since_ms), OPERATIONS)
