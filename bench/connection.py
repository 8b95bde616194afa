"""One kept connection that asks and reads the answer, with little of its own: for latencies below a millisecond."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

_LENGTH = re.compile(rb"(?im)^content-length: *(\d+)")
_HEAD_END = b"\r\n\r\n"
_TIMEOUT_S = 30


class Reply(NamedTuple):
    status: int
    body: bytes


class Connection:
    """HTTP/1.1 to one server. An answer has a ``Content-Length`` or no body; after a close it connects anew."""

    def __init__(self, url: str, fields: Sequence[str] = ()) -> None:
        self._fields = "".join(f"{field}\r\n" for field in fields)
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        self._socket = self._open()

    def ask(self, method: str, path: str, key: str, body: dict[str, Any] | None = None) -> Reply:
        content = b"" if body is None else json.dumps(body).encode()
        described = f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n" if body is not None else ""
        fields = f"Host: bench\r\nAuthorization: Bearer {key}\r\n{self._fields}{described}"
        head = f"{method} {path} HTTP/1.1\r\n{fields}\r\n"
        self._socket.sendall(head.encode() + content)
        return self._reply()

    def close(self) -> None:
        self._socket.close()

    def _open(self) -> socket.socket:
        opened = socket.create_connection(self._address, timeout=_TIMEOUT_S)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return opened

    def _reply(self) -> Reply:
        read = b""
        while _HEAD_END not in read:
            read += self._more()
        head, _, body = read.partition(_HEAD_END)
        if b"transfer-encoding" in head.lower():
            raise RuntimeError("an answer in chunks, which the bench does not read")
        length = _LENGTH.search(head)
        while length is not None and len(body) < int(length[1]):
            body += self._more()
        if b"connection: close" in head.lower():
            self.close()
            self._socket = self._open()
        return Reply(int(head[9:12]), body)

    def _more(self) -> bytes:
        part = self._socket.recv(65536)
        if not part:
            raise ConnectionError("the server closed the connection in the middle of an answer")
        return part


@contextlib.contextmanager
def connected(url: str, fields: Sequence[str] = ()) -> Iterator[Connection]:
    """A connection that sends these fields, as ``Name: value``, with every request."""
    connection = Connection(url, fields)
    try:
        yield connection
    finally:
        connection.close()


def until_allowed(url: str, path: str, key: str, limit_s: float, fields: Sequence[str] = ()) -> float:
    """Seconds from now until the server lets the call through. Raises TimeoutError after ``limit_s``."""
    began = time.monotonic()
    while time.monotonic() - began < limit_s:
        with contextlib.suppress(OSError), connected(url, fields) as one:
            if one.ask("GET", path, key).status == 200:
                return time.monotonic() - began
        time.sleep(0.002)
    raise TimeoutError(f"{url} let no call through in {limit_s} s")
