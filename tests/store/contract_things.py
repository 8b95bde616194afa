"""What every ledger of own things guarantees. ``ledgers`` gives two of the same: of two processes, or of two nodes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from keyscope.authority.things import Owners, Thing, Things
from keyscope.errors import StoreUnavailable

BOX, OTHER = ("devboxes", "dbx_1"), ("devboxes", "dbx_2")
MANY = [("devboxes", f"dbx_{number}") for number in range(5000)]


def known(things: Things, *asked: Thing) -> Owners | None:
    return things.known("acct_1", asked)


class ThingsContract:
    """A thing belongs to its first maker and to all above that, for everybody who asks."""

    def test_what_nobody_made_is_nobodys(self, things: Things) -> None:
        assert things.owners("acct_1", [BOX]) == things.owners("acct_1", MANY) == {}
        assert things.owners("acct_1", []) == known(things) == {}

    def test_a_thing_is_its_makers_and_of_all_above(self, things: Things) -> None:
        assert things.add("acct_1", [BOX], ("drv_1", "key_1", "key_0"), 1) == {BOX: {"drv_1", "key_1", "key_0"}}
        assert things.owners("acct_1", [BOX, OTHER]) == {BOX: {"drv_1", "key_1", "key_0"}}

    def test_a_thing_keeps_its_first_maker(self, ledgers: tuple[Things, Things]) -> None:
        one, other = ledgers
        one.add("acct_1", [BOX], ("key_1",), 1)
        assert other.add("acct_1", [BOX, OTHER, BOX], ("key_2",), 2) == {BOX: {"key_1"}, OTHER: {"key_2"}}
        assert one.owners("acct_1", [OTHER, BOX]) == {BOX: {"key_1"}, OTHER: {"key_2"}}

    def test_of_many_who_claim_a_thing_at_once_all_hear_of_the_same_maker(self, ledgers: tuple[Things, Things]) -> None:
        def claim(number: int) -> Owners:
            turned = MANY[:20] if number % 3 else MANY[19::-1]
            return ledgers[number % 2].add("acct_1", turned, (f"key_{number}",), number)

        with ThreadPoolExecutor(8) as pool:
            heard = list(pool.map(claim, range(8)))
        assert all(owners == heard[0] for owners in heard)
        assert len(set(heard[0].values())) == 1

    def test_accounts_and_types_are_apart(self, things: Things) -> None:
        things.add("acct_1", [BOX], ("key_1",), 1)
        assert things.owners("acct_2", [BOX]) == things.owners("acct_1", [("snapshots", "dbx_1")]) == {}

    def test_many_are_looked_up_as_one_by_one(self, ledgers: tuple[Things, Things]) -> None:
        odd = [*MANY[:50:2], ("devboxes", 'a"\\é{},'), ("snapshots", "1")]
        ledgers[0].add("acct_1", odd, ("key_1",), 1)
        asked = [*MANY, *odd[-2:], ("snapshots", "01"), ("devboxes", "a\0b")]
        together = ledgers[1].owners("acct_1", asked)
        one_by_one = [ledgers[1].owners("acct_1", [thing]) for thing in (*odd, *asked[-2:])]
        assert together == {thing: owners for found in one_by_one for thing, owners in found.items()}
        assert set(together) == set(odd)

    def test_what_was_added_is_seen_by_all_at_once(self, ledgers: tuple[Things, Things]) -> None:
        one, other = ledgers
        for number, thing in enumerate(MANY[:20]):
            assert other.owners("acct_1", [thing]) == {}
            one.add("acct_1", [thing], ("key_1",), number)
            assert other.owners("acct_1", [thing]) == {thing: {"key_1"}}

    def test_what_is_known_without_a_wait_is_what_there_is(self, ledgers: tuple[Things, Things]) -> None:
        one, other = ledgers
        assert known(one, BOX) in (None, {})
        other.add("acct_1", [BOX], ("key_1",), 1)
        assert known(one, BOX) in (None, {BOX: {"key_1"}})
        found = one.owners("acct_1", [BOX])
        assert known(one, BOX) == known(one, BOX, BOX) == found == {BOX: {"key_1"}}
        assert known(one, BOX, OTHER) in (None, {BOX: {"key_1"}})

    def test_trouble_is_said(self, broken: Things) -> None:
        with pytest.raises(StoreUnavailable):
            broken.owners("acct_1", [BOX])
        with pytest.raises(StoreUnavailable):
            broken.add("acct_1", [BOX], ("key_1",), 1)
