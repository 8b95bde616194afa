"""Replies of the Runloop API, generated from its OpenAPI shapes, with a secret wherever the policy marks one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from keyscope.model.body import Json
from keyscope.policy.document import load

SECRET = "s3cret-of-the-upstream"
POLICY = load("runloop")
MARKED = {row.id: row for row in POLICY.operations if row.credentials}
_FILE = json.loads((Path(__file__).parents[1] / "data" / "openapi" / "runloop-replies.json").read_text("utf-8"))
SHAPES: dict[str, dict[str, Any]] = {name: _FILE["replies"][number] for name, number in _FILE["operations"].items()}

_SIMPLE: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(max_size=6) | st.sampled_from(["},{", '"auth_token":"', "\\", "é"]),
    "integer": st.integers(-(1 << 53), 1 << 53),
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
}


def replies(operation: str) -> st.SearchStrategy[Json]:
    """Replies of an operation in which every marked member is there, and holds the secret."""
    paths = [path.steps for path in MARKED[operation].credentials]
    return _values(SHAPES[operation]).map(lambda value: _planted(value, paths))


def _values(shape: dict[str, Any]) -> st.SearchStrategy[Any]:
    found = _plain(shape)
    return st.none() | found if shape.get("nullable") else found


def _plain(shape: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "oneOf" in shape:
        return st.one_of(*map(_values, shape["oneOf"]))
    if "enum" in shape:
        return st.sampled_from(shape["enum"])
    if shape.get("type") == "array":
        return st.lists(_values(shape["items"]), max_size=2)
    if "properties" in shape:
        members = {name: _values(member) for name, member in shape["properties"].items()}
        return st.fixed_dictionaries({}, optional=members)
    if shape.get("type") == "object":
        return st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2)
    return _SIMPLE.get(shape.get("type", ""), st.none())


def _planted(value: Any, paths: list[tuple[str, ...]]) -> Any:
    for path in paths:
        value = _with_secret(value, path)
    return value


def _with_secret(value: Any, path: tuple[str, ...]) -> Any:
    if not path:
        return SECRET
    step, *rest = path
    if step == "[*]":
        return [_with_secret(item, tuple(rest)) for item in value or [{}]]
    found = dict(value or {})
    found[step] = _with_secret(found.get(step), tuple(rest))
    return found
