"""Whose key opens a held call. Servers that share a database send what any of them holds, so they need the same key.

All calls that wait are encrypted with one key: whoever has another one holds none beside them, sends none of them, and
does not start.
"""

from __future__ import annotations

from keyscope.authority.ports import HeldQuery, Reader
from keyscope.errors import StoreUnavailable
from keyscope.model.held import Held, HeldState


def is_anothers(held: Held, mark: str) -> bool:
    """Whether it is encrypted with another key than that with this mark. What an earlier version held does not say."""
    return held.key_mark not in ("", mark)


def waits_for_another(reader: Reader, account_id: str, mark: str) -> bool:
    """Whether calls of the account wait, or are about to be sent, that are encrypted with another key."""
    states = (HeldState.HELD, HeldState.APPROVED)
    return any(is_anothers(held, mark) for state in states for held in _newest(reader, account_id, state))


def require_same_key(reader: Reader, account_id: str, mark: str) -> None:
    """Raise StoreUnavailable if calls of the account wait that are encrypted with another key."""
    # To count is quick; the newest is only looked for where there is one.
    waiting = _newest(reader, account_id, HeldState.HELD) if reader.waiting_in(account_id) else []
    if any(is_anothers(held, mark) for held in waiting):
        raise StoreUnavailable(
            "calls wait that another server holds, by another .webhooks.key: put the same file on every server"
        )


def _newest(reader: Reader, account_id: str, state: HeldState) -> list[Held]:
    return reader.held(HeldQuery(account_id=account_id, limit=1, state=state))
