"""What the use cases need from the world: a store, a clock, entropy.

A transaction is a function that you pass in: ``store.write(work)`` runs ``work``, commits, and only then returns its
result, durably. An exception rolls everything back. A store may undo ``work`` and run it anew, so it changes nothing
but what it writes. Every method may raise StoreUnavailable.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from msgspec import Struct

from keyscope.authority.things import Things
from keyscope.model.event import Event
from keyscope.model.held import Held, HeldState
from keyscope.model.key import Key, Lineage, State
from keyscope.model.token import Kind

T = TypeVar("T")


class Account(Struct, frozen=True):
    """A tenant."""

    id: str
    name: str
    created_at_ms: int


class Former(Struct, frozen=True):
    """An earlier secret of a key: its SHA-256 digest, and until when it is good (Unix milliseconds)."""

    digest: bytes
    key_id: str
    share: bytes | None
    until_ms: int


class Selector(Struct, frozen=True, kw_only=True):
    """Which keys of an account to end: those that meet all conditions given, restricted and standard ones."""

    created_by: str | None = None
    name_prefix: str | None = None
    restricted_only: bool = False


class DeadUses(Struct, frozen=True):
    """How often secrets of a key were tried that were good no longer, and when last (Unix milliseconds)."""

    uses: int
    last_at_ms: int


class StoredLeak(Struct, frozen=True):
    """A secret of a key, present, earlier or derived, that was reported as leaked: the SHA-256 digest of its text.

    ``at_ms`` is when it was first reported (Unix milliseconds); ``revoked`` whether reports then ended what leaked.
    """

    digest: bytes
    key_id: str
    at_ms: int
    revoked: bool


class KeyQuery(Struct, frozen=True, kw_only=True):
    """Which keys to list: all conditions given must hold. Newest first.

    ``name`` is a part of the name, case-insensitive for ASCII. ``status`` is that of the whole lineage at ``now_ms``.
    ``resource`` keeps keys whose own scopes name the type with READ or WRITE. ``starting_after`` is the id of the
    last key of the page before; ``limit`` is at least 1.
    """

    account_id: str
    kind: Kind
    now_ms: int
    limit: int
    starting_after: str | None = None
    name: str | None = None
    status: State | None = None
    resource: str | None = None
    created_by: str | None = None
    expires_before_ms: int | None = None
    last_used_before_ms: int | None = None


class KeyPage(Struct, frozen=True):
    """One page of a list, each key with its ancestors. ``total`` counts all pages."""

    items: tuple[Lineage, ...]
    has_more: bool
    total: int


class KeyCount(Struct, frozen=True):
    """How many keys of one kind have a status, all accounts together."""

    kind: Kind
    status: State
    keys: int


class StoredEvent(Struct, frozen=True):
    """An event with its place in the one sequence, starting at 1."""

    number: int
    event: Event


class StoredReply(Struct, frozen=True, kw_only=True):
    """A reply kept so that a repeated request gets it again. The store cannot read ``sealed`` (authority/replay.py).

    ``request_digest`` is SHA-256 of the operation and body of the first request; ``sealed`` is nonce and ciphertext.
    """

    caller_id: str
    request_id: str
    request_digest: bytes
    sealed: bytes
    created_at_ms: int


class Session(Struct, frozen=True, kw_only=True):
    """A browser's session in the console. ``digest`` is the SHA-256 of its id, ``key_digest`` that of the secret it was
    opened with: it is worth what that secret is worth. Times are Unix milliseconds; ``ends_at_ms`` is its latest end.
    """

    digest: bytes
    key_id: str
    key_digest: bytes
    csrf: bytes
    opened_at_ms: int
    seen_at_ms: int
    ends_at_ms: int


class HeldQuery(Struct, frozen=True, kw_only=True):
    """Which held calls to list: all conditions given must hold. Newest first. ``within``: of these keys alone."""

    account_id: str
    limit: int
    state: HeldState | None = None
    key_id: str | None = None
    within: tuple[str, ...] | None = None
    starting_after: str | None = None


class Reader(Protocol):
    """A consistent view of the store."""

    def accounts(self) -> list[Account]:
        """All accounts, oldest first."""

    def key(self, key_id: str) -> Key | None: ...

    def lineage(self, key_id: str) -> Lineage | None:
        """The key with all its ancestors, nearest first."""

    def keys(self, query: KeyQuery) -> KeyPage: ...

    def descendants(self, key_id: str) -> list[Key]:
        """Every key minted by this one, by its children and so on, oldest first. Not the key itself."""

    def lineages(self) -> Iterator[Lineage]:
        """Every key of every account as its present secret shows it, with its ancestors, in no order.

        One that a newer version wrote, so that nobody here may judge it, stands there as suspended.
        """

    def former_digests(self) -> Iterator[bytes]:
        """The digests of all earlier secrets of all keys."""

    def digests_below(self, key_id: str, limit: int) -> list[bytes]:
        """The digests of all secrets, present and earlier, of the key and of every key below it; at most ``limit``."""

    def last_used_ms(self, key_id: str) -> int | None:
        """When the key was last accepted, in Unix milliseconds, as far as ``record_use`` was told."""

    def formers(self, key_id: str) -> list[Former]:
        """The key's earlier secrets."""

    def living_children(self, key_id: str, now_ms: int) -> int:
        """How many of the keys that this one minted itself are neither revoked nor expired on their own."""

    def selected(self, account_id: str, selector: Selector) -> list[Key]:
        """The keys that a selector means and that are not revoked on their own, oldest first."""

    def idle(self, account_id: str, before_ms: int, limit: int) -> list[Key]:
        """Restricted keys, not stopped on their own, that were minted, resumed and last used before the time."""

    def expiring(self, after_ms: int, until_ms: int, limit: int | None = None) -> list[Key]:
        """Keys whose own expiry is after the one time, at most the other, and that are not revoked; soonest first."""

    def bound(self, account_id: str, devbox_id: str) -> list[Key]:
        """The keys that are bound to the devbox and not revoked on their own, oldest first."""

    def lapsed(self, now_ms: int, limit: int) -> list[Key]:
        """Keys whose own lease ended by the time and that are not revoked on their own, soonest first."""

    def dead_uses(self, key_id: str) -> DeadUses | None: ...

    def key_counts(self, now_ms: int) -> list[KeyCount]:
        """How many keys there are of each kind and status, that of the whole lineage; none are left out."""

    def derived_revoked(self, key_id: str, link_ids: Sequence[str]) -> bool:
        """Whether any of these links of keys derived from this one was revoked."""

    def leak(self, digest: bytes) -> StoredLeak | None:
        """What is known of the text with this digest as leaked."""

    def leaked_ms(self, key_id: str) -> int | None:
        """When a secret of the key was last reported for the first time (Unix milliseconds)."""

    def rules(self, account_id: str) -> bytes:
        """The account's rules on keys, as JSON (authority/rules.py)."""

    def events(self, account_id: str, *, after: int = 0, limit: int = 100) -> list[StoredEvent]:
        """The account's events with a number above ``after``, oldest first."""

    def changes(self, *, after: int = 0, limit: int = 1000) -> list[StoredEvent]:
        """The events of all accounts with a number above ``after``, oldest first: what those who follow read."""

    def last_number(self) -> int:
        """The number of the newest event, 0 if there is none."""

    def reply(self, caller_id: str, request_id: str) -> StoredReply | None: ...

    def held_by_id(self, held_id: str) -> Held | None: ...

    def held(self, query: HeldQuery) -> list[Held]: ...

    def same_held(self, key_id: str, links: tuple[str, ...], digest: bytes, request_id: str | None) -> Held | None:
        """The call of the same key with this digest that waits, or that came with the same request id; the newest."""

    def waiting(self, key_id: str) -> int:
        """How many calls of the key are HELD."""

    def waiting_in(self, account_id: str) -> int:
        """How many calls of the account are HELD."""

    def due_held(self, now_ms: int, limit: int) -> list[Held]:
        """Those that are due by the time, soonest first."""

    def session(self, digest: bytes) -> Session | None: ...

    def sessions(self, key_id: str) -> list[Session]:
        """The sessions of a key, oldest first."""


class Writer(Reader, Protocol):
    """A write transaction. It sees its own changes."""

    def add_account(self, account: Account) -> None: ...

    def add_key(self, key: Key) -> None:
        """Raises ValueError if the id or digest exists, or the parent does not."""

    def replace_key(self, key: Key) -> None:
        """Replace the record with the same id. Raises KeyError if there is none; never changes id or account."""

    def put_former(self, former: Former) -> None:
        """Keep an earlier secret of a key, or change until when it is good."""

    def revoke_derived(self, key_id: str, link_id: str, at_ms: int) -> None:
        """Revoke one link of a derived key and what was derived from it. Doing it twice changes nothing."""

    def put_leak(self, leak: StoredLeak) -> None:
        """Remember a leak, or what was done about it. Raises KeyError if there is no such key."""

    def record_dead_uses(self, uses: Mapping[str, DeadUses]) -> None:
        """Add to the counts; unknown ids are ignored."""

    def set_rules(self, account_id: str, rules: bytes) -> None: ...

    def add_event(self, event: Event) -> None: ...

    def add_reply(self, reply: StoredReply) -> None:
        """Raises ValueError if the caller already has a reply under this request id."""

    def drop_replies(self, before_ms: int) -> None:
        """Forget replies created before the time."""

    def put_held(self, held: Held) -> None:
        """Keep a held call, or replace the one with its id. Raises ValueError if its key is not there."""

    def drop_held(self, held_id: str) -> None:
        """Forget one; one that is not there changes nothing."""

    def put_session(self, session: Session) -> None:
        """Keep a session, or replace the one with its digest. Raises ValueError if its key is not there."""

    def end_session(self, digest: bytes) -> None:
        """Forget a session; one that is not there changes nothing."""

    def drop_sessions(self, now_ms: int) -> None:
        """Forget the sessions whose latest end is not after the time."""

    def record_use(self, used_at_ms: Mapping[str, int]) -> None:
        """Note when keys were last accepted; an earlier time never replaces a later one; unknown ids are ignored."""


class Index(Protocol):
    """The look-up that the hot path reads. Used from one thread only, the one that opened it."""

    def find(self, digest: bytes) -> Lineage | None:
        """The key with this SHA-256 digest, with its ancestors. Sees every commit that was made before the call.

        A digest of an earlier secret leads to the key as that secret shows it (``Key.superseded_at_ms``). While
        nothing is committed, the same digest gives the same object.
        """

    def lineage(self, key_id: str) -> Lineage | None:
        """The key with this id, as its present secret shows it, with its ancestors. As fresh as ``find``."""

    def derived_revoked(self, key_id: str, link_ids: Sequence[str]) -> bool:
        """Whether any of these links of keys derived from this one was revoked before the call."""

    def has_bound(self, account_id: str, devbox_id: str) -> bool:
        """Whether any key is bound to the devbox and not revoked on its own. As fresh as ``find``."""

    def stamp(self) -> object:
        """Something that differs after every commit. It costs next to nothing, so it may be looked at all the time."""

    def release(self) -> None:
        """Let go of what keeps the store from tidying up. To be called about every second."""

    def close(self) -> None: ...


class Store(Protocol):
    """Where keys are kept."""

    def read(self, work: Callable[[Reader], T]) -> T: ...

    def write(self, work: Callable[[Writer], T]) -> T: ...

    def open_index(self) -> Index:
        """A look-up for the calling thread."""

    def open_things(self) -> Things:
        """The ledger of own things. Raises ConfigurationError."""

    def tidy(self) -> None:
        """Do upkeep that is due, such as emptying a log. To be called about every second, beside the hot path."""

    def check(self) -> None:
        """Raise StoreUnavailable if the store cannot be read now, or is no longer the one that was opened."""

    def close(self) -> None: ...


class Clock(Protocol):
    """Time, as a parameter."""

    def now_ms(self) -> int:
        """Unix milliseconds; never goes backwards within a process."""


class Entropy(Protocol):
    """Randomness, as a parameter."""

    def random_bytes(self, count: int) -> bytes:
        """Unpredictable bytes from the system."""
