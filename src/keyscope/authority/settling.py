"""What becomes of a held call, inside a transaction: each step writes the call and the event that tells of it."""

from __future__ import annotations

from enum import StrEnum

from msgspec.structs import replace

from keyscope.authority.ports import Writer
from keyscope.model.event import Event, EventKind, Origin
from keyscope.model.held import Held, HeldState
from keyscope.model.key import Lineage
from keyscope.model.shown import shown

RUN_MS = 120_000
"""The longest that sending one may take."""
_UNTIL_UNKNOWN_MS = RUN_MS + 30_000
KEPT_MS = 30 * 24 * 3600 * 1000
"""How long is kept what became of it."""
_MOST_PATH = 2000
_EVER_MS = _ALL = (1 << 53) - 1


class Verdict(StrEnum):
    """What somebody decides."""

    APPROVE = "approve"
    REFUSE = "refuse"


def decided(actor: Lineage, verdict: Verdict) -> HeldState:
    """Where a call comes by what somebody decides: whoever refuses without a standard key cancels a call of its own."""
    if verdict is Verdict.APPROVE:
        return HeldState.APPROVED
    return HeldState.REFUSED if actor.key.is_standard else HeldState.CANCELLED


def was_approved(held: Held) -> bool:
    """Approving twice changes nothing, however far it has come since."""
    return held.state not in (HeldState.HELD, HeldState.REFUSED, HeldState.CANCELLED, HeldState.EXPIRED)


def settle(
    writer: Writer, held: Held, state: HeldState, actor: Lineage, reason: str | None, origin: Origin, now_ms: int
) -> Held:
    """Let a call be sent, or never."""
    chosen = replace(held, decided_by=actor.key.id, decided_at_ms=now_ms, reason=reason)
    if state is HeldState.APPROVED:
        chosen, kind = replace(chosen, state=state, due_at_ms=now_ms), EventKind.HOLD_APPROVED
    else:
        chosen, kind = at_its_end(chosen, state, now_ms, reason), EventKind.HOLD_REFUSED
    writer.put_held(chosen)
    writer.add_event(event_of(kind, chosen, origin, now_ms, state=state.value, reason=reason))
    return chosen


def end_unsettled(writer: Writer, why: str, now_ms: int) -> int:
    """End every call that still waits or is being sent, because nobody knows whether it was sent. Returns how many."""
    waiting = [held for held in writer.due_held(_EVER_MS, _ALL) if not held.state.is_final]
    for held in waiting:
        ended = at_its_end(held, HeldState.UNKNOWN, now_ms, why)
        writer.put_held(ended)
        writer.add_event(event_of(EventKind.HOLD_ENDED, ended, Origin(), now_ms, state=ended.state.value, reason=why))
    return len(waiting)


def is_to_be_sent(held: Held) -> bool:
    """Whether that is what is to be done about it, once it is due."""
    return held.state is HeldState.APPROVED or (held.state is HeldState.HELD and held.is_delay)


def take(writer: Writer, held: Held, now_ms: int) -> Held | None:
    """The one place where a call becomes somebody's to send."""
    if is_to_be_sent(held):
        taken = replace(held, state=HeldState.RUNNING, due_at_ms=now_ms + _UNTIL_UNKNOWN_MS)
        writer.put_held(taken)
        return taken
    if held.state.is_final:
        writer.drop_held(held.id)
        return None
    running = held.state is HeldState.RUNNING
    state = HeldState.UNKNOWN if running else HeldState.EXPIRED
    why = "whoever sent it did not come back to say what became of it" if running else "nobody approved it in time"
    ended = at_its_end(held, state, now_ms, why)
    writer.put_held(ended)
    kind = EventKind.HOLD_ENDED if running else EventKind.HOLD_REFUSED
    writer.add_event(event_of(kind, ended, Origin(), now_ms, state=state.value, reason=why))
    return None


def at_its_end(held: Held, state: HeldState, now_ms: int, reason: str | None) -> Held:
    """At its end; what is kept of it is forgotten in due time."""
    return replace(held, state=state, ended_at_ms=now_ms, due_at_ms=now_ms + KEPT_MS, reason=reason or held.reason)


def event_of(kind: EventKind, held: Held, origin: Origin, at_ms: int, **changes: object) -> Event:
    """An event about a held call, which belongs to the key that made it."""
    what: dict[str, object] = {
        "hold_id": held.id,
        "operation": held.operation,
        "method": held.method,
        "path": shown(held.path, _MOST_PATH),
        "digest": held.digest.hex(),
        **{name: value for name, value in changes.items() if value is not None},
    }
    return Event(kind=kind, at_ms=at_ms, account_id=held.account_id, key_id=held.key_id, origin=origin, changes=what)
