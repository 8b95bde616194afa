"""Lint a policy, and hold it against the OpenAPI document of its API.

An error means that the policy does not say what it seems to say, so the server refuses to start on it. docs/
policy-format.md lists what counts as an error and what is only dubious, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from keyscope.errors import ConfigurationError, Fault
from keyscope.model.body import JsonPath
from keyscope.model.operation import Operation, Table
from keyscope.model.scope import Grant, Level, Scope
from keyscope.policy.collections import parameters
from keyscope.policy.document import Policy, load_own
from keyscope.policy.findings import Finding, Kind, Report
from keyscope.policy.openapi import SCOPES, Call, OpenApi, follow
from keyscope.policy.overlaps import meeting, overlapping, overlaps
from keyscope.policy.restricting import unknown_names
from keyscope.policy.tools import METHOD as MCP

_BODILESS = ("GET", "HEAD")
_CHANGING = ("POST", "PUT", "PATCH", "DELETE", MCP)
_OWN = "/keyscope/"
_HAS_MORE = JsonPath.parse("$.has_more")


def check(policy: Policy, openapi: OpenApi | None) -> Report:
    """Everything that is wrong with a policy, held against its API's document where there is one."""
    findings = [*_lint(policy), *(_compare(policy, openapi) if openapi else ())]
    return Report(policy.name, len(policy.operations), tuple(findings), overlaps(policy.operations))


def lint(policy: Policy) -> Report:
    """The part of ``check`` that needs no document."""
    return check(policy, None)


def require_sound(policy: Policy) -> None:
    """Raise ConfigurationError if the policy has an error that ``lint`` finds: the server does not start on it."""
    errors = lint(policy).errors
    if errors:
        faults = [Fault(finding.call, finding.message) for finding in errors]
        raise ConfigurationError(f"the policy {policy.name} is not sound", faults)


def _lint(policy: Policy) -> Iterator[Finding]:
    for row in policy.operations:
        for rule in _ROW_RULES:
            yield from rule(row)
    yield from _pairs(policy)
    yield from _unused(policy)
    yield from _unknown_in_presets(policy)
    if policy.collections:
        yield from _unsaid_parameters(policy)
        yield from _dead_collections(policy)


def _body_without_json(row: Operation) -> Iterator[Finding]:
    judged = row.body or row.refers
    if judged and row.method in _BODILESS:
        yield _wrong(row, f"{row.method} has no body, so its body conditions never apply: remove them.")
    elif judged and row.transport in ("multipart", "websocket"):
        yield _wrong(row, f"a {row.transport} body is not JSON and cannot be judged: put the scopes into needs.")


def _effects_without_write(row: Operation) -> Iterator[Finding]:
    effects = (("creates", row.creates[0] if row.creates else None), ("destroys", row.destroys))
    for word, resource in effects:
        if resource and not Grant(row.needs).covers(Scope(resource, Level.WRITE)):
            yield _wrong(row, f"it {word} {resource} and does not need {resource}:write: add it, or drop {word}.")


def _lists_without_read(row: Operation) -> Iterator[Finding]:
    if row.lists and not Grant(row.needs).covers(Scope(row.lists[0], Level.READ)):
        yield _wrong(row, f"it lists {row.lists[0]} and does not need {row.lists[0]}:read: add it, or drop lists.")


def _conditions_without_effect(row: Operation) -> Iterator[Finding]:
    seen = set()
    for condition in row.body:
        if Grant(row.needs).covers(condition.needs):
            yield _dubious(row, f"{condition.when} calls for {condition.needs}, which the row needs anyway.")
        elif (condition.when, condition.needs) in seen:
            yield _dubious(row, f"{condition.when} calls for {condition.needs} twice.")
        seen.add((condition.when, condition.needs))


def _open_change(row: Operation) -> Iterator[Finding]:
    if not row.needs and row.method in _CHANGING and not row.template.startswith(_OWN):
        yield _dubious(row, f"any live key may {_verb(row)}: name a scope, unless this is meant.")


def _verb(row: Operation) -> str:
    return "call it" if row.method == MCP else f"{row.method} here"


_ROW_RULES: tuple[Callable[[Operation], Iterator[Finding]], ...] = (
    _body_without_json,
    _effects_without_write,
    _lists_without_read,
    _conditions_without_effect,
    _open_change,
)


def _pairs(policy: Policy) -> Iterator[Finding]:
    table = Table(policy.operations)
    for one, other in overlapping(table):
        if bool(one.needs) == bool(other.needs):
            continue
        free, bound = (other, one) if one.needs else (one, other)
        route = meeting(table, one, other)
        settled = route.operations if route else ()
        if free in settled and len(settled) > 1:
            yield _wrong(free, f"it needs nothing, but ties with {bound}, so some of its calls do: name the scopes.")
        elif settled == (free,):
            yield _dubious(free, f"it needs nothing and takes calls from {bound}, which needs something.")


def _unused(policy: Policy) -> Iterator[Finding]:
    rows = policy.operations
    used = {scope.resource for row in rows for scope in (*row.needs, *(c.needs for c in row.body))}
    for name in policy.resource_names:
        if name not in used and name != policy.key_management:
            yield Finding(Kind.DUBIOUS, name, "no row needs this resource type, so granting it does nothing.")


def _unknown_in_presets(policy: Policy) -> Iterator[Finding]:
    """A restriction that names what the policy does not have would restrict nothing."""
    operations = [*(row.id for row in policy.operations), *(row.id for row in load_own())]
    for preset in policy.presets:
        if preset.restrictions is not None:
            for fault in unknown_names(preset.restrictions, policy.resource_names, operations):
                yield Finding(Kind.CONTRADICTORY, f"preset {preset.name}", f"{fault.path[2:]}: {fault.message}.")


def _unsaid_parameters(policy: Policy) -> Iterator[Finding]:
    """Each parameter names a thing or is said not to: else a restriction to certain things would not see it."""
    said = {collection.segments for collection in policy.collections}
    for row in policy.operations:
        for at in parameters(row) if row.method != MCP and not row.is_own else ():
            if row.segments[: at + 1] not in said:
                prefix = "/".join(row.template.split("/")[: at + 2])
                message = f"nothing says what {prefix} names: add it to collections, with null if it names nothing."
                yield Finding(Kind.UNMAPPED, str(row), message)


def _dead_collections(policy: Policy) -> Iterator[Finding]:
    rows = [row.segments for row in policy.operations]
    for one in policy.collections:
        if not any(row[: len(one.segments)] == one.segments for row in rows):
            yield Finding(Kind.DEAD, one.template, "no row has a path that begins so: remove it from collections.")


def _compare(policy: Policy, openapi: OpenApi) -> Iterator[Finding]:
    rows = {(row.method, row.segments): row for row in policy.operations}
    calls = {(call.method, call.segments): call for call in openapi.calls}
    for key, call in calls.items():
        if key not in rows:
            named = f" ({call.operation_id})" if call.operation_id else ""
            yield Finding(Kind.UNMAPPED, call.call, f"no row speaks of this operation{named}: add one.")
    for key, row in rows.items():
        yield from _against(policy, openapi, row, calls.get(key))
    yield from _borrowed_ids(policy, openapi)


def _against(policy: Policy, openapi: OpenApi, row: Operation, call: Call | None) -> Iterator[Finding]:
    known_gap = row.id in policy.undocumented
    if call is None and not known_gap:
        yield Finding(Kind.DEAD, str(row), "the document has no such operation: remove it, or say undocumented: true.")
    elif call is not None and known_gap:
        yield _wrong(row, "it says undocumented, and the document has it: remove that.", Kind.DEAD)
    if call is not None:
        yield from _scopes_differ(row, call)
        yield from _unknown_members(policy, openapi, row, call)
        yield from _unknown_things(policy, openapi, row, call)


def _scopes_differ(row: Operation, call: Call) -> Iterator[Finding]:
    needs = sorted(map(str, row.needs))
    if call.scopes is not None and sorted(set(call.scopes)) != needs:
        told, said = " ".join(call.scopes) or "nothing", " ".join(needs) or "nothing"
        yield _wrong(row, f"the document's {SCOPES} say {told}, the row says {said}: make them agree.")


def _unknown_members(policy: Policy, openapi: OpenApi, row: Operation, call: Call) -> Iterator[Finding]:
    for condition in row.body:
        yield from _member_differs(policy, openapi, row, call, condition.when)


def _member_differs(policy: Policy, openapi: OpenApi, row: Operation, call: Call, path: JsonPath) -> Iterator[Finding]:
    known_gap = f"{row.id} {path}" in policy.undocumented_members
    found = call.body is not None and openapi.has_member(call.body, path)
    if not found and not known_gap:
        yield _wrong(row, f"the request schema has nothing at {path}: mend the path, or say undocumented: true.")
    elif found and known_gap:
        yield _wrong(row, f"{path} says undocumented, and the schema has it: remove that.", Kind.DEAD)


def _unknown_things(policy: Policy, openapi: OpenApi, row: Operation, call: Call) -> Iterator[Finding]:
    """Where restrictions to certain things look: members of the body, and the list in the reply."""
    for path, _ in row.refers:
        yield from _member_differs(policy, openapi, row, call, path)
    if call.reply is None:
        return
    if row.lists and not openapi.has_member(call.reply, row.lists[1]):
        yield _wrong(row, f"the reply's schema has nothing at {row.lists[1]}, which lists names: mend the path.")
    in_pages = "properties" in follow(openapi.document, call.reply) and openapi.has_member(call.reply, _HAS_MORE)
    if policy.collections and in_pages and row.lists is None and row.id not in policy.whole_lists:
        message = "its reply is a list in pages, and nothing says of what: add lists, or lists: null if path says it."
        yield Finding(Kind.UNMAPPED, str(row), message)


def _borrowed_ids(policy: Policy, openapi: OpenApi) -> Iterator[Finding]:
    calls = {call.operation_id: call for call in openapi.calls if call.operation_id}
    for row in policy.operations:
        call = calls.get(row.id)
        if call and (call.method, call.segments) != (row.method, row.segments):
            yield _wrong(row, f"in the document this is the id of {call.call}: give the row its own id.")


def _wrong(row: Operation, message: str, kind: Kind = Kind.CONTRADICTORY) -> Finding:
    return Finding(kind, str(row), message)


def _dubious(row: Operation, message: str) -> Finding:
    return Finding(Kind.DUBIOUS, str(row), message)
