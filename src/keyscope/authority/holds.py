"""Calls that are held: kept, approved or refused, and sent at most once.

The store is the truth. A call is sent only by whoever moved it to RUNNING, in a transaction that has been committed by
then; so two who approve it, two workers and a restart send it once. If the sender then dies, nobody knows what the API
did, and that is said: the state is UNKNOWN, and the call is never sent again.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from keyscope.authority.boxes import NONCE_BYTES, Box
from keyscope.authority.lookup import acting, acting_standard, living
from keyscope.authority.opening import is_anothers, require_same_key
from keyscope.authority.ports import Clock, Entropy, HeldQuery, Reader, Store, Writer
from keyscope.authority.settling import (
    Verdict,
    at_its_end,
    decided,
    event_of,
    is_to_be_sent,
    settle,
    take,
    was_approved,
)
from keyscope.errors import BadRequest, DerivedKey, Fault, HoldSettled, NotFound, TooManyHeld
from keyscope.model.event import EventKind, Origin
from keyscope.model.held import Held, HeldState, Terms, digest_of
from keyscope.model.ident import RANDOM_BYTES, format_id
from keyscope.model.key import NEVER_MS, Lineage

MOST_HELD = 100
"""Calls of one key that wait at once: whoever approves must be able to read them."""


class Request(Struct, frozen=True):
    """What is sent: header fields without any credential, the body that goes on, and the address it came from."""

    headers: list[tuple[bytes, bytes]]
    body: bytes
    peer: str


class Given(Struct, frozen=True):
    """What the API answered: ``is_whole`` False if there was more than is kept, or it broke off."""

    status: int
    content_type: str
    body: bytes
    is_whole: bool


class Asked(Struct, frozen=True, kw_only=True):
    """A call to be held."""

    operation: str
    method: str
    target: str
    request: Request
    request_id: str | None


class Holds:
    """``wake`` is called when there is something to send at once."""

    def __init__(self, store: Store, clock: Clock, entropy: Entropy, box: Box) -> None:
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._box = box
        self.wake: Callable[[], None] = lambda: None

    def hold(self, caller: Lineage, asked: Asked, terms: Terms, origin: Origin) -> Held:
        """Keep a call. The same call of the same key, while it waits, or under the same request id, is kept once.

        Raises TooManyHeld, InvalidToken (the caller was revoked meanwhile) and StoreUnavailable, also if calls wait
        that another server has encrypted with another key.
        """
        digest = digest_of(asked.method, asked.target, asked.request.body)

        def work(writer: Writer) -> Held:
            now_ms = self._clock.now_ms()
            key = living(writer, caller.key.id, now_ms).key.id
            same = writer.same_held(key, caller.derived, digest, asked.request_id)
            if same is not None:
                return same
            if writer.waiting(key) >= MOST_HELD:
                raise TooManyHeld(key)
            require_same_key(writer, caller.key.account_id, self._box.mark)
            held = self._new(caller, asked, terms, digest, now_ms)
            writer.put_held(held)
            until = {("runs_at_ms" if held.is_delay else "deadline_ms"): held.acts_at_ms}
            writer.add_event(event_of(EventKind.HOLD_CREATED, held, origin, now_ms, **until))
            return held

        return self._store.write(work)

    def get(self, caller: Lineage, held_id: str) -> Held:
        """A held call that the caller may see: its own, that of a key below it; a standard key, any of the account.

        Raises NotFound.
        """
        return self._store.read(lambda reader: _visible(reader, caller, held_id))

    def all(self, caller: Lineage, query: HeldQuery) -> tuple[list[Held], bool]:
        """A page of those that the caller may see, newest first, and whether there are more.

        Raises DerivedKey: a derived key sees single ones alone, its own.
        """
        if caller.derived:
            raise DerivedKey(caller.key.id)

        def work(reader: Reader) -> tuple[list[Held], bool]:
            within = None if caller.key.is_standard else _tree(reader, caller)
            found = reader.held(replace(query, within=within, limit=query.limit + 1))
            return found[: query.limit], len(found) > query.limit

        return self._store.read(work)

    def waiting(self, account_id: str) -> int:
        """How many calls of the account wait for somebody, or for their time."""
        return self._store.read(lambda reader: reader.waiting_in(account_id))

    def approve(self, caller: Lineage, held_id: str, digest: bytes | None, reason: str | None, origin: Origin) -> Held:
        """Let it be sent. Takes a standard key. ``digest`` is that of what was read; None asks nothing.

        Raises NotFound, StandardKeyRequired, HoldSettled, and BadRequest if the digest is another one.
        """
        held = self._decide(caller, held_id, Verdict.APPROVE, digest, reason, origin)
        self.wake()
        return held

    def refuse(self, caller: Lineage, held_id: str, reason: str | None, origin: Origin) -> Held:
        """Let it never be sent. A standard key may, and the key that made the call, and those above it.

        Raises NotFound and HoldSettled.
        """
        return self._decide(caller, held_id, Verdict.REFUSE, None, reason, origin)

    def due(self, limit: int = 100) -> list[Held]:
        """Those about which something is to be done now, and here."""
        found = self._store.read(lambda reader: reader.due_held(self._clock.now_ms(), limit))
        return [held for held in found if not self._is_anothers_to_send(held)]

    def claim(self, held_id: str) -> Held | None:
        """Do what is due. Returns the call if it is now the caller's to send, and nobody else's; else None."""

        def work(writer: Writer) -> Held | None:
            now_ms = self._clock.now_ms()
            held = writer.held_by_id(held_id)
            if held is None or held.due_at_ms > now_ms or self._is_anothers_to_send(held):
                return None
            return take(writer, held, now_ms)

        return self._store.write(work)

    def finish(self, held: Held, state: HeldState, reason: str | None = None, given: Given | None = None) -> Held:
        """Write down what became of a call that was claimed. What was settled otherwise meanwhile gives way to it."""
        answer = None
        if given is not None:
            answer = self._box.seal(f"{held.id} answer", msgspec.msgpack.encode(given), self._nonce())

        def work(writer: Writer) -> Held:
            now_ms = self._clock.now_ms()
            ended = replace(
                at_its_end(held, state, now_ms, reason),
                status=given.status if given is not None else None,
                answer=answer,
            )
            writer.put_held(ended)
            what = {"state": state.value, "status": ended.status, "reason": reason}
            writer.add_event(event_of(EventKind.HOLD_ENDED, ended, Origin(), now_ms, **what))
            return ended

        return self._store.write(work)

    def request(self, held: Held) -> Request:
        """What was sent, or will be. Raises StoreUnavailable."""
        return msgspec.msgpack.decode(self._box.open(held.id, held.sealed), type=Request)

    def given(self, held: Held) -> Given | None:
        """What the API answered. Raises StoreUnavailable."""
        if held.answer is None:
            return None
        return msgspec.msgpack.decode(self._box.open(f"{held.id} answer", held.answer), type=Given)

    def _new(self, caller: Lineage, asked: Asked, terms: Terms, digest: bytes, now_ms: int) -> Held:
        held_id = format_id("hold", now_ms, self._entropy.random_bytes(RANDOM_BYTES))
        derived = bool(caller.derived)
        return Held(
            id=held_id,
            account_id=caller.key.account_id,
            key_id=caller.key.id,
            state=HeldState.HELD,
            operation=asked.operation,
            method=asked.method,
            target=asked.target,
            digest=digest,
            created_at_ms=now_ms,
            acts_at_ms=now_ms + terms.wait_ms,
            is_delay=terms.is_delay,
            due_at_ms=now_ms + terms.wait_ms,
            key_mark=self._box.mark,
            sealed=self._box.seal(held_id, msgspec.msgpack.encode(asked.request), self._nonce()),
            request_id=asked.request_id,
            links=caller.derived,
            scopes=tuple(map(str, caller.grant)) if derived and caller.grant is not None else None,
            ends_at_ms=caller.expires_at_ms if derived and caller.expires_at_ms < NEVER_MS else None,
            bounds=tuple((b.holder, b.restrictions.text) for b in caller.bounds if b.holder in caller.derived),
        )

    def _is_anothers_to_send(self, held: Held) -> bool:
        return is_to_be_sent(held) and is_anothers(held, self._box.mark)

    def _decide(
        self, caller: Lineage, held_id: str, verdict: Verdict, digest: bytes | None, reason: str | None, origin: Origin
    ) -> Held:
        def work(writer: Writer) -> Held:
            now_ms = self._clock.now_ms()
            actor = (acting_standard if verdict is Verdict.APPROVE else acting)(writer, caller, now_ms)
            held = _visible(writer, actor, held_id)
            if digest is not None and digest != held.digest:
                raise BadRequest("digest", [Fault("$.digest", "this is not the digest of the call: read it again")])
            state = decided(actor, verdict)
            if held.state is state or (state is HeldState.APPROVED and was_approved(held)):
                return held
            if held.state is not HeldState.HELD or now_ms >= held.due_at_ms:
                raise HoldSettled(held.state)
            return settle(writer, held, state, actor, reason, origin, now_ms)

        return self._store.write(work)

    def _nonce(self) -> bytes:
        return self._entropy.random_bytes(NONCE_BYTES)


def _visible(reader: Reader, caller: Lineage, held_id: str) -> Held:
    held = reader.held_by_id(held_id)
    # A call of another account, or of a key elsewhere in the tree, does not exist for the caller.
    if held is None or held.account_id != caller.key.account_id:
        raise NotFound(held_id)
    line = reader.lineage(held.key_id)
    if not caller.key.is_standard and (line is None or caller.key.id not in line.ids):
        raise NotFound(held_id)
    if caller.derived and (held.key_id != caller.key.id or held.links[: len(caller.derived)] != caller.derived):
        raise NotFound(held_id)
    return held


def _tree(reader: Reader, caller: Lineage) -> tuple[str, ...]:
    return (caller.key.id, *(key.id for key in reader.descendants(caller.key.id)))
