"""JSON that somebody gives as restrictions: read member by member, every fault noted with its path and the remedy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from difflib import get_close_matches
from typing import TypeVar

from keyscope.errors import Fault
from keyscope.model.body import Json

MOST = (1 << 53) - 1
"""Whole numbers up to this are the same to every parser (RFC 8259 section 6)."""
MOST_TEXT = 256

T = TypeVar("T")


class Given:
    """One value and where it stands. What is wrong with it goes to ``faults``, which all values share."""

    __slots__ = ("faults", "path", "value")

    def __init__(self, value: Json, path: str, faults: list[Fault]) -> None:
        self.value = value
        self.path = path
        self.faults = faults

    def fault(self, message: str) -> None:
        """Note what is wrong here, and what to do."""
        self.faults.append(Fault(self.path, message))

    def members(self, known: Collection[str]) -> dict[str, Given]:
        """The members of an object that may have these and no other."""
        found = self.all_members()
        for name in [name for name in found if name not in known]:
            found.pop(name).fault(f"there is no such restriction{near(name, known)}")
        return found

    def all_members(self) -> dict[str, Given]:
        """The members of an object, whatever their names."""
        if not isinstance(self.value, dict):
            self.fault("send an object here")
            return {}
        return {name: Given(value, f"{self.path}.{name[:64]}", self.faults) for name, value in self.value.items()}

    def items(self, most: int) -> Iterator[Given]:
        """The items of a list that has at least one and at most so many."""
        if not isinstance(self.value, list) or not 0 < len(self.value) <= most:
            self.fault(f"send a list of 1 to {most} items here, or leave it out")
            return
        for number, item in enumerate(self.value):
            yield Given(item, f"{self.path}[{number}]", self.faults)

    def words(self, most: int, read: Callable[[Given], T | None]) -> tuple[T, ...] | None:
        """The items of a list, each once and sorted; None if one of them is wrong."""
        found = [read(item) for item in self.items(most)]
        good = [item for item in found if item is not None]
        return tuple(sorted(set(good), key=str)) if good and len(good) == len(found) else None

    def text(self) -> str | None:
        """Printable text."""
        value = self.value
        if isinstance(value, str) and 0 < len(value) <= MOST_TEXT and value.isprintable():
            return value
        self.fault(f"send 1 to {MOST_TEXT} printable characters here")
        return None

    def whole(self, least: int, most: int = MOST) -> int | None:
        """A whole number in these bounds."""
        value = self.value
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        self.fault(f"send a whole number from {least} to {most}")
        return None


def near(name: str, known: Collection[str]) -> str:
    """The end of a sentence about an unknown name: the nearest known one, or all."""
    close = get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there is {', '.join(sorted(known))}"
