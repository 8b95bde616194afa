"""Suspend restricted keys that nobody used for longer than their account's rules allow. A resumed one starts anew."""

from __future__ import annotations

from keyscope.authority.lifecycle import suspend
from keyscope.authority.ports import Clock, Store, Writer
from keyscope.authority.rules import from_json
from keyscope.model.event import Origin

AT_ONCE = 1000
"""Keys suspended in one transaction; the others follow in the next round."""


def suspend_idle(store: Store, clock: Clock) -> int:
    """One round over all accounts. Returns how many keys were suspended. Raises StoreUnavailable."""
    if not store.read(lambda reader: any(from_json(reader.rules(a.id)).max_idle_ms for a in reader.accounts())):
        return 0

    def work(writer: Writer) -> int:
        return sum(_suspend(writer, account.id, clock.now_ms()) for account in writer.accounts())

    return store.write(work)


def _suspend(writer: Writer, account_id: str, now_ms: int) -> int:
    most_ms = from_json(writer.rules(account_id)).max_idle_ms
    if most_ms is None:
        return 0
    idle = writer.idle(account_id, now_ms - most_ms, AT_ONCE)
    for key in idle:
        suspend(writer, key, f"idle for more than {most_ms} ms", Origin(), now_ms)
    return len(idle)
