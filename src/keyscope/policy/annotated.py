"""A policy out of an OpenAPI document whose operations carry ``x-required-scopes``.

Every operation must carry it, ``[]`` where any live key may call: what is not said is refused (law 3). The document
may also say, at its top, ``x-resource-types`` (name to description) and ``x-key-management`` (one of those names).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from keyscope.errors import ConfigurationError, Fault
from keyscope.model.operation import Operation
from keyscope.model.scope import Level, Scope
from keyscope.policy.document import Policy, ResourceType
from keyscope.policy.openapi import SCOPES, Call, OpenApi
from keyscope.policy.rows import METHODS, Names, template_problems
from keyscope.policy.source import near

TYPES = "x-resource-types"
KEY_MANAGEMENT = "x-key-management"


def policy_from_openapi(document: OpenApi) -> Policy:
    """The policy that the document's annotations make. Raises ConfigurationError with every fault."""
    faults: list[Fault] = []
    rows = [_row(call, faults) for call in document.calls]
    types = _types(document, rows, faults)
    faults += _unknown(rows, types)
    faults += _repeated(rows)
    key_management = _key_management(document.document.get(KEY_MANAGEMENT), types, faults)
    if faults or not rows:
        none = [Fault("paths", "The document has no operations.")]
        raise ConfigurationError(f"{document.where} does not make a policy", faults or none)
    return Policy(
        name=re.sub(r"[^a-z0-9]+", "-", document.title.lower()).strip("-") or "api",
        title=document.title,
        key_management=key_management,
        resource_types=types,
        operations=tuple(rows),
    )


def _row(call: Call, faults: list[Fault]) -> Operation:
    faults += [Fault(call.call, f"{problem}.") for problem in _call_problems(call)]
    return Operation(
        id=call.operation_id or call.call.replace(" ", ""),
        method=call.method,
        template=call.template,
        needs=tuple(_scopes(call, faults)),
        why=call.summary,
        deprecated=call.deprecated,
    )


def _call_problems(call: Call) -> Iterator[str]:
    if call.method not in METHODS:
        yield f"Keyscope does not know the method {call.method}"
    if call.scopes is None:
        yield f"{SCOPES} is missing: add it, [] if any live key may call this"
    for problem in template_problems(call.template):
        yield f"the path cannot be matched: {problem}"


def _scopes(call: Call, faults: list[Fault]) -> Iterator[Scope]:
    for text in call.scopes or ():
        try:
            scope = Scope.parse(text)
        except ValueError as error:
            faults.append(Fault(f"{call.call}, {SCOPES}", f"{error}."))
            continue
        if scope.level is Level.NONE:
            faults.append(Fault(f"{call.call}, {SCOPES}", f"{text!r} asks for nothing: name read or write."))
        yield scope


def _types(document: OpenApi, rows: list[Operation], faults: list[Fault]) -> tuple[ResourceType, ...]:
    told: Any = document.document.get(TYPES)
    if told is None:
        names = sorted({scope.resource for row in rows for scope in row.needs})
        return tuple(ResourceType(name, "") for name in names)
    pairs = list(told.items()) if isinstance(told, dict) else []
    if not pairs or not all(isinstance(text, str) for pair in pairs for text in pair):
        faults.append(Fault(TYPES, "This should be a mapping from resource types to descriptions."))
        return ()
    faults += [
        Fault(f"{TYPES}.{name}", f"{name!r} is not a resource type: use a-z, 0-9 and _, a letter first.")
        for name, _ in pairs
        if not Names.is_name(name)
    ]
    return tuple(ResourceType(name, description) for name, description in pairs)


def _unknown(rows: list[Operation], types: tuple[ResourceType, ...]) -> Iterator[Fault]:
    known = [resource.name for resource in types]
    for row in rows if known else ():
        for name in (scope.resource for scope in row.needs if scope.resource not in known):
            message = f"{name!r} is not in {TYPES}{near(name, known)}"
            yield Fault(f"{row.call}, {SCOPES}", message)


def _repeated(rows: list[Operation]) -> Iterator[Fault]:
    calls: dict[object, Operation] = {}
    ids: dict[str, Operation] = {}
    for row in rows:
        same = calls.setdefault((row.method, row.segments), row)
        if same is not row:
            yield Fault(row.call, f"{same.call} matches the same calls: keep one of the two.")
        named = ids.setdefault(row.id, row)
        if named is not row:
            yield Fault(row.call, f"{named.call} has the operationId {row.id!r} too: change one of the two.")


def _key_management(told: Any, types: tuple[ResourceType, ...], faults: list[Fault]) -> str | None:
    names = [resource.name for resource in types]
    if told is None or told in names:
        return told  # type: ignore[no-any-return]  # a str, since it is one of the names
    faults.append(Fault(KEY_MANAGEMENT, f"{told!r} is not a resource type{near(str(told), names) if names else '.'}"))
    return None
