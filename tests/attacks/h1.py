"""HTTP/1.1 over a bare socket: exactly these bytes go out, and whatever comes back is read with patience."""

from __future__ import annotations

import re
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress

from tests.attacks.outcome import Outcome, Reply

PATIENCE_S = 10.0
"""How long the server may take in all."""
QUIET_S = 0.15
"""How long a connection stays silent after an answer until the client believes that there is no other one."""
WAITING_S = 0.5
"""How long the server may wait for the rest of a request until the client says that there is none."""

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?")


def exchange(port: int, request: bytes, head: bool = False, wait: Callable[[], None] = lambda: None) -> Outcome:
    """Send the bytes and collect the answers. ``wait`` runs between connecting and sending."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wait()
        connection.setblocking(False)
        received, closed = _talk(connection, request, head)
    return Outcome(tuple(_replies(received, head, closed)), closed)


def _talk(connection: socket.socket, request: bytes, head: bool) -> tuple[bytes, bool]:
    """All that comes back, and whether the server closed."""
    unsent, received = memoryview(request), b""
    end, asked_to_end = time.monotonic() + PATIENCE_S, False
    while time.monotonic() < end:
        answered = bool(_replies(received, head, closed=False))
        if answered:
            unsent = unsent[:0]  # a server may refuse from the head alone, and then reads no more
        patience = QUIET_S if answered else WAITING_S
        readable, writable, _ = select.select([connection], [connection] if unsent else [], [], patience)
        if writable:
            unsent = unsent[_send(connection, unsent) :]
        if readable:
            more = _receive(connection)
            if not more:
                return received, True
            received += more
        elif not writable:
            if answered or asked_to_end:
                return received, False
            asked_to_end = _end(connection)
    return received, False


def _send(connection: socket.socket, unsent: memoryview) -> int:
    try:
        return connection.send(unsent[: 1 << 16])
    except OSError:
        return len(unsent)  # the server has closed its side; what it said is still to be read


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1 << 16)
    except OSError:
        return b""


def _end(connection: socket.socket) -> bool:
    """Say that nothing more will come."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
    return True


def _replies(received: bytes, head: bool, closed: bool) -> list[Reply]:
    """The whole answers in the bytes; interim ones (1xx) left out. ``closed`` ends an answer without a length."""
    found: list[Reply] = []
    rest = received
    while (parted := rest.partition(b"\r\n\r\n"))[1]:
        lines = parted[0].split(b"\r\n")
        status = _STATUS.fullmatch(lines[0])
        if status is None:
            raise ValueError(f"not an answer: {lines[0][:80]!r}")
        code, headers = int(status.group(1)), tuple(_field(line) for line in lines[1:])
        if 100 <= code < 200:
            rest = parted[2]
            continue
        bodiless = head or code in (204, 304)
        body, rest, whole = (b"", parted[2], True) if bodiless else _body(dict(headers), parted[2], closed)
        if not whole:
            break
        found.append(Reply(code, headers, body))
    return found


def _field(line: bytes) -> tuple[str, str]:
    name, _, value = line.decode("latin-1").partition(":")
    return name.lower(), value.strip()


def _body(headers: dict[str, str], rest: bytes, closed: bool) -> tuple[bytes, bytes, bool]:
    """The body, what follows it, and whether it is whole."""
    if "chunked" in headers.get("transfer-encoding", ""):
        return _chunked(rest)
    if "content-length" not in headers:
        return rest, b"", closed
    length = int(headers["content-length"])
    return rest[:length], rest[length:], len(rest) >= length


def _chunked(rest: bytes) -> tuple[bytes, bytes, bool]:
    body = b""
    while (parted := rest.partition(b"\r\n"))[1]:
        size = int(parted[0].split(b";")[0], 16)
        if len(parted[2]) < size + 2:
            break
        body, rest = body + parted[2][:size], parted[2][size + 2 :]
        if size == 0:
            return body, rest, True
    return body, rest, False
