"""One large upload and one large download through the gate, and what they cost in memory."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from bench import keys
from bench.processes import Running, forget_peak, peak_mib, resident_mib
from bench.report import Row, at_most, known

_PIECE = bytes(1 << 18)
_TIMEOUT_S = 300


def measure(gate: Running, size: int) -> list[Row]:
    rows = []
    for what, send in (("upload", _upload), ("download", _download)):
        send(gate.url, len(_PIECE))
        rows += _measured(gate, size, f"{what} of {size >> 20:,} MiB", send)
    return rows


def _measured(gate: Running, size: int, what: str, send: Callable[[str, int], None]) -> list[Row]:
    forget_peak(gate.pid)
    before, began = resident_mib(gate.pid), time.monotonic()
    send(gate.url, size)
    took = time.monotonic() - began
    return [
        Row(f"{what}: growth of the server's memory", peak_mib(gate.pid) - before, "MiB", at_most(64)),
        Row(f"{what}: speed", size / (1 << 20) / took, "MiB/s", known()),
    ]


def _upload(url: str, size: int) -> None:
    reply = _ask(url, "POST", "/v1/sink", _pieces(size), {"content-length": str(size)})
    if reply.read() != b'{"bytes": %d}' % size:
        raise RuntimeError("the upload did not arrive whole")


def _download(url: str, size: int) -> None:
    reply = _ask(url, "GET", f"/v1/source?{size}")
    count = 0
    while piece := reply.read(len(_PIECE)):
        count += len(piece)
    if count != size:
        raise RuntimeError(f"{count} of {size} bytes arrived")


def _ask(
    url: str, method: str, target: str, body: Iterator[bytes] | None = None, fields: dict[str, str] | None = None
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_TIMEOUT_S)
    credential = {"authorization": f"Bearer {keys.secret(0).reveal()}"}
    connection.request(method, target, body, {**credential, **(fields or {})})
    reply = connection.getresponse()
    if reply.status != 200:
        raise RuntimeError(f"{method} {target}: {reply.status} {reply.read(1000)!r}")
    return reply


def _pieces(size: int) -> Iterator[bytes]:
    for start in range(0, size, len(_PIECE)):
        yield _PIECE[: size - start]
