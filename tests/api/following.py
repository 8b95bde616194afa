"""One who follows the changes over a real socket: what came, in order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from keyscope.client.events import EventReader

PATH = "/keyscope/changes"
Event = tuple[str, dict[str, Any]]


class Follower:
    """An open stream. ``next`` and ``until`` wait at most as long as the client's time limit between two pieces."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._events = self._read()

    def _read(self) -> Iterator[Event]:
        reader = EventReader()
        for piece in self.response.iter_raw():
            yield from ((event.kind, json.loads(event.data)) for event in reader.feed(piece))

    def next(self, kind: str) -> dict[str, Any]:
        """The next event of a kind; heartbeats in between are passed over."""
        for found, members in self._events:
            if found == kind:
                return members
            assert found == "heartbeat", (found, members)
        raise AssertionError(f"the stream ended before a {kind}")

    def changes_to(self, number: int) -> list[dict[str, Any]]:
        """Every change until the server says that this is all up to a number."""
        found = []
        for kind, members in self._events:
            if kind == "change":
                found.append(members)
            elif kind == "heartbeat" and members["number"] >= number:
                return found
        raise AssertionError("the stream ended before that number")

    def rest(self) -> list[Event]:
        """Everything until the server ends the stream."""
        return list(self._events)


@contextmanager
def following(url: str, key: str, after: int | None = None, last_id: str | None = None) -> Iterator[Follower]:
    headers = {"authorization": f"Bearer {key}"}
    if last_id is not None:
        headers["last-event-id"] = last_id
    asked = {} if after is None else {"after": after}
    with (
        httpx.Client(base_url=url, timeout=15, trust_env=False) as client,
        client.stream("GET", PATH, params=asked, headers=headers) as response,
    ):
        yield Follower(response)
