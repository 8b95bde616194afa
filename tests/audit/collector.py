"""A collector of OpenTelemetry logs: a real HTTP server on 127.0.0.1 that keeps what comes to /v1/logs."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


class Collector:
    """A context manager. ``refuse_after`` answers 503 once so many requests have come."""

    def __init__(self, refuse_after: int | None = None, rejected: int = 0) -> None:
        requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                refused = refuse_after is not None and len(requests) >= refuse_after
                if not refused:
                    requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                answer = json.dumps({"partialSuccess": {"rejectedLogRecords": str(rejected)}} if rejected else {})
                self.send_response(503 if refused else 200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer.encode())

            def log_message(self, *_: object) -> None:
                return

        self.requests = requests
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Collector:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    @property
    def records(self) -> list[dict[str, Any]]:
        """All log records, in the order of arrival."""
        return [
            record
            for _, _, body in self.requests
            for resource in body["resourceLogs"]
            for scope in resource["scopeLogs"]
            for record in scope["logRecords"]
        ]
