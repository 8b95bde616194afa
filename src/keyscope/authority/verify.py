"""From a presented credential to a decision: the hot path.

Cheap refusals come first: length, checksum, digest, look-up. Nothing here writes to the store. A key that is being
revoked is refused from the moment the revocation starts, before the store has answered (``barred``).
"""

from __future__ import annotations

import logging
from functools import lru_cache
from hashlib import sha256
from typing import Protocol

from msgspec.structs import replace

from keyscope.authority.counters import Budget, Used
from keyscope.authority.counting import Counting, is_spent
from keyscope.authority.derivation import DerivedKeys
from keyscope.authority.ledger import Ledger
from keyscope.authority.ports import Clock, Index
from keyscope.authority.trail import OBSERVED, UNSEEN, Attempt
from keyscope.authority.tripwire import DeadKeyUses
from keyscope.errors import CountersUnavailable, Forbidden, InvalidToken, Refused, Unavailable
from keyscope.model.access import Access
from keyscope.model.decision import Allow, Decision, Deny, decide
from keyscope.model.derived import is_derived
from keyscope.model.facts import Facts
from keyscope.model.held import Held
from keyscope.model.key import NEVER_MS, Lineage
from keyscope.model.operation import LIVE, Route, Table
from keyscope.model.restrictions import Bound, Restrictions
from keyscope.model.scope import Grant, Scope
from keyscope.model.token import CHECK_CHARS, LENGTH, is_token

_MOST_ROUTES = 2048
_MOST_SOUND = 16_384
"""Remembered at once: what a call is by the policy, and checksums of keys that were found."""

log = logging.getLogger(__name__)


class Sight(Protocol):
    """What a gate sees of a call."""

    def facts(self, lineage: Lineage, route: Route | None, path: str, peer: str) -> Facts: ...


class Verifier:
    """Answers for one process. Used from one thread, like the index it reads.

    ``used`` collects when keys were last accepted, for the recorder to take away. With a ``ledger`` that is collected
    there, with all else that goes into the audit trail.
    """

    def __init__(
        self, index: Index, table: Table, clock: Clock, barred: set[str], ledger: Ledger | None = None
    ) -> None:
        self._find = index.find
        self._lineage = index.lineage
        self._find_derived = DerivedKeys(index, table).find
        self._derived_revoked = index.derived_revoked
        self.route = lru_cache(maxsize=_MOST_ROUTES)(table.find)
        self.methods = table.methods
        self._now_ms = clock.now_ms
        self._barred = barred
        self._sound: set[bytes] = set()
        self.ledger = ledger
        self.note_use = ledger.allowed if ledger is not None else self._note_use
        """Remember that a call was let through, once all of it was judged."""
        self.used: dict[str, int] = {}
        self.dead = DeadKeyUses()
        self.counting: Counting | None = None
        """Counts what is spent; without it, restrictions that need that object."""
        self.closed: Unavailable | None = None
        """Why nothing can be judged at the moment, if so."""

    def find(self, token: bytes) -> Lineage:
        """The key that this text is the secret of, in whatever state.

        Raises InvalidToken if there is none, and Unavailable if the store cannot say.
        """
        lineage = self.stored(token)
        if self._barred and not self._barred.isdisjoint(lineage.chain):
            raise InvalidToken("the key is being revoked")
        return lineage

    def stored(self, token: bytes) -> Lineage:
        """The key as the store has it, even while it is being revoked: for ending it, never for accepting it.

        Raises as ``find`` does.
        """
        if self.closed is not None:
            raise self.closed
        if len(token) == LENGTH:
            lineage = self._find_whole(token)
        elif is_derived(token):
            lineage = self._find_derived(token)
        else:
            raise InvalidToken("not a key's text")
        if lineage is None:
            raise InvalidToken("no such key")
        return lineage

    def _find_whole(self, token: bytes) -> Lineage | None:
        """The checksum spares junk a look-up. Who shows that of a key that was found before may have one at once."""
        check = token[-CHECK_CHARS:]
        if check not in self._sound and not is_token(token):
            raise InvalidToken("not a key's text")
        lineage = self._find(sha256(token).digest())
        if lineage is not None and check not in self._sound:
            if len(self._sound) >= _MOST_SOUND:
                self._sound.clear()
            self._sound.add(check)
        return lineage

    def by_id(self, key_id: str) -> Lineage | None:
        """The key with this id, in whatever state; None if there is none, or if it is being revoked.

        Raises Unavailable if the store cannot say.
        """
        if self.closed is not None:
            raise self.closed
        lineage = self._lineage(key_id)
        if lineage is None or (self._barred and not self._barred.isdisjoint(lineage.ids)):
            return None
        return lineage

    def as_called(self, held: Held) -> Lineage | None:
        """The key of a held call as it is now; for a derived key, with what that one had when it called.

        None and raises as ``by_id``; None if a link was revoked.
        """
        lineage = self.by_id(held.key_id)
        if lineage is None or not held.links:
            return lineage
        if self._derived_revoked(held.key_id, held.links) or not self._barred.isdisjoint(held.links):
            return None
        grant = Grant(map(Scope.parse, held.scopes)) if held.scopes is not None else None
        ends_at_ms = NEVER_MS if held.ends_at_ms is None else held.ends_at_ms
        bounds = tuple(Bound(holder, Restrictions.from_text(text)) for holder, text in held.bounds)
        return lineage.narrowed(held.links, grant, ends_at_ms, bounds)

    def by_digest(self, digest: bytes) -> Lineage | None:
        """The key with a secret of this SHA-256, as that secret shows it, in whatever state; else as ``by_id``."""
        if self.closed is not None:
            raise self.closed
        lineage = self._find(digest)
        if lineage is None or (self._barred and not self._barred.isdisjoint(lineage.ids)):
            return None
        return lineage

    def decide(self, token: bytes, method: str, path: str, sight: Sight | None = None, peer: str = "") -> Decision:
        """Judge a call by its method and canonical path. The conditions on its body are not yet looked at.

        ``sight`` says what is seen of the call, for a key that is restricted; ``peer`` is the caller's address.
        """
        lineage = self.find(token)
        route = self.route(method, path)
        facts = self.facts(lineage, route, path, sight, peer) if lineage.bounds and sight is not None else None
        return decide(lineage, Access(route, route.needs if route is not None else (), self._now_ms(), facts))

    def judge(
        self, lineage: Lineage, route: Route | None, needs: tuple[Scope, ...], facts: Facts | None = None
    ) -> Decision:
        """Judge a call whose route and needed scopes are known. ``facts`` None: nothing of it is seen."""
        return decide(lineage, Access(route, needs, self._now_ms(), facts))

    def facts(self, lineage: Lineage, route: Route | None, path: str, sight: Sight, peer: str) -> Facts | None:
        """What is seen of a call by a key that is restricted; None for any other."""
        if not lineage.bounds:
            return None
        facts = sight.facts(lineage, route, path, peer)
        return replace(facts, counts=False) if facts.counts and self.counting is None else facts

    def spend(self, allow: Allow) -> Decision:
        """Count a call that nothing else objects to: once, before it goes on. Raises CountersUnavailable."""
        if self.counting is not None:
            return self.counting.spend(allow)
        if is_spent(allow):
            raise CountersUnavailable("nothing is counted here")
        return allow

    def look(self, decision: Decision) -> Decision:
        """What ``spend`` would make of an Allow, without counting it. Raises CountersUnavailable."""
        return self.counting.look(decision) if self.counting is not None and decision.lineage.bounds else decision

    def spent(self, lineage: Lineage) -> list[tuple[Budget, Used]] | None:
        """What is gone of each budget of the line, nearest first; None if nobody can say."""
        return self.counting.spent(lineage.bounds) if self.counting is not None else None

    def give_back(self, allow: Allow) -> None:
        """The call is over."""
        if self.counting is not None:
            self.counting.give_back(allow)

    def live(self, token: bytes, attempt: Attempt | None = UNSEEN) -> Lineage:
        """The key, if it is active now. Raises InvalidToken otherwise.

        ``attempt`` is for the record; None leaves no trace there.
        """
        try:
            lineage = self.find(token)
        except InvalidToken as error:
            if attempt is not None:
                self.note_refused(error, attempt)
            raise
        decision = self.judge(lineage, LIVE, ())
        if isinstance(decision, Deny):
            if attempt is not None:
                self.note_denied(decision, attempt)
            raise InvalidToken("the key is not active")
        return lineage

    def note_denied(self, denied: Deny, attempt: Attempt) -> None:
        """Remember a refusal, and that a key was shown that is good no longer."""
        if denied.is_dead:
            self.dead.note(denied.lineage, denied.access.now_ms, attempt.peer)
        if self.ledger is not None:
            self.ledger.denied(denied, attempt)

    def note_observed(self, would_be: Deny, attempt: Attempt) -> None:
        """Remember a call that was let through because its key is observed. In the log, if no audit trail is kept."""
        if self.ledger is not None:
            self.ledger.denied(would_be, attempt, OBSERVED)
        else:
            log.warning(
                "observed: %s lacks %s for %s %s",
                would_be.lineage.key.id, " ".join(map(str, would_be.missing)), attempt.method, attempt.path,
            )  # fmt: skip

    def note_refused(self, error: Refused, attempt: Attempt) -> None:
        """Remember that a call was refused before there was a key to judge it by."""
        if self.ledger is not None:
            self.ledger.refused(error.code, attempt, self._now_ms())

    def note_forbidden(self, error: Forbidden, lineage: Lineage, route: Route | None, attempt: Attempt) -> None:
        """Remember that the authority refused a management call which the policy allows."""
        if self.ledger is not None:
            self.ledger.forbidden(error.code, lineage, route, attempt, self._now_ms())

    def _note_use(self, allow: Allow) -> None:
        self.used[allow.lineage.key.id] = allow.access.now_ms
