"""The whole life of keys in any order, against a model so simple that it is plainly right (tests/laws/model.py).

Mint, delegate, derive, narrow, suspend, rotate, revoke, undelete, panic, time passing, restart. The real side is
the authority over a real SQLite file, and again over the store in memory. No key may ever do what the model
refuses, and none may be refused what the model allows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from keyscope.authority.bootstrap import bootstrap
from keyscope.authority.derivation import Derivation
from keyscope.authority.lifecycle import Change, Lifecycle
from keyscope.authority.limits import Limits
from keyscope.authority.mint import Minted, Minting, Wanted
from keyscope.authority.panic import Panic
from keyscope.authority.ports import Selector
from keyscope.authority.rotate import Rotated, Rotation
from keyscope.authority.tightening import Tightening
from keyscope.authority.verify import Verifier
from keyscope.errors import BadRequest, InvalidToken, KeyscopeError, Refused, StoreUnavailable
from keyscope.model.decision import Allow
from keyscope.model.derived import attenuate, last_id
from keyscope.model.event import Origin
from keyscope.model.key import Lineage
from keyscope.model.operation import Operation, Table
from keyscope.model.scope import Grant, Level, Scope
from keyscope.model.secret import Secret
from keyscope.model.token import Kind
from keyscope.store.open import open_store
from tests.laws.model import MOST_OBSERVED_MS, MOST_OVERLAP_MS, UNDELETE_WINDOW_MS, Known, Offline, Shown, levels_of
from tests.laws.seams import HandClock, SeededEntropy
from tests.laws.strategies import RESOURCES, scope_sets

TABLE = Table(
    Operation(id=f"{level.word}_{resource}", method="GET", template=f"/{resource}/{level.word}", needs=(need,))
    for resource in RESOURCES
    for level in (Level.READ, Level.WRITE)
    for need in (Scope(resource, level),)
)
LIVES = st.none() | st.integers(1, 50)
MEMORY = "memory://"


class WholeLife(RuleBasedStateMachine):
    """On SQLite; the class below does the same in memory."""

    database = "sqlite:///{folder}/k.db"
    keys: Bundle[Known] = Bundle("keys")
    offline: Bundle[Offline] = Bundle("offline")

    @initialize(target=keys)
    def begin(self) -> Known:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = HandClock()
        self.entropy = SeededEntropy()
        self.nonces = count(10**11)
        self.store = open_store(self.database.format(folder=self.folder.name))
        first = bootstrap(self.store, self.clock, self.entropy)
        assert first is not None
        self.account_id = first.key.account_id
        self.assemble()
        self.known: list[Known] = []
        self.derived: list[Offline] = []
        self.changes = 0
        return self.remember(Known(first.key.id, [Shown(first.secret)], Kind.STANDARD, None, {}, None))

    def assemble(self) -> None:
        barred: set[str] = set()
        limits = Limits(undelete_window_ms=UNDELETE_WINDOW_MS, max_overlap_ms=MOST_OVERLAP_MS)
        self.index = self.store.open_index()
        self.verifier = Verifier(self.index, TABLE, self.clock, barred)
        self.minting = Minting(self.store, self.clock, self.entropy, limits)
        self.lifecycle = Lifecycle(self.store, self.clock, barred, limits)
        self.tightening = Tightening(self.store, self.clock, Limits(max_observe_ms=MOST_OBSERVED_MS))
        self.rotation = Rotation(self.store, self.clock, self.entropy, limits)
        self.derivation = Derivation(self.store, self.clock, barred)
        self.panic_button = Panic(self.store, self.clock)

    def remember(self, key: Known) -> Known:
        self.known.append(key)
        return key

    @property
    def now(self) -> int:
        return self.clock.at_ms

    def lineage(self, key: Known | Offline) -> Lineage:
        secret = key.secret if isinstance(key, Offline) else key.shown.secret
        return self.verifier.find(secret.reveal().encode())

    def attempt(self, allowed: bool, work: Callable[[], object]) -> bool:
        """Whether the real side did it, which must be what the model says. A refusal leaves no event."""
        before = self.last_event()
        try:
            work()
        except (Refused, BadRequest):
            assert not allowed
            assert self.last_event() == before
            return False
        assert allowed
        return True

    def last_event(self) -> int:
        events = self.store.read(lambda reader: reader.events(self.account_id, limit=100_000))
        return events[-1].number

    def manages(self, actor: Known, subject: Known) -> bool:
        return actor.alive(self.now) and (actor.kind is Kind.STANDARD or actor in subject.line())

    @rule(target=keys, parent=keys, kind=st.sampled_from(Kind), scopes=scope_sets, life=LIVES)
    def mint(self, parent: Known, kind: Kind, scopes: tuple[Scope, ...], life: int | None) -> Known:
        ends = self.now + life if life is not None else None
        scopes = scopes if kind is Kind.RESTRICTED else ()
        made: list[Minted] = []

        def render(minted: Minted) -> bytes:
            made.append(minted)
            return b""

        wanted = Wanted(kind=kind, scopes=scopes, expires_at_ms=ends)
        allowed = self.model_may_mint(parent, kind, scopes, ends)
        if not self.attempt(allowed, lambda: self.minting.mint(self.lineage(parent), wanted, Origin(), render)):
            return parent
        [minted] = made
        ends = ends if ends is not None else parent.end_of_line()
        return self.remember(Known(minted.key.id, [Shown(minted.secret)], kind, parent, levels_of(scopes), ends))

    def model_may_mint(self, parent: Known, kind: Kind, scopes: tuple[Scope, ...], ends: int | None) -> bool:
        end = parent.end_of_line()
        in_time = ends is None or end is None or ends <= end
        right_kind = kind is Kind.RESTRICTED or parent.kind is Kind.STANDARD
        return parent.alive(self.now) and self.covers(parent, scopes) and in_time and right_kind

    @rule(actor=keys, subject=keys, scopes=scope_sets)
    def change_scopes(self, actor: Known, subject: Known, scopes: tuple[Scope, ...]) -> None:
        if subject.kind is Kind.STANDARD:
            return
        above = [actor] + ([subject.parent] if subject.parent is not None else [])
        allowed = (
            self.manages(actor, subject)
            and subject.changeable(self.now)
            and all(self.covers(key, scopes) for key in above)
        )
        change = Change(scopes=scopes)
        if self.attempt(
            allowed,
            lambda: self.lifecycle.update(self.lineage(actor), subject.kind, subject.id, change, Origin()),
        ):
            subject.levels = levels_of(scopes)
            subject.former = None

    def covers(self, key: Known, scopes: tuple[Scope, ...]) -> bool:
        """Whether the line of a key, suspended or not, reaches the scopes."""
        for above in key.line():
            if above.kind is Kind.STANDARD:
                return True
            if any(above.levels.get(scope.resource, Level.NONE) < scope.level for scope in scopes):
                return False
        return True

    @rule(actor=keys, subject=keys)
    def revoke(self, actor: Known, subject: Known) -> None:
        if self.attempt(
            self.manages(actor, subject),
            lambda: self.lifecycle.revoke(self.lineage(actor), subject.kind, subject.id, "because", Origin()),
        ):
            subject.revoked_at = subject.revoked_at if subject.revoked_at is not None else self.now

    @rule(actor=keys, subject=keys)
    def undelete(self, actor: Known, subject: Known) -> None:
        revoked = subject.revoked_at
        in_window = revoked is None or self.now - revoked < UNDELETE_WINDOW_MS
        if self.attempt(
            actor.alive(self.now) and actor.kind is Kind.STANDARD and in_window,
            lambda: self.lifecycle.undelete(self.lineage(actor), subject.kind, subject.id, Origin()),
        ):
            subject.revoked_at = None

    @rule(actor=keys, subject=keys)
    def suspend(self, actor: Known, subject: Known) -> None:
        if self.attempt(
            self.manages(actor, subject) and subject.changeable(self.now),
            lambda: self.lifecycle.suspend(self.lineage(actor), subject.kind, subject.id, None, Origin()),
        ):
            subject.suspended = True

    @rule(actor=keys, subject=keys)
    def resume(self, actor: Known, subject: Known) -> None:
        own = subject.revoked_at is None and not subject.ended(self.now)
        if self.attempt(
            actor.alive(self.now) and actor.kind is Kind.STANDARD and own,
            lambda: self.lifecycle.resume(self.lineage(actor), subject.kind, subject.id, Origin()),
        ):
            subject.suspended = False

    @rule(actor=keys, subject=keys, overlap=st.integers(0, MOST_OVERLAP_MS + 1))
    def rotate(self, actor: Known, subject: Known, overlap: int) -> None:
        made: list[Rotated] = []

        def render(rotated: Rotated) -> bytes:
            made.append(rotated)
            return b""

        allowed = self.manages(actor, subject) and subject.changeable(self.now) and overlap <= MOST_OVERLAP_MS
        if self.attempt(
            allowed,
            lambda: self.rotation.rotate(self.lineage(actor), subject.kind, subject.id, overlap, Origin(), render),
        ):
            end = self.now + overlap
            for shown in subject.secrets:
                shown.until = end if shown.until is None else min(shown.until, end)
            subject.secrets.append(Shown(made[0].secret))

    @rule(actor=keys, subject=keys)
    def panic(self, actor: Known, subject: Known) -> None:
        """End all that a key minted itself."""
        chosen = [key for key in self.known if key.parent is subject and key not in actor.line()]
        if self.attempt(
            actor.alive(self.now) and actor.kind is Kind.STANDARD,
            lambda: self.panic_button.end(
                self.lineage(actor), Selector(created_by=subject.id), None, Origin(), dry_run=False
            ),
        ):
            for key in chosen:
                key.revoked_at = key.revoked_at if key.revoked_at is not None else self.now

    @rule(target=offline, key=keys, which=st.integers(0, 3), scopes=st.none() | scope_sets, life=LIVES)
    def derive(self, key: Known, which: int, scopes: tuple[Scope, ...] | None, life: int | None) -> Offline:
        """From any secret of a key, even an old one: deriving needs nobody's leave."""
        shown = key.secrets[which % len(key.secrets)]
        return self.keep(key, shown, None, scopes, life)

    @rule(target=offline, key=offline, scopes=st.none() | scope_sets, life=LIVES)
    def derive_again(self, key: Offline, scopes: tuple[Scope, ...] | None, life: int | None) -> Offline:
        if len(key.links()) > 4:
            return key
        try:
            return self.keep(key.root, key.shown, key, scopes, life)
        except ValueError:
            return key

    def keep(
        self, root: Known, shown: Shown, above: Offline | None, scopes: tuple[Scope, ...] | None, life: int | None
    ) -> Offline:
        source = above.secret if above is not None else shown.secret
        ends = self.now + life if life is not None else None
        secret = attenuate(source, nonce=str(next(self.nonces)), scopes=scopes, expires_at_ms=ends)
        levels = levels_of(scopes) if scopes is not None else None
        made = Offline(last_id(secret), secret, root, shown, levels, ends, above)
        self.derived.append(made)
        return made

    @rule(actor=keys, key=offline)
    def revoke_derived(self, actor: Known, key: Offline) -> None:
        root = key.root
        if self.attempt(
            self.manages(actor, root),
            lambda: self.derivation.revoke(self.lineage(actor), root.kind, root.id, key.id, None, Origin()),
        ):
            key.revoked = True

    @rule(key=offline, parent=keys)
    def a_derived_key_manages_nothing(self, key: Offline, parent: Known) -> None:
        wanted = Wanted(kind=Kind.RESTRICTED)
        self.attempt(False, lambda: self.minting.mint(self.lineage(key), wanted, Origin(), lambda _: b""))
        self.attempt(False, lambda: self.lifecycle.revoke(self.lineage(key), parent.kind, parent.id, None, Origin()))

    @rule(step=st.integers(1, 30))
    def time_passes(self, step: int) -> None:
        self.clock.at_ms += step

    @rule()
    def restart(self) -> None:
        self.index.close()
        if self.database != MEMORY:
            self.store.close()
            self.store = open_store(self.database.format(folder=self.folder.name))
        self.assemble()

    def allowed(self, secret: Secret, resource: str, level: Level) -> bool:
        try:
            decision = self.verifier.decide(secret.reveal().encode(), "GET", f"/{resource}/{level.word}")
        except InvalidToken:  # of a derived key that is not sound, or was revoked alone
            return False
        return isinstance(decision, Allow)

    @invariant()
    def every_key_may_do_exactly_what_the_model_says(self) -> None:
        for resource in RESOURCES:
            for level in (Level.READ, Level.WRITE):
                for key in getattr(self, "known", []):
                    may = key.may_observed(resource, level, self.now)
                    for shown in key.secrets:
                        assert self.allowed(shown.secret, resource, level) == (may and shown.good(self.now))
                for offline in getattr(self, "derived", []):
                    assert self.allowed(offline.secret, resource, level) == offline.may(resource, level, self.now)

    @invariant()
    def every_change_left_exactly_one_event(self) -> None:
        if getattr(self, "known", []):
            events = self.store.read(lambda reader: reader.events(self.account_id, limit=100_000))
            minted = [stored.event.key_id for stored in events if stored.event.kind == "key.minted"]
            assert minted == [key.id for key in self.known]
            rotated = [stored.event.key_id for stored in events if stored.event.kind == "key.rotated"]
            assert len(rotated) == sum(len(key.secrets) - 1 for key in self.known)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.index.close()
            self.store.close()
            self.folder.cleanup()


class WholeLifeInMemory(WholeLife):
    database = MEMORY


TestWholeLife = WholeLife.TestCase
TestWholeLifeInMemory = WholeLifeInMemory.TestCase
TestWholeLife.settings = TestWholeLifeInMemory.settings = settings(
    max_examples=120, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
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
