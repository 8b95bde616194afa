"""Keyscope's own operations, added to a policy.

The policy says which of its resource types governs keys. Without one, the rows that manage keys are left out, so that
only standard keys, which the table does not bind, reach them. A call that the policy has already is not repeated, but
it must go by Keyscope's id, since Keyscope answers it itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from msgspec.structs import replace

from keyscope.errors import ConfigurationError, Fault
from keyscope.model.operation import Operation
from keyscope.model.scope import Grant, Scope
from keyscope.policy.document import PLACEHOLDER, Policy, load_own


def with_own_operations(policy: Policy) -> Policy:
    """The policy and Keyscope's own operations. Raises ConfigurationError if the two disagree about an id or a call."""
    own = own_operations(policy.key_management)
    calls = {_key(operation) for operation in _own()}
    rows = tuple(replace(row, is_own=True) if _key(row) in calls else row for row in policy.operations)
    added = [operation for operation in own if _key(operation) not in {_key(row) for row in rows}]
    _refuse_clashes(policy)
    return replace(
        policy,
        operations=(*rows, *added),
        undocumented=policy.undocumented | {operation.id for operation in added},
    )


def own_operations(key_management: str | None) -> tuple[Operation, ...]:
    """Keyscope's own rows, governed by this resource type; for None, only those that need no scope."""
    if key_management is None:
        return tuple(operation for operation in _own() if not operation.needs)
    return tuple(_governed(operation, key_management) for operation in _own())


def own_ids() -> frozenset[str]:
    """The ids of all operations that Keyscope answers itself."""
    return frozenset(operation.id for operation in _own())


@lru_cache(maxsize=1)
def _own() -> tuple[Operation, ...]:
    return tuple(replace(operation, is_own=True) for operation in load_own())


def _governed(operation: Operation, resource: str) -> Operation:
    creates = operation.creates
    return replace(
        operation,
        needs=tuple(Scope(resource, scope.level) for scope in operation.needs),
        instances=tuple((at, resource) for at, _ in operation.instances),
        credentials=tuple(replace(found, needs=Scope(resource, found.needs.level)) for found in operation.credentials),
        creates=(resource, creates[1]) if creates else None,
        destroys=resource if operation.destroys == PLACEHOLDER else None,
    )


def _refuse_clashes(policy: Policy) -> None:
    faults = list(_clashes(policy))
    if faults:
        raise ConfigurationError(f"the policy {policy.name} disagrees with Keyscope's own operations", faults)


def _clashes(policy: Policy) -> Iterator[Fault]:
    calls = {_key(own): own for own in _own()}
    ids = {own.id: own for own in _own()}
    for operation in policy.operations:
        own = calls.get(_key(operation))
        if own is None and operation.id in ids:
            taken = ids[operation.id]
            yield Fault(operation.id, f"This is the id of Keyscope's own {taken.call}: give the row another id.")
        elif own is not None:
            yield from _disagreements(operation, own, policy.key_management)


def _disagreements(row: Operation, own: Operation, key_management: str | None) -> Iterator[Fault]:
    if row.id != own.id:
        yield Fault(row.id, f"Keyscope answers {own.call} itself: give this row the id {own.id!r}.")
    if own.needs and key_management is None:
        yield Fault(row.id, "No resource type governs keys: set key_management, or remove this row.")
    elif key_management and (missing := Grant(row.needs).missing(_governed(own, key_management).needs)):
        yield Fault(row.id, f"Keyscope's own {own.call} needs {' '.join(map(str, missing))}: add it to this row.")


def _key(operation: Operation) -> tuple[str, tuple[str, ...]]:
    return operation.method, operation.segments
