"""Who is calling, and may they: every management route asks here first, by the same table as the gate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from fastapi import Request
from fastapi.responses import Response
from msgspec import Struct
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from keyscope.api.feed import Feed
from keyscope.api.meters import Meters
from keyscope.api.requests import LATEST_MS, parse
from keyscope.authority.account import AccountRules
from keyscope.authority.derivation import Derivation
from keyscope.authority.holds import Holds
from keyscope.authority.leaks import Leaks
from keyscope.authority.lifecycle import Lifecycle
from keyscope.authority.mint import Minting
from keyscope.authority.panic import Panic
from keyscope.authority.ports import Clock, Store
from keyscope.authority.receipts import Answer as ReceiptAnswer
from keyscope.authority.replay import Repeatable
from keyscope.authority.rotate import Rotation
from keyscope.authority.runs import Runs
from keyscope.authority.things import Owners, Thing
from keyscope.authority.tightening import Tightening
from keyscope.authority.trail import Trail
from keyscope.authority.verify import Verifier
from keyscope.errors import BadRequest, Fault, Forbidden
from keyscope.gate.admit import admit, attempt_of
from keyscope.gate.sight import Sight
from keyscope.model.decision import Allow
from keyscope.model.event import Origin
from keyscope.model.facts import BodySeen
from keyscope.model.key import Lineage
from keyscope.model.peer import Network
from keyscope.model.secret import Secret
from keyscope.policy.document import Policy
from keyscope.webhooks.managing import Webhooks
from keyscope.wire.bearer import find_bearer
from keyscope.wire.body import read_json_bytes
from keyscope.wire.call import Call, request_id
from keyscope.wire.codec import encode
from keyscope.wire.problem import Answer

ADMITTED = "keyscope.admitted"
"""Where the scope holds the key of a call that was let in, for the record of what then becomes of it."""

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

_AT_ONCE = 50


class Answered(Exception):
    """A refusal that is already written."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class Desk(Struct, frozen=True):
    """What the management routes work with."""

    verifier: Verifier
    sight: Sight
    """What the built-in gate sees of the calls that it judges."""
    knows_callers: bool
    """Whether the settings say who stands in front of the server, so that it knows from where a call comes."""
    minting: Minting
    lifecycle: Lifecycle
    tightening: Tightening
    runs: Runs
    holds: Holds
    rotation: Rotation
    derivation: Derivation
    panic: Panic
    leaks: Leaks
    rules: AccountRules
    store: Store
    trail: Trail | None
    """None if no audit trail is kept."""
    feed: Feed
    clock: Clock
    policy: Policy
    public_url: str | None
    """Where clients reach this server; None if the settings do not say."""
    max_body_bytes: int
    body_timeout_s: float
    check: Callable[[], None]
    """Raises Unavailable if the store cannot be used."""
    meters: Meters
    webhooks: Webhooks
    metrics_peers: tuple[Network, ...]
    """Who may read the metrics without a key."""
    receipt: ReceiptAnswer
    """How it stands with what was taken from a key."""
    stale_ms: Callable[[], int | None] = lambda: None
    """How long ago this node asked what it judges by; None if it is alone."""

    @property
    def wire_types(self) -> tuple[str, ...]:
        """The policy's resource types in Runloop's form."""
        return tuple(f"RESOURCE_TYPE_{name.upper()}" for name in self.policy.resource_names)

    @property
    def context(self) -> dict[str, object]:
        """What bodies are checked against."""
        return {
            "now_ms": self.clock.now_ms(),
            "resource_types": self.wire_types,
            "policy": self.policy,
            "knows_callers": self.knows_callers,
            "counts": self.verifier.counting is not None,
        }


class Caller(Struct, frozen=True):
    """An admitted caller: its key, its secret (to seal replies with), and where it calls from."""

    lineage: Lineage
    secret: Secret
    origin: Origin


def call_of(request: Request) -> Call:
    """The checked request that the server put into the scope."""
    call: Call = request.scope["keyscope.call"]
    return call


def admitted(request: Request, desk: Desk) -> Caller:
    """The caller, if its key may make this call. Raises Unauthenticated, Unavailable and Answered."""
    call = call_of(request)
    outcome = admit(desk.verifier, call, _sight_of_keys(desk))
    if not isinstance(outcome, Allow):
        raise Answered(outcome)
    request.scope[ADMITTED] = outcome.lineage
    origin = Origin(outcome.lineage.chain, call.peer, request_id(call.headers))
    return Caller(outcome.lineage, Secret(find_bearer(call.headers).decode("ascii")), origin)


def _sight_of_keys(desk: Desk) -> Sight:
    """What is seen of a call to manage keys. They are somebody's own by their line, so nothing needs to be recorded."""

    def owners(_: str, things: Sequence[Thing]) -> Owners:
        lines = ((thing, desk.verifier.by_id(thing[1])) for thing in things)
        return {thing: frozenset(line.ids) for thing, line in lines if line is not None}

    return Sight(body=BodySeen.WHOLE, sees_reply=True, counts=True, knows_peer=desk.knows_callers, owners=owners)


def note_forbidden(desk: Desk, error: Forbidden, call: Call, lineage: Lineage) -> None:
    """Write down that the authority refused a call which the policy allows."""
    route = desk.verifier.route(call.matched_method, call.path)
    desk.verifier.note_forbidden(error, lineage, route, attempt_of(call))


async def read(request: Request, desk: Desk, model: type[M]) -> tuple[M, bytes]:
    """The body as a value, and as bytes. Raises BadRequest with all faults."""
    raw = await read_json_bytes(request.receive, call_of(request).headers, desk.max_body_bytes, desk.body_timeout_s)
    return parse(raw, model, desk.context), raw


def repeatable(call: Call, caller: Caller, raw: bytes) -> Repeatable | None:
    """What makes this request recognisable when it is sent again."""
    found = request_id(call.headers)
    return Repeatable(found, f"{call.method} {call.path}", raw, caller.secret) if found is not None else None


async def in_thread(work: Callable[[], T]) -> T:
    """Run store work beside the event loop, so that a slow commit never holds up the gate."""
    return await run_in_threadpool(work)


async def give_way(number: int) -> None:
    """Let the event loop do other work now and then, so that a long list of questions never holds up the gate."""
    if number % _AT_ONCE == _AT_ONCE - 1:
        await asyncio.sleep(0)


def json_reply(value: object) -> Response:
    """A 200 with JSON that nobody may cache."""
    body = value if isinstance(value, bytes) else encode(value)
    return Response(body, media_type="application/json", headers={"cache-control": "no-store"})


def one(request: Request, name: str, default: str | None = None) -> str | None:
    """A query parameter that may stand at most once. Raises BadRequest if it stands twice."""
    values = request.query_params.getlist(name)
    if len(values) > 1:
        raise BadRequest(name, [Fault(f"query.{name}", "give it once")])
    return values[0] if values else default


def number(request: Request, name: str, faults: list[Fault], *, least: int = 0, most: int = LATEST_MS) -> int | None:
    """A query parameter that is a whole number; what is wrong with it goes to ``faults``."""
    text = one(request, name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19 and least <= int(text) <= most):
        faults.append(Fault(f"query.{name}", f"use a whole number from {least} to {most}"))
        return None
    return int(text)


Handler = Callable[..., Coroutine[Any, Any, Response]]
