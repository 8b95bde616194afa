"""Keys that are bound to a run: how they end with it, and how they live on.

A lease that ended refuses the key by itself (``Key.ends_at_ms``); the sweep afterwards revokes it for the record. The
end of a devbox is seen by the gate, which tells it here. Either way what the key minted ends with it.
"""

from __future__ import annotations

import logging
from threading import Lock

from msgspec.structs import replace

from keyscope.authority.lifecycle import revoke
from keyscope.authority.lookup import acting, key_event
from keyscope.authority.ports import Clock, Store, Writer
from keyscope.authority.receipts import receipts
from keyscope.errors import BadRequest, Fault, KeyscopeError
from keyscope.model.event import EventKind, Origin
from keyscope.model.key import Key, Lineage, State
from keyscope.model.run import Run

LAPSED = "its lease was not renewed"
AT_ONCE = 1000
"""Keys revoked in one transaction; the others follow in the next round."""

log = logging.getLogger(__name__)


class Runs:
    """Renews leases and ends what was bound to a devbox. ``barred`` is shared with the verifier of this process."""

    def __init__(self, store: Store, clock: Clock, barred: set[str]) -> None:
        self._store = store
        self._clock = clock
        self._barred = barred
        self._untold: dict[tuple[str, str], tuple[str, Origin]] = {}
        self._lock = Lock()

    def renew(self, caller: Lineage, origin: Origin) -> Run:
        """Begin the caller's own lease anew. Raises BadRequest if it has none, and as ``acting`` does."""

        def work(writer: Writer) -> Run:
            now_ms = self._clock.now_ms()
            key = acting(writer, caller, now_ms).key
            if key.run is None or key.run.lease_ms is None:
                raise BadRequest("no lease", [Fault("$", "the key has no lease of its own, so there is none to renew")])
            run = key.run.renewed(now_ms)
            writer.replace_key(replace(key, run=run))
            until = {"lease_until_ms": {"from": key.run.lease_until_ms, "to": run.lease_until_ms}}
            writer.add_event(key_event(EventKind.KEY_RENEWED, key, origin, now_ms, **until))
            return run

        return self._store.write(work)

    def ended(self, account_id: str, devbox_id: str, reason: str, origin: Origin) -> int:
        """Revoke what is bound to a devbox that has ended; returns how many keys. Raises StoreUnavailable.

        This process refuses them from the first moment on. If the store then fails it goes on refusing them, and
        ``try_again`` has them to revoke.
        """
        bound = self._store.read(lambda reader: reader.bound(account_id, devbox_id))
        ids = {key.id for key in bound}
        with self._lock:
            self._untold[account_id, devbox_id] = (reason, origin)
        self._barred.update(ids)
        with receipts():  # tried again after it failed half-way, it waits for the nodes although it writes nothing
            revoked = self._store.write(
                lambda writer: self._revoke_bound(writer, account_id, devbox_id, reason, origin)
            )
        with self._lock:
            self._untold.pop((account_id, devbox_id), None)
        self._barred.difference_update(ids)
        return revoked

    def try_again(self) -> None:
        """Revoke what could not be revoked before. Raises StoreUnavailable."""
        with self._lock:
            untold = [*self._untold.items()]
        for (account_id, devbox_id), (reason, origin) in untold:
            self.ended(account_id, devbox_id, reason, origin)

    def sweep(self) -> int:
        """Revoke keys whose lease has ended, for the record; returns how many. Raises StoreUnavailable."""
        if not self._store.read(lambda reader: reader.lapsed(self._clock.now_ms(), 1)):
            return 0

        def work(writer: Writer) -> int:
            now_ms = self._clock.now_ms()
            lapsed = writer.lapsed(now_ms, AT_ONCE)
            for key in lapsed:
                _revoke(writer, key, LAPSED, Origin(), now_ms)
            return len(lapsed)

        return self._store.write(work)

    def look_after(self) -> None:
        """What is due now and then: ``try_again`` and ``sweep``. Trouble is logged, for another round follows."""
        try:
            self.try_again()
            lapsed = self.sweep()
        except KeyscopeError as error:
            log.error("keys whose run has ended were not revoked: %s", error.detail)
        else:
            if lapsed:
                log.info("%d keys were revoked because their lease had ended", lapsed)

    def _revoke_bound(self, writer: Writer, account_id: str, devbox_id: str, reason: str, origin: Origin) -> int:
        now_ms = self._clock.now_ms()
        bound = writer.bound(account_id, devbox_id)
        for key in bound:
            _revoke(writer, key, reason, origin, now_ms)
        return len(bound)


def _revoke(writer: Writer, key: Key, reason: str, origin: Origin, now_ms: int) -> None:
    below = [lower for lower in writer.descendants(key.id) if lower.state_at(now_ms) is not State.REVOKED]
    revoke(writer, key, reason, origin, now_ms, len(below))
