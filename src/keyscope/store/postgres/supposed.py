"""What a batch takes for granted instead of asking each time: that ids, digests and requests are new, as they nearly
always are.

It is asked about in one question for all of them, before their rows are sent and before anybody hears of a result. If
anything was there, the batch is undone as a whole, and runs again with a question for each.
"""

from __future__ import annotations

from typing import Any

from keyscope.model.key import Key

ANY_THERE = """
SELECT EXISTS (SELECT FROM keys WHERE id = ANY (CAST(?b AS TEXT[])))
    OR EXISTS (SELECT FROM records WHERE digest = ANY (CAST(?b AS BYTEA[])))
    OR EXISTS (SELECT FROM former_secrets WHERE digest = ANY (CAST(?b AS BYTEA[])))
    OR EXISTS (SELECT FROM unnest(CAST(?b AS TEXT[]), CAST(?b AS TEXT[])) AS asked (caller, request)
        WHERE (SELECT true FROM replies WHERE caller_id = caller AND request_id = request))
"""
"""Look-ups by primary keys, whatever the server believes the size of a table to be."""


class NotNew(Exception):
    """Something was there."""


class Supposed:
    """Of the work since it was last asked about."""

    def __init__(self) -> None:
        self._keys: list[Key] = []
        self._requests: list[tuple[str, str]] = []

    def __bool__(self) -> bool:
        return bool(self._keys or self._requests)

    def new_key(self, key: Key) -> None:
        self._keys.append(key)

    def new_request(self, caller_id: str, request_id: str) -> None:
        self._requests.append((caller_id, request_id))

    def take(self) -> tuple[list[Any], ...]:
        """The parameters of ``ANY_THERE``. All is forgotten."""
        digests = [key.digest for key in self._keys]
        callers, requests = [caller for caller, _ in self._requests], [request for _, request in self._requests]
        taken = ([key.id for key in self._keys], digests, digests, callers, requests)
        self._keys, self._requests = [], []
        return taken
