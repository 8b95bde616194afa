"""``GET /keyscope/metrics``: for Prometheus, without a key from the peers that the settings name."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from keyscope.api.caller import Desk, admitted, call_of
from keyscope.api.documented import refusals
from keyscope.errors import PeerNotTrusted
from keyscope.gate.peers import TrustedPeers
from keyscope.wire.call import Call

_PASSED_ON = frozenset({b"x-forwarded-for", b"forwarded", b"via", b"x-real-ip"})
"""A proxy that passed the request on for somebody: its own address says nothing then."""
_JUDGED = _PASSED_ON | {b"authorization"}
"""A credential that is shown is judged: a bad one is never treated as absent (law 6)."""


class MetricRoutes:
    """``/keyscope/metrics``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._peers = TrustedPeers(desk.metrics_peers)
        self.router = APIRouter(prefix="/keyscope", tags=["service"])
        text = {"description": "Prometheus text, or OpenMetrics if asked for.", "content": {"text/plain": {}}}
        self.router.add_api_route(
            "/metrics",
            self.metrics,
            methods=["GET"],
            operation_id="readMetrics",
            response_class=Response,
            responses={200: text, **refusals(401, 403)},
        )

    async def metrics(self, request: Request) -> Response:
        """Counts and gauges of the whole server, for Prometheus."""
        if not self._needs_no_key(call_of(request)):
            admitted(request, self._desk)
        registry = CollectorRegistry()
        registry.register(_Once(list(await self._desk.meters.families())))
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        headers = {"content-type": media_type, "cache-control": "no-store"}
        return Response(encode(registry), headers=headers)

    def _needs_no_key(self, call: Call) -> bool:
        if any(name in _JUDGED for name, _ in call.headers):
            return False
        try:
            self._peers.check(call.peer)
        except PeerNotTrusted:
            return False
        return True


class _Once(Collector):
    """What was collected already."""

    def __init__(self, found: list[Metric]) -> None:
        self._found = found

    def collect(self) -> list[Metric]:
        return self._found
