"""The grid of scopes: for each resource type none, read or write; from a form, and back into one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from keyscope.console.kit import Form
from keyscope.errors import BadRequest, Fault
from keyscope.model.scope import Grant, Level, Scope
from keyscope.policy.document import Policy

FIELD = "scope."


class Row(Struct, frozen=True):
    """One resource type. ``most`` is the highest level that can be chosen."""

    resource: str
    about: str
    level: Level
    most: Level

    @property
    def field(self) -> str:
        return FIELD + self.resource

    @property
    def choices(self) -> tuple[tuple[Level, bool], ...]:
        """Every level, and whether it can be chosen."""
        return tuple((level, level <= self.most) for level in Level)


def rows(policy: Policy, scopes: Iterable[Scope], most: Grant | None) -> tuple[Row, ...]:
    """The grid with these scopes chosen; ``most`` is the grant that bounds it, None for no bound."""
    chosen = Grant(scopes)
    return tuple(_row(kind.name, kind.description, chosen, most) for kind in policy.resource_types)


def _row(resource: str, about: str, chosen: Grant, most: Grant | None) -> Row:
    highest = Level.WRITE if most is None else most.level(resource)
    return Row(resource, about, min(chosen.level(resource), highest), highest)


def read_scopes(form: Form, policy: Policy) -> tuple[Scope, ...]:
    """The scopes of a form, those of no access left out. Raises BadRequest for what no grid sends."""
    levels = {level.word: level for level in Level}
    faults = [
        Fault(name, "choose none, read or write for a resource type of the policy")
        for name, word in form.items()
        if name.startswith(FIELD) and not (name[len(FIELD) :] in policy.resource_names and word in levels)
    ]
    if faults:
        raise BadRequest("grid", faults)
    chosen = _chosen(form, policy, levels)
    return tuple(scope for scope in chosen if scope.level)


def _chosen(form: Form, policy: Policy, levels: Mapping[str, Level]) -> list[Scope]:
    return [Scope(name, levels[form.get(FIELD + name, Level.NONE.word)]) for name in policy.resource_names]
