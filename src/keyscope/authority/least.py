"""The narrowest scopes that serve calls whose needs are known."""

from __future__ import annotations

from collections.abc import Iterable

from keyscope.model.operation import strongest
from keyscope.model.scope import Level, Scope


def narrowest(needs: Iterable[Iterable[Scope]]) -> tuple[Scope, ...]:
    """The least scopes that cover every need, sorted: per resource type the highest level that any of them asks for.

    Nothing less would do: to lower one of them refuses the call that asked for it.
    """
    every = strongest(scope for one in needs for scope in one)
    return tuple(sorted(scope for scope in every if scope.level is not Level.NONE))
