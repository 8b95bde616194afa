"""HTTP/2 with prior knowledge over a bare socket, with fields that no honest client would send."""

from __future__ import annotations

import socket
import time

import h2.config
import h2.connection
import h2.events

from tests.attacks.outcome import Outcome, Reply

PATIENCE_S = 5.0


def exchange(port: int, fields: list[tuple[bytes, bytes]], body: bytes | None) -> Outcome:
    """Send one request on one stream. A reset stream or a closed connection is an end without an answer."""
    connection = h2.connection.H2Connection(
        h2.config.H2Configuration(
            client_side=True,
            header_encoding=None,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
            validate_inbound_headers=False,
        )
    )
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as sock:
        connection.initiate_connection()
        connection.send_headers(1, fields, end_stream=body is None)
        if body is not None:
            connection.send_data(1, body, end_stream=True)
        sock.sendall(connection.data_to_send())
        return _listen(connection, sock)


def _listen(connection: h2.connection.H2Connection, sock: socket.socket) -> Outcome:
    answer = _Answer()
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        try:
            received = sock.recv(1 << 16)
        except OSError:
            received = b""
        if not received:
            return Outcome(answer.replies, closed=True)
        ended = [answer.take(event) for event in connection.receive_data(received)]  # each is taken, in any case
        if any(ended):
            return Outcome(answer.replies, closed=answer.reset)
        sock.sendall(connection.data_to_send())
    return Outcome(answer.replies, closed=False)


class _Answer:
    """Collects the answer on stream 1."""

    def __init__(self) -> None:
        self._status = 0
        self._headers: tuple[tuple[str, str], ...] = ()
        self._body = b""
        self._whole = False
        self.reset = False

    @property
    def replies(self) -> tuple[Reply, ...]:
        return (Reply(self._status, self._headers, self._body),) if self._whole else ()

    def take(self, event: h2.events.Event) -> bool:
        """Note an event; True if it is the last one that counts."""
        if isinstance(event, h2.events.ResponseReceived):
            fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers]
            self._status = int(dict(fields)[":status"])
            self._headers = tuple(field for field in fields if not field[0].startswith(":"))
        elif isinstance(event, h2.events.DataReceived):
            self._body += event.data
        elif isinstance(event, h2.events.StreamEnded):
            self._whole = True
        elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
            self.reset = True
        return self._whole or self.reset
