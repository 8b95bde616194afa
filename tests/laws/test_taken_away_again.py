"""After a restore no key can do more, or lives longer, than it did before: what was taken since is taken again.

Random changes before a backup and after it. The store as it was at the backup then takes away again what the record
says, and every key in it is held against the same key in the store that went on.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from keyscope.authority.again import Later, last_change, still_held, take_away_again, taken_away
from keyscope.authority.bootstrap import bootstrap
from keyscope.authority.derivation import Derivation
from keyscope.authority.lifecycle import Change, Lifecycle
from keyscope.authority.mint import Minted, Minting, Wanted
from keyscope.authority.ports import StoredEvent
from keyscope.authority.rotate import Rotation
from keyscope.authority.tightening import Tightening
from keyscope.errors import BadRequest, Refused
from keyscope.model.body import Json
from keyscope.model.event import Event, EventKind, Origin
from keyscope.model.key import Key, Lineage, State
from keyscope.model.restrictions import Restrictions
from keyscope.model.scope import Grant, Level, Scope
from keyscope.model.tightness import loosened
from keyscope.model.token import Kind
from keyscope.store.memory import MemoryStore
from tests.laws.seams import HandClock, SeededEntropy
from tests.laws.strategies import scope_sets

KEYS = 4
MINE = Origin()
LINK = "drv_" + "0" * 22

step = st.tuples(
    st.sampled_from(
        (
            "revoke",
            "undelete",
            "suspend",
            "resume",
            "scopes",
            "restrict",
            "expiry",
            "narrow",
            "revert",
            "observe",
            "rotate",
            "derived",
        )
    ),
    st.integers(0, KEYS - 1),
    scope_sets,
    st.integers(1, 50),
)
GIVEN: tuple[dict[str, Json], ...] = ({"uses": 5}, {"uses": 3}, {"uses": 9, "parallel": 2}, {"parallel": 1})
RESTRICTIONS = [None, *(Restrictions.parse(given) for given in GIVEN)]


class House:
    """An authority in memory with a standard key and a line of restricted ones."""

    def __init__(self) -> None:
        self.store, self.clock, self.entropy = MemoryStore(), HandClock(), SeededEntropy()
        first = bootstrap(self.store, self.clock, self.entropy)
        assert first is not None
        self.first = Lineage(first.key)
        self.lifecycle = Lifecycle(self.store, self.clock, set())
        self.tightening = Tightening(self.store, self.clock)
        self.rotation = Rotation(self.store, self.clock, self.entropy)
        self.derivation = Derivation(self.store, self.clock, set())
        self.ids = [self._mint() for _ in range(KEYS)]

    def _mint(self) -> str:
        made: list[Minted] = []

        def render(minted: Minted) -> bytes:
            made.append(minted)
            return b""

        scopes = tuple(Scope(name, Level.WRITE) for name in ("devboxes", "objects"))
        wanted = Wanted(kind=Kind.RESTRICTED, scopes=scopes, expires_at_ms=self.clock.at_ms + 100)
        Minting(self.store, self.clock, self.entropy).mint(self.first, wanted, MINE, render)
        return made[0].key.id

    def do(self, what: str, number: int, scopes: tuple[Scope, ...], more: int) -> None:
        """One step. What the authority refuses changes nothing."""
        key_id, restricted, now = self.ids[number], Kind.RESTRICTED, self.clock.at_ms
        steps: dict[str, Callable[[], object]] = {
            "revoke": lambda: self.lifecycle.revoke(self.first, restricted, key_id, "gone", MINE),
            "undelete": lambda: self.lifecycle.undelete(self.first, restricted, key_id, MINE),
            "suspend": lambda: self.lifecycle.suspend(self.first, restricted, key_id, None, MINE),
            "resume": lambda: self.lifecycle.resume(self.first, restricted, key_id, MINE),
            "scopes": lambda: self.lifecycle.update(self.first, restricted, key_id, Change(scopes=scopes), MINE),
            "expiry": lambda: self.lifecycle.update(
                self.first, restricted, key_id, Change(expires_at_ms=now + 50 + more), MINE
            ),
            "restrict": lambda: self.lifecycle.update(
                self.first, restricted, key_id, Change(restrictions=RESTRICTIONS[more % len(RESTRICTIONS)]), MINE
            ),
            "narrow": lambda: self.tightening.narrow(self.first, key_id, scopes, MINE),
            "revert": lambda: self.tightening.revert(self.first, key_id, MINE),
            "observe": lambda: self.tightening.observe(self.first, key_id, now + more, MINE),
            "rotate": lambda: self.rotation.rotate(self.first, restricted, key_id, more, MINE, lambda _: b""),
            "derived": lambda: self.derivation.revoke(self.first, restricted, key_id, LINK, None, MINE),
        }
        with suppress(BadRequest, Refused):
            steps[what]()
        self.clock.at_ms += 1

    def key(self, key_id: str) -> Key:
        found = self.store.read(lambda reader: reader.key(key_id))
        assert found is not None
        return found

    def changes(self, after: int) -> list[StoredEvent]:
        return self.store.read(lambda reader: reader.changes(after=after, limit=10_000))


def later(stored: StoredEvent) -> Later:
    event = stored.event
    return Later(number=stored.number, kind=event.kind, at_ms=event.at_ms, key_id=event.key_id, changes=event.changes)


@settings(max_examples=300, deadline=None)
@given(before=st.lists(step, max_size=6), after=st.lists(step, max_size=8))
def test_no_key_of_a_restored_database_can_do_more_than_it_could_before(
    before: list[tuple[str, int, tuple[Scope, ...], int]], after: list[tuple[str, int, tuple[Scope, ...], int]]
) -> None:
    house = House()
    for one in before:
        house.do(*one)
    backup, last = copy.deepcopy(house.store._content), house.store.read(last_change)
    assert last is not None
    for one in after:
        house.do(*one)
    restored = MemoryStore()
    restored._content = backup
    taken = taken_away(map(later, house.changes(last.number)))
    restored.write(lambda writer: take_away_again(writer, taken, house.clock.at_ms))
    for key_id in house.ids:
        there = restored.read(lambda reader, key_id=key_id: reader.key(key_id))  # type: ignore[misc]
        assert there is not None
        no_more_than(there, house.key(key_id), house.clock.at_ms)
        ended = house.store.read(lambda reader, key_id=key_id: reader.derived_revoked(key_id, [LINK]))  # type: ignore[misc]
        again = restored.read(lambda reader, key_id=key_id: reader.derived_revoked(key_id, [LINK]))  # type: ignore[misc]
        assert again or not ended or there.state_at(house.clock.at_ms) is not State.ACTIVE
    assert restored.read(lambda reader: still_held(reader, taken, house.clock.at_ms)) == []


def no_more_than(there: Key, went_on: Key, now_ms: int) -> None:
    if there.state_at(now_ms) is not State.ACTIVE:
        return
    assert went_on.state_at(now_ms) is State.ACTIVE
    assert there.digest == went_on.digest, "a secret that was rotated out"
    assert Grant(there.scopes).within(Grant(went_on.scopes))
    assert there.ends_at_ms <= went_on.ends_at_ms
    assert [*loosened(there.restrictions, went_on.restrictions, there.id)] == []
    assert (there.observe_until_ms or 0) <= max(went_on.observe_until_ms or 0, now_ms)


def test_a_change_that_is_not_understood_suspends_the_key() -> None:
    house = House()
    strange = Later(number=99, kind="key.made_of_glass", at_ms=0, key_id=house.ids[0])
    member = Later(number=99, kind=EventKind.KEY_UPDATED, at_ms=0, key_id=house.ids[1], changes={"glass": {"to": 1}})
    taken = taken_away([strange, member])
    assert house.store.write(lambda writer: take_away_again(writer, taken, house.clock.at_ms)) == 2
    assert [house.key(key_id).state_at(house.clock.at_ms) for key_id in house.ids[:2]] == [State.SUSPENDED] * 2


def test_what_is_done_again_has_events_of_its_own() -> None:
    house = House()
    gone = Later(number=99, kind=EventKind.KEY_REVOKED, at_ms=0, key_id=house.ids[0], changes={"reason": "leaked"})
    house.store.write(lambda writer: take_away_again(writer, taken_away([gone]), house.clock.at_ms))
    event: Event = house.changes(0)[-1].event
    assert (event.kind, event.origin) == (EventKind.KEY_REVOKED, Origin())
    assert event.changes["reason"] == "again after a restore: leaked"
    assert house.store.write(lambda writer: take_away_again(writer, taken_away([gone]), house.clock.at_ms)) == 0
