"""Values of the model, generated."""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec.structs import replace

from keyscope.model.access import Access
from keyscope.model.key import Key, Lineage
from keyscope.model.operation import Operation, Route
from keyscope.model.scope import Grant, Level, Scope
from keyscope.model.token import Kind, format_token

RESOURCES = ("devboxes", "snapshots", "objects", "account")

levels = st.sampled_from(Level)
scopes = st.builds(Scope, st.sampled_from(RESOURCES), levels)
scope_sets = st.dictionaries(st.sampled_from(RESOURCES), levels).map(
    lambda levels: tuple(Scope(resource, level) for resource, level in levels.items())
)
grants = scope_sets.map(Grant)
kinds = st.sampled_from(Kind)
times = st.integers(0, 1000)
maybe_times = st.none() | times
secrets = st.builds(format_token, kinds, st.binary(min_size=32, max_size=32))

keys = st.builds(
    Key,
    id=st.uuids().map(lambda uuid: f"key_{uuid.hex[:22]}"),
    account_id=st.just("acct_1"),
    kind=kinds,
    name=st.text(max_size=10),
    digest=st.binary(min_size=32, max_size=32),
    hint=st.just("abcd"),
    scopes=scope_sets,
    created_at_ms=times,
    parent_id=st.none(),
    expires_at_ms=maybe_times,
    suspended_at_ms=maybe_times,
    revoked_at_ms=maybe_times,
    observe_until_ms=maybe_times,
    observe_within=st.none() | scope_sets,
)
restricted_keys = keys.map(lambda key: replace(key, kind=Kind.RESTRICTED))


def line(*nearest_first: Key) -> Lineage:
    """The lineage of the first key, the others above it."""
    made: Lineage | None = None
    for key in reversed(nearest_first):
        made = Lineage(key, made)
    assert made is not None
    return made


lineages = st.lists(keys, min_size=1, max_size=4).map(lambda found: line(*found))

operations = st.builds(
    Operation,
    id=st.just("op"),
    method=st.just("GET"),
    template=st.just("/v1/things/{id}"),
    needs=scope_sets,
    is_own=st.booleans(),
)
routes = st.none() | operations.map(lambda operation: Route((operation,), operation.needs, ()))


def access(route: Route | None, now_ms: int) -> Access:
    """The attempt to take a route at a time."""
    return Access(route, route.needs if route is not None else (), now_ms)


accesses = st.builds(access, routes, times)
