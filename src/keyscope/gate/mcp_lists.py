"""Lists of tools, prompts and resources, cut down to what the key may call.

A list is known by its members, wherever it stands: in the reply to a list request, or on a stream that is resumed and
delivers such a reply again. What was read is what goes on, written anew; what cannot be read does not go on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from keyscope.errors import BadTarget, UpstreamAnswer
from keyscope.gate.mcp_call import PROMPT, TOOL, template_path, uri_path
from keyscope.gate.stream import EVENT_END, LINE_END
from keyscope.policy.tools import path_of
from keyscope.wire.codec import encode

May = Callable[[str], bool]
"""Whether the key may call what has this path in the policy's table."""

MAX_BYTES = 16 << 20
"""The largest list, or event on a stream that may carry one."""

_PATHS: Mapping[str, tuple[str, Callable[[str], str]]] = {
    "tools": ("name", lambda name: path_of(TOOL, name)),
    "prompts": ("name", lambda name: path_of(PROMPT, name)),
    "resources": ("uri", uri_path),
    "resourceTemplates": ("uriTemplate", template_path),
}
_LINE = re.compile(LINE_END)
_FIELDS = frozenset({b"event", b"id", b"retry", b""})
"""The fields of an event that go on as they came, comments among them. Its data is written anew."""


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


class Events:
    """The events of a stream (text/event-stream), each cut down. Feed it bytes; it gives back whole events."""

    def __init__(self, may: May) -> None:
        self._may = may
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """What can go on now. Raises UpstreamAnswer for an event that is too large or cannot be read."""
        self._held += chunk
        done = []
        while (end := EVENT_END.search(self._held)) is not None:
            done.append(self._event(self._held[: end.end()]))
            self._held = self._held[end.end() :]
        if len(self._held) > MAX_BYTES:
            raise UpstreamAnswer(f"an event of more than {MAX_BYTES} bytes")
        return b"".join(done)

    def _event(self, raw: bytes) -> bytes:
        lines = [(line.partition(b":")[0], line) for line in _LINE.split(raw) if line]
        data = [line.partition(b":")[2].removeprefix(b" ") for name, line in lines if name == b"data"]
        kept = [line for name, line in lines if name in _FIELDS]
        if data:
            text = b"\n".join(data)
            kept.append(b"data: " + (cut_down(text, self._may) if text else b""))
        return b"\n".join([*kept, b"", b""])
