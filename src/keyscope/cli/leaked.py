"""What the server says of keys that were found, and how it is told to end them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any

from msgspec import Struct

from keyscope.cli.client import Client
from keyscope.cli.receipts import note_receipt
from keyscope.scan.findings import Leak

_MOST = 1000
_MOST_CHARACTERS = 400_000
"""In one question; a server reads a million bytes unless told otherwise."""
_MOST_WHERE = 2000


class State(StrEnum):
    """What is known of a key that was found."""

    LIVE = "live"
    NOT_LIVE = "not live"
    UNKNOWN = "unknown"


class Judged(Struct, frozen=True):
    """A key that was found, whether it is live, and what the server says of a live one. ``is_own``: the asking key."""

    leak: Leak
    state: State = State.UNKNOWN
    key: dict[str, Any] | None = None
    is_own: bool = False

    @property
    def id(self) -> str | None:
        return str(self.key["id"]) if self.key is not None else None

    @property
    def derived_id(self) -> str | None:
        return self.key["derived_id"] if self.key is not None else None

    @property
    def view(self) -> dict[str, Any]:
        """For programs."""
        return {
            "key": self.leak.shown,
            "state": self.state.value,
            "id": self.id,
            "derived_id": self.derived_id,
            "name": self.key["name"] if self.key is not None else None,
            "places": [place.view for place in self.leak.places],
        }


def judged(client: Client, leaks: Sequence[Leak]) -> list[Judged]:
    """Whether each is live. The questions do not count as uses of the keys. Raises ServerRefused and Lost."""
    own = client.get("/keyscope/me")["id"]
    found: list[Judged] = []
    for batch in _batches(leaks):
        checks = [{"key": leak.secret.reveal(), "counts": False} for leak in batch]
        results = client.post("/keyscope/verify", {"checks": checks})["results"]
        found += [_judged(leak, result["key"], own) for leak, result in zip(batch, results, strict=True)]
    return found


def end(client: Client, live: Sequence[Judged]) -> int:
    """Report them as leaked, which ends them. Returns how many that ended. Raises ServerRefused and Lost."""
    ended, reply = 0, {}
    for batch in _batches([one.leak for one in live]):
        reports = [{"key": leak.secret.reveal(), "where": str(leak.places[0])[:_MOST_WHERE]} for leak in batch]
        reply = client.post("/keyscope/leaks", {"leaks": reports})
        ended += sum(result["ended"] is not None for result in reply["results"])
    note_receipt(reply)  # the last covers those before
    return ended


def _judged(leak: Leak, key: dict[str, Any] | None, own: str) -> Judged:
    if key is None:
        return Judged(leak, State.NOT_LIVE)
    return Judged(leak, State.LIVE, key, is_own=key["id"] == own and key["derived_id"] is None)


def _batches(leaks: Sequence[Leak]) -> Iterator[list[Leak]]:
    batch: list[Leak] = []
    size = 0
    for leak in leaks:
        length = len(leak.secret.reveal()) + _MOST_WHERE
        if batch and (len(batch) == _MOST or size + length > _MOST_CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append(leak)
        size += length
    if batch:
        yield batch
