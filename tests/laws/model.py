"""The model that the whole-life machine is held against: dictionaries and loops, so simple that it is plainly right."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from keyscope.model.scope import Level, Scope
from keyscope.model.secret import Secret
from keyscope.model.token import Kind

UNDELETE_WINDOW_MS = 40
MOST_OVERLAP_MS = 25
MOST_OBSERVED_MS = 30


def levels_of(scopes: tuple[Scope, ...]) -> dict[str, Level]:
    return {scope.resource: scope.level for scope in scopes}


@dataclass(eq=False)
class Shown:
    """A secret of a key; ``until`` is when it ends, None while it is the current one."""

    secret: Secret
    until: int | None = None

    def good(self, now: int) -> bool:
        return self.until is None or now < self.until


@dataclass(eq=False)
class Known:
    """What the model knows of a key."""

    id: str
    secrets: list[Shown]
    kind: Kind
    parent: Known | None
    levels: dict[str, Level]
    ends: int | None
    revoked_at: int | None = None
    suspended: bool = False
    observed_until: int | None = None
    former: tuple[Scope, ...] | None = None
    """Scopes before a narrowing that can be taken back."""

    @property
    def shown(self) -> Shown:
        """The current secret."""
        return self.secrets[-1]

    def line(self) -> list[Known]:
        return [self, *(self.parent.line() if self.parent is not None else [])]

    def changeable(self, now: int) -> bool:
        """Not revoked or expired, nor below such a key; suspended keys may be changed."""
        first = next((key for key in self.line() if not key.own_alive(now)), None)
        return first is None or (first.suspended and first.revoked_at is None and not first.ended(now))

    def ended(self, now: int) -> bool:
        return self.ends is not None and now >= self.ends

    def own_alive(self, now: int) -> bool:
        return self.revoked_at is None and not self.suspended and not self.ended(now)

    def alive(self, now: int) -> bool:
        return all(key.own_alive(now) for key in self.line())

    def may(self, resource: str, level: Level, now: int) -> bool:
        return self.alive(now) and not self.lacking(resource, level)

    def may_observed(self, resource: str, level: Level, now: int) -> bool:
        """The same, with the one thing that being observed changes: the key's own lack is forgiven."""
        is_observed = self.observed_until is not None and now < self.observed_until
        lacking = self.lacking(resource, level)
        return self.alive(now) and (not lacking or (is_observed and lacking == [self]))

    def lacking(self, resource: str, level: Level) -> list[Known]:
        """The restricted keys of the line, up to the nearest standard one, that do not have it."""
        restricted = itertools.takewhile(lambda key: key.kind is Kind.RESTRICTED, self.line())
        return [key for key in restricted if key.levels.get(resource, Level.NONE) < level]

    def end_of_line(self) -> int | None:
        return min((key.ends for key in self.line() if key.ends is not None), default=None)


@dataclass(eq=False)
class Offline:
    """A key that was derived offline, from a secret of a key or from another derived key."""

    id: str
    secret: Secret
    root: Known
    shown: Shown
    levels: dict[str, Level] | None
    ends: int | None
    above: Offline | None
    revoked: bool = field(default=False)

    def links(self) -> list[Offline]:
        return [self, *(self.above.links() if self.above is not None else [])]

    def may(self, resource: str, level: Level, now: int) -> bool:
        if not (self.shown.good(now) and self.root.may(resource, level, now)):
            return False
        for link in self.links():
            if link.revoked or (link.ends is not None and now >= link.ends):
                return False
            if link.levels is not None and link.levels.get(resource, Level.NONE) < level:
                return False
        return True
