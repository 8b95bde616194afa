"""An account's rules on its keys. They bind what is minted or changed from then on; idle keys are suspended (idle.py).

A rule can only take away. Lifetimes and names bind every key, scopes and idle time restricted keys alone: an account
must not lock itself out because nobody used its standard key for a while.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

import msgspec
from msgspec import Struct

from keyscope.errors import Fault, RuleViolation, StoreUnavailable
from keyscope.model.scope import Grant, Scope
from keyscope.model.token import Kind


class Rules(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What an account asks of its keys; absent asks for nothing. ``_ms`` are milliseconds.

    ``allowed_scopes`` are short forms, the most that a restricted key may have. ``name_pattern`` is a glob, like
    ``agent-*``.
    """

    max_lifetime_ms: int | None = None
    require_expiry: bool = False
    max_idle_ms: int | None = None
    allowed_scopes: tuple[str, ...] | None = None
    name_pattern: str | None = None


def to_json(rules: Rules) -> bytes:
    """For the store."""
    return msgspec.json.encode(rules)


def from_json(raw: bytes) -> Rules:
    """From the store. Raises StoreUnavailable for what is no rules: then nothing may be minted."""
    try:
        return msgspec.json.decode(raw, type=Rules)
    except msgspec.DecodeError as error:
        raise StoreUnavailable(f"the rules of the account cannot be read: {error}") from error


def latest_end(rules: Rules, created_at_ms: int) -> int | None:
    """The latest that a key minted then may end (Unix milliseconds); None for any time."""
    return created_at_ms + rules.max_lifetime_ms if rules.max_lifetime_ms is not None else None


def check_new(
    rules: Rules, kind: Kind, name: str | None, scopes: tuple[Scope, ...], expires_at_ms: int | None, now_ms: int
) -> int | None:
    """The expiry of a key to be minted: the one asked for, or without one the latest that the rules allow.

    ``name`` is None for a key that gets a name of Keyscope's own. Raises RuleViolation with every fault.
    """
    end = latest_end(rules, now_ms)
    faults = [*_name_faults(rules, name), *_scope_faults(rules, kind, scopes)]
    faults += _expiry_faults(rules, expires_at_ms, end)
    if faults:
        raise RuleViolation("mint", faults)
    return expires_at_ms if expires_at_ms is not None else end


def check_changed(
    rules: Rules,
    kind: Kind,
    created_at_ms: int,
    name: str | None,
    scopes: tuple[Scope, ...] | None,
    expiry: tuple[int | None] | None,
) -> None:
    """Check what changes about a key; None stays as it is. ``expiry`` holds the new one. Raises RuleViolation."""
    faults = [] if name is None else list(_name_faults(rules, name))
    if scopes is not None:
        faults += _scope_faults(rules, kind, scopes)
    if expiry is not None:
        end = latest_end(rules, created_at_ms)
        faults += _expiry_faults(rules, expiry[0], end)
        if expiry[0] is None and end is not None and not rules.require_expiry:
            faults.append(Fault("$.expires_at_ms", f"a key of this account ends by {end}: give a time until then"))
    if faults:
        raise RuleViolation("update", faults)


def _name_faults(rules: Rules, name: str | None) -> Iterator[Fault]:
    if rules.name_pattern is not None and not fnmatchcase(name or "", rules.name_pattern):
        yield Fault("$.name", f"the names of this account's keys are like {rules.name_pattern}: give it one")


def _scope_faults(rules: Rules, kind: Kind, scopes: tuple[Scope, ...]) -> Iterator[Fault]:
    if rules.allowed_scopes is None or kind is Kind.STANDARD:
        return
    allowed = Grant(map(Scope.parse, rules.allowed_scopes))
    for scope in allowed.missing(Grant(scopes)):
        yield Fault("$.scopes", f"{scope} is more than this account allows its restricted keys: leave it out")


def _expiry_faults(rules: Rules, expires_at_ms: int | None, end: int | None) -> Iterator[Fault]:
    if expires_at_ms is None and rules.require_expiry:
        yield Fault("$.expires_at_ms", "the keys of this account must have an expiry: give one")
    if expires_at_ms is not None and end is not None and expires_at_ms > end:
        yield Fault("$.expires_at_ms", f"the keys of this account live at most {rules.max_lifetime_ms} ms: until {end}")
