"""Which live credentials a key does not receive: those of a reply whose scope it lacks."""

from __future__ import annotations

from functools import lru_cache

from keyscope.model.body import Credential
from keyscope.model.decision import Allow
from keyscope.model.operation import Route
from keyscope.model.scope import Grant


def hidden_from(allow: Allow) -> tuple[Credential, ...]:
    """The members of the reply that this caller does not receive.

    Nothing is hidden from a standard key. A scope that is forgiven an observed key for this call counts as its own.
    """
    route, grant = allow.access.route, allow.lineage.grant
    if route is None or grant is None:
        return ()
    marked = credentials_of(route)
    if not marked:
        return ()
    forgiven = Grant(allow.observed.missing if allow.observed is not None else ())
    return tuple(each for each in marked if not grant.covers(each.needs) and not forgiven.covers(each.needs))


@lru_cache(maxsize=4096)
def credentials_of(route: Route) -> tuple[Credential, ...]:
    """The live credentials in the reply, of all operations in a tie."""
    return tuple(dict.fromkeys(each for operation in route.operations for each in operation.credentials))
