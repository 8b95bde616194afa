"""Envoy's questions over gRPC, answered in the process and the event loop that serve HTTP, by the same verifier.

The packages are an extra (``keyscope[envoy]``), so this is imported only where the setting asks for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import grpc.aio

from keyscope.gate.envoy import EnvoyGate
from keyscope.gate.peers import TrustedPeers
from keyscope.serving.application import Application
from keyscope.setting_values import Address
from keyscope.settings import Settings

SERVICE = "envoy.service.auth.v3.Authorization"
GRACE_S = 0.5
"""How long questions in hand may take at the end. Each takes far below a millisecond."""

_MAX_AT_ONCE = 1024
"""What is beyond it is answered with a gRPC error. Envoy itself has no more in hand, unless told to."""
_SLACK_BYTES = 256 << 10
"""Room beside the body for the largest head that Envoy takes, twice."""
_STREAMS = 256


@asynccontextmanager
async def answering_envoy(settings: Settings, address: Address, application: Application) -> AsyncIterator[None]:
    """Listens from the beginning to the end of the block."""
    gate = EnvoyGate(
        application.verifier,
        TrustedPeers(settings.forward_auth_peers),
        max_header_bytes=settings.max_header_bytes,
        max_body_bytes=settings.max_body_bytes,
    )
    server = grpc.aio.server(options=_options(settings), maximum_concurrent_rpcs=_MAX_AT_ONCE)
    server.add_generic_rpc_handlers((_handler(gate),))
    server.add_insecure_port(str(address))
    await server.start()
    try:
        yield
    finally:
        await server.stop(GRACE_S)


def _handler(gate: EnvoyGate) -> grpc.GenericRpcHandler:
    """Bytes in, bytes out: what cannot even be read is for the gate to refuse."""

    async def check(question: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        return gate.check(question, context.peer())

    return grpc.method_handlers_generic_handler(SERVICE, {"Check": grpc.unary_unary_rpc_method_handler(check)})


def _options(settings: Settings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_body_bytes + _SLACK_BYTES),
        ("grpc.max_concurrent_streams", _STREAMS),
        ("grpc.so_reuseport", int(settings.workers > 1)),
    ]
