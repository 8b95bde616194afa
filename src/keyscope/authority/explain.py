"""Say why, from the same values that decided (law 8): what is missing, and how to get it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from keyscope.model.decision import Allow, Decision, Deny
from keyscope.model.held import terms_of
from keyscope.model.key import Key, Lineage
from keyscope.model.objection import Objection, Reason
from keyscope.model.scope import Grant, Level, Scope


class Explanation(Struct, frozen=True, kw_only=True):
    """A decision in words. ``operation`` is None for a call that the policy does not list.

    ``observed`` are scopes that the key lacks for a call that is let through because the key is observed.
    """

    allowed: bool
    operation: str | None
    needs: tuple[Scope, ...]
    missing: tuple[Scope, ...]
    observed: tuple[Scope, ...]
    reasons: tuple[Reason, ...]
    objections: tuple[Objection, ...]
    message: str
    next: tuple[str, ...]


def explain(decision: Decision, method: str, path: str) -> Explanation:
    """Explain a decision about a call."""
    route = decision.access.route
    operation = route.id if route is not None else None
    denied = decision if isinstance(decision, Deny) else None
    would_be = decision.observed if isinstance(decision, Allow) else None
    lacking = denied or would_be
    return Explanation(
        allowed=denied is None,
        operation=operation,
        needs=decision.access.needs,
        missing=denied.missing if denied is not None else (),
        observed=would_be.missing if would_be is not None else (),
        reasons=denied.reasons if denied is not None else (),
        objections=denied.objections if denied is not None else (),
        message=_message(decision, f"{operation or 'this call'} ({method} {path})"),
        next=_next(lacking) if lacking is not None else (),
    )


def _message(decision: Decision, call: str) -> str:
    if isinstance(decision, Allow):
        return f"The key may call {call}{_while_observed(decision.observed)}{_held(decision)}."
    if decision.is_dead:
        return "The key is not valid: it is malformed, unknown, expired, suspended or revoked."
    if Reason.NOT_IN_POLICY in decision.reasons:
        return f"{call} is not in the policy, so restricted keys may not call it."
    lacking = [f"The key lacks {', '.join(map(str, decision.missing))} for {call}."] if decision.missing else []
    return " ".join([*lacking, *_objecting(decision, call if not lacking else "it")])


def _objecting(denied: Deny, call: str) -> Iterator[str]:
    """What restrictions have against a call, each once, however many keys of the line have it."""
    if denied.objections:
        yield f"Restrictions do not allow {call}."
    yield from dict.fromkeys(objection.message for objection in denied.objections)


def _while_observed(would_be: Deny | None) -> str:
    if would_be is None:
        return ""
    return f" while it is observed: it lacks {', '.join(map(str, would_be.missing))}, which is recorded"


def _held(allow: Allow) -> str:
    terms = terms_of(allow.lineage, allow.access.route) if allow.lineage.bounds else None
    if terms is None:
        return ""
    return "; it is held for a while before it is sent" if terms.is_delay else "; it is held until somebody approves it"


def _next(denied: Deny) -> tuple[str, ...]:
    """What to do, in order. What starts with ``keyscope`` is a command, for the holder of a standard key."""
    if denied.is_dead:
        return ("Ask the owner of the account for a new key.",)
    if Reason.NOT_IN_POLICY in denied.reasons:
        return ("Call it with a standard key (ak_), or have the operation added to the policy.",)
    if Reason.NARROWED in denied.reasons:
        return tuple(_reverting(denied))
    remedies = tuple(dict.fromkeys(objection.remedy for objection in denied.objections))
    return (*_granting(denied), *remedies)


def _granting(denied: Deny) -> tuple[str, ...]:
    """How to get the scopes that are missing."""
    lineage = denied.lineage
    if not denied.missing:
        return ()
    widened = [key for key in reversed(lineage.line) if _lacks(key, denied.missing)]
    commands = tuple(_widening(key, denied.missing) for key in widened)
    granted = (f"The holder of a standard key (ak_) can grant it: {commands[0]}", *commands[1:]) if commands else ()
    return (*granted, *_derive_again(lineage, denied.missing))


def _reverting(denied: Deny) -> Iterator[str]:
    """A narrowing that took too much is taken back, from the top of the line down."""
    for key in reversed(denied.lineage.line):
        if key.lost_by_narrowing(denied.missing, denied.access.now_ms):
            command = f"keyscope keys revert {key.id}"
            yield f"{key.id} was narrowed. The holder of a standard key (ak_) can revert that: {command}"


def _derive_again(lineage: Lineage, missing: tuple[Scope, ...]) -> tuple[str, ...]:
    """A derived key cannot be widened, only be derived anew from what it came from."""
    if not lineage.derived:
        return ()
    named = _flags({scope.resource: scope.level for scope in lineage.grant or ()}, missing)
    return (f"The holder of {lineage.key.id} can derive a new key that may: keyscope attenuate {named}",)


def _lacks(key: Key, missing: tuple[Scope, ...]) -> bool:
    return not key.is_standard and bool(Grant(key.scopes).missing(missing))


def _widening(key: Key, missing: tuple[Scope, ...]) -> str:
    """The command that gives the key what it lacks, and keeps what it has."""
    return f"keyscope keys update {key.id} {_flags({scope.resource: scope.level for scope in key.scopes}, missing)}"


def _flags(levels: dict[str, Level], missing: tuple[Scope, ...]) -> str:
    for scope in missing:
        levels[scope.resource] = max(levels.get(scope.resource, Level.NONE), scope.level)
    return " ".join(f"--scope {Scope(resource, level)}" for resource, level in levels.items())
