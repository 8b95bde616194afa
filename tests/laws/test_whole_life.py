"""Mint, update, revoke, verify and time passing, in any order, against a model so simple that it is plainly right.

The real side is the authority over a real SQLite file; the model is a dictionary. No key may ever do what the model
refuses, and none may be refused what the model allows.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from keyscope.authority.bootstrap import bootstrap
from keyscope.authority.lifecycle import Change, Lifecycle
from keyscope.authority.mint import Minted, Minting, Wanted
from keyscope.authority.verify import Verifier
from keyscope.errors import (
    BadRequest,
    ExceedsParent,
    InvalidToken,
    KeyscopeError,
    OutsideTree,
    StandardKeyRequired,
    StoreUnavailable,
)
from keyscope.model.decision import Allow
from keyscope.model.event import Origin
from keyscope.model.key import Lineage
from keyscope.model.operation import Operation, Table
from keyscope.model.scope import Grant, Level, Scope
from keyscope.model.secret import Secret
from keyscope.model.token import Kind
from keyscope.store.open import open_store
from tests.laws.seams import HandClock, SeededEntropy
from tests.laws.strategies import RESOURCES, scope_sets

TABLE = Table(
    Operation(id=f"{level.word}_{resource}", method="GET", template=f"/{resource}/{level.word}", needs=(need,))
    for resource in RESOURCES
    for level in (Level.READ, Level.WRITE)
    for need in (Scope(resource, level),)
)
LIVES = st.none() | st.integers(1, 50)


@dataclass
class Known:
    """What the model knows of a key."""

    id: str
    secret: Secret
    kind: Kind
    parent: Known | None
    levels: dict[str, Level]
    ends: int | None
    revoked: bool = False

    def line(self) -> list[Known]:
        return [self, *(self.parent.line() if self.parent is not None else [])]

    def alive(self, now: int) -> bool:
        return all(not key.revoked and (key.ends is None or now < key.ends) for key in self.line())

    def may(self, resource: str, level: Level, now: int) -> bool:
        if not self.alive(now):
            return False
        for key in self.line():
            if key.kind is Kind.STANDARD:
                return True
            if key.levels.get(resource, Level.NONE) < level:
                return False
        return True


def levels_of(scopes: tuple[Scope, ...]) -> dict[str, Level]:
    return {scope.resource: scope.level for scope in scopes}


class WholeLife(RuleBasedStateMachine):
    keys: Bundle[Known] = Bundle("keys")

    @initialize(target=keys)
    def begin(self) -> Known:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = HandClock()
        self.entropy = SeededEntropy()
        self.store = open_store(f"sqlite:///{Path(self.folder.name) / 'k.db'}")
        first = bootstrap(self.store, self.clock, self.entropy)
        assert first is not None
        self.account_id = first.key.account_id
        barred: set[str] = set()
        self.index = self.store.open_index()
        self.verifier = Verifier(self.index, TABLE, self.clock, barred)
        self.minting = Minting(self.store, self.clock, self.entropy)
        self.lifecycle = Lifecycle(self.store, self.clock, barred)
        self.known: list[Known] = []
        return self.remember(Known(first.key.id, first.secret, Kind.STANDARD, None, {}, None))

    def remember(self, key: Known) -> Known:
        self.known.append(key)
        return key

    def lineage(self, key: Known) -> Lineage:
        return self.verifier.find(key.secret.reveal().encode())

    @rule(target=keys, parent=keys, kind=st.sampled_from(Kind), scopes=scope_sets, life=LIVES)
    def mint(self, parent: Known, kind: Kind, scopes: tuple[Scope, ...], life: int | None) -> Known:
        now = self.clock.at_ms
        ends = now + life if life is not None else None
        scopes = scopes if kind is Kind.RESTRICTED else ()
        made: list[Minted] = []

        def render(minted: Minted) -> bytes:
            made.append(minted)
            return b""

        wanted = Wanted(kind=kind, scopes=scopes, expires_at_ms=ends)
        allowed = self.model_may_mint(parent, kind, scopes, ends)
        try:
            self.minting.mint(self.lineage(parent), wanted, Origin(), render)
        except (InvalidToken, ExceedsParent, StandardKeyRequired):
            assert not allowed
            return parent
        assert allowed
        [minted] = made
        ends = ends if ends is not None else self.end_of(parent)
        return self.remember(Known(minted.key.id, minted.secret, kind, parent, levels_of(scopes), ends))

    def model_may_mint(self, parent: Known, kind: Kind, scopes: tuple[Scope, ...], ends: int | None) -> bool:
        now = self.clock.at_ms
        inside = all(parent.may(scope.resource, scope.level, now) for scope in scopes if scope.level)
        in_time = ends is None or self.end_of(parent) is None or ends <= (self.end_of(parent) or 0)
        return parent.alive(now) and inside and in_time and (kind is Kind.RESTRICTED or parent.kind is Kind.STANDARD)

    def end_of(self, key: Known) -> int | None:
        return min((above.ends for above in key.line() if above.ends is not None), default=None)

    @rule(actor=keys, subject=keys, scopes=scope_sets)
    def change_scopes(self, actor: Known, subject: Known, scopes: tuple[Scope, ...]) -> None:
        now = self.clock.at_ms
        if subject.kind is Kind.STANDARD:
            return
        above = [actor] + ([subject.parent] if subject.parent is not None else [])
        allowed = (
            actor.alive(now)
            and subject.alive(now)
            and (actor.kind is Kind.STANDARD or actor in subject.line())
            and all(self.covers(key, scopes) for key in above)
        )
        try:
            self.lifecycle.update(self.lineage(actor), subject.kind, subject.id, Change(scopes=scopes), Origin())
        except (InvalidToken, ExceedsParent, OutsideTree, BadRequest):
            assert not allowed
            return
        assert allowed
        subject.levels = levels_of(scopes)

    def covers(self, key: Known, scopes: tuple[Scope, ...]) -> bool:
        return all(key.may(scope.resource, scope.level, self.clock.at_ms) for scope in scopes if scope.level)

    @rule(actor=keys, subject=keys)
    def revoke(self, actor: Known, subject: Known) -> None:
        now = self.clock.at_ms
        allowed = actor.alive(now) and (actor.kind is Kind.STANDARD or actor in subject.line())
        try:
            self.lifecycle.revoke(self.lineage(actor), subject.kind, subject.id, "because", Origin())
        except (InvalidToken, OutsideTree):
            assert not allowed
            return
        assert allowed
        subject.revoked = True

    @rule(step=st.integers(1, 30))
    def time_passes(self, step: int) -> None:
        self.clock.at_ms += step

    @rule()
    def restart(self) -> None:
        self.index.close()
        self.store.close()
        self.store = open_store(f"sqlite:///{Path(self.folder.name) / 'k.db'}")
        barred: set[str] = set()
        self.index = self.store.open_index()
        self.verifier = Verifier(self.index, TABLE, self.clock, barred)
        self.minting = Minting(self.store, self.clock, self.entropy)
        self.lifecycle = Lifecycle(self.store, self.clock, barred)

    @invariant()
    def every_key_may_do_exactly_what_the_model_says(self) -> None:
        for key in getattr(self, "known", []):
            for resource in RESOURCES:
                for level in (Level.READ, Level.WRITE):
                    decision = self.verifier.decide(key.secret.reveal().encode(), "GET", f"/{resource}/{level.word}")
                    assert isinstance(decision, Allow) == key.may(resource, level, self.clock.at_ms)

    @invariant()
    def every_change_left_exactly_one_event(self) -> None:
        if getattr(self, "known", []):
            events = self.store.read(lambda reader: reader.events(self.account_id, limit=10_000))
            minted = [stored.event.key_id for stored in events if stored.event.kind == "key.minted"]
            assert minted == [key.id for key in self.known]

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.index.close()
            self.store.close()
            self.folder.cleanup()


TestWholeLife = WholeLife.TestCase
TestWholeLife.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)


def test_a_child_never_exceeds_a_parent_that_was_narrowed_later(tmp_path: Path) -> None:
    clock, entropy = HandClock(), SeededEntropy()
    store = open_store(f"sqlite:///{tmp_path / 'k.db'}")
    first = bootstrap(store, clock, entropy)
    assert first is not None
    minted: list[Minted] = []
    minting = Minting(store, clock, entropy)
    lifecycle = Lifecycle(store, clock, set())
    index = store.open_index()

    def mint(parent: Lineage, *scopes: str) -> Lineage:
        wanted = Wanted(kind=Kind.RESTRICTED, scopes=tuple(map(Scope.parse, scopes)))
        minting.mint(parent, wanted, Origin(), lambda made: minted.append(made) or b"")  # type: ignore[func-returns-value]
        found = index.find(minted[-1].key.digest)
        assert found is not None
        return found

    root = index.find(first.key.digest)
    assert root is not None
    parent = mint(root, "devboxes:write", "account:write")
    child = mint(parent, "devboxes:write")
    lifecycle.update(root, Kind.RESTRICTED, parent.key.id, Change(scopes=(Scope.parse("devboxes:read"),)), Origin())
    narrowed = index.find(child.key.digest)
    assert narrowed is not None
    assert narrowed.grant == Grant([Scope.parse("devboxes:read")])
    index.close()
    store.close()


def test_a_failed_revocation_stays_in_force_in_this_process(tmp_path: Path) -> None:
    clock, entropy = HandClock(), SeededEntropy()
    store = open_store(f"sqlite:///{tmp_path / 'k.db'}")
    first = bootstrap(store, clock, entropy)
    assert first is not None
    barred: set[str] = set()
    index = store.open_index()
    verifier = Verifier(index, TABLE, clock, barred)
    token = first.secret.reveal().encode()
    root = verifier.find(token)

    class Failing:
        """The store, with a disk that fills up between the look and the write."""

        read = store.read

        def write(self, work: object) -> object:
            raise StoreUnavailable("disk full")

    lifecycle = Lifecycle(Failing(), clock, barred)  # type: ignore[arg-type]  # only read and write are used
    with pytest.raises(KeyscopeError):
        lifecycle.revoke(root, Kind.STANDARD, root.key.id, None, Origin())
    with pytest.raises(InvalidToken):
        verifier.find(token)
    index.close()
    store.close()
