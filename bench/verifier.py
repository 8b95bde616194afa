"""``python -m bench.verifier --adapter NAME|FILE --url URL --keys FILE``: the bench's load on any running verifier.

A verifier that refuses is not measured. Beforehand each key is asked about once, and must get a yes, and a text that is
no key must not; during the load every answer is looked at, and a single other one makes the measurement fail. The look
costs the load generator some of its speed, for all verifiers alike.
"""

from __future__ import annotations

import argparse
import http.client
import os
import socket
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

from bench.adapter import Adapter, AdapterError, names, read
from bench.load import Load, Refused, replay, require_wrk
from bench.report import Missing, Part, Row, known, markdown

CALLER = "BENCH_CALLER_KEY"
"""The variable with the credential of the one who asks."""
_TIMEOUT_S = 10


class Unfit(Exception):
    """This verifier cannot be measured with these keys: why."""


def main() -> int:
    asked = _options().parse_args()
    try:
        adapter = read(asked.adapter)
        rows = measure(adapter, asked.url, _keys(asked.keys), asked.rounds, asked.seconds, asked.connections)
    except (AdapterError, Unfit, Refused, Missing, OSError) as error:
        print(f"bench.verifier: {error}", file=sys.stderr)
        return 1
    tried = "" if adapter.tried else " The adapter is written after the documentation and was never tried."
    about = f"{adapter.name}. A yes proves: {adapter.proves}. Documented: {adapter.documented}.{tried}"
    print(markdown([Part("verifier", about, rows, 0)], {"Asked at": asked.url}, quick=False))
    return 0


def measure(
    adapter: Adapter, url: str, tokens: Sequence[str], rounds: int, seconds: int, connections: int
) -> list[Row]:
    """Throughput and latency. Raises Unfit or Refused where the verifier does not say yes to all, and no to others."""
    require_wrk()
    caller = os.environ.get(CALLER, "")
    if adapter.needs_caller and not caller:
        raise Unfit(f"this adapter asks with a credential of its own: set {CALLER}")
    host = urlsplit(url).netloc
    requests = [adapter.request(host, token, caller) for token in tokens]
    _make_sure(url, adapter, requests, adapter.request(host, _no_key(tokens[0]), caller))
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "requests"
        path.write_bytes(b"".join(b"%d\n%b" % (len(request), request) for request in requests))
        ask = partial(replay, url, path, adapter.yes.status, adapter.yes.pattern)
        print(f"measuring {adapter.name} …", file=sys.stderr, flush=True)
        many = [ask(connections=connections, seconds=seconds) for _ in range(rounds)]
        alone = [ask(connections=1, seconds=seconds) for _ in range(rounds)]
    return _rows(many, alone, connections)


def _make_sure(url: str, adapter: Adapter, requests: Sequence[bytes], junk: bytes) -> None:
    for number, request in enumerate(requests):
        status, body = _answer(url, request)
        if not adapter.yes.said(status, body):
            raise Unfit(f"key {number + 1} got no yes: {status} {body[:300]!r}")
    status, body = _answer(url, junk)
    if status >= 500:
        raise Unfit(f"a text that is no key was answered {status}, which is no answer")
    if adapter.yes.said(status, body):
        raise Unfit("the verifier says yes to a text that is no key")


def _answer(url: str, request: bytes) -> tuple[int, bytes]:
    """Status and body, on a connection of its own."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise Unfit(f"{url} is not http://host[:port]; the bench has no TLS, whose cost is not the verifier's")
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=_TIMEOUT_S) as opened:
        opened.sendall(request)
        response = http.client.HTTPResponse(opened)
        try:
            response.begin()
            return response.status, response.read()
        except http.client.HTTPException as error:
            raise Unfit(f"the answer is no HTTP: {error!r}") from None


def _no_key(token: str) -> str:
    """The key with its last eight characters turned round and changed."""
    return token[:-8] + "".join("0" if letter != "0" else "1" for letter in token[-8:])


def _rows(many: list[Load], alone: list[Load], connections: int) -> list[Row]:
    at_once = f"{connections} connections"
    return [
        Row(f"{at_once}, requests per second", median(load.per_s for load in many), "/s", known()),
        Row(f"{at_once}, p50", median(load.p50_ms for load in many), "ms", known()),
        Row(f"{at_once}, p99", median(load.p99_ms for load in many), "ms", known()),
        Row("one connection, p50", median(load.p50_ms for load in alone), "ms", known()),
    ]


def _keys(path: Path) -> list[str]:
    tokens = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    if not tokens:
        raise Unfit(f"{path} has no keys, one a line")
    return tokens


def _options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="bench.verifier", description="Measure a running verifier of keys.")
    options.add_argument("--adapter", required=True, help=f"a file, or one of: {', '.join(names())}")
    options.add_argument("--url", required=True, help="where it answers: http://host[:port]")
    options.add_argument("--keys", required=True, type=Path, help="a file of good keys, one a line, taken in turn")
    options.add_argument("--seconds", type=int, default=3, help="how long a round is")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--connections", type=int, default=32)
    return options


if __name__ == "__main__":
    sys.exit(main())
