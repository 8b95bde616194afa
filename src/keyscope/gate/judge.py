"""Who judges a call inside a program of somebody else's: the one protocol, and what it answers with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache
from typing import Protocol, TypeAlias

from msgspec import Struct

from keyscope.model.body import Json
from keyscope.model.operation import strongest
from keyscope.model.scope import Grant, Scope
from keyscope.wire.call import Call
from keyscope.wire.problem import Answer


class Caller(Struct, frozen=True, kw_only=True):
    """Who calls, once the call is allowed: what an application finds in ``scope["keyscope"]``. No secret is in it.

    ``scopes`` are in the short form, empty with ``full_access``; with those that this call needs and the key lacks, if
    the call is let through because the key is observed. ``chain`` is the key and its ancestors, nearest first; before
    it stand the links of a derived key, last first.
    """

    key_id: str
    account_id: str
    full_access: bool
    scopes: tuple[str, ...]
    chain: tuple[str, ...]

    def missing(self, needed: Iterable[Scope]) -> tuple[Scope, ...]:
        """The scopes that the key does not cover."""
        return () if self.full_access else _grant(self.scopes).missing(tuple(needed))


class Lasting(Struct, frozen=True):
    """Let through for a caller, with something to do when the call is ``over``, in whatever way it ends."""

    caller: Caller
    over: Callable[[], None]


Verdict: TypeAlias = Caller | Lasting | Answer
"""Let through for a caller, or refused with this answer."""


class Pending(Struct, frozen=True):
    """Not refused yet: the body decides. ``settle`` takes its value, None for an empty one."""

    settle: Callable[[Json], Awaitable[Verdict]]


class Judge(Protocol):
    """Judges calls. Every method may raise KeyscopeError, which refuses."""

    def open(self) -> None:
        """Begin, in the thread and loop that serve. Doing it twice changes nothing."""

    async def admit(self, call: Call) -> Verdict | Pending: ...

    async def close(self) -> None: ...


def with_more(scopes: tuple[str, ...], more: Iterable[str]) -> tuple[str, ...]:
    """These scopes, each at the highest level that either names."""
    found = strongest(map(Scope.parse, (*scopes, *more)))
    return tuple(map(str, found))


@lru_cache(maxsize=4096)
def _grant(scopes: tuple[str, ...]) -> Grant:
    return Grant(map(Scope.parse, scopes))
