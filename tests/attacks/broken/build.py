"""What a broken build is: one defence taken out of the real code, and rows that must notice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Patch = Callable[[], None]


@dataclass(frozen=True)
class Build:
    """``rows`` are ids, each with the face that it is sent to after a colon (``proxy`` if there is none)."""

    name: str
    rows: tuple[str, ...]
    patch: Patch


BUILDS: dict[str, Build] = {}


def broken(name: str, *rows: str) -> Callable[[Patch], Patch]:
    """Register a function that breaks the build it runs in."""

    def register(patch: Patch) -> Patch:
        assert name not in BUILDS
        BUILDS[name] = Build(name, rows, patch)
        return patch

    return register


def swap(owner: Any, name: str, value: Any) -> Any:
    """Put something else in the place of an attribute; the old one is returned."""
    old = getattr(owner, name)
    setattr(owner, name, value)
    return old


def part(owner: Any, name: str) -> Any:
    """What stands under a name in a module, its imports included."""
    return getattr(owner, name)
