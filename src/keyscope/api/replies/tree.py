"""Replies about who minted whom."""

from __future__ import annotations

from typing import Literal

from keyscope.api.replies.keys import ApiKeyView, RestrictedKeyView, key_view
from keyscope.api.replies.shape import Reply, Status, kind_word
from keyscope.authority.tree import Node, Tree
from keyscope.model.key import NEVER_MS


class NodeView(Reply):
    """A key below another, ``depth`` generations down. ``scopes`` are the effective ones, in the short form."""

    id: str
    name: str
    kind: Literal["standard", "restricted"]
    status: Status
    parent_id: str | None
    depth: int
    scopes: list[str]
    expires_at_ms: int | None


class ApiKeyTree(Reply):
    """``ancestors`` are key ids, nearest first."""

    root: ApiKeyView
    ancestors: list[str]
    descendants: list[NodeView]
    has_more: bool
    total_count: int


class RestrictedKeyTree(Reply):
    root: RestrictedKeyView
    ancestors: list[str]
    descendants: list[NodeView]
    has_more: bool
    total_count: int


def tree_view(tree: Tree, now_ms: int) -> dict[str, object]:
    return {
        "root": key_view(tree.root, now_ms),
        "ancestors": list(tree.ancestors),
        "descendants": [node_view(node, now_ms) for node in tree.nodes],
        "has_more": tree.has_more,
        "total_count": tree.total,
    }


def node_view(node: Node, now_ms: int) -> dict[str, object]:
    lineage = node.lineage
    key = lineage.key
    return {
        "id": key.id,
        "name": key.name,
        "kind": kind_word(key),
        "status": lineage.state_at(now_ms).value,
        "parent_id": key.parent_id,
        "depth": node.depth,
        "scopes": [str(scope) for scope in lineage.grant] if lineage.grant is not None else [],
        "expires_at_ms": lineage.expires_at_ms if lineage.expires_at_ms < NEVER_MS else None,
    }
