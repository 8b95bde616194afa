"""AuthZEN's question and its answer: may this subject do this action with this resource?

The subject is ``{type: "key", id: <key id>}``. The action is an HTTP method or an operation's id. The resource is
``{type: "route", id: <path, or path template>}`` or ``{type: "operation", id: <operation id>}``; an operation may also
be asked about with a resource of any other type, which is then not looked at, since scopes are by type. What cannot be
judged is denied. Unknown members are ignored, as AuthZEN demands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from keyscope.api.caller import Desk
from keyscope.authority.explain import explain
from keyscope.errors import BadRequest, BadTarget, Fault
from keyscope.gate.sight import Sight
from keyscope.model.body import Json
from keyscope.model.decision import Allow, Deny, strict
from keyscope.model.facts import Facts
from keyscope.model.key import Lineage
from keyscope.model.operation import Operation, Route
from keyscope.model.scope import Scope
from keyscope.policy.tools import METHOD as MCP
from keyscope.wire.asked import ASKABLE, asked_call
from keyscope.wire.target import canonical_path, matched_method

KEY, ROUTE, OPERATION = "key", "route", "operation"

_PARAMETER = re.compile(r"(?<=/)\{[^{}/]*\}(?=/|$)")

UNKNOWN: Mapping[str, str] = {
    "unknown_subject": "There is no such key in this account. Ask about {type: key, id: the key's id}.",
    "unknown_action": "The action is neither an HTTP method nor the id of an operation of the policy.",
    "unknown_resource": "The resource is neither {type: route, id: a path} nor {type: operation, id: an operation}.",
    "invalid_target": "The path is not in canonical form, so the gate would refuse it.",
    "other_operation": "The action is an operation that this resource does not stand for.",
}
"""Why something cannot be judged, by reason."""


class Question(Struct, frozen=True):
    """One evaluation. ``properties`` are the resource's."""

    subject_type: str
    subject_id: str
    action: str
    resource_type: str
    resource_id: str
    properties: Mapping[str, Json]


class _Target(Struct, frozen=True):
    """What the action and the resource come to: a call."""

    method: str
    path: str
    route: Route | None
    needs: tuple[Scope, ...]


def entity(request: Mapping[str, Json], name: str, *members: str) -> Mapping[str, Json]:
    """A subject, action or resource with these text members. Raises BadRequest if it is not one."""
    found = request.get(name)
    if not isinstance(found, dict):
        raise BadRequest(name, [Fault(f"$.{name}", "send an object here")])
    for member in members:
        if not isinstance(found.get(member), str):
            raise BadRequest(name, [Fault(f"$.{name}.{member}", "send text here")])
    _check_object(found, "properties", f"$.{name}.properties")
    return found


def check_context(request: Mapping[str, Json]) -> None:
    """Raise BadRequest if there is a context and it is not an object. Nothing of it is read."""
    _check_object(request, "context", "$.context")


def _check_object(of: Mapping[str, Json], name: str, path: str) -> None:
    if name in of and not isinstance(of[name], dict):
        raise BadRequest(name, [Fault(path, "send an object here, or leave it out")])


def question(request: Mapping[str, Json]) -> Question:
    """The question of a whole request. Raises BadRequest."""
    subject = entity(request, "subject", "type", "id")
    action = entity(request, "action", "name")
    resource = entity(request, "resource", "type", "id")
    check_context(request)
    return ask(subject, str(action["name"]), str(resource["type"]), str(resource["id"]), resource.get("properties"))


def ask(subject: Mapping[str, Json], action: str, kind: str, name: str, properties: Json = None) -> Question:
    """A question put together from its parts."""
    known = properties if isinstance(properties, dict) else {}
    return Question(str(subject["type"]), str(subject["id"]), action, kind, name, known)


class Evaluator:
    """Judges questions for callers of an account, by the same verifier as the gate."""

    def __init__(self, desk: Desk) -> None:
        self._verifier = desk.verifier
        self.operations = {operation.id: operation for operation in desk.policy.operations}

    def allows(self, account_id: str, asked: Question) -> bool:
        return isinstance(self._judge(account_id, asked)[0], Allow)

    def candidates(self, kind: str, action: str) -> list[str]:
        """The routes or operations of the policy that an action could be about, whoever the subject is."""
        fitting = [op for op in self.operations.values() if action == op.id or matched_method(action) == op.method]
        ids = {ROUTE: [op.template for op in fitting], OPERATION: [op.id for op in fitting]}.get(kind, [])
        return [*dict.fromkeys(ids)]

    def answer(self, account_id: str, asked: Question) -> dict[str, object]:
        """The decision as AuthZEN writes it; a denial says why."""
        judged, target = self._judge(account_id, asked)
        if isinstance(judged, Allow):
            return {"decision": True}
        if isinstance(judged, Deny) and target is not None:
            return _denied(judged, target)
        return {"decision": False, "context": {"reason": UNKNOWN[str(judged)], "reasons": [judged]}}

    def _judge(self, account_id: str, asked: Question) -> tuple[Allow | Deny | str, _Target | None]:
        """The decision, or why there is none."""
        lineage = self._verifier.by_id(asked.subject_id) if asked.subject_type == KEY else None
        if lineage is None or lineage.key.account_id != account_id:
            return "unknown_subject", None
        target = self._target(asked)
        if isinstance(target, str):
            return target, None
        facts = _facts(lineage, target, asked.properties) if lineage.bounds else None
        return strict(self._verifier.judge(lineage, target.route, target.needs, facts)), target

    def _target(self, asked: Question) -> _Target | str:
        if asked.action in ASKABLE:
            return self._by_method(asked)
        operation = self.operations.get(asked.action)
        return self._by_operation(operation, asked) if operation is not None else "unknown_action"

    def _by_method(self, asked: Question) -> _Target | str:
        if asked.resource_type == ROUTE:
            return self._call(asked.action, asked.resource_id, asked)
        operation = self.operations.get(asked.resource_id) if asked.resource_type == OPERATION else None
        if operation is None:
            return "unknown_resource"
        if operation.method != matched_method(asked.action):
            return "other_operation"
        return self._call(asked.action, operation.template, asked)

    def _by_operation(self, operation: Operation, asked: Question) -> _Target | str:
        if asked.resource_type == OPERATION and asked.resource_id != operation.id:
            return "other_operation"
        if asked.resource_type != ROUTE:
            return self._call(operation.method, operation.template, asked)
        target = self._call(operation.method, asked.resource_id, asked)
        if isinstance(target, str):
            return target
        meant = target.route is not None and operation in target.route.operations
        return target if meant else "other_operation"

    def _call(self, method: str, target: str, asked: Question) -> _Target | str:
        try:
            path = _path(method, target)
        except BadTarget:
            return "invalid_target"
        route = self._verifier.route(matched_method(method), path)
        return _Target(method, path, route, _needs(route, asked.properties) if route is not None else ())


def _path(method: str, target: str) -> str:
    """A canonical path, or a template of one, whose ``{…}`` segments match as any other text would."""
    if "{" not in target or method == MCP:
        return asked_call(method, target)[1]
    canonical_path(_PARAMETER.sub("x", target).encode())
    return target


def _needs(route: Route, properties: Mapping[str, Json]) -> tuple[Scope, ...]:
    """The scopes of the call. Without its body as an object, every condition on the body counts."""
    if not route.conditions:
        return route.needs
    body = properties.get("body")
    if "body" in properties and not isinstance(body, str):  # text might be JSON that was not parsed
        return route.needs_with(body)
    return route.needs_unseen


_TOLD = Sight()


def _facts(lineage: Lineage, target: _Target, properties: Mapping[str, Json]) -> Facts:
    """What whoever asks tells of the call: its path, and its body as an object. It is not counted."""
    facts = _TOLD.facts(lineage, target.route, target.path, "")
    body = properties.get("body")
    seen = "body" in properties and not isinstance(body, str)
    return _TOLD.with_body(facts, lineage, target.route, body) if seen else facts


def _denied(denied: Deny, target: _Target) -> dict[str, object]:
    explained = explain(denied, target.method, target.path)
    context = {
        "reason": explained.message,
        "reasons": [reason.value for reason in explained.reasons],
        "operation": explained.operation,
        "missing_scopes": [str(scope) for scope in explained.missing],
        "next": list(explained.next),
    }
    return {"decision": False, "context": context}
