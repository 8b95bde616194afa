"""cedarpy: a Cedar policy for each scope, parsed beforehand; the key's scopes come with the question."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cedarpy import PolicySet, is_authorized

from bench.peers import COUNT, PATH, SCOPE, Peer
from keyscope.policy.document import load

_PROVES = "the policy says so, from the scopes that the question brings; the credential is not looked at"


def peers(_: Path) -> Iterator[Peer]:
    scopes = [f"{name}:{level}" for name in load("runloop").resource_names for level in ("read", "write")]
    policies = PolicySet.from_str("\n".join(_policy(scope) for scope in scopes))

    def allows(entity: dict[str, Any]) -> bool:
        request = {
            "principal": entity["uid"],
            "action": {"type": "Action", "id": SCOPE},
            "resource": {"type": "Path", "id": PATH},
            "context": {},
        }
        return bool(is_authorized(request, policies, [entity]).allowed)

    keys = [_key(number, [SCOPE, "blueprints:read"]) for number in range(COUNT)]
    name = f"cedarpy {version('cedarpy')}, {len(scopes)} policies"
    yield Peer(name, _PROVES, keys, allows, _key(0, ["blueprints:read"]))


def _policy(scope: str) -> str:
    return f'permit(principal, action == Action::"{scope}", resource) when {{ principal.scopes.contains("{scope}") }};'


def _key(number: int, scopes: list[str]) -> dict[str, Any]:
    return {"uid": {"type": "Key", "id": f"key_{number}"}, "attrs": {"scopes": scopes}, "parents": []}
