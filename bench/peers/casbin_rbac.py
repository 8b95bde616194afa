"""pycasbin: the policy alone, once with one rule and once with Runloop's operations as routes."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import casbin

from bench.peers import COUNT, METHOD, PATH, TEMPLATE, Peer
from keyscope.policy.document import load

_PROVES = "the policy says so; the credential is not looked at"
_MODEL = """
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = r.sub == p.sub && keyMatch2(r.obj, p.obj) && r.act == p.act
"""


def peers(_: Path) -> Iterator[Peer]:
    routes = [(row.template, row.method) for row in load("runloop").operations]
    routes.sort(key=lambda route: route == (TEMPLATE, METHOD))
    yield _peer("one rule", [(TEMPLATE, METHOD)])
    yield _peer(f"{len(routes)} routes", routes)


def _peer(what: str, routes: list[tuple[str, str]]) -> Peer:
    model = casbin.Model()
    model.load_model_from_text(_MODEL)
    enforcer = casbin.Enforcer(model)
    rules = [["reader", _colons(template), method] for template, method in routes]
    enforcer.add_policies(rules)

    def allows(subject: str) -> bool:
        return bool(enforcer.enforce(subject, PATH, METHOD))

    return Peer(f"pycasbin {version('pycasbin')}, {what}", _PROVES, ["reader"] * COUNT, allows, "writer")


def _colons(template: str) -> str:
    return template.replace("{", ":").replace("}", "")
