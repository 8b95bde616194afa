"""The ``mcp`` section of a policy: rows like any other, and faults that say how to mend them."""

from __future__ import annotations

import pytest

from keyscope.errors import ConfigurationError
from keyscope.policy.check import check, lint
from keyscope.policy.diff import diff
from keyscope.policy.document import Policy, parse
from keyscope.policy.own import with_own_operations

HEAD = "policy: p\ntitle: P\nresource_types: {things: Things, notes: Notes}\n"


def policy(section: str, more: str = "") -> Policy:
    return parse(f"{HEAD}{more}mcp:\n  {section}\n", "the test")


def faults(section: str) -> str:
    with pytest.raises(ConfigurationError) as error:
        policy(section)
    return "\n".join(f"{fault.path}: {fault.message}" for fault in error.value.faults)


def needs(policy: Policy, path: str) -> list[str] | None:
    route = policy.table().find("MCP", path)
    return None if route is None else [str(scope) for scope in route.needs]


def test_a_tool_is_found_by_its_exact_name() -> None:
    made = policy("tools: {a: [things:read], a/b: [things:write], 'c d': []}")
    assert needs(made, "/tools/call/a") == ["things:read"]
    assert needs(made, "/tools/call/a/b") == ["things:write"]
    assert needs(made, "/tools/call/c d") == []
    for other in ("A", "a/", "a/c", "", "{}", "a/{}"):
        assert needs(made, f"/tools/call/{other}") is None


def test_a_parameter_of_a_resource_is_one_segment() -> None:
    made = policy("resources: {'n://x/{id}': [notes:read], 'n://x/today': [things:read]}")
    assert needs(made, "/resources/read/n://x/1") == ["notes:read"]
    assert needs(made, "/resources/read/n://x/today") == ["things:read"]
    for other in ("n://x/1/2", "n://x", "m://x/1", "n://y/1"):
        assert needs(made, f"/resources/read/{other}") is None


def test_a_method_is_no_tool_and_a_tool_no_method() -> None:
    made = policy("methods: {tools/call/a: [], logging/setLevel: [notes:read]}")
    assert needs(made, "/tools/call/a") is None
    assert needs(made, "/methods/logging/setLevel") == ["notes:read"]


def test_what_an_argument_calls_for_is_added() -> None:
    made = policy("tools: {a: {needs: [things:read], why: w, arguments: [{when: $.force, needs: 'notes:write'}]}}")
    route = made.table().find("MCP", "/tools/call/a")
    assert route is not None
    assert [str(scope) for scope in route.needs_with({"force": True})] == ["things:read", "notes:write"]
    assert [str(scope) for scope in route.needs_with({"force": None})] == ["things:read"]


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ("tools: {}", "There is nothing in it"),
        ("tool: {a: []}", "did you mean 'tools'?"),
        ("tools: {a: things:read}", "Write a list of scopes"),
        ("tools: {a: [thing:read]}", "did you mean 'things'?"),
        ("tools: {a: {}}", "'needs' is missing"),
        ("tools: {a: {needs: [], body: []}}", "'body' is not a member here"),
        ("tools: {'a{b}': []}", "stand for a parameter only in resources"),
        ("tools: {' a': []}", "no space at either end"),
        ("resources: {notes: []}", "is not a URI"),
        ("resources: {'n://a{b}': []}", "is a whole segment"),
        ("resources: {'n://{a}/x': [], 'n://{b}/x': []}", "has the call of"),
        ("methods: {tools/call: []}", "write that under tools"),
        ("methods: {completion/complete: []}", "write that under resources or prompts"),
        ("methods: {tools/list: []}", "needs no more than a live key: remove it"),
        ("methods: {'a b': []}", "is not a JSON-RPC method"),
    ],
)
def test_a_fault_says_how_to_mend_it(section: str, words: str) -> None:
    assert words in faults(section)


def test_a_policy_has_operations_or_tools_or_both() -> None:
    with pytest.raises(ConfigurationError):
        parse(HEAD, "the test")
    both = policy("tools: {a: [things:read]}", "operations: [{id: a, call: GET /a, needs: [notes:read]}]\n")
    assert [row.id for row in both.operations] == ["a", "tools/call a"]


def test_no_http_method_leads_to_a_tool() -> None:
    made = with_own_operations(policy("tools: {a: [things:read]}"))
    assert made.table().methods("/tools/call/a") == ("MCP",)


def test_check_and_diff_know_tools() -> None:
    open_tool = policy("tools: {a: [], b: [things:read, notes:read]}")
    assert [finding.message for finding in lint(open_tool).findings] == [
        "any live key may call it: name a scope, unless this is meant."
    ]
    assert check(open_tool, None).ok
    found = str(diff(open_tool, policy("tools: {a: [things:read], b: [notes:read, things:read]}")))
    assert "tools/call a" in found
    assert "1 narrow" in found
