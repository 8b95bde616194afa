"""One request over HTTP/2 with prior knowledge, and what happens to its stream, one thing after another."""

from __future__ import annotations

from collections.abc import Iterator

import h2.config
import h2.connection
import h2.events

from tests.gate.raw import Raw


def happenings(raw: Raw, target: str, key: str) -> Iterator[str]:
    """The status, each piece of the body, and how it ended: StreamEnded, StreamReset or ConnectionClosed."""
    peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    peer.initiate_connection()
    fields = [(":method", "GET"), (":scheme", "http"), (":authority", "gate.test"), (":path", target)]
    peer.send_headers(1, [*fields, ("authorization", f"Bearer {key}")], end_stream=True)
    raw.send(peer.data_to_send())
    while data := raw.socket.recv(65536):
        for event in peer.receive_data(data):
            if isinstance(event, h2.events.ResponseReceived):
                yield dict(event.headers)[b":status"].decode()
            elif isinstance(event, h2.events.DataReceived) and event.data:
                yield event.data.decode()
            elif isinstance(event, (h2.events.StreamEnded, h2.events.StreamReset)):
                yield type(event).__name__
                return
        raw.send(peer.data_to_send())
    yield "ConnectionClosed"
