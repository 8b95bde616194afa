"""A stream of events (text/event-stream; HTML, section 9.2) whose data is edited on its way, event by event."""

from __future__ import annotations

import re
from collections.abc import Callable

from keyscope.errors import UpstreamAnswer
from keyscope.gate.stream import EVENT_END, LINE_END

MAX_BYTES = 16 << 20
"""The largest event."""

_LINE = re.compile(LINE_END)
_FIELDS = frozenset({b"event", b"id", b"retry", b""})
"""The fields of an event that go on as they came, comments among them. Its data is written anew."""


class Events:
    """Feed it bytes: it gives back whole events. ``edit`` changes the data of each, and raises if it cannot read it."""

    def __init__(self, edit: Callable[[bytes], bytes]) -> None:
        self._edit = edit
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

    def close(self) -> bytes:
        """Nothing: an event that is not whole at the end is none."""
        return b""

    def _event(self, raw: bytes) -> bytes:
        lines = [(line.partition(b":")[0], line) for line in _LINE.split(raw) if line]
        data = [line.partition(b":")[2].removeprefix(b" ") for name, line in lines if name == b"data"]
        kept = [line for name, line in lines if name in _FIELDS]
        if data:
            text = b"\n".join(data)
            kept.append(b"data: " + (self._edit(text) if text else b""))
        return b"\n".join([*kept, b"", b""])
