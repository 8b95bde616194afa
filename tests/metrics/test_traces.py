"""Traces of a real server, as a collector gets them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.live import Live
from tests.recorder import Recorder
from tests.webhooks.receiver import until

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector:
    """Takes OTLP over HTTP at ``/v1/traces``."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                collector.headers.append({name.lower(): value for name, value in self.headers.items()})
                collector.requests.append(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                """Nothing on stderr."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def spans(self) -> list[dict[str, Any]]:
        return [
            span
            for body in self.requests
            for resource in json.loads(body)["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]

    def of(self, trace_id: str) -> list[dict[str, Any]]:
        return [span for span in self.spans if span["traceId"] == trace_id]


def attributes(span: dict[str, Any]) -> dict[str, Any]:
    return {one["key"]: next(iter(one["value"].values())) for one in span["attributes"]}


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    one = Collector()
    yield one
    one.server.shutdown()
    one.server.server_close()


@pytest.fixture(scope="module")
def traced(upstream: Recorder, collector: Collector, new_directory: Callable[[], Path]) -> Iterator[Live]:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=one%20two"}
    with Live(new_directory(), upstream=upstream.url, environment=environment) as live:
        yield live


def test_a_call_is_a_span_of_the_callers_trace_and_the_parent_of_the_upstreams(
    traced: Live, collector: Collector, upstream: Recorder
) -> None:
    key = traced.mint("devboxes:read")
    upstream.take()
    headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1"}
    assert traced.call("GET", "/v1/devboxes/dbx_1", key["key_secret"], headers=headers).status_code == 200
    until(lambda: collector.of(TRACE))
    [span] = collector.of(TRACE)
    assert span["parentSpanId"] == PARENT
    assert int(span["endTimeUnixNano"]) > int(span["startTimeUnixNano"])
    noted = attributes(span)
    assert noted["keyscope.key.id"] == key["id"]
    assert noted["keyscope.verdict"] == "allowed"
    assert noted["http.response.status_code"] == "200"
    assert span["name"] == f"GET {noted['http.route']}"
    assert span["kind"] == 2
    [seen] = upstream.take()
    sent = {name.lower(): value for name, value in seen.headers}
    assert sent["traceparent"] == f"00-{TRACE}-{span['spanId']}-01"
    assert sent["tracestate"] == "vendor=1"


def test_a_refusal_says_its_code_and_no_span_has_a_secret(traced: Live, collector: Collector) -> None:
    key = traced.mint("devboxes:read")
    traced.call("POST", "/v1/devboxes", key["key_secret"])
    traced.call("GET", f"/v1/devboxes/{key['key_secret']}", key["key_secret"])
    traced.call("GET", "/v1/devboxes?token=hidden", "")
    until(lambda: {"insufficient_scope", "missing_credential"} <= {code(span) for span in collector.spans})
    until(lambda: any(attributes(span)["url.path"].startswith("/v1/devboxes/") for span in collector.spans))
    body = b"".join(collector.requests)
    assert key["key_secret"].encode() not in body
    assert traced.first.encode() not in body
    assert b"hidden" not in body
    assert all(headers["x-tenant"] == "one two" for headers in collector.headers)


def code(span: dict[str, Any]) -> object:
    return attributes(span).get("keyscope.code")


def test_a_caller_that_does_not_sample_is_not_traced(traced: Live, collector: Collector, upstream: Recorder) -> None:
    key = traced.mint("devboxes:read")["key_secret"]
    other = TRACE[::-1]
    upstream.take()
    traced.call("GET", "/v1/devboxes", key, headers={"traceparent": f"00-{other}-{PARENT}-00"})
    assert dict(upstream.take()[0].headers)["traceparent"] == f"00-{other}-{PARENT}-00"
    traced.call("GET", "/v1/devboxes", key, headers={"traceparent": f"00-{other[1:]}f-{PARENT}-01"})
    until(lambda: collector.of(other[1:] + "f"))
    assert not collector.of(other)


@pytest.mark.parametrize("sent", ["nonsense", f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01"])
def test_a_malformed_parent_begins_a_trace(traced: Live, upstream: Recorder, sent: str) -> None:
    key = traced.mint("devboxes:read")["key_secret"]
    upstream.take()
    assert traced.call("GET", "/v1/devboxes", key, headers={"traceparent": sent}).status_code == 200
    parent = dict(upstream.take()[0].headers)["traceparent"]
    assert parent != sent
    assert TRACE not in parent


def test_without_a_collector_nothing_is_added(live: Live, upstream: Recorder) -> None:
    key = live.mint("devboxes:read")["key_secret"]
    upstream.take()
    live.call("GET", "/v1/devboxes", key)
    assert "traceparent" not in {name.lower() for name, _ in upstream.take()[0].headers}


def test_a_collector_that_is_not_there_holds_up_no_call(new_directory: Callable[[], Path], upstream: Recorder) -> None:
    options = ["--otlp-endpoint", "http://127.0.0.1:9"]
    with Live(new_directory(), upstream=upstream.url, options=options) as live:
        key = live.mint("devboxes:read")["key_secret"]
        assert all(live.call("GET", "/v1/devboxes", key).status_code == 200 for _ in range(5))
        until(lambda: "traces are lost" in live.log)
