"""A held call as it is shown: to the key that made it, in the answer 202, and to whoever decides."""

from __future__ import annotations

from keyscope.model.held import Held, HeldState

PATH = "/keyscope/holds"

_WORDS = {
    HeldState.HELD: "The call is held until a standard key approves it.",
    HeldState.APPROVED: "The call was approved and is about to be sent.",
    HeldState.RUNNING: "The call is being sent.",
    HeldState.DONE: "The call was sent, and the API answered.",
    HeldState.REFUSED: "The call was refused, and was not sent.",
    HeldState.CANCELLED: "The call was cancelled, and was not sent.",
    HeldState.EXPIRED: "Nobody approved the call in time, so it was not sent.",
    HeldState.DENIED: "When the call was to be sent, the key could not make it any longer, so it was not sent.",
    HeldState.FAILED: "The API, or what else the call needs, could not be reached, so it was not sent.",
    HeldState.UNKNOWN: "Something broke while the call was being sent: the API may or may not have done it.",
}
_DELAYED = "The call is held for a while, and then sent, unless somebody refuses it."


def message_of(held: Held) -> str:
    """Where it stands, in a sentence."""
    return _DELAYED if held.state is HeldState.HELD and held.is_delay else _WORDS[held.state]


def held_view(held: Held) -> dict[str, object]:
    """All but what it holds: neither the request nor the answer."""
    return {
        "id": held.id,
        "status": held.state.value,
        "message": message_of(held),
        "see": f"{PATH}/{held.id}",
        "operation": held.operation,
        "method": held.method,
        "path": held.target,
        "digest": held.digest.hex(),
        "key_id": held.key_id,
        "derived_id": held.links[-1] if held.links else None,
        "request_id": held.request_id,
        "created_at_ms": held.created_at_ms,
        "deadline_ms": None if held.is_delay else held.acts_at_ms,
        "runs_at_ms": held.acts_at_ms if held.is_delay else None,
        "decided_by": held.decided_by,
        "decided_at_ms": held.decided_at_ms,
        "reason": held.reason,
        "ended_at_ms": held.ended_at_ms,
        "answer_status": held.status,
    }
