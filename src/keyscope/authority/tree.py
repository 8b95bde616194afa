"""The tree below a key: who minted whom, and what of it lives."""

from __future__ import annotations

from msgspec import Struct

from keyscope.authority.lookup import Detail, detail, find
from keyscope.authority.ports import Reader, Store
from keyscope.model.key import Key, Lineage
from keyscope.model.token import Kind


class Node(Struct, frozen=True):
    """A key below another one, ``depth`` generations down."""

    lineage: Lineage
    depth: int


class Tree(Struct, frozen=True):
    """A key, the ids above it (nearest first), and one page of what is below it, oldest first; ``total`` counts all."""

    root: Detail
    ancestors: tuple[str, ...]
    nodes: tuple[Node, ...]
    has_more: bool
    total: int


def tree(store: Store, account_id: str, kind: Kind, key_id: str, limit: int, after: str | None) -> Tree:
    """The tree below a key. ``after`` is the last id of the page before. Raises NotFound."""

    def work(reader: Reader) -> Tree:
        root = find(reader, account_id, kind, key_id)
        nodes = _nodes(root, reader.descendants(key_id))
        rest = [node for node in nodes if after is None or node.lineage.key.id > after]
        return Tree(detail(reader, root), root.ids[1:], tuple(rest[:limit]), len(rest) > limit, len(nodes))

    return store.read(work)


def _nodes(root: Lineage, below: list[Key]) -> list[Node]:
    """Each key after its parent: ids sort by age to the millisecond, and a parent may be as old as its child."""
    children: dict[str | None, list[Key]] = {}
    for key in below:
        children.setdefault(key.parent_id, []).append(key)
    nodes = [Node(root, 0)]
    for node in nodes:  # grows while it is walked
        nodes += [Node(Lineage(key, node.lineage), node.depth + 1) for key in children.get(node.lineage.key.id, ())]
    return sorted(nodes[1:], key=lambda node: node.lineage.key.id)
