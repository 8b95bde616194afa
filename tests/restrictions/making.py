"""Values for the tests of restrictions: keys, calls of the Runloop policy, and what a gate sees of them."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from keyscope.gate.sight import Sight
from keyscope.model.access import Access
from keyscope.model.body import Json
from keyscope.model.decision import Decision, decide
from keyscope.model.facts import BodySeen
from keyscope.model.key import Key, Lineage
from keyscope.model.operation import Table
from keyscope.model.restrictions import Restrictions
from keyscope.model.scope import Scope
from keyscope.model.token import Kind
from keyscope.policy.document import load
from keyscope.policy.own import with_own_operations

EVERYTHING = "devboxes blueprints snapshots objects benchmarks scenarios repo_connections agents account"


@cache
def runloop() -> Table:
    return with_own_operations(load("runloop")).table()


def a_key(key_id: str = "key_a", restrictions: dict[str, Json] | None = None, scopes: str = "") -> Key:
    """A restricted key, by default with write on everything."""
    words = scopes.split() or [f"{name}:write" for name in EVERYTHING.split()]
    return Key(
        id=key_id,
        account_id="acct_1",
        kind=Kind.RESTRICTED,
        name=key_id,
        digest=key_id.encode().ljust(32),
        hint="abcd",
        scopes=tuple(map(Scope.parse, words)),
        created_at_ms=0,
        restrictions=Restrictions.parse(restrictions) if restrictions is not None else None,
    )


FULL = Sight(body=BodySeen.WHOLE, sees_reply=True, counts=True, holds=True, knows_peer=True)
"""A gate that sees and does everything."""


def judged(
    lineage: Lineage, call: str, body: Json = None, *, sight: Sight = FULL, peer: str = "10.0.0.1", now_ms: int = 0
) -> Decision:
    """The decision about ``METHOD /path`` with this body."""
    method, _, path = call.partition(" ")
    route = runloop().find(method, path)
    facts = sight.facts(lineage, route, path, peer)
    if facts.body is BodySeen.WHOLE:
        facts = sight.with_body(facts, lineage, route, body)
    needs = route.needs_with(body) if route is not None else ()
    return decide(lineage, Access(route, needs, now_ms, facts))


TYPES = ("devboxes", "snapshots", "blueprints")
NAMES = ("dbx_a", "dbx_b", "ci-1")
OPERATIONS = ("getDevbox", "createDevbox", "shutdownDevbox", "DELETE", "POST")

instances = st.dictionaries(
    st.sampled_from(TYPES), st.lists(st.sampled_from((*NAMES, "ci-*", "*")), min_size=1, max_size=3), min_size=1
)
networks = st.lists(st.sampled_from(("10.0.0.0/8", "10.0.0.1/32", "192.0.2.0/24", "2001:db8::/32", "0.0.0.0/0")),
                    min_size=1)  # fmt: skip
windows = st.fixed_dictionaries(
    {
        "from": st.sampled_from(("00:00", "09:00", "22:30")),
        "to": st.sampled_from(("08:00", "17:00", "24:00")),
        "timezone": st.sampled_from(("UTC", "Europe/Berlin", "Asia/Kathmandu")),
    },
    optional={"days": st.lists(st.sampled_from(("mon", "thu", "sun")), min_size=1, unique=True)},
)
holds = st.fixed_dictionaries({"deadline_ms": st.integers(1, 10)}, optional={"operations": st.just(["shutdownDevbox"])})

restriction_sets: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {},
    optional={
        "instances": instances,
        "own": st.just(True) | st.lists(st.sampled_from(TYPES), min_size=1),
        "cidrs": networks,
        "not_before_ms": st.integers(1, 200_000_000),
        "window": windows,
        "uses": st.integers(1, 9),
        "rate": st.just({"requests": 1, "per_ms": 1000}),
        "parallel": st.just(1),
        "deny": st.lists(st.sampled_from(OPERATIONS), min_size=1),
        "hold": holds,
    },
)
"""Restrictions as JSON."""

calls = st.sampled_from(
    (
        "GET /v1/devboxes",
        "GET /v1/devboxes/dbx_a",
        "POST /v1/devboxes/dbx_b/shutdown",
        "POST /v1/devboxes/ci-1/snapshot_disk",
        "POST /v1/devboxes",
        "POST /v1/devboxes/disk_snapshots/snp_1/delete",
        "GET /v1/devboxes/metadata/keys",
        "GET /v1/unlisted",
        "DELETE /v1/axons/dbx_a",
        "POST /pty/one/control",
    )
)
bodies = st.sampled_from(
    (
        {},
        None,
        {"blueprint_id": "dbx_a"},
        {"snapshot_id": "ci-1", "mounts": [{"axon_id": "dbx_b"}]},
        {"blueprint_id": 7},
    )
)
peers = st.sampled_from(("10.0.0.1", "::ffff:10.0.0.1", "192.0.2.7", "2001:db8::1", ""))
times = st.integers(0, 200_000_000)


def owners(*own: tuple[str, str, str]) -> Sight:
    """A full gate that knows these things: type, id, and the keys whose own it is, by words."""
    known = {(kind, name): frozenset(holders.split()) for kind, name, holders in own}
    return Sight(
        body=BodySeen.WHOLE,
        sees_reply=True,
        counts=True,
        holds=True,
        knows_peer=True,
        owners=lambda _, things: {thing: known[thing] for thing in things if thing in known},
    )


sights = st.builds(
    lambda body, flags, knows: Sight(
        body=body,
        sees_reply=flags[0],
        counts=flags[1],
        holds=flags[2],
        knows_peer=flags[3],
        owners=(lambda _, things: {thing: frozenset({"key_a", "key_b"}) for thing in things}) if knows else None,
    ),
    st.sampled_from(BodySeen),
    st.tuples(st.booleans(), st.booleans(), st.booleans(), st.booleans()),
    st.booleans(),
)


def restricted(key: Key, more: dict[str, Json] | None) -> Key:
    return replace(key, restrictions=Restrictions.parse(more) if more else None)
