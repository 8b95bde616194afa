"""When a node that has not acknowledged is waited for, and when its lease is surely over (decision 20)."""

from __future__ import annotations

from keyscope.store.replica.registry import FORGOTTEN_NS, NodeRow, Registry

S = 1_000_000_000
SURELY = int(5 * S * 1.01) + S // 20
"""A lease of five seconds on the slowest clock, and a margin."""


def row(name: str = "a", *, beat: int = 1, number: int = 0, lease_ms: int = 5000) -> NodeRow:
    return NodeRow(id=f"id-{name}", name=name, lease_ms=lease_ms, beat=beat, number=number)


def looked(registry: Registry, at_ns: int, *rows: NodeRow) -> None:
    registry.looked(rows, at_ns, at_ns + 1)


def test_only_a_look_that_began_after_the_change_says_who_there_is() -> None:
    registry = Registry()
    assert not registry.knows(0)
    looked(registry, 10 * S, row())
    assert registry.knows(10 * S)
    assert not registry.knows(10 * S + 1)


def test_who_has_acknowledged_is_not_waited_for() -> None:
    registry = Registry()
    looked(registry, 10 * S, row("a", number=4), row("b", number=3))
    assert registry.standing(4, 10 * S, 10 * S).acknowledged == ("a",)
    registry.acknowledged("id-b", 4)
    assert registry.standing(4, 10 * S, 10 * S).acknowledged == ("a", "b")


def test_an_acknowledgement_that_comes_late_takes_nothing_back() -> None:
    registry = Registry()
    looked(registry, 10 * S, row(number=4))
    registry.acknowledged("id-a", 3)
    looked(registry, 11 * S, row(number=2))
    assert registry.standing(4, 11 * S, 11 * S).acknowledged == ("a",)


def test_others_are_waited_for_until_a_lease_from_before_the_change_is_over() -> None:
    registry = Registry()
    looked(registry, 10 * S, row(beat=7))
    assert registry.standing(4, 10 * S, 10 * S).pending == (("a", 10 * S + SURELY),)
    assert registry.standing(4, 10 * S, 10 * S + SURELY).closed == ("a",)


def test_a_node_that_was_silent_before_is_waited_for_less() -> None:
    registry = Registry()
    looked(registry, 10 * S, row(beat=7))
    looked(registry, 14 * S, row(beat=7))
    assert registry.standing(4, 14 * S, 14 * S).pending == (("a", 10 * S + 1 + SURELY),)
    looked(registry, 60 * S, row(beat=7))
    assert registry.standing(4, 60 * S, 60 * S).closed == ("a",)


def test_a_node_that_was_killed_and_started_again_is_named_once() -> None:
    registry = Registry()
    before = NodeRow(id="id-before", name="a", lease_ms=5000, beat=9, number=1)
    looked(registry, 10 * S, before, row("a", number=4))
    standing = registry.standing(4, 10 * S, 60 * S)
    assert (standing.acknowledged, standing.closed, standing.pending) == (("a",), (), ())


def test_a_new_beat_begins_the_silence_anew() -> None:
    registry = Registry()
    looked(registry, 10 * S, row(beat=7))
    looked(registry, 60 * S, row(beat=8))
    assert registry.standing(4, 60 * S, 60 * S).pending


def test_who_is_not_in_the_record_is_not_waited_for() -> None:
    registry = Registry()
    looked(registry, 10 * S, row("a"), row("b"))
    looked(registry, 11 * S, row("b"))
    assert [name for name, _ in registry.standing(4, 11 * S, 11 * S).pending] == ["b"]


def test_a_node_is_forgotten_after_a_long_silence_and_never_before() -> None:
    registry = Registry()
    looked(registry, 10 * S, row("a"))
    assert registry.forgotten(10 * S + FORGOTTEN_NS) == []
    assert registry.forgotten(10 * S + FORGOTTEN_NS + 2) == [row("a")]


def test_of_another_record_nothing_is_known() -> None:
    registry = Registry()
    looked(registry, 10 * S, row(number=9))
    registry.forget()
    assert not registry.knows(10 * S)
    looked(registry, 11 * S, row(number=1))
    assert registry.standing(2, 11 * S, 11 * S).acknowledged == ()
