"""The cost of one decision in process, beside libraries that are used for the same question or a part of it.

The question is whether a credential may call `GET /v1/devboxes/{id}`; what a yes proves differs, and the last column
says it. Each is asked with 64 credentials in turn (*cold*: each of Keyscope's keys once), must have said yes to all of
them and no to a forged one beforehand, and is measured in processor time, one after the other in each round.
"""

from __future__ import annotations

import importlib
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

from bench import decide, keys
from bench.judging import HOT_KEYS, Judge, judge_over
from bench.measure import each_us, interleaved, medians, ratios
from bench.peers import Peer
from bench.report import Row, known, left_out
from keyscope.model.decision import Allow

NAME = "libraries"
NOTES = "what a yes proves"
_KEY_COUNT = 100_000
_PROVES = "the key is stored, live and unexpired, a revocation counting at once; its scopes cover the operation, of {}"
_PEERS = ("drf_api_key", "pyjwt", "joserfc_jwt", "biscuit", "macaroons", "casbin_rbac", "cedar")
_HOT, _COLD = "Keyscope, a key in use", f"Keyscope, a key never asked for before, {_KEY_COUNT:,} in SQLite"
_ROUND_S = 0.1
_MOST_CALLS = 5_000


def run(quick: bool) -> list[Row]:
    rounds = 3 if quick else 11
    path = keys.database(_KEY_COUNT)
    keys.warm(path)
    with tempfile.TemporaryDirectory() as name, judge_over(path) as judge:
        peers, absent = _peers(Path(name))
        for peer in peers:
            _make_sure(peer)
        found = interleaved({**_ours(judge), **{peer.name: _timed(peer) for peer in peers}}, rounds)
    return [*_rows(found, peers, judge.operations), *absent]


def _peers(directory: Path) -> tuple[list[Peer], list[Row]]:
    """The peers that are installed, and rows for those that are not."""
    there: list[Peer] = []
    absent: list[Row] = []
    for name in _PEERS:
        try:
            there += importlib.import_module(f"bench.peers.{name}").peers(directory)
        except ModuleNotFoundError as error:
            absent.append(left_out(f"bench/peers/{name}.py", f"{error.name} is not installed; make bench installs it"))
    return there, absent


def _make_sure(peer: Peer) -> None:
    if not all(peer.allows(one) for one in peer.credentials) or peer.allows(peer.forged):
        raise RuntimeError(f"{peer.name} does not answer the question")


def _ours(judge: Judge) -> dict[str, Callable[[], float]]:
    hot = [keys.token(number) for number in range(1, HOT_KEYS + 1)]
    assert all(isinstance(judge.allowed(token), Allow) for token in hot)
    unseen = iter(decide.numbers(_KEY_COUNT))

    def never_seen() -> float:
        return each_us(judge.allowed, [keys.token(number) for number in islice(unseen, 2_000)])

    return {_HOT: lambda: each_us(judge.allowed, islice(cycle(hot), _MOST_CALLS)), _COLD: never_seen}


def _timed(peer: Peer) -> Callable[[], float]:
    """So many calls that they take about a tenth of a second."""
    began = time.perf_counter()
    for one in peer.credentials:
        peer.allows(one)
    each_s = (time.perf_counter() - began) / len(peer.credentials)
    calls = max(20, min(_MOST_CALLS, int(_ROUND_S / each_s)))
    return lambda: each_us(peer.allows, islice(cycle(peer.credentials), calls))


def _rows(found: dict[str, list[float]], peers: list[Peer], operations: int) -> list[Row]:
    proves = {name: _PROVES.format(operations) for name in (_HOT, _COLD)} | {peer.name: peer.proves for peer in peers}
    us = medians(found)
    costs = [Row(name, us[name], "µs", known(), proves[name]) for name in found]
    beside = [Row(f"{peer.name} ÷ {_HOT}", ratios(found, peer.name, _HOT), "times", known()) for peer in peers]
    return costs + beside
