"""The matrix, generated from the policy's rows alone: which calls there are, and what each must need.

Matching is done here a second time, by brute force over all rows, so that the table of the product is judged by
something other than itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from keyscope.model.body import BodyCondition, Json
from keyscope.model.operation import PARAMETER, Operation
from keyscope.model.scope import Level, Scope
from keyscope.policy.document import load
from keyscope.policy.own import own_ids, own_operations

POLICY = load("runloop")
OWN = own_operations(POLICY.key_management)
LOCAL_IDS = own_ids()
ROWS = tuple(row for row in POLICY.operations if row.id not in LOCAL_IDS)
EVERY_ROW = (*ROWS, *OWN)

_QUERY = "?after=%2Fa%20b&limit=3&tags[]=x,y&q=%C3%BC+1"
_ODD_BODY = '{ "b" : 1.50,\n\t"a":"\\u00fc ü","a":null }'.encode()
"""Bytes that no program would write again as they are; for operations whose bodies are not read."""


@dataclass(frozen=True)
class Case:
    """One call, and all the scopes it needs. ``judged`` says whether the body decides."""

    name: str
    method: str
    path: str
    needs: tuple[Scope, ...]
    body: bytes | None
    judged: bool

    @property
    def target(self) -> str:
        return self.path + _QUERY

    def one_too_few(self) -> Iterator[tuple[Scope, tuple[Scope, ...]]]:
        """Each needed scope, and the scopes that are left with that one a level lower."""
        for lost in self.needs:
            lower = Scope(lost.resource, Level(lost.level - 1))
            yield lost, tuple(lower if scope is lost else scope for scope in self.needs)


def static_cases() -> Iterator[Case]:
    """Each row by itself, with a body that triggers nothing."""
    for row in ROWS:
        yield _case(row.id, row.method, _path(row.segments), None)


def body_cases() -> Iterator[Case]:
    """Each condition on a body, with a body that triggers it."""
    for row in ROWS:
        for condition in row.body:
            yield _case(f"{row.id} {condition.when}", row.method, _path(row.segments), condition)


def tied_cases() -> Iterator[Case]:
    """Each pair of rows that some path matches, neither being the more literal."""
    for one, other in combinations(EVERY_ROW, 2):
        path = _joint_path(one, other)
        winners = _winners(one.method, path) if path else []
        if path and {one, other} <= set(winners) and not LOCAL_IDS & {row.id for row in winners}:
            yield _case(f"{one.id}+{other.id}", one.method, path, None)


def union(scopes: Iterable[Scope]) -> tuple[Scope, ...]:
    """The highest level for each resource type."""
    levels: dict[str, Level] = {}
    for scope in scopes:
        levels[scope.resource] = max(levels.get(scope.resource, Level.NONE), scope.level)
    return tuple(Scope(resource, level) for resource, level in sorted(levels.items()))


def _case(name: str, method: str, path: str, condition: BodyCondition | None) -> Case:
    rows = _winners(method, path)
    conditions = [each for row in rows for each in row.body]
    judged = bool(conditions)
    extra = [each.needs for each in conditions if condition and _reached(each.when.steps, condition.when.steps)]
    needs = union([*(scope for row in rows for scope in row.needs), *extra])
    return Case(name, method, path, needs, _body(method, condition, judged), judged)


def _body(method: str, condition: BodyCondition | None, judged: bool) -> bytes | None:
    if method not in ("POST", "PUT", "PATCH"):
        return None
    if not judged:
        return _ODD_BODY
    note: dict[str, Json] = {"note": "ü €", "number": 9007199254740993, "float": 1.5, "list": [None, True]}
    value = _reaching(condition.when.steps) if condition else {}
    assert isinstance(value, dict)
    return json.dumps({"zz": note, **value}, indent=1).encode()


def _reaching(steps: Sequence[str]) -> Json:
    """A value in which this path selects something."""
    if not steps:
        return "sample-1"
    step, *rest = steps
    if step == "[*]":
        return [_reaching(rest)]
    return {"any" if step == ".*" else step: _reaching(rest)}


def _reached(steps: Sequence[str], made_for: Sequence[str]) -> bool:
    """Whether a path selects something in the value that was made for another path."""
    if len(steps) > len(made_for):
        return False
    return all(a == b or (a == ".*" and b != "[*]") for a, b in zip(steps, made_for, strict=False))


def _path(segments: Sequence[str]) -> str:
    """A path of this template, with an id like Runloop's."""
    return "".join(f"/{'dbx_31CYd5LLFbBxst8mqnUjO' if part == PARAMETER else part}" for part in segments)


def _joint_path(one: Operation, other: Operation) -> str | None:
    """A path that both match, if they share the method and there is one."""
    if one.method != other.method or len(one.segments) != len(other.segments):
        return None
    parts = []
    for a, b in zip(one.segments, other.segments, strict=True):
        if a != b and PARAMETER not in (a, b):
            return None
        parts.append(b if a == PARAMETER else a)
    return _path(parts)


def _winners(method: str, path: str) -> list[Operation]:
    """All rows that the path matches, without those that another one is more literal than, whatever its method."""
    parts = path.split("/")[1:]
    matching = [row for row in EVERY_ROW if _matches(row.segments, parts)]
    best = [row for row in matching if not any(_beats(rival.segments, row.segments) for rival in matching)]
    return [row for row in best if row.method == method]


def _matches(segments: Sequence[str], parts: Sequence[str]) -> bool:
    return len(segments) == len(parts) and all(s in (PARAMETER, p) for s, p in zip(segments, parts, strict=True))


def _beats(one: Sequence[str], other: Sequence[str]) -> bool:
    return one != other and all(b in (PARAMETER, a) for a, b in zip(one, other, strict=True))
