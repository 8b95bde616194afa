"""The ``mcp`` section of a policy: what each tool, prompt and resource of an MCP server needs.

Each entry becomes an operation like any other, of the method ``MCP``, so that the same table, check, comparison and
words serve both. Its path is the JSON-RPC method and the name: ``MCP /tools/call/get_forecast``. No HTTP request has
this method (wire/target.py), so none reaches such a row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from keyscope.model.body import BodyCondition
from keyscope.model.operation import Operation
from keyscope.model.scope import Scope
from keyscope.policy.rows import Names, read_conditions, read_needs, require_unique
from keyscope.policy.source import Place

METHOD = "MCP"
NAMED = {"tools": "tools/call", "prompts": "prompts/get", "resources": "resources/read"}
"""The sections whose entries have a name, and the JSON-RPC method that calls for one."""
OTHERS = "methods"
SECTIONS = (*NAMED, OTHERS)

JUDGED = frozenset({*NAMED.values(), "resources/subscribe", "resources/unsubscribe", "completion/complete"})
"""The JSON-RPC methods that are judged by the name that they carry."""
LISTS = frozenset({"tools/list", "prompts/list", "resources/list", "resources/templates/list"})
"""The JSON-RPC methods whose reply shows only what the key may call."""
OPEN = LISTS | {"initialize", "ping", "server/discover", "subscriptions/listen"}
"""The JSON-RPC methods that need no more than a live key."""

_MOST_CHARACTERS = 512
_RPC_METHOD = re.compile(r"[A-Za-z][A-Za-z0-9_$.-]*(?:/[A-Za-z0-9_$.-]+)*", re.ASCII)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+", re.ASCII)
_PARAMETER = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}", re.ASCII)


def path_of(method: str, name: str | None = None) -> str:
    """The path of a JSON-RPC call in the table. A name is looked up as it is, never decoded or repaired.

    Methods without a name stand apart: the method ``tools/call/x`` is not the tool ``x``.
    """
    return f"/{OTHERS}/{method}" if name is None else f"/{method}/{name}"


def read_tools(place: Place | None, names: Names) -> tuple[Operation, ...]:
    """The operations of a policy's ``mcp`` section."""
    sections = place.record((), SECTIONS) if place else {}
    if place and not any(section.members() for section in sections.values()):
        place.fault(f"There is nothing in it: give one of {', '.join(SECTIONS)}.")
    rows = [row for name, section in sections.items() for row in _rows(name, section, names)]
    require_unique(rows, lambda operation: operation.segments, "call")
    return tuple(operation for _, operation in rows)


def _rows(section: str, place: Place, names: Names) -> Iterator[tuple[Place, Operation]]:
    for name, member in place.members().items():
        problem = name_problem(section, name)
        if problem:
            member.fault(f"{name!r} {problem}.")
            continue
        method = NAMED.get(section)
        yield member, _operation(method or name, name if method else None, member, names)


def _operation(method: str, name: str | None, place: Place, names: Names) -> Operation:
    needs, conditions, why = _entry(place, names)
    return Operation(
        # The space keeps these ids apart from those of the other rows, which have none.
        id=f"method {method}" if name is None else f"{method} {name}",
        method=METHOD,
        template=path_of(method, name),
        needs=needs,
        body=conditions,
        why=why,
    )


def _entry(place: Place, names: Names) -> tuple[tuple[Scope, ...], tuple[BodyCondition, ...], str]:
    """``[TYPE:read]``, or the same as ``needs`` beside ``why`` and ``arguments``."""
    if place.is_list:
        return read_needs(place, names), (), ""
    if not place.is_mapping:
        place.fault("Write a list of scopes, like [things:read], or a mapping with needs.")
        return (), (), ""
    parts = place.record(("needs",), ("why", "arguments"))
    needs = read_needs(parts["needs"], names) if "needs" in parts else ()
    arguments = read_conditions(parts["arguments"], names) if "arguments" in parts else ()
    why = parts["why"].text() if "why" in parts else None
    return needs, tuple(condition for condition, _ in arguments), why or ""


def name_problem(section: str, name: str) -> str:
    """Why a name cannot stand in this section; empty if it can."""
    if len(name) > _MOST_CHARACTERS or not name.isprintable() or name != name.strip():
        return f"is not a name: write at most {_MOST_CHARACTERS} printable characters, no space at either end"
    if section == OTHERS:
        return _method_problem(name)
    if section == "resources":
        return _uri_problem(name)
    return "is not a name: { and } stand for a parameter only in resources" if "{" in name or "}" in name else ""


def _method_problem(name: str) -> str:
    if name in JUDGED:
        section = next((section for section, method in NAMED.items() if method == name), "resources or prompts")
        return f"is judged by the name that it carries: write that under {section}"
    if name in OPEN:
        return "needs no more than a live key: remove it"
    return "" if _RPC_METHOD.fullmatch(name) else "is not a JSON-RPC method: write one like logging/setLevel"


def _uri_problem(uri: str) -> str:
    if not _URI.fullmatch(uri):
        return "is not a URI: write a scheme, a colon and more, like notes://today"
    wrong = [part for part in uri.split("/") if ("{" in part or "}" in part) and not _PARAMETER.fullmatch(part)]
    return f"has {wrong[0]!r} in it: a {{parameter}} is a whole segment between two /" if wrong else ""
