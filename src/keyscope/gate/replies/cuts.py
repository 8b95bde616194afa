"""Members that are cut out of a JSON value, named by paths.

Every object and array on the way to such a member is written anew from what was read of it, each member once. So
neither a second member of that name nor another spelling of it (``"to\\u006ben"``) carries past what the first was cut
for. All other values keep their bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NoReturn, TypeAlias, TypeVar

import msgspec
from msgspec import Raw

from keyscope.errors import UpstreamAnswer

ELEMENTS: Final = "[*]"
ANY_MEMBER: Final = ".*"

Steps: TypeAlias = tuple[str, ...]
"""The steps of a JsonPath."""
T = TypeVar("T")

_members = msgspec.json.Decoder(dict[str, Raw]).decode
_elements = msgspec.json.Decoder(list[Raw]).decode
_string = msgspec.json.Decoder(str).decode
_value = msgspec.json.Decoder(Raw).decode
_written = msgspec.json.Encoder().encode
_FAULTS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Cuts:
    """What is cut out of a value, wherever one of the paths leads."""

    def __init__(self, paths: Iterable[Steps] = ()) -> None:
        found = frozenset(paths)
        self._everything = () in found
        self._whole = {path[0] for path in found if len(path) == 1}
        self._partly = {path[0]: Cuts(_below(found, path[0])) for path in found if len(path) > 1}
        last = {path[-1] for path in found if path}
        self._has_marks = not self._everything and last.isdisjoint({ELEMENTS, ANY_MEMBER})
        self._marks = [f'"{name}"'.encode() for name in sorted(last)]

    def may_touch(self, text: bytes) -> bool:
        """False only if nothing in this JSON text can be cut: a quick look at the bytes.

        A name of letters, digits and ``_`` is written as it is, or with ``\\u``.
        """
        return not self._has_marks or any(mark in text for mark in self._marks) or b"\\u" in text

    def of_member(self, name: str) -> Cuts | None:
        """What is cut out of the member of this name; None for the whole of it."""
        if self._everything or name in self._whole or ANY_MEMBER in self._whole:
            return None
        return self._partly.get(name) or self._partly.get(ANY_MEMBER) or NOTHING

    def of_elements(self) -> Cuts | None:
        """What is cut out of each element of an array; None for the whole of it."""
        return None if ELEMENTS in self._whole else self._partly.get(ELEMENTS, NOTHING)

    def __call__(self, text: bytes) -> bytes:
        """The value without what is cut. The text is one that ``value`` or ``elements`` gave."""
        if self._everything:
            return b"null"
        text = bytes(text)  # a Raw is bytes to the type checker alone
        if not self.may_touch(text):
            return text
        if text.startswith(b"{"):
            return b"{" + b",".join(self._kept(members(text))) + b"}"
        if text.startswith(b"["):
            cuts = self.of_elements()
            return b"[]" if cuts is None else b"[" + b",".join(map(cuts, elements(text))) + b"]"
        return text

    def _kept(self, found: dict[str, Raw]) -> Iterator[bytes]:
        for name, text in found.items():
            cuts = self.of_member(name)
            if cuts is not None:
                yield _written(name) + b":" + (text if cuts is NOTHING else cuts(text))


def _below(paths: Iterable[Steps], step: str) -> Iterator[Steps]:
    """What goes on after a step. A path through any member goes through each one that has a name."""
    steps = {step} if step == ELEMENTS else {step, ANY_MEMBER}
    return (path[1:] for path in paths if len(path) > 1 and path[0] in steps)


NOTHING = Cuts()


def value(text: bytes) -> Raw:
    """The one value in a text. Raises UpstreamAnswer if there is none, or it is not UTF-8."""
    return _read(_value, text)


def members(text: bytes) -> dict[str, Raw]:
    """The members of an object: of those with one name the last. Raises UpstreamAnswer as ``value`` does."""
    return _read(_members, text)


def elements(text: bytes) -> list[Raw]:
    """The elements of an array. Raises UpstreamAnswer as ``value`` does."""
    return _read(_elements, text)


def text_of(text: bytes) -> str:
    """The string that a text is. Raises UpstreamAnswer as ``value`` does."""
    return _read(_string, text)


def _read(decode: Callable[[bytes], T], text: bytes) -> T:
    try:
        str(text, "utf-8")
        return decode(text)
    except _FAULTS as error:
        unreadable(error)


def unreadable(error: Exception) -> NoReturn:
    raise UpstreamAnswer(f"a reply that is not JSON: {type(error).__name__}") from None
