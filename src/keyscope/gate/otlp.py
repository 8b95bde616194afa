"""Send spans to an OpenTelemetry collector: OTLP over HTTP in its JSON encoding, which every collector takes.

JSON, because it needs no package beside what Keyscope has. ``OTEL_EXPORTER_OTLP_HEADERS`` and ``OTEL_SERVICE_NAME`` are
read as everywhere.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import unquote

import aiohttp

from keyscope import __version__
from keyscope.gate.traces import Span, Traces
from keyscope.wire.codec import encode

log = logging.getLogger(__name__)

EVERY_S = 0.5
AT_ONCE = 512
_TIMEOUT = aiohttp.ClientTimeout(total=5)
_SERVER = 2
_ERROR = 2


@asynccontextmanager
async def exported(traces: Traces, endpoint: str) -> AsyncIterator[None]:
    """Send spans from the beginning to the end of the block. What a collector does not take is lost."""
    async with aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=False, headers=_headers()) as session:
        exporting = _Exporting(traces, session, endpoint.rstrip("/") + "/v1/traces")
        running = asyncio.create_task(exporting.run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.wait({running})
            await exporting.send()


class _Exporting:
    """Logs the beginning of trouble, not each of its seconds."""

    def __init__(self, traces: Traces, session: aiohttp.ClientSession, url: str) -> None:
        self._traces = traces
        self._session = session
        self._url = url
        self._failing = False

    async def run(self) -> None:
        while True:
            await asyncio.sleep(EVERY_S)
            await self.send()

    async def send(self) -> None:
        while spans := self._traces.take(AT_ONCE):
            try:
                async with self._session.post(self._url, data=encode(request(spans)), allow_redirects=False) as reply:
                    reply.raise_for_status()
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                if not self._failing:
                    log.warning("traces are lost: %s does not take them (%s)", self._url, type(error).__name__)
                self._failing = True
                return
            self._failing = False


def request(spans: Sequence[Span]) -> dict[str, object]:
    """An ExportTraceServiceRequest in the JSON encoding of OTLP 1.0: ids in hex, 64-bit numbers as text."""
    resource = {"service.name": os.environ.get("OTEL_SERVICE_NAME", "keyscope"), "service.version": __version__}
    scope = {"scope": {"name": "keyscope", "version": __version__}, "spans": [_span(span) for span in spans]}
    return {"resourceSpans": [{"resource": {"attributes": _attributes(resource)}, "scopeSpans": [scope]}]}


def _span(span: Span) -> dict[str, object]:
    members: dict[str, object] = {
        "traceId": span.trace_id,
        "spanId": span.id,
        "name": span.name,
        "kind": _SERVER,
        "startTimeUnixNano": str(span.began_ns),
        "endTimeUnixNano": str(span.ended_ns),
        "attributes": _attributes(span.attributes),
    }
    if span.parent_id:
        members["parentSpanId"] = span.parent_id
    if "error.type" in span.attributes:
        members["status"] = {"code": _ERROR}
    return members


def _attributes(values: dict[str, str | int] | dict[str, str]) -> list[dict[str, object]]:
    return [
        {"key": name, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
        for name, value in values.items()
    ]


def _headers() -> dict[str, str]:
    """``name=value`` with commas between, percent-encoded."""
    pairs = (part.split("=", 1) for part in os.environ.get("OTEL_EXPORTER_OTLP_HEADERS", "").split(",") if "=" in part)
    return {"content-type": "application/json", **{name.strip(): unquote(value.strip()) for name, value in pairs}}
