"""Keys in a stream of any length, in little memory.

The stream is read in pieces that overlap by more than the longest key, so that none is cut at a border. It is read, not
mapped into memory: a file that somebody shortens meanwhile would kill a program that has it mapped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from keyscope.model.shapes import LONGEST, keys_in

PIECE = 1 << 20
_OVERLAP = 2 * LONGEST
"""Bytes of the longest key in UTF-16."""


class Source(Protocol):
    """``read`` returns at most so many bytes, and none only at the end."""

    def read(self, size: int, /) -> bytes: ...


class Sighting(NamedTuple):
    """A key's text and the line it starts in, from 1."""

    text: bytes
    line: int

    def __repr__(self) -> str:
        return f"Sighting(…, line={self.line})"


def sightings(source: Source, piece: int = PIECE) -> Iterator[Sighting]:
    """Every key in the stream, in order within each piece. Raises what the source raises."""
    line = 1
    window = source.read(piece)
    while window:
        more = source.read(piece)
        # What starts in the overlap is found with the next piece, where all of it is there.
        cut = max(0, len(window) - _OVERLAP) if more else len(window)
        yield from _before(window, cut, line)
        if not more:
            return
        line += window.count(b"\n", 0, cut)
        window = window[cut:] + more


def _before(window: bytes, cut: int, line: int) -> Iterator[Sighting]:
    for start, text in keys_in(window):
        if start < cut:
            yield Sighting(text, line + window.count(b"\n", 0, start))
