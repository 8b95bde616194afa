"""Lists of tools, prompts and resources, cut down to what the key may call.

A list is known by its members, wherever it stands: in the reply to a list request, or on a stream that is resumed and
delivers such a reply again. What was read is what goes on, written anew; what cannot be read does not go on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from keyscope.errors import BadTarget, UpstreamAnswer
from keyscope.gate.mcp_call import PROMPT, TOOL, template_path, uri_path
from keyscope.policy.tools import path_of
from keyscope.wire.codec import encode

May = Callable[[str], bool]
"""Whether the key may call what has this path in the policy's table."""

MAX_BYTES = 16 << 20
"""The largest list."""

_PATHS: Mapping[str, tuple[str, Callable[[str], str]]] = {
    "tools": ("name", lambda name: path_of(TOOL, name)),
    "prompts": ("name", lambda name: path_of(PROMPT, name)),
    "resources": ("uri", uri_path),
    "resourceTemplates": ("uriTemplate", template_path),
}


def cut_down(raw: bytes, may: May) -> bytes:
    """A reply with only those entries of its lists that the key may call. Raises UpstreamAnswer if it is not JSON."""
    try:
        value = json.loads(raw)
        _cut(value, may)
        return encode(value)
    except (ValueError, RecursionError) as error:
        raise UpstreamAnswer(f"a reply that cannot be read: {type(error).__name__}") from None


def _cut(value: Any, may: May) -> None:
    """Messages come alone, or from an old server in a batch."""
    for message in value if isinstance(value, list) else [value]:
        result = message.get("result") if isinstance(message, dict) else None
        if isinstance(result, dict):
            _cut_result(result, may)


def _cut_result(result: dict[str, Any], may: May) -> None:
    for name, (member, path) in _PATHS.items():
        if name in result:
            entries = result[name] if isinstance(result[name], list) else []
            result[name] = [entry for entry in entries if _shows(entry, member, path, may)]
    if "cacheScope" in result:
        result["cacheScope"] = "private"  # another key's list is another one


def _shows(entry: Any, member: str, path: Callable[[str], str], may: May) -> bool:
    name = entry.get(member) if isinstance(entry, dict) else None
    if not isinstance(name, str):
        return False
    try:
        return may(path(name))
    except BadTarget:
        return False
