"""What the audit trail, usage and metrics cost: the same Keyscope with all of it on, and with it off.

In process: the door that every gate uses, from a request's head to an Allow that is noted, 64 keys in turn; what was
collected is taken away each 10,000 calls. Served: forward-auth, and calls through the gate to an upstream (nginx with 1
KiB of JSON), 32 connections, one core for Keyscope. What counts there is processor time for each request, with that of
the thread that writes the trail: on a machine with neighbours, calls a second say more about them. A server is never
without metrics, so served, only `--audit no` is off; in process all is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median

from bench import keys, nginx
from bench.judging import HOT_KEYS, PATH
from bench.load import Load, key_file, require_wrk, wrk
from bench.measure import each_us, interleaved, medians, ratios
from bench.processes import Running, cpu_s, keyscope
from bench.report import Row, at_least, known
from keyscope.authority.ledger import Ledger
from keyscope.authority.meter import JUDGING_S, Times
from keyscope.authority.verify import Verifier
from keyscope.gate.admit import admit
from keyscope.gate.timed import timed
from keyscope.model.decision import Allow
from keyscope.serving.server import load_policy
from keyscope.store.sqlite import SqliteStore
from keyscope.system import SystemClock
from keyscope.wire.call import Call

NAME = "audit"
_KEY_COUNT = 10_000
_ON, _OFF = "on", "off"
_ASKED = ("X-Original-URI: /v1/devboxes/dbx_30xQ2cP9bYyh1", "X-Original-Method: GET")

Measures = dict[str, Callable[[], float]]


def run(quick: bool) -> list[Row]:
    require_wrk()
    return [*_door(quick), *_served(quick)]


def _door(quick: bool) -> list[Row]:
    calls, rounds = (2_000, 5) if quick else (10_000, 31)
    path = keys.database(_KEY_COUNT)
    times = Times(JUDGING_S)
    with _verifier(path, None) as without, _verifier(path, Ledger()) as recording:
        doors: Measures = {
            _OFF: partial(_each_us, without, partial(admit, without), calls),
            _ON: partial(_each_us, recording, partial(timed, times, admit, recording), calls),
        }
        found = interleaved(doors, rounds)
    us = medians(found)
    return [
        Row("from a request's head to an Allow, all off", us[_OFF], "µs", known()),
        Row("the same, all on", us[_ON], "µs", known()),
        Row("in process: off ÷ on", ratios(found, _OFF, _ON), "times", at_least(0.9)),
    ]


@contextmanager
def _verifier(database: Path, ledger: Ledger | None) -> Iterator[Verifier]:
    store = SqliteStore.open(database)
    index = store.open_index()
    try:
        yield Verifier(index, load_policy("runloop").table(), SystemClock(), set(), ledger)
    finally:
        index.close()
        store.close()


def _each_us(verifier: Verifier, judge: Callable[[Call], object], calls: int) -> float:
    asked = [_call(keys.token(number)) for number in range(1, HOT_KEYS + 1)]
    assert all(isinstance(judge(call), Allow) for call in asked)
    took = each_us(judge, [asked[number % HOT_KEYS] for number in range(calls)])
    if verifier.ledger is not None:
        verifier.ledger.take()
    return took


def _call(token: bytes) -> Call:
    headers = [(b"host", b"api.example.com"), (b"authorization", b"Bearer " + token), (b"accept", b"*/*")]
    return Call(method="GET", path=PATH, query=b"", headers=headers, peer="127.0.0.1")


def _served(quick: bool) -> list[Row]:
    rounds, seconds = (2, 1) if quick else (9, 3)
    with tempfile.TemporaryDirectory() as name, nginx.answering(Path(name)) as upstream:
        sent = key_file(Path(name))
        asked = _compared(Path(name), "ask", None, partial(wrk, path="/keyscope/authorize/nginx", keys_in=sent,
                                                           headers=_ASKED), rounds, seconds)  # fmt: skip
        gated = _compared(Path(name), "gate", upstream.url, partial(wrk, path=PATH, keys_in=sent), rounds, seconds)
    return [*_rows("forward-auth", asked), *_rows("through the gate", gated)]


def _compared(
    directory: Path, name: str, upstream: str | None, ask: partial[Load], rounds: int, seconds: int
) -> dict[str, list[float]]:
    """Processor time for each request in microseconds, with all on and all off, round by round."""
    places = [directory / f"{name}-{way}" for way in (_ON, _OFF)]
    for place in places:
        place.mkdir()
    on, off = places
    serve = partial(keyscope, key_count=_KEY_COUNT, upstream=upstream)
    with serve(on) as with_it, serve(off, options=["--audit", "no"]) as without:
        for server in (with_it, without):
            ask(server.url, seconds=1)
        measures: Measures = {
            _ON: partial(_cpu_us, ask, with_it, seconds),
            _OFF: partial(_cpu_us, ask, without, seconds),
        }
        return interleaved(measures, rounds)


def _cpu_us(ask: partial[Load], server: Running, seconds: int) -> float:
    before = cpu_s(server.pid)
    load = ask(server.url, seconds=seconds)
    return (cpu_s(server.pid) - before) / load.requests * 1e6


def _rows(what: str, found: dict[str, list[float]]) -> Sequence[Row]:
    return [
        Row(f"{what}, processor time per request, all off", median(found[_OFF]), "µs", known()),
        Row(f"{what}, all on", median(found[_ON]), "µs", known()),
        Row(f"{what}: off ÷ on", ratios(found, _OFF, _ON), "times", at_least(0.9)),
    ]
