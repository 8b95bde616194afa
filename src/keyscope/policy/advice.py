"""Presets and cautions: what a policy says about sets of scopes, for those who choose them.

A preset is a named set. A caution says what a set amounts to that does not show: two scopes that together open a third
thing, or one that reaches further than its name. Both are read from the policy file (docs/policy-format.md).
"""

from __future__ import annotations

from msgspec import Struct

from keyscope.errors import BadRequest, Fault
from keyscope.model.restrictions import InvalidRestrictions, Restrictions
from keyscope.model.scope import Grant, Scope
from keyscope.policy.restricting import unknown_names
from keyscope.policy.rows import Names
from keyscope.policy.source import Place


class Preset(Struct, frozen=True):
    """A named set of scopes, and of restrictions if it has some. ``about`` says what it is for."""

    name: str
    about: str
    scopes: tuple[Scope, ...]
    restrictions: Restrictions | None = None


class Caution(Struct, frozen=True):
    """Holds for a grant that covers all of ``when``."""

    code: str
    when: tuple[Scope, ...]
    why: str

    def holds(self, grant: Grant) -> bool:
        return not grant.missing(self.when)


def preset_scopes(presets: tuple[Preset, ...], name: str) -> tuple[Scope, ...]:
    """The scopes of a preset. Raises BadRequest with the names that there are."""
    return _preset(presets, name).scopes


def preset_restrictions(
    presets: tuple[Preset, ...], name: str | None, more: Restrictions | None
) -> Restrictions | None:
    """The restrictions of a preset, if one is named, and the others beside them.

    Raises BadRequest where both say the same kind: which of the two is meant nobody should have to guess.
    """
    mine = _preset(presets, name).restrictions if name is not None else None
    if mine is None or more is None:
        return mine or more
    twice = sorted(mine.plain.keys() & more.plain.keys())
    if twice:
        faults = [
            Fault(f"$.restrictions.{kind}", f"the preset {name} says this already: leave it out") for kind in twice
        ]
        raise BadRequest("preset", faults)
    return Restrictions.parse({**mine.plain, **more.plain})


def _preset(presets: tuple[Preset, ...], name: str) -> Preset:
    for preset in presets:
        if preset.name == name:
            return preset
    known = ", ".join(preset.name for preset in presets) or "none: this policy has no presets"
    raise BadRequest("preset", [Fault("$.preset", f"unknown preset; there is {known}")])


def read_presets(place: Place | None, names: Names) -> tuple[Preset, ...]:
    """The presets of a policy file, by name."""
    presets = []
    for name, member in (place.members() if place else {}).items():
        parts = member.record(("about", "scopes"), ("restrictions",))
        about, scopes = parts.get("about"), parts.get("scopes")
        restrictions = _restrictions(parts["restrictions"], names) if "restrictions" in parts else None
        presets.append(Preset(name, (about.text() if about else None) or "", _scopes(scopes, names), restrictions))
    return tuple(presets)


def _restrictions(place: Place, names: Names) -> Restrictions | None:
    """As in the body of a mint. Operations are looked up when a key is minted, for the rows are not read yet."""
    try:
        found = Restrictions.parse(place.plain())
    except InvalidRestrictions as error:
        faults = error.faults
    else:
        operations = [*(found.deny.names if found.deny else ()), *((found.hold.operations or ()) if found.hold else ())]
        faults = tuple(unknown_names(found, names.known, operations)) if names.known else ()
        if not faults:
            return found or None
    for fault in faults:
        place.fault(f"{fault.path.removeprefix('$.')}: {fault.message}.")
    return None


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
