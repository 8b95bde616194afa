"""Webhooks: whom an account tells of what happens to its keys, and the port that keeps what is still to be told.

At least once and with ordered ids: a message is written down before it is sent, and forgotten after it was taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from keyscope.model.event import EventKind

FIRST_USED, EXPIRING, EXPIRED = "key.first_used", "key.expiring", "key.expired"
OF_EVENTS = {
    EventKind.KEY_MINTED: "key.minted",
    EventKind.KEY_REVOKED: "key.revoked",
    EventKind.KEY_DEAD_USED: "key.dead_used",
    EventKind.HOLD_CREATED: "hold.created",
    EventKind.HOLD_APPROVED: "hold.approved",
    EventKind.HOLD_REFUSED: "hold.refused",
    EventKind.HOLD_ENDED: "hold.ended",
}
KINDS = (*OF_EVENTS.values(), FIRST_USED, EXPIRING, EXPIRED)

MOST_ENDPOINTS = 20
"""Of one account."""
FACTOR = 3
LONGEST_MS = 24 * 3_600_000
"""The longest wait between two tries, whatever the receiver asks for."""


class Endpoint(Struct, frozen=True, kw_only=True):
    """Who is told. ``sealed`` is the secret that messages are signed with, encrypted; ``kinds`` what it wants."""

    id: str
    account_id: str
    url: str
    kinds: tuple[str, ...]
    sealed: bytes
    created_at_ms: int


class Message(Struct, frozen=True, kw_only=True):
    """What is told. ``source`` is the same whenever the same thing is made a message of."""

    source: str
    account_id: str
    kind: str
    at_ms: int
    body: bytes


class Delivery(Struct, frozen=True, kw_only=True):
    """A message still to be taken by an endpoint. ``number`` is the message's place; ``outcome`` of the last try."""

    endpoint: Endpoint
    number: int
    kind: str
    at_ms: int
    body: bytes
    tries: int
    due_at_ms: int
    dead_at_ms: int | None
    outcome: str

    @property
    def id(self) -> str:
        """The same at each try, and sorted by age."""
        return f"msg_{self.number:016d}"


class Marks(Struct, frozen=True):
    """Up to where messages have been made: the number of a change, and expiries in Unix milliseconds."""

    event: int
    expired_ms: int
    expiring_ms: int


class Backlog(Struct, frozen=True):
    """How many messages wait, and how many were given up."""

    waiting: int
    dead: int


class Outbox(Protocol):
    """Where it is kept. Every method may raise StoreUnavailable, and may be called from any thread."""

    def add_endpoint(self, endpoint: Endpoint) -> bool:
        """False if the account has as many as it may."""

    def remove_endpoint(self, account_id: str, endpoint_id: str) -> bool:
        """Forget an endpoint and what it was to be told. False if there is none."""

    def endpoints(self, account_id: str | None = None) -> list[Endpoint]:
        """Oldest first; None for those of all accounts."""

    def note_first_uses(self, used_at_ms: Mapping[str, int]) -> None:
        """Remember that keys were used for the first time, if anybody is to be told of anything."""

    def first_uses(self) -> dict[str, int]: ...

    def marks(self) -> Marks | None:
        """None before anything was ever made a message of."""

    def put(self, messages: Sequence[Message], marks: Marks, first_uses: Sequence[str], now_ms: int) -> None:
        """Write down messages for whoever wants them, and how far that goes, all or nothing."""

    def due(self, now_ms: int, limit: int) -> list[Delivery]:
        """What is to be tried now, oldest message first, so many of each endpoint at most."""

    def delivered(self, delivery: Delivery) -> None: ...

    def failed(self, delivery: Delivery, outcome: str, due_at_ms: int, dead_at_ms: int | None) -> None: ...

    def dead(self, account_id: str, limit: int) -> list[Delivery]:
        """What was given up, newest first."""

    def retry(self, account_id: str, endpoint_id: str, now_ms: int) -> int:
        """Try again what was given up. Returns how many."""

    def backlog(self) -> Backlog: ...

    def close(self) -> None: ...


def wait_ms(first_ms: int, tries: int, random: float, asked_ms: int) -> int:
    """How long to wait after so many tries: three times as long each time, a random half less, at least as asked.

    ``random`` is from 0 to 1, so that many that failed together do not come back together.
    """
    full = min(first_ms * FACTOR ** (tries - 1), LONGEST_MS)
    return max(int(full * (1 - random / 2)), min(asked_ms, LONGEST_MS))


def wanted(endpoint: Endpoint, message: Message) -> bool:
    """Whether the endpoint is to be told: it is the account's, wants the kind, and was there when it happened."""
    return (
        endpoint.account_id == message.account_id
        and (not endpoint.kinds or message.kind in endpoint.kinds)
        and message.at_ms >= endpoint.created_at_ms
    )
