"""Answers with which every client is content, by the kind of operation."""

from __future__ import annotations

import json

from keyscope.model.operation import Table
from tests.recorder import Reply, Seen

_TYPES = {
    "sse": ("text/event-stream", b'event: message\ndata: {"sequence": 1}\n\n'),
    "binary": ("application/octet-stream", b"\x00\x01"),
    "zip": ("application/zip", b"PK\x05\x06" + bytes(18)),
    "text": ("text/plain", b"text"),
}
_GOOD_STATES = ("suspended", "running", "completed")
_WAIT = "/wait_for_status"


class Answers:
    """Responds for a recorder in front of which stands a policy."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __call__(self, seen: Seen) -> Reply:
        transport = self._transport(seen)
        kind, body = _TYPES.get(transport, ("application/json", b""))
        return Reply(200, body or _json(seen), [("content-type", kind)])

    def operation(self, seen: Seen) -> str:
        """The id of the operation that was called."""
        route = self._table.find(seen.method, seen.target.partition("?")[0])
        assert route is not None, seen.target
        return route.id

    def _transport(self, seen: Seen) -> str:
        found = self._table.by_id(self.operation(seen))
        return found.transport if found is not None else "json"


def _json(seen: Seen) -> bytes:
    """A thing in the state that ends the wait for it."""
    waited_for = _states_waited_for(seen)
    states = [state for state in _GOOD_STATES if state in waited_for]
    return json.dumps({"id": "sample-1", "status": states[0] if states else "running"}).encode()


def _states_waited_for(seen: Seen) -> list[str]:
    if not seen.target.partition("?")[0].endswith(_WAIT) or not seen.body:
        return []
    states: list[str] = json.loads(seen.body).get("statuses", [])
    return states
