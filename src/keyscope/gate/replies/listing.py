"""A list of which a caller sees only some elements: cut down as it comes, over as many pages of it as that takes.

The caller gets as many elements as it would have got, if so many are there for it, and is told truthfully whether there
are more: so its paging ends, and misses nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from itertools import compress
from typing import Any, TypeAlias

import msgspec
from msgspec import Raw

from keyscope.errors import UpstreamAnswer
from keyscope.gate.replies.cuts import ELEMENTS, NOTHING, Cuts, Steps, members
from keyscope.gate.replies.pieces import Closed, Elements, Member, Opened, Piece, Reader

Keep: TypeAlias = Callable[[Sequence[str]], Awaitable[Sequence[bool]]]
"""Of the elements with these ids, which the caller may see."""

HAS_MORE, TOTAL = "has_more", "total_count"
_written = msgspec.json.Encoder().encode


class Listing:
    """Feed it the pages, one after another. ``most`` is how many elements the caller asked for, None if it did not say.

    ``is_start`` says whether it asked from the beginning of the list.
    """

    def __init__(self, path: Steps, cuts: Sequence[Steps], keep: Keep, *, most: int | None, is_start: bool) -> None:
        if len(path) != 3 or path[1] != ELEMENTS:
            raise UpstreamAnswer("a list whose ids stand in a place that the gate does not look at")
        self._name, _, self._id = path
        self._cuts = Cuts(cuts)
        self._of_each = (self._cuts.of_member(self._name) or NOTHING).of_elements()
        self._keep = keep
        self._most = most
        self._is_start = is_start
        self._reader = Reader({self._name})
        self._before: list[bytes] = []
        self._after: list[bytes] = []
        self._page = 1
        self._after_id: str | None = None
        self._in_list = False
        self._kept = 0
        self._seen = 0
        self._beyond = False
        self._more: bool | None = None
        self._counts = False
        self.last: str | None = None
        """The id of the last element that the upstream sent."""

    async def feed(self, chunk: bytes) -> bytes:
        """What can go on now. Raises UpstreamAnswer for what cannot be read."""
        return b"".join([await self._take(piece) for piece in self._reader.feed(chunk)])

    async def close(self) -> bytes:
        """The end of a page. Raises UpstreamAnswer if it ends early."""
        rest = b"".join([await self._take(piece) for piece in self._reader.close()])
        if self._most is None and self._page == 1:
            self._most = self._seen
        return rest

    def next_page(self) -> str | None:
        """The id after which the next page begins, if one is needed; it is then expected."""
        if self.is_full or not self._more or self.last is None:
            return None
        if self.last == self._after_id:
            raise UpstreamAnswer("a list whose pages go round in a circle")
        self._after_id = self.last
        self._page += 1
        self._more = None
        self._reader = Reader({self._name})
        return self.last

    @property
    def is_full(self) -> bool:
        """Whether the caller has all it asked for, and it is known that there is more."""
        return self._beyond

    def end(self) -> bytes:
        """What ends the answer, once no page is needed."""
        parts = [] if self._kept else [self._opening()]
        tail = list(self._after)
        if self._more is not None or self._beyond:
            tail.append(b'"has_more":' + (b"true" if self._beyond else b"false"))
        if self._counts:
            whole = self._is_start and not self._beyond
            tail.append(b'"total_count":' + (str(self._kept).encode() if whole else b"null"))
        return b"".join([*parts, b"]", *(b"," + member for member in tail), b"}"])

    async def _take(self, piece: Piece) -> bytes:
        match piece:
            case Elements(each, text):
                return await self._elements(each, text)
            case Member(name, value):
                self._member(name, value)
            case Opened() | Closed():
                self._in_list = True
            case _:
                raise UpstreamAnswer("a list that is no object")
        return b""

    def _member(self, name: str, value: bytes) -> None:
        if name == HAS_MORE:
            self._more = bytes(value) == b"true"
        elif self._page > 1:
            return
        elif name == TOTAL:
            self._counts = True
        elif name == self._name:
            raise UpstreamAnswer("a list that is none")
        else:
            cuts = self._cuts.of_member(name)
            if cuts is not None:
                (self._after if self._in_list else self._before).append(_written(name) + b":" + cuts(value))

    async def _elements(self, each: list[Raw], text: bytes) -> bytes:
        ids = ids_in(each, self._id)
        self._seen += len(each)
        self.last = ids[-1]
        named = [(thing, raw) for thing, raw in zip(ids, each, strict=True) if thing is not None]
        kept = list(compress((raw for _, raw in named), await self._keep([thing for thing, _ in named])))
        room = len(kept) if self._most is None else self._most - self._kept
        self._beyond = self._beyond or len(kept) > room
        if 0 < len(kept) == len(each) <= room and self._goes_on_as_it_is(text, len(each)):
            comma, self._kept = b"," if self._kept else self._opening(), self._kept + len(each)
            return comma + text
        return b"".join(self._written(raw) for raw in kept[: max(room, 0)])

    def _goes_on_as_it_is(self, text: bytes, count: int) -> bool:
        """Whether nothing is to be cut out of these elements, and each has one id."""
        cuts = self._of_each
        return cuts is not None and not cuts.may_touch(text) and _has_one(text, self._id, count)

    def _written(self, raw: Raw) -> bytes:
        comma = b"," if self._kept else self._opening()
        self._kept += 1
        text = _once(bytes(raw), self._id)
        return comma + (b"null" if self._of_each is None else self._of_each(text))

    def _opening(self) -> bytes:
        return b"{" + b"".join(member + b"," for member in self._before) + _written(self._name) + b":["


def ids_in(each: Sequence[Raw], name: str) -> list[str | None]:
    """The ids of elements; None for an element without one."""
    read = _reader_of(name)
    return [_id_of(read, raw) for raw in each]


def _id_of(read: Callable[[bytes], Any], raw: Raw) -> str | None:
    try:
        found = read(raw).found
    except msgspec.DecodeError:
        return None  # no object, or its id is no text
    return found if isinstance(found, str) else None


@lru_cache(maxsize=64)
def _reader_of(name: str) -> Callable[[bytes], Any]:
    kind = msgspec.defstruct("Element", [("found", str)], rename={"found": name})
    return msgspec.json.Decoder(kind).decode


def _has_one(text: bytes, name: str, count: int) -> bool:
    """Whether so many elements that have a member of this name have no more of it, by a quick look."""
    return text.count(f'"{name}"'.encode()) == count and b"\\u" not in text


def _once(text: bytes, name: str) -> bytes:
    """The element with one member of this name alone, that which was judged."""
    if _has_one(text, name, 1):
        return text
    return b"{" + b",".join(_written(key) + b":" + value for key, value in members(text).items()) + b"}"
