"""What an account decides about its keys: read and replace its rules."""

from __future__ import annotations

from keyscope.authority.lookup import acting_standard
from keyscope.authority.ports import Clock, Store, Writer
from keyscope.authority.rules import Rules, from_json, to_json
from keyscope.model.event import Event, EventKind, Origin
from keyscope.model.key import Lineage


class AccountRules:
    """Reads and replaces the rules of accounts."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def show(self, account_id: str) -> Rules:
        """The rules now."""
        return from_json(self._store.read(lambda reader: reader.rules(account_id)))

    def replace(self, caller: Lineage, rules: Rules, origin: Origin) -> Rules:
        """Replace all rules. Raises StandardKeyRequired, DerivedKey and StoreUnavailable."""

        def work(writer: Writer) -> Rules:
            now_ms = self._clock.now_ms()
            account_id = acting_standard(writer, caller, now_ms).key.account_id
            raw, before = to_json(rules), writer.rules(account_id)
            if raw != before:
                writer.set_rules(account_id, raw)
                changes: dict[str, object] = {"from": before.decode(), "to": raw.decode()}
                kind = EventKind.ACCOUNT_RULES_CHANGED
                writer.add_event(Event(kind=kind, at_ms=now_ms, account_id=account_id, origin=origin, changes=changes))
            return rules

        return self._store.write(work)
