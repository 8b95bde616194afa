"""A call that somebody asks about, instead of making it: HTTP's, or MCP's as a policy writes it.

``MCP /tools/call/get_forecast`` has the JSON-RPC method and the name for its path. Names are looked up as they are, so
that path needs no canonical form; no HTTP request can have the method.
"""

from __future__ import annotations

from keyscope.errors import BadTarget, Fault
from keyscope.policy.tools import METHOD as MCP
from keyscope.wire.target import MAX_BYTES, METHODS, matched_method, split_target

ASKABLE = METHODS | {MCP}
"""The methods that can be asked about."""


def asked_call(method: str, target: str) -> tuple[str, str]:
    """The method and the path to look up in the table. Raises BadTarget and TargetTooLong for a target that is none."""
    if method != MCP:
        return matched_method(method), split_target(target.encode())[0]
    if not target.startswith("/") or len(target) > MAX_BYTES:
        why = "write the JSON-RPC method and the name, like /tools/call/get_forecast"
        raise BadTarget(why, [Fault("target", why)])
    return MCP, target
