"""A write transaction that notes what kinds of events were added: whether it can only have given."""

from __future__ import annotations

from typing import Any, cast

from keyscope.authority.ports import Writer
from keyscope.model.event import Event, EventKind

_GIVING = frozenset(
    {
        EventKind.ACCOUNT_CREATED,
        EventKind.ACCOUNT_RULES_CHANGED,  # they bind who mints and changes, and that is asked of the record itself
        EventKind.KEY_MINTED,
        EventKind.KEY_RESUMED,
        EventKind.KEY_UNDELETED,
        EventKind.KEY_RENEWED,
        EventKind.KEY_DEAD_USED,
        EventKind.HOLD_CREATED,  # these too: a held call is sent by whoever takes it in the record
        EventKind.HOLD_APPROVED,
        EventKind.HOLD_REFUSED,
        EventKind.HOLD_ENDED,
        EventKind.WEBHOOK_ADDED,
        EventKind.WEBHOOK_REMOVED,
    }
)
"""Kinds of which it does no harm that a node hears late. Everything else waits for all nodes, new kinds included."""


class Noting:
    """Everything else goes to the transaction itself."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self.takes = False
        """Whether some event may have taken something from a key."""

    def add_event(self, event: Event) -> None:
        self.takes = self.takes or event.kind not in _GIVING
        self._writer.add_event(event)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    @property
    def as_writer(self) -> Writer:
        return cast(Writer, self)
