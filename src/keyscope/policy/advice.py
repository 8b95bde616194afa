"""Presets and cautions: what a policy says about sets of scopes, for those who choose them.

A preset is a named set. A caution says what a set amounts to that does not show: two scopes that together open a third
thing, or one that reaches further than its name. Both are read from the policy file (docs/policy-format.md).
"""

from __future__ import annotations

from msgspec import Struct

from keyscope.errors import BadRequest, Fault
from keyscope.model.scope import Grant, Scope
from keyscope.policy.rows import Names
from keyscope.policy.source import Place


class Preset(Struct, frozen=True):
    """A named set of scopes. ``about`` says what it is for."""

    name: str
    about: str
    scopes: tuple[Scope, ...]


class Caution(Struct, frozen=True):
    """Holds for a grant that covers all of ``when``."""

    code: str
    when: tuple[Scope, ...]
    why: str

    def holds(self, grant: Grant) -> bool:
        return not grant.missing(self.when)


def preset_scopes(presets: tuple[Preset, ...], name: str) -> tuple[Scope, ...]:
    """The scopes of a preset. Raises BadRequest with the names that there are."""
    for preset in presets:
        if preset.name == name:
            return preset.scopes
    known = ", ".join(preset.name for preset in presets) or "none: this policy has no presets"
    raise BadRequest("preset", [Fault("$.preset", f"unknown preset; there is {known}")])


def read_presets(place: Place | None, names: Names) -> tuple[Preset, ...]:
    """The presets of a policy file, by name."""
    presets = []
    for name, member in (place.members() if place else {}).items():
        parts = member.record(("about", "scopes"), ())
        about, scopes = parts.get("about"), parts.get("scopes")
        presets.append(Preset(name, (about.text() if about else None) or "", _scopes(scopes, names)))
    return tuple(presets)


def read_cautions(place: Place | None, names: Names) -> tuple[Caution, ...]:
    """The cautions of a policy file, in its order."""
    cautions = []
    for item in place.items() if place else ():
        parts = item.record(("code", "when", "why"), ())
        code, why = ((parts[name].text() if name in parts else None) or "" for name in ("code", "why"))
        cautions.append(Caution(code, _scopes(parts.get("when"), names), why))
    return tuple(cautions)


def _scopes(place: Place | None, names: Names) -> tuple[Scope, ...]:
    items = list(place.items()) if place else []
    if place and not items:
        place.fault("There is no scope here: name at least one, like devboxes:read.")
    return tuple(scope for item in items if (scope := names.scope(item)) is not None)
