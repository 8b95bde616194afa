"""The key that a page is about: found in the visitor's account, and what the visitor may do to it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from starlette.requests import Request

from keyscope.api.caller import in_thread
from keyscope.authority.lookup import Detail, detail, find
from keyscope.authority.ports import Reader, Store
from keyscope.authority.tree import Tree, tree
from keyscope.console.visitor import Visitor
from keyscope.errors import NotFound
from keyscope.model.ident import is_key_id
from keyscope.model.key import Key, Lineage, State
from keyscope.model.token import Kind
from keyscope.wire.own import API_KEYS, RESTRICTED_KEYS

PREFIXES = {Kind.RESTRICTED: RESTRICTED_KEYS, Kind.STANDARD: API_KEYS}
BELOW_SHOWN = 100
ONLY_STANDARD = frozenset({"observe", "resume", "revert", "undelete"})
"""Actions that the API, too, leaves to standard keys."""


class Target(Struct, frozen=True):
    """A key, described."""

    detail: Detail
    state: State
    """Of its whole line, now."""

    @property
    def lineage(self) -> Lineage:
        return self.detail.lineage

    @property
    def key(self) -> Key:
        return self.detail.lineage.key

    @property
    def call(self) -> str:
        """Its path in the API."""
        return f"{PREFIXES[self.key.kind]}/{self.key.id}"


async def find_target(request: Request, visitor: Visitor, *actions: str) -> Target:
    """The key that the path names, if the visitor may see it, and may do ``actions`` to keys like it.

    Raises Denied and NotFound.
    """
    key_id, desk = request.path_params["key_id"], visitor.desk
    kind = await in_thread(lambda: _kind(desk.store, key_id))
    # Asked before it is said whether there is such a key: who may not see keys learns nothing of them.
    visitor.require("GET", f"{PREFIXES[kind]}/{key_id if is_key_id(key_id) else 'key'}")
    for action in actions:
        visitor.require("POST", f"{PREFIXES[kind]}/{key_id}{action}")

    def work(reader: Reader) -> Target:
        lineage = find(reader, visitor.account_id, kind, key_id)
        return Target(detail(reader, lineage), lineage.state_at(desk.clock.now_ms()))

    return await in_thread(lambda: desk.store.read(work))


def _kind(store: Store, key_id: str) -> Kind:
    if not is_key_id(key_id):
        return Kind.RESTRICTED
    key = store.read(lambda reader: reader.key(key_id))
    return key.kind if key is not None else Kind.RESTRICTED


def below(store: Store, target: Target) -> Tree:
    """What the key minted, and so on down."""
    key = target.key
    return tree(store, key.account_id, key.kind, key.id, BELOW_SHOWN, None)


def living_below(found: Tree, now_ms: int) -> int:
    """How many of the keys shown below would end with it."""
    return sum(node.lineage.state_at(now_ms) is not State.REVOKED for node in found.nodes)


def actions(visitor: Visitor, target: Target) -> tuple[str, ...]:
    """What the visitor can do to the key as it is now, the gentlest first."""
    now_ms = visitor.desk.clock.now_ms()
    fitting = [word for word in _fitting(target, now_ms) if _may(visitor, target, word)]
    return tuple(fitting) if visitor.manages(target.lineage) else ()


def _fitting(target: Target, now_ms: int) -> Iterator[str]:
    key = target.key
    if key.revoked_at_ms is not None:
        yield "undelete"
        return
    if target.state not in (State.REVOKED, State.EXPIRED):
        yield "change"
        if key.scopes:
            yield "narrow"
        if key.is_narrowed_at(now_ms):
            yield "revert"
        if not key.is_standard:
            yield "observe"
        yield "rotate"
        yield "resume" if key.suspended_at_ms is not None else "suspend"
    yield "revoke"


def _may(visitor: Visitor, target: Target, word: str) -> bool:
    if word in ONLY_STANDARD and not visitor.key.is_standard:
        return False
    path = target.call if word == "change" else f"{target.call}/{word}"
    return visitor.may("POST", path)


def check_found(known: bool, what: str) -> None:
    """Raise NotFound unless there is such a page."""
    if not known:
        raise NotFound(what)
