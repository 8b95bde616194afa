"""A JSON document in pieces, as its bytes come: the members of the object that it is, and of long lists some elements.

Only what was read whole becomes a piece, so memory is bounded by one element, or one member that is no list. What is
not one JSON object (or another single value) raises, and the reader then gives nothing more.

Where an element ends is guessed and then proved: elements of one list begin alike, so the last joint that looks like
the first one is tried, and what lies before it must decode. Decoding has one reading, so a wrong guess cannot pass.
"""

from __future__ import annotations

import re
from collections.abc import Container, Generator, Iterator
from typing import Final, TypeAlias

from msgspec import Raw, Struct

from keyscope.errors import UpstreamAnswer
from keyscope.gate.replies.cuts import elements, text_of, value

MAX_BYTES = 16 << 20
"""The longest element, or member that is not read by its elements."""

MAX_DEPTH: Final = 48
_STRING = rb'"(?:[^"\\]++|\\.)*+"'


def _nested(depth: int) -> bytes:
    inner = rb'[^"\[\]{}]++|' + _STRING
    found = rb"[\[{](?:" + inner + rb")*+[\]}]"
    for _ in range(depth - 1):
        found = rb"[\[{](?:" + inner + rb"|" + found + rb")*+[\]}]"
    return found


def _pattern(*parts: bytes) -> re.Pattern[bytes]:
    """These parts with white space before each."""
    return re.compile(b"".join(rb"[ \t\r\n]*+" + part for part in parts), re.DOTALL)


_SPACE = _pattern(b"")
_BEFORE = _pattern(rb"(?=[^ \t\r\n])")
_FIRST_NAME = _pattern(rb'(\}|(?="))')
_NAME = _pattern(b"(" + _STRING + b")", b":", rb"(?=[^ \t\r\n])")
_FIRST_ELEMENT = _pattern(rb"(\]|(?=[^ \t\r\n\]]))")
_AFTER_LIST = _pattern(rb"([,}])")
_VALUE = _pattern(b"(" + _nested(MAX_DEPTH) + b"|" + _STRING + rb"|[-+.\w]++)", rb"([,\]}])")
"""A value and what follows it. It finds ends; whether it is JSON is for the decoder to say."""
_JOINT_BYTES = 8


class Member(Struct, frozen=True):
    """A member of the object, whole."""

    name: str
    value: bytes


class Opened(Struct, frozen=True):
    """A member that is a list, whose elements follow."""

    name: str


class Elements(Struct, frozen=True):
    """Elements of the list: each, and all of them as they stand, with commas between."""

    each: list[Raw]
    text: bytes


class Closed(Struct, frozen=True):
    """The end of the list."""


class Whole(Struct, frozen=True):
    """A document that is no object."""

    value: bytes


Piece: TypeAlias = Member | Opened | Elements | Closed | Whole
_Waiting: TypeAlias = Generator[Piece | None, None, None]
"""Gives pieces, and None where it needs more bytes."""


class Reader:
    """Reads one document. The lists of these members are read by their elements, all else as whole values."""

    def __init__(self, lists: Container[str]) -> None:
        self._lists = lists
        self._buffer = b""
        self._at = 0
        self._ended = False
        self._pieces = self._document()

    def feed(self, chunk: bytes) -> Iterator[Piece]:
        """The pieces that are whole now. Raises UpstreamAnswer for what cannot be read."""
        self._buffer = self._buffer[self._at :] + chunk
        self._at = 0
        return self._whole_ones()

    def close(self) -> Iterator[Piece]:
        """The last pieces. Raises UpstreamAnswer if the document is not at its end."""
        self._ended = True
        return self._whole_ones()

    def _whole_ones(self) -> Iterator[Piece]:
        for piece in self._pieces:
            if piece is None:
                return
            yield piece

    def _document(self) -> _Waiting:
        yield from self._match(_BEFORE)
        if self._buffer[self._at : self._at + 1] != b"{":
            return (yield from self._whole())
        self._at += 1
        seen: set[str] = set()
        follows = (yield from self._match(_FIRST_NAME))[1]
        while follows != b"}":
            name = text_of((yield from self._match(_NAME))[1])
            if name in seen:
                raise UpstreamAnswer("a reply in which a member stands twice")
            seen.add(name)
            follows = yield from self._member(name)
        while not self._ended:
            self._at = self._end_of_space()
            yield None
        if self._end_of_space() < len(self._buffer):
            raise UpstreamAnswer("a reply that goes on after its end")

    def _whole(self) -> _Waiting:
        while not self._ended:
            self._check_bound()
            yield None
        yield Whole(value(self._buffer[self._at :]))

    def _member(self, name: str) -> Generator[Piece | None, None, bytes]:
        """Gives back what follows: a comma, or the end of the object."""
        if name in self._lists and self._buffer[self._at : self._at + 1] == b"[":
            self._at += 1
            yield Opened(name)
            yield from self._list()
            yield Closed()
            return (yield from self._match(_AFTER_LIST))[1]
        found = yield from self._match(_VALUE)
        if found[2] == b"]":
            raise UpstreamAnswer("a reply in which brackets do not match")
        yield Member(name, value(found[1]))
        return found[2]

    def _list(self) -> _Waiting:
        if (yield from self._match(_FIRST_ELEMENT))[1] == b"]":
            return
        joint, follows = b"", b","
        while follows == b",":
            batch = self._batch(joint)
            if batch is not None:
                yield batch
            found = yield from self._match(_VALUE)
            follows = found[2]
            yield Elements([value(found[1])], found[1])
            joint = joint or self._buffer[self._at - 2 : self._at + _JOINT_BYTES]
        if follows != b"]":
            raise UpstreamAnswer("a reply in which brackets do not match")

    def _batch(self, joint: bytes) -> Elements | None:
        """The elements up to the last joint, if they are just that."""
        end = self._buffer.rfind(joint, self._at) + 1 if joint else 0
        if not end:
            return None
        text = self._buffer[self._at : end]
        try:
            found = Elements(elements(b"[" + text + b"]"), text)
        except UpstreamAnswer:
            return None  # not a joint, but part of an element that only looks like it
        self._at = end + 1
        return found

    def _match(self, pattern: re.Pattern[bytes]) -> Generator[None, None, re.Match[bytes]]:
        """Waits until the pattern matches. What did not match is looked at again when it has grown to twice as much."""
        enough = 0
        while True:
            if self._ended or len(self._buffer) - self._at >= enough:
                found = pattern.match(self._buffer, self._at)
                if found is not None:
                    self._at = found.end()
                    return found
                self._check_bound()
                enough = 2 * (len(self._buffer) - self._at)
            if self._ended:
                raise UpstreamAnswer("a reply that is not JSON, or ends early")
            yield None

    def _check_bound(self) -> None:
        if len(self._buffer) - self._at > MAX_BYTES:
            raise UpstreamAnswer(f"a reply with a part of more than {MAX_BYTES} bytes")

    def _end_of_space(self) -> int:
        found = _SPACE.match(self._buffer, self._at)
        return found.end() if found is not None else self._at
