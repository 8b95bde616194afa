"""Read Server-Sent Events (WHATWG HTML, section 9.2.6) piece by piece, as the network gives them. No I/O here."""

from __future__ import annotations

from msgspec import Struct, json

MOST_BYTES = 65536
"""Of one line, or of one event's data. More than that is no stream of Keyscope's."""


class ServerEvent(Struct, frozen=True):
    """One event: its kind, and its data as JSON text."""

    kind: str
    data: str

    @property
    def members(self) -> dict[str, object]:
        """The data. Raises ValueError if it is not a JSON object."""
        return json.decode(self.data, type=dict[str, object])


class EventReader:
    """Takes bytes in pieces of any size and gives the events that are whole."""

    def __init__(self) -> None:
        self._rest = b""
        self._kind = ""
        self._data: list[str] = []
        self._size = 0

    def feed(self, piece: bytes) -> list[ServerEvent]:
        """The events that this piece completes. Raises ValueError if they cannot be a Keyscope server's."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > MOST_BYTES:
            raise ValueError("a line of the stream is too long")
        found = (self._line(line.removesuffix(b"\r").decode("utf-8")) for line in lines)
        return [event for event in found if event is not None]

    def _line(self, line: str) -> ServerEvent | None:
        if not line:
            return self._end()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._kind = value
        elif field == "data":
            self._size += len(value)
            if self._size > MOST_BYTES:
                raise ValueError("an event of the stream is too long")
            self._data.append(value)
        return None

    def _end(self) -> ServerEvent | None:
        """An empty line: the event is whole. One without data is none."""
        event = ServerEvent(self._kind or "message", "\n".join(self._data)) if self._data else None
        self._kind, self._data, self._size = "", [], 0
        return event
