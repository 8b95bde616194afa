"""One kept-open HTTP/1.1 connection that sends exactly the bytes it is given."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answered:
    status: int
    body: bytes
    challenge: str = ""

    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """A client without opinions: target and body go out as they are."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def send(self, method: str, target: str, key: str, body: bytes | None = None) -> Answered:
        headers = {"authorization": f"Bearer {key}"}
        if body is not None:
            headers |= {"content-type": "application/json"}
        self._connection.request(method, target, body, headers)
        response = self._connection.getresponse()
        return Answered(response.status, response.read(), response.getheader("www-authenticate", ""))

    def status(self, method: str, target: str, key: str) -> int:
        """Of an answer whose body has no end: it is not read, and the connection is given up."""
        self._connection.request(method, target, headers={"authorization": f"Bearer {key}"})
        status = self._connection.getresponse().status
        self._connection.close()
        return status

    def close(self) -> None:
        self._connection.close()
