"""The ancestors of a key, walked one by one."""

from __future__ import annotations

from collections.abc import Callable

from keyscope.errors import StoreUnavailable
from keyscope.model.key import Key, Lineage

MOST_ANCESTORS = 64
"""A longer line is refused when a key is added, and taken for damage (a circle, say) when one is read."""


def ancestors(key: Key, by_id: Callable[[str], Key | None]) -> tuple[Key, ...]:
    """The key's ancestors, nearest first. Raises StoreUnavailable for a line that is broken or has no end."""
    line: list[Key] = []
    parent_id = key.parent_id
    while parent_id is not None:
        parent = by_id(parent_id)
        if parent is None:
            raise StoreUnavailable(f"key {key.id} descends from {parent_id}, which is not in the store")
        if len(line) == MOST_ANCESTORS:
            raise StoreUnavailable(f"key {key.id} has more than {MOST_ANCESTORS} ancestors, or descends from itself")
        line.append(parent)
        parent_id = parent.parent_id
    return tuple(line)


def lineage(key: Key, by_id: Callable[[str], Key | None]) -> Lineage:
    """The key with everything above it. Raises as ``ancestors`` does."""
    made: Lineage | None = None
    for above in reversed(ancestors(key, by_id)):
        made = Lineage(above, made)
    return Lineage(key, made)


def check_parent(key: Key, by_id: Callable[[str], Key | None]) -> None:
    """Raise ValueError unless the key to be added has no parent, or one that is there and not too deep."""
    if key.parent_id is None:
        return
    parent = by_id(key.parent_id)
    if parent is None:
        raise ValueError(f"the parent of key {key.id} is not in the store")
    if len(ancestors(parent, by_id)) >= MOST_ANCESTORS:
        raise ValueError(f"key {key.id} would have more than {MOST_ANCESTORS} ancestors")
