"""The whole server as one ASGI application: which part answers which path. Assembled here, and only here.

Nothing reaches the upstream but through the proxy and the WebSocket gate, and both start by asking the verifier. Any
fault of our own is answered 503: trouble closes the gate (law 7).
"""

from __future__ import annotations

import logging
import time
from http import HTTPStatus
from time import perf_counter

from keyscope.api.app import Management
from keyscope.api.caller import Desk
from keyscope.api.feed import Feed
from keyscope.api.leaks import LeakRoutes
from keyscope.api.meters import Meters
from keyscope.authority.account import AccountRules
from keyscope.authority.boxes import Box
from keyscope.authority.checkpoint import seed_of
from keyscope.authority.derivation import Derivation
from keyscope.authority.holds import Holds
from keyscope.authority.leaks import Leaks
from keyscope.authority.lifecycle import Lifecycle
from keyscope.authority.meter import Meter, Times
from keyscope.authority.mint import Minting
from keyscope.authority.panic import Panic
from keyscope.authority.ports import Clock, Entropy, Store
from keyscope.authority.receipts import Answer as ReceiptAnswer
from keyscope.authority.receipts import Asked, Receipt
from keyscope.authority.recording import Recording
from keyscope.authority.rotate import Rotation
from keyscope.authority.runs import Runs
from keyscope.authority.sessions import Sessions
from keyscope.authority.tightening import Tightening
from keyscope.authority.verify import Verifier
from keyscope.console.site import Console
from keyscope.errors import Draining, NotFound, UnknownReceipt
from keyscope.gate.faults import refused, say, unavailable
from keyscope.gate.forward import DIALECTS, Dialect, ForwardAuth, dialect_of
from keyscope.gate.holding import Holding, HoldRunner
from keyscope.gate.proxy import Proxy
from keyscope.gate.replies.own import OwnThings
from keyscope.gate.runs import RunWatch
from keyscope.gate.shared import SharedCounts
from keyscope.gate.sight import Sight
from keyscope.gate.timed import timed
from keyscope.gate.traces import Traces
from keyscope.gate.upkeep import check
from keyscope.gate.upstream import Upstream
from keyscope.gate.websocket import WebSocketGate
from keyscope.leaks.published import PinnedKeys, PublishedKeys, SigningKeys
from keyscope.model.facts import BodySeen
from keyscope.policy.document import Policy
from keyscope.settings import GITHUB_KEYS, Settings
from keyscope.store.replica.lease import Lease
from keyscope.webhooks.delivering import Deliverer
from keyscope.webhooks.delivering import Limits as DeliveryLimits
from keyscope.webhooks.making import Making
from keyscope.webhooks.managing import Webhooks
from keyscope.webhooks.opening import kept_for
from keyscope.webhooks.signing import Sealer
from keyscope.wire.asgi import Conversation, Message, Receive, Scope, Send, last_one, refuse_websocket, send_answer
from keyscope.wire.call import Call, read_call
from keyscope.wire.forwarded import Proxies
from keyscope.wire.own import is_own
from keyscope.wire.problem import Answer, answer

log = logging.getLogger(__name__)

_HELD = b"keyscope held calls v1"
"""What the key is derived for that they are encrypted with."""
_ENDING = ("/revoke", "/panic")


class Application:
    """One process's server. Build it in the thread that serves, because the index belongs to a thread."""

    def __init__(
        self,
        settings: Settings,
        policy: Policy,
        store: Store,
        clock: Clock,
        entropy: Entropy,
        upstream: Upstream | None = None,
        recording: Recording | None = None,
    ) -> None:
        self._settings = settings
        self._policy = policy
        self._store = store
        self._clock = clock
        self._entropy = entropy
        self._recording = recording
        self.traces: Traces | None = None
        """Where calls are traced, if they are to be."""
        self._leaving = False
        self._meter = Meter()
        self.counts = SharedCounts(self._meter)
        if recording is not None:
            recording.meter = self._meter
        self._barred: set[str] = set()
        self.index = store.open_index()
        ledger = recording.ledger if recording else None
        self.verifier = Verifier(self.index, policy.table(), clock, self._barred, ledger)
        proxies = settings.trusted_proxies
        self._proxies = Proxies(proxies) if proxies is not None else None
        self._forward_auth = ForwardAuth(self.verifier, settings.forward_auth_peers)
        self._judging = {dialect.path: self._meter.judging(dialect.name) for dialect in DIALECTS}
        self.things = store.open_things()
        self._own = OwnThings(self.things, clock)
        self.runs = Runs(store, clock, self._barred)
        self.webhooks = kept_for(settings.beside, entropy)
        self._holds = Holds(store, clock, entropy, held_box(settings, self.webhooks.sealer))
        self._sight = self._sees(BodySeen.LATER, sees_reply=True, holds=True)
        self._proxy = self._made_proxy(upstream)
        self._websockets = WebSocketGate(self.verifier, upstream, self._meter, self._sees(BodySeen.WHOLE))
        self.held = HoldRunner(self.verifier, self._holds, self._sight, self._proxy.send_held)
        self.feed = Feed(store, self.index, clock)
        self.deliverer = self._made_deliverer()
        self.meters = Meters(store, clock, self.counts, recording, self.verifier, self.webhooks.outbox)
        self.meters.stale_ms = self._stale_ms
        desk = self._desk()
        reports = LeakRoutes(desk, signing_keys(settings), revoke=settings.leaks_revoke)
        console = self._console(desk, entropy) if settings.console else None
        self._management = Management(desk, reports, console)

    def _sees(self, body: BodySeen, *, sees_reply: bool = False, holds: bool = False) -> Sight:
        """What a gate that carries calls to their end sees of them."""
        return Sight(
            body=body,
            sees_reply=sees_reply,
            sees_end=True,
            counts=True,
            holds=holds,
            knows_peer=self._proxies is not None,
            owners=self._own.owners,
        )

    def _made_proxy(self, upstream: Upstream | None) -> Proxy:
        return Proxy(
            self.verifier,
            upstream,
            self._meter,
            max_body_bytes=self._settings.max_body_bytes,
            body_timeout_s=self._settings.body_timeout_s,
            sight=self._sight,
            runs=RunWatch(self.index, self.runs),
            own=self._own,
            holding=Holding(self._holds),
        )

    def _made_deliverer(self) -> Deliverer:
        settings, outbox = self._settings, self.webhooks.outbox
        return Deliverer(
            Making(self._store, outbox, self._clock, int(settings.webhook_expiring_s * 1000)),
            outbox,
            self.webhooks.sealer,
            self._clock,
            DeliveryLimits(settings.webhook_targets, int(settings.webhook_wait_s * 1000), settings.webhook_tries),
            self._meter,
        )

    def _desk(self) -> Desk:
        settings, store, clock, entropy, barred = self._settings, self._store, self._clock, self._entropy, self._barred
        outbox, sealer, limits = self.webhooks.outbox, self.webhooks.sealer, settings.limits
        return Desk(
            verifier=self.verifier,
            sight=self._sight,
            knows_callers=self._proxies is not None,
            minting=Minting(store, clock, entropy, limits),
            lifecycle=Lifecycle(store, clock, barred, limits),
            tightening=Tightening(store, clock, limits),
            runs=self.runs,
            holds=self._holds,
            rotation=Rotation(store, clock, entropy, limits),
            derivation=Derivation(store, clock, barred),
            panic=Panic(store, clock),
            leaks=Leaks(store, clock, barred),
            rules=AccountRules(store, clock),
            store=store,
            trail=self._recording.trail if self._recording else None,
            feed=self.feed,
            clock=clock,
            policy=self._policy,
            public_url=settings.public_url,
            max_body_bytes=settings.max_body_bytes,
            body_timeout_s=settings.body_timeout_s,
            check=self._check_ready,
            meters=self.meters,
            webhooks=Webhooks(store, outbox, sealer, clock, entropy, settings.webhook_targets),
            metrics_peers=settings.metrics_peers,
            receipt=self._receipt,
            stale_ms=self._stale_ms,
        )

    def _console(self, desk: Desk, entropy: Entropy) -> Console:
        return Console(desk, Sessions(self._store, desk.clock, entropy, self._settings.session_lifetimes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or handshake. Every ASGI scope type is covered; an unknown one gets no answer."""
        if self.traces is not None:
            await self.traces.around(self._answer, scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, last_one(scope, send) if self._leaving else send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        dialect = dialect_of(scope["raw_path"])
        if dialect is not None:
            await send_answer(send, self._authorize(dialect, scope))
            return
        talk = Conversation(scope, receive, send)
        try:
            await self._route(scope, talk.receive, talk.send)
        except Exception as error:
            if talk.started:
                log.error("a request failed after its answer had begun", exc_info=error)
                return  # without the last message the server cuts the connection
            await send_answer(talk.send, refused(error))

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = read_call(scope, self._settings.max_header_bytes, self._proxies)
        if is_own(call.path):
            scope["keyscope.call"] = call
            await self._manage(call, scope, receive, send)
        else:
            await self._proxy(call, receive, send)

    async def _manage(self, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
        if call.method == "POST" and call.path.endswith(_ENDING):
            send = _noting(self._meter.revoking, send)
        await self._management(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            call = read_call(scope, self._settings.max_header_bytes, self._proxies)
            if is_own(call.path):
                raise NotFound("a WebSocket to a path of ours")
            await self._websockets(scope, call, receive, send)
        except Exception as error:
            await refuse_websocket(send, refused(error))

    def _authorize(self, dialect: Dialect, scope: Scope) -> Answer:
        try:
            return timed(self._judging[dialect.path], self._forward_auth.answer, dialect, scope)
        except Exception as error:
            say(error)
            # A proxy that reads no 503 would say 500 and hide the reason, or take it as leave to pass.
            return answer(unavailable(error), status=dialect.status)

    def _stale_ms(self) -> int | None:
        lease: Lease | None = getattr(self._store, "lease", None)  # of a node
        return lease.stale_ms if lease is not None else None

    def _receipt(self, asked: Asked) -> Receipt:
        found: ReceiptAnswer | None = getattr(self._store, "receipt", None)  # of a node
        if found is None:
            raise UnknownReceipt("a server that is alone gives none")
        return found(asked)

    def leave(self) -> None:
        """Say that this server ends soon: to who asks whether it is ready, and on every connection that is used."""
        self._leaving = True

    def stop(self) -> None:
        """End the streams that have no end of their own: a stop waits for every answer."""
        self.feed.close()

    def _check_ready(self) -> None:
        if self._leaving:
            raise Draining
        self.check()

    def check(self) -> None:
        """Raise Unavailable, and keep the gate closed, if the store cannot be used now. Opens it again if it can."""
        check(self.verifier, self.index, self._store, self._recording)
        self.index.stamp()  # of a node without a lease it says so; every judgement asks it anyway


def _noting(times: Times, send: Send) -> Send:
    """A ``send`` that notes how long an answer took to begin, from now on, if it is a 200."""
    began = perf_counter()

    async def noting(message: Message) -> None:
        if message.get("status") == HTTPStatus.OK:
            times.add(perf_counter() - began)
        await send(message)

    return noting


def held_box(settings: Settings, sealer: Sealer) -> Box:
    """What held calls are encrypted with: the same on all servers, if that is set."""
    given = settings.held_key
    return Box(seed_of(given.reveal()), _HELD) if given is not None else sealer.box(_HELD)


def signing_keys(settings: Settings) -> SigningKeys | None:
    """What GitHub's reports are checked with; None if they are not taken. Raises ConfigurationError."""
    source = settings.leaks_github_keys
    if source is None:
        return None
    return PublishedKeys(source, time.monotonic) if isinstance(source, str) else PinnedKeys(source, GITHUB_KEYS)
