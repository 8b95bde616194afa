"""Callers that ask a server all the time, each over a connection of its own, and know when they got which answer."""

from __future__ import annotations

import http.client
import threading
import time
from types import TracebackType

from tests.live import Live

ALLOWED, REFUSED = "/v1/devboxes", "/v1/objects"


class Load:
    """Forward-auth questions, of which each fourth is refused. A context manager; ``stop`` ends it."""

    def __init__(self, live: Live, secret: str, callers: int = 2) -> None:
        self._live = live
        self._secret = secret
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(callers)]
        self._lock = threading.Lock()
        self.allowed: list[float] = []
        """When each permission arrived, by time.monotonic."""
        self.refused: list[float] = []
        self.lost = 0
        """Questions that got no answer."""

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(30)

    def until(self, answers: int, seconds: float = 60.0) -> None:
        """Wait until so many answers have come."""
        end = time.monotonic() + seconds
        while len(self.allowed) + len(self.refused) < answers:
            assert time.monotonic() < end, "the load does not get on"
            time.sleep(0.01)

    def until_lasted(self, length_s: float) -> None:
        """Wait until answers have been coming for so long."""
        self.until(1)
        first = self.allowed[0] if self.allowed else self.refused[0]
        while (self.allowed or [first])[-1] - first < length_s:
            self.until(len(self.allowed) + len(self.refused) + 1)

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._live.port, timeout=10)
        number = 0
        while not self._stopping.is_set():
            number += 1
            try:
                self._one(connection, REFUSED if number % 4 == 0 else ALLOWED)
            except (OSError, http.client.HTTPException):
                with self._lock:
                    self.lost += 1
                return
        connection.close()

    def _one(self, connection: http.client.HTTPConnection, path: str) -> None:
        fields = {"authorization": f"Bearer {self._secret}", "x-original-uri": path, "x-original-method": "GET"}
        connection.request("GET", "/keyscope/authorize/nginx", headers=fields)
        response = connection.getresponse()
        response.read()
        now = time.monotonic()
        with self._lock:
            (self.allowed if response.status == 200 else self.refused).append(now)
