"""Rotation: a new secret on the same key id. Children, usage, history and limits stay as they are.

The old secret works until its overlap ends, and so do keys derived from it. It stays known after that, so that its
use is noticed.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from keyscope.authority.lifecycle import check_changeable
from keyscope.authority.limits import Limits
from keyscope.authority.lookup import acting, find_both, key_event
from keyscope.authority.ports import Clock, Entropy, Former, Store, Writer
from keyscope.authority.replay import Repeatable, once
from keyscope.errors import BadRequest, Fault
from keyscope.model.derived import share_of
from keyscope.model.event import EventKind, Origin
from keyscope.model.key import Key, Lineage
from keyscope.model.secret import Secret
from keyscope.model.token import SECRET_BYTES, Kind, format_token


class Rotated(Struct, frozen=True):
    """A key with its new secret, and when the old one ends (Unix milliseconds)."""

    key: Key
    secret: Secret
    old_until_ms: int


Render = Callable[[Rotated], bytes]
"""Writes the reply to a rotation, secret included."""


class Rotation:
    """Rotates keys."""

    def __init__(self, store: Store, clock: Clock, entropy: Entropy, limits: Limits | None = None) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._limits = limits or Limits()

    def rotate(
        self,
        caller: Lineage,
        kind: Kind,
        key_id: str,
        overlap_ms: int,
        origin: Origin,
        render: Render,
        repeat: Repeatable | None = None,
    ) -> bytes:
        """Give a key a new secret and return the reply that ``render`` writes.

        ``overlap_ms`` is how long the old secret goes on working, at most ``Limits.max_overlap_ms``; secrets from
        before that end then at the latest. A repeated request returns the first reply. Raises NotFound, OutsideTree,
        BadRequest (overlap too long; the key is revoked or expired), Conflict and StoreUnavailable.
        """
        self._check_overlap(overlap_ms)

        def work(writer: Writer) -> bytes:
            now_ms = self._clock.now_ms()
            acting(writer, caller, now_ms)

            def change() -> bytes:
                target, _ = find_both(writer, caller, kind, key_id, now_ms)
                check_changeable(target, now_ms)
                return render(self._rotate(writer, target.key, now_ms + overlap_ms, origin, now_ms))

            return once(writer, caller.key.id, repeat, change, self._entropy, now_ms)

        return self._store.write(work)

    def _rotate(self, writer: Writer, key: Key, until_ms: int, origin: Origin, now_ms: int) -> Rotated:
        for former in writer.formers(key.id):
            if former.until_ms > until_ms:
                writer.put_former(replace(former, until_ms=until_ms))
        secret = format_token(key.kind, self._entropy.random_bytes(SECRET_BYTES))
        renewed = replace(key, digest=secret.digest, hint=secret.hint, share=share_of(secret), rotated_at_ms=now_ms)
        writer.replace_key(renewed)
        writer.put_former(Former(key.digest, key.id, key.share, until_ms))
        writer.add_event(key_event(EventKind.KEY_ROTATED, key, origin, now_ms, old_secret_until_ms=until_ms))
        return Rotated(renewed, secret, until_ms)

    def _check_overlap(self, overlap_ms: int) -> None:
        most = self._limits.max_overlap_ms
        if overlap_ms > most:
            raise BadRequest("overlap", [Fault("$.overlap_ms", f"the settings allow at most {most} ms")])
