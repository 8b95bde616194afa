"""What has changed for HAProxy since a point: new keys, and keys about which it has to ask from now on.

A key that changes in any way, and all that descends from it, is asked about: Keyscope judges it as it is now. So what
HAProxy holds of it need never be changed or taken away, and doing the same twice does nothing more.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from keyscope.authority.copying import KeyReader, Point
from keyscope.errors import StoreUnavailable
from keyscope.gate.haproxy.bits import Bits
from keyscope.gate.haproxy.entries import is_judged_alone, line, name_of

MOST_ASKED = 10_000
"""Where more keys change at once, HAProxy asks about all, until it has been given new maps."""


class News(Struct, frozen=True):
    """``keys`` are lines of keys.map, ``asked`` names for ask.map, true up to ``point``.

    ``too_much``: more has changed than is worth telling.
    """

    point: Point
    keys: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    too_much: bool = False


def news(reader: KeyReader, after: Point, bits: Bits, now_ms: int) -> News:
    """Everything that was committed, in any account, after a point."""
    touched = reader.touched(after)
    if touched.too_much:
        return News(touched.point, too_much=True)
    keys, asked = _made(reader, touched.made, bits, now_ms)
    asked |= _changed(reader, touched.changed)
    return News(touched.point, tuple(keys), tuple(sorted(asked)), len(asked) > MOST_ASKED)


def _made(reader: KeyReader, ids: Iterable[str], bits: Bits, now_ms: int) -> tuple[list[str], set[str]]:
    keys: list[str] = []
    asked: set[str] = set()
    for key_id in ids:
        try:
            lineage = reader.lineage(key_id)
        except StoreUnavailable:  # a newer version wrote it: Keyscope is asked, and refuses to judge it here
            asked.update(map(name_of, reader.digests_below(key_id, 1)))
            continue
        if lineage is None:
            continue
        name = name_of(lineage.key.digest)
        if is_judged_alone(lineage, now_ms):
            keys.append(f"{name} {line(name, lineage, bits)}")
        else:
            asked.add(name)
    return keys, asked


def _changed(reader: KeyReader, ids: Iterable[str]) -> set[str]:
    asked: set[str] = set()
    for key_id in ids:
        if len(asked) > MOST_ASKED:
            break
        asked.update(map(name_of, reader.digests_below(key_id, MOST_ASKED + 1)))
    return asked
