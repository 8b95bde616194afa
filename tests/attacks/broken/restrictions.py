"""Builds that judge restrictions wrongly: what a call is about, who made it, from where and when it comes."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

import keyscope.api.restricting
import keyscope.authority.mint
import keyscope.gate.sight
import keyscope.model.key
import keyscope.model.reach
import keyscope.model.restriction.things
import keyscope.policy.restricting
from keyscope.model.restriction.calls import METHODS, Denied
from keyscope.model.restriction.given import Given
from keyscope.model.restriction.peers import Cidrs
from keyscope.model.restriction.things import Instances
from keyscope.model.restriction.times import NotBefore, Window
from keyscope.model.restrictions import Bound
from keyscope.wire.forwarded import Proxies
from tests.attacks.broken.build import broken, part, swap

sight, things = keyscope.gate.sight, keyscope.model.restriction.things


@broken("only a key's own restrictions hold", "rst-015:built-in")
def _() -> None:
    old = keyscope.model.key.Lineage.__init__

    def make(self: Any, key: Any, parent: Any = None) -> None:
        old(self, key, parent)
        self.bounds = tuple(bound for bound in self.bounds if bound.holder == key.id)

    swap(keyscope.model.key.Lineage, "__init__", make)


@broken("a derived key sheds the restrictions of its root", "rst-016:built-in")
def _() -> None:
    old = keyscope.model.key.Lineage.narrowed

    def narrowed(self: Any, links: Any, grant: Any, ends: int, bounds: Any = ()) -> Any:
        made = old(self, links, grant, ends, bounds)
        made.bounds = bounds
        return made

    swap(keyscope.model.key.Lineage, "narrowed", narrowed)


@broken("a path names nothing", "rst-003:built-in", "rst-013:built-in")
def _() -> None:
    swap(sight, "_in_path", lambda places, path: ())
    swap(things, "_unseen", lambda *_: None)


@broken("what a body names is not looked at", "rst-021:built-in", "rst-024:built-in", "rst-026:built-in")
def _() -> None:
    swap(sight, "_in_body", lambda reach, body: iter(()))
    swap(things, "_unseen", lambda *_: None)


@broken("what is no text fits", "rst-024:built-in")
def _() -> None:
    old = things._matches
    swap(things, "_matches", lambda names, instance: instance is None or old(names, instance))


@broken("references that need no scope are left out", "rst-027:built-in")
def _() -> None:
    swap(
        keyscope.model.reach,
        "_references",
        lambda operation: tuple((one.when, one.needs.resource) for one in operation.body),
    )


@broken("a body is read only for the scopes' sake", "rst-027:built-in")
def _() -> None:
    swap(Bound, "looks_at_body", lambda self, route: False)


@broken("one thing that fits is enough", "rst-022:built-in", "rst-026:built-in")
def _() -> None:
    old = Instances.objection

    def objection(self: Any, access: Any, holder: str) -> Any:
        fitting = access.facts is not None and any(self.fits(one.resource, one.id) for one in access.facts.shown)
        return None if fitting else old(self, access, holder)

    swap(Instances, "objection", objection)


@broken("to make one is to use one that is named", "rst-008:built-in", "rst-009:built-in")
def _() -> None:
    old = part(things, "reach_of")

    def reach(route: Any) -> Any:
        found = old(route)
        return replace(found, creates=frozenset())

    swap(things, "reach_of", reach)
    swap(things, "_unseen", lambda *_: None)


@broken("a call that names nothing passes", "rst-010:built-in", "rst-011:built-in", "rst-052:built-in")
def _() -> None:
    swap(things, "_unseen", lambda *_: None)


@broken("ids are compared without their case", "rst-005:built-in")
def _() -> None:
    swap(things, "_matches", lambda names, one: one is not None and one.lower() in {name.lower() for name in names})


@broken("a pattern fits anywhere", "rst-006:built-in")
def _() -> None:
    swap(things, "fits", lambda pattern, text: pattern.strip("*") in text)


@broken("whatever there is is one's own", "rst-050:built-in")
def _() -> None:
    swap(things, "_is_own", lambda *_: True)


@broken("in a tie all operations must be denied", "rst-032:built-in")
def _() -> None:
    old = Denied.objection

    def objection(self: Any, access: Any, holder: str) -> Any:
        names = {operation.id for operation in access.route.operations}
        return old(self, access, holder) if names <= set(self.names) else None

    swap(Denied, "objection", objection)


@broken("nothing is denied by its method", "rst-033:built-in", "rst-034:built-in")
def _() -> None:
    old = Denied.objection

    def objection(self: Any, access: Any, holder: str) -> Any:
        return old(replace(self, names=tuple(name for name in self.names if name not in METHODS)), access, holder)

    swap(Denied, "objection", objection)


@broken("every address is in every network", "rst-040:built-in")
def _() -> None:
    swap(Cidrs, "hold", lambda self, address: True)


@broken("the leftmost forwarded address is believed", "rst-041:built-in")
def _() -> None:
    def caller(self: Any, peer: str, headers: Any) -> str:
        told = b",".join(value for name, value in headers if name == b"x-forwarded-for").decode()
        return told.split(",")[0].strip() or peer

    swap(Proxies, "caller", caller)


@broken("a forwarded address is believed from anybody", "rst-042:built-in")
def _() -> None:
    def caller(self: Any, peer: str, headers: Any) -> str:
        told = b",".join(value for name, value in headers if name == b"x-forwarded-for").decode()
        return told.split(",")[-1].strip() or peer

    swap(Proxies, "caller", caller)


@broken("a key is good before its time", "rst-044:built-in")
def _() -> None:
    swap(NotBefore, "objection", lambda self, access, holder: None)


@broken("every time of the day is in the window", "rst-045:built-in")
def _() -> None:
    swap(Window, "holds", lambda self, now_ms: True)


@broken("a mint looks at scopes alone", "rst-060:api")
def _() -> None:
    swap(keyscope.authority.mint, "check_restrictions", lambda asked, above: None)


@broken("restrictions that are not known are left out", "rst-061:api")
def _() -> None:
    def members(self: Any, known: Any) -> Any:
        return {name: found for name, found in self.all_members().items() if name in known}

    swap(Given, "members", members)


@broken("names that the policy does not have are taken", "rst-062:api")
def _() -> None:
    swap(keyscope.api.restricting, "unknown_names", lambda *_: iter(()))
