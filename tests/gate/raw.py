"""A raw HTTP/1.1 client: every byte that goes out is the test's own, and a cut-off answer is told from a whole one."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

WAIT_S = 20.0
Fields = Iterable[tuple[str, str]]


class CutOff(Exception):
    """The connection ended before the answer did."""


@dataclass(frozen=True)
class Head:
    """Status and fields of an answer. Names are lower-case."""

    status: int
    fields: list[tuple[str, str]]

    def all(self, name: str) -> list[str]:
        return [value for field, value in self.fields if field == name]

    def one(self, name: str) -> str | None:
        values = self.all(name)
        assert len(values) < 2, values
        return values[0] if values else None


@dataclass(frozen=True)
class Answered:
    """A whole answer."""

    head: Head
    body: bytes

    @property
    def status(self) -> int:
        return self.head.status

    def json(self) -> Any:
        return json.loads(self.body)


def request_head(method: str, target: str, key: str | None, fields: Fields = ()) -> bytes:
    """The head of a request, with exactly these fields beside Host and the key."""
    lines = [f"{method} {target} HTTP/1.1", "host: gate.test"]
    lines += [f"authorization: Bearer {key}"] if key else []
    lines += [f"{name}: {value}" for name, value in fields]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class Raw:
    """One connection. A context manager."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=WAIT_S)
        self._unread = b""

    def __enter__(self) -> Raw:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def ask(
        self, method: str, target: str, key: str | None, fields: Fields = (), body: bytes | None = None
    ) -> Answered:
        """Send a request, with Content-Length if it has a body, and read the whole answer."""
        length = [] if body is None else [("content-length", str(len(body)))]
        self.send(request_head(method, target, key, [*fields, *length]) + (body or b""))
        return self.answer(method)

    def answer(self, method: str = "GET") -> Answered:
        """Read a whole answer. Raises CutOff if it is not one."""
        head = self.head()
        return Answered(head, b"" if method == "HEAD" else self._body(head))

    def head(self) -> Head:
        raw = self._until(b"\r\n\r\n").decode("latin-1")
        line, *rest = raw[:-4].split("\r\n")
        fields = [(name.lower(), value.strip()) for name, _, value in (text.partition(":") for text in rest)]
        return Head(int(line.split(" ")[1]), fields)

    def chunk(self) -> bytes:
        """The next chunk of a chunked answer; empty at its proper end."""
        size = int(self._until(b"\r\n"), 16)
        data = self._exactly(size)
        assert self._exactly(2) == b"\r\n"
        return data

    def at_end(self) -> bool:
        """Whether the server has closed the connection. Waits for it."""
        try:
            return self._unread == b"" and self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def _body(self, head: Head) -> bytes:
        if head.status in (204, 304) or head.status < 200:
            return b""
        if head.one("transfer-encoding") == "chunked":
            parts = []
            while part := self.chunk():
                parts.append(part)
            return b"".join(parts)
        return self._exactly(int(head.one("content-length") or "0"))

    def _until(self, end: bytes) -> bytes:
        while end not in self._unread:
            self._unread += self._receive()
        found, _, self._unread = self._unread.partition(end)
        return found + end

    def _exactly(self, size: int) -> bytes:
        parts, left = [self._unread], size - len(self._unread)
        while left > 0:
            parts.append(self._receive())
            left -= len(parts[-1])
        whole = b"".join(parts)
        self._unread = whole[size:]
        return whole[:size]

    def _receive(self) -> bytes:
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionError:
            data = b""
        if not data:
            raise CutOff
        return data
