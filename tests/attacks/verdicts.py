"""What each verdict word means, given what came of a row. Nothing here knows which verdict a row wants."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from tests.attacks.fixtures import Cast, World, now_ms
from tests.attacks.h1 import exchange
from tests.attacks.message import Request
from tests.attacks.outcome import Outcome, Reply
from tests.attacks.rows import FORWARD_AUTH, IN_FRONT, Row

REFUSALS = frozenset({400, 401, 403, 404, 405, 409, 413, 414, 415, 417, 421, 431, 501, 505})

FOR_NGINX = frozenset({200, 401, 403})
"""``auth_request`` understands nothing else: any other answer becomes a 500 of nginx's own."""


@dataclass(frozen=True)
class Case:
    """A row, how it was sent (None if as raw bytes or over HTTP/2), and what came of it."""

    row: Row
    face: str
    request: Request | None
    outcome: Outcome
    world: World
    cast: Cast


def holds(word: str, case: Case) -> bool:
    """Whether the verdict is true of the case. Raises KeyError for a word that the runner does not know."""
    if case.face == FORWARD_AUTH and case.outcome.status not in FOR_NGINX:
        return False
    if word.isdigit():
        return _status(int(word), case.outcome)
    return _VERDICTS[word](case)


def _status(wanted: int, outcome: Outcome) -> bool:
    refused_by_closing = wanted >= 400 and outcome.cut_off
    return not outcome.touched and (outcome.status == wanted or refused_by_closing)


def _allow(case: Case) -> bool:
    outcome = case.outcome
    if case.face not in IN_FRONT:
        return outcome.status == 200 and not outcome.touched
    if outcome.cut or len(outcome.reached) != 1 or outcome.status != 200:
        return False
    return case.request is None or _arrived_whole(case.request, outcome)


def _arrived_whole(request: Request, outcome: Outcome) -> bool:
    """Whether the upstream got the method and the body that were sent; a judged body as the same JSON value."""
    [seen] = outcome.reached
    sent = request.body or b""
    return seen.method == request.method and (seen.body == sent or _same_json(seen.body, sent))


def _same_json(one: bytes, other: bytes) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False


def _deny(case: Case) -> bool:
    outcome = case.outcome
    refused = outcome.cut_off or (bool(outcome.replies) and all(r.status in REFUSALS for r in outcome.replies))
    return refused and not outcome.touched


def _local(case: Case) -> bool:
    status = case.outcome.status
    return status is not None and 200 <= status < 300 and not case.outcome.touched


def _outer_only(case: Case) -> bool:
    return not case.outcome.cut and [seen.target for seen in case.outcome.reached] == [case.row.raw_path]


def _sequence(case: Case) -> bool:
    wanted, statuses = case.row.expect_sequence, [reply.status for reply in case.outcome.replies]
    matching = [
        status == (200 if word == "allow" else int(word)) for word, status in zip(wanted, statuses, strict=False)
    ]
    return len(wanted) == len(statuses) and all(matching) and len(case.outcome.reached) == wanted.count("allow")


def _created(case: Case) -> Reply | None:
    """The reply, if it made a key."""
    reply = case.outcome.reply
    return reply if reply is not None and reply.status == 200 and not case.outcome.touched else None


def _none(case: Case) -> bool:
    reply = _created(case)
    return reply is not None and reply.json()["scopes"] == [] and _use(case, reply) == 403


def _dead(case: Case) -> bool:
    reply = _created(case)
    if reply is None:
        return False
    expires_at_ms = reply.json().get("expires_at_ms")
    return expires_at_ms is not None and expires_at_ms <= now_ms() and _use(case, reply) == 401


def _lowest(case: Case) -> bool:
    reply = _created(case)
    asked = json.loads(case.row.body or "{}")["scopes"]
    order = ["ACCESS_LEVEL_NONE", "ACCESS_LEVEL_READ", "ACCESS_LEVEL_WRITE"]
    lowest = min((scope["access_level"] for scope in asked), key=order.index)
    return reply is not None and [scope["access_level"] for scope in reply.json()["scopes"]] == [lowest]


def _clamped(case: Case) -> bool:
    reply = _created(case)
    return reply is not None and reply.json().get("expires_at_ms") == case.cast[case.row.key].expires_at_ms


def _use(case: Case, reply: Reply) -> int | None:
    """The status of a read with the new key."""
    secret = reply.json()["key_secret"]
    request = f"GET /v1/devboxes HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {secret}\r\nConnection: close\r\n\r\n"
    return exchange(case.world.live.port, request.encode()).status


_VERDICTS: dict[str, Callable[[Case], bool]] = {
    "allow": _allow,
    "deny": _deny,
    "local-2xx": _local,
    "allow-outer-only": _outer_only,
    "per-request": _sequence,
    "200-none": _none,
    "200-dead": _dead,
    "200-lowest": _lowest,
    "200-clamped": _clamped,
}
