"""One attempted request, as a value. It carries everything that the judgement needs, the time included."""

from __future__ import annotations

from msgspec import Struct

from keyscope.model.facts import Facts
from keyscope.model.operation import Route
from keyscope.model.scope import Scope


class Access(Struct, frozen=True, gc=False):
    """What is attempted. (Without ``gc``, like the other values of the hot path: they hold no cycles.)

    ``route`` is None for a call that the policy does not list. ``needs`` are all the scopes it requires, those of its
    body included. ``now_ms`` is Unix milliseconds. ``facts`` is what restrictions look at; None where nobody saw it.
    """

    route: Route | None
    needs: tuple[Scope, ...]
    now_ms: int
    facts: Facts | None = None
