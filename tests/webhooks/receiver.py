"""Somebody who is told: an HTTP server that keeps what comes and answers as a test says."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple

from standardwebhooks import Webhook

from tests.live import Live


class Told(NamedTuple):
    """One request that came."""

    path: str
    headers: dict[str, str]
    body: bytes
    at_s: float

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def message(self) -> Any:
        return json.loads(self.body)

    def verified(self, secret: str) -> Any:
        """The message, if Standard Webhooks' own library finds the signature good; it raises otherwise."""
        return Webhook(secret).verify(self.body, self.headers)


class Receiver:
    """A context manager. ``answers`` are statuses for the next requests, with header fields; then 204."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.hold = threading.Event()
        self.hold.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.told.append(Told(self.path, headers, body, time.monotonic()))
                receiver.hold.wait(30)
                status, more = receiver.answers.pop(0) if receiver.answers else (204, {})
                self.send_response(status)
                for name, value in more.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing on stderr."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()

    def of(self, kind: str, key_id: str | None = None) -> list[Told]:
        """What came of one kind, about one key."""
        return [
            told
            for told in self.told
            if told.message["type"] == kind and key_id in (None, told.message["data"]["key_id"])
        ]


def add(live: Live, url: str, *kinds: str) -> dict[str, Any]:
    """A new webhook, as the API answers."""
    response = live.call("POST", "/keyscope/webhooks", json={"url": url, **({"kinds": [*kinds]} if kinds else {})})
    assert response.status_code == 200, response.text
    added: dict[str, Any] = response.json()
    return added


def until(holds: Callable[[], object], seconds: float = 20) -> None:
    """Return once it holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it does not come to hold"
        time.sleep(0.02)
