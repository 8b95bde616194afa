"""Finding out what a key needs, and leaving it no more: observe it, narrow it, take the narrowing back.

Observing is the only thing that ever lets a key do more than its scopes say, so it takes a standard key, has an end,
and goes no further than what the account's rules let a restricted key have (docs/decisions/0015).
"""

from __future__ import annotations

from msgspec.structs import replace

from keyscope.authority.bounds import check_scopes
from keyscope.authority.lifecycle import Change, check_bounds, check_changeable, check_rules, updated
from keyscope.authority.limits import Limits
from keyscope.authority.lookup import Detail, acting_standard, detail_of, find, find_both
from keyscope.authority.ports import Clock, Reader, Store, Writer
from keyscope.authority.rules import from_json
from keyscope.errors import BadRequest, ExceedsParent, Fault
from keyscope.model.event import Origin
from keyscope.model.key import Key, Lineage
from keyscope.model.scope import Grant, Scope
from keyscope.model.token import Kind


class Tightening:
    """Observes and narrows restricted keys."""

    def __init__(self, store: Store, clock: Clock, limits: Limits | None = None) -> None:
        self._store = store
        self._clock = clock
        self._limits = limits or Limits()

    def observe(self, caller: Lineage, key_id: str, until_ms: int | None, origin: Origin) -> Detail:
        """Record, and do not refuse, what the key lacks of its own, until a time (Unix milliseconds). None ends it.

        Raises NotFound, StandardKeyRequired, and BadRequest for a key that is revoked or expired, or too late a time.
        """

        def work(writer: Writer) -> Detail:
            now_ms = self._clock.now_ms()
            actor = acting_standard(writer, caller, now_ms)
            target = find(writer, actor.key.account_id, Kind.RESTRICTED, key_id)
            check_changeable(target, now_ms)
            self._check_end(until_ms, now_ms)
            within = _most(writer, target.key) if until_ms is not None else None
            changed = replace(target.key, observe_until_ms=until_ms, observe_within=within)
            return _keep(writer, target.key, changed, origin, now_ms)

        return self._store.write(work)

    def narrow(
        self, caller: Lineage, key_id: str, scopes: tuple[Scope, ...], origin: Origin, *, may_add: bool = False
    ) -> Detail:
        """Leave the key no more than these scopes, which are within those that it has, and remember the former ones.

        With ``may_add`` they may also hold what it was let through to while it was observed, as far as an update goes
        (law 2). Raises NotFound, OutsideTree, BadRequest, RuleViolation, and ExceedsParent for scopes beyond that.
        """

        def work(writer: Writer) -> Detail:
            now_ms = self._clock.now_ms()
            target, actor = find_both(writer, caller, Kind.RESTRICTED, key_id, now_ms)
            check_changeable(target, now_ms)
            if may_add:
                _check_update(actor, target, writer, Change(scopes=scopes))
            else:
                _check_narrower(target.key, scopes)
                check_scopes(scopes, actor)
            if Grant(scopes) == Grant(target.key.scopes):
                return detail_of(writer, target.key)
            changed = replace(target.key, scopes=scopes, narrowed_at_ms=now_ms, narrowed_from=target.key.scopes)
            return _keep(writer, target.key, changed, origin, now_ms, narrowed=True)

        return self._store.write(work)

    def revert(self, caller: Lineage, key_id: str, origin: Origin) -> Detail:
        """Give the key the scopes back that it had before it was narrowed. Only a standard key may.

        Raises NotFound, StandardKeyRequired, ExceedsParent (the key above has them no longer), RuleViolation (the
        account does not allow them any more), and BadRequest for a key that was not narrowed or is dead.
        """

        def work(writer: Writer) -> Detail:
            now_ms = self._clock.now_ms()
            actor = acting_standard(writer, caller, now_ms)
            target = find(writer, actor.key.account_id, Kind.RESTRICTED, key_id)
            check_changeable(target, now_ms)
            _check_update(actor, target, writer, Change(scopes=_former(target.key)))
            changed = replace(target.key, scopes=_former(target.key), narrowed_at_ms=None, narrowed_from=None)
            return _keep(writer, target.key, changed, origin, now_ms, reverted=True)

        return self._store.write(work)

    def _check_end(self, until_ms: int | None, now_ms: int) -> None:
        latest = now_ms + self._limits.max_observe_ms
        if until_ms is not None and until_ms > latest:
            days = self._limits.max_observe_ms // 86_400_000
            raise BadRequest("too long", [Fault("$.until_ms", f"a key is observed for at most {days} days: {latest}")])


def _keep(writer: Writer, old: Key, new: Key, origin: Origin, now_ms: int, **more: object) -> Detail:
    if new != old:
        writer.replace_key(new)
        writer.add_event(updated(old, new, origin, now_ms, **more))
    return detail_of(writer, new)


def _most(reader: Reader, key: Key) -> tuple[Scope, ...] | None:
    """What the account's rules let a restricted key have; None for anything."""
    allowed = from_json(reader.rules(key.account_id)).allowed_scopes
    return None if allowed is None else tuple(map(Scope.parse, allowed))


def _check_update(actor: Lineage, target: Lineage, reader: Reader, change: Change) -> None:
    check_bounds(actor, target, reader, change)
    check_rules(reader, target.key, change)


def _check_narrower(key: Key, scopes: tuple[Scope, ...]) -> None:
    beyond = Grant(key.scopes).missing(Grant(scopes))
    if beyond:
        faults = [Fault("$.scopes", f"{scope} is more than {key.id} has: this only narrows") for scope in beyond]
        raise ExceedsParent("wider", faults)


def _former(key: Key) -> tuple[Scope, ...]:
    if key.narrowed_from is None:
        raise BadRequest("not narrowed", [Fault("$", "its scopes were not narrowed, or were changed since: update it")])
    return key.narrowed_from
