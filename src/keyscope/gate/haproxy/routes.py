"""The operations as a map: from a shortened path and a method to the scopes that the call needs.

HAProxy shortens a path by writing ``*`` for every segment that is no literal word of any template. Such a segment can
match only parameters, so one path stands for all that shorten to it, and the table itself is asked what that one needs:
ties, and literals that win, come out as everywhere. Left out, and so sent to Keyscope, is every call that HAProxy
cannot judge alone: one whose body counts, one that may last, one that ends what keys may be bound to, one of Keyscope's
own paths, and one whose parameter is a literal elsewhere.

A path that is not canonical (wire/target.py) has a segment that is not shortened, so it is found in no row. A query is
shortened to one more ``*``, if it holds nothing but visible ASCII, so a call has a row with one and a row without.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from keyscope.gate.haproxy.bits import Bits
from keyscope.model.operation import PARAMETER, Operation, Route, Table
from keyscope.model.scope import Scope
from keyscope.wire.own import is_own

ANY = "*"

_FIRST = "-A-Za-z0-9_~!*+=:@&"
_SEGMENT = f"[{_FIRST}][{_FIRST}.]*"
"""A part of what a canonical path may hold, and never a dot segment."""
_QUERY = r"\?[!\"$-~]*$"

SHORT = r"\1*"
"""What is written for all that ``pattern`` matches."""

_Tree = dict[str, "_Tree"]


class Row(Struct, frozen=True):
    """``/v1/devboxes/*:GET``, what it needs with the number of the call, and the operation, for who is refused.

    With ``hides``, ``needs`` is more than what the call needs: the reply holds credentials, which Keyscope takes out of
    it for who lacks the rest.
    """

    call: str
    needs: int
    operation: str
    scopes: tuple[Scope, ...]
    hides: bool = False


def pattern(table: Table) -> str:
    """A regular expression for each segment that is no literal word, with the slash before it, and for a query."""
    literals = sorted({part for operation in table for part in operation.segments if part != PARAMETER})
    return f"(/)(?!{_one_of(filter(_is_plain, literals))}(?:[/?]|$)){_SEGMENT}(?=[/?]|$)|{_QUERY}"


def rows(table: Table, bits: Bits) -> Iterator[Row]:
    """All calls that HAProxy judges alone."""
    for number, (method, path, route) in enumerate(_judged(table), 1):
        needs = bits.needs(route.needs_for_all, number)
        for name in (method, "HEAD") if method == "GET" else (method,):
            for query in ("", ANY):
                yield Row(f"{path}{query}:{name}", needs, route.id, route.needs, route.needs_for_all != route.needs)


def _judged(table: Table) -> Iterator[tuple[str, str, Route]]:
    for path in sorted({_shortened(operation) for operation in table}):
        if is_own(path) or not all(_is_plain(part) for part in path.split("/")):
            continue
        for method in table.methods(path):
            route = table.find(method, path)
            if route is not None and not (route.conditions or _lasts(route) or _ends(route)):
                yield method, path, route


def _lasts(route: Route) -> bool:
    """Whether a call may go on for long. HAProxy looks at a request once; Keyscope ends it when its key does."""
    return any(operation.transport != "json" for operation in route.operations)


def _ends(route: Route) -> bool:
    """Whether its success ends something that keys may be bound to, which Keyscope then revokes."""
    return any(operation.sign is not None and operation.sign.at is None for operation in route.operations)


def _shortened(operation: Operation) -> str:
    return "/" + "/".join(ANY if part == PARAMETER else part for part in operation.segments)


def _is_plain(part: str) -> bool:
    """Whether it holds no character with a meaning in a map or a regular expression."""
    bare = part.replace("_", "").replace("-", "").replace(".", "")
    return part == ANY or not part or (bare.isascii() and bare.isalnum())


def _one_of(words: Iterable[str]) -> str:
    """An alternation in which common beginnings stand once: it is tried at every segment of every path."""
    tree: _Tree = {}
    for word in words:
        at = tree
        for letter in word:
            at = at.setdefault(letter, {})
        at[""] = {}
    return _grouped(tree)


def _grouped(tree: _Tree) -> str:
    rest = [_literal(letter) + _grouped(below) for letter, below in sorted(tree.items()) if letter]
    if not rest:
        return ""
    if len(rest) == 1 and "" not in tree:
        return rest[0]
    return f"(?:{'|'.join(rest)}){'?' if '' in tree else ''}"


def _literal(letter: str) -> str:
    return "[.]" if letter == "." else letter
