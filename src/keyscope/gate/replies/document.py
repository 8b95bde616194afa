"""One JSON reply, from which marked members are cut out on its way. All else goes on as it comes."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Raw

from keyscope.gate.replies.cuts import ELEMENTS, NOTHING, Cuts, Steps
from keyscope.gate.replies.pieces import Closed, Elements, Member, Opened, Piece, Reader
from keyscope.wire.codec import encode


class Document:
    """Feed it bytes: it gives back those that may go on."""

    def __init__(self, paths: Iterable[Steps]) -> None:
        found = tuple(paths)
        self._reader = Reader({path[0] for path in found if path[1:2] == (ELEMENTS,)})
        self._writer = Writer(Cuts(found))

    def feed(self, chunk: bytes) -> bytes:
        """What can go on now. Raises UpstreamAnswer for what cannot be read."""
        return b"".join(map(self._writer.write, self._reader.feed(chunk)))

    def close(self) -> bytes:
        """The rest. Raises UpstreamAnswer if the reply ends early."""
        return b"".join(map(self._writer.write, self._reader.close())) + self._writer.end()


class Writer:
    """Writes a document's pieces without what is cut."""

    def __init__(self, cuts: Cuts) -> None:
        self._cuts = cuts
        self._separator = b"{"
        self._list: Cuts | None = None
        self._of_each: Cuts | None = None
        self._comma = b""
        self._is_object = True

    def write(self, piece: Piece) -> bytes:
        """What a piece becomes, with what separates it from the one before."""
        match piece:
            case Elements(each, text):
                return self._elements(each, text)
            case Member(name, value):
                cuts = self._cuts.of_member(name)
                return b"" if cuts is None else self._name(name) + cuts(value)
            case Opened(name):
                return self._open(name)
            case Closed():
                return b"" if self._list is None else b"]"
        self._is_object = False
        return self._cuts(piece.value)

    def end(self) -> bytes:
        """What ends the document."""
        if not self._is_object:
            return b""
        return b"{}" if self._separator == b"{" else b"}"

    def _open(self, name: str) -> bytes:
        self._list = self._cuts.of_member(name)
        self._of_each = (self._list or NOTHING).of_elements()
        self._comma = b""
        return b"" if self._list is None else self._name(name) + b"["

    def _name(self, name: str) -> bytes:
        separator, self._separator = self._separator, b","
        return separator + encode(name) + b":"

    def _elements(self, each: list[Raw], text: bytes) -> bytes:
        if self._list is None or self._of_each is None:
            return b""
        comma, self._comma = self._comma, b","
        touched = self._of_each.may_touch(text)
        return comma + (b",".join(map(self._of_each, each)) if touched else text)
