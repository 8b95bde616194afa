"""Sessions of the console: a browser that showed a key once and goes on with a random id in its place.

The store keeps the SHA-256 of the id, never the id; and the SHA-256 of the secret that was shown, which it has anyway.
A session holds nothing of its own: with each request its key is found by that digest and judged anew, so it ends when
the key is revoked, suspended or expired, and when the secret that opened it was rotated out.

Trying to guess is hopeless: a key and an id have 256 random bits each. So attempts are not counted, and nobody can be
locked out by somebody else's attempts.
"""

from __future__ import annotations

import re
from hashlib import sha256

from msgspec import Struct
from msgspec.structs import replace

from keyscope.authority.ports import Clock, Entropy, Session, Store, Writer
from keyscope.model.key import Lineage
from keyscope.model.secret import Secret

ID_BYTES = 32
MOST_OF_ONE_KEY = 16
"""Sessions of one key at once; a further one ends the oldest."""

SEEN_EVERY_MS = 60_000
"""How often it is written down that a session is in use; so the idle time is exact to this."""

_ID = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Lifetimes(Struct, frozen=True):
    """How long a session lives without a request, and at all, in milliseconds."""

    idle_ms: int
    whole_ms: int


class Sessions:
    """Opens, finds and ends sessions."""

    def __init__(self, store: Store, clock: Clock, entropy: Entropy, lifetimes: Lifetimes) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._lifetimes = lifetimes

    def open(self, lineage: Lineage, before: str | None) -> Secret:
        """A new session of the secret that ``lineage`` was found by; its id, for the one cookie that holds it.

        The id is new at each sign-in and ``before``, the id that the browser had until now, ends: an id that somebody
        planted is worth nothing. Raises StoreUnavailable.
        """
        session_id = Secret(self._entropy.random_bytes(ID_BYTES).hex())
        csrf = self._entropy.random_bytes(ID_BYTES)

        def work(writer: Writer) -> None:
            now_ms = self._clock.now_ms()
            writer.drop_sessions(now_ms)
            if before is not None:
                writer.end_session(_digest(before))
            _make_room(writer, lineage.key.id)
            writer.put_session(
                Session(
                    digest=session_id.digest,
                    key_id=lineage.key.id,
                    key_digest=lineage.key.digest,
                    csrf=csrf,
                    opened_at_ms=now_ms,
                    seen_at_ms=now_ms,
                    ends_at_ms=now_ms + self._lifetimes.whole_ms,
                )
            )

        self._store.write(work)
        return session_id

    def find(self, session_id: str) -> Session | None:
        """The session with this id, if it has not ended. Raises StoreUnavailable."""
        if not _ID.fullmatch(session_id):
            return None
        session = self._store.read(lambda reader: reader.session(_digest(session_id)))
        now_ms = self._clock.now_ms()
        if session is None or now_ms >= min(session.ends_at_ms, session.seen_at_ms + self._lifetimes.idle_ms):
            return None
        if now_ms - session.seen_at_ms >= min(SEEN_EVERY_MS, self._lifetimes.idle_ms // 2):
            self._see(session, now_ms)
        return session

    def end(self, session: Session) -> None:
        """Sign out. Raises StoreUnavailable."""
        self._store.write(lambda writer: writer.end_session(session.digest))

    def token(self) -> str:
        """A random text that marks one form, so that it counts once."""
        return self._entropy.random_bytes(ID_BYTES).hex()

    def _see(self, session: Session, now_ms: int) -> None:
        def work(writer: Writer) -> None:
            # Only a session that is still there: whoever signed out meanwhile stays signed out.
            if writer.session(session.digest) is not None:
                writer.put_session(replace(session, seen_at_ms=now_ms))

        self._store.write(work)


def _make_room(writer: Writer, key_id: str) -> None:
    open_now = writer.sessions(key_id)
    for session in open_now[: max(0, len(open_now) - MOST_OF_ONE_KEY + 1)]:
        writer.end_session(session.digest)


def _digest(session_id: str) -> bytes:
    return sha256(session_id.encode()).digest()
