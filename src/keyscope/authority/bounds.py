"""Law 2: a key never mints or updates into a key that can do more or live longer than itself."""

from __future__ import annotations

from keyscope.errors import ExceedsParent, Fault, OutsideTree
from keyscope.model.key import NEVER_MS, Key, Lineage
from keyscope.model.restrictions import Restrictions
from keyscope.model.scope import Grant, Scope
from keyscope.model.tightness import beyond, loosened


def check_scopes(scopes: tuple[Scope, ...], above: Lineage) -> None:
    """Raise ExceedsParent, naming each scope, if the scopes reach beyond what ``above`` may do."""
    if above.grant is None:
        return
    excess = above.grant.missing(Grant(scopes))
    if excess:
        faults = [Fault("$.scopes", f"{scope} is more than {above.key.id} has") for scope in excess]
        raise ExceedsParent("scopes beyond the parent's", faults)


def check_expiry(expires_at_ms: int | None, above: Lineage) -> None:
    """Raise ExceedsParent if the expiry (Unix milliseconds; None for never) is later than that of ``above``."""
    if (NEVER_MS if expires_at_ms is None else expires_at_ms) > above.latest_ms:
        remedy = f"{above.key.id} itself ends at {above.latest_ms}; ask for that or earlier"
        raise ExceedsParent("expiry beyond the parent's", [Fault("$.expires_at_ms", remedy)])


def check_restrictions(asked: Restrictions | None, above: Lineage) -> None:
    """Raise ExceedsParent, naming each, if a key would look less restricted than the line of ``above`` leaves it."""
    if asked is None or not above.bounds:
        return
    faults = [fault for bound in above.bounds for fault in beyond(asked, bound.restrictions, bound.holder)]
    if faults:
        raise ExceedsParent("restrictions looser than the parent's", faults)


def check_tightened(asked: Restrictions | None, target: Key) -> None:
    """Raise ExceedsParent, naming each, if a change loosens what the key is restricted to."""
    faults = list(loosened(asked, target.restrictions, target.id))
    if faults:
        raise ExceedsParent("loosened", faults)


def end_of(above: Lineage) -> int | None:
    """When ``above`` ends, in Unix milliseconds; None for never.

    A lease is left aside: it may be renewed, and if it is not, what is below dies with it.
    """
    return None if above.latest_ms == NEVER_MS else above.latest_ms


def check_in_tree(caller: Lineage, target: Lineage) -> None:
    """Raise OutsideTree if a restricted caller reaches for a key that is neither itself nor minted below it."""
    if not caller.key.is_standard and caller.key.id not in target.ids:
        raise OutsideTree(f"{caller.key.id} reached for {target.key.id}")
